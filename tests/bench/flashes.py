"""Whether films that ship flash, by the meter that every film is checked by, with the limit that they ship with.

    python -m tests.bench flashes                             every scene at preview that a minute of training completes
    python -m tests.bench flashes preview 60                  the same with an hour for each
    python -m tests.bench flashes hd 5 mandelbrot julia       some scenes at another quality
    python -m tests.bench flashes hd 5 single output.detail=0.016 output.rest_detail=0.04      with settings

Samples are kept in store/, where films find them. A scene that would train for longer is listed with its time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from render import api, scene
from render.api import preparation
from render.errors import RenderError
from render.film import qualities, rendering, training_rate
from render.film.job import Job
from render.picture.flash import Meter, Stretch

MINUTES = 1.0


class Row(NamedTuple):
    """One film. runs: that its plan has. training_s: foretold. stretches: that flash; None where it was not made."""

    name: str
    frames: int
    runs: int
    training_s: float
    elapsed_s: float
    stretches: list[Stretch] | None


def measured(words: Sequence[str], store: Path = Path("store")) -> Iterator[Row]:
    """Yield the row of each film. words: a quality, minutes, scenes and settings, in this order; none is needed."""
    settings = [word for word in words if "=" in word]
    plain = [word for word in words if "=" not in word]
    quality = plain[0] if plain else qualities.SMALLEST
    try:
        most_s = 60 * (float(plain[1]) if len(plain) > 1 else MINUTES)
    except ValueError:
        raise RenderError(
            f"bench flashes takes a quality, then minutes, then scenes; {plain[1]!r} is no time."
        ) from None
    for name in plain[2:] or scene.names():
        loaded = scene.load(name, settings=settings)
        job = _prepared(loaded, quality, store, read_only=True)
        missing = job.missing_samples()
        training_s = training_rate.measure(job.plan, job.backend, job.switch).time_s(missing) if missing else 0.0
        stretches, began = None, time.perf_counter()
        if training_s <= most_s:
            stretches = flashes(_prepared(loaded, quality, store, read_only=False))
        yield Row(name, job.frame_count, job.plan.samples, training_s, time.perf_counter() - began, stretches)


def _prepared(loaded: scene.Scene, quality: str, store: Path, *, read_only: bool) -> Job:
    parts = quality, 1.0, store, preparation.local_backend, api.SILENT
    return preparation.prepare(loaded, *parts, read_only=read_only)[0]


def flashes(job: Job) -> list[Stretch]:
    """Make every frame of a film, and return where it flashes."""
    meter = Meter(float(job.scene.output.fps))
    for _, picture in rendering.frames(job, range(job.frame_count)):
        meter.add(picture)
    return meter.stretches()
