"""The view of one frame: an exact centre, a width, and a number of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from render.geometry.patches import SIDE, PatchRange
from render.geometry.tiles import SAMPLES, Rectangle, TileRange


class Window(NamedTuple):
    """A rectangle of samples of one level: lattice indices x0 <= i < x1, y0 <= j < y1. It may leave the plane."""

    level: int
    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in samples."""
        return self.y1 - self.y0, self.x1 - self.x0

    def within(self, area: Rectangle) -> Window:
        """Return the part of the window whose samples lie in an area of the same level."""
        side = SAMPLES // area.PER_TILE
        x0, x1 = max(self.x0, area.x0 * side), min(self.x1, area.x1 * side)
        return Window(self.level, x0, x1, max(self.y0, area.y0 * side), min(self.y1, area.y1 * side))


class Box(NamedTuple):
    """A rectangle in lattice spacings, counted from the first sample of a window; y upwards."""

    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True)
class Viewport:
    """A rectangle of the unit square, seen through width_px x height_px square pixels.

    x, y: exact unit coordinates of the centre. width: horizontal extent in units of the unit square, > 0.
    stretch: by how much a unit is longer across than up; 1 but in bifurcation diagrams, which narrow more slowly in y.
    """

    x: Fraction
    y: Fraction
    width: float
    width_px: int
    height_px: int
    stretch: float = 1.0

    @property
    def height(self) -> float:
        """Vertical extent in units of the unit square."""
        return self.width * self.height_px / self.width_px * self.stretch

    @property
    def level(self) -> float:
        """The continuous level at which one lattice spacing is one pixel."""
        return math.log2(self.width_px / (SAMPLES * self.width))

    def edges(self, margin: float = 0.0) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """Return exact unit coordinates (x0, x1, y0, y1), each side moved out by margin (units of height)."""
        pad = margin * self.height
        half_x, half_y = Fraction(self.width / 2 + pad), Fraction(self.height / 2 + pad)
        return self.x - half_x, self.x + half_x, self.y - half_y, self.y + half_y

    def reach(self, level: int) -> int:
        """Return how many samples of a level beyond an edge a pixel inside it may read.

        A filter reads two samples to either side, or two pixels where samples are denser than pixels. A dense level
        fades in from every second of its samples, of which the filter also reads two.
        """
        per_px = 2.0 ** (level - self.level)
        return 2 if per_px <= 1 else math.ceil(2 * max(2.0, per_px))

    def cover(self, level: int, margin: float = 0.0) -> TileRange:
        """Return the tiles of a level that this view needs: all that a filter reads, also beyond the edges."""
        return self.patches(level, margin).tile_range

    def patches(self, level: int, margin: float = 0.0) -> PatchRange:
        """Return the patches of a level that this view needs: all that a filter reads, also beyond the edges."""
        count, reach = (SAMPLES // SIDE) << level, self.reach(level)
        pad = margin * self.height

        def ends(centre: Fraction, half: float) -> tuple[int, int]:
            # Exact integers, in units of 1 / (one * count): a plan calls this ten thousand times, and Fraction would
            # take most of its time.
            over, under = half.as_integer_ratio()
            middle, one = centre.numerator * under * count, centre.denominator * under
            half_way = over * centre.denominator * count
            low = (middle - half_way) * SIDE - (reach - 1) * one
            high = (middle + half_way) * SIDE + reach * one
            first, last = low // (one * SIDE), -(-high // (one * SIDE))
            return min(max(first, 0), count), min(max(last, 0), count)

        return PatchRange(level, *ends(self.x, self.width / 2 + pad), *ends(self.y, self.height / 2 + pad))

    def window(self, level: int, reach: int | None = None) -> Window:
        """Return the samples of a level that a filter reads.

        reach: the number of samples beyond each edge, if not that of the filter. Every sample that a filter reads and
        that lies in the plane is in a patch of `patches(level)`.
        """
        scale = SAMPLES << level
        before = (self.reach(level) if reach is None else reach) - 1
        x0, x1, y0, y1 = (edge * scale for edge in self.edges())
        low_x, low_y = math.floor(x0) - before, math.floor(y0) - before
        return Window(level, low_x, math.ceil(x1) + 1 + before, low_y, math.ceil(y1) + 1 + before)

    def box(self, level: int, first_x: int, first_y: int) -> Box:
        """Return this view's edges in lattice spacings of a level, counted from the sample (first_x, first_y).

        The subtraction is exact and only the small difference becomes a float, so the result is right at any depth.
        """
        scale = SAMPLES << level
        x0, x1, y0, y1 = (edge * scale for edge in self.edges())
        return Box(float(x0 - first_x), float(x1 - first_x), float(y0 - first_y), float(y1 - first_y))
