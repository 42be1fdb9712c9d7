"""The training rate of this machine: a short run of the real kernel on samples of the real plan."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from render import backends
from render.backends import Backend, Batch
from render.film.plan import Plan
from render.film.schedule import Switch
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.samples import Field
from render.storage import references
from render.storage.references import Reference

# Seconds that the timed part of a measurement takes, about; at least; and the most batches for each worker in it.
_MEASURE_S, _ENOUGH_S = 1.0, 0.5
_MOST_BATCHES = 32

# Of what the film trains, which may be less work than that: no more than this share.
_MOST_SHARE = 0.1

# Tiles that the points of a batch are drawn from, at most: a film's batch has few, and each costs a little.
_STRETCHES = 256

# The same past float64, where every batch draws from the same tiles: each lies in a ring or two of the reference, and
# one that is not known yet costs as much as 128 runs. A film needs one for every level, whatever its number of samples.
_DEEP_STRETCHES = 8

# The cost of a ring in training runs of its level: 53 by `make bench ARGS=switched`, 87 to 96 by ARGS=rings.
_RING_RUNS = 96


@dataclass(frozen=True)
class Rate:
    """A measured rate. samples_per_s: finished training runs per second on all devices of the backend."""

    samples_per_s: float

    def time_s(self, samples: int) -> float:
        """Return the seconds that training this many samples takes."""
        return samples / self.samples_per_s


def measure(plan: Plan, backend: Backend, switch: Switch | None = None) -> Rate:
    """Train a sample of a plan's points for a second and return the rate; results are not kept.

    The points are spread evenly over all tiles, so the share of runs that escape early counts as it will in the film.
    switch: the reference runs of levels past float64; the levels of each are measured apart then, with the
    rings that they need. Where a reference run is yet to be made, all levels count as plain ones.
    """
    problem, tiles = plan.scene.problem, plan.order
    if len(plan.slices.problems) > 1:
        return _of_several(plan, backend)
    if switch is None or not switch.is_ready:
        return measure_tiles(problem, tiles, backend)
    parts: dict[int | None, list[Tile]] = {}
    for tile in tiles:
        parts.setdefault(switch.targets.of(tile), []).append(tile)
    time_s = 0.0
    for number, part in parts.items():
        rate = measure_tiles(problem, part, backend, switch.reference_of(part[0]))
        rings = 0 if number is None else len({tile.level for tile in part})
        time_s += rate.time_s(len(part) * SAMPLES**2 + rings * _RING_RUNS)
    return Rate(len(tiles) * SAMPLES**2 / time_s)


def _of_several(plan: Plan, backend: Backend) -> Rate:
    """Return the mean rate of a plan's problems, from its first, its middle and its last one: each takes its time."""
    from render.backends.local import LocalBackend

    count = len(plan.slices.problems)
    times_s = []
    for number in sorted({0, count // 2, count - 1}):
        problem = plan.slices.problems[number]
        own = backend if number == 0 or not isinstance(backend, LocalBackend) else backend.like(problem)
        times_s.append(measure_tiles(problem, plan.orders[number], own).time_s(1))
    return Rate(len(times_s) / sum(times_s))


def measure_tiles(
    problem: Problem, tiles: Sequence[Tile], backend: Backend, reference: Reference | None = None
) -> Rate:
    """Do the same for any tiles of a problem; reference: what they are followed from, past float64."""
    timed = functools.partial(_timed, problem, tiles, backend, reference)
    timed(8)  # every worker compiles on a first batch
    know_rings = timed if reference is not None else lambda points: None
    wanted = 16
    most = min(_MOST_BATCHES * backend.capacity, int(_MOST_SHARE * len(tiles) * SAMPLES**2 / backend.workers))
    while True:
        know_rings(wanted)  # the same points, so that only training is timed
        seen = timed(wanted)
        if seen.elapsed_s >= _ENOUGH_S or wanted >= most:
            return Rate(seen.points / seen.elapsed_s / seen.filled)
        # A round that took no time says little of how long a larger one will take.
        wanted = min(int(wanted * min(max(_MEASURE_S / seen.elapsed_s, 2.0), 64.0)), most)


class _Timed(NamedTuple):
    """The cost of a round of training. filled: the fraction of its blocks' lanes that were in use; see `_filled`."""

    points: int
    elapsed_s: float
    filled: float


def _timed(
    problem: Problem, tiles: Sequence[Tile], backend: Backend, reference: Reference | None, points: int
) -> _Timed:
    """Let all workers train so many points each, in batches as large as a film's if they are enough."""
    size = min(points, backend.capacity)
    count = min(max(1, points // size), _MOST_BATCHES) * backend.workers
    batches = [spread(problem, tiles, size, seed, reference) for seed in range(count)]
    started = time.perf_counter()
    fields = [field for _, field in backends.trained(backend.run(_Batches(batches)))]
    elapsed_s = time.perf_counter() - started
    lanes = int(backend.numerics["lanes"])
    return _Timed(size * count, elapsed_s, float(np.mean([_filled(f, problem.steps, lanes) for f in fields])))


def _filled(field: Field, steps: int, lanes: int) -> float:
    """Return the share of the lanes of a batch's blocks, over all steps, that had a run to train.

    The last block of the runs that are left is seldom full. Of the few blocks of a measurement that is a larger share
    than of a film's batches, and on an accelerator, whose one block holds thousands, nearly all.
    """
    ends = np.sort(np.where(field.escape_step < 0, steps, field.escape_step + 1))
    alive = ends.size - np.searchsorted(ends, np.arange(steps), side="right")
    return float(alive.sum() / (np.ceil(alive / lanes) * lanes).sum())


class _Batches:
    """Batches handed out one at a time, to any thread; then None."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __call__(self) -> Batch | None:
        try:
            return self._batches.pop()
        except IndexError:
            return None


def spread(
    problem: Problem, tiles: Sequence[Tile], points: int, seed: int, reference: Reference | None = None
) -> Batch:
    """Return a batch of random points, as many of each of equal stretches of the tiles, in their order.

    reference: the batch has differences from it too.
    """
    chosen = np.random.default_rng(seed)
    count = min(points, _STRETCHES if reference is None else _DEEP_STRETCHES)
    offsets = (chosen if reference is None else np.random.default_rng(0)).random(count)
    places = ((np.arange(count) + offsets) / count * len(tiles)).astype(int)
    drawn = []
    for stretch, place in zip(np.array_split(np.arange(points), count), places, strict=True):
        columns, rows = chosen.integers(SAMPLES, size=(2, stretch.size))
        drawn.append(references.points(problem, tiles[place], rows, columns, reference))
    return Batch.of((), (np.concatenate(parts) for parts in zip(*drawn, strict=True)), reference)
