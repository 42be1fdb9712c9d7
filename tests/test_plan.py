"""Laws of the plan: every frame is complete at its detail, no sample is trained twice, no tile is needed in vain."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render import scene
from render.errors import DepthError
from render.film import plan
from render.film.plan import Plan
from render.geometry.axes import Axis
from render.geometry.camera import View
from render.geometry.patches import SIDE, WHOLE
from render.geometry.tiles import SAMPLES, Tile
from render.geometry.viewport import Viewport, Window
from render.problem import Problem
from render.scene import Scene
from tests.helpers.plans import JOURNEY, PLANE, TARGET, places, scene_of, zoomed

# Corners and edges of the plane too: views that stick out of it.
units = st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1)]) | st.fractions(0, 1, max_denominator=10**25)
some_views = st.builds(View, units, units, st.floats(-6, 2).map(lambda e: 2.0**e))
details = st.sampled_from([0.06, 0.25, 0.5, 0.71, 1.0, 2.0]) | st.floats(0.06, 2)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Zooms in and out, journeys between views that are not nested, holds and keyframes only passed, single views."""
    key_views = [draw(some_views)]
    for kind in draw(st.lists(st.sampled_from(["in", "away", "stay"]), max_size=2)):
        last = key_views[-1]
        if kind == "in":
            key_views.append(View(last.x, last.y, last.width * 2.0 ** -draw(st.floats(0.1, 6))))
        else:
            key_views.append(draw(some_views) if kind == "away" else last)
    if draw(st.booleans()):
        key_views.reverse()
    size = draw(st.sampled_from([(16, 16), (64, 36), (36, 64), (160, 16)]))
    detail = draw(details)
    rest_detail = detail * draw(st.sampled_from([1.0, 1.41, 2.0, 3.0]))
    return Plan(
        scene_of(
            *key_views,
            size=size,
            detail=detail,
            rest_detail=max(rest_detail, 1e-3),
            hold_s=draw(st.sampled_from([0.0, 0.5])),
            equalise=draw(st.sampled_from(["octave", "octave", "film"])),
        )
    )


