"""The samples of one level around the view as one array, filled tile by tile and kept from frame to frame.

A zoom looks at an ever smaller part of what it looked at before, so most frames add no more than a few tiles. What is
kept is of the size of a view, however long the film.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from render.geometry.tiles import SAMPLES, Tile, TileRange
from render.geometry.viewport import Window

# A view that moves out of the array gets a new one, larger by this share of the view on each side, so that a pan copies
# the array every few frames only.
_SLACK = 0.2


class Mosaic:
    """Scalars of a level's tiles, and whole numbers (codes) made from them, side by side; row 0 is the lowest."""

    def __init__(self, values_of: Callable[[Tile], np.ndarray]) -> None:
        """values_of: returns the float64 scalars [SAMPLES, SAMPLES] of a tile."""
        self._values_of = values_of
        self._area = TileRange(0, 0, 0, 0, 0)
        self._values = np.empty((0, 0))
        self._codes = np.empty((0, 0), dtype=np.uint16)
        self._filled = np.empty((0, 0), dtype=bool)
        self._coded = np.empty((0, 0), dtype=bool)
        self._code_of: object = None

    def codes(
        self, area: TileRange, planned: np.ndarray, code_of: Callable[[np.ndarray], np.ndarray], window: Window
    ) -> np.ndarray:
        """Return uint16 codes [rows, columns] of a window, which must lie in the area; NaN is coded where no tile is.

        planned: bool, in the area's shape, which of its tiles are there. code_of: codes of scalars; codes are kept for
        as long as it stays the same object.
        """
        if not self._area.contains(area):
            self._move(area)
        if code_of is not self._code_of:
            self._coded[:] = False
            self._code_of = code_of
        x, y = area.x0 - self._area.x0, area.y0 - self._area.y0
        here = slice(y, y + planned.shape[0]), slice(x, x + planned.shape[1])
        for row, column in np.argwhere(planned & ~self._filled[here]):
            tile = Tile(area.level, area.x0 + int(column), area.y0 + int(row))
            self._values[_samples(y + row), _samples(x + column)] = self._values_of(tile)
            self._filled[y + row, x + column] = True
            self._coded[y + row, x + column] = False
        self._code(here, code_of)
        first_x, first_y = self._area.x0 * SAMPLES, self._area.y0 * SAMPLES
        return self._codes[window.y0 - first_y : window.y1 - first_y, window.x0 - first_x : window.x1 - first_x]

    def _code(self, here: tuple[slice, slice], code_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Code what is not coded yet, a row of tiles at a time: long pieces cost less than many short ones."""
        stale = ~self._coded[here]
        for row in np.flatnonzero(stale.any(axis=1)):
            unknown = np.flatnonzero(stale[row])
            rows = _samples(here[0].start + row)
            columns = slice((here[1].start + unknown[0]) * SAMPLES, (here[1].start + unknown[-1] + 1) * SAMPLES)
            self._codes[rows, columns] = code_of(self._values[rows, columns])
        self._coded[here] = True

    def _move(self, area: TileRange) -> None:
        """Make arrays that hold an area, and take over what the old ones hold of it."""
        old, values, codes, filled, coded = self._area, self._values, self._codes, self._filled, self._coded
        self._area = _with_slack(area) if old.level == area.level and filled.size else area
        rows, columns = self._area.shape
        self._values = np.full((rows * SAMPLES, columns * SAMPLES), np.nan)
        self._codes = np.zeros(self._values.shape, dtype=np.uint16)
        self._filled = np.zeros((rows, columns), dtype=bool)
        self._coded = np.zeros((rows, columns), dtype=bool)
        shared = self._area.intersection(old)
        if shared is None:
            return
        for new, kept, side in ((self._filled, filled, 1), (self._coded, coded, 1)):
            _part(new, self._area, shared, side)[:] = _part(kept, old, shared, side)
        for big, had in ((self._values, values), (self._codes, codes)):
            _part(big, self._area, shared, SAMPLES)[:] = _part(had, old, shared, SAMPLES)


def _part(array: np.ndarray, area: TileRange, part: TileRange, side: int) -> np.ndarray:
    """Return the part of an array over an area; side: entries of the array along a tile."""
    rows = slice((part.y0 - area.y0) * side, (part.y1 - area.y0) * side)
    return array[rows, (part.x0 - area.x0) * side : (part.x1 - area.x0) * side]


def _samples(index: int) -> slice:
    return slice(int(index) * SAMPLES, (int(index) + 1) * SAMPLES)


def _with_slack(area: TileRange) -> TileRange:
    rows, columns = area.shape
    return area.grown(1 + int(_SLACK * columns), 1 + int(_SLACK * rows))
