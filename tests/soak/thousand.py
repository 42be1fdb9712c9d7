"""A film on many workers, in simulated time: the real plan and schedule, with training, scheduler and store as costs.

What one process does for each task and each tile is a queue with one server; workers take as long as measured.
"""

import functools
import heapq
from typing import NamedTuple

import numpy as np

from render import scene
from render.backends import Batch, Failed
from render.backends.dask import MOST_CALLS, TASK_COST_S, TASK_S
from render.film import qualities
from render.film.plan import Plan
from render.film.schedule import Training
from render.samples import Field, Points
from tests.soak.tiles import AddressStore, FastBackend

# Seconds: a training run of 500 steps on one core (tests/bench/results.md), and what scaling.py and tiles.py measured.
SAMPLE_S = 0.005
TILE_COST_S = 0.0015
CALL_POINTS = 1024


@functools.cache
def _plan(quality: str) -> Plan:
    return qualities.named(scene.load("mean_lr"), quality).plan


class _Schedule(Training):
    """The schedule, asked for batches without waiting, and without their points: no backend trains them."""

    def ready(self) -> Batch | None:
        with self._changed:
            chosen = self._take_ready()
            self._under_way += len(chosen)
        points = sum(self._work[tile].samples for tile in chosen)
        return Batch(tuple(chosen), Points(np.empty(points), np.empty(points))) if chosen else None

    def keep(self, batch: Batch, result: Field | Failed) -> None:
        self._keep(batch, result)


class Outcome(NamedTuple):
    """workers; points of the largest batch; seconds of a full task; hours of the film; share of the workers' time that
    was training, and of the one process's time that was work."""

    workers: int
    points: int
    task_s: float
    film_h: float
    efficiency: float
    serving: float

    def __str__(self) -> str:
        return (
            f"{self.workers:>6,} workers, {self.points:>6,} runs a task ({self.task_s:4.1f} s): {self.film_h:6.2f} h, "
            f"efficiency {self.efficiency:4.0%}, scheduler and store busy {self.serving:4.0%}"
        )


def simulate(workers: int, points: int, quality: str, *, task_cost_s: float = TASK_COST_S) -> Outcome:
    """Film mean_lr at a quality with so many workers and points a task, in simulated time."""
    plan = _plan(quality)
    backend = FastBackend()
    backend.capacity = points
    schedule = _Schedule(plan.scene.problem, plan.order, AddressStore(), backend, wanted=plan.patches)
    _, answer = next(backend.run(lambda: Batch((), Points(np.empty(points), np.empty(points)))))
    chance = np.random.default_rng(workers)
    idle = workers
    running: list[tuple[float, int, Batch]] = []
    now = serving_until = served = trained = 0.0
    count = 0
    while True:
        while idle and (batch := schedule.ready()) is not None:
            # Blocks in which all runs escape are quick, blocks at the border slow: a spread of a quarter.
            length = len(batch.points) * SAMPLE_S * float(chance.lognormal(0, 0.25))
            heapq.heappush(running, (max(now, serving_until) + length, count, batch))
            count, idle, trained = count + 1, idle - 1, trained + length
        if not running:
            break
        now, _, batch = heapq.heappop(running)
        cost = task_cost_s + TILE_COST_S * len(batch.tiles)
        serving_until = max(now, serving_until) + cost
        served += cost
        now = serving_until
        schedule.keep(batch, answer.at(slice(0, len(batch.points))))
        idle += 1
    assert schedule.samples_done == plan.samples
    return Outcome(workers, points, points * SAMPLE_S, now / 3600, trained / (workers * now), served / now)


def chosen_points(workers: int) -> int:
    """Return the points that the backend would settle on."""
    task_s = max(TASK_S, 2 * TASK_COST_S * workers)
    return CALL_POINTS * max(1, min(MOST_CALLS, int(task_s / (SAMPLE_S * CALL_POINTS))))


def run(workers: int = 1000, quality: str = "hd") -> str:
    """Compare batch sizes and numbers of workers."""
    tasks = sorted({1024, 4096, chosen_points(workers)})
    rows = [simulate(workers, points, quality) for points in tasks]
    rows += [simulate(n, chosen_points(n), quality) for n in (workers // 10, 4 * workers)]
    return "\n" + "\n".join(map(str, rows))
