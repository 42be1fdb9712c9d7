"""Splits batches into pieces, one per device, for the backend that trains on this machine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from render.backends import Batch
from render.samples import Field, Points


class Piece(NamedTuple):
    """A piece of a batch. selection: its points. parts: the fields of all its pieces; None for unfinished ones."""

    batch: Batch
    selection: slice
    number: int
    parts: list[Field | None]

    @property
    def points(self) -> Points:
        """The points of the piece."""
        return self.batch.points.at(self.selection)


class Pieces:
    """Splits each batch into one piece per device, so that a tile is finished as early as this machine allows.

    Otherwise one core alone would train the first tile, for which all other tiles wait.
    """

    def __init__(self, next_batch: Callable[[], Batch | None], most: int, least_points: int) -> None:
        self._next_batch, self._most, self._least_points = next_batch, most, least_points
        self._waiting: deque[Piece] = deque()
        self._taking, self._finishing = threading.Lock(), threading.Lock()

    def take(self) -> Piece | None:
        """Return the next piece; None when all batches have been handed out."""
        with self._taking:
            if not self._waiting:
                batch = self._next_batch()
                if batch is None:
                    return None
                count = max(1, min(self._most, len(batch.points) // self._least_points))
                parts: list[Field | None] = [None] * count
                # Points are interleaved: one half of a tile may converge while the other escapes in a few steps.
                self._waiting.extend(Piece(batch, slice(i, None, count), i, parts) for i in range(count))
            return self._waiting.popleft()

    def finish(self, piece: Piece, field: Field) -> Field | None:
        """Record the field of a piece; return the field of the batch if it was the last piece, else None."""
        with self._finishing:
            piece.parts[piece.number] = field
            parts = [part for part in piece.parts if part is not None]
        return Field.interleave(parts) if len(parts) == len(piece.parts) else None
