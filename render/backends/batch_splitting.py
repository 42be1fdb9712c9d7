"""Batches cut into shares, for backends whose workers are fewer and slower than a batch deserves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.backends import Batch
from render.samples import Field


class Share(NamedTuple):
    """A piece of a batch. parts: the fields of all its pieces, shared by them; None where one is not finished."""

    batch: Batch
    piece: slice
    number: int
    parts: list[Field | None]

    @property
    def points(self) -> tuple[np.ndarray, ...]:
        """What an engine is given of this piece: x, y, and any differences from a reference, float64 [points] each."""
        return tuple(column[self.piece] for column in self.batch.columns)


class Shares:
    """Batches cut into a share for each device, so that a tile is there as soon as this machine can train it.

    Otherwise one core would train the first tile, which all others wait for, alone.
    """

    def __init__(self, next_batch: Callable[[], Batch | None], most: int, least_points: int) -> None:
        self._next_batch, self._most, self._least_points = next_batch, most, least_points
        self._waiting: deque[Share] = deque()
        self._taking, self._finishing = threading.Lock(), threading.Lock()

    def take(self) -> Share | None:
        """Return the next share; None when there is none left and no further batch."""
        with self._taking:
            if not self._waiting:
                batch = self._next_batch()
                if batch is None:
                    return None
                count = max(1, min(self._most, batch.x.size // self._least_points))
                parts: list[Field | None] = [None] * count
                # Dealt out like cards: one half of a tile may converge, and the other escape in a few steps.
                self._waiting.extend(Share(batch, slice(i, None, count), i, parts) for i in range(count))
            return self._waiting.popleft()

    def finish(self, share: Share, field: Field) -> Field | None:
        """Keep the field of a share; return that of the whole batch if this was the last one."""
        with self._finishing:
            share.parts[share.number] = field
            parts = [part for part in share.parts if part is not None]
        return Field.interleave(parts) if len(parts) == len(share.parts) else None
