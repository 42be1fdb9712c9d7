"""What moves besides the camera, cut into slices: a frame is one of them, or two mixed as light."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.geometry.camera import Path
from render.geometry.tiles import Tile
from render.geometry.tracks import STEPS
from render.problem import Problem
from render.samples import CHANNELS, Field, value_after

# What moves at this share of the way between two slices, or nearer to one of them, is that one: rounding, no place.
_AT = 1e-9


class Slice(NamedTuple):
    """A picture of the plane. steps: after how many of them runs are looked at."""

    steps: int


class Slices:
    """The slices of one film.

    At a place between two slices both are shown, each with its share, which is even in what moves between keyframes.
    """

    def __init__(self, problem: Problem, path: Path) -> None:
        self._problem, self._path = problem, path
        self._steps = next((track for track in path.tracks if track.name == STEPS), None)
        self._rungs = [*problem.prefixes, problem.steps]

    def at(self, s: float) -> list[tuple[Slice, float]]:
        """Return the slices that a frame at s shows, each with its share; these add up to 1."""
        if self._steps is None:
            return [(Slice(self._problem.steps), 1.0)]
        return [(Slice(rung), share) for rung, share in _around(self._path.value(self._steps, s), self._rungs)]

    def nearest(self, s: float) -> Slice:
        """Return the slice that a frame at s shows most of."""
        return max(self.at(s), key=lambda shown: shown[1])[0]

    @property
    def channels(self) -> dict[str, np.dtype]:
        """Name and dtype of what is known of a sample of every slice."""
        return CHANNELS if self._steps is not None else self._problem.channels

    def reader(self, shown: Slice, fetch: Callable[[Tile], Field]) -> Callable[[Tile], Field]:
        """Return what gives the fields of a slice, made from those of whole runs."""
        return fetch if self._steps is None else lambda tile: self.field(shown, fetch(tile))

    def field(self, shown: Slice, whole: Field) -> Field:
        """Return the field of a slice, given that of whole runs."""
        return whole if shown.steps == self._problem.steps else whole.after(shown.steps)

    def value(self, shown: Slice, whole: Field) -> np.ndarray:
        """Return the same field's value alone."""
        return whole.value if shown.steps == self._problem.steps else whole.more[value_after(shown.steps)]

    @property
    def every(self) -> list[Slice]:
        """All slices that a frame may show."""
        return [Slice(self._problem.steps)] if self._steps is None else [Slice(rung) for rung in self._rungs]


def _around(steps: float, rungs: list[int]) -> list[tuple[int, float]]:
    """Return the rungs around a number of steps with their shares, or the one that it is."""
    above = min(bisect.bisect_left(rungs, steps), len(rungs) - 1)
    below = max(above - 1, 0)
    low, high = rungs[below], rungs[above]
    share = math.log(max(steps, low) / low) / math.log(high / low) if high > low else 1.0
    if share > 1 - _AT or high == low:
        return [(high, 1.0)]
    return [(low, 1.0)] if share < _AT else [(low, 1.0 - share), (high, share)]


class Shelf:
    """Fields that are read over and over, once for every slice, kept as long as they fit into a number of bytes."""

    def __init__(self, fetch: Callable[[Tile], Field], most_bytes: int) -> None:
        self._fetch, self._left = fetch, most_bytes
        self._kept: dict[Tile, Field] = {}
        self._turn, self._last_turn = 0, dict[Tile, int]()

    def begin_slice(self) -> None:
        """Note that another slice is read from now on."""
        self._turn += 1

    def __call__(self, tile: Tile) -> Field:
        """Return the field of a tile."""
        self._last_turn[tile] = self._turn
        if (field := self._kept.get(tile)) is not None:
            return field
        field = self._fetch(tile)
        size = _bytes(field)
        if size > self._left:
            self._forget()
        if size <= self._left:
            self._kept[tile] = field
            self._left -= size
        return field

    def _forget(self) -> None:
        """Make room: a zoom does not come back to tiles that the last slice did not read.

        What this slice or the last has read stays, even where it does not all fit in: of tiles that are read in the
        same order again and again, whichever was kept longest is the next to be wanted.
        """
        for tile in [tile for tile in self._kept if self._last_turn[tile] < self._turn - 1]:
            self._left += _bytes(self._kept.pop(tile))


def _bytes(field: Field) -> int:
    return sum(channel.nbytes for channel in field)
