"""Where samples are too sparse for what they show, it is drawn as its mean light instead of as single grains.

Where neighbouring samples have nothing in common, each is one random draw from what lies between them. Interpolation
shows every draw as a blob of a dozen pixels, which is not in the landscape and flickers as the camera moves. The mean
of many samples is nearer to what denser ones would show. Where neighbours resemble each other there is a border or a
slope, which is drawn as sharp as it is. The two are distinguished by how much of the variance around a sample its
nearest neighbours have in common with it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt16

from render.picture.resample import Taps

# Of tiles of four previews, against samples two to eight times as dense at each of 5 to 10 depths, these gain, at 1, 2
# and 4 pixels a sample, 3.5, 4.4 and 2.3 dB on noise (mean_lr), 2.0, 1.8 and 0.4 on filaments (tanh), and 1.5, 0.9 and
# 0.0 on single filaments (single). The constants were chosen on the same tiles, of some twenty sets. A ramp up to 1.1
# over a smaller window gains up to 0.2 dB more on filaments, and leaves noise in patches. Interpolated tones instead of
# light lose 1.9 dB and more on mandelbrot and on white noise, where alone they were tried.

# From the first value on a level is drawn partly as a mean, from the second on entirely. They are the mean squared
# difference between neighbours, as a share of that between samples that have nothing in common.
_BEGIN, _FULL = 0.6, 0.9

# The standard deviation of the Gaussian window that is the surroundings of a sample, in samples; and how much wider
# than a B-spline the filter is that takes means.
_AROUND = 2.3
WIDEN = 2.5

# The side of the square, in samples, within which variances are compared, and the share of the largest of them below
# which a variance has no effect.
_REACH, _FAINT = 13, 0.15

# How far the filter of all other samples is from Keys' cubic towards the B-spline, at least.
LEAST_BLUR = 0.5

# With the first number of samples a pixel (linear) or more, a film shows grains as they are: of three pixels at most.
# With the second or fewer, as in all presets below hd, it shows means only.
_DENSE, _SPARSE = 0.33, 0.2


class Rough(NamedTuple):
    """How much of each sample of a layer is drawn as a mean, and how pixels read that and the means.

    mean_weights: float32 [rows, columns], 0 to 1, row 0 lowest. rows, columns: of `mean_weights`. wide_rows,
    wide_columns: of the samples, by the wide filter.
    """

    mean_weights: np.ndarray
    rows: Taps
    columns: Taps
    wide_rows: Taps
    wide_columns: Taps


def strength(detail: float) -> float:
    """Return how far a film of this many samples a pixel (linear) draws means instead of grains, 0 to 1."""
    return min(max(math.log(_DENSE / detail) / math.log(_DENSE / _SPARSE), 0.0), 1.0)


def mean_weights(
    codes: UInt16[np.ndarray, "row column"],
    table: Float32[np.ndarray, "code 4"],
    coarse: float,
    first_even: tuple[int, int],
    known: tuple[np.ndarray, np.ndarray],
) -> Float32[np.ndarray, "row column"]:
    """Return how much of each sample is to be drawn as a mean, 0 to 1.

    codes: of a level's samples, 0 where there is none. table: the linear light of each code. coarse: how much of that
    follows from every second sample alone, from number first_even (row, column) on, as where a level comes in.
    known: how much the samples of each row and column count: see `known_around`.
    """
    light = table[codes, :3]
    counts = ((codes > 0) * known[0][:, None] * known[1]).astype(np.float32)
    every_sample = _mean_weights_of(light, counts)
    if not coarse:
        return every_sample
    row, column = first_even
    seconds = _mean_weights_of(light[row::2, column::2], counts[row::2, column::2])
    if seconds.size == 0:  # a level that ends at the frame's edge may show a single row, which its parent does not have
        return every_sample
    between_seconds = _between(_between(seconds, row, len(codes)).T, column, codes.shape[1]).T
    mixed: np.ndarray = every_sample + np.float32(coarse) * (between_seconds - every_sample)
    return np.ascontiguousarray(mixed, dtype=np.float32)


def known_around(low: float, high: float, count: int, coarse: float) -> np.ndarray:
    """Return how much each of `count` samples counts whose frame begins and ends at these positions, float64 [count].

    A frame has samples as far beyond its ends as the usual filters read: two, or four where a level comes in. One that
    enters there as the camera moves begins with a weight of 0, or the picture would jump.
    """
    beyond = np.maximum(np.maximum(low - np.arange(count), np.arange(count) - high), 0.0)
    counts: np.ndarray = np.maximum(1 - beyond / (2 * (1 + coarse)), 0.0)
    return counts


def _mean_weights_of(
    light: Float32[np.ndarray, "row column 3"], known: Float32[np.ndarray, "row column"]
) -> Float32[np.ndarray, "row column"]:
    from scipy.ndimage import gaussian_filter, maximum_filter  # loaded where something is drawn

    def around(part: np.ndarray) -> np.ndarray:
        taken: np.ndarray = gaussian_filter(part, _AROUND, mode="nearest")
        return taken

    if min(known.shape) < 2 or not known.any():
        return np.zeros(known.shape, dtype=np.float32)
    weight = np.maximum(around(known), np.float32(1e-6))
    planes = np.moveaxis(light, -1, 0)
    squares = around(known * (planes**2).sum(axis=0)) / weight
    variance = squares - sum((around(known * plane) / weight) ** 2 for plane in planes)
    differences, pairs = np.zeros_like(known), np.zeros_like(known)
    for axis in (0, 1):
        low, high = (np.take(known, range(a, known.shape[axis] - 1 + a), axis) for a in (0, 1))
        both = low * high
        squares = both * (np.diff(planes, axis=axis + 1) ** 2).sum(axis=0)
        for parts, added in ((differences, squares), (pairs, both)):
            for at in (slice(None, -1), slice(1, None)):
                parts[(at, slice(None)) if axis == 0 else (slice(None), at)] += added
    apart = around(differences) / np.maximum(around(pairs), np.float32(1e-6))
    rough = apart / np.maximum(2 * variance, np.float32(1e-6))
    grainy = np.clip((rough - np.float32(_BEGIN)) / np.float32(_FULL - _BEGIN), 0.0, 1.0)
    # Where a window only just reaches a border, what little varies in it is all between neighbours.
    most = np.maximum(maximum_filter(variance * known, _REACH), np.float32(1e-6))
    faded: np.ndarray = grainy * np.clip((variance / most - np.float32(_FAINT)) / np.float32(_FAINT), 0.0, 1.0)
    return faded


def _between(values: Float32[np.ndarray, "row column"], first: int, count: int) -> Float32[np.ndarray, "row2 column"]:
    """Return values of every second row, from number `first` on, linearly interpolated to all of `count` rows."""
    at = np.clip((np.arange(count) - first) / 2, 0, len(values) - 1)
    below = np.minimum(at.astype(int), max(len(values) - 2, 0))
    above = np.minimum(below + 1, len(values) - 1)
    up = (at - below).astype(np.float32)[:, None]
    between: np.ndarray = values[below] + (values[above] - values[below]) * up
    return between
