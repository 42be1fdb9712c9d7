"""Lowers contrast where a film would flash, by what the camera's movement shows around a frame's time.

A camera moves a picture as a whole. So what a point of the screen showed a second ago, and will show within the next,
is found in the frame itself, along the way on which the camera moves the picture past that point. Where light would
swing more often than WCAG 2.3.1 allows, the cells of the frame (those that `flash` measures) go towards their own mean
along that way; what is finer than cells stays. A frame needs no other frame for it, and no further sample.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from render.picture import flash, flash_loops

# Opposing changes a second along the way, smoothed over a second before and after the frame: from the first value on
# cells are limited partly, from the second on fully. The threshold of WCAG is six; smoothing makes the number rise
# earlier and end later.
_BEGIN, _FULL = 4.25, 5.75

# The share of a field of ten degrees that changes so often; WCAG allows a quarter.
_BEGIN_SHARE, _FULL_SHARE = 0.12, 0.2

# What is left of the swings of a fully limited cell, from the lowest to the highest relative luminance; and how many
# standard deviations that usually is.
_LEFT, _DEVIATIONS = 0.08, 3.5

# The standard deviation, in cells, over which the limitation is smoothed: a single limited cell would be visible.
_SMOOTH = 1.0


class Passing(NamedTuple):
    """The motion of the picture past the points of the screen, in even steps of time around a frame.

    moves: float64 [steps, 3], scale, right and up: at each step, a point of the screen shows what the frame shows at
    scale times its distance from the middle, plus (right, up), all in widths of the frame. rate: steps a second. The
    frame itself stands in the middle.
    """

    moves: np.ndarray
    rate: float

    @property
    def rests(self) -> bool:
        """Return whether the camera does not move at all."""
        return bool((self.moves == np.array([1.0, 0.0, 0.0])).all())


class Correction:
    """The correction of the cells of a frame that prevents a flash, spread smoothly over its pixels."""

    def __init__(self, cells: Float32[np.ndarray, "3 row column"], size_px: tuple[int, int]) -> None:
        """cells: by how much the mean of each cell is to change, in linear light. size_px: (width, height)."""
        side = flash.cell_side(*size_px)
        self._rows, rows = _spread(size_px[1], cells.shape[1], side)
        self._columns, columns = _spread(size_px[0], cells.shape[2], side)
        # Spread over pixels and averaged over cells again, a change of the cells comes out smaller and wider.
        amplified = np.einsum("ij,cjk->cik", rows, cells.astype(float))
        self._cells = np.einsum("cik,lk->cil", amplified, columns).astype(np.float32)

    def add(self, linear: Float32[np.ndarray, "3 row column"], rows: slice) -> None:
        """Add it to a band of the frame, which has these rows from the top, in place."""
        near, far, far_weight = (part[rows] for part in self._rows)
        band = self._cells[:, near] * (1 - far_weight)[None, :, None] + self._cells[:, far] * far_weight[None, :, None]
        near, far, far_weight = self._columns
        linear += band[:, :, near] * (1 - far_weight) + band[:, :, far] * far_weight
        np.clip(linear, 0.0, 1.0, out=linear)


def correction(linear: Float32[np.ndarray, "3 row column"], passing: Passing) -> Correction | None:
    """Return what keeps a frame, given in linear light, from flashing; None where nothing does."""
    size_px = linear.shape[2], linear.shape[1]
    cells, squares = flash.cells_of_light(linear)
    signals = flash.signals(cells, squares)
    way = _Way.of(passing, size_px, (cells.shape[0], cells.shape[1]))
    strength = np.zeros(cells.shape[:2])
    for kind, signal in signals.items():
        rule = flash.RULES[kind]
        if np.ptp(signal) >= rule.least:
            strength = np.maximum(strength, _strength(passing.rate * way.changes(signal, rule)))
    if not strength.any():
        return None
    mean = np.stack([way.mean(part) for part in np.moveaxis(cells, -1, 0)], axis=-1)
    luminance = flash.luminance(cells)
    variance = way.mean(luminance**2) - way.mean(luminance) ** 2
    kept = np.minimum(1.0, _LEFT / (_DEVIATIONS * np.sqrt(np.maximum(variance, 1e-12))))
    change = (strength * (1 - kept))[..., None] * (mean - cells)
    return Correction(np.moveaxis(change, -1, 0).astype(np.float32), size_px)


class _Way(NamedTuple):
    """The way past each cell of a frame.

    rows: float64 [steps, rows], columns: float64 [steps, columns], where it leads, in cells. weights: float64 [steps,
    rows, columns], those of a Hann window over the time, 1 in sum; what leaves the frame has none.
    """

    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, passing: Passing, size_px: tuple[int, int], shape: tuple[int, int]) -> _Way:
        """Return the ways past the cells of a frame, of which there are so many rows and columns."""
        width, height = size_px
        side = flash.cell_side(*size_px)
        down = np.minimum((np.arange(shape[0]) + 0.5) * side, height) - height / 2
        right = np.minimum((np.arange(shape[1]) + 0.5) * side, width) - width / 2
        scale, dx, dy = (part[:, None] for part in passing.moves.T)
        y = scale * down - dy * width + height / 2
        x = scale * right + dx * width + width / 2
        inside = ((y >= 0) & (y <= height))[:, :, None] & ((x >= 0) & (x <= width))[:, None, :]
        weights = np.hanning(len(passing.moves) + 2)[1:-1, None, None] * inside
        return cls(y / side - 0.5, x / side - 0.5, weights / weights.sum(axis=0))

    def _follow(self, signal: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "step row column"]:
        followed = np.empty(self.weights.shape)
        flash_loops.follow(np.ascontiguousarray(signal), self.rows, self.columns, followed)
        return followed

    def changes(self, signal: Float64[np.ndarray, "row column"], rule: flash.Rule) -> np.ndarray:
        """Return how often a signal turns along each way: opposing changes a step, near the frame counting most."""
        swings = flash.Swings(1.0, rule)
        turned = np.stack([swings.turned(here) for here in self._follow(signal)])
        return self._weighted(turned.astype(float))

    def mean(self, signal: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row column"]:
        """Return the mean of a signal along each way."""
        return self._weighted(self._follow(signal))

    def _weighted(self, along: np.ndarray) -> np.ndarray:
        mean: np.ndarray = np.einsum("srk,srk->rk", self.weights, along)
        return mean


def _strength(often: np.ndarray) -> Float64[np.ndarray, "row column"]:
    """Return how far each cell is limited, 0 to 1: where it and enough of the field around it change too often."""
    from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter

    each = _ramp(often, _BEGIN, _FULL)
    if not each.any():
        return each
    size = flash.field_shape(each.shape)
    flashing = maximum_filter(uniform_filter(each, size, mode="constant"), size)
    limited: np.ndarray = gaussian_filter(each, _SMOOTH, mode="nearest") * _ramp(flashing, _BEGIN_SHARE, _FULL_SHARE)
    return limited


def _ramp(x: np.ndarray, begin: float, full: float) -> np.ndarray:
    """Return 0 up to `begin`, 1 from `full` on, and in between a way without corners."""
    t = np.clip((x - begin) / (full - begin), 0.0, 1.0)
    smooth: np.ndarray = t * t * (3 - 2 * t)
    return smooth


@functools.lru_cache(maxsize=8)
def _spread(count_px: int, cells: int, side: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return how pixels along one side read cells, and the inverse of what that does to the means of cells.

    The first: index of the cell before each pixel and after it, and the weight of the latter, float32 [pixels].
    """
    at = np.clip((np.arange(count_px) + 0.5) / side - 0.5, 0.0, cells - 1)
    near = np.minimum(at.astype(int), max(cells - 2, 0))
    far = np.minimum(near + 1, cells - 1)
    far_weight = (at - near).astype(np.float32)
    spread = np.zeros((cells, cells))
    cell = np.arange(count_px) // side
    np.add.at(spread, (cell, near), 1 - far_weight)
    np.add.at(spread, (cell, far), far_weight)
    spread /= spread.sum(axis=1, keepdims=True)
    return (near, far, far_weight), np.linalg.inv(spread)
