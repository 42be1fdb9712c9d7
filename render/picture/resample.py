"""From samples on a lattice to pixels of a frame: separable filters, as the samples that each pixel reads and weights.

A filter is widened to the pixel where samples are denser than pixels (reduction), and interpolates where they are
sparser (enlargement). `loops` applies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from render.picture import loops

# How far an enlargement goes from Keys' cubic, which is sharp and interpolates, to the B-spline, which is round and
# never overshoots: not at all up to two pixels a sample, wholly from eight on. Sharp blocks of that size are no detail.
# Against a render at detail 4 it gains 1.8 dB at detail 0.08, 1.4 at 0.12, 0.5 at 0.18 and 0.25 at 0.3.
_SHARP_PX, _ROUND_PX = 2.0, 8.0


def _cubic(blur: float) -> np.ndarray:
    """The cubics of Mitchell and Netravali (1988), B = blur, C = (1 - B) / 2: Keys' (a = -0.5) at 0, B-spline at 1."""
    b, c = blur, (1 - blur) / 2
    near = 6 - 2 * b, 0.0, -18 + 12 * b + 6 * c, 12 - 9 * b - 6 * c
    far = 8 * b + 24 * c, -12 * b - 48 * c, 6 * b + 30 * c, -b - 6 * c
    return np.array([near, far]) / 6


def _linear(blur: float) -> np.ndarray:
    return np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


class Filter(NamedTuple):
    """pieces: given how much it blurs, 0 to 1, coefficients float64 [2, 4] (constant first) of the cubics that weight
    distances, in samples or, where it is a reduction, in pixels, of 0 to 1 and of 1 to 2. Zero from `reach` on."""

    pieces: Callable[[float], np.ndarray]
    reach: float


FILTERS = {
    # Keys' cubic, a = -0.5 (Catmull-Rom): sharp in both directions, with a negligible ring in linear light. Round where
    # it enlarges much.
    "cubic": Filter(_cubic, 2.0),
    # Never overshoots: for weights, which must stay within 0 and 1.
    "linear": Filter(_linear, 1.0),
}


class Taps(NamedTuple):
    """The samples that the pixels along one side read: equally many for each, from `first` on, with `weights`.

    first: int64 [pixels], rising. weights: float32 [pixels, taps], 1 in sum.
    """

    first: np.ndarray
    weights: np.ndarray

    def of(self, pixels: slice) -> Taps:
        """Return those of some neighbouring pixels."""
        return Taps(self.first[pixels], self.weights[pixels])

    def span(self) -> slice:
        """Return the samples that any of the pixels reads."""
        return slice(int(self.first[0]), int(self.first[-1]) + self.weights.shape[1])


def taps(
    low: float,
    high: float,
    size_px: int,
    count: int,
    filter_name: str = "cubic",
    *,
    coarse: float = 0.0,
    first_even: int = 0,
    widen: float = 1.0,
    least_blur: float = 0.0,
    known: np.ndarray | None = None,
) -> Taps:
    """Return what `size_px` pixels between two positions on a lattice of `count` samples read.

    low, high: the frame's edges in sample positions, sample 0 at 0.0. Beyond the lattice the outermost samples go on.
    coarse: weight of the filter on every second sample alone, from number first_even on; the rest is that on all. Where
    the lattice ends before that number, which only one of a single sample does, the filter on all has all the weight.
    widen: by how much the filter is wider than usual; it is the roundest of its kind then. least_blur: how round it is
    at least, 0 to 1. known: float [count], how much each sample counts beside the filter's own weight; 1 for None.
    """
    if first_even >= count:
        coarse = 0.0
    scale = (high - low) / size_px
    centres = np.clip(low + (np.arange(size_px) + 0.5) * scale, -0.5, count - 0.5)
    wide = max(scale, 2.0 if coarse else 1.0) * widen
    reach = FILTERS[filter_name].reach * wide
    first = np.clip(np.ceil(centres - reach), 0, count - 1).astype(np.int64)
    last = np.clip(np.floor(centres + reach), first, count - 1).astype(np.int64)
    most = int((last - first).max()) + 1
    first = np.minimum(first, count - most)
    weights = np.zeros((size_px, most))
    pieces = FILTERS[filter_name].pieces
    least_blur = 1.0 if widen > 1 else least_blur
    blurs = [max(_blur(scale / step), least_blur) for step in (1, 2)]
    loops.add_weights(weights, centres, first, pieces(blurs[0]), max(scale, 1.0) * widen, 1.0 - coarse, 1, 0)
    if coarse:
        loops.add_weights(weights, centres, first, pieces(blurs[1]), wide, coarse, 2, first_even)
    if known is not None:
        weights *= known[first[:, None] + np.arange(most)]
        weights /= weights.sum(axis=1, keepdims=True)
    return Taps(first, weights.astype(np.float32))


def _blur(scale: float) -> float:
    """Return how round the filter of an enlargement from `scale` samples a pixel is, 0 to 1; even in octaves."""
    return min(max(math.log(1 / (scale * _SHARP_PX)) / math.log(_ROUND_PX / _SHARP_PX), 0.0), 1.0)
