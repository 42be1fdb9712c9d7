"""A picture for print: one view of a film, of any size, made in bands, so that memory does not grow with its height.

All of it shows one level of samples, in the colours of the film's frame. Each band is a view that contains some rows of
pixels. Its missing samples are trained, and its memory is freed once it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from render.encode.tiff import TILE_PX, Print
from render.errors import DepthError
from render.film.compose import Compositor, plane_coverage
from render.film.plan import Plan
from render.geometry.axes import DEEPEST_LEVEL
from render.geometry.tiles import SAMPLES, Tile, TileRange
from render.geometry.viewport import Viewport
from render.picture import caption, colour, loops, overlay, palettes, raster, relief, resample, typeface
from render.picture.channels import channel
from render.picture.colour import Coding
from render.picture.raster import Layer
from render.samples import Field
from render.scene import Scene

_CM_PER_INCH, _MM_PER_INCH = 2.54, 25.4


@dataclass(frozen=True)
class Sheet:
    """The paper. cm: width and height once trimmed. dpi: pixels per inch. bleed_mm: bleed on every side.

    detail: samples per pixel, at least, along one direction.
    """

    cm: tuple[float, float]
    dpi: float = 300.0
    bleed_mm: float = 0.0
    detail: float = 0.5

    @property
    def trimmed_px(self) -> tuple[int, int]:
        """(width, height) after trimming."""
        width, height = (max(1, round(side / _CM_PER_INCH * self.dpi)) for side in self.cm)
        return width, height

    @property
    def bleed_px(self) -> int:
        """Pixels of bleed on every side."""
        return round(self.bleed_mm / _MM_PER_INCH * self.dpi)

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) with bleed."""
        width, height = (side + 2 * self.bleed_px for side in self.trimmed_px)
        return width, height


class Poster:
    """A frame of a plan as a print: its view, its tiles, and its bands.

    The trimmed picture contains the whole frame. Where its shape differs, it shows more above and below, or beside it.
    """

    def __init__(self, plan: Plan, s: float, sheet: Sheet) -> None:
        self.plan, self.s, self.sheet = plan, s, sheet
        # Where more than the camera moves, a print shows the nearest slice: the mean of two is not the value of any
        # run.
        self._slice = plan.slices.nearest(s)
        frame = plan.path.viewport(s)
        width_px, height_px = sheet.trimmed_px
        trimmed = max(frame.width, frame.height * width_px / height_px)
        width = trimmed * sheet.size_px[0] / width_px
        self.view = Viewport(frame.x, frame.y, width, *sheet.size_px)
        self.level = max(0, math.ceil(self.view.level + math.log2(sheet.detail)))
        problem, plainly = plan.scene.problem, plan.scene.output.precision == "float64"
        if self.level > (limit := problem.deepest_level if plainly else DEEPEST_LEVEL):
            raise DepthError(
                f"{plan.scene.name}: the print needs level {self.level}, but the deepest possible level is {limit}. "
                "Choose an earlier frame, fewer dpi, or a lower detail."
            )
        self.bands = [
            slice(top, min(top + TILE_PX, self.view.height_px)) for top in range(0, self.view.height_px, TILE_PX)
        ]

    @property
    def scene(self) -> Scene:
        """The scene at the plan's quality."""
        return self.plan.scene

    def curve_tiles(self) -> list[Tile]:
        """Return the tiles that give its colours: those that colour the film's frame."""
        return self.plan.curve_tiles_at(self.s)

    def tiles(self, rows: slice) -> list[Tile]:
        """Return the tiles that some rows need."""
        return self._band(self._reached(rows)).cover(self.level).tiles()

    def area(self) -> TileRange:
        """Return all of its tiles."""
        return self.view.cover(self.level)

    def _reached(self, rows: slice) -> slice:
        """Return the rows that must be drawn for some rows: relief also needs their neighbours."""
        look = self.scene.look
        more = relief.REACH_PX if look.boundary > 0 or look.shading > 0 else 0
        return slice(max(0, rows.start - more), min(self.view.height_px, rows.stop + more))

    def _band(self, rows: slice) -> Viewport:
        view = self.view
        pixel = Fraction(view.width) / view.width_px
        y = view.y + pixel * Fraction(view.height_px - rows.start - rows.stop, 2)
        return Viewport(view.x, y, view.width, view.width_px, rows.stop - rows.start)

    def picture(
        self, rows: slice, fetch: Callable[[Tile], Field], colours: tuple[Coding, list[np.ndarray]]
    ) -> np.ndarray:
        """Return some rows from the top: linear light, float32 [3, rows, width].

        fetch: returns the field of a tile of `tiles(rows)`. colours: see `colours`.
        """
        code, tables = colours
        reached = self._reached(rows)
        view = self._band(reached)
        layer = self._layer(view, self.plan.slices.reader(self._slice, fetch), code)
        drawn = np.empty((3 * len(tables), view.height_px, view.width_px), dtype=np.float32)

        def fill(part: slice) -> None:
            for i, table in enumerate(tables):
                drawn[3 * i : 3 * i + 3, part] = raster.band([layer], table, part)

        raster.each_band(view.height_px, fill)
        linear = drawn if len(tables) == 1 else relief.drawn(drawn, self.scene.look, self.view.height_px)
        inside = plane_coverage(view)
        if inside is not None:
            loops.blend_outside(linear, *inside, palettes.linear_from_hex(self.scene.look.background))
        return linear[:, rows.start - reached.start : rows.stop - reached.start]

    def colours(self, fetch: Callable[[Tile], Field]) -> tuple[Coding, list[np.ndarray]]:
        """Return how values are coded, and the tables of their colours. fetch: reads a tile of `curve_tiles()`."""
        return Compositor(self.plan, self.plan.slices.reader(self._slice, fetch)).colours(self.s)

    def _layer(self, view: Viewport, fetch: Callable[[Tile], Field], code: Coding) -> Layer:
        area = view.cover(self.level)
        window = view.window(self.level).within(area)
        signed = channel(self.scene.look.channel).signed
        rows, columns = area.shape
        codes = np.zeros((rows * SAMPLES, columns * SAMPLES), dtype=np.uint16)
        values = np.empty((SAMPLES, columns * SAMPLES))
        for iy in range(area.y0, area.y1):
            for ix in range(area.x0, area.x1):
                left = (ix - area.x0) * SAMPLES
                values[:, left : left + SAMPLES] = signed(fetch(Tile(self.level, ix, iy)))
            top = (iy - area.y0) * SAMPLES
            codes[top : top + SAMPLES] = code(values)
        first_x, first_y = area.x0 * SAMPLES, area.y0 * SAMPLES
        shown = np.ascontiguousarray(
            codes[window.y0 - first_y : window.y1 - first_y, window.x0 - first_x : window.x1 - first_x]
        )
        box = view.box(self.level, window.x0, window.y0)
        return Layer(
            shown,
            resample.taps(box.y0, box.y1, view.height_px, shown.shape[0]),
            resample.taps(box.x0, box.x1, view.width_px, shown.shape[1]),
        )

    def caption(self) -> tuple[np.ndarray, int, int] | None:
        """Return the masks of the scene's caption, and their distances from the left and the top; None without one."""
        output = self.scene.output
        if not output.caption:
            return None
        width_px, height_px = self.sheet.trimmed_px
        gap = round(overlay.font_of(width_px, height_px).size * 0.5)
        file = typeface.find(output.caption, output.font)
        masks = caption.masks(output.caption, file, (width_px, height_px), width_px - 2 * gap)
        return masks, self.sheet.bleed_px + gap, self.sheet.bleed_px + gap


