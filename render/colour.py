"""Values to colours: transfer curves that equalise ranks, palettes, and the two ends of the sRGB curve.

Each sign is ranked on its own: converged samples take one half of the palette, diverged ones the other, with a gap in
its middle, between the fastest runs of either kind (Sohl-Dickstein 2024, arXiv:2402.06184, its notebook's colour rule).
A *tone* is the palette coordinate in [-1, 1]: positive converged, negative diverged, and the farther from 0 the slower.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

# Knots of a transfer curve on each side of zero. Ranks between knots are linear in the value; with 128 knots a tone
# is within 1/128 of its exact rank, half a step of an 8-bit palette.
_KNOTS = 128

# The nearest that a curve's knot comes to zero: its slope there, at most 2 / this, is still finite.
_NEXT_TO_ZERO = 1e-300

# Entries of the palette table. 65,536 keeps neighbouring entries within one step of 8-bit sRGB for any palette that
# is not stepped itself.
_TABLE = 65_536


@dataclass(frozen=True)
class Look:
    """How values become colours; changing it trains nothing.

    palette: a name of the cmap catalogue. equalise: "octave" ranks each octave of the path on its own and blends
    between neighbours, "film" uses one curve for the whole film. gap: share of each half of the palette
    that is left out at its middle, 0 to 0.9. background: colour outside the plane, #rrggbb.
    """

    palette: str = "Spectral"
    equalise: Literal["octave", "film"] = "octave"
    gap: float = 0.25
    background: str = "#1b1b1f"


@dataclass(frozen=True)
class Curve:
    """A monotone map from signed values to tones: `knots` rise strictly, `tones` fall."""

    knots: np.ndarray
    tones: np.ndarray

    def tone(self, values: np.ndarray) -> np.ndarray:
        """Return float32 tones in [-1, 1] of float64 values, clamped at the ends of the curve."""
        tones: np.ndarray = np.interp(values, self.knots, self.tones).astype(np.float32)
        return tones


def curve_from_values(values: np.ndarray, gap: float) -> Curve:
    """Return the curve that equalises the ranks of the given values on each side of zero.

    Converged (negative) values get tones from 1 (slowest) down to gap, diverged ones from -gap to -1 (slowest).
    A value nearer to zero than any of them keeps to its own side of the gap. A side without values maps to the
    middle of its half, ready for a neighbour's curve to be blended in.
    """
    knots, tones = [], []
    for negative, first, last in ((True, 1.0, gap), (False, -gap, -1.0)):
        side = np.sort(values[values < 0] if negative else values[values >= 0])
        zero = -_NEXT_TO_ZERO if negative else 0.0
        if side.size == 0:
            side = np.array([zero])
        ranks = np.linspace(0.0, 1.0, min(_KNOTS, side.size))
        # Nearest-rank quantiles: a knot is a value that occurred, never a mean of two.
        points = side[np.round(ranks * (side.size - 1)).astype(int)]
        targets = first + (last - first) * (ranks if side.size > 1 else np.array([0.5]))
        # Equal values share the mean of their tones.
        points, inverse = np.unique(points, return_inverse=True)
        found = np.bincount(inverse, targets) / np.bincount(inverse)
        if zero not in points:
            end = len(points) if negative else 0
            points, found = np.insert(points, end, zero), np.insert(found, end, last if negative else first)
        knots.append(points)
        tones.append(found)
    return Curve(np.concatenate(knots), np.concatenate(tones))


def curve_weight(share: float) -> float:
    """Return the weight of the later of two curves at a share 0..1 of the way: sin^2, flat at both ends."""
    return float(np.sin(np.pi / 2 * min(max(share, 0.0), 1.0)) ** 2)


def check_palette(name: str) -> None:
    """Raise ValueError with the nearest names unless the cmap catalogue has a palette of this name."""
    import cmap

    try:
        cmap.Colormap(name)
    except (ValueError, TypeError, KeyError):
        known = [str(key) for key in cmap.Catalog()]
        near = difflib.get_close_matches(name, [*known, *(key.split(":")[-1] for key in known)], n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; see the cmap catalogue for names"
        raise ValueError(f"no palette {name!r}{hint}") from None


@functools.lru_cache(maxsize=8)
def palette_table(name: str) -> np.ndarray:
    """Return the palette as linear-light RGB, float32 [65536, 3], from tone -1 to tone 1."""
    import cmap

    # cmap goes by a table too, of 256 colours unless told otherwise: bands of up to 4 steps of 8-bit sRGB.
    srgb = cmap.Colormap(name)(np.linspace(0.0, 1.0, _TABLE), N=_TABLE)[:, :3]
    table = linear_from_srgb(np.asarray(srgb)).astype(np.float32)
    table.flags.writeable = False
    return table


def linear_from_tone(tone: np.ndarray, palette: str) -> np.ndarray:
    """Return linear-light RGB float32 [..., 3] of tones in [-1, 1]."""
    index = ((tone + np.float32(1.0)) * np.float32((_TABLE - 1) / 2) + np.float32(0.5)).astype(np.int32)
    linear: np.ndarray = palette_table(palette).take(index, axis=0)
    return linear


def linear_from_hex(text: str) -> np.ndarray:
    """Return linear-light RGB float32 [3] of a colour written #rrggbb."""
    srgb = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return linear_from_srgb(srgb).astype(np.float32)


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """Undo the sRGB transfer curve (IEC 61966-2-1); 0 to 1 in and out."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb8_from_linear(linear: np.ndarray) -> np.ndarray:
    """Return 8-bit sRGB, uint8 of the same shape, of linear light; values outside 0 to 1 are clipped."""
    # Steepest where dark: 12.92 * 255 / 65535 = 0.05 of an 8-bit step per entry, so a table costs no accuracy.
    index = (np.clip(linear, 0.0, 1.0) * np.float32(_TABLE - 1) + np.float32(0.5)).astype(np.uint16)
    srgb: np.ndarray = _srgb8_table()[index]
    return srgb


def srgb16_from_linear(linear: np.ndarray) -> np.ndarray:
    """Return 16-bit sRGB, uint16 of the same shape, of linear light; values outside 0 to 1 are clipped."""
    srgb: np.ndarray = np.round(_srgb_from_linear(np.clip(linear, 0.0, 1.0)) * np.float32(65535)).astype(np.uint16)
    return srgb


@functools.cache
def _srgb8_table() -> np.ndarray:
    return np.round(_srgb_from_linear(np.linspace(0.0, 1.0, _TABLE)) * 255).astype(np.uint8)


def _srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Apply the sRGB transfer curve (IEC 61966-2-1); 0 to 1 in and out, floats of the same type."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
