"""Patches: squares of 8 x 8 samples, of which a tile has 16. A film asks for those of each tile that its views read.

Some patches of one tile are a whole number (`Patches`): patch number 4 * row + column of the tile, rows counted
upwards, is bit 2**number. The even samples of a patch all lie in one patch of the tile's parent, so that patches nest
as tiles do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from render.geometry.tiles import SAMPLES, Rectangle, Tile, TileRange

# Samples along each side of a patch. A preview's level is complete with 61 x 35 samples a frame. Of `mean_lr` and of
# `tanh` whole tiles then hold 2.3 and 2.5 times the samples that the frames read, patches of 16 samples 1.5 and 1.6
# times, of 8 samples 1.25 and 1.26, and of 4 samples 1.1 times.
SIDE = 8
PER_TILE = SAMPLES // SIDE

Patches = int

# All patches of a tile, and those of its lowest row.
WHOLE: Patches = (1 << PER_TILE**2) - 1
_ROW: Patches = (1 << PER_TILE) - 1

# What some tiles are wanted for; a tile that is not named here is wanted whole.
ALL_WHOLE: Mapping[Tile, Patches] = {}


class PatchRange(Rectangle):
    """A rectangle of patches of one level: columns x0 <= i < x1, rows y0 <= j < y1, counted over the whole plane."""

    __slots__ = ()
    PER_TILE: ClassVar[int] = PER_TILE

    @property
    def tile_range(self) -> TileRange:
        """The tiles that the patches lie in."""
        x0, x1, y0, y1 = self.x0, self.x1, self.y0, self.y1
        return TileRange(self.level, x0 // PER_TILE, -(-x1 // PER_TILE), y0 // PER_TILE, -(-y1 // PER_TILE))

    @classmethod
    def of(cls, area: TileRange) -> PatchRange:
        """Return every patch of a rectangle of tiles."""
        level, *edges = area
        return cls(level, *(edge * PER_TILE for edge in edges))

    def add_to(self, wanted: dict[Tile, Patches]) -> None:
        """Add the rectangle's patches to those of tiles."""
        x0, x1, y0, y1 = self.x0, self.x1, self.y0, self.y1
        inner = TileRange(self.level, -(-x0 // PER_TILE), x1 // PER_TILE, -(-y0 // PER_TILE), y1 // PER_TILE)
        if inner.x0 < inner.x1 and inner.y0 < inner.y1:
            # A frame at hd holds thousands of whole tiles, and a loop over each would take most of a plan's time.
            wanted.update(dict.fromkeys(inner.tiles(), WHOLE))
        outer = self.tile_range
        for iy in range(outer.y0, outer.y1):
            rows = _bits(y0, y1, iy)
            whole_row = inner.y0 <= iy < inner.y1
            for ix in range(outer.x0, outer.x1):
                if not (whole_row and inner.x0 <= ix < inner.x1):
                    tile = Tile(self.level, ix, iy)
                    # Each bit of the rows, 4 apart, repeats the bits of the columns.
                    wanted[tile] = wanted.get(tile, 0) | _bits(x0, x1, ix) * _SPREAD[rows]


def _bits(low: int, high: int, index: int) -> int:
    """Return which of the patches low to high - 1 along one side are those of the tile `index`, as bits."""
    first, last = max(low - index * PER_TILE, 0), min(high - index * PER_TILE, PER_TILE)
    return (1 << last) - (1 << first)


_SPREAD = [sum(1 << PER_TILE * i for i in range(PER_TILE) if bits >> i & 1) for bits in range(_ROW + 1)]


def numbers(patches: Patches) -> list[int]:
    """Return the numbers of some patches, rising."""
    return [i for i in range(PER_TILE**2) if patches >> i & 1]


@functools.lru_cache(maxsize=4096)
def samples(patches: Patches) -> np.ndarray:
    """Return which samples of a tile lie in some of its patches: bool [SAMPLES, SAMPLES], read-only."""
    chosen = np.zeros(PER_TILE**2, dtype=bool)
    chosen[numbers(patches)] = True
    mask: np.ndarray = np.kron(chosen.reshape(PER_TILE, PER_TILE), np.ones((SIDE, SIDE), dtype=bool))
    mask.flags.writeable = False
    return mask


@functools.lru_cache(maxsize=4096)
def _quadrant(right: int, upper: int, parent: Patches) -> Patches:
    half = PER_TILE // 2
    places = (divmod(number, PER_TILE) for number in range(PER_TILE**2))
    above = ((row // 2 + half * upper) * PER_TILE + column // 2 + half * right for row, column in places)
    return sum(1 << number for number, place in enumerate(above) if parent >> place & 1)


def inherited(tile: Tile, parent: Patches) -> Patches:
    """Return the patches of a tile whose even samples lie in the given patches of its parent."""
    return parent if parent in (0, WHOLE) else _quadrant(tile.ix & 1, tile.iy & 1, parent)


@functools.lru_cache(maxsize=4096)
def _above(right: int, upper: int, patches: Patches) -> Patches:
    half = PER_TILE // 2
    places = (divmod(number, PER_TILE) for number in numbers(patches))
    above = {(row // 2 + half * upper) * PER_TILE + column // 2 + half * right for row, column in places}
    return sum(1 << place for place in above)


def in_parent(tile: Tile, patches: Patches) -> Patches:
    """Return the patches of a tile's parent in which the even samples of the given patches of the tile lie."""
    return _above(tile.ix & 1, tile.iy & 1, patches)


def new_samples(patches: Patches, taken_over: Patches) -> np.ndarray:
    """Return the samples to train of some patches of a tile: bool [SAMPLES, SAMPLES].

    taken_over: those of the patches whose even samples the parent has.
    """
    mask = samples(patches).copy()
    mask[::2, ::2] &= ~samples(taken_over)[::2, ::2]
    return mask


def new_sample_count(patches: Patches, taken_over: Patches) -> int:
    """Return how many these are."""
    return SIDE * SIDE * patches.bit_count() - SIDE * SIDE // 4 * taken_over.bit_count()


def total(wanted: Mapping[Tile, Patches], tiles: Iterable[Tile]) -> int:
    """Return how many samples the patches of some tiles hold; a tile that `wanted` does not name counts whole."""
    return SIDE * SIDE * sum(wanted.get(tile, WHOLE).bit_count() for tile in tiles)
