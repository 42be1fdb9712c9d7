"""From coded samples of several levels to the linear light of a frame, a band of rows at a time.

A band goes the whole way (colours looked up, filtered down and across, levels laid over each other) while it is in the
processor's cache, and bands go to several threads: NumPy lets other threads run while it computes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from render.picture import resample
from render.picture.resample import Taps

# Rows of pixels in a band. 32 read 51 rows of samples where 1.4 samples meet a pixel: with 2726 of them in three
# channels that is 1.7 MB, about a core's cache; smaller bands would look up more of their samples twice.
BAND_PX = 32


@dataclass(frozen=True)
class Edge:
    """Where a level ends inside a frame: distances to the end on cells of the plane, and the way over which it fades.

    distance: float32 [rows, columns] of cells, row 0 lowest, in samples. rows, columns: the cells that pixels read.
    """

    distance: np.ndarray
    rows: list[Taps]
    columns: list[Taps]
    margin: float

    def share(self, band: int) -> np.ndarray:
        """Return how much of each pixel of a band the level may fill: float32 [rows, width]."""
        _, read, weights = self.rows[band]
        tall = resample.filtered_rows(weights, self.distance[read])
        share = resample.filtered_columns(tall, self.columns)
        share /= np.float32(self.margin)
        np.clip(share, 0.0, 1.0, out=share)
        share *= share * (3 - 2 * share)
        return share


@dataclass(frozen=True)
class Layer:
    """A level's samples, coded, and how pixels read them.

    codes: uint16 [rows, columns], row 0 lowest. rows (from the top of the frame), columns: taps of bands of BAND_PX.
    edge: where the level ends inside the frame, if it does. gaps: whether some codes are 0, no sample.
    """

    codes: np.ndarray
    rows: list[Taps]
    columns: list[Taps]
    edge: Edge | None = None
    gaps: bool = False


def bands(height_px: int) -> list[slice]:
    """Return the bands of a frame's rows, from the top, as `resample.from_the_top` blocks them."""
    first = height_px % BAND_PX or BAND_PX
    starts = [0, *range(first, height_px, BAND_PX)]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], height_px], strict=True)]


def band(layers: Sequence[Layer], table: np.ndarray, index: int) -> np.ndarray:
    """Return a band of the picture: linear light, float32 [channels, rows, width].

    layers: coarse to fine; the first fills the frame. table: float32 [channels, codes], 0 for code 0.
    """
    if len(layers) == 1:
        return _pixels(layers[0], table, layers[0].rows[index], layers[0].columns)
    shares = _shares(layers, index)
    picture = np.zeros((len(table), *shares[0].shape), dtype=np.float32)
    for layer, share in zip(layers, shares, strict=True):
        for across in _runs(layer.columns, np.asarray(share.any(axis=0))):
            part = slice(across[0].pixels.start, across[-1].pixels.stop)
            picture[..., part] += _pixels(layer, table, layer.rows[index], across) * share[:, part]
    return picture


def _shares(layers: Sequence[Layer], index: int) -> list[np.ndarray]:
    """Return how much of each pixel of a band each layer makes up: float32 [rows, width], 1 in sum.

    A level shows inside its parent only, as far as that shows itself: so one that comes in, which at first looks like
    its parent, changes nothing.
    """
    visible = np.ones((len(layers[0].rows[index].weights), layers[0].columns[-1].pixels.stop), dtype=np.float32)
    shares = []
    for finer in layers[1:]:
        inside = visible if finer.edge is None else visible * finer.edge.share(index)
        shares.append(visible - inside)
        visible = inside
    return [*shares, visible]


def _runs(blocks: list[Taps], seen: np.ndarray) -> list[list[Taps]]:
    """Return the runs of neighbouring blocks with pixels that are seen: bool [width]."""
    runs: list[list[Taps]] = []
    for block in blocks:
        if seen[block.pixels].any():
            if runs and runs[-1][-1].pixels.stop == block.pixels.start:
                runs[-1].append(block)
            else:
                runs.append([block])
    return runs


def _pixels(layer: Layer, table: np.ndarray, down: Taps, across: list[Taps]) -> np.ndarray:
    """Return a layer's own colours of some pixels: float32 [channels, rows, pixels of `across`]."""
    columns = slice(across[0].samples.start, across[-1].samples.stop)
    codes = layer.codes[down.samples, columns].astype(np.intp)
    channels = len(table)
    colours = np.empty((channels + layer.gaps, *codes.shape), dtype=np.float32)
    for channel in range(channels):
        np.take(table[channel], codes, out=colours[channel], mode="clip")
    if layer.gaps:
        colours[channels] = codes > 0
    tall = resample.filtered_rows(down.weights, colours)
    wide = resample.filtered_columns(tall.reshape(-1, codes.shape[1]), across, columns.start)
    pixels = wide.reshape(*tall.shape[:2], -1)
    if layer.gaps:
        # At a straight end of the samples the known share is a half, at a corner a quarter or a little less.
        pixels = pixels[:channels] / np.maximum(pixels[channels:], np.float32(0.1))
    return pixels


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="picture")


def each_band(count: int, make: Callable[[int], None]) -> None:
    """Call `make` for every band, in several threads."""
    for _ in _threads().map(make, range(count)):
        pass
