"""Training at single points: batches of hyperparameter values in, fields out, as they finish. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator

from render import backends
from render.backends import Backend
from render.samples import Field, Points
from render.storage.references import Reference


def train(backend: Backend, points: Points, reference: Reference | None = None) -> Iterator[tuple[slice, Field]]:
    """Train at arbitrary points and yield (slice of the points, field), in batches as they finish.

    reference: the run that points with differences are followed from. Nothing is stored.
    """
    capacity = backend.capacity
    starts = iter(range(0, len(points), capacity))
    pieces: dict[int, slice] = {}

    def next_batch() -> backends.Batch | None:
        start = next(starts, None)
        if start is None:
            return None
        piece = slice(start, start + capacity)
        batch = backends.Batch((), points.at(piece), reference)
        pieces[id(batch)] = piece
        return batch

    for batch, field in backends.trained(backend.run(next_batch)):
        yield pieces[id(batch)], field
