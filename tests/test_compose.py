"""Laws of pictures, on fields that are known everywhere: nothing shifted, nothing that pops, and no colour made up.

No training: a compositor is given a field that is a plain function of the exact lattice positions of a tile.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from render.film.compose import Compositor
from render.film.plan import Plan
from render.geometry.camera import View
from render.geometry.tiles import SAMPLES, Tile
from render.geometry.viewport import Viewport
from render.picture import colour, palettes
from render.samples import Field
from tests.helpers.plans import JOURNEY, TARGET, WHOLE, places, scene_of, zoomed

Fetch = Callable[[Tile], Field]
DETAILS = [0.06, 0.25, 0.71, 2.0]
LOW, HIGH = -100.0, 100.0  # a converged and a diverged value


# ---- fields that are known everywhere


def field(value: np.ndarray) -> Field:
    filled = Field.empty((SAMPLES, SAMPLES))
    filled.value[:] = value
    return filled


def constant(tile: Tile) -> Field:
    return field(np.array(LOW))


def parity(tile: Tile) -> Field:
    """Another value for the samples that every other level adds: the picture shows the weight of each level."""
    values = np.full((SAMPLES, SAMPLES), LOW if tile.level % 2 else HIGH)
    if tile.level > 0:
        values[::2, ::2] = parity(tile.parent).value[tile.parent_quadrant]
    return field(values)


def offsets(tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """Unit coordinates [1, SAMPLES], [SAMPLES, 1] of a tile's samples from TARGET: a small difference, exact before it
    becomes a float."""
    scale = SAMPLES << tile.level
    x, y = (
        float((first - at * scale) / scale) + np.arange(SAMPLES) / scale
        for first, at in zip(tile.first_sample, (TARGET.x, TARGET.y), strict=True)
    )
    return x[None, :], y[:, None]


def pixel_of_target(view: Viewport) -> tuple[int, int]:
    """Row and column of TARGET in a frame."""
    x0, _, _, y1 = view.edges()
    pitch = Fraction(view.width) / view.width_px
    return math.floor((y1 - TARGET.y) / pitch), math.floor((TARGET.x - x0) / pitch)


def half_plane(a: float, b: float) -> Fetch:
    """Converged where a x + b y > 0 about TARGET: a straight edge, the same at every zoom."""

    def fetch(tile: Tile) -> Field:
        x, y = offsets(tile)
        return field(np.where(a * x + b * y > 0, LOW, HIGH))

    return fetch


def ramp(a: float, b: float) -> Fetch:
    """Converged everywhere, slower towards lower a x + b y."""

    def fetch(tile: Tile) -> Field:
        x, y = offsets(tile)
        return field(-2 + a * x + b * y)

    return fetch


def noise(tile: Tile) -> Field:
    """Another value and sign at every lattice position; a position has the same on every level."""
    shift = 48 - tile.level
    x, y = (np.array([(first + i) << shift for i in range(SAMPLES)], np.uint64) for first in tile.first_sample)
    mixed = (x[None, :] * np.uint64(0x9E3779B97F4A7C15)) ^ (y[:, None] * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    unit = (mixed >> np.uint64(11)).astype(float) / 2.0**53
    return field(np.where(unit < 0.5, -1 - 100 * unit, 1 + 100 * unit))


def srgb8(value: float, gap: float = 0.25, palette: str = "Spectral") -> np.ndarray:
    """The 8-bit colour of LOW or HIGH, each alone on its side."""
    return colour.srgb8_from_linear(light(value, gap, palette))


def light(value: float, gap: float = 0.25, palette: str = "Spectral") -> np.ndarray:
    """The same in linear light."""
    tone = np.float32((1 + gap) / 2 * (1 if value < 0 else -1))
    return colour.linear_from_tone(np.array(tone), palette)


# ---- one colour


@pytest.mark.parametrize("detail", [0.06, 0.25, 1.0])
def test_a_plane_of_one_value_is_one_colour_in_every_frame(detail: float) -> None:
    """At every mix of levels, where fine levels end inside the frame and where they are about to close.

    The first frame holds the plane's whole width: its outermost pixels reach the plane's edge.
    """
    planned = zoomed(6.7, detail=detail)
    compositor = Compositor(planned, constant)
    for s in places(planned, 0, 12):
        assert (compositor.frame(float(s)) == srgb8(LOW)).all()


def test_a_plane_of_one_value_is_one_colour_on_a_journey() -> None:
    planned = Plan(scene_of(*JOURNEY[1:], detail=0.1, rest_detail=0.5))
    compositor = Compositor(planned, constant)
    for s in places(planned, 1, 12):
        assert (compositor.frame(float(s)) == srgb8(LOW)).all()


@pytest.mark.parametrize("detail", DETAILS)
def test_outside_the_plane_is_the_background_to_the_pixel(detail: float) -> None:
    """Whatever the levels: the plane's edge stands where it is, also where the lattice has no sample on it."""
    outer = dataclasses.replace(WHOLE, width=2.0)
    planned = Plan(scene_of(outer, dataclasses.replace(outer, width=0.1), detail=detail, background="#336699"))
    compositor = Compositor(planned, constant)
    background = np.array([0x33, 0x66, 0x99], np.uint8)
    for s in (0.0, 0.2, 0.5, math.log2(16 / 12)):
        view = planned.path.viewport(s)
        picture = compositor.frame(s)
        # In pixels, the plane reaches from low to 64 - low across, and over the whole height if it is that large.
        low = 32 - 32 / view.width
        columns = np.arange(64)
        outside = (columns + 1 <= low) | (columns >= 64 - low)
        inside = (columns >= low) & (columns + 1 <= 64 - low)
        middle = picture[18]
        assert (middle[outside] == background).all()
        assert (middle[inside] == srgb8(LOW)).all()
        share = np.float32(math.ceil(low) - low)
        if 0 < share < 1:
            ground = palettes.linear_from_hex("#336699")
            mixed = colour.srgb8_from_linear(ground + share * (light(LOW) - ground)).astype(int)
            for column in (math.floor(low), 63 - math.floor(low)):
                assert np.abs(middle[column] - mixed).max() <= 1


