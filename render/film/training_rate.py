"""The training rate of this machine, measured by a short training of samples of the plan."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from render import backends
from render.backends import Backend, Batch
from render.film.plan import Plan
from render.film.schedule import Switch
from render.geometry import patches
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field, Points
from render.storage import references
from render.storage.references import Reference

# About how many seconds the timed part of a measurement takes, at least how many, and the most batches of a worker in
# it.
_MEASURE_S, _ENOUGH_S = 1.0, 0.5
_MOST_BATCHES = 32

# The most of a film's samples that are trained to measure the rate, as a fraction.
_MOST_SHARE = 0.1

# A block of runs that takes longer is timed by a few of its steps: `render plan` answers within a minute, also where
# one block of a large transformer takes twenty.
_LONGEST_BLOCK_S = 5.0

# The most tiles from which the points of a batch are drawn. A film's batch has few tiles, and each costs some time.
_STRETCHES = 256

# The same past float64, where every batch draws from the same tiles: each lies in a ring or two of the reference, and a
# new ring costs about as much as _RING_RUNS runs. A film needs one for every level, whatever its number of samples.
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
    switch: the reference runs of levels past float64. The levels of each are measured separately, with the rings that
    they need. If a reference run has yet to be made, all levels are measured as plain ones.
    """
    problem, tiles = plan.scene.problem, plan.order
    if len(plan.slices.problems) > 1:
        return _of_several(plan, backend)
    if switch is None or not switch.is_ready:
        return measure_tiles(problem, tiles, backend, wanted=plan.patches)
    parts: dict[int | None, list[Tile]] = {}
    for tile in tiles:
        parts.setdefault(switch.targets.of(tile), []).append(tile)
    time_s = 0.0
    for number, part in parts.items():
        rate = measure_tiles(problem, part, backend, switch.reference_of(part[0]), plan.patches)
        rings = 0 if number is None else len({tile.level for tile in part})
        time_s += rate.time_s(patches.total(plan.patches, part) + rings * _RING_RUNS)
    return Rate(patches.total(plan.patches, tiles) / time_s)


def _of_several(plan: Plan, backend: Backend) -> Rate:
    """Return the mean rate of a plan's problems, from its first, its middle and its last one, which may differ."""
    from render.backends.local import LocalBackend

    count = len(plan.slices.problems)
    times_s = []
    for number in sorted({0, count // 2, count - 1}):
        problem = plan.slices.problems[number]
        of_slice = backend if number == 0 or not isinstance(backend, LocalBackend) else backend.like(problem)
        times_s.append(measure_tiles(problem, plan.orders[number], of_slice, wanted=plan.patches).time_s(1))
    return Rate(len(times_s) / sum(times_s))


def measure_tiles(
    problem: Problem,
    tiles: Sequence[Tile],
    backend: Backend,
    reference: Reference | None = None,
    wanted: Mapping[Tile, Patches] = ALL_WHOLE,
) -> Rate:
    """Measure the rate on the given tiles of a problem. reference: the run that they follow, past float64.

    wanted: the patches that are needed of a tile; whole tiles where there is no entry.
    """
    block_s = backend.step_time_s * problem.steps
    if reference is None and block_s > _LONGEST_BLOCK_S:
        # This rate is a lower bound, since runs that escape take less; their share is unknown before they have run.
        return Rate(int(backend.numerics["lanes"]) * backend.workers / block_s)
    timed = functools.partial(_timed, Draws(problem, tiles, wanted, reference), backend)
    timed(8)  # every worker compiles on a first batch
    know_rings = timed if reference is not None else lambda points: None
    points = 16
    most = min(_MOST_BATCHES * backend.capacity, int(_MOST_SHARE * patches.total(wanted, tiles) / backend.workers))
    while True:
        know_rings(points)  # trains the same points once, so that the timed round makes no rings
        seen = timed(points)
        if _ENOUGH_S <= seen.elapsed_s < _LONGEST_BLOCK_S:
            # A machine that stalls for half a second would look a thousand times as slow, so the faster of two rounds
            # counts.
            seen = min(seen, timed(points), key=lambda one: one.elapsed_s)
        if seen.elapsed_s >= _ENOUGH_S or points >= most:
            return Rate(seen.points / seen.elapsed_s / seen.filled)
        # A short round says little about how long a larger one will take.
        points = min(int(points * min(max(_MEASURE_S / seen.elapsed_s, 2.0), 64.0)), most)


class _Timed(NamedTuple):
    """The cost of a round of training. filled: the fraction of its blocks' lanes that were in use; see `_filled`."""

    points: int
    elapsed_s: float
    filled: float


def _timed(drawn: Draws, backend: Backend, points: int) -> _Timed:
    """Let all workers train so many points each, in batches as large as a film's if the points suffice."""
    size = min(points, backend.capacity)
    count = min(max(1, points // size), _MOST_BATCHES) * backend.workers
    batches = [drawn.batch(size, seed) for seed in range(count)]
    started = time.perf_counter()
    fields = [field for _, field in backends.trained(backend.run(_Batches(batches)))]
    elapsed_s = time.perf_counter() - started
    lanes = int(backend.numerics["lanes"])
    return _Timed(size * count, elapsed_s, float(np.mean([_filled(f, drawn.problem.steps, lanes) for f in fields])))


def _filled(field: Field, steps: int, lanes: int) -> float:
    """Return the share of the lanes of a batch's blocks, over all steps, that had a run to train.

    The last block of the runs that are left is seldom full. It is a larger share of the few blocks of a measurement
    than of a film's batches, and on an accelerator, whose only block holds thousands of lanes, nearly all.
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


class Draws:
    """Random points of the wanted patches of tiles, spread evenly over their samples in the order of the tiles."""

    def __init__(
        self,
        problem: Problem,
        tiles: Sequence[Tile],
        wanted: Mapping[Tile, Patches] = ALL_WHOLE,
        reference: Reference | None = None,
    ) -> None:
        """tiles: in the order in which points are spread. reference: the points also have differences from it."""
        self.problem, self._tiles, self._reference = problem, tiles, reference
        self._patches = [wanted.get(tile, WHOLE) for tile in tiles]
        self._ends = np.cumsum([part.bit_count() for part in self._patches])

    def batch(self, points: int, seed: int) -> Batch:
        """Return a batch of so many points, the same ones for the same seed."""
        reference, chosen = self._reference, np.random.default_rng(seed)
        count = min(points, _STRETCHES if reference is None else _DEEP_STRETCHES)
        offsets = (chosen if reference is None else np.random.default_rng(0)).random(count)
        places = np.searchsorted(self._ends, (np.arange(count) + offsets) / count * self._ends[-1], side="right")
        drawn = []
        for stretch, place in zip(np.array_split(np.arange(points), count), places, strict=True):
            rows, columns = np.nonzero(patches.samples(self._patches[place]))
            taken = chosen.integers(rows.size, size=stretch.size)
            drawn.append(references.points(self.problem, self._tiles[place], rows[taken], columns[taken], reference))
        return Batch((), Points.join(drawn), reference)
