"""A curve through points that never overshoots them: the monotone piecewise cubic of Fritsch and Butland (1984).

It agrees with SciPy's PchipInterpolator to the last bit or two (tests/test_monotone.py). Importing SciPy's takes half
a second, and a film whose samples are all stored starts in two to three seconds.
"""

from __future__ import annotations

import numpy as np


class MonotoneCubic:
    """A function of one variable. Beyond the first and the last point the outermost cubics are continued."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        """x: float64 [points], at least two, strictly rising. y: float64 [points] or [points, values]."""
        if x.ndim != 1 or len(x) < 2 or len(x) != len(y) or not (np.diff(x) > 0).all():
            raise ValueError(f"x must rise strictly, at two or more points of y, not {x.tolist()} for {len(y)} points")
        steps = np.diff(x).reshape(-1, *(1,) * (y.ndim - 1))
        slopes = np.diff(y, axis=0) / steps
        at_points = _slopes_at_points(steps, slopes)
        bend = (at_points[:-1] + at_points[1:] - 2 * slopes) / steps
        self._x = x
        self._pieces = y[:-1], at_points[:-1], (slopes - at_points[:-1]) / steps - bend, bend / steps

    def __call__(self, at: float | np.ndarray) -> np.ndarray:
        """Return the values at `at`: float64 of the shape of `at`, followed by the shape of one value."""
        at = np.asarray(at, dtype=float)
        piece = np.searchsorted(self._x[1:-1], at, side="right")
        constant, linear, square, cube = (part[piece] for part in self._pieces)
        way = np.reshape(at - self._x[piece], (*at.shape, *(1,) * (constant.ndim - at.ndim)))
        value: np.ndarray = constant + linear * way + square * (way * way) + cube * (way * way * way)
        return value


def _slopes_at_points(steps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return the slope at each point, given the slopes of the chords between the points.

    The slope at an inner point is the weighted harmonic mean of the slopes of both chords, or 0 where only one of them
    rises. At an end it is the slope of the parabola through three points, limited so that the curve stays monotone.
    """
    if len(slopes) == 1:
        return np.concatenate([slopes, slopes])
    before, after = slopes[:-1], slopes[1:]
    weights = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    turns = (np.sign(before) != np.sign(after)) | (before == 0) | (after == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weights[0] / before + weights[1] / after) / (weights[0] + weights[1])
        inside = np.where(turns, 0.0, 1.0 / mean)
    first = _slope_at_end(steps[0], steps[1], slopes[0], slopes[1])
    last = _slope_at_end(steps[-1], steps[-2], slopes[-1], slopes[-2])
    return np.concatenate([first[None], inside, last[None]])


def _slope_at_end(step: np.ndarray, next_step: np.ndarray, slope: np.ndarray, next_slope: np.ndarray) -> np.ndarray:
    parabola = ((2 * step + next_step) * slope - step * next_slope) / (step + next_step)
    steep = (np.sign(slope) != np.sign(next_slope)) & (np.abs(parabola) > 3 * np.abs(slope))
    return np.where(np.sign(parabola) != np.sign(slope), 0.0, np.where(steep, 3 * slope, parabola))
