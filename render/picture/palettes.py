"""Palettes: those of this package, lists of colours, and the cmap catalogue. Mixed in OKLab, where steps look even.

A palette runs from tone -1 (diverged, slow) over the fastest runs of either kind in its middle to tone 1 (converged,
slow). OKLab: B. Ottosson, "A perceptual color space for image processing" (2020).
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

from render.geometry.interpolation import MonotoneCubic

# Entries of a palette's table. 65,536 keeps neighbouring entries within one step of 8-bit sRGB for any palette that
# is not stepped itself.
TABLE = 65_536

# A new palette is a row: colours from tone -1 to tone 1. "/" stands between halves that do not pass
# into each other, or meet at an angle: what is between the colours of a half is smooth.
PALETTES: dict[str, str] = {
    # For video in 4:2:0, which keeps brightness at every pixel but colour only at every fourth: every diverged tone is
    # much brighter than any converged one, so that the border between them is one of brightness.
    "luma": "#fff3dc #ffd27a #f79a52 #e8795a / #4a6fb5 #3a4fa0 #26286e #0b0d2e",
    # The reverse: a bright sea of convergence, dark fire beyond.
    "luma-dark": "#2b0a0f #5c1020 #8c1c2c #a83a3a / #8fc0d8 #b4dcea #d8f0f6 #f6fdff",
    # Perceptually even: brightness falls by the same step everywhere, from the middle to both ends.
    "even": "#6b0018 #a63a3c #d07f72 #eabfb3 #f4f0ec / #f4f0ec #b5cce6 #6f9dd0 #316daf #063f7d",
    # Orange and blue stay apart for red-blind, green-blind and blue-blind eyes; brightness tells fast from slow.
    "safe": "#5a2a00 #a35a08 #e0922f #f7cd8e #f6f3ea #a9d3ee #559fd0 #1f669f #0a3057",
    # Closed: the last colour is the first, for phases that turn.
    "wheel": "#1b2a6b #2f7fb8 #7fc9b0 #f2ecc2 #ee9f5b #b8353f #5e1a52 #1b2a6b",
}


MOST_COLOURS = 64


def read(given: str | Sequence[str]) -> str | tuple[str, ...]:
    """Return a palette as a person gives it: a name as it is, and colours, in a list or between commas, as a tuple."""
    if isinstance(given, str):
        return tuple(re.split(r"[\s,]+", given.strip(" ,"))) if given.lstrip().startswith("#") else given
    return tuple(given)


def written(palette: str | tuple[str, ...]) -> str:
    """Return a palette as one text: the inverse of `read`."""
    return palette if isinstance(palette, str) else ",".join(palette)


def check(palette: str | tuple[str, ...]) -> None:
    """Raise ValueError, with the nearest names, unless a palette is a known name or a list of colours."""
    if not isinstance(palette, str):
        if not 2 <= len(palette) <= MOST_COLOURS:
            raise ValueError(f"must have 2 to {MOST_COLOURS} colours, not {len(palette)}")
        for colour in palette:
            linear_from_hex(colour)
        return
    if palette in PALETTES:
        return
    import cmap

    try:
        cmap.Colormap(palette)
    except (ValueError, TypeError, KeyError):
        short = {str(key).rpartition(":")[2] for key in cmap.Colormap.catalog()}
        near = difflib.get_close_matches(palette.rpartition(":")[2], sorted({*PALETTES, *short}), n=3)
        # Names that differ in capitals alone are one palette.
        near = list({name.lower(): name for name in reversed(near)}.values())[::-1]
        if "," in palette:
            words = f"no palette {palette!r}; colours are written as #rrggbb, such as '#1a0633,#f7f7f7'"
            raise ValueError(words) from None
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; see the cmap catalogue for names"
        raise ValueError(f"no palette {palette!r}{hint}") from None


# A palette runs in one direction if its lightness turns back over less than this share of its way, and if it has no
# step in its middle. Of 316 sequential maps of the cmap catalogue 309 turn back over less than 0.05, and the others
# over 0.1 and more; of 156 diverging ones 151 turn back over more than 0.1.
_TURNS, _STEP = 0.1, 0.1


def remark(palette: str | tuple[str, ...]) -> str:
    """Return a sentence about a palette that hides the border, because it runs in one direction; "" for all others."""
    light = oklab_from_linear(table(palette)[:: TABLE // 64].astype(float))[:, 0]
    steps = np.diff(light)
    turned = min(np.clip(steps, 0, None).sum(), np.clip(-steps, 0, None).sum())
    middle = oklab_from_linear(table(palette)[[TABLE // 2 - 1, TABLE // 2]].astype(float))
    if turned >= _TURNS * np.abs(steps).sum() or np.linalg.norm(middle[1] - middle[0]) > _STEP:
        return ""
    called = f"Palette {palette!r}" if isinstance(palette, str) else "This list of colours"
    return (
        f"{called} runs in one direction, so its two halves pass into each other: colours do not tell which runs "
        "converged. Palettes with two halves show the border: Spectral, safe, even, luma, vik, RdBu."
    )


def shortest_name(palette: str) -> str:
    """Return a palette's name without its catalogue, where that still means the same palette."""
    short = palette.rpartition(":")[2]
    if short == palette or short in PALETTES:
        return palette
    import cmap

    full = cmap.Colormap.catalog().resolve
    try:
        return short if full(short.removesuffix("_r")) == full(palette.removesuffix("_r")) else palette
    except KeyError:
        return palette


