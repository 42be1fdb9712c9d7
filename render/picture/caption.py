"""A caption: a text of any length, in lines, in the corner of a frame."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from render.picture import overlay

if TYPE_CHECKING:
    from PIL import ImageFont

# Distance of lines, and the share of the frame's height that a caption may take: more would hide the picture.
_LINE = 1.3
_MOST_HEIGHT = 1 / 3


@functools.lru_cache(maxsize=16)
def masks(text: str, file: Path, frame_px: tuple[int, int], room_px: int) -> np.ndarray:
    """Return the masks of a caption: float32 [2, height, width] in [0, 1], the backing and the ink.

    frame_px: (width, height) of the frame. room_px: the most that the caption may be wide. Line breaks are kept, and
    lines that are too long are broken at spaces, or within words longer than a line. Where the lines would take more
    than a third of the frame, the letters become smaller, down to the smallest that can be read; what even then
    finds no room ends in an ellipsis. A caption that fits on one line is drawn as every other text on a frame.
    """
    font = overlay.font_of(*frame_px, file=file, text=text)
    most_px = max(frame_px[1] * _MOST_HEIGHT, overlay.pill_height(font))
    while True:
        lines = _lines(font, text, room_px)
        if _height(font, len(lines)) <= most_px:
            return _block(font, lines)
        if font.size <= overlay.SMALLEST_PX:
            break
        font = overlay.font_of_size(round(font.size) - 1, file=file, text=text)
    count = max(1, 1 + int((most_px - overlay.pill_height(font)) // (font.size * _LINE)))
    return _block(font, [*lines[: count - 1], _shortened(font, lines[count - 1] + "…", room_px)])


def _height(font: ImageFont.FreeTypeFont, lines: int) -> int:
    return overlay.pill_height(font) + round((lines - 1) * font.size * _LINE)


def _lines(font: ImageFont.FreeTypeFont, text: str, room_px: int) -> list[str]:
    """Return a text in lines that fit."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if overlay.pill_width(font, longer) <= room_px:
                line = longer
                continue
            if line:
                lines.append(line)
            while overlay.pill_width(font, word) > room_px and len(word) > 1:
                fits = next(
                    (n for n in range(len(word) - 1, 0, -1) if overlay.pill_width(font, word[:n]) <= room_px), 1
                )
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        lines.append(line)
    return lines or [""]


def _shortened(font: ImageFont.FreeTypeFont, line: str, room_px: int) -> str:
    """Return a line that ends in an ellipsis, without so many of its letters that it fits."""
    while len(line) > 1 and overlay.pill_width(font, line) > room_px:
        line = line[:-2] + "…"
    return line


def _block(font: ImageFont.FreeTypeFont, lines: list[str]) -> np.ndarray:
    """Return the masks of lines one below the other, on one backing, from the left."""
    if len(lines) == 1:
        return overlay.pill(font, lines[0])
    width, height = max(overlay.pill_width(font, line) for line in lines), _height(font, len(lines))
    ink = np.zeros((height, width), dtype=np.float32)
    for i, line in enumerate(lines):
        mask = overlay.pill(font, line)[1]
        top = round(i * font.size * _LINE)
        part = ink[top : top + mask.shape[0], : mask.shape[1]]
        np.maximum(part, mask, out=part)
    return np.stack([overlay.backing(width, height, overlay.pill_height(font) * 0.28), ink])
