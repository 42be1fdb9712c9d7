"""What one frame looks at: an exact centre, a width, and a number of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from render import tiles
from render.tiles import SAMPLES, TileRange


class Window(NamedTuple):
    """A rectangle of samples of one level: lattice indices x0 <= i < x1, y0 <= j < y1; may leave the plane."""

    level: int
    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in samples."""
        return self.y1 - self.y0, self.x1 - self.x0


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
    """

    x: Fraction
    y: Fraction
    width: float
    width_px: int
    height_px: int

    @property
    def height(self) -> float:
        """Vertical extent in units of the unit square."""
        return self.width * self.height_px / self.width_px

    @property
    def level(self) -> float:
        """The continuous level at which one lattice spacing is one pixel."""
        return math.log2(self.width_px / (SAMPLES * self.width))

    def edges(self, margin: float = 0.0) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """Return exact unit coordinates (x0, x1, y0, y1), each side moved out by margin (units of height)."""
        pad = margin * self.height
        half_x, half_y = Fraction(self.width / 2 + pad), Fraction(self.height / 2 + pad)
        return self.x - half_x, self.x + half_x, self.y - half_y, self.y + half_y

    def cover(self, level: int, margin: float = 0.0) -> TileRange:
        """Return the tiles of a level that this view needs, one sample beyond each edge included.

        The extra sample lets the outermost pixels interpolate between two real samples.
        """
        x0, x1, y0, y1 = self.edges(margin)
        spacing = Fraction(1, SAMPLES << level)
        return tiles.cover(x0 - spacing, x1 + spacing, y0 - spacing, y1 + spacing, level)

    def window(self, level: int) -> Window:
        """Return the samples of a level, the last at or before each low edge to the first at or after each high one.

        Every sample of it that lies in the plane is in a tile of `cover(level)`.
        """
        scale = SAMPLES << level
        x0, x1, y0, y1 = (edge * scale for edge in self.edges())
        return Window(level, math.floor(x0), math.ceil(x1) + 1, math.floor(y0), math.ceil(y1) + 1)

    def box(self, level: int, first_x: int, first_y: int) -> Box:
        """Return this view's edges in lattice spacings of a level, counted from the sample (first_x, first_y).

        The subtraction is exact and only the small difference becomes a float, so it holds at any depth.
        """
        scale = SAMPLES << level
        x0, x1, y0, y1 = (edge * scale for edge in self.edges())
        return Box(float(x0 - first_x), float(x1 - first_x), float(y0 - first_y), float(y1 - first_y))
