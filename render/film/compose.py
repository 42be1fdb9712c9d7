"""From a place on the path to a picture: stored samples are coloured, resampled and mixed in linear light."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from render.film.plan import Plan
from render.geometry import patches
from render.geometry.patches import WHOLE, PatchRange
from render.geometry.tiles import SAMPLES, Tile
from render.geometry.viewport import Viewport, Window
from render.picture import colour, flash_limit, loops, palettes, raster, relief, resample, roughness
from render.picture.channels import channel
from render.picture.colour import Code, Coding, Curve
from render.picture.flash_limit import Passing
from render.picture.level_ends import Edge, LevelEnds
from render.picture.mosaic import Mosaic
from render.picture.raster import Layer
from render.picture.resample import Taps
from render.picture.roughness import Rough
from render.samples import Field

# Where a finer level ends inside a frame it fades over this share of the frame's height, so that no edge shows: at most
# _MARGIN, and _DENSE_MARGIN / detail where samples are dense, since grains near the size of a pixel differ little from
# those half as large. Against a render at detail 4, 0.1 instead of 0.2 loses 0.15 dB at detail 0.18, and gains 0.16 at
# 0.4 and 0.24 at 0.71. The margin is also at most _RING times half of the number of samples down a frame at which
# the level becomes complete: a wider one would leave no part of the level unmixed.
_MARGIN, _DENSE_MARGIN = 0.2, 0.06
_RING = 1.1


# A function that draws some rows of a picture, from the top: linear light, float32 [3, rows, width].
Bands = Callable[[slice], np.ndarray]


def mixed(
    parts: Sequence[tuple[Bands, float]], shape: tuple[int, int], bits: int = 8, passing: Passing | None = None
) -> np.ndarray:
    """Return pictures averaged as light, by their weights: sRGB uint8 (or uint16 for 16 bits) [height, width, 3].

    passing: how the camera moves there, to limit flashes; None for no limit.
    """
    picture = np.empty((*shape, 3), dtype=np.uint8 if bits == 8 else np.uint16)
    total = sum(weight for _, weight in parts)

    def light(rows: slice) -> np.ndarray:
        linear = parts[0][0](rows)
        if parts[0][1] != 1.0:
            linear *= np.float32(parts[0][1])
        for band, weight in parts[1:]:
            linear += band(rows) if weight == 1.0 else band(rows) * np.float32(weight)
        if total != 1.0:
            linear /= np.float32(total)
        return linear

    def write(linear: np.ndarray, rows: slice) -> None:
        if bits == 8:
            loops.look_up(linear, colour.srgb8_table(), picture[rows])
        else:
            picture[rows] = np.moveaxis(colour.srgb16_from_linear(linear), 0, -1)

    if passing is None or passing.rests:
        raster.each_band(shape[0], lambda rows: write(light(rows), rows))
        return picture
    frame = np.empty((3, *shape), dtype=np.float32)

    def keep(rows: slice) -> None:
        frame[:, rows] = light(rows)

    raster.each_band(shape[0], keep)
    limit = flash_limit.correction(frame, passing)

    def limited(rows: slice) -> None:
        linear = np.ascontiguousarray(frame[:, rows])
        if limit is not None:
            limit.add(linear, rows)
        write(linear, rows)

    raster.each_band(shape[0], limited)
    return picture


class Compositor:
    """Makes the frames of one plan from its tiles. A frame is a function of its place on the path alone.

    fetch: returns the field of a finished tile; it is called only for tiles of plan.tiles_at(s).
    Not thread-safe: it keeps coded samples and colour curves between frames.
    """

    def __init__(self, plan: Plan, fetch: Callable[[Tile], Field]) -> None:
        self._plan = plan
        self._fetch = fetch
        self._look = plan.scene.look
        self._background = palettes.linear_from_hex(self._look.background)
        self._channel = channel(self._look.channel)
        self._curves: dict[float, Curve] = {}
        self._codes: dict[tuple[float, float], Code] = {}
        self._mosaics: dict[int, Mosaic] = {}
        output = plan.scene.output
        self._ends = LevelEnds(2 * output.detail * output.height_px)
        self._strength = roughness.strength(output.detail)

    def frame(self, *places: float, bits: int = 8, passing: Passing | None = None) -> np.ndarray:
        """Return the picture at a path length, without overlay: sRGB uint8 (or uint16) [height, width, 3].

        Several places, as of an open shutter, are averaged as light. passing: how the camera moves there, to limit
        flashes; None for no limit.
        """
        view = self._plan.path.viewport(places[0])
        return mixed([(self.bands(s), 1.0) for s in places], (view.height_px, view.width_px), bits, passing)

    def bands(self, s: float) -> Bands:
        """Return what draws some rows, from the top, of the picture at s: linear light, float32 [3, rows, width]."""
        view = self._plan.path.viewport(s)
        layers, tables = self._layers(view, s)
        inside = plane_coverage(view)
        lit = None
        if len(tables) > 1:  # relief needs neighbours, so the whole picture is drawn first
            channels = np.empty((6, view.height_px, view.width_px), dtype=np.float32)

            def keep(rows: slice) -> None:
                for i, table in enumerate(tables):
                    channels[3 * i : 3 * i + 3, rows] = raster.band(layers, table, rows)

            raster.each_band(view.height_px, keep)
            lit = relief.drawn(channels, self._look)

        def band(rows: slice) -> np.ndarray:
            linear = raster.band(layers, tables[0], rows) if lit is None else lit[:, rows].copy()
            if inside is not None:
                loops.blend_outside(linear, inside[0][rows], inside[1], self._background)
            return linear

        return band

    # ---- levels ------------------------------------------------------------------------------------------------

    def _layers(self, view: Viewport, s: float) -> tuple[list[Layer], list[np.ndarray]]:
        """Return the levels that are visible at s, coarse to fine, and the tables of their colours: see `colours`."""
        code, tables = self.colours(s)
        mix = self._plan.mix(s)
        for level in self._mosaics.keys() - {level for level, _ in mix}:
            del self._mosaics[level]
            self._ends.forget(level)
        shown: list[tuple[int, float, list[PatchRange], Edge | None]] = []
        for level, weight in mix:
            parts = self._parts(view, level)
            edge = self._edge(view, level, s) if shown and parts else None
            if not parts or (edge is not None and edge.misses()):
                break  # finer levels lie inside this one, which is not visible
            hides = self._opacity(weight) == 1
            if edge is None and hides and all(coarser[3] is None for coarser in shown):
                shown = []  # coarser levels are hidden
            shown.append((level, weight, parts, edge))
        return [
            self._layer(view, level, parts, weight, (code, tables[0]), edge) for level, weight, parts, edge in shown
        ], tables

    def _layer(
        self,
        view: Viewport,
        level: int,
        parts: list[PatchRange],
        weight: float,
        coded: tuple[Coding, np.ndarray],
        edge: Edge | None,
    ) -> Layer:
        code, table = coded
        area = functools.reduce(PatchRange.union, parts)
        window = view.window(level).within(area)
        mosaic = self._mosaics.setdefault(level, Mosaic(self._values))
        tiles = area.tile_range
        codes = mosaic.codes(tiles, tiles.mask(part.tile_range for part in parts), code, window)
        box = view.box(level, window.x0, window.y0)
        # A level fades in by its filter, which begins as that of its parent, whose samples are every second one of the
        # level.
        ways = (
            (box.y0, box.y1, view.height_px, codes.shape[0], window.y0),
            (box.x0, box.x1, view.width_px, codes.shape[1], window.x0),
        )

        def read(widen: float = 1.0, known: Sequence[np.ndarray | None] = (None, None)) -> tuple[Taps, Taps]:
            rows, columns = (
                resample.taps(
                    *way[:4],
                    coarse=1 - weight,
                    first_even=way[4] % 2,
                    widen=widen,
                    least_blur=roughness.LEAST_BLUR * self._strength,
                    known=counts,
                )
                for way, counts in zip(ways, known, strict=True)
            )
            return rows, columns

        rough = None
        if self._strength > 0:
            known = [roughness.known_around(low, high, count, 1 - weight) for low, high, _, count, _ in ways]
            weights = roughness.mean_weights(
                codes, table, 1 - weight, (window.y0 % 2, window.x0 % 2), (known[0], known[1])
            )
            if weights.any():
                up, across = (resample.taps(*way[:4], "linear") for way in ways)
                rough = Rough(weights * np.float32(self._strength), up, across, *read(roughness.WIDEN, known))
        return Layer(
            codes, *read(), edge, gaps=not bool(area.mask(parts).all()), rough=rough, opacity=self._opacity(weight)
        )

    def _opacity(self, weight: float) -> float:
        """Return how much a level that comes in hides of its parent.

        By its filter alone it looks like its parent at first. But means reach farther than filters do, and near the end
        of a level they are taken over other samples than the parent's.
        """
        return min(1.0, 2 * weight) if self._strength > 0 else 1.0

    def _parts(self, area: Viewport | PatchRange, level: int) -> list[PatchRange]:
        """Return where a level's patches lie in a view or an area."""
        return self._plan.levels[level].parts(area.patches(level) if isinstance(area, Viewport) else area)

    # ---- colours -----------------------------------------------------------------------------------------------

    def colours(self, s: float) -> tuple[Coding, list[np.ndarray]]:
        """Return how values are coded at s, and the colours of the codes: see `_tables`."""
        if self._look.channel == "status":
            return colour.status_code, self._tables(colour.STATUS_TABLE, colour.STATUS_TONES)
        first, second, share = self._plan.anchors_at(s)
        if self._look.equalise != "octave":
            first = second = self._plan.anchors[0]
        if (first, second) not in self._codes:
            self._codes = {(first, second): Code(self._curve(first), self._curve(second))}
        code = self._codes[first, second]
        weight = np.float32(colour.curve_weight(share))
        tones = code.tones[0] + (code.tones[1] - code.tones[0]) * weight
        turns = self._plan.path.phase(s)
        return code, self._tables(colour.linear_from_tone(tones, self._look.palette, turns), tones)

    def _tables(self, linear: np.ndarray, tones: np.ndarray) -> list[np.ndarray]:
        """Return tables float32 [codes, 4]: linear light (for relief also side and tone), then 1, or 0 for code 0."""
        tables = [linear]
        if self._look.boundary > 0 or self._look.shading > 0:
            tables.append(np.stack([np.sign(tones), np.abs(tones), np.zeros_like(tones)], axis=1))
        drawn = [np.ones((len(tones), 4), dtype=np.float32) for _ in tables]
        for table, channels in zip(drawn, tables, strict=True):
            table[:, :3] = channels
            table[0] = 0.0  # no sample, no light
        return drawn

    def _curve(self, anchor: float) -> Curve:
        """Return the colour curve of an anchor, from every sample of its view (or of all anchors' views)."""
        if anchor not in self._curves:
            look, problem = self._look, self._plan.scene.problem
            if look.equalise in ("fixed", "log"):
                most = float(problem.steps) if self._channel.most is None else self._channel.most
                self._curves[anchor] = colour.fixed_curve(most, look.gap, log=look.equalise == "log")
            else:
                anchors = self._plan.anchors if look.equalise == "film" else [anchor]
                values = np.concatenate([self._window_values(a) for a in anchors])
                self._curves[anchor] = colour.curve_from_values(values, look.gap)
        return self._curves[anchor]

    def _values(self, tile: Tile) -> np.ndarray:
        """Return the values of a tile's planned patches; NaN elsewhere, even where other patches are stored."""
        planned = self._plan.patches[tile]
        values = self._channel.signed(self._fetch(tile))
        return values if planned == WHOLE else np.where(patches.samples(planned), values, np.nan)

    def _window_values(self, anchor: float) -> np.ndarray:
        planned = self._plan.levels[self._plan.curve_level(anchor)].tiles
        values = [
            self._values(tile)[samples].ravel()
            for tile, samples in _pieces(self._plan.curve_window(anchor))
            if tile in planned
        ]
        joined = np.concatenate(values) if values else np.empty(0)
        return joined[~np.isnan(joined)]

    # ---- where a level ends ------------------------------------------------------------------------------------

    def _edge(self, view: Viewport, level: int, s: float) -> Edge | None:
        """Return where a level ends; None where it fills the view.

        The margin narrows to nothing as the camera nears the place where the level is complete, so the last strip
        disappears without a jump.
        """
        near = min(1.0, 2.0 * self._plan.levels[level].distance(s))
        if near == 0.0:
            return None
        height = view.height * SAMPLES * 2.0**level  # in samples, like every distance here
        output = self._plan.scene.output
        share = min(_MARGIN, _DENSE_MARGIN / output.detail)
        margin = near * min(share * height, _RING * output.detail * output.height_px)
        return self._ends.edge(view, level, margin, functools.partial(self._parts, level=level))


