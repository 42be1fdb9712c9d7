"""The colours of samples in a page: channel, curve and palette, all taken from the film's own colours.

The page holds samples and paints them itself, so a new look is there at once; the curve that spreads their ranks over
the palette, and the palette, come from `render.picture.colour` as in a film.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from render.picture import colour, palettes
from render.picture.channels import CHANNELS, Channel, channel
from render.problem import Problem

# Entries of a palette as a page gets it: neighbouring ones are within two steps of 8-bit sRGB for smooth palettes.
PALETTE_ENTRIES = 1024

# What a page offers first; any name of the cmap catalogue can be typed.
PALETTES = (
    "Spectral", *palettes.PALETTES,
    "colorbrewer:RdYlBu", "colorbrewer:RdBu", "colorbrewer:PuOr", "matplotlib:coolwarm", "cmocean:balance",
    "crameri:vik", "crameri:roma", "crameri:berlin", "crameri:managua", "colorcet:CET_D1A", "twilight", "viridis",
    "cividis", "magma", "turbo", "gray",
)  # fmt: skip

# No curve needs more samples than this to place 128 knots a side.
_MOST_VALUES = 200_000


def channels(problem: Problem, *, shorter: bool = False) -> dict[str, Channel]:
    """Return the ways to see a problem's samples on both sides of the border: the usual ones, and its system's own.

    shorter: those of runs that are looked at before their end, of whose states nothing is stored.
    """
    names = ("value", "escape_time") if shorter else (*CHANNELS, *problem.row.channels, *dict(problem.observe))
    return {name: channel(name) for name in names if name != "status"}


def curve(values: Iterable[np.ndarray], gap: float) -> dict[str, list[float]]:
    """Return the colour curve of the signed sizes in a view as plain lists: knots that rise, tones that fall."""
    joined = np.concatenate([np.empty(0), *(part.ravel() for part in values)])
    if joined.size > _MOST_VALUES:
        joined = joined[:: -(-joined.size // _MOST_VALUES)]
    ranked = colour.curve_from_values(joined, gap)
    return {"knots": ranked.knots.tolist(), "tones": ranked.tones.tolist()}


def palette(given: str) -> list[int]:
    """Return a palette as 0xrrggbb of PALETTE_ENTRIES colours from tone -1 to tone 1.

    given: a name, or colours between commas. Raises ValueError, with near names, where it is neither.
    """
    asked = palettes.read(given)
    palettes.check(asked)
    tones = np.linspace(-1.0, 1.0, PALETTE_ENTRIES, dtype=np.float32)
    srgb = colour.srgb8_from_linear(colour.linear_from_tone(tones, asked)).astype(np.int64)
    packed: list[int] = (srgb[:, 0] << 16 | srgb[:, 1] << 8 | srgb[:, 2]).tolist()
    return packed


def remark(given: str) -> str:
    """Return a sentence about a palette that hides the border; "" for all others."""
    return palettes.remark(palettes.read(given))
