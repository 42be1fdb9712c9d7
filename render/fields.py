"""Raw results of training runs: what is stored, never filtered, and coloured last."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np


class Status(IntEnum):
    """How a training run ended."""

    CONVERGED = 0
    DIVERGED = 1  # bounded, but no better than at the start
    ESCAPED = 2  # the loss passed the escape radius, from which no run was seen to return
    NON_FINITE = 3  # the loss became inf or nan without passing through the escape radius


# Channel name -> dtype. A new channel is a row here and a line in the engine that fills it.
CHANNELS: dict[str, np.dtype] = {
    "value": np.dtype(np.float64),  # published measure: < 0 converged, > 0 diverged, larger magnitude is slower
    "final_loss": np.dtype(np.float64),  # loss at the last recorded step; inf for a run that escaped
    "escape_step": np.dtype(np.int32),  # first step past the escape radius or non-finite; -1 if there was none
    "status": np.dtype(np.uint8),  # a Status
}


class Field(NamedTuple):
    """Channels of equally shaped arrays, with the dtypes of CHANNELS; tiles use [iy, ix], y upwards."""

    value: np.ndarray
    final_loss: np.ndarray
    escape_step: np.ndarray
    status: np.ndarray

    def at(self, index: Any) -> Field:
        """Return every channel indexed the same way."""
        return Field(*(channel[index] for channel in self))


def empty(shape: tuple[int, ...]) -> Field:
    """Return a field of the given shape with unset contents."""
    return Field(*(np.empty(shape, dtype) for dtype in CHANNELS.values()))
