"""What all text on a finished frame is made of: fonts that follow the frame's size, and pills.

A pill is a line of text on a dark backing, as two masks, float32 [2, height, width] in [0, 1]: the backing, and the ink
of the text. Text is drawn last: no sample, store or colour depends on it.
"""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from render.picture import loops, typeface

if TYPE_CHECKING:
    from PIL import ImageFont

# Text is 1/50 of the shorter side (22 px at 1080p), but never below 11 px, so that digits stay legible at 216 lines.
_TEXT_SHARE = 50
SMALLEST_PX = 11

# What can be written on a frame (see `annotate`).
PARTS = ("axes", "depth", "legend", "values")

_INK = np.float32(245.0)
# Share of the picture that the dark backing hides; white text then reads on white and on noise.
_BACKING = np.float32(0.66)


def two_digits(number: float) -> str:
    """Write a size to two digits: 2.0, 0.031, 3.1e-7."""
    if 0.01 <= number < 99.5:
        return f"{number:#.2g}".rstrip(".")
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


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
