"""The colours of samples in a page: channel, curve and palette, as in a film.

The page has the samples and paints them, so that a new look appears at once. The curve that spreads their ranks over
the palette, and the palette, come from `render.picture.colour`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from render.picture import colour, palettes
from render.picture.channels import CHANNELS, Channel, channel
from render.problem import Problem

# Entries of a palette in a page. Neighbouring ones are within two steps of 8-bit sRGB for smooth palettes.
PALETTE_ENTRIES = 1024

# Palettes that a page offers; any name of the cmap catalogue can be typed.
PALETTES = (
    "Spectral", *palettes.PALETTES,
    "colorbrewer:RdYlBu", "colorbrewer:RdBu", "colorbrewer:PuOr", "matplotlib:coolwarm", "cmocean:balance",
    "crameri:vik", "crameri:roma", "crameri:berlin", "crameri:managua", "colorcet:CET_D1A", "twilight", "viridis",
    "cividis", "magma", "turbo", "gray",
)  # fmt: skip

# No curve needs more samples than this to place 128 knots a side.
_MOST_VALUES = 200_000


def channels(problem: Problem, *, shorter: bool = False) -> dict[str, Channel]:
    """Return the channels by which a page can colour a problem's samples: the usual ones, and those of its system.

    shorter: only those of runs that are shown before their end, since their last states are not stored.
    """
    names = ("value", "escape_time") if shorter else (*CHANNELS, *problem.row.channels, *dict(problem.observe))
    return {name: channel(name) for name in names if name != "status"}


def curve(values: Iterable[np.ndarray], gap: float) -> dict[str, list[float]]:
    """Return the colour curve of the signed sizes in a view as lists: rising knots, falling tones."""
    joined = np.concatenate([np.empty(0), *(part.ravel() for part in values)])
    if joined.size > _MOST_VALUES:
        joined = joined[:: -(-joined.size // _MOST_VALUES)]
    ranked = colour.curve_from_values(joined, gap)
    return {"knots": ranked.knots.tolist(), "tones": ranked.tones.tolist()}


def palette(given: str) -> list[int]:
    """Return a palette as 0xrrggbb of PALETTE_ENTRIES colours from tone -1 to tone 1.

    given: a name, or colours between commas. Raises ValueError, with similar names, if it is neither.
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
