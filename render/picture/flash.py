"""Whether a film flashes: the general and red flash thresholds of WCAG 2.3.1, over its frames as they are made.

A flash is a pair of opposing changes of relative luminance of a tenth of the display's range or more, where the darker
side is below 0.8; or of saturated red. More than three within a second, over more than a quarter of any ten degrees of
view, may cause seizures. As WCAG does, ten degrees are taken as 341 x 256 pixels of a display of 1024 x 768.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from render.picture import loops, palettes

# Cells along a frame's longer side: a field of ten degrees is then 32 x 24 cells of a 4:3 frame.
_CELLS = 96
_FIELD = (24, 32)  # rows, columns of cells
_SHARE = 0.25
_MOST_FLASHES = 3


class Stretch(NamedTuple):
    """A part of a film that flashes: seconds from its start, and what does ("light" or "red")."""

    first_s: float
    last_s: float
    kind: str


class Meter:
    """Counts flashes in the frames of a film, given in order."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._kinds = {"light": _Swings(fps, 0.1, 0.8), "red": _Swings(fps, 20.0, np.inf)}
        self._found: dict[str, list[list[int]]] = {kind: [] for kind in self._kinds}
        self._frame = 0

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame: uint8 or uint16 sRGB [height, width, 3]."""
        cells = _cells(frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8))
        luminance = cells @ np.array([0.2126, 0.7152, 0.0722])
        red, green, blue = np.moveaxis(cells, -1, 0)
        saturated = red >= 0.8 * np.maximum(red + green + blue, 1e-6)
        signal = {"light": luminance, "red": np.where(saturated, np.maximum(red - green - blue, 0.0) * 320, 0.0)}
        for kind, swings in self._kinds.items():
            if _covers_a_field(swings.add(signal[kind]) > 2 * _MOST_FLASHES):
                runs = self._found[kind]
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
            arrays[f"{kind}_runs"] = np.array(self._found[kind], dtype=int).reshape(-1, 2)
        return arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state, in place of all frames so far."""
        self._frame = int(state["frame"])
        for kind, swings in self._kinds.items():
            swings.restore({name: state[f"{kind}_{name}"] for name in swings.state()})
            self._found[kind] = [[int(first), int(last)] for first, last in state[f"{kind}_runs"]]

    def stretches(self) -> list[Stretch]:
        """Return where the film flashes, in order; the second before each frame counts to it."""
        found = [
            Stretch(max(0.0, first / self._fps - 1), last / self._fps, kind)
            for kind, runs in self._found.items()
            for first, last in runs
        ]
        merged: list[Stretch] = []
        for stretch in sorted(found, key=lambda one: (one.kind, one.first_s)):
            if merged and merged[-1].kind == stretch.kind and stretch.first_s <= merged[-1].last_s:
                merged[-1] = merged[-1]._replace(last_s=stretch.last_s)
            else:
                merged.append(stretch)
        return sorted(merged)

    def warning(self) -> str | None:
        """Return a sentence that says when the film flashes, or None if it does not."""
        found = self.stretches()
        if not found:
            return None
        times = ", ".join(
            f"{s.first_s:.1f} to {s.last_s:.1f} s{' (red)' if s.kind == 'red' else ''}" for s in found[:8]
        )
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        return (
            f"the film flashes more than three times a second at {times}{more} (WCAG 2.3.1), which can cause seizures. "
            "Zoom more slowly, or choose a palette with less contrast."
        )


class _Swings:
    """How often each cell's signal turned within the last second, by at least a threshold."""

    def __init__(self, fps: float, threshold: float, darkest: float) -> None:
        self._threshold, self._darkest = threshold, darkest
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
        if not self._way.size:
            self._low, self._high = signal.copy(), signal.copy()
            self._way = np.zeros(signal.shape)
            self._total = np.zeros(signal.shape, dtype=int)
        # The extremes since the last change that counted; a change back from them by the threshold is the next.
        np.minimum(self._low, signal, out=self._low)
        np.maximum(self._high, signal, out=self._high)
        up = (signal - self._low >= self._threshold) & (self._low < self._darkest) & (self._way <= 0)
        down = (self._high - signal >= self._threshold) & (signal < self._darkest) & (self._way >= 0) & ~up
        self._way = np.where(up, 1.0, np.where(down, -1.0, self._way))
        turned = up | down
        # On the way up the low does not count any more, and the other way about.
        self._low = np.where(turned | (self._way > 0), signal, self._low)
        self._high = np.where(up | (self._way < 0), signal, self._high)
        if len(self._recent) == self._recent.maxlen:
            self._total -= self._recent[0]
        self._recent.append(turned)
        self._total += turned
        return self._total


def _cells(frame: UInt8[np.ndarray, "row column 3"]) -> np.ndarray:
    """Return a frame's mean colours on a coarse grid: linear light, float64 [rows, columns, 3]."""
    height, width = frame.shape[:2]
    side = max(1, max(width, height) // _CELLS)
    means = np.empty((-(-height // side), -(-width // side), 3))
    loops.mean_cells(np.ascontiguousarray(frame), side, means)
    return palettes.linear_from_srgb(means / 255)


def _covers_a_field(flashing: Bool[np.ndarray, "row column"]) -> bool:
    """Say whether more than a quarter of any ten degrees of view flashes."""
    from scipy.ndimage import uniform_filter  # loaded where something flashes

    if not flashing.any():
        return False
    size = tuple(min(a, b) for a, b in zip(_FIELD, flashing.shape, strict=True))
    return bool(uniform_filter(flashing.astype(float), size, mode="constant").max() > _SHARE)
