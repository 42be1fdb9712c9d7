"""The results of training runs: the stored channels of every sample, before any colour or filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np


class Status(IntEnum):
    """The way in which a training run ended."""

    CONVERGED = 0
    DIVERGED = 1  # bounded, but no better than at the start
    ESCAPED = 2  # the loss passed the escape radius, from which no run was seen to return
    NON_FINITE = 3  # the loss became inf or nan without passing through the escape radius


# The channels that every system has: name -> dtype. Further channels of a system are float64, and its catalogue row
# names them.
CHANNELS: dict[str, np.dtype] = {
    "value": np.dtype(np.float64),  # the measure: < 0 converged, > 0 diverged, larger magnitude is slower
    "final_loss": np.dtype(np.float64),  # loss at the last recorded step; inf for a run that escaped
    "escape_step": np.dtype(np.int32),  # first step past the escape radius or non-finite; -1 if there was none
    "status": np.dtype(np.uint8),  # a Status
}


# The status of a place at which there is no sample; the other channels are nan there, or -1.
NO_SAMPLE = 255


def nothing(dtype: np.dtype) -> float | int:
    """Return what stands in a channel of this type where there is no sample."""
    if dtype == np.uint8:
        return NO_SAMPLE
    return -1 if dtype.kind == "i" else np.nan


def value_after(steps: int) -> str:
    """Return the name of the channel with the measure of a run's first steps, on the same scale as `value`."""
    return f"value_after_{steps}"


@dataclass(frozen=True, eq=False)
class Field:
    """Channels of equally shaped arrays, with the dtypes of CHANNELS; tiles use [iy, ix], y upwards.

    more: the further channels of the system, by name, float64; nan where a run escaped. For a problem with prefixes
    it also holds the values of shorter runs, see `value_after`. Iterating gives every channel.
    """

    value: np.ndarray
    final_loss: np.ndarray
    escape_step: np.ndarray
    status: np.ndarray
    more: Mapping[str, np.ndarray] = field(default_factory=dict)

    def channels(self) -> dict[str, np.ndarray]:
        """Return every channel by its name, in the order in which they are stored."""
        return {name: getattr(self, name) for name in CHANNELS} | dict(self.more)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.channels().values())

    def at(self, index: Any) -> Field:
        """Return every channel indexed the same way."""
        return self.from_channels({name: channel[index] for name, channel in self.channels().items()})

    def after(self, steps: int) -> Field:
        """Return the field of the same runs as if they had ended after `steps` steps, one of the problem's prefixes.

        Its value, status and escape step are those of such shorter runs. Channels that are computed from the last
        state are not known for an earlier state: the final loss is nan (inf where a run had escaped), and there are no
        further channels.
        """
        value = self.more[value_after(steps)]
        gone = (self.escape_step >= 0) & (self.escape_step < steps)
        ended = np.where(value < 0, Status.CONVERGED, Status.DIVERGED)
        return Field(
            value,
            np.where(gone, np.inf, np.nan),
            np.where(gone, self.escape_step, -1).astype(CHANNELS["escape_step"]),
            np.where(gone, self.status, ended).astype(CHANNELS["status"]),
        )

    @classmethod
    def from_channels(cls, channels: Mapping[str, np.ndarray]) -> Field:
        """Return a field of channels by name: all of CHANNELS, and any further ones."""
        more = {name: channel for name, channel in channels.items() if name not in CHANNELS}
        value, final_loss, escape_step, status = (channels[name] for name in CHANNELS)
        return cls(value, final_loss, escape_step, status, more)

    @classmethod
    def empty(cls, shape: tuple[int, ...], channels: Mapping[str, np.dtype] = CHANNELS) -> Field:
        """Return a field of the given shape and channels with unset contents."""
        return cls.from_channels({name: np.empty(shape, dtype) for name, dtype in channels.items()})

    @classmethod
    def join(cls, pieces: Sequence[Field]) -> Field:
        """Return the fields of the pieces of a batch as one field, in their order along the first axis."""
        names = pieces[0].channels()
        return cls.from_channels({name: np.concatenate([piece.channels()[name] for piece in pieces]) for name in names})

    @classmethod
    def interleave(cls, pieces: Sequence[Field]) -> Field:
        """Return the fields of n pieces of a batch as one field; piece i holds places i, i + n, i + 2 n, ... of it."""
        joined = cls.join(pieces)
        place = np.concatenate([np.arange(i, joined.value.shape[0], len(pieces)) for i in range(len(pieces))])
        return joined.at(np.argsort(place))
