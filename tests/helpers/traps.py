"""Traps that make workers of a cluster die, hang or fail on chosen points.

Workers import this module, so it imports little.
"""

import functools
from collections.abc import Callable

import numpy as np
from distributed import WorkerPlugin

from render.samples import Points

Spring = Callable[[np.ndarray, np.ndarray], None]
SetTrap = Callable[[Spring], None]


class Trap(WorkerPlugin):
    """Makes workers run a function on the points of every batch, before training it."""

    name = "trap"

    def __init__(self, spring: Spring) -> None:
        self.spring = spring

    def setup(self, worker: object) -> None:
        from render.backends import worker as trained

        self.plain, spring = trained._engine, self.spring

        class Engine:
            def __init__(self, engine: object) -> None:
                self.engine = engine

            def __getattr__(self, name: str) -> object:
                return getattr(self.engine, name)

            def train(self, points: Points, device: object) -> object:
                spring(points.x, points.y)
                return self.engine.train(points, device)  # type: ignore[attr-defined]

        trained._engine = functools.lru_cache(lambda problem, threads: Engine(self.plain(problem, threads)))

    def teardown(self, worker: object) -> None:
        from render.backends import worker as trained

        trained._engine = self.plain
