"""Workers of a local cluster, each bound to a core: how much faster two are than one, and what a task costs besides."""

import itertools
import os
import time

import numpy as np

from render import scene
from render.backends import Backend, Batch, Cluster, trained
from render.backends.dask import DaskBackend
from render.backends.local import LocalBackend
from render.samples import Points


def batches(count: int, points: int) -> list[Batch]:
    random = np.random.default_rng(0)
    draw = lambda: 10 ** random.uniform(-1.0, 1.0, points)  # noqa: E731
    return [Batch((), Points(draw(), draw())) for _ in range(count)]


def timed(backend: Backend, work: list[Batch]) -> float:
    started = time.perf_counter()
    waiting = iter(work)
    done = sum(1 for _ in trained(backend.run(lambda: next(waiting, None))))
    assert done == len(work)
    return time.perf_counter() - started


def rate(workers: int, points: int, count: int) -> float:
    """Return training runs of `tanh` a second."""
    backend = DaskBackend(scene.load("tanh").problem, Cluster(workers=workers))
    try:
        timed(backend, batches(workers, 64))
        return points * count / timed(backend, batches(count, points))
    finally:
        backend.close()


def task_cost_s(workers: int = 2, count: int = 400) -> tuple[float, float]:
    """Return what a task of next to nothing takes: seconds of wall time, and of this process's processor time."""
    backend = DaskBackend(scene.load("tiny").problem, Cluster(workers=workers))
    try:
        timed(backend, batches(8, 1))
        before, started = time.process_time(), time.perf_counter()
        timed(backend, batches(count, 1))
        return (time.perf_counter() - started) / count, (time.process_time() - before) / count
    finally:
        backend.close()


def run(points: int = 512) -> str:
    """Compare one and two workers with the local backend, in turn, and more workers than there are cores."""
    lines = []
    wall_s, processor_s = task_cost_s()
    lines.append(f"a task of nothing: {1e3 * wall_s:.1f} ms of wall time, {1e3 * processor_s:.1f} ms of this process")
    counts = [n for n in (1, 2, 4) if n <= (os.cpu_count() or 1)]
    seen: dict[int, list[float]] = {n: [] for n in counts}
    local = LocalBackend(scene.load("tanh").problem)
    timed(local, batches(2, 64))
    here = []
    for _, workers in itertools.product(range(2), counts):
        seen[workers].append(rate(workers, points, 4 * workers))
        if workers == counts[-1]:
            here.append(points * 4 * workers / timed(local, batches(4 * workers, points)))
    one = max(seen[1])
    for workers, rates in seen.items():
        shown = ", ".join(f"{value:.0f}" for value in rates)
        lines.append(f"{workers} workers: {shown} runs a second, efficiency {max(rates) / one / workers:.0%}")
    lines.append(f"local, all cores: {', '.join(f'{value:.0f}' for value in here)} runs a second")
    return "\n" + "\n".join(lines)
