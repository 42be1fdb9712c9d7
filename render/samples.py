"""Training runs from outside: the points at which they are made, and the stored channels of every sample."""

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
class Points:
    """Where to train: hyperparameter values on a problem's two axes, float64 [points] each.

    dx, dy: the same less those of the reference run that the points are followed from, exact differences rounded once,
    which carry what the values cannot hold; both None for plain runs.
    """

    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray | None = None
    dy: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.dx is None) != (self.dy is None):
            raise TypeError("points have both differences from a reference run, dx and dy, or neither")
        if len({column.shape for column in self.columns}) > 1:
            raise ValueError(f"x, y, dx and dy must be of one shape, not {[c.shape for c in self.columns]}")

    def __len__(self) -> int:
        return self.x.size

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The arrays that there are, in the order x, y, dx, dy."""
        return tuple(column for column in (self.x, self.y, self.dx, self.dy) if column is not None)

    @property
    def is_plain(self) -> bool:
        """Whether the runs at these points are plain ones, which follow no reference run."""
        return self.dx is None

    @property
    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """The two columns dx and dy. Raises TypeError for points of plain runs."""
        if self.dx is None or self.dy is None:
            raise TypeError("points of plain runs have no differences from a reference run")
        return self.dx, self.dy

    def at(self, index: Any) -> Points:
        """Return every column indexed the same way."""
        return Points(*(column[index] for column in self.columns))

    @classmethod
    def join(cls, pieces: Sequence[Points]) -> Points:
        """Return the points of several pieces, all plain or none, in their order."""
        return cls(*(np.concatenate(columns) for columns in zip(*(piece.columns for piece in pieces), strict=True)))


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