def test_a_view_on_the_planes_corner_shows_a_quarter_of_it() -> None:
    corner = View(Fraction(1), Fraction(1), 2.0**-7)
    compositor = Compositor(Plan(scene_of(corner, background="#000000")), constant)
    picture = compositor.frame(0.0)
    assert (picture[18:, :32] == srgb8(LOW)).all()
    assert (picture[:18] == 0).all()
    assert (picture[:, 32:] == 0).all()


# ---- where things are


def test_row_0_is_the_top_and_column_0_the_left() -> None:
    up, right = (Compositor(deep(9.9, 1.0), half_plane(*ab)).frame(2.0) for ab in ((0.0, 1.0), (1.0, 0.0)))
    assert (up[:12] == srgb8(LOW)).all()
    assert (up[24:] == srgb8(HIGH)).all()
    assert (right[:, 38:] == srgb8(LOW)).all()
    assert (right[:, :26] == srgb8(HIGH)).all()


def deep(octaves: float, detail: float, **look: Any) -> Plan:
    """The last two octaves of a zoom into TARGET."""
    start, end = (dataclasses.replace(TARGET, width=2.0**-depth) for depth in (octaves - 2, octaves))
    return Plan(scene_of(start, end, detail=detail, rest_detail=detail, **look))


DEPTHS = [3.3, 20.4, 29.9]  # octaves; the last view is 1e-9 wide


@pytest.mark.parametrize("octaves", DEPTHS)
@pytest.mark.parametrize("detail", [0.5, 1.0, 2.0])
def test_a_straight_edge_lies_where_it_is_at_every_zoom(octaves: float, detail: float) -> None:
    """Its place in each row, by the light beside it, is right to half a sample, and on average to 1/25."""
    planned = deep(octaves, detail, palette="gray", gap=0.0)
    slope = 0.31
    compositor = Compositor(planned, half_plane(1.0, -slope))
    dark, bright = (palettes.linear_from_srgb(srgb8(value, 0.0, "gray")[:1] / 255)[0] for value in (HIGH, LOW))
    for s in (1.3, 2.0):
        view = planned.path.viewport(s)
        linear = palettes.linear_from_srgb(compositor.frame(s)[..., 0] / 255)
        # How many pixels of each row the bright side fills: from the edge to the right end of the frame.
        edges = view.width_px - ((linear - dark) / (bright - dark)).sum(axis=1)
        pitch = view.width / view.width_px
        rows = (view.height_px / 2 - 0.5 - np.arange(view.height_px)) * pitch
        edge = slope * (rows + float(view.y - TARGET.y)) - float(view.x - TARGET.x)
        error = edges - (view.width_px / 2 + edge / pitch)
        sample_px = 2.0 ** (view.level - planned.base_level(s))
        assert np.abs(error).max() < 0.52 * max(1.0, sample_px)  # the ring of a reduction adds a little
        assert abs(error.mean()) < 0.04 * max(1.0, sample_px)


