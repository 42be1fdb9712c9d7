"""Laws of tiles, axes and viewports: integers, exact fractions, and one rounding at the very end."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.geometry import axes, patches
from render.geometry.axes import Axis
from render.geometry.patches import WHOLE
from render.geometry.tiles import SAMPLES, Tile, TileRange, bounds
from render.geometry.viewport import Viewport

NINE = Axis("lr", "log10", Fraction(-3), Fraction(6))
SHORT = Axis("lr", "log10", Fraction("-0.1234567890123456789"), Fraction("0.7"))
LINE = Axis("offset", "linear", Fraction("-0.3"), Fraction("1.7"))
ALL_AXES = [NINE, SHORT, LINE]

fractions = st.fractions(min_value=-1, max_value=2, max_denominator=10**30)


@st.composite
def some_tiles(draw: st.DrawFn, least_level: int = 0) -> Tile:
    level = draw(st.integers(least_level, 60))
    index = st.integers(0, 2**level - 1)
    return Tile(level, draw(index), draw(index))


@st.composite
def viewports(draw: st.DrawFn) -> Viewport:
    width = 2.0 ** draw(st.floats(-45, 2))
    sizes = st.integers(16, 4096)
    return Viewport(draw(fractions), draw(fractions), width, draw(sizes), draw(sizes))


# ---- tiles


@given(some_tiles())
def test_the_parent_of_every_child_is_the_tile(tile: Tile) -> None:
    assert [child.parent for child in tile.children] == [tile] * 4


@given(some_tiles(least_level=1))
def test_a_tile_is_one_of_its_parents_children(tile: Tile) -> None:
    assert tile.parent.children.count(tile) == 1


def test_the_tile_of_level_0_has_no_parent() -> None:
    with pytest.raises(ValueError, match="has no parent"):
        _ = Tile(0, 0, 0).parent


@given(some_tiles())
def test_children_partition_their_parent(tile: Tile) -> None:
    x0, x1, y0, y1 = bounds(tile)
    xm, ym = (x0 + x1) / 2, (y0 + y1) / 2
    assert [bounds(child) for child in tile.children] == [
        (x0, xm, y0, ym),
        (xm, x1, y0, ym),
        (x0, xm, ym, y1),
        (xm, x1, ym, y1),
    ]


@given(some_tiles(least_level=1))
def test_every_second_sample_is_a_sample_of_the_parent(tile: Tile) -> None:
    rows, columns = tile.parent_quadrant
    assert (len(range(*rows.indices(SAMPLES))), len(range(*columns.indices(SAMPLES)))) == (SAMPLES // 2,) * 2
    x, y = tile.first_sample
    parent_x, parent_y = tile.parent.first_sample
    assert (x, y) == (2 * (parent_x + columns.start), 2 * (parent_y + rows.start))


@given(some_tiles())
def test_the_first_sample_stands_on_the_tiles_corner(tile: Tile) -> None:
    scale = SAMPLES << tile.level
    assert tuple(Fraction(i, scale) for i in tile.first_sample) == bounds(tile)[::2]


@given(viewports(), st.integers(0, 50), st.floats(0, 1))
def test_a_view_covers_exactly_the_tiles_that_hold_what_its_pixels_read(
    view: Viewport, level: int, margin: float
) -> None:
    area, count, reach = view.cover(level, margin), 2**level, view.reach(level)
    x0, x1, y0, y1 = view.edges(margin)
    before, beyond = Fraction(reach - 1, SAMPLES * count), Fraction(reach, SAMPLES * count)

    def meets(i: int, low: Fraction, high: Fraction) -> bool:
        return 0 <= i < count and Fraction(i, count) < high and Fraction(i + 1, count) > low

    sides = (x0 - before, x1 + beyond, area.x0, area.x1), (y0 - before, y1 + beyond, area.y0, area.y1)
    for low, high, first, end in sides:
        assert 0 <= first <= count and 0 <= end <= count
        if first < end:
            assert meets(first, low, high) and meets(end - 1, low, high)
        assert not meets(first - 1, low, high) and not meets(max(first, end), low, high)


def test_a_range_lists_its_tiles_row_by_row() -> None:
    area = TileRange(3, 1, 3, 4, 6)
    assert area.shape == (2, 2)
    assert area.tiles() == [Tile(3, 1, 4), Tile(3, 2, 4), Tile(3, 1, 5), Tile(3, 2, 5)]


def test_a_child_trains_three_quarters_of_its_samples() -> None:
    assert patches.new_samples(WHOLE, 0).all()
    new = patches.new_samples(WHOLE, WHOLE)
    assert new.sum() * 4 == 3 * SAMPLES**2
    assert not new[::2, ::2].any()


# ---- axes


@given(st.sampled_from(ALL_AXES), fractions)
def test_position_and_unit_coordinate_round_trip_exactly(axis: Axis, unit: Fraction) -> None:
    assert axis.unit_from_position(axis.position_from_unit(unit)) == unit


@given(st.sampled_from(ALL_AXES), st.fractions(0, 1, max_denominator=10**30))
def test_value_and_unit_coordinate_round_trip_to_50_digits(axis: Axis, unit: Fraction) -> None:
    value = Fraction(axis.value_from_unit(unit))
    assert abs(axis.unit_from_position(axis.position_from_value(value)) - unit) < Fraction(1, 10**50)


@given(st.integers(-40, 40))
def test_the_log10_of_a_power_of_ten_is_exact(exponent: int) -> None:
    assert NINE.position_from_value(Fraction(10) ** exponent) == exponent


def independent_value(axis: Axis, level: int, index: int) -> float:
    """The value at a lattice index, by another formula (exp of ln 10) and at another precision, rounded once."""
    context = Context(prec=90)
    unit = Fraction(index, SAMPLES * 2**level)
    position = axis.lo * (1 - unit) + axis.hi * unit
    exact = context.divide(Decimal(position.numerator), Decimal(position.denominator))
    if axis.scale == "log10":
        exact = context.exp(context.multiply(exact, context.ln(Decimal(10))))
    return float(exact)


@given(st.sampled_from(ALL_AXES), st.data())
def test_values_equal_an_independent_computation_rounded_once(axis: Axis, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, 47))
    first = data.draw(st.integers(0, 2**level - 1)) * SAMPLES
    values = axis.values(level, first)
    assert values.dtype == np.float64
    for i in (0, 1, SAMPLES // 2, SAMPLES - 1):
        assert values[i] == independent_value(axis, level, first + i)


@given(st.sampled_from(ALL_AXES), st.data())
def test_values_do_not_depend_on_the_tile_they_are_asked_for_in(axis: Axis, data: st.DataObject) -> None:
    level = data.draw(st.integers(1, 45))
    tile = data.draw(st.integers(0, 2**level - 1))
    parent = axis.values(level - 1, (tile >> 1) * SAMPLES)
    half = SAMPLES // 2 * (tile & 1)
    assert np.array_equal(axis.values(level, tile * SAMPLES)[::2], parent[half : half + SAMPLES // 2])


@given(st.sampled_from(ALL_AXES), st.data())
def test_neighbouring_values_are_apart_down_to_the_deepest_level(axis: Axis, data: st.DataObject) -> None:
    level = axis.deepest_level
    for tile in (0, 2**level - 1, data.draw(st.integers(0, 2**level - 1))):
        values = axis.values(level, tile * SAMPLES)
        steps = np.diff(values) / np.spacing(np.abs(values[:-1]))
        # The axis promises 16 steps; rounding both ends of a step can cost one.
        assert steps.min() >= 15
        assert values[-1] < axis.values(level, (tile + 1) * SAMPLES)[0]


@pytest.mark.parametrize("axis", ALL_AXES)
def test_past_the_deepest_level_neighbours_come_closer_than_promised(axis: Axis) -> None:
    level = axis.deepest_level + 1
    spans = [
        np.diff(axis.values(level, t * SAMPLES)) / np.spacing(np.abs(axis.values(level, t * SAMPLES)[1:]))
        for t in {int(f * (2**level - 1)) for f in np.linspace(0, 1, 201)}
    ]
    assert min(span.min() for span in spans) < 16


def test_the_deepest_level_of_the_published_plane_is_47() -> None:
    assert NINE.deepest_level == 47


def test_values_cannot_be_written_to() -> None:
    assert not NINE.values(0, 0).flags.writeable


def test_an_axis_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise: 1.0 is not below 1.0"):
        Axis("lr", "linear", Fraction(1), Fraction(1))


def test_a_log10_axis_refuses_values_that_have_no_logarithm() -> None:
    with pytest.raises(ValueError, match="must be > 0 on the log10 axis 'lr', not 0"):
        NINE.position_from_value(Fraction(0))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=40))
def test_exact_keeps_every_digit(number: Decimal) -> None:
    assert axes.exact(str(number)) == Fraction(number)


@pytest.mark.parametrize(
    "text", ["", "one", "nan", "inf", "-inf", "1e401", "1e-401", "1e999999999999", "0x10", "9" * 401]
)
def test_exact_refuses_what_is_not_a_finite_number_of_sane_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        axes.exact(text)


# ---- viewports


@given(viewports())
def test_at_a_views_level_one_lattice_spacing_is_one_pixel(view: Viewport) -> None:
    pitch = view.width / view.width_px
    assert math.isclose(2.0**-view.level / SAMPLES, pitch, rel_tol=1e-12)


@given(viewports(), st.floats(0, 1))
def test_edges_stand_around_the_centre(view: Viewport, margin: float) -> None:
    x0, x1, y0, y1 = view.edges(margin)
    assert (x0 + x1, y0 + y1) == (2 * view.x, 2 * view.y)
    assert math.isclose(float(x1 - x0), view.width + 2 * margin * view.height, rel_tol=1e-12)
    assert math.isclose(float(y1 - y0), view.height * (1 + 2 * margin), rel_tol=1e-12)


@given(viewports(), st.integers(0, 45))
def test_every_sample_of_the_window_that_is_in_the_plane_is_covered(view: Viewport, level: int) -> None:
    window, area = view.window(level), view.cover(level)
    count = SAMPLES << level
    for first, end, low, high in ((window.x0, window.x1, area.x0, area.x1), (window.y0, window.y1, area.y0, area.y1)):
        inside_first, inside_end = max(first, 0), min(end, count)
        if inside_first < inside_end:
            assert low * SAMPLES <= inside_first
            assert inside_end <= high * SAMPLES


@given(viewports(), st.integers(0, 45), st.sampled_from([1, 2, 4, None]))
def test_a_window_holds_a_view_and_as_many_samples_more_as_a_filter_reads(
    view: Viewport, level: int, reach: int | None
) -> None:
    window = view.window(level, reach)
    more = (reach or view.reach(level)) - 1
    box = view.box(level, window.x0, window.y0)
    rows, columns = window.shape
    for low, high, count in ((box.x0, box.x1, columns), (box.y0, box.y1, rows)):
        assert more <= low <= more + 1
        assert count - more - 2 - 1e-9 * count <= high <= (count - more - 1) * (1 + 1e-12)


@given(viewports(), st.integers(0, 45), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_box_counts_from_any_sample(view: Viewport, level: int, dx: int, dy: int) -> None:
    window = view.window(level)
    near, far = view.box(level, window.x0, window.y0), view.box(level, window.x0 - dx, window.y0 - dy)
    assert math.isclose(far.x0, near.x0 + dx, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(far.y1, near.y1 + dy, rel_tol=1e-9, abs_tol=1e-9)
