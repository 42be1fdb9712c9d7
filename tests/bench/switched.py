"""The cost of the levels after a film's switch, by differences and by plain runs in turn.

The film is `mean_lr` at its smallest quality, from the level at which the switch was measured to its last one. Both
ways train the same samples of the film's own tiles, and both are measured by the processor time of this process, so
that other work on the machine hardly moves the ratio. The rings of all levels are counted in.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from render import backends, scene
from render.deep import switch_search
from render.film import qualities, rendering, training_rate
from render.geometry.tiles import SAMPLES
from render.samples import Points
from render.train.engine import Engine
from render.train.past_float64.difference_engine import DeepEngine

LANES = 1024
ROUNDS = 5

# The samples of a tile that its parent does not have.
_NEW = SAMPLES**2 * 3 // 4


def measured(store: Path = Path("store")) -> Iterator[tuple[str, str]]:
    """Yield the costs of the levels after the switch."""
    loaded = switch_search.measured(scene.load(scene.find("mean_lr")), store, lambda words: None)
    problem = loaded.problem
    backend = backends.make("local", problem)
    choice = qualities.named(loaded, qualities.SMALLEST)
    job = rendering.prepare(choice, store, backend=backend, report_step=lambda words: None)
    switch = job.switch
    assert switch is not None, "mean_lr was measured to have a switch"
    deep = [tile for tile in job.plan.order if switch.targets.of(tile) is not None]
    levels = sorted({tile.level for tile in deep})
    reference = switch.reference_of(deep[0])
    assert reference is not None
    reference = dataclasses.replace(reference, kept_in=None)  # no ring is known beforehand
    runs = len(deep) * _NEW
    yield "levels after the switch", f"{levels[0]} to {levels[-1]}, about {runs:,} runs"

    plain, followed = Engine(problem), DeepEngine(problem, reference)
    batches = [training_rate.Draws(problem, deep, reference=reference).batch(LANES, seed) for seed in range(ROUNDS)]
    first = batches[0].points
    plain.run(first.x, first.y)
    # What is compiled for probes is compiled on a ring far inside, so that only making rings is timed.
    inside = (column * 2.0**-60 for column in first.differences)
    followed.follow(Points(first.x, first.y, *inside))
    known = len(followed.known())
    first_s = _processor_s(lambda: followed.follow(first))
    rings = len(followed.known()) - known
    seen: list[tuple[float, float]] = []
    for points in (batch.points for batch in batches):
        followed.follow(points)  # makes the rings that are not known yet, so that only training is timed
        before = _processor_s(functools.partial(plain.run, points.x, points.y))
        seen.append((before, _processor_s(functools.partial(followed.follow, points))))
    plain_s, followed_s = (median(column) for column in zip(*seen, strict=True))
    ring_s = max(first_s - followed_s, 0.0) / max(rings, 1)
    ratios = [after / before for before, after in seen]
    yield f"{LANES} lanes", f"{median(ratios):.2f} times as long as plain runs (median of {ROUNDS} rounds)"
    total = runs / LANES * followed_s + len(levels) * ring_s
    yield "a ring", f"costs {ring_s / plain_s * LANES:.0f} plain runs"
    yield "the levels, rings included", f"{total / (runs / LANES * plain_s):.2f} times as long as plain runs"


def _processor_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
