"""Backends: who trains the batches. Chosen by name, imported only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from render.fields import Field
from render.problem import Problem
from render.tiles import Tile


class Batch(NamedTuple):
    """Points to train together: those of `tiles`, one after the other. x, y: float64 [points].

    dx, dy: the same less the reference's, float64 [points], for a backend that follows a reference run; else None.
    """

    tiles: tuple[Tile, ...]
    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray | None = None
    dy: np.ndarray | None = None

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """All that an engine is given of the points."""
        return tuple(column for column in (self.x, self.y, self.dx, self.dy) if column is not None)


class Backend(Protocol):
    """Trains batches of one problem. Batches are idempotent: one may run twice, or never finish, without harm."""

    @property
    def capacity(self) -> int:
        """The most points of one batch."""

    @property
    def workers(self) -> int:
        """How many batches run at the same time."""

    @property
    def numerics(self) -> dict[str, str | int]:
        """Everything besides the problem that results depend on."""

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        """Train what next_batch hands out, until it gives None, and yield results as they come.

        next_batch is called from the backend's threads, one per worker, and may block.
        """


def make(name: str, problem: Problem) -> Backend:
    """Return the backend of a name: "local" trains here, "refuse" proves that nothing is trained."""
    if name == "local":
        from render.backends.local import LocalBackend

        return LocalBackend(problem)
    if name == "refuse":
        from render.backends.refuse import RefusingBackend

        return RefusingBackend()
    raise ValueError(f"no backend {name!r}")
