"""The ends of a level inside a frame: each pixel's distance into the level's patches, over which the level fades.

A level's share is 1 well inside its patches and falls smoothly to 0 at their end over a margin. It follows from
distances on cells that are fixed to the plane, so it moves with the picture and does not flicker.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32

from render.geometry.patches import SIDE, PatchRange
from render.geometry.tiles import SAMPLES, TileRange
from render.geometry.viewport import Box, Viewport
from render.picture import resample
from render.picture.resample import Taps

# How far a pixel is from the end of a level is worked out on cells of 4 samples, or of 1 or 2 where so few samples
# cross a frame that this takes no time.
_CELL = 4
_CELLS = 400

# Distances are worked out for this much more than a frame on each side, so that a pan does not do so in every frame.
_SLACK_TILES = 8


class Distances:
    """Distances of cells of the plane into a level, and the least and the greatest in each square of cells.

    A frame reads a quarter of a million cells. Whether a band lies wholly inside or outside the squares tell.
    """

    def __init__(self, cells: Float32[np.ndarray, "row column"], side: int) -> None:
        """cells: float32 [rows, columns], row 0 lowest, in samples; 0 and less outside. side: cells along a square, of
        which both sides are multiples."""
        self.cells, self.side = cells, side
        rows, columns = (count // side for count in cells.shape)
        squares = cells.reshape(rows, side, columns, side)
        self.least, self.most = squares.min(axis=(1, 3)), squares.max(axis=(1, 3))

    def squares(self, cells: slice) -> slice:
        """Return the squares that some neighbouring cells lie in."""
        return slice(cells.start // self.side, -(-cells.stop // self.side))


class Edge:
    """The ends of a level inside a frame: distances to the end, and the way over which it fades."""

    def __init__(self, distances: Distances, rows: Taps, columns: Taps, margin: float) -> None:
        """rows (from the lowest), columns: the cells that pixels read. margin: in samples."""
        self.cells, self.rows, self.columns, self.margin = distances.cells, rows, columns, margin
        self._squares = distances.squares
        across = distances.squares(columns.span())
        self._least, self._most = distances.least[:, across].min(axis=1), distances.most[:, across].max(axis=1)
        # Outside of these columns of pixels none reads a cell inside the level.
        reached = np.flatnonzero(distances.most[distances.squares(rows.span())].max(axis=0) > 0)
        self.begin = self.end = 0
        if reached.size:
            first, last = int(reached[0]) * distances.side, int(reached[-1] + 1) * distances.side - 1
            self.begin = int(np.searchsorted(columns.first, first - columns.weights.shape[1], side="right"))
            self.end = int(np.searchsorted(columns.first, last, side="right"))

    def covers(self, pixels: slice = slice(None)) -> bool:
        """Return whether the level surely fills some rows of pixels, from the lowest, wholly."""
        return bool(self._least[self._squares(self.rows.of(pixels).span())].min() >= self.margin)

    def misses(self, pixels: slice = slice(None)) -> bool:
        """Return whether the level surely shows nowhere in some rows of pixels, from the lowest."""
        return self.begin >= self.end or not (self._most[self._squares(self.rows.of(pixels).span())] > 0).any()


class LevelEnds:
    """The ends of the levels of a film, worked out as frames ask for them, and kept from frame to frame."""

    def __init__(self, rows: float) -> None:
        """rows: samples of a level down a frame when the level is complete; it decides the size of cells."""
        self._cell = next((cell for cell in (1, 2) if rows <= cell * _CELLS), _CELL)
        self._distances: dict[int, tuple[TileRange, Distances]] = {}

    def forget(self, level: int) -> None:
        """Drop what is kept of a level that frames no longer show."""
        self._distances.pop(level, None)

    def edge(
        self, view: Viewport, level: int, margin: float, parts: Callable[[PatchRange], list[PatchRange]]
    ) -> Edge | None:
        """Return where a level ends in a view; None where the level fills it.

        margin: in samples, the way over which the level fades. parts: returns where the level's patches lie in an area.
        """
        height, cell = view.height * SAMPLES * 2.0**level, self._cell
        # Tiles beyond the margin (and the cells that a pixel is interpolated from) cannot lower any weight, so that
        # nothing changes when they leave the area.
        area = view.cover(level, margin=(margin + 2 * cell) / height)
        kept = self._distances.get(level)
        if kept is None or not kept[0].contains(area):
            around = area.grown(_SLACK_TILES, _SLACK_TILES)
            patches = PatchRange.of(around)
            kept = self._distances[level] = around, self._distance_in(patches, parts(patches))
        around_kept, distances = kept
        box = _cell_box(view.box(level, around_kept.x0 * SAMPLES, around_kept.y0 * SAMPLES), cell)
        # What lies outside the plane needs no samples and ends nothing: its last cells go on as far as the view does.
        rows, columns = (
            resample.taps(low, high, size_px, count, "linear")
            for low, high, size_px, count in (
                (box.y0, box.y1, view.height_px, distances.cells.shape[0]),
                (box.x0, box.x1, view.width_px, distances.cells.shape[1]),
            )
        )
        edge = Edge(distances, rows, columns, margin)
        return None if edge.covers() else edge

    def _distance_in(self, area: PatchRange, parts: list[PatchRange]) -> Distances:
        """Return how far the centre of each cell of an area is inside some of its parts, in samples."""
        planned = area.mask(parts)
        cells = SIDE // self._cell
        if planned.all():
            distance = np.full((area.shape[0] * cells, area.shape[1] * cells), np.inf, dtype=np.float32)
        else:
            distance = _distance(planned, cells) * np.float32(self._cell)
        return Distances(distance, SAMPLES // self._cell)


def _distance(planned: Bool[np.ndarray, "row column"], cells: int) -> Float32[np.ndarray, "cell_row cell_column"]:
    """Return how far the centre of each cell is inside the planned patches, in cells; -1/2 anywhere outside them.

    planned: bool [rows, columns] of patches, not all. cells: along a patch.
    """
    from scipy.ndimage import distance_transform_edt  # a third of a second that a start without pictures can do without

    distance = np.full((planned.shape[0] * cells, planned.shape[1] * cells), -0.5, dtype=np.float32)
    if not planned.any():
        return distance
    # Nothing is to be measured farther out than in the patches next to the planned ones.
    rows, columns = (np.flatnonzero(planned.any(axis=axis)) for axis in (1, 0))
    y, x = (slice(max(0, i[0] - 1), i[-1] + 2) for i in (rows, columns))
    mask = np.kron(planned[y, x], np.ones((cells, cells), dtype=bool))
    part = tuple(slice(i.start * cells, i.stop * cells) for i in (y, x))
    distance[part] = np.where(mask, distance_transform_edt(mask) - 0.5, -0.5)
    return distance


def _cell_box(box: Box, cell: int) -> Box:
    """Return a box in sample positions as one in cell positions (cell 0 is centred on samples 0 to cell - 1)."""
    return Box(*((edge + 0.5) / cell - 0.5 for edge in box))