def needed(window: Window, side: int = SAMPLES) -> set[Tile]:
    """The tiles (or squares of that many samples) that hold a window's samples, as far as it lies in the plane."""
    last = (SAMPLES << window.level) - 1

    def indices(first: int, end: int) -> range:
        return range(max(first, 0) // side, min(end - 1, last) // side + 1)

    rows, columns = indices(window.y0, window.y1), indices(window.x0, window.x1)
    return {Tile(window.level, ix, iy) for iy in rows for ix in columns}


def patches_of(planned: Plan, level: int) -> set[Tile]:
    """The planned patches of a level, by their places among all patches of the plane."""
    across = SAMPLES // SIDE
    return {
        Tile(level, across * tile.ix + number % across, across * tile.iy + number // across)
        for tile, patches in planned.levels[level].patches.items()
        for number in range(across**2)
        if patches >> number & 1
    }


def whole_levels(planned: Plan, s: float) -> list[int]:
    """The levels of a frame at s whose samples fill all of it."""
    view = planned.path.viewport(s)
    return [level for level, _ in planned.mix(s) if needed(view.window(level), SIDE) <= patches_of(planned, level)]


some_plans = plans()
seeds = st.integers(0, 2**32 - 1)
thoroughly, slowly = (settings(max_examples=count, deadline=None) for count in (25, 8))


# ---- what a frame is made of


@thoroughly
@given(some_plans, seeds)
def test_every_frame_is_whole_at_the_promised_detail(planned: Plan, seed: int) -> None:
    """At its base level, and at a level with `detail` samples per pixel; with `rest_detail` where the camera rests."""
    output = planned.scene.output
    for s in places(planned, seed):
        complete = whole_levels(planned, s)
        assert planned.base_level(s) in complete
        least = output.rest_detail if s in planned.path.rests else output.detail
        assert 2.0 ** (max(complete) - planned.path.viewport(s).level) >= least * (1 - 1e-9)


def test_samples_of_a_super_sampled_rest_are_shown_on_the_way_to_it() -> None:
    """Everything that is trained is seen: no level is planned that no frame uses."""
    planned = zoomed(5.7, detail=0.5, rest_detail=2.0)
    end = planned.path.length
    assert max(planned.levels) == max(level for level, _ in planned.mix(end)) == planned.base_level(end)
    shown = {tile for s in np.linspace(0, end, 401) for tile in planned.tiles_at(float(s))}
    assert shown == set(planned.order)


@slowly
@given(some_plans, seeds)
def test_a_mix_goes_from_coarse_to_fine_with_weights_up_to_one(planned: Plan, seed: int) -> None:
    for s in places(planned, seed):
        levels, weights = zip(*planned.mix(s), strict=True)
        assert levels[0] == planned.base_level(s)
        assert weights[0] == 1
        assert list(levels) == sorted(set(levels))
        assert all(0 < weight <= 1 for weight in weights)


def shares(planned: Plan, s: float) -> dict[int, float]:
    """How much of a pixel each level makes up, where all of them are there."""
    weights: dict[int, float] = {}
    for level, weight in planned.mix(s):
        weights = {coarser: share * (1 - weight) for coarser, share in weights.items()} | {level: weight}
    return weights


@slowly
@given(some_plans, seeds)
def test_no_level_pops_in_or_out_of_the_mix(planned: Plan, seed: int) -> None:
    """Across every change of base level and of the finest level too."""
    step = 1e-7
    for s in places(planned, seed):
        for beside in (s - step, s + step):
            if 0 <= beside <= planned.path.length:
                one, two = shares(planned, s), shares(planned, beside)
                assert sum(one.values()) == pytest.approx(1)
                for level in one | two:
                    # The nominal level moves by at most 2 an octave; rounding of deep widths adds a little.
                    assert abs(one.get(level, 0.0) - two.get(level, 0.0)) <= 3 * step


@slowly
@given(some_plans, seeds)
def test_anchors_stand_at_most_an_octave_apart_and_a_frame_lies_between_two(planned: Plan, seed: int) -> None:
    assert planned.anchors[0] == 0
    assert planned.anchors[-1] == planned.path.length
    assert max(np.diff(planned.anchors), default=0) <= 1
    for s in places(planned, seed):
        before, after, share = planned.anchors_at(s)
        assert 0 <= share <= 1
        assert before <= s <= after
        assert s == pytest.approx(before + share * (after - before), abs=1e-9)


@slowly
@given(some_plans)
def test_a_colour_curve_is_made_of_whole_windows(planned: Plan) -> None:
    for anchor in planned.anchors:
        window = planned.curve_window(anchor)
        assert needed(window, SIDE) <= patches_of(planned, planned.curve_level(anchor))
        assert needed(window) <= set(planned.tiles_at(anchor))
        if planned.curve_level(anchor) < planned.base_level(anchor):
            assert window.shape[0] >= 64


# ---- what is trained, and when


@slowly
@given(some_plans, seeds)
def test_an_order_holds_every_planned_tile_once_and_all_that_frames_use(planned: Plan, seed: int) -> None:
    assert len(set(planned.order)) == len(planned.order)
    assert set(planned.order) == {tile for level in planned.levels.values() for tile in level.tiles}
    assert all(0 <= tile.ix < 2**tile.level and 0 <= tile.iy < 2**tile.level for tile in planned.order)
    for s in places(planned, seed):
        tiles = planned.tiles_at(s)
        assert len(set(tiles)) == len(tiles)
        assert set(tiles) <= set(planned.order)
        view = planned.path.viewport(s)
        for level, _ in planned.mix(s):
            assert needed(view.window(level)) & planned.levels[level].tiles <= set(tiles)


@pytest.mark.parametrize("detail", [0.06, 1.0, 1.5])
def test_a_frame_waits_for_no_tile_that_only_much_later_frames_need(detail: float) -> None:
    """Frames are made while later tiles are trained: one tile at the wrong end of the order would stop the film."""
    planned = Plan(scene_of(*JOURNEY, size=(240, 135), detail=detail))
    position = {tile: i for i, tile in enumerate(planned.order)}

    def count(s: float) -> int:
        return 1 + max(position[tile] for tile in planned.tiles_at(s))

    # The order follows places 1/16 octave apart, and all that is needed between two of them comes with the first.
    grid = np.linspace(0, planned.path.length, 8 * 16)
    counts = np.array([count(float(s)) for s in grid])
    for s in places(planned, 0, 60):
        assert count(s) <= 1.1 * counts[grid <= s + 2.5 / 16].max()


@slowly
@given(some_plans)
def test_a_parent_comes_before_a_child_that_is_not_needed_earlier(planned: Plan) -> None:
    examined = [float(s) for s in planned._places]
    first: dict[Tile, int] = {}
    for i, s in enumerate(examined):
        for tile in planned.tiles_at(s):
            first.setdefault(tile, i)
    position = {tile: i for i, tile in enumerate(planned.order)}
    for tile, when in first.items():
        if tile.level and first.get(tile.parent, len(examined)) <= when:
            # Tiles of the next place may come along, since frames between two places need them.
            assert position[tile.parent] < position[tile] or first[tile.parent] == when > 0


def test_a_parent_comes_before_its_children_where_the_film_begins() -> None:
    for detail in (0.06, 0.5, 1.0):
        planned = zoomed(6, detail=detail)
        seen: set[Tile] = set()
        for tile in planned.order:
            assert tile.level == planned.first_level or tile.parent in seen
            seen.add(tile)


@slowly
@given(some_plans)
def test_the_count_of_samples_is_that_of_those_which_no_planned_parent_has(planned: Plan) -> None:
    count = 0
    for level in planned.levels:
        above = patches_of(planned, level - 1) if level - 1 in planned.levels else set()
        for _, column, row in patches_of(planned, level):
            count += SIDE**2 - (SIDE**2 // 4 if Tile(level - 1, column // 2, row // 2) in above else 0)
    assert planned.samples == count


@slowly
@given(some_plans)
def test_a_planned_tile_has_patches_and_the_even_samples_of_each_lie_in_its_parent(planned: Plan) -> None:
    for level in planned.levels:
        assert all(0 < patches <= WHOLE for patches in planned.levels[level].patches.values())
        if level - 1 in planned.levels:
            parents = {Tile(level - 1, column // 2, row // 2) for _, column, row in patches_of(planned, level)}
            assert parents <= patches_of(planned, level - 1)


def test_in_a_pure_zoom_no_sample_is_trained_twice() -> None:
    """Every lattice position of the film counts once, on whichever levels it stands."""
    planned = zoomed(4, detail=0.5)
    deepest = max(planned.levels)
    positions: set[tuple[int, int]] = set()
    for level in planned.levels:
        for _, column, row in patches_of(planned, level):
            x, y, shift = SIDE * column, SIDE * row, deepest - level
            positions.update((x + i << shift, y + j << shift) for i in range(SIDE) for j in range(SIDE))
    assert planned.samples == len(positions)


@slowly
@given(some_plans, st.floats(1, 60), st.floats(0.1, 10))
def test_a_plan_knows_nothing_of_time_and_colour(planned: Plan, fps: float, slower: float) -> None:
    scene = planned.scene
    retimed = tuple(dataclasses.replace(k, time_s=slower * k.time_s, hold_s=slower * k.hold_s) for k in scene.keyframes)
    other = dataclasses.replace(
        scene,
        keyframes=retimed,
        easing="linear",
        look=dataclasses.replace(scene.look, palette="viridis", gap=0.1, background="#ffffff"),
        output=dataclasses.replace(
            scene.output, fps=Fraction(fps), crf=30, codec="hevc", overlay=not scene.output.overlay
        ),
    )
    assert Plan(other).order == planned.order


def test_one_curve_for_the_film_needs_the_same_tiles_in_another_order() -> None:
    octave, film = zoomed(6, equalise="octave"), zoomed(6, equalise="film")
    assert sorted(octave.order) == sorted(film.order)
    assert set(film.tiles_at(0.0)) > set(octave.tiles_at(0.0))


def test_a_still_is_a_plan_of_one_place() -> None:
    still = Plan(scene_of(TARGET, detail=0.5, rest_detail=1.0))
    assert still.path.length == 0
    assert still.anchors == [0.0]
    shown = set(still.tiles_at(0.0))
    inherited = {tile.parent for tile in shown} | {tile.parent.parent for tile in shown}
    assert shown <= set(still.order) <= shown | inherited


@pytest.mark.slow
def test_a_wide_frame_is_whole_where_a_journey_turns_between_two_examined_places() -> None:
    """65,536 samples across: between places 1/16 octave apart the edge of the view runs out by 4 of them."""
    start = View(Fraction(40522007, 81920000), Fraction(1, 2), 0.3808167796906007)
    end = View(Fraction(59617559, 81920000), Fraction(1, 2), 0.14774661926024768)
    planned = Plan(scene_of(start, end, size=(16384, 16), detail=2.0))
    assert planned.base_level(1.649955978580238) in whole_levels(planned, 1.649955978580238)


# ---- cost


def waste(samples: float) -> float:
    """Mean ratio of the samples of the patches that an interval touches to the samples in it; two more are read."""
    return (samples + 2 + SIDE) / samples


@pytest.mark.parametrize(("detail", "cost"), [(0.5, 0.75), (0.71, 1.5), (1.0, 3.0)])
def test_a_doubling_costs_three_times_detail_squared_frames(detail: float, cost: float) -> None:
    """Printed with -s. At 640 x 360: 0.79 (0.78 expected of patches of 8), 1.58 (1.56), 3.10 (3.07)."""
    width, height = 640, 360
    shallow, deep = (zoomed(octaves, size=(width, height), detail=detail) for octaves in (4, 10))
    measured = (deep.samples - shallow.samples) / (width * height) / 6
    # A level's widest frame holds 2 detail W x 2 detail H samples.
    expected = 3 * detail**2 * waste(2 * detail * width) * waste(2 * detail * height)
    print(
        f"detail {detail}: {measured:.2f} W x H samples a doubling, {expected:.2f} expected of patches, "
        f"{cost} of frames"
    )
    assert 3 * detail**2 == pytest.approx(cost, rel=0.01)
    assert cost < measured
    assert measured == pytest.approx(expected, rel=0.05)


# ---- where float64 ends


def decades(width: float, problem: Problem = PLANE, size: tuple[int, int] = (1920, 1080)) -> Scene:
    """The last three octaves of a film that ends at a width in decades; no detail of rest, so only depth counts."""
    target = dataclasses.replace(TARGET, width=width / float(problem.x.span))
    start = dataclasses.replace(TARGET, width=8 * target.width)
    return scene_of(start, target, size=size, detail=0.1, rest_detail=0.1, problem=problem, precision="float64")


def test_ten_decades_are_planned_and_fourteen_are_refused_to_plain_float64() -> None:
    assert max(zoomed(math.log2(1e10), detail=0.25).levels) <= PLANE.last_plain_level
    with pytest.raises(DepthError) as caught:
        zoomed(math.log2(1e14), detail=0.71, size=(1920, 1080), precision="float64")
    assert str(caught.value) == (
        "synthetic: the film needs level 53, but axis 'lr_input' separates neighbouring samples only to level 47 "
        "(float64). Its narrowest view is 9e-14 decades wide; at this size and detail it must be at least 5.8e-12. "
        'Widen the last keyframe, or lower output.size or output.detail, or set output.precision = "auto".'
    )


@pytest.mark.slow
def test_a_film_goes_on_by_differences_where_it_may() -> None:
    shallow, deep = zoomed(30, detail=0.25), zoomed(150, detail=0.25)
    assert shallow.targets.last_plain_level is None
    assert deep.targets.last_plain_level == PLANE.last_plain_level < max(deep.levels)
    # The first deep level takes nothing over from above, every other patch below a planned one a quarter.
    count = 0
    for level in deep.levels:
        wanted = patches_of(deep, level)
        above = patches_of(deep, level - 1) if level - 1 in deep.levels else set()
        begins = level == deep.targets.last_plain_level + 1
        alone = [p for p in wanted if begins or Tile(level - 1, p.ix // 2, p.iy // 2) not in above]
        count += SIDE**2 * len(alone) + 3 * SIDE**2 // 4 * (len(wanted) - len(alone))
    assert deep.samples == count


@pytest.mark.slow
def test_no_film_ends_below_level_400() -> None:
    with pytest.raises(DepthError, match="no level is deeper than 400"):
        zoomed(450)


def test_the_width_that_the_refusal_asks_for_is_enough_and_half_of_it_is_not() -> None:
    with pytest.raises(DepthError) as caught:
        Plan(decades(1e-15))
    least = float(str(caught.value).partition("at least ")[2].partition(". ")[0])
    Plan(decades(least * 1.05))  # the message gives two digits
    with pytest.raises(DepthError):
        Plan(decades(least * 0.45))


def test_the_refusal_names_the_axis_that_ends_first() -> None:
    narrow = Axis("offset", "linear", Fraction(1), Fraction("1.001"))
    limit = f"axis 'offset' separates neighbouring samples only to level {narrow.deepest_level} .* decades wide"
    with pytest.raises(DepthError, match=limit):
        Plan(decades(1e-9, Problem(PLANE.x, narrow)))
    with pytest.raises(DepthError, match=r"axis 'offset' .* 1e-13 units wide"):
        Plan(decades(1e-13, Problem(narrow, PLANE.y)))


@pytest.mark.parametrize(("width", "warned"), [(1.0, False), (1.1e-11, False), (9e-12, True)])
def test_a_film_below_the_trusted_width_comes_with_a_warning(width: float, warned: bool) -> None:
    warning = plan.depth_warning(Plan(decades(width)))
    if not warned:
        assert warning is None
    else:
        assert warning == (
            "The narrowest view is 9e-12 decades wide. Below about 1e-11 decades, rounding inside the training runs "
            "starts to show: what looks like structure there may be noise."
        )


def test_a_refused_film_is_refused_before_its_tiles_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*_: object) -> None:
        raise AssertionError("tiles were listed")

    monkeypatch.setattr(plan, "_add_covers", listed)
    monkeypatch.setattr(Viewport, "cover", listed)
    with pytest.raises(DepthError):
        zoomed(math.log2(1e14), size=(8192, 8192), detail=4.0, precision="float64")


@pytest.mark.parametrize("quality", ["preview", "soft", "draft"])
@pytest.mark.slow
def test_no_frame_waits_for_what_only_later_frames_need(quality: str) -> None:
    """A frame may wait for its octave's curve, no longer: frames are made while training goes on."""
    plan = Plan(scene.with_quality(scene.load("mean_lr"), quality))
    first_use: dict[Tile, float] = {}
    for s in np.linspace(0.0, plan.path.length, 1200):
        for tile in plan.tiles_at(float(s)):
            first_use.setdefault(tile, float(s))
    uses = np.array([first_use[tile] for tile in plan.order if tile in first_use])
    assert uses.size > 0.9 * len(plan.order)
    # Sorted by first use, but for the eighth of an octave between two examined places.
    assert (uses >= np.maximum.accumulate(uses) - 0.15).all()
