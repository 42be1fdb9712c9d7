"""What a plan will take on this machine: a short run of the real kernel on samples of the real plan."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render import backends
from render.backends import Backend, Batch
from render.film.plan import Plan
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.samples import Field
from render.scene import QUALITY, Scene, with_quality
from render.storage import references, tile_format
from render.storage.references import Reference

# Seconds of training that `auto` allows itself: long enough for a whole film on two cores, short enough to wait for.
BUDGET_S = 900.0

# Seconds that the timed part of a measurement takes, about; at least; and the most batches for each worker in it.
_MEASURE_S, _ENOUGH_S = 1.0, 0.5
_MOST_BATCHES = 32

# Of what the film trains, which may be less work than that: no more than this share.
_MOST_SHARE = 0.1

# Tiles that the points of a batch are drawn from, at most: a film's batch has few, and each costs a little.
_STRETCHES = 256


@dataclass(frozen=True)
class Rate:
    """A measured rate. samples_per_s: finished training runs per second on all devices of the backend."""

    samples_per_s: float

    def time_s(self, samples: int) -> float:
        """Return the seconds that training this many samples takes."""
        return samples / self.samples_per_s


def measure(plan: Plan, backend: Backend, reference: Reference | None = None) -> Rate:
    """Train a sample of a plan's points for a second and return the rate; results are not kept.

    The points are spread evenly over all tiles, so the share of runs that escape early counts as it will in the film.
    reference: what the backend follows in levels past float64; both kinds of levels are measured then.
    """
    problem, tiles = plan.scene.problem, plan.order
    if plan.seam is None or reference is None:
        return measure_tiles(problem, tiles, backend)
    plain = [tile for tile in tiles if tile.level <= plan.seam]
    deep = [tile for tile in tiles if tile.level > plan.seam]
    kinds = [(own, measure_tiles(problem, own, backend, ref)) for own, ref in ((plain, None), (deep, reference)) if own]
    return Rate(len(tiles) / sum(rate.time_s(len(own)) for own, rate in kinds))


def measure_tiles(
    problem: Problem, tiles: Sequence[Tile], backend: Backend, reference: Reference | None = None
) -> Rate:
    """Do the same for any tiles of a problem; reference: what they are followed from, past float64."""
    timed = functools.partial(_timed, problem, tiles, backend, reference)
    timed(8)  # every worker compiles on a first batch
    wanted = 16
    most = min(_MOST_BATCHES * backend.capacity, int(_MOST_SHARE * len(tiles) * SAMPLES**2 / backend.workers))
    while True:
        seen = timed(wanted)
        if seen.elapsed_s >= _ENOUGH_S or wanted >= most:
            return Rate(seen.points / seen.elapsed_s / seen.filled)
        # A round that took no time says little of how long a larger one will take.
        wanted = min(int(wanted * min(max(_MEASURE_S / seen.elapsed_s, 2.0), 64.0)), most)


class _Timed(NamedTuple):
    """What a round of training took. filled: the share of its blocks' lanes that trained something; see `_filled`."""

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
    count = min(points, _STRETCHES)
    places = ((np.arange(count) + chosen.random(count)) / count * len(tiles)).astype(int)
    drawn = []
    for stretch, place in zip(np.array_split(np.arange(points), count), places, strict=True):
        columns, rows = chosen.integers(SAMPLES, size=(2, stretch.size))
        drawn.append(references.points(problem, tiles[place], rows, columns, reference))
    return Batch((), *(np.concatenate(parts) for parts in zip(*drawn, strict=True)))


def disk_bytes(plan: Plan) -> int:
    """Return the room on disk that all tiles of a plan take, with every channel of its system."""
    return len(plan.order) * tile_format.room_bytes(plan.scene.problem.channels)


@dataclass(frozen=True)
class Choice:
    """A quality by name ("scene" is the scene's own output), and the plan of the scene at that quality."""

    name: str
    plan: Plan


# What `auto` falls back to where even this does not fit the budget: presets stand in rising order of cost.
SMALLEST = next(iter(QUALITY))


def named(scene: Scene, name: str) -> Choice:
    """Return a quality by name: "scene", or a preset."""
    if name == "scene":
        return Choice(scene.made.quality if scene.made else name, Plan(scene))
    return Choice(name, Plan(with_quality(scene, name)))


def choose(scene: Scene, rate: Rate, budget_s: float = BUDGET_S) -> Choice:
    """Return the scene's own output if it can be trained within the budget, else the best preset that can.

    Presets are tried from the smallest up, as long as they fit and need less than the scene's own output; the
    smallest is taken if none fits.
    """
    own = named(scene, "scene")
    if rate.time_s(own.plan.samples) <= budget_s:
        return own
    best = named(scene, SMALLEST)
    for name in QUALITY:
        preset = named(scene, name)
        if rate.time_s(preset.plan.samples) > budget_s or preset.plan.samples >= own.plan.samples:
            break
        best = preset
    return best


class Memory:
    """What auto chose for which scene, output and budget, in one small JSON file. A lost file costs a measurement."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, scene: Scene, budget_s: float) -> str | None:
        """Return the quality chosen earlier, or None."""
        name = self._read().get(_occasion(scene, budget_s))
        return name if name == "scene" or name in QUALITY else None

    def remember(self, scene: Scene, budget_s: float, name: str) -> None:
        """Keep a choice; quietly not, where nothing can be written."""
        text = json.dumps(self._read() | {_occasion(scene, budget_s): name}, indent=1, sort_keys=True)
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _occasion(scene: Scene, budget_s: float) -> str:
    """Return what a choice depends on, as a short key: the camera's path, the size, the detail, and the budget."""
    output = scene.output
    facts = (scene.keyframes, output.width_px, output.height_px, output.detail, output.rest_detail, budget_s)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
