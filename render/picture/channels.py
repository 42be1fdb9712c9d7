"""What colours show of a training run: one signed number for each sample, made from the stored channels.

As in the published measure: negative converged, positive diverged, and the farther from 0 the slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.fields import Field, Status

# Magnitudes stay away from 0, where the two signs meet.
_LEAST = 1e-300


class Channel(NamedTuple):
    """values: float64 of a field's samples. most: the largest usual magnitude, None for the number of steps.

    blue, red: what a legend says that the two sides show.
    """

    values: Callable[[Field], np.ndarray]
    most: float | None
    blue: str
    red: str


def _converged(field: Field) -> np.ndarray:
    found: np.ndarray = field.status == Status.CONVERGED
    return found


def _final_loss(field: Field) -> np.ndarray:
    # A small loss is fast convergence; a large one is fast divergence, and an infinite one the fastest.
    loss = np.maximum(np.nan_to_num(field.final_loss, nan=np.inf, posinf=np.inf), _LEAST)
    signed: np.ndarray = np.where(_converged(field), -np.minimum(loss, 1 / _LEAST), np.maximum(1 / loss, _LEAST))
    return signed


def _escape_time(field: Field) -> np.ndarray:
    # Steps are whole; within one, the published measure (a sum of 1 / loss) rises as the loss grew later. A run that
    # never escaped is slower than any that did.
    steps = np.where(field.escape_step >= 0, field.escape_step, np.iinfo(np.int32).max).astype(float)
    within = np.abs(field.value) / (1 + np.abs(field.value))
    return np.where(_converged(field), field.value, steps + np.clip(within, 0.0, 1 - 1e-6) + 1e-6)


# A new channel is a row here.
CHANNELS: dict[str, Channel] = {
    "value": Channel(lambda field: field.value, None, "converged", "diverged"),
    "final_loss": Channel(_final_loss, 2.0, "converged, by final loss", "diverged, by final loss"),
    "escape_time": Channel(_escape_time, None, "converged", "diverged, by time of escape"),
    "status": Channel(lambda field: field.status.astype(float), None, "", ""),
}

# How a run ended, in colours that red-blind, green-blind and blue-blind eyes can tell apart (after P. Tol's "bright"),
# and in words for a legend.
STATUS_COLOURS: dict[Status, tuple[str, str]] = {
    Status.CONVERGED: ("#2f6fb0", "converged"),
    Status.DIVERGED: ("#e9c95a", "diverged, bounded"),
    Status.ESCAPED: ("#b3304a", "escaped"),
    Status.NON_FINITE: ("#8a5fb8", "not finite"),
}