def is_closed(palette: str | tuple[str, ...]) -> bool:
    """Return whether a palette ends with the colour it begins with, to what an eye can tell."""
    ends = oklab_from_linear(table(palette)[[0, -1]].astype(float))
    return bool(np.linalg.norm(ends[0] - ends[1]) < 0.02)


@functools.lru_cache(maxsize=8)
def table(palette: str | tuple[str, ...]) -> Float32[np.ndarray, "entry 3"]:
    """Return a palette as linear-light RGB, float32 [65536, 3], from tone -1 to tone 1."""
    if isinstance(palette, str) and palette not in PALETTES:
        import cmap

        # cmap goes by a table too, of 256 colours by default: bands of up to 4 steps of 8-bit sRGB.
        srgb = cmap.Colormap(palette)(np.linspace(0.0, 1.0, TABLE), N=TABLE)[:, :3]
        entries = linear_from_srgb(np.asarray(srgb))
    else:
        colours = " ".join(palette) if isinstance(palette, tuple) else PALETTES[palette]
        halves = colours.split("/")
        entries = np.concatenate([_mixed(half.split(), TABLE // len(halves)) for half in halves])
    rounded: np.ndarray = entries.astype(np.float32)
    rounded.flags.writeable = False
    return rounded


def _mixed(colours: list[str], count: int) -> np.ndarray:
    """Return evenly spaced colours, mixed in OKLab along a smooth curve through them: linear light [count, 3]."""
    lab = oklab_from_linear(np.array([linear_from_hex(colour) for colour in colours], dtype=float))
    if len(lab) == 1:
        return np.repeat(linear_from_oklab(lab), count, axis=0)
    between = MonotoneCubic(np.linspace(0.0, 1.0, len(lab)), lab)(np.linspace(0.0, 1.0, count))
    mixed: np.ndarray = np.clip(linear_from_oklab(between), 0.0, 1.0)
    return mixed


# ---- spaces --------------------------------------------------------------------------------------------------------

_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab_from_linear(linear: Float64[np.ndarray, "*shape 3"]) -> Float64[np.ndarray, "*shape 3"]:
    """Return OKLab (lightness 0 to 1, a, b) of linear-light sRGB, float64 [..., 3]."""
    lab: np.ndarray = np.cbrt(linear @ _LMS.T) @ _LAB.T
    return lab


def linear_from_oklab(lab: Float64[np.ndarray, "*shape 3"]) -> Float64[np.ndarray, "*shape 3"]:
    """Return linear-light sRGB of OKLab, float64 [..., 3]; colours no display shows lie outside 0 to 1."""
    linear: np.ndarray = (lab @ np.linalg.inv(_LAB).T) ** 3 @ np.linalg.inv(_LMS).T
    return linear


def linear_from_hex(text: str) -> np.ndarray:
    """Return linear-light RGB float32 [3] of a colour written #rrggbb. Raises ValueError for anything else."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ValueError(f'must be a colour such as "#1b1b1f", not {text!r}')
    srgb = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return linear_from_srgb(srgb).astype(np.float32)


def linear_from_srgb(srgb: np.ndarray | np.floating) -> np.ndarray:
    """Undo the sRGB transfer curve (IEC 61966-2-1); 0 to 1 in and out."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
