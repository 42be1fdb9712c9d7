"""Detection of flashes in a film: the general and red flash thresholds of WCAG 2.3.1, over its frames as they are made.

A flash is a pair of opposing changes of relative luminance of a tenth of the display's range or more, where the darker
side is below 0.8; or of saturated red. More than three within a second, over more than a quarter of any ten degrees of
view, may cause seizures. As WCAG does, ten degrees are taken as 341 x 256 pixels of a display of 1024 x 768.

A fine, balanced pattern, such as white noise of squares below a tenth of a degree, is exempt. A cell of the grid that
is measured holds ten such squares, and their mean still moves: what of the difference between neighbouring cells is no
more than the variance inside of them explains is taken for such a pattern, and left out.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from render.picture import flash_loops, palettes

# Cells along a frame's longer side: a field of ten degrees is then 32 x 24 cells of a 4:3 frame.
_CELLS = 96
_FIELD = (24, 32)  # rows, columns of cells
_SHARE = 0.25
_MOST_FLASHES = 3

# Squares of a tenth of a degree in a cell. Over how many cells to a side the variance between cells is taken: enough to
# estimate it, and less than a field. An estimate from so many is off by less than this factor, two standard errors.
_SQUARES = (100 / _FIELD[1]) ** 2
_AROUND = 7
_UNSURE = 1 + 2 * (2 / (_AROUND**2 - 1)) ** 0.5

# Of linear light, Rec. 709.
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


class Rule(NamedTuple):
    """The rule for a change of a signal: by `least` or more, where the darker side is below `darkest`."""

    least: float
    darkest: float


RULES = {"light": Rule(0.1, 0.8), "red": Rule(20.0, np.inf)}


class Stretch(NamedTuple):
    """A part of a film that flashes: seconds from its start, and what does ("light" or "red")."""

    first_s: float
    last_s: float
    kind: str


class Meter:
    """Counts flashes in the frames of a film, given in order."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._kinds = {kind: Swings(fps, rule) for kind, rule in RULES.items()}
        self._runs: dict[str, list[list[int]]] = {kind: [] for kind in self._kinds}
        self._frame = 0

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame: uint8 or uint16 sRGB [height, width, 3]."""
        cells, squares = _cells(frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8))
        signal = signals(cells, squares)
        for kind, swings in self._kinds.items():
            if _covers_a_field(swings.add(signal[kind]) > 2 * _MOST_FLASHES):
                runs = self._runs[kind]
                if runs and runs[-1][1] == self._frame - 1:
                    runs[-1][1] = self._frame
                else:
                    runs.append([self._frame, self._frame])
        self._frame += 1

    def state(self) -> dict[str, np.ndarray]:
        """Return what a meter that goes on from here needs of the frames so far: arrays by name."""
        arrays = {"frame": np.array(self._frame)}
        for kind, swings in self._kinds.items():
            arrays |= {f"{kind}_{name}": array for name, array in swings.state().items()}
            arrays[f"{kind}_runs"] = np.array(self._runs[kind], dtype=int).reshape(-1, 2)
        return arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state, in place of all frames so far."""
        self._frame = int(state["frame"])
        for kind, swings in self._kinds.items():
            swings.restore({name: state[f"{kind}_{name}"] for name in swings.state()})
            self._runs[kind] = [[int(first), int(last)] for first, last in state[f"{kind}_runs"]]

    def stretches(self) -> list[Stretch]:
        """Return where the film flashes, in order; the second before each frame counts to it."""
        stretches = [
            Stretch(max(0.0, first / self._fps - 1), last / self._fps, kind)
            for kind, runs in self._runs.items()
            for first, last in runs
        ]
        merged: list[Stretch] = []
        for stretch in sorted(stretches, key=lambda one: (one.kind, one.first_s)):
            if merged and merged[-1].kind == stretch.kind and stretch.first_s <= merged[-1].last_s:
                merged[-1] = merged[-1]._replace(last_s=stretch.last_s)
            else:
                merged.append(stretch)
        return sorted(merged)

    def warning(self) -> str | None:
        """Return a sentence that says when the film flashes, or None if it does not."""
        stretches = self.stretches()
        if not stretches:
            return None
        times = ", ".join(
            f"{s.first_s:.1f} to {s.last_s:.1f} s{' (red)' if s.kind == 'red' else ''}" for s in stretches[:8]
        )
        more = f" and {len(stretches) - 8} more" if len(stretches) > 8 else ""
        return (
            f"the film flashes more than three times a second at {times}{more} (WCAG 2.3.1), which can cause seizures. "
            "Zoom more slowly, or choose a palette with less contrast."
        )


