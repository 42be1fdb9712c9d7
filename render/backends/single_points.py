"""Training at single points: batches of hyperparameter values in, fields out, as they finish. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from render import backends
from render.backends import Backend
from render.samples import Field
from render.storage.references import Reference


def train(
    backend: Backend, x: np.ndarray, y: np.ndarray, *apart: np.ndarray, reference: Reference | None = None
) -> Iterator[tuple[slice, Field]]:
    """Train at arbitrary hyperparameter values and yield (slice of the points, field), in batches as they finish.

    x, y: float64 [points], in hyperparameter units of the backend's problem. apart: dx, dy, the same less those of the
    reference run that the points are followed from. Nothing is stored.
    """
    capacity = backend.capacity
    starts = iter(range(0, x.size, capacity))
    pieces: dict[int, slice] = {}

    def next_batch() -> backends.Batch | None:
        start = next(starts, None)
        if start is None:
            return None
        piece = slice(start, start + capacity)
        batch = backends.Batch.of((), (column[piece] for column in (x, y, *apart)), reference)
        pieces[id(batch)] = piece
        return batch

    for batch, field in backends.trained(backend.run(next_batch)):
        yield pieces[id(batch)], field
