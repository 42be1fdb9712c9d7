"""Films of lower quality that are made before the best one, so that there is soon something to watch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from render import encode
from render.film import deliver, qualities
from render.film.job import Job
from render.film.qualities import Choice
from render.film.replacing import record_path
from render.film.training_rate import Rate
from render.scene import QUALITY, Scene

# Seconds of training after which the first film should be there, on a machine that is fast enough.
FIRST_S = 300.0

# Each film should need at least twice the training of the one before it, since it also costs its pictures, and would
# hardly differ from one that follows soon.
_GROWTH = 2.0


def below(scene: Scene, top: Job) -> list[Choice]:
    """Return the presets that need fewer samples than a job does, from the smallest on."""
    choices = []
    for name in QUALITY:
        choice = qualities.named(scene, name)
        if choice.plan.samples >= top.plan.samples:
            break
        choices.append(choice)
    return choices


def rungs(top: Job, lower: list[Job], rate: Rate) -> list[Job]:
    """Return which of the jobs of lower qualities, from the smallest on, are made before the best one.

    The first is the best of those that train within FIRST_S, or else the smallest; if the best job itself trains within
    that time, there are none. What the store holds costs nothing. Folders of pictures are not made in lower qualities,
    since they are for other programs and not to be watched.
    """
    most_s = rate.time_s(top.missing_samples())
    if most_s <= FIRST_S or not lower or top.scene.output.codec == encode.SEQUENCE:
        return []
    took_s = [rate.time_s(job.missing_samples()) for job in lower]
    first = max((i for i, time_s in enumerate(took_s) if time_s <= FIRST_S), default=0)
    chosen = [first]
    for i in range(first + 1, len(lower)):
        if took_s[i] >= _GROWTH * max(took_s[chosen[-1]], FIRST_S / _GROWTH) and most_s >= _GROWTH * took_s[i]:
            chosen.append(i)
    return [lower[i] for i in chosen]


def left(out: Path, steps: list[Job]) -> list[Job]:
    """Return which films of rising quality are yet to be made in a folder: those after the best one that is there.

    The last is always one of them: making it again costs no training, and gives the same film.
    """
    standing = [i for i, job in enumerate(steps[:-1]) if stands(deliver.film_path(out, job), job)]
    if len(steps) > 1 and stands(deliver.film_path(out, steps[-1]), steps[-1]):
        return steps[-1:]
    return steps[max(standing) + 1 :] if standing else steps


def stands(path: Path, job: Job) -> bool:
    """Return whether the file at a path is the film of a job, by its record, which has the checksum of the file."""
    try:
        record = json.loads(record_path(path).read_text(encoding="utf-8"))
        with path.open("rb") as film:
            digest = hashlib.file_digest(film, "sha256").hexdigest()
    except (OSError, ValueError):
        return False
    if not isinstance(record, dict) or record.get("sha256") != digest or record.get("frames") != job.frame_count:
        return False
    provenance = job.provenance()
    provenance.pop("numerics")
    return record.get("numerics") == job.numerics and all(record.get(key) == provenance[key] for key in provenance)
