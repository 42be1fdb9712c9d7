"""Axis names and hyperparameter values written over a finished frame.

Drawn last: no sample, store or colour depends on it. The x axis is written along the bottom edge and
the y axis, turned, up the left edge. Each names the value at both edges of the view and, where there is room, the
hyperparameter and how much of it the view spans.
"""

from __future__ import annotations

import decimal
import functools
import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from render.geometry.axes import Axis
from render.geometry.viewport import Viewport
from render.picture import loops, typeface

if TYPE_CHECKING:
    from PIL import ImageFont

# Wide enough to round any 60-digit value to any place.
_CONTEXT = decimal.Context(prec=1000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

# Text is 1/50 of the shorter side (22 px at 1080p), but never below 11 px, so that digits stay legible at 216 lines.
_TEXT_SHARE = 50
SMALLEST_PX = 11

# What can be written on a frame (see `annotate`).
PARTS = ("axes", "depth", "legend", "values")

_INK = np.float32(245.0)
# Share of the picture that the dark backing hides; white text then reads on white and on noise.
_BACKING = np.float32(0.66)

# A value that does not fit loses digits in the middle: these many digits at its end tell the edges apart.
_TAIL = 5


def end_labels(lo: Decimal, hi: Decimal) -> tuple[str, str]:
    """Return both values with just enough digits: to three places after the first one in which they differ.

    Each also has at least three significant digits. Plain decimals from 0.0001 to 999999, else with an exponent.
    """
    ends = (lo, hi)
    apart = _CONTEXT.subtract(hi, lo)
    places = [end.adjusted() - 2 if end else 0 for end in ends]
    if apart:
        places = [min(place, apart.adjusted() - 3) for place in places]
    plain = all(not end or -4 <= end.adjusted() <= 5 for end in ends)
    texts = []
    for end, place in zip(ends, places, strict=True):
        last = min(place, 0) if plain else place
        rounded = end.quantize(Decimal((0, (1,), last)), context=_CONTEXT)
        texts.append(("0" if not end else f"{rounded:f}" if plain else f"{rounded:e}").replace("e+", "e"))
    return texts[0], texts[1]


def draw(frame: np.ndarray, view: Viewport, x_axis: Axis, y_axis: Axis, *, labels: tuple[str, str]) -> int:
    """Write both axes on a frame, in place; return how many pixels they take at its left edge.

    frame: uint8 [height, width, 3], row 0 at the top; of any size, text follows it.
    view: what the frame looks at. Beyond the plane's edge the axes are continued.
    labels: names of the x and y hyperparameters in words. One that finds no room between the values at the ends of its
    axis stands beside them. Left out where there is no room at all.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    height, width = frame.shape[:2]
    font = font_of(width, height)
    x0, x1, y0, y1 = view.edges()
    gap = round(font.size * 0.5)
    thick = pill_height(font)
    step = thick + gap // 2
    lines = _lines(font, width - 2 * gap, *_words(x_axis, x0, x1, labels[0], "width"))
    for i, line in enumerate(lines):
        for start, pill in line:
            stamp(frame, pill, gap + start, height - gap - thick - i * step)
    room = height - 3 * gap - thick - (len(lines) - 1) * step  # above the lines of the x axis
    columns = _lines(font, room, *_words(y_axis, y0, y1, labels[1], "height"))
    for i, line in enumerate(columns):
        for start, pill in line:
            stamp(frame, np.rot90(pill, axes=(1, 2)), gap + i * step, gap + room - start - pill.shape[2])
    return gap + thick + (len(columns) - 1) * step


def _words(axis: Axis, lo: Fraction, hi: Fraction, name: str, side: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Return what is to be said along an axis: the values at its ends, and titles, of which earlier ones are better."""
    ends = end_labels(axis.value_from_unit(lo), axis.value_from_unit(hi))
    extent = f"{side} {short(float(axis.span * (hi - lo)))}{' decades' if axis.scale == 'log10' else ''}"
    return ends, (f"{name}, {extent}", name, axis.name) if name else (extent,)


def _lines(
    font: ImageFont.FreeTypeFont, room: int, ends: tuple[str, str], titles: tuple[str, ...]
) -> list[list[tuple[int, np.ndarray]]]:
    """Return the lines along an axis: its values and a title, or a line for each where they do not fit into one."""
    line = _line(font, room, ends, titles[:2])
    title = next((title for title in titles if pill_width(font, title) <= room), "")
    if len(line) != 2 or not title:
        return [line]
    return [line, [((room - pill_width(font, title)) // 2, pill(font, title))]]


def _line(
    font: ImageFont.FreeTypeFont, room: int, ends: tuple[str, str], titles: tuple[str, ...]
) -> list[tuple[int, np.ndarray]]:
    """Return the pills along one axis as (start in pixels from the low end, pill); what finds no room is left out."""
    gap = round(font.size * 0.8)
    pills = [pill(font, text) for end in ends if (text := _fitting(font, end, (room - gap) // 2))]
    if len(pills) < 2:
        return []
    placed = [(0, pills[0]), (room - pills[1].shape[2], pills[1])]
    first, last = pills[0].shape[2] + gap, placed[1][0] - gap
    for title in titles:
        if title and (taken := pill_width(font, title)) <= last - first:
            # In the middle of the frame, unless the values, which need not be equally long, push it aside.
            placed.append((min(max((room - taken) // 2, first), last - taken), pill(font, title)))
            break
    return placed


def short(number: float) -> str:
    """Write a size to two digits: 2.0, 0.031, 3.1e-7."""
    if 0.01 <= number < 99.5:
        return f"{number:#.2g}".rstrip(".")
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def _fitting(font: ImageFont.FreeTypeFont, value: str, room: int) -> str:
    """Return a value, its middle digits elided until its pill is at most room pixels long; "" if none are left."""
    digits, mark, exponent = value.partition("e")
    tail = digits[-_TAIL:] + mark + exponent
    choices = [value, *(digits[:keep] + "…" + tail for keep in range(len(digits) - _TAIL - 2, 2, -1))]
    return next((text for text in choices if pill_width(font, text) <= room), "")


# Pills. A pill is two masks, float32 [2, height, width] in [0, 1]: the dark backing, and the ink of the text.


def pill_height(font: ImageFont.FreeTypeFont) -> int:
    """Return the height of a pill in pixels."""
    return round(font.size * 1.5)


@functools.lru_cache(maxsize=1024)
def pill_width(font: ImageFont.FreeTypeFont, text: str) -> int:
    """Return the width in pixels of the pill of a text."""
    return round(_length_px(font, _typeset(text)) + font.size * 0.9)


def _length_px(font: ImageFont.FreeTypeFont, text: str) -> int:
    return sum(_advance_px(font, piece) for piece in _pieces(font, text))


@functools.lru_cache(maxsize=512)
def _advance_px(font: ImageFont.FreeTypeFont, piece: str) -> int:
    return round(font.getlength(piece))


def _pieces(font: ImageFont.FreeTypeFont, text: str) -> list[str]:
    """Cut a text into what is drawn once and kept: words, and single digits and signs; not where letters join."""
    if font.layout_engine != _basic():
        return [text]
    return re.findall(r"[A-Za-z ,]+|.", text, re.DOTALL)


def _typeset(text: str) -> str:
    """Return the text with true minus signs before numbers and exponents; hyphens stay."""
    return re.sub(r"(?<![\w.])-(?=\d)|(?<=\de)-(?=\d)", "\N{MINUS SIGN}", text)


@functools.lru_cache(maxsize=256)
def pill(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
    """Return the masks of a text in a pill."""
    width, height = pill_width(font, text), pill_height(font)
    return np.stack([backing(width, height, height * 0.28), _ink(font, _typeset(text), width, height)])


def _ink(font: ImageFont.FreeTypeFont, text: str, width: int, height: int) -> np.ndarray:
    """Return the mask of a text in the middle of a pill, piece by piece: values change with every frame, digits do not.

    The same pixels as Pillow draws of the whole text: its basic layout sets glyphs at whole pixels from the first, and
    moves no pair of them together.
    """
    ink = np.zeros((height, width), dtype=np.float32)
    start = width / 2 - -(-_length_px(font, text) // 2)
    left = math.floor(start)
    for piece in _pieces(font, text):
        mask, inset = _mask(font, piece, start - math.floor(start), height)
        first, last = left + inset, left + inset + mask.shape[1]
        part = ink[:, max(first, 0) : max(last, 0)]
        part += mask[:, max(-first, 0) :][:, : part.shape[1]] * (1 - part)
        left += _advance_px(font, piece)
    return ink


@functools.lru_cache(maxsize=512)
def _mask(font: ImageFont.FreeTypeFont, piece: str, shift: float, height: int) -> tuple[np.ndarray, int]:
    """Return the mask of a piece, `shift` pixels to the right, and how far right of its place that begins."""
    from PIL import Image, ImageDraw

    pad = round(font.size)
    ink = Image.new("L", (_advance_px(font, piece) + 2 * pad, height))
    ImageDraw.Draw(ink).text((pad + shift, height * 0.5), piece, fill=255, font=font, anchor="lm")
    mask = np.asarray(ink).astype(np.float32) / 255
    inked = np.flatnonzero(mask.any(axis=0))
    if inked.size == 0:
        return mask[:, :0], 0
    return np.ascontiguousarray(mask[:, inked[0] : inked[-1] + 1]), int(inked[0]) - pad


@functools.lru_cache(maxsize=64)
def backing(width: int, height: int, radius: float) -> np.ndarray:
    """Return the mask of a rounded rectangle: float32 [height, width] in [0, 1]."""
    from PIL import Image, ImageDraw

    fine = 4  # Pillow's shapes have hard edges: drawn four times as large, then averaged
    shape = Image.new("L", (fine * width, fine * height))
    corners = (0, 0, fine * width - 1, fine * height - 1)
    ImageDraw.Draw(shape).rounded_rectangle(corners, radius=fine * radius, fill=255)
    mask: np.ndarray = np.asarray(shape.reduce(fine)).astype(np.float32) / 255
    return mask


def font_of(width_px: int, height_px: int, *, file: Path = typeface.BUNDLED, text: str = "") -> ImageFont.FreeTypeFont:
    """Return the font of a frame of some size. file: of the font. text: what it writes, which decides the layout."""
    size_px = max(SMALLEST_PX, round(min(height_px, width_px) / _TEXT_SHARE))
    return font_of_size(size_px, file=file, text=text)


def font_of_size(size_px: int, *, file: Path = typeface.BUNDLED, text: str = "") -> ImageFont.FreeTypeFont:
    """Return a font whose letters are so many pixels high."""
    return _font(size_px, file, typeface.needs_layout(text))


@functools.lru_cache(maxsize=8)
def _font(size_px: int, file: Path, joins: bool) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    # The basic layout is the same with and without libraqm, which not every Pillow has: so it is used where it can be.
    layout = ImageFont.Layout.RAQM if joins else ImageFont.Layout.BASIC
    return ImageFont.truetype(file, size_px, layout_engine=layout)


def _basic() -> int:
    from PIL import ImageFont

    return ImageFont.Layout.BASIC


def stamp(frame: np.ndarray, masks: np.ndarray, left: int, top: int) -> None:
    """Blend a pill into the frame, in place; the part outside the frame is cut off."""
    height, width = masks.shape[1:]
    patch = frame[max(top, 0) : top + height, max(left, 0) : left + width]
    dark, ink = masks[:, : patch.shape[0], : patch.shape[1]]
    loops.stamp(patch, dark, ink, _BACKING, _INK)
