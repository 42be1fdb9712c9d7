"""The text on a film beyond its axes: the depth of the zoom, the meaning of the colours, and a caption.

Each part can be left out. Sizes follow the frame; what does not change from frame to frame is drawn once. Where words
stand, and which of them are shortened, is decided for the whole path, so that nothing jumps from one frame to the next.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from render.geometry.axes import Axis
from render.geometry.camera import Path
from render.geometry.viewport import Viewport
from render.picture import axis_labels, caption, colour, loops, overlay, typeface
from render.picture.channels import STATUS_COLOURS, channel
from render.picture.colour import Look

# The legend and the depth bar need room: frames of fewer lines get the axes and the caption only.
_LEAST_LINES = 300

# The views of a path from which the layout of its frames is made: eight an octave in a film of 10 decades. What is
# longest in a film is nearly as long in the view beside it.
_VIEWS = 257


class Annotator:
    """Writes on the frames of one film. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        axes: tuple[Axis, Axis],
        labels: tuple[str, str],
        look: Look,
        parts: tuple[str, ...],
        text: str = "",
        font: str = "",
    ) -> None:
        """labels: names of the x and y hyperparameters in words. parts: some of overlay.PARTS.

        text: a caption. font: see typeface.find.
        """
        self._path, self._axes, self._labels, self._look = path, axes, labels, look
        self._parts, self._caption = parts, text
        self._caption_font = typeface.find(text, font) if text else typeface.BUNDLED
        places = [*np.linspace(0.0, path.length, _VIEWS), *path.marks] if path.length else [0.0]
        self._places = [float(s) for s in places]
        widths = [path.view(s).width for s in self._places]
        self._widest, self._narrowest = max(widths), min(widths)

    def draw(self, frame: np.ndarray, s: float) -> None:
        """Write everything on the frame at path length s, in place."""
        view = self._path.viewport(s)
        font = overlay.font_of(view.width_px, view.height_px)
        beside = gap = round(font.size * 0.5)
        if "axes" in self._parts:
            beside += axis_labels.draw(
                frame, view, *self._axes, labels=self._labels, layouts_of_film=self._axis_layouts
            )
        if self._caption:
            room = view.width_px - beside - gap
            if "legend" in self._parts and view.height_px >= _LEAST_LINES:
                room -= gap + self._legend_box(view, s).shape[1]
            elif "values" in self._parts and self._path.tracks:
                room -= gap + max(width for width, _ in self._values_px)
            size_px = view.width_px, view.height_px
            overlay.stamp(frame, caption.masks(self._caption, self._caption_font, size_px, room), beside, gap)
        top = gap
        if "legend" in self._parts and view.height_px >= _LEAST_LINES:
            top += self._legend(frame, s, gap) + gap
        if "values" in self._parts:
            top = self._values(frame, s, top, gap)
        if view.height_px >= _LEAST_LINES and "depth" in self._parts and self._widest > self._narrowest:
            self._depth(frame, view, top + gap, gap)

    @functools.cached_property
    def _axis_layouts(self) -> axis_labels.Layouts:
        views = dict.fromkeys(self._path.viewport(s) for s in self._places)  # a camera that rests has but one
        return axis_labels.layouts(views, *self._axes, labels=self._labels)

    @functools.cached_property
    def _values_px(self) -> list[tuple[int, bool]]:
        """For each track the pixels that its words take at most, and whether it goes by its short name."""
        view, widths_shown = self._path.viewport(0.0), []
        font, room = overlay.font_of(view.width_px, view.height_px), view.width_px // 2
        for track in self._path.tracks:
            values = {self._path.value(track, s) for s in self._places}
            widths = [
                max(overlay.pill_width(font, track.words(value, short=short)) for value in values)
                for short in (False, True)
            ]
            short = widths[0] > room
            widths_shown.append((min(widths[short], room), short))
        return widths_shown

    def _values(self, out: np.ndarray, s: float, top: int, gap: int) -> int:
        """Draw the values of what moves besides the camera, one below the other at the right edge, in place.

        Return where what comes below them may begin.
        """
        font = overlay.font_of(out.shape[1], out.shape[0])
        for track, (_, short) in zip(self._path.tracks, self._values_px, strict=True):
            pill = overlay.pill(font, track.words(self._path.value(track, s), short=short))
            overlay.stamp(out, pill, out.shape[1] - gap - pill.shape[2], top)
            top += pill.shape[1] + gap // 2
        return top

    def _legend(self, out: np.ndarray, s: float, gap: int) -> int:
        """Draw what each colour means into the upper right corner, in place; return the height it took."""
        box = self._legend_box(self._path.viewport(s), s)
        height, width = (int(side) for side in box.shape[:2])
        left = out.shape[1] - gap - width
        patch = out[gap : gap + height, left : left + width]
        if patch.shape[:2] == box.shape[:2]:
            loops.lay_over(patch, box)
        return height

    def _legend_box(self, view: Viewport, s: float) -> np.ndarray:
        return _legend(self._look, round(self._path.phase(s), 3), view.width_px, view.height_px)

    def _depth(self, out: np.ndarray, view: Viewport, top: int, gap: int) -> None:
        """Draw how deep the view is along the way from the widest to the narrowest one, at the right edge."""
        font = overlay.font_of(view.width_px, view.height_px)
        thick = max(4, round(font.size * 0.4))
        bottom = out.shape[0] - 3 * gap - overlay.pill_height(font)
        tall = bottom - top
        if tall < 6 * font.size:
            return
        left = out.shape[1] - gap - thick
        share = math.log(self._widest / view.width) / math.log(self._widest / self._narrowest)
        share = min(max(share, 0.0), 1.0)
        track = np.stack([overlay.backing(thick, tall, thick / 2), np.zeros((tall, thick), dtype=np.float32)])
        fill = np.clip(share * tall - np.arange(tall), 0.0, 1.0)[:, None]
        track[1] = track[0] * fill * 0.9
        decades = math.log10(self._widest / self._narrowest)
        for decade in range(1, math.ceil(decades)):
            y = round(decade / decades * tall)
            track[1, y : y + max(1, thick // 6)] = np.where(fill[y] > 0, 0.25, 0.6) * track[0, y]
        overlay.stamp(out, track, left, top)
        label = overlay.pill(font, f"×{_times(self._widest / view.width)}")
        y = min(max(top + round(share * tall) - label.shape[1] // 2, top), bottom - label.shape[1])
        overlay.stamp(out, label, left - gap - label.shape[2], y)


def _times(zoom: float) -> str:
    """Write how many times a view is magnified: 1.0, 37, 4200, 1.6e9."""
    if zoom < 9.95:
        return f"{zoom:.1f}"
    if zoom < 99_500:
        return f"{float(f'{zoom:.2g}'):.0f}"
    return overlay.two_digits(zoom)


@functools.lru_cache(maxsize=4)
def _legend(look: Look, turns: float, width_px: int, height_px: int) -> np.ndarray:
    """Return the legend as float32 [height, width, 4]: sRGB 0 to 255 to add, and the share of the frame that stays."""
    from PIL import Image, ImageDraw

    font = overlay.font_of(width_px, height_px)
    size, line = round(font.size), round(font.size * 1.5)
    rows = _rows(look, turns, 5 * size if look.channel != "status" else 2 * size)
    widest = max(font.getlength(text) for _, text in rows)
    pad = round(size * 0.6)
    width = round(rows[0][0].shape[0] + widest + 3 * pad)
    height = line * len(rows) + pad
    ink = Image.new("L", (width, height))
    box = np.zeros((height, width, 4), dtype=np.float32)
    box[..., 3] = 0.72 * overlay.backing(width, height, size * 0.42)
    for i, (colours, text) in enumerate(rows):
        middle = pad / 2 + line * (i + 0.5)
        at = (pad * 2 + len(colours), middle)
        ImageDraw.Draw(ink).text(at, text, fill=255, font=font, anchor="lm")
        y = slice(round(middle - size * 0.4), round(middle + size * 0.4))
        box[y, pad : pad + len(colours), :3] = colours
        box[y, pad : pad + len(colours), 3] = 1.0
    inked = np.asarray(ink).astype(np.float32)[..., None] / 255
    box[..., :3] += (245 - box[..., :3]) * inked
    box[..., 3:] = np.maximum(box[..., 3:], inked)
    box[..., :3] *= box[..., 3:]
    box[..., 3] = 1 - box[..., 3]
    return box


def _rows(look: Look, turns: float, length: int) -> list[tuple[np.ndarray, str]]:
    """Return the legend's lines: colours sRGB [length, 3], and what they mean."""
    if look.channel == "status":
        colours = colour.STATUS_TABLE[1:]
        flat = [np.repeat(colour.srgb8_from_linear(c)[None], length, axis=0).astype(np.float32) for c in colours]
        return list(zip(flat, (meaning for _, meaning in STATUS_COLOURS.values()), strict=True))
    shown, rows = channel(look.channel), []
    for sign, side, (near, far) in zip((1, -1), shown.sides, (shown.converged, shown.diverged), strict=True):
        tones = (sign * np.linspace(look.gap, 1.0, length)).astype(np.float32)
        linear = colour.linear_from_tone(tones, look.palette, turns)
        rows.append((colour.srgb8_from_linear(linear).astype(np.float32), f"{side}, {near} to {far}"))
    return rows
