"""From samples on a lattice to pixels of a frame: separable filters as small products of matrices.

A filter is widened to the pixel where samples are denser than pixels (reduction), and interpolates where they are
sparser (enlargement). Neighbouring pixels read nearly the same samples, so a block of them is one dense product, which
BLAS does faster than any loop does the few products that count: 1080p from 2726 x 1534 samples of three channels takes
a tenth of the time of Pillow's float filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.viewport import Box

# Products above this many multiplications are spread over OpenBLAS's own threads, which spin while others wait; pieces
# below it stay in the thread that asks. (interface/gemm.c: SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD)
_ONE_THREAD = 65_536 * 4

# How far an enlargement goes from Keys' cubic, which is sharp and interpolates, to the B-spline, which is round and
# never overshoots: not at all up to two pixels a sample, wholly from eight on. Sharp blocks of that size are no detail.
# Against a render at detail 4 it gains 1.8 dB at detail 0.08, 1.4 at 0.12, 0.5 at 0.18 and 0.25 at 0.3.
_SHARP_PX, _ROUND_PX = 2.0, 8.0


def _cubic(x: np.ndarray, blur: float = 0.0) -> np.ndarray:
    """The cubics of Mitchell and Netravali (1988), B = blur, C = (1 - B) / 2: Keys' (a = -0.5) at 0, B-spline at 1."""
    x, b, c = np.abs(x), blur, (1 - blur) / 2
    near = (((12 - 9 * b - 6 * c) * x + (-18 + 12 * b + 6 * c)) * x * x + (6 - 2 * b)) / 6
    far = ((((-b - 6 * c) * x + (6 * b + 30 * c)) * x - (12 * b + 48 * c)) * x + (8 * b + 24 * c)) / 6
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _linear(x: np.ndarray, blur: float = 0.0) -> np.ndarray:
    weights: np.ndarray = np.maximum(0.0, 1 - np.abs(x))
    return weights


class Filter(NamedTuple):
    """weight: at distances in samples or, where it is a reduction, in pixels; zero from `reach` on. Its second argument
    is how much it blurs, 0 to 1."""

    weight: Callable[[np.ndarray, float], np.ndarray]
    reach: float


FILTERS = {
    # Keys' cubic, a = -0.5 (Catmull-Rom): sharp in both directions, with a negligible ring in linear light. Round where
    # it enlarges much.
    "cubic": Filter(_cubic, 2.0),
    # Never overshoots: for weights, which must stay within 0 and 1.
    "linear": Filter(_linear, 1.0),
}


class Taps(NamedTuple):
    """A block of neighbouring pixels along one side, the samples they read, and the weights [pixels, samples]."""

    pixels: slice
    samples: slice
    weights: np.ndarray


def taps(
    low: float,
    high: float,
    size_px: int,
    count: int,
    filter_name: str = "cubic",
    *,
    coarse: float = 0.0,
    first_even: int = 0,
    block: int = 32,
) -> list[Taps]:
    """Return the blocks of `size_px` pixels between two positions on a lattice of `count` samples.

    low, high: the frame's edges in sample positions, sample 0 at 0.0. Beyond the lattice the outermost samples go on.
    coarse: weight of the filter on every second sample alone, from number first_even on; the rest is that on all.
    """
    scale = (high - low) / size_px
    centres = np.clip(low + (np.arange(size_px) + 0.5) * scale, -0.5, count - 0.5)
    wide = max(scale, 2.0 if coarse else 1.0)
    reach = FILTERS[filter_name].reach * wide
    first = np.clip(np.ceil(centres - reach), 0, count - 1).astype(int)
    last = np.clip(np.floor(centres + reach), first, count - 1).astype(int)
    blocks = []
    for start in range(0, size_px, block):
        stop = min(start + block, size_px)
        samples = slice(int(first[start]), int(last[stop - 1]) + 1)
        apart = np.arange(samples.start, samples.stop) - centres[start:stop, None]
        weights = _weights(apart, max(scale, 1.0), filter_name, _blur(scale))
        if coarse:
            every_second = slice((first_even - samples.start) % 2, None, 2)
            weights *= 1 - coarse
            weights[:, every_second] += coarse * _weights(apart[:, every_second], wide, filter_name, _blur(scale / 2))
        blocks.append(Taps(slice(start, stop), samples, weights.astype(np.float32)))
    return blocks


def _blur(scale: float) -> float:
    """Return how round the filter of an enlargement from `scale` samples a pixel is, 0 to 1; even in octaves."""
    return min(max(math.log(1 / (scale * _SHARP_PX)) / math.log(_ROUND_PX / _SHARP_PX), 0.0), 1.0)


def _weights(apart: np.ndarray, wide: float, filter_name: str, blur: float) -> np.ndarray:
    """Return weights that sum to one over samples at given distances [pixels, samples] from the pixels' centres."""
    weights = FILTERS[filter_name].weight(apart / wide, blur)
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


def from_the_top(blocks: list[Taps]) -> list[Taps]:
    """Return taps along a rising side as those of rows that are counted from the top, in their order."""
    size_px = blocks[-1].pixels.stop
    return [
        Taps(slice(size_px - t.pixels.stop, size_px - t.pixels.start), t.samples, np.ascontiguousarray(t.weights[::-1]))
        for t in reversed(blocks)
    ]


def filtered_rows(weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return float32 [..., pixels, columns]: rows of samples [..., rows, columns] weighted by [pixels, rows]."""
    out = np.empty((*samples.shape[:-2], len(weights), samples.shape[-1]), dtype=np.float32)
    step = max(16, _ONE_THREAD // weights.size)
    for start in range(0, samples.shape[-1], step):
        piece = slice(start, start + step)
        np.matmul(weights, samples[..., piece], out=out[..., piece])
    return out


def filtered_columns(samples: np.ndarray, blocks: list[Taps], first_sample: int = 0) -> np.ndarray:
    """Return float32 [rows, pixels of the blocks] of samples [rows, columns], the first of which has a given index."""
    start_px = blocks[0].pixels.start
    out = np.empty((len(samples), blocks[-1].pixels.stop - start_px), dtype=np.float32)
    for pixels, columns, weights in blocks:
        step = max(16, _ONE_THREAD // weights.size)
        read = samples[:, columns.start - first_sample : columns.stop - first_sample]
        into = out[:, pixels.start - start_px : pixels.stop - start_px]
        for start in range(0, len(samples), step):
            np.matmul(read[start : start + step], weights.T, out=into[start : start + step])
    return out


def to_pixels(samples: np.ndarray, box: Box, size_px: tuple[int, int], filter_name: str = "cubic") -> np.ndarray:
    """Return float32 pixels [height, width(, channels)], row 0 at the top, of samples [rows, columns(, channels)].

    samples: float32, row 0 lowest. box: the frame's edges in sample positions, sample (0, 0) at (0.0, 0.0).
    size_px: (width, height).
    """
    rows, columns = samples.shape[:2]
    channels = np.ascontiguousarray(samples.reshape(rows, columns, -1).transpose(2, 0, 1), dtype=np.float32)
    width, height = size_px
    across = taps(box.x0, box.x1, width, columns, filter_name)
    out = np.empty((len(channels), height, width), dtype=np.float32)
    for pixels, read, weights in from_the_top(taps(box.y0, box.y1, height, rows, filter_name)):
        tall = filtered_rows(weights, channels[:, read])
        out[:, pixels] = filtered_columns(tall.reshape(-1, columns), across).reshape(len(channels), -1, width)
    return out.transpose(1, 2, 0).reshape(height, width, *samples.shape[2:])
