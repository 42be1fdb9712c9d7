"""The loops of measuring and limiting flashes, compiled as those of `loops` are: over pixels, cells and time."""

from __future__ import annotations

import numpy as np

from render.picture import loops


@loops.compiled("u1[:, :, ::1]", "f8[::1]", "f8[::1]", "i8", "f8[:, :, ::1]")
def mean_cells(frame: np.ndarray, light: np.ndarray, weights: np.ndarray, side: int, out: np.ndarray) -> None:
    """Write means over squares of `side` pixels of a frame [height, width, 3] to `out` [rows, columns, 4].

    light: float64 [256], the linear light of a value; the first three means are those of it. weights: float64 [3], of
    the channels in the luminance, whose square has the fourth. Squares at the right and lower edge may be cut off.
    """
    height, width = frame.shape[:2]
    red, green, blue = weights[0], weights[1], weights[2]
    for row in range(out.shape[0]):
        rows = frame[row * side : min((row + 1) * side, height)]
        for column in range(out.shape[1]):
            first, last = column * side, min((column + 1) * side, width)
            r, g, b, square = 0.0, 0.0, 0.0, 0.0
            for y in range(rows.shape[0]):
                for x in range(first, last):
                    one, two, three = light[rows[y, x, 0]], light[rows[y, x, 1]], light[rows[y, x, 2]]
                    luminance = red * one + green * two + blue * three
                    r, g, b, square = r + one, g + two, b + three, square + luminance * luminance
            area = rows.shape[0] * (last - first)
            out[row, column, 0], out[row, column, 1] = r / area, g / area
            out[row, column, 2], out[row, column, 3] = b / area, square / area


@loops.compiled("f8[:, ::1]", "f8[:, ::1]", "f8[:, ::1]", "f8[:, ::1]", "f8", "f8", "b1[:, ::1]")
def turn(
    signal: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    way: np.ndarray,
    least: float,
    darkest: float,
    turned: np.ndarray,
) -> None:
    """Take the next signal of cells, float64 [rows, columns], and say in `turned` where it is an opposing change.

    low, high: the extremes since the last change that counted. way: that of the last change, 1, -1, or 0 before the
    first. All three are brought up to date in place. A change counts from `least` on, with a darker side below
    `darkest`.
    """
    for y in range(signal.shape[0]):
        for x in range(signal.shape[1]):
            here = signal[y, x]
            bottom, top, last = min(low[y, x], here), max(high[y, x], here), way[y, x]
            up = last <= 0 and here - bottom >= least and bottom < darkest
            down = not up and last >= 0 and top - here >= least and here < darkest
            now = 1.0 if up else -1.0 if down else last
            # On the way up the low does not count any more, and the other way about.
            low[y, x] = here if up or down or now > 0 else bottom
            high[y, x] = here if up or now < 0 else top
            way[y, x] = now
            turned[y, x] = up or down


@loops.compiled("f8[:, ::1]", "f8[:, ::1]", "f8[:, ::1]", "f8[:, :, ::1]")
def follow(signal: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """Write a signal of cells [rows, columns], interpolated linearly, at places of a grid that moves, to `out`.

    rows: float64 [steps, rows], columns: float64 [steps, columns], where the grid's rows and columns stand at each
    step, in cells; beyond the signal its ends go on. out: float64 [steps, rows, columns].
    """
    height, width = signal.shape
    near = np.empty(out.shape[2], dtype=np.int64)
    right_weight = np.empty(out.shape[2])
    for step in range(out.shape[0]):
        for x in range(out.shape[2]):
            place = min(max(columns[step, x], 0.0), width - 1.0)
            near[x] = min(np.int64(place), max(width - 2, 0))
            right_weight[x] = place - near[x]
        for y in range(out.shape[1]):
            place = min(max(rows[step, y], 0.0), height - 1.0)
            below = min(np.int64(place), max(height - 2, 0))
            up = place - below
            above = min(below + 1, height - 1)
            for x in range(out.shape[2]):
                left, right = near[x], min(near[x] + 1, width - 1)
                first = signal[below, left] + (signal[below, right] - signal[below, left]) * right_weight[x]
                last = signal[above, left] + (signal[above, right] - signal[above, left]) * right_weight[x]
                out[step, y, x] = first + (last - first) * up
