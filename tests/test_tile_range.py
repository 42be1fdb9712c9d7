"""The algebra of rectangles of tiles agrees with sets of tiles, which are its independent definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from render.geometry.tiles import Tile, TileRange

LEVEL = 4
SIDE = 1 << LEVEL


@st.composite
def ranges(draw: st.DrawFn, level: int = LEVEL) -> TileRange:
    x0, y0 = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return TileRange(level, x0, draw(st.integers(x0 + 1, SIDE)), y0, draw(st.integers(y0 + 1, SIDE)))


def tiles(area: TileRange | None) -> set[Tile]:
    return set() if area is None else set(area.tiles())


@given(ranges(), ranges())
def test_intersection_and_containment_are_those_of_the_sets_of_tiles(one: TileRange, two: TileRange) -> None:
    assert tiles(one.intersection(two)) == tiles(one) & tiles(two)
    assert one.contains(two) == (tiles(two) <= tiles(one))


@given(ranges(), ranges())
def test_a_union_is_the_smallest_rectangle_that_contains_both(one: TileRange, two: TileRange) -> None:
    union = one.union(two)
    assert union.contains(one)
    assert union.contains(two)
    columns = {tile.ix for tile in tiles(one) | tiles(two)}
    rows = {tile.iy for tile in tiles(one) | tiles(two)}
    assert (union.x0, union.x1 - 1, union.y0, union.y1 - 1) == (min(columns), max(columns), min(rows), max(rows))


@given(ranges(), st.integers(0, 20), st.integers(0, 20))
def test_a_grown_rectangle_has_every_tile_of_the_plane_that_is_near_enough(
    area: TileRange, columns: int, rows: int
) -> None:
    near = {
        Tile(LEVEL, ix, iy)
        for ix in range(SIDE)
        for iy in range(SIDE)
        if area.x0 - columns <= ix < area.x1 + columns and area.y0 - rows <= iy < area.y1 + rows
    }
    assert tiles(area.grown(columns, rows)) == near


@given(ranges(), st.lists(ranges(), max_size=4))
def test_a_mask_marks_the_tiles_that_lie_in_some_part(area: TileRange, others: list[TileRange]) -> None:
    parts = [part for other in others if (part := area.intersection(other)) is not None]
    inside = set().union(*(tiles(part) for part in parts))
    expected = np.array([tile in inside for tile in area.tiles()], dtype=bool).reshape(area.shape)
    assert np.array_equal(area.mask(parts), expected)


@given(ranges(), ranges(level=LEVEL + 1))
def test_rectangles_of_two_levels_share_nothing(one: TileRange, two: TileRange) -> None:
    assert one.intersection(two) is None
    assert not one.contains(two)
