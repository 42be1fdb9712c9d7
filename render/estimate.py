"""What a plan will take on this machine: a short run of the real kernel on samples of the real plan."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render import backends, tilebytes
from render.backends import Backend, Batch
from render.plan import Plan
from render.problem import Problem
from render.scene import QUALITY, Scene, with_quality
from render.tiles import SAMPLES, Tile

# Seconds of training that `auto` allows itself: long enough for a whole film on two cores, short enough to wait for.
BUDGET_S = 900.0

# Seconds that the timed part of a measurement takes, about.
_MEASURE_S = 1.5


@dataclass(frozen=True)
class Rate:
    """A measured rate. samples_per_s: finished training runs per second on all devices of the backend."""

    samples_per_s: float

    def time_s(self, samples: int) -> float:
        """Return the seconds that training this many samples takes."""
        return samples / self.samples_per_s


def measure(plan: Plan, backend: Backend) -> Rate:
    """Train a random sample of a plan's points for a second or two and return the rate; results are not kept.

    The points are drawn over all tiles, so the share of runs that escape early counts as it will in the film.
    """
    return measure_tiles(plan.scene.problem, plan.order, backend)


def measure_tiles(problem: Problem, tiles: Sequence[Tile], backend: Backend) -> Rate:
    """Do the same for any tiles of a problem."""
    # Every worker compiles on a first batch; a second, small round says how large a third may be.
    _timed(problem, tiles, backend, 8)
    few = min(16, backend.capacity)
    elapsed_s = _timed(problem, tiles, backend, few)
    points = min(int(few * _MEASURE_S / elapsed_s), backend.capacity // 4)
    if points > few:
        few, elapsed_s = points, _timed(problem, tiles, backend, points)
    return Rate(few * backend.workers / elapsed_s)


def _timed(problem: Problem, tiles: Sequence[Tile], backend: Backend, points: int) -> float:
    """Return the seconds in which all workers train a batch of this many points each."""
    batches = _Batches([_random_batch(problem, tiles, points, seed) for seed in range(backend.workers)])
    started = time.perf_counter()
    for _ in backends.trained(backend.run(batches)):
        pass
    return time.perf_counter() - started


class _Batches:
    """Batches handed out one at a time, to any thread; then None."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __call__(self) -> Batch | None:
        try:
            return self._batches.pop()
        except IndexError:
            return None


def _random_batch(problem: Problem, tiles: Sequence[Tile], points: int, seed: int) -> Batch:
    chosen = random.Random(seed)
    x, y = np.empty(points), np.empty(points)
    for i in range(points):
        x[i], y[i] = _point(problem, chosen.choice(tiles), chosen)
    return Batch((), x, y)


def _point(problem: Problem, tile: Tile, chosen: random.Random) -> tuple[float, float]:
    first_x, first_y = tile.first_sample
    return (
        problem.x.values(tile.level, first_x)[chosen.randrange(SAMPLES)],
        problem.y.values(tile.level, first_y)[chosen.randrange(SAMPLES)],
    )


def disk_bytes(plan: Plan) -> int:
    """Return the room on disk that all tiles of a plan take, with every channel of its system."""
    return len(plan.order) * tilebytes.room_bytes(plan.scene.problem.channels)


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
