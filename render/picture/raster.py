"""From coded samples of several levels to the linear light of a frame, a band of rows at a time.

A band goes the whole way (colours looked up, filtered down and across, levels laid over each other) while it is in the
processor's cache, and bands go to several threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from render.machine import cores
from render.picture import loops
from render.picture.level_ends import Edge
from render.picture.resample import Taps
from render.picture.roughness import Rough

# Rows of pixels in a band. Neighbouring bands read up to eight of the same rows of samples; larger bands would leave a
# processor's cache (64 rows of 1920 are 1.5 MB), and keep fewer cores busy.
BAND_PX = 64


@dataclass(frozen=True)
class Layer:
    """A level's samples, coded, and how pixels read them.

    codes: uint16 [rows, columns], row 0 lowest. rows (from the lowest), columns: what pixels read.
    edge: where the level ends inside the frame, if it does. gaps: whether some codes are 0, no sample. rough: what of
    it is drawn as means; None for nothing. opacity: how much of the coarser levels below it hides where it is, 0 to 1.
    """

    codes: np.ndarray
    rows: Taps
    columns: Taps
    edge: Edge | None = None
    gaps: bool = False
    rough: Rough | None = None
    opacity: float = 1.0


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
    for layer, coverage in zip(layers, _coverages(layers, from_below, shape), strict=False):
        if coverage is None:
            continue
        rough = layer.rough
        if rough is not None:
            means = np.zeros(shape, dtype=np.float32)
            read = *rough.rows.of(from_below), *rough.columns
            loops.split_coverage(coverage, means, rough.mean_weights, *read, 0, width_px, 1.0)
            read = *rough.wide_rows.of(from_below), *rough.wide_columns
            loops.add_pixels(picture, layer.codes, table, *read, means, layer.gaps)
        loops.add_pixels(picture, layer.codes, table, *layer.rows.of(from_below), *layer.columns, coverage, layer.gaps)
    return picture


def _coverages(layers: Sequence[Layer], rows: slice, shape: tuple[int, int]) -> list[np.ndarray | None]:
    """Return how much of each pixel of a band each layer makes up: float32 [rows, width], 1 in sum; None for nothing.

    A level shows inside its parent only, as far as that shows itself: so one that comes in, which at first looks like
    its parent, changes nothing. What is finer than all that show is left out.
    """
    visible = np.ones(shape, dtype=np.float32)
    coverages: list[np.ndarray | None] = [visible]
    for finer in layers[1:]:
        edge = finer.edge
        if edge is None or edge.covers(rows):
            coarser = None
        elif edge.misses(rows):
            break
        else:
            visible, coarser = np.zeros(shape, dtype=np.float32), visible
            taps = *edge.rows.of(rows), *edge.columns
            loops.split_coverage(coarser, visible, edge.cells, *taps, edge.begin, edge.end, edge.margin)
        if finer.opacity < 1:
            hidden = visible * np.float32(1 - finer.opacity)
            visible = visible - hidden
            coarser = hidden if coarser is None else coarser + hidden
        coverages[-1] = coarser
        coverages.append(visible)
    return coverages


@functools.cache
def _threads() -> tuple[ThreadPoolExecutor, int]:
    count = cores.count()
    return ThreadPoolExecutor(count, thread_name_prefix="picture"), count


def each_band(height_px: int, make: Callable[[slice], None]) -> None:
    """Call `make` for every band of a frame's rows, in several threads."""
    left = iter(bands(height_px))  # each thread takes the next; a task for each band would cost more than half of one

    def work(_: int) -> None:
        for rows in left:
            make(rows)

    threads, count = _threads()
    for _ in threads.map(work, range(count)):
        pass
