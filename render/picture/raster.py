"""From coded samples of several levels to the linear light of a frame, a band of rows at a time.

A band goes the whole way (colours looked up, filtered down and across, levels laid over each other) while it is in the
processor's cache, and bands go to several threads.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from render.picture import loops
from render.picture.resample import Taps

# Rows of pixels in a band. Neighbouring bands read up to eight of the same rows of samples; larger bands would leave a
# processor's cache (64 rows of 1920 are 1.5 MB), and keep fewer cores busy.
BAND_PX = 64


class Distances:
    """How far cells of the plane are inside a level, and what is least and most in each square of them.

    A frame reads a quarter of a million cells. Whether a band lies wholly inside or outside the squares tell.
    """

    def __init__(self, cells: np.ndarray, side: int) -> None:
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
    """Where a level ends inside a frame: distances to the end, and the way over which it fades."""

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


@dataclass(frozen=True)
class Layer:
    """A level's samples, coded, and how pixels read them.

    codes: uint16 [rows, columns], row 0 lowest. rows (from the lowest), columns: what pixels read.
    edge: where the level ends inside the frame, if it does. gaps: whether some codes are 0, no sample.
    """

    codes: np.ndarray
    rows: Taps
    columns: Taps
    edge: Edge | None = None
    gaps: bool = False


def bands(height_px: int) -> list[slice]:
    """Return the bands of a frame's rows, from the top."""
    return [slice(a, min(a + BAND_PX, height_px)) for a in range(0, height_px, BAND_PX)]


def band(layers: Sequence[Layer], table: np.ndarray, rows: slice) -> np.ndarray:
    """Return a band of the picture, of some rows from the top: linear light, float32 [3, rows, width].

    layers: coarse to fine; the first fills the frame. table: float32 [codes, 4], three channels of each code, and 1, or
    0 for code 0.
    """
    height_px, width_px = len(layers[0].rows.first), len(layers[0].columns.first)
    from_below = slice(height_px - rows.stop, height_px - rows.start)
    shape = rows.stop - rows.start, width_px
    picture = np.zeros((3, *shape), dtype=np.float32)
    for layer, share in zip(layers, _shares(layers, from_below, shape), strict=False):
        if share is not None:
            loops.add_pixels(picture, layer.codes, table, *layer.rows.of(from_below), *layer.columns, share, layer.gaps)
    return picture


def _shares(layers: Sequence[Layer], rows: slice, shape: tuple[int, int]) -> list[np.ndarray | None]:
    """Return how much of each pixel of a band each layer makes up: float32 [rows, width], 1 in sum; None for nothing.

    A level shows inside its parent only, as far as that shows itself: so one that comes in, which at first looks like
    its parent, changes nothing. What is finer than all that show is left out.
    """
    visible = np.ones(shape, dtype=np.float32)
    shares: list[np.ndarray | None] = [visible]
    for finer in layers[1:]:
        edge = finer.edge
        if edge is None or edge.covers(rows):
            shares[-1] = None
        elif edge.misses(rows):
            break
        else:
            visible, coarser = np.zeros(shape, dtype=np.float32), visible
            taps = *edge.rows.of(rows), *edge.columns
            loops.split_share(coarser, visible, edge.cells, *taps, edge.begin, edge.end, edge.margin)
        shares.append(visible)
    return shares


_THREADS = os.cpu_count() or 1


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="picture")


def each_band(height_px: int, make: Callable[[slice], None]) -> None:
    """Call `make` for every band of a frame's rows, in several threads."""
    left = iter(bands(height_px))  # each thread takes the next; a task for each band would cost more than half of one

    def work(_: int) -> None:
        for rows in left:
            make(rows)

    for _ in _threads().map(work, range(_THREADS)):
        pass