@pytest.mark.parametrize("octaves", DEPTHS)
@pytest.mark.parametrize("detail", [0.25, 0.71, 2.0])
def test_a_ramp_is_not_shifted_by_half_a_sample(octaves: float, detail: float) -> None:
    """At an anchor, ranks spread a ramp evenly: tones are linear across the frame, and any shift is one of the ramp."""
    planned = deep(octaves, detail, palette="gray", gap=0.0)
    for (a, b), s in itertools.product([(1.0, 0.0), (0.0, 1.0)], [0.0, 2.0]):
        view, window = planned.path.viewport(s), planned.curve_window(s)
        # Fractions of a view: steps of values far above float64's rounding of the -2 they are added to.
        picture = Compositor(planned, ramp(a / view.width, b / view.width)).frame(s)[..., 0].astype(float)
        box = view.box(window.level, window.x0, window.y0)
        low, high, count = (box.x0, box.x1, window.shape[1]) if a else (box.y0, box.y1, window.shape[0])
        profile = picture.mean(axis=0) if a else picture.mean(axis=1)[::-1]
        at = low + (np.arange(len(profile)) + 0.5) * (high - low) / len(profile)  # of each pixel, in samples
        expected = 255 * (1 - (at + 0.5) / count / 2)
        inner = slice(len(profile) // 5, -(len(profile) // 5))  # the outermost pixels see samples on one side only
        steps_per_px = 127.5 * (high - low) / count / len(profile)
        assert abs((profile - expected)[inner].mean() / steps_per_px) < 0.1  # pixels


# ---- mixing levels


def noise_below(level: int, tile: Tile) -> Field:
    """`noise` on every level after a level, `parity` down to it."""
    return noise(tile) if tile.level > level else parity(tile)


def test_where_nothing_finer_is_planned_the_coarse_level_shows() -> None:
    width, height = 480, 270
    planned = zoomed(8.3, detail=0.25, size=(width, height))
    compositor = Compositor(planned, parity)
    seen = 0
    for s in map(float, np.arange(0.05, 6, 0.45)):
        view, base = planned.path.viewport(s), planned.base_level(s)
        x0, x1, y0, _ = view.edges()
        pitch = (x1 - x0) / width
        corner = Viewport(x1 - pitch / 2, y0 + pitch / 2, float(pitch), 1, 1)
        near = corner.cover(base + 1, margin=0.2 * height).tiles()
        if not set(near) & planned.levels[base + 1].tiles:
            seen += 1
            other = Compositor(planned, functools.partial(noise_below, base))
            np.testing.assert_array_equal(compositor.frame(s)[-1, -1], other.frame(s)[-1, -1])
    assert seen >= 4


def leaps(compositor: Compositor, grid: np.ndarray, border: int = 0, worst: int = 2) -> list[tuple[float, int]]:
    """Look for places where the picture jumps: halve the steps with the greatest changes until they are tiny.

    A change that goes on for a while shrinks with its step, a pop does not. border: pixels left out at each side.
    Returns what is left of the worst steps: (place, greatest change of any channel of any pixel).
    """

    def frame(s: float) -> np.ndarray:
        picture = compositor.frame(s).astype(int)
        return picture[border : len(picture) - border, border : picture.shape[1] - border]

    pictures = [frame(float(s)) for s in grid]
    changes = [int(np.abs(one - two).max()) for one, two in itertools.pairwise(pictures)]
    largest = []
    for i in np.argsort(changes)[-worst:]:
        a, b, one, two = float(grid[i]), float(grid[i + 1]), pictures[i], pictures[i + 1]
        while b - a > 1e-7:
            middle = (a + b) / 2
            between = frame(middle)
            if np.abs(one - between).max() >= np.abs(between - two).max():
                b, two = middle, between
            else:
                a, one = middle, between
        largest.append((a, int(np.abs(one - two).max())))
    return largest


@pytest.mark.parametrize("detail", DETAILS)
def test_no_level_pops_in_a_zoom(detail: float) -> None:
    """Not where the base level changes, nor where the last strip of a finer level closes, nor at a frame's edge."""
    planned = zoomed(6.7, detail=detail)
    for place, change in leaps(Compositor(planned, parity), np.linspace(0, planned.path.length, 60)):
        assert change <= 2, place


@pytest.mark.parametrize("detail", [0.1, 0.25, 0.5])
def test_the_last_strip_of_a_level_closes_without_a_pop(detail: float) -> None:
    planned = zoomed(6.7, detail=detail)
    compositor = Compositor(planned, parity)
    for begin in (level.complete[-1][0] for level in planned.levels.values()):
        if 2 < begin < 5:
            for place, change in leaps(compositor, np.linspace(begin - 0.1, begin + 0.01, 12), worst=1):
                assert change <= 2, place


@pytest.mark.parametrize(("detail", "rest_detail"), [(0.1, 0.3), (0.5, 2.0)])
def test_no_level_pops_on_a_journey(detail: float, rest_detail: float) -> None:
    planned = Plan(scene_of(*JOURNEY, detail=detail, rest_detail=rest_detail))
    for place, change in leaps(Compositor(planned, parity), np.linspace(0, planned.path.length, 60)):
        assert change <= 2, place


@pytest.mark.parametrize(("detail", "equalise"), [(0.06, "octave"), (0.71, "octave"), (0.25, "film")])
def test_no_sample_pops_inside_a_frame(detail: float, equalise: str) -> None:
    """The hardest field there is: every sample unlike its neighbours."""
    planned = zoomed(3.7, detail=detail, equalise=equalise)
    for place, change in leaps(Compositor(planned, noise), np.linspace(0, planned.path.length, 40), border=2):
        assert change <= 6, place


# ---- a frame is a function of its place


def frames_of(planned: Plan, fetch: Fetch, order: list[float]) -> dict[float, np.ndarray]:
    compositor = Compositor(planned, fetch)
    return {s: compositor.frame(s) for s in order}


@pytest.mark.parametrize("equalise", ["octave", "film"])
def test_a_frame_does_not_depend_on_the_frames_made_before_it(equalise: str) -> None:
    planned = Plan(scene_of(*JOURNEY, detail=0.5, equalise=equalise))
    order = [float(s) for s in np.linspace(0, planned.path.length, 9)]
    forward, backward = frames_of(planned, noise, order), frames_of(planned, noise, order[::-1])
    shuffled = frames_of(planned, noise, order[::2] + order[1::2])
    for s in order:
        alone = Compositor(planned, noise).frame(s)
        for others in (forward, backward, shuffled):
            np.testing.assert_array_equal(others[s], alone)


def test_memory_stays_within_a_few_views() -> None:
    """Whatever the length of the film: samples of the levels that show, no more than a view and its slack."""
    planned = zoomed(12.7)
    compositor = Compositor(planned, noise)
    for s in map(float, np.linspace(0, planned.path.length, 30)):
        compositor.frame(s)
        assert compositor._mosaics.keys() <= {level for level, _ in planned.mix(s)}
        for level, mosaic in compositor._mosaics.items():
            rows, columns = planned.path.viewport(s - 2).cover(level).shape
            assert mosaic._codes.size <= SAMPLES**2 * (1.4 * rows + 2) * (1.4 * columns + 2)


@pytest.mark.parametrize("equalise", ["octave", "film"])
def test_a_frame_fetches_only_tiles_that_the_plan_gives_it(equalise: str) -> None:
    """What it waits for is enough, also for the colour curves, and all of it is used by some frame nearby."""
    for planned in (
        zoomed(4.7, detail=0.25, equalise=equalise),
        Plan(scene_of(*JOURNEY[1:], detail=0.71, rest_detail=2.0, equalise=equalise)),
    ):
        for s in places(planned, 2)[::3]:
            asked: list[Tile] = []

            def fetch(tile: Tile, asked: list[Tile] = asked) -> Field:
                asked.append(tile)
                return noise(tile)

            Compositor(planned, fetch).frame(s)
            assert asked
            assert set(asked) <= set(planned.tiles_at(s))


def test_frames_are_8_bit_colour_of_the_scenes_size() -> None:
    for size in ((64, 36), (36, 64), (16, 16)):
        picture = Compositor(Plan(scene_of(TARGET, size=size)), noise).frame(0.0)
        assert picture.dtype == np.uint8
        assert picture.shape == (size[1], size[0], 3)


# ---- colour along the path


def pit(tile: Tile) -> Field:
    """Converged, the slower the nearer to TARGET, at every scale: each octave of a zoom has values of its own."""
    x, y = offsets(tile)
    return field(-40 + np.log2(np.hypot(x, y) + 2.0**-30))


def test_the_curve_of_one_octave_goes_over_into_the_next_without_a_pop() -> None:
    planned = zoomed(5.3, detail=1.0)
    for place, change in leaps(Compositor(planned, pit), np.linspace(0, planned.path.length, 50), border=2, worst=4):
        assert change <= 2, place


def spot(tile: Tile) -> Field:
    """Converged: slowly within 2^-6 of TARGET, fast outside."""
    x, y = offsets(tile)
    return field(np.where(np.maximum(np.abs(x), np.abs(y)) < 2.0**-6, -300.0, -50.0))


def test_a_film_curve_keeps_the_colour_of_a_value_and_octave_curves_follow_what_is_in_view() -> None:
    middles = {}
    for equalise in ("octave", "film"):
        planned = zoomed(8.0, palette="gray", detail=1.0, equalise=equalise)
        compositor = Compositor(planned, spot)
        middles[equalise] = [
            int(compositor.frame(s)[pixel_of_target(planned.path.viewport(s))][0]) for s in (3.0, 4.0, 8.0)
        ]
    assert np.ptp(middles["film"]) <= 1  # a cubic's faint ring
    # From a small share of slow samples, all with the highest ranks, to slow samples alone, in the middle of theirs.
    assert middles["octave"][0] > middles["octave"][1] + 5 > middles["octave"][2] + 10
    assert middles["octave"][-1] == srgb8(LOW, palette="gray")[0]
