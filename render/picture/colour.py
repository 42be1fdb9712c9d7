"""Values to colours: transfer curves that equalise ranks, palettes, and the two ends of the sRGB curve.

Each sign is ranked on its own: converged samples take one half of the palette, diverged ones the other, with a gap in
its middle, between the fastest runs of either kind (Sohl-Dickstein 2024, arXiv:2402.06184, its notebook's colour rule).
A *tone* is the palette coordinate in [-1, 1]: positive converged, negative diverged, and the farther from 0 the slower.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8, UInt16

from render.picture import loops, palettes
from render.picture.channels import STATUS_COLOURS
from render.picture.palettes import TABLE
from render.samples import Status

# Knots of a transfer curve on each side of zero. Ranks between knots are linear in the value; with 128 knots a tone
# is within 1/128 of its exact rank, half a step of an 8-bit palette.
_KNOTS = 128

# The nearest that a curve's knot comes to zero: its slope there, at most 2 / this, is still finite.
_NEXT_TO_ZERO = 1e-300

# Codes for a tone's way of 1. The steepest palettes move by about four times the range of 8-bit sRGB over a tone's way
# of 2: 0.12 of an 8-bit step a code. Two curves that agree on nothing still have fewer than 65,536 codes.
_CODES_PER_TONE = 4096


Equalise = Literal["octave", "film", "fixed", "log"]


@dataclass(frozen=True)
class Look:
    """The settings by which values become colours; changing them trains nothing.

    palette: a name (of `palettes.PALETTES`, or of the cmap catalogue), or a list of colours #rrggbb. channel: what
    colours show, of `channels.CHANNELS` or of what the system measures besides. equalise: "octave" ranks each octave of
    the path on its own and blends between neighbours, "film" uses one curve for the whole film; "fixed" and "log" rank
    nothing: a value has its colour in every film, in proportion to it or to its logarithm. gap: share of each half of
    the palette that is left out at its middle, 0 to 0.9. background: colour outside the plane, #rrggbb. boundary: width
    of a line along the border between the halves, in pixels of a frame of 1080 lines; 0 for none. shading: strength of
    light from the upper left on the slopes of the tones, 0 to 1.
    """

    palette: str | tuple[str, ...] = "Spectral"
    channel: str = "value"
    equalise: Equalise = "octave"
    gap: float = 0.25
    background: str = "#1b1b1f"
    boundary: float = 0.0
    boundary_colour: str = "#000000"
    shading: float = 0.0


@dataclass(frozen=True)
class Curve:
    """A monotone map from signed values to tones: `knots` rise strictly, `tones` fall."""

    knots: np.ndarray
    tones: np.ndarray

    def tone(self, values: Float64[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """Return float32 tones in [-1, 1] of float64 values, clamped at the ends of the curve."""
        tones: np.ndarray = np.interp(values, self.knots, self.tones).astype(np.float32)
        return tones


def curve_from_values(values: Float64[np.ndarray, "sample"], gap: float) -> Curve:
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
        mean_tones = np.bincount(inverse, targets) / np.bincount(inverse)
        if zero not in points:
            end = len(points) if negative else 0
            points, mean_tones = np.insert(points, end, zero), np.insert(mean_tones, end, last if negative else first)
        knots.append(points)
        tones.append(mean_tones)
    return Curve(np.concatenate(knots), np.concatenate(tones))


def fixed_curve(most: float, gap: float, *, log: bool) -> Curve:
    """Return a curve that ranks nothing: tones go with magnitudes up to `most`, or with logarithms from 1e-3 on."""
    places = np.linspace(0.0, 1.0, _KNOTS)
    magnitudes = 1e-3 * (most / 1e-3) ** places if log else np.maximum(places * most, _NEXT_TO_ZERO)
    tones = gap + (1 - gap) * places
    if log:
        magnitudes, tones = np.insert(magnitudes, 0, _NEXT_TO_ZERO), np.insert(tones, 0, gap)
    positive = np.where(magnitudes == _NEXT_TO_ZERO, 0.0, magnitudes)
    return Curve(np.concatenate([-magnitudes[::-1], positive]), np.concatenate([tones[::-1], -tones]))


class Code:
    """Values as whole numbers that two curves can be looked up by: 1 to size - 1, and 0 for no value (NaN).

    A frame blends two curves, with other weights than the last frame. Coded once, all its samples are coloured by one
    table of a few thousand entries, as exactly as 8-bit colours can show.
    """

    def __init__(self, first: Curve, second: Curve) -> None:
        """Between neighbouring codes neither curve's tone moves by more than 1 / _CODES_PER_TONE."""
        self._knots = np.union1d(first.knots, second.knots)
        moves = [np.abs(np.diff(np.interp(self._knots, c.knots, c.tones))) for c in (first, second)]
        steps = np.maximum(1, np.ceil(np.maximum(*moves) * _CODES_PER_TONE)).astype(int)
        self._at = np.concatenate([[1], 1 + np.cumsum(steps)])
        self.size = int(self._at[-1]) + 1
        self.tones = tuple(
            np.interp(np.arange(self.size), self._at, np.interp(self._knots, c.knots, c.tones)).astype(np.float32)
            for c in (first, second)
        )
        slopes = np.append(np.diff(self._at) / np.diff(self._knots), 0.0)
        filled = np.full(1 << (len(self._knots) - 1).bit_length(), np.inf)
        filled[: len(self._knots)] = self._knots
        self._search = filled, self._at.astype(float), slopes

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return uint16 codes of float64 values [rows, columns]."""
        codes = np.empty(values.shape, dtype=np.uint16)
        loops.code_values(values, *self._search, codes)
        return codes


# How scalars become codes.
Coding = Callable[[np.ndarray], np.ndarray]


def status_code(values: np.ndarray) -> np.ndarray:
    """Return uint16 codes of statuses, or 0 where there are none (NaN)."""
    codes: np.ndarray = np.nan_to_num(values + 1, nan=0.0).astype(np.uint16)
    return codes


# What each code of a status shows: linear light [codes, 3], and the tones that relief is made from.
STATUS_TABLE = np.stack(
    [palettes.linear_from_hex(text) for text in ("#000000", *(c for c, _ in STATUS_COLOURS.values()))]
)
STATUS_TONES = np.array([0.0, *(1.0 if status == Status.CONVERGED else -1.0 for status in STATUS_COLOURS)])


def curve_weight(share: float) -> float:
    """Return the weight of the later of two curves at a share 0..1 of the way: sin^2, flat at both ends."""
    return float(np.sin(np.pi / 2 * min(max(share, 0.0), 1.0)) ** 2)


def linear_from_tone(
    tone: Float[np.ndarray, "*shape"], palette: str | tuple[str, ...], turns: float = 0.0
) -> Float32[np.ndarray, "*shape 3"]:
    """Return linear-light RGB float32 [..., 3] of tones in [-1, 1]. turns: by how much a closed palette is turned."""
    index = ((tone + np.float32(1.0)) * np.float32((TABLE - 1) / 2) + np.float32(0.5)).astype(np.int32)
    if turns:
        index = (index + round(turns * TABLE)) % TABLE
    linear: np.ndarray = palettes.table(palette).take(index, axis=0)
    return linear


def srgb8_from_linear(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Return 8-bit sRGB, uint8 of the same shape, of linear light; values outside 0 to 1 are clipped."""
    # Steepest where dark: 12.92 * 255 / 65535 = 0.05 of an 8-bit step per entry, so a table costs no accuracy.
    index = (np.clip(linear, 0.0, 1.0) * np.float32(TABLE - 1) + np.float32(0.5)).astype(np.intp)
    srgb: np.ndarray = srgb8_table().take(index)
    return srgb


def srgb16_from_linear(linear: Float[np.ndarray, "*shape"]) -> UInt16[np.ndarray, "*shape"]:
    """Return 16-bit sRGB, uint16 of the same shape, of linear light; values outside 0 to 1 are clipped."""
    srgb: np.ndarray = np.round(_srgb_from_linear(np.clip(linear, 0.0, 1.0)) * np.float32(65535)).astype(np.uint16)
    return srgb


@functools.cache
def srgb8_table() -> UInt8[np.ndarray, "entry"]:
    """Return the 8-bit sRGB, uint8 [entries], of linear light from 0 to 1 in even steps."""
    return np.round(_srgb_from_linear(np.linspace(0.0, 1.0, TABLE)) * 255).astype(np.uint8)


def _srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Apply the sRGB transfer curve (IEC 61966-2-1); 0 to 1 in and out, floats of the same type."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