class Swings:
    """The number of times that each cell's signal turned within the last second, by a rule."""

    def __init__(self, fps: float, rule: Rule) -> None:
        self._rule = rule
        self._recent: deque[np.ndarray] = deque(maxlen=max(1, round(fps)))
        self._low = self._high = np.empty(0)
        self._way = self._total = np.empty(0)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen so far, as far as it matters for what is to come."""
        recent = np.stack(self._recent) if self._recent else np.empty((0, *self._way.shape), dtype=bool)
        return {
            "low": self._low,
            "high": self._high,
            "way": self._way,
            "total": self._total,
            "recent": recent,
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state."""
        self._low, self._high = state["low"].copy(), state["high"].copy()
        self._way, self._total = state["way"].copy(), state["total"].copy()
        self._recent.clear()
        self._recent.extend(state["recent"])

    def add(self, signal: np.ndarray) -> np.ndarray:
        """Take the next signal of every cell; return the opposing changes within the last second, of every cell."""
        turned = self.turned(signal)
        if not self._recent:
            self._total = np.zeros(signal.shape, dtype=int)
        if len(self._recent) == self._recent.maxlen:
            self._total -= self._recent[0]
        self._recent.append(turned)
        self._total += turned
        return self._total

    def turned(self, signal: np.ndarray) -> Bool[np.ndarray, "row column"]:
        """Take the next signal of every cell; return of which it is an opposing change, by as much as counts."""
        if not self._way.size:
            self._low, self._high = signal.copy(), signal.copy()
            self._way = np.zeros(signal.shape)
        turned = np.empty(signal.shape, dtype=bool)
        flash_loops.turn(signal, self._low, self._high, self._way, *self._rule, turned)
        return turned


def cell_side(width_px: int, height_px: int) -> int:
    """Return the side of the cells that a frame is measured on, in pixels."""
    return max(1, max(width_px, height_px) // _CELLS)


def luminance(cells: Float[np.ndarray, "*cell channel"]) -> Float[np.ndarray, "*cell"]:
    """Return the relative luminance of linear light, whose last axis is red, green, blue."""
    light: np.ndarray = cells @ _LUMINANCE
    return light


def signals(
    cells: Float64[np.ndarray, "row column 3"], squares: Float64[np.ndarray, "row column"]
) -> dict[str, np.ndarray]:
    """Return what the rules are about, by their names: float64 [rows, columns].

    cells: mean linear light of each cell. squares: mean of the square of its luminance.
    """
    light = luminance(cells)
    calm = _without_fine_patterns(light, np.maximum(squares - light**2, 0.0))
    # A pattern that is exempt is so in any colour.
    left = np.where(light > 0, calm / np.maximum(light, 1e-9), 1.0)
    red, green, blue = np.moveaxis(cells, -1, 0)
    saturated = red >= 0.8 * np.maximum(red + green + blue, 1e-6)
    return {"light": calm, "red": np.where(saturated, np.maximum(red - green - blue, 0.0) * 320 * left, 0.0)}


def _without_fine_patterns(
    light: Float64[np.ndarray, "row column"], inside: Float64[np.ndarray, "row column"]
) -> Float64[np.ndarray, "row column"]:
    """Return the luminance of cells without what fine, balanced patterns explain; inside: its variance in each cell."""
    from scipy.ndimage import uniform_filter  # loaded where a film is measured

    mean, square, fine = (uniform_filter(part, _AROUND, mode="nearest") for part in (light, light**2, inside))
    between = np.maximum(square - mean**2, 1e-12)
    more = np.maximum(0.0, 1 - _UNSURE * fine / (_SQUARES - 1) / between)
    calm: np.ndarray = mean + (light - mean) * more
    return calm


def cells_of_light(linear: Float[np.ndarray, "3 row column"]) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame's mean linear light, float64 [rows, columns, 3], and mean square of luminance, on its cells."""
    height, width = linear.shape[1:]
    side = cell_side(width, height)
    light = np.tensordot(_LUMINANCE.astype(np.float32), linear, axes=1)
    parts = np.concatenate([linear, light[None] ** 2])
    for axis, count in ((1, height), (2, width)):
        starts = np.arange(0, count, side)
        lengths = np.minimum(starts + side, count) - starts
        parts = np.add.reduceat(parts, starts, axis=axis, dtype=float) / (lengths[:, None] if axis == 1 else lengths)
    return np.moveaxis(parts[:3], 0, -1), parts[3]


def _cells(frame: UInt8[np.ndarray, "row column 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of a frame as it is encoded."""
    height, width = frame.shape[:2]
    side = cell_side(width, height)
    means = np.empty((-(-height // side), -(-width // side), 4))
    flash_loops.mean_cells(np.ascontiguousarray(frame), _light_table(), _LUMINANCE, side, means)
    return means[..., :3], means[..., 3]


@functools.cache
def _light_table() -> Float64[np.ndarray, "value"]:
    table: np.ndarray = palettes.linear_from_srgb(np.arange(256) / 255)
    return table


def field_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the rows and columns of cells of ten degrees of view, or of the whole frame where it is smaller."""
    return min(_FIELD[0], shape[0]), min(_FIELD[1], shape[1])


def _covers_a_field(flashing: Bool[np.ndarray, "row column"]) -> bool:
    """Return whether more than a quarter of any ten degrees of view flashes."""
    from scipy.ndimage import uniform_filter  # loaded where something flashes

    if not flashing.any():
        return False
    return bool(uniform_filter(flashing.astype(float), field_shape(flashing.shape), mode="constant").max() > _SHARE)
