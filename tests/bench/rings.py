"""The time that rings save: the deep engine on the same lanes with and without them, in turn, by processor time.

Square views about the reference run of `deep_tanh`. Rings are made once for a film, one for a level: the last column
counts them in, for the samples that its levels have at the default quality. Processor time of this process is taken, so
that other work on the machine hardly moves the ratios.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np

from render import scene
from render.deep import reference_search
from render.deep.reference_search import Point
from render.film import qualities
from render.geometry import patches
from render.samples import Points
from render.storage.references import Reference
from render.train.past_float64.difference_engine import DeepEngine

WIDTHS = ("1e-12", "1e-20", "3e-31")
LANES = 2048
ROUNDS = 3


def _points(reference: Reference, width: str) -> list[Point]:
    """Return points of a square view about a reference; relative offsets stand for decades times log(10)."""
    offsets = np.random.default_rng(0).uniform(-0.5, 0.5, (LANES, 2)) * np.log(10)
    wide = Fraction(width)
    return [
        Point(reference.x * (1 + Fraction(float(a)) * wide), reference.y * (1 + Fraction(float(b)) * wide))
        for a, b in offsets
    ]


def _values(engine: DeepEngine, points: Points) -> np.ndarray:
    """Train all lanes, a batch at a time, and return their values."""
    size = engine.capacity()
    pieces = [points.at(slice(i, i + size)) for i in range(0, LANES, size)]
    return np.concatenate([engine.follow(piece).field.value for piece in pieces])


def measured(store: Path = Path("store")) -> Iterator[tuple[str, str]]:
    """Yield ratios by width of view."""
    film = scene.load(scene.find("deep_tanh"))
    problem, path = film.problem, film.path(film.output)
    square = reference_search.points(problem, path)
    finest = float(reference_search.apart(square[0], square[-1]))
    reference = reference_search.find_reference(
        problem, square, store, lambda words: None, spacing=finest * 2.0**-16, reach=finest, diverging=False
    )
    plan = qualities.named(film, qualities.SMALLEST).plan
    deep = [level for level in plan.levels if level > problem.last_plain_level]
    per_level = patches.total(plan.patches, [t for t in plan.order if t.level in deep]) * 3 / 4 / len(deep)
    without = DeepEngine(problem, reference, rings=False)
    for width in WIDTHS:
        points = reference_search.in_float64(_points(reference, width), reference)
        engine = DeepEngine(problem, reference)
        without.follow(points.at(slice(32)))
        # What is compiled for probes is compiled on rings of another view, so that only making rings is timed.
        few = points.at(slice(4))
        engine.follow(Points(few.x, few.y, *(column * 2.0**-40 for column in few.differences)))
        began = time.process_time()
        _values(engine, points)
        first_s = time.process_time() - began
        seen: dict[str, list[float]] = {"with": [], "without": []}
        values = {}
        for _ in range(ROUNDS):
            for name, way in (("without", without), ("with", engine)):
                began = time.process_time()
                values[name] = _values(way, points)
                seen[name].append(time.process_time() - began)
        on_s, off_s = median(seen["with"]), median(seen["without"])
        rings = len(engine.known()) - 1
        ring_s = max(first_s - on_s, 0.0) / max(rings, 1)
        a, b = per_level * off_s / LANES, ring_s + per_level * on_s / LANES
        close = np.abs(values["with"] - values["without"]) <= 1e-6 * np.abs(values["without"])
        signs = float(np.mean((values["with"] < 0) == (values["without"] < 0)))
        yield (
            f"{width}, {LANES} lanes",
            f"{off_s / on_s:.2f} times as fast; a ring costs {ring_s * LANES / off_s:.0f} lanes",
        )
        yield f"{width}, {per_level:,.0f} samples a level", f"{a / b:.2f} times as fast, rings included"
        yield f"{width}, agreement", f"{signs:.1%} of signs, {close.mean():.1%} of values within 1e-6"
