"""From a place on the path to a picture: stored samples, coloured, resampled and mixed in linear light."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from scipy.ndimage import distance_transform_edt

from render import colour, resample
from render.colour import Curve
from render.fields import Field
from render.plan import Plan
from render.tiles import SAMPLES, Tile
from render.viewport import Box, Viewport, Window

# Where a finer level ends inside a frame it fades over this share of the frame's height, so that no edge shows.
_MARGIN = 0.2

# How far a pixel is from the end of a level is worked out on cells of 4 samples, or of 1 or 2 where so few samples
# cross a frame that this takes no time (see `_cell`).
_CELL = 4
_CELLS = 400

# Tones kept in memory: about 4 kB a tile, two curves each; 16,384 tiles are a 1080p view at two levels.
_CACHED_TONES = 32_768


class Compositor:
    """Makes the frames of one plan from its tiles. A frame is a function of its place on the path alone.

    fetch: returns the field of a tile that is finished; called for tiles of plan.tiles_at(s) only.
    Not thread-safe: it keeps coloured tiles and colour curves between frames.
    """

    def __init__(self, plan: Plan, fetch: Callable[[Tile], Field]) -> None:
        self._plan = plan
        self._fetch = fetch
        self._look = plan.scene.look
        self._background = colour.linear_from_hex(self._look.background)
        self._curves: dict[float, Curve] = {}
        self._tones: OrderedDict[tuple[Tile, float], np.ndarray] = OrderedDict()

    def frame(self, s: float, bits: int = 8) -> np.ndarray:
        """Return the picture at path length s, without overlay: sRGB uint8 (or uint16) [height, width, 3]."""
        linear = self.linear(s)
        return colour.srgb8_from_linear(linear) if bits == 8 else colour.srgb16_from_linear(linear)

    def linear(self, s: float) -> np.ndarray:
        """Return the picture at path length s in linear light: float32 [height, width, 3], without overlay."""
        view = self._plan.path.viewport(s)
        (base, _), *finer = self._plan.mix(s)
        picture = self._layer(view, base, s)
        for level, weight in finer:
            share = self._coverage(view, level, s)
            if share is not None:
                share = np.broadcast_to(share * np.float32(weight), picture.shape[:2])
                place = _extent(share, view, level)
                layer = self._layer(_part(view, *place), level, s)
                picture[place] += (layer - picture[place]) * share[place][..., None]
        inside = _plane_share(view)
        if inside is not None:
            picture = self._background + (picture - self._background) * inside[..., None]
        return picture

    def _layer(self, view: Viewport, level: int, s: float) -> np.ndarray:
        """Return one level's picture: linear-light float32 [height_px, width_px, 3].

        The plane's outermost samples, and those at the end of what is planned, go on beyond it for as far as a
        filter reads.
        """
        window = view.window(level)
        tone, known = self._window_tones(window, s)
        linear = colour.linear_from_tone(tone, self._look.palette)
        box, size_px = view.box(level, window.x0, window.y0), (view.width_px, view.height_px)
        if known.all():
            return resample.to_pixels(linear, box, size_px)
        share = known.astype(np.float32)[..., None]
        pixels = resample.to_pixels(np.concatenate([linear * share, share], axis=-1), box, size_px)
        # At a straight end of the samples the share is a half, at a corner a quarter; beyond, coverage is zero.
        known_linear: np.ndarray = pixels[..., :3] / np.maximum(pixels[..., 3:], np.float32(0.25))
        return known_linear

    def _window_tones(self, window: Window, s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return tones float32 [rows, columns] of a window, blended between two curves, and which of them are known."""
        first, second, share = self._plan.anchors_at(s)
        if self._look.equalise == "film":
            first = second = self._plan.anchors[0]
        weight = np.float32(colour.curve_weight(share))
        count = SAMPLES << window.level
        plane = Window(window.level, *(min(max(edge, 0), count) for edge in window[1:]))
        tone = np.zeros(plane.shape, dtype=np.float32)
        known = np.zeros(plane.shape, dtype=bool)
        planned = self._plan.levels[window.level].tiles
        for tile, here, there in _pieces(plane):
            if tile not in planned:
                continue  # its weight is zero there
            known[here] = True
            piece = self._tile_tone(tile, first)[there]
            if second != first and weight > 0:
                piece = piece + (self._tile_tone(tile, second)[there] - piece) * weight
            tone[here] = piece
        beyond = ((plane.y0 - window.y0, window.y1 - plane.y1), (plane.x0 - window.x0, window.x1 - plane.x1))
        return np.pad(tone, beyond, mode="edge"), np.pad(known, beyond, mode="edge")

    def _tile_tone(self, tile: Tile, anchor: float) -> np.ndarray:
        key = (tile, anchor)
        if key in self._tones:
            self._tones.move_to_end(key)
            return self._tones[key]
        tone = self._tones[key] = self._curve(anchor).tone(self._fetch(tile).value)
        if len(self._tones) > _CACHED_TONES:
            self._tones.popitem(last=False)
        return tone

    def _curve(self, anchor: float) -> Curve:
        """Return the colour curve of an anchor, from every sample of its view (or of all anchors' views)."""
        if anchor not in self._curves:
            film = self._look.equalise == "film"
            values = [self._window_values(a) for a in (self._plan.anchors if film else [anchor])]
            self._curves[anchor] = colour.curve_from_values(np.concatenate(values), self._look.gap)
        return self._curves[anchor]

    def _window_values(self, anchor: float) -> np.ndarray:
        planned = self._plan.levels[self._plan.curve_level(anchor)].tiles
        values = [
            self._fetch(tile).value[there].ravel()
            for tile, _, there in _pieces(self._plan.curve_window(anchor))
            if tile in planned
        ]
        return np.concatenate(values) if values else np.empty(0)

    @functools.cached_property
    def _cell(self) -> int:
        """Samples along a cell of coverage, by how many of a level's samples cross a frame when it is complete."""
        output = self._plan.scene.output
        rows = 2 * output.detail * output.height_px
        return next((cell for cell in (1, 2) if rows <= cell * _CELLS), _CELL)

    def _coverage(self, view: Viewport, level: int, s: float) -> np.ndarray | None:
        """Return how much of each pixel a level may fill, float32 [height_px, width_px]; None for nowhere.

        1 well inside the level's tiles, falling smoothly to 0 at their end over a margin. The margin narrows to
        nothing as the camera nears the place where the level is complete, so the last strip closes without a
        pop. It follows from distances on cells fixed to the plane, so it moves with the picture and does not flicker.
        """
        plan = self._plan.levels[level]
        near = min(1.0, 2.0 * plan.distance(s))
        if near == 0.0:
            return np.ones((1, 1), dtype=np.float32)
        height = view.height * SAMPLES * 2.0**level  # in samples, like every distance here
        margin = near * _MARGIN * height
        cell = self._cell
        # Tiles beyond the margin (and the cells that a pixel is interpolated from) cannot lower any weight, so that
        # nothing changes when they leave the area.
        area = view.cover(level, margin=(margin + 2 * cell) / height)
        tiles = area.tiles()
        planned = np.fromiter((t in plan.tiles for t in tiles), dtype=bool, count=len(tiles)).reshape(area.shape)
        if planned.all():
            return np.ones((1, 1), dtype=np.float32)
        if not planned.any():
            return None
        distance = _distance(planned, SAMPLES // cell) * np.float32(cell)
        # What lies outside the plane needs no samples and ends nothing: its last cells go on as far as the view does.
        box = _cell_box(view.box(level, area.x0 * SAMPLES, area.y0 * SAMPLES), cell)
        low_x, low_y = (max(0, math.ceil(-edge)) for edge in (box.x0, box.y0))
        rows, columns = distance.shape
        high_x, high_y = max(0, math.ceil(box.x1) - columns + 1), max(0, math.ceil(box.y1) - rows + 1)
        padded = np.pad(distance, ((low_y, high_y), (low_x, high_x)), mode="edge")
        in_cells = Box(box.x0 + low_x, box.x1 + low_x, box.y0 + low_y, box.y1 + low_y)
        inside = resample.to_pixels(padded, in_cells, (view.width_px, view.height_px), "linear")
        ramp: np.ndarray = np.clip(inside / np.float32(margin), 0.0, 1.0)
        ramp *= ramp * (3 - 2 * ramp)
        return ramp if ramp.any() else None


def _extent(share: np.ndarray, view: Viewport, level: int) -> tuple[slice, slice]:
    """Return the rows and columns of pixels that a level has any share in, and those that a filter reads around."""
    px_per_sample = view.width_px / (view.width * SAMPLES * 2.0**level)
    around = math.ceil(2 * max(1.0, px_per_sample)) + 1
    found = (np.flatnonzero(share.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(max(0, int(i[0]) - around), int(i[-1]) + 1 + around) for i in found)
    return slice(*rows.indices(view.height_px)[:2]), slice(*columns.indices(view.width_px)[:2])


def _part(view: Viewport, rows: slice, columns: slice) -> Viewport:
    """Return the view on some of a view's pixels; row 0 is at the top."""
    pitch = Fraction(view.width) / view.width_px
    x = view.x + pitch * Fraction(columns.start + columns.stop - view.width_px, 2)
    y = view.y - pitch * Fraction(rows.start + rows.stop - view.height_px, 2)
    width_px, height_px = columns.stop - columns.start, rows.stop - rows.start
    return Viewport(x, y, float(pitch * width_px), width_px, height_px)


def _distance(planned: np.ndarray, cells: int) -> np.ndarray:
    """Return how far the centre of each cell is inside the planned tiles, in cells; -1/2 anywhere outside them.

    planned: bool [rows, columns] of tiles, neither all nor none. cells: along a tile.
    """
    distance = np.full((planned.shape[0] * cells, planned.shape[1] * cells), -0.5, dtype=np.float32)
    # Nothing is to be measured farther out than in the tiles next to the planned ones.
    rows, columns = (np.flatnonzero(planned.any(axis=axis)) for axis in (1, 0))
    y, x = (slice(max(0, i[0] - 1), i[-1] + 2) for i in (rows, columns))
    mask = np.kron(planned[y, x], np.ones((cells, cells), dtype=bool))
    part = tuple(slice(i.start * cells, i.stop * cells) for i in (y, x))
    distance[part] = np.where(mask, distance_transform_edt(mask) - 0.5, -0.5)
    return distance


def _cell_box(box: Box, cell: int) -> Box:
    """Return a box in sample positions as one in cell positions (cell 0 is centred on samples 0 to cell - 1)."""
    return Box(*((edge + 0.5) / cell - 0.5 for edge in box))


def _plane_share(view: Viewport) -> np.ndarray | None:
    """Return the share of each pixel that lies in the plane, float32 [height_px, width_px]; None if all of it does."""
    x0, x1, y0, y1 = view.edges()
    if x0 >= 0 and x1 <= 1 and y0 >= 0 and y1 <= 1:
        return None

    def shares(low: Fraction, high: Fraction, count: int) -> np.ndarray:
        first, last = (float((edge - low) / (high - low) * count) for edge in (0, 1))
        pixels = np.arange(count)
        inside: np.ndarray = np.minimum(pixels + 1, last) - np.maximum(pixels, first)
        return inside.clip(0.0, 1.0)

    whole: np.ndarray = np.outer(shares(y0, y1, view.height_px)[::-1], shares(x0, x1, view.width_px))
    return whole.astype(np.float32)


def _pieces(window: Window) -> list[tuple[Tile, tuple[slice, slice], tuple[slice, slice]]]:
    """Cut a window into tiles of the plane: (tile, its place in the window, the part of the tile)."""
    count = 1 << window.level

    def cuts(start: int, stop: int) -> list[tuple[int, slice, slice]]:
        found = []
        for index in range(max(start // SAMPLES, 0), min(-(-stop // SAMPLES), count)):
            low, high = max(start, index * SAMPLES), min(stop, (index + 1) * SAMPLES)
            first = index * SAMPLES
            found.append((index, slice(low - start, high - start), slice(low - first, high - first)))
        return found

    return [
        (Tile(window.level, ix, iy), (here_y, here_x), (there_y, there_x))
        for iy, here_y, there_y in cuts(window.y0, window.y1)
        for ix, here_x, there_x in cuts(window.x0, window.x1)
    ]