class _Piece(NamedTuple):
    tile: Tile
    samples: tuple[slice, slice]


def plane_coverage(view: Viewport) -> tuple[np.ndarray, np.ndarray] | None:
    """Return how much of each row (from the top) and column of pixels the plane covers, float32; None for all of it."""
    x0, x1, y0, y1 = view.edges()
    if x0 >= 0 and x1 <= 1 and y0 >= 0 and y1 <= 1:
        return None

    def coverage(low: Fraction, high: Fraction, count: int) -> np.ndarray:
        first, last = (float((edge - low) / (high - low) * count) for edge in (0, 1))
        pixels = np.arange(count)
        inside: np.ndarray = np.minimum(pixels + 1, last) - np.maximum(pixels, first)
        return inside.clip(0.0, 1.0).astype(np.float32)

    return np.ascontiguousarray(coverage(y0, y1, view.height_px)[::-1]), coverage(x0, x1, view.width_px)


def _pieces(window: Window) -> list[_Piece]:
    """Return the tiles of the plane that a window touches, and which samples of each lie in it."""
    count = 1 << window.level

    def cuts(start: int, stop: int) -> list[tuple[int, slice]]:
        parts = []
        for index in range(max(start // SAMPLES, 0), min(-(-stop // SAMPLES), count)):
            first = index * SAMPLES
            parts.append((index, slice(max(start, first) - first, min(stop, first + SAMPLES) - first)))
        return parts

    return [
        _Piece(Tile(window.level, ix, iy), (rows, columns))
        for iy, rows in cuts(window.y0, window.y1)
        for ix, columns in cuts(window.x0, window.x1)
    ]
