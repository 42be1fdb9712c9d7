"""From a place on the path to a picture: stored samples, coloured, resampled and mixed in linear light."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

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

# A tile's weight is laid out in cells of this many samples. It is also how far a level's picture stays away from
# the end of its samples, so the two samples that a cubic reads beyond a pixel are always there.
_CELL = 4

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

    def frame(self, s: float) -> np.ndarray:
        """Return the picture at path length s: uint8 sRGB [height, width, 3], without overlay."""
        view = self._plan.path.viewport(s)
        picture: np.ndarray | None = None
        for level, weight in self._plan.mix(s):
            layer = self._layer(view, level, s)
            if picture is None:
                picture = layer
                continue
            share = self._coverage(view, level, s)
            if share is not None:
                picture += (layer - picture) * (np.float32(weight) * share[..., None])
        assert picture is not None
        return colour.srgb8_from_linear(picture)

    def _layer(self, view: Viewport, level: int, s: float) -> np.ndarray:
        """Return one level's picture: linear-light float32 [height_px, width_px, 3]."""
        window = view.window(level)
        tone, inside = self._window_tones(window, s)
        linear = colour.linear_from_tone(tone, self._look.palette)
        linear[~inside] = self._background
        return resample.to_pixels(linear, view.box(level, window.x0, window.y0), (view.width_px, view.height_px))

    def _window_tones(self, window: Window, s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return tones float32 [rows, columns] of a window, blended between two curves, and which lie in the plane."""
        first, second, share = self._plan.anchors_at(s)
        if self._look.equalise == "film":
            first = second = self._plan.anchors[0]
        weight = np.float32(colour.curve_weight(share))
        tone = np.zeros(window.shape, dtype=np.float32)
        inside = np.zeros(window.shape, dtype=bool)
        planned = self._plan.levels[window.level].tiles
        for tile, here, there in _pieces(window):
            inside[here] = True
            if tile not in planned:
                continue  # its weight is zero there
            piece = self._tile_tone(tile, first)[there]
            if second != first and weight > 0:
                piece = piece + (self._tile_tone(tile, second)[there] - piece) * weight
            tone[here] = piece
        return tone, inside

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

    def _coverage(self, view: Viewport, level: int, s: float) -> np.ndarray | None:
        """Return how much of each pixel a level may fill, float32 [height_px, width_px]; None for nowhere.

        1 well inside the level's tiles, falling smoothly to 0 at their end over a margin. The margin narrows to
        nothing as the camera nears the place where the level is complete, so the last strip closes without a
        pop. It is laid out on cells fixed to the plane, so it moves with the picture and does not flicker.
        """
        plan = self._plan.levels[level]
        area = view.cover(level, margin=_MARGIN)
        tiles = area.tiles()
        rows, columns = area.shape
        planned = np.fromiter((t in plan.tiles for t in tiles), dtype=bool, count=len(tiles)).reshape(rows, columns)
        if planned.all():
            return np.ones((1, 1), dtype=np.float32)
        if not planned.any():
            return None
        near = min(1.0, plan.distance(s))
        cells = SAMPLES // _CELL
        # What lies outside the plane needs no samples and ends nothing: only unplanned tiles of the plane do.
        mask = np.kron(planned, np.ones((cells, cells), dtype=bool))
        distance = (distance_transform_edt(mask) - 0.5) * _CELL
        spacing = 1.0 / (SAMPLES * 2.0**level)
        margin = max(near * _MARGIN * view.height / spacing, 1e-6)
        ramp = np.clip((distance - min(_CELL, margin)) / margin, 0.0, 1.0).astype(np.float32)
        ramp = ramp * ramp * (3 - 2 * ramp)
        # Where the plane ends, its last cells go on as far as the view does.
        box = _cell_box(view.box(level, area.x0 * SAMPLES, area.y0 * SAMPLES))
        low_x, low_y = (max(0, math.ceil(-edge)) for edge in (box.x0, box.y0))
        high_x, high_y = max(0, math.ceil(box.x1) - ramp.shape[1] + 1), max(0, math.ceil(box.y1) - ramp.shape[0] + 1)
        padded = np.pad(ramp, ((low_y, high_y), (low_x, high_x)), mode="edge")
        in_cells = Box(box.x0 + low_x, box.x1 + low_x, box.y0 + low_y, box.y1 + low_y)
        return resample.to_pixels(padded, in_cells, (view.width_px, view.height_px), "linear")


def _cell_box(box: Box) -> Box:
    """Return a box in sample positions as one in cell positions (cell 0 is centred on samples 0 to 3)."""
    return Box(*((edge + 0.5) / _CELL - 0.5 for edge in box))


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