def srgb_bands(
    poster: Poster,
    colours: tuple[Coding, list[np.ndarray]],
    picture: Print,
    trained: Callable[[slice], AbstractContextManager[Callable[[Tile], Field]]],
) -> Iterator[np.ndarray]:
    """Yield the bands of a print from the top, uint8 or uint16 [rows, width, 3].

    trained: trains the tiles of some rows; its context yields the function that reads one of them.
    """
    text = poster.caption()
    for rows in poster.bands:
        with trained(rows) as fetch:
            linear = poster.picture(rows, fetch, colours)
        band = np.empty((rows.stop - rows.start, poster.view.width_px, 3), np.uint8 if picture.bits == 8 else np.uint16)
        for part in raster.bands(len(band)):
            light = np.ascontiguousarray(linear[:, part])
            if picture.bits == 8:
                loops.look_up(light, colour.srgb8_table(), band[part])
            else:
                band[part] = np.moveaxis(colour.srgb16_from_linear(light), 0, -1)
        if text is not None:
            _write(band, rows, *text)
        yield band


def _write(band: np.ndarray, rows: slice, masks: np.ndarray, left: int, top: int) -> None:
    """Write the part of a caption that lies in a band, in place."""
    first, last = max(rows.start, top), min(rows.stop, top + masks.shape[1])
    if first >= last:
        return
    part = np.ascontiguousarray(masks[:, first - top : last - top])
    if band.dtype == np.uint8:
        overlay.stamp(band, part, left, first - rows.start)
        return
    # As on frames, text is drawn on the picture in 8 bits, and pixels that it changes are copied.
    eight = (band >> 8).astype(np.uint8)
    overlay.stamp(drawn := eight.copy(), part, left, first - rows.start)
    changed = (drawn != eight).any(axis=-1)
    band[changed] = drawn[changed].astype(np.uint16) * np.uint16(257)
