"""Addresses in the dyadic pyramid over the unit square, in integers and exact fractions only.

Sample i of level L has the unit coordinate i / (SAMPLES * 2**L): the corners of a dyadic lattice. Every second
sample of a level *is* a sample of the level above, so a child's [::2, ::2] is a quadrant of its parent, bit for
bit, and only three quarters of a child have to be trained.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from fractions import Fraction
from itertools import repeat
from typing import ClassVar, NamedTuple, Self

import numpy as np

# Samples along each side of a tile. A tile is one file: larger ones are fewer, and of smaller ones the first is there
# sooner. A film trains no more of a tile than the patches that it reads: see `patches`.
SAMPLES = 32


class Tile(NamedTuple):
    """One square of the pyramid: column ix and row iy of the 2**level x 2**level tiles; iy counts upwards."""

    level: int
    ix: int
    iy: int

    def __str__(self) -> str:
        """Return the tile as messages name it; its file in a store has the same three numbers."""
        return f"the tile of level {self.level}, column {self.ix}, row {self.iy}"

    @property
    def parent(self) -> Tile:
        """The tile one level up that contains this one. Level 0 has none."""
        if self.level == 0:
            raise ValueError("The tile of level 0 has no parent.")
        return Tile(self.level - 1, self.ix >> 1, self.iy >> 1)

    @property
    def children(self) -> tuple[Tile, Tile, Tile, Tile]:
        """The four tiles one level down: lower left, lower right, upper left, upper right."""
        level, ix, iy = self.level + 1, 2 * self.ix, 2 * self.iy
        return (Tile(level, ix, iy), Tile(level, ix + 1, iy), Tile(level, ix, iy + 1), Tile(level, ix + 1, iy + 1))

    @property
    def first_sample(self) -> tuple[int, int]:
        """Lattice indices (x, y) of the lower left sample, in units of the level's lattice spacing."""
        return self.ix * SAMPLES, self.iy * SAMPLES

    @property
    def parent_quadrant(self) -> tuple[slice, slice]:
        """The slices of the parent's [iy, ix] array that hold this tile's samples [::2, ::2]."""
        half = SAMPLES // 2
        x, y = half * (self.ix & 1), half * (self.iy & 1)
        return slice(y, y + half), slice(x, x + half)


class _Edges(NamedTuple):
    level: int
    x0: int
    x1: int
    y0: int
    y1: int


class Rectangle(_Edges):
    """A rectangle of squares of one level: columns x0 <= i < x1, rows y0 <= j < y1, counted over the whole plane.

    PER_TILE: how many of the squares lie along the side of a tile.
    """

    __slots__ = ()
    PER_TILE: ClassVar[int] = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in squares."""
        return self.y1 - self.y0, self.x1 - self.x0

    def contains(self, other: Self) -> bool:
        """Return whether every square of another rectangle belongs to this one."""
        across = self.x0 <= other.x0 and other.x1 <= self.x1
        return self.level == other.level and across and self.y0 <= other.y0 and other.y1 <= self.y1

    def intersection(self, other: Self) -> Self | None:
        """Return the squares that two rectangles share; None if they share none."""
        if self.level != other.level:
            return None
        x0, x1 = max(self.x0, other.x0), min(self.x1, other.x1)
        y0, y1 = max(self.y0, other.y0), min(self.y1, other.y1)
        return type(self)(self.level, x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None

    def union(self, other: Self) -> Self:
        """Return the smallest rectangle that contains two rectangles of one level."""
        x0, x1 = min(self.x0, other.x0), max(self.x1, other.x1)
        return type(self)(self.level, x0, x1, min(self.y0, other.y0), max(self.y1, other.y1))

    def grown(self, columns: int, rows: int) -> Self:
        """Return the rectangle extended by some columns and rows on every side, within the plane."""
        side = self.PER_TILE << self.level
        x0, y0 = max(0, self.x0 - columns), max(0, self.y0 - rows)
        return type(self)(self.level, x0, min(side, self.x1 + columns), y0, min(side, self.y1 + rows))

    def mask(self, parts: Iterable[Self]) -> np.ndarray:
        """Return which squares of the rectangle lie in one of its parts: bool [rows, columns]."""
        mask = np.zeros(self.shape, dtype=bool)
        for part in parts:
            mask[part.y0 - self.y0 : part.y1 - self.y0, part.x0 - self.x0 : part.x1 - self.x0] = True
        return mask


class TileRange(Rectangle):
    """A rectangle of tiles of one level: columns x0 <= ix < x1, rows y0 <= iy < y1."""

    __slots__ = ()

    def holds(self, tile: Tile) -> bool:
        """Return whether a tile belongs to the rectangle."""
        return tile.level == self.level and self.x0 <= tile.ix < self.x1 and self.y0 <= tile.iy < self.y1

    def tiles(self) -> list[Tile]:
        """Return every tile of the rectangle, row by row from the lowest."""
        # A film lists some thousand tiles for each frame; calling Tile(...) for each would take three times as long.
        make = functools.partial(tuple.__new__, Tile)
        columns = range(self.x0, self.x1)
        return [
            tile for iy in range(self.y0, self.y1) for tile in map(make, zip(repeat(self.level), columns, repeat(iy)))
        ]


def bounds(tile: Tile) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return the exact unit coordinates (x0, x1, y0, y1) of a tile's edges."""
    scale = 1 << tile.level
    return (
        Fraction(tile.ix, scale),
        Fraction(tile.ix + 1, scale),
        Fraction(tile.iy, scale),
        Fraction(tile.iy + 1, scale),
    )
