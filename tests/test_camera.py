"""Laws of the camera: exact ends, pure zooms about one point, paths measured by their length, time that never turns."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from render.geometry import camera
from render.geometry.camera import EASINGS, Keyframe, View
from render.geometry.camera import Path as CameraPath

SIZE = (1920, 1080)
ASPECT = SIZE[1] / SIZE[0]
WHOLE = View(Fraction(1, 2), Fraction(1, 2), 1.0)
DEEP = View(Fraction("0.2547103387056784512345678901"), Fraction("0.51014978221508577"), 1e-11)

units = st.fractions(0, 1, max_denominator=10**30)
views = st.builds(View, units, units, st.floats(-40, 1).map(lambda e: 2.0**e))
easings = st.sampled_from(EASINGS)


@st.composite
def nested_pairs(draw: st.DrawFn) -> tuple[View, View]:
    """A view, and a smaller one whose frame lies inside the frame of the first."""
    outer = draw(views)
    width = outer.width * 2.0 ** -draw(st.floats(0.1, 30))
    room = (outer.width - width) / 2
    shift = st.fractions(Fraction(-99, 100), Fraction(99, 100), max_denominator=10**20)
    dx, dy = draw(shift) * Fraction(room), draw(shift) * Fraction(room * ASPECT)
    return outer, View(outer.x + dx, outer.y + dy, width)


@st.composite
def distant_pairs(draw: st.DrawFn) -> tuple[View, View]:
    """Two views whose shortest path pans."""
    start, end = draw(views), draw(views)
    assume(not camera._segment(start, end, ASPECT).nested)
    return start, end


@st.composite
def keyframes(draw: st.DrawFn) -> tuple[Keyframe, ...]:
    """Keyframes with rising times and holds of zero or more."""
    now, keys = 0.0, []
    for view in draw(st.lists(views, min_size=1, max_size=5)):
        hold = draw(st.sampled_from([0.0, 0.001, 0.5, 2.0]))
        keys.append(Keyframe(view, now, hold))
        now += hold + draw(st.floats(0.001, 100))
    return tuple(keys)


def path(*key_views: View, easing: camera.Easing = "smooth", hold_s: float = 0.0) -> CameraPath:
    times = camera.times_from_speed(list(key_views), SIZE, [hold_s] * len(key_views), 0.5)
    return CameraPath(tuple(Keyframe(v, t, hold_s) for v, t in zip(key_views, times, strict=True)), SIZE, easing)


# ---- geometry


@given(st.lists(views, min_size=1, max_size=5))
def test_a_path_passes_exactly_through_every_keyframe(key_views: list[View]) -> None:
    camera_path = path(*key_views)
    assert camera_path.view(0.0).width == key_views[0].width
    assert camera_path.view(camera_path.length) == key_views[-1]
    assert camera_path.view(camera_path.length + 1) == key_views[-1]
    for view, mark, following in zip(key_views, camera_path.marks, [*camera_path.marks[1:], np.inf], strict=True):
        if following > mark:  # else several keyframes share this place on the path, and the last one counts
            assert camera_path.view(float(mark)) == view


@given(nested_pairs(), st.booleans())
def test_a_pure_zoom_keeps_one_point_in_its_place_on_the_screen(pair: tuple[View, View], outwards: bool) -> None:
    start, end = reversed(pair) if outwards else pair
    segment = camera._segment(start, end, ASPECT)
    assert segment.nested
    r = Fraction(end.width) / Fraction(start.width)
    fixed_x, fixed_y = (end.x - r * start.x) / (1 - r), (end.y - r * start.y) / (1 - r)
    places = np.array(
        [
            (float((fixed_x - view.x) / Fraction(view.width)), float((fixed_y - view.y) / Fraction(view.width)))
            for view in map(segment.at, np.linspace(0, 1, 9))
        ]
    )
    assert np.ptp(places, axis=0).max() < 1e-9


@given(nested_pairs(), st.booleans())
def test_in_a_pure_zoom_log_width_is_linear_in_path_length(pair: tuple[View, View], outwards: bool) -> None:
    start, end = reversed(pair) if outwards else pair
    zoom = path(start, end)
    octaves = abs(math.log2(start.width / end.width))
    assert math.isclose(zoom.length, octaves, rel_tol=1e-12)
    shares = np.linspace(0, 1, 17)
    logs = np.array([math.log2(zoom.view(s * zoom.length).width) for s in shares])
    expected = math.log2(start.width) + shares * (math.log2(end.width) - math.log2(start.width))
    assert np.abs(logs - expected).max() < 1e-9
    assert (np.diff(logs) * (1 if outwards else -1) > 0).all()


@given(nested_pairs())
def test_a_pure_zoom_stays_inside_its_first_frame(pair: tuple[View, View]) -> None:
    outer, inner = pair
    zoom = path(outer, inner)
    for s in np.linspace(0, zoom.length, 9):
        view = zoom.view(float(s))
        slack = Fraction((outer.width - view.width) / 2 + 1e-12 * outer.width)
        assert abs(view.x - outer.x) <= slack
        assert abs(view.y - outer.y) <= slack * Fraction(ASPECT) + Fraction(1e-12 * outer.width)


def test_the_centre_of_a_deep_zoom_nears_its_target_by_less_than_a_view() -> None:
    zoom = path(WHOLE, DEEP)
    for octaves_left in np.linspace(0, 5, 41):
        view = zoom.view(zoom.length - float(octaves_left))
        assert abs(view.x - DEEP.x) < view.width
        assert view.x != DEEP.x or octaves_left == 0


@given(distant_pairs())
def test_a_journey_never_overshoots_and_never_turns_back(pair: tuple[View, View]) -> None:
    start, end = pair
    segment = camera._segment(start, end, ASPECT)
    dx, dy = end.x - start.x, end.y - start.y
    stops = [segment.at(p) for p in np.linspace(0, 1, 33)]
    shares = [float((v.x - start.x) / dx if abs(dx) > abs(dy) else (v.y - start.y) / dy) for v in stops]
    assert min(shares) > -1e-9
    assert max(shares) < 1 + 1e-9
    assert min(np.diff(shares)) > -1e-9
    # The two walks, one from either end, follow the same straight line.
    for view in stops:
        assert abs(float((view.x - start.x) * dy - (view.y - start.y) * dx)) <= 1e-9 * float(dx * dx + dy * dy)


def element(a: View, b: View) -> float:
    """The metric of van Wijk and Nuij between close views, scaled so that a pure zoom by 2 costs 1."""
    width = math.sqrt(a.width * b.width)
    moved = math.hypot(float(b.x - a.x), float(b.y - a.y)) / width
    return math.hypot(math.log2(b.width / a.width), 2 * moved / math.log(2))


@given(distant_pairs())
def test_the_path_parameter_measures_the_length_of_a_journey(pair: tuple[View, View]) -> None:
    segment = camera._segment(*pair, ASPECT)
    assume(segment.length > 0.01)
    count = max(64, math.ceil(20 * segment.length))
    stops = [segment.at(p) for p in np.linspace(0, 1, count + 1)]
    pieces = [element(a, b) for a, b in pairwise(stops)]
    # Near a view, close to float64's end, rounding of p moves a stop by a few ulp of the whole length.
    assert np.allclose(pieces, segment.length / count, rtol=0.01, atol=1e-6)


@given(distant_pairs())
def test_a_journey_is_continuous_where_its_two_halves_meet(pair: tuple[View, View]) -> None:
    segment = camera._segment(*pair, ASPECT)
    before, after = segment.at(0.5), segment.at(math.nextafter(0.5, 1))
    assert element(before, after) < 1e-6


def test_a_path_of_one_view_stands_still() -> None:
    still = path(WHOLE, hold_s=2.0)
    assert still.length == 0
    assert still.view(0.0) == WHOLE
    assert [still.s_of_frame(f, 10) for f in range(still.frame_count(10))] == [0.0] * 20


def test_staying_in_place_has_no_length() -> None:
    assert path(WHOLE, WHOLE).length == 0


def test_rests_are_the_holds_and_both_ends() -> None:
    half, quarter = View(WHOLE.x, WHOLE.y, 0.5), View(WHOLE.x, WHOLE.y, 0.25)
    eighth = View(WHOLE.x, WHOLE.y, 0.125)
    keys = (Keyframe(WHOLE, 0), Keyframe(half, 1), Keyframe(quarter, 2, hold_s=1), Keyframe(eighth, 4))
    assert CameraPath(keys, SIZE).rests == (0.0, 2.0, 3.0)


def test_viewports_of_a_long_film_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "_MOST_VIEWPORTS", 10)
    camera_path = path(WHOLE, DEEP)
    first = [camera_path.viewport(s / 100) for s in range(100)]
    assert len(camera_path._viewports) <= 10
    assert [camera_path.viewport(s / 100) for s in range(100)] == first


def test_a_viewport_is_the_view_with_the_frames_pixels() -> None:
    viewport = path(WHOLE, DEEP).viewport(0.0)
    assert (viewport.x, viewport.y, viewport.width) == (WHOLE.x, WHOLE.y, WHOLE.width)
    assert (viewport.width_px, viewport.height_px) == SIZE


def test_a_path_needs_a_keyframe() -> None:
    with pytest.raises(ValueError, match="at least one keyframe"):
        CameraPath((), SIZE)


# ---- timing


@given(keyframes(), easings)
def test_time_never_runs_backwards_along_the_path(keys: tuple[Keyframe, ...], easing: camera.Easing) -> None:
    camera_path = CameraPath(keys, SIZE, easing)
    lengths = [camera_path.s_at(t) for t in np.linspace(0, camera_path.duration_s, 301)]
    assert min(lengths) >= 0
    assert max(lengths) <= camera_path.length
    assert min(np.diff(lengths), default=0) >= -1e-9 * max(camera_path.length, 1)


@given(keyframes(), easings)
def test_the_camera_is_at_a_keyframe_when_the_keyframe_says(keys: tuple[Keyframe, ...], easing: camera.Easing) -> None:
    camera_path = CameraPath(keys, SIZE, easing)
    for key, mark in zip(keys, camera_path.marks, strict=True):
        for time_s in (key.time_s, key.time_s + key.hold_s / 2, key.time_s + key.hold_s):
            assert math.isclose(camera_path.s_at(time_s), mark, rel_tol=1e-9, abs_tol=1e-9)


@given(keyframes(), easings, st.sampled_from([10, 24, 25, 29.97, 30, 60]))
def test_the_first_and_the_last_frame_stand_at_the_ends(
    keys: tuple[Keyframe, ...], easing: camera.Easing, fps: float
) -> None:
    camera_path = CameraPath(keys, SIZE, easing)
    count = camera_path.frame_count(fps)
    assume(count > 1)
    assert camera_path.s_of_frame(0, fps) == 0
    assert camera_path.s_of_frame(count - 1, fps) == camera_path.length
    assert camera_path.view(camera_path.s_of_frame(count - 1, fps)) == keys[-1].view


@given(st.integers(1, 20_000), st.sampled_from([10, 24, 25, 30, 60]))
def test_a_film_of_n_frames_worth_of_time_has_n_frames(count: int, fps: int) -> None:
    assert CameraPath((Keyframe(WHOLE, 0.0, count / fps),), SIZE).frame_count(fps) == count


def test_a_film_has_at_least_one_frame_and_a_single_one_shows_the_end() -> None:
    short = path(WHOLE, View(WHOLE.x, WHOLE.y, 0.5))
    assert short.frame_count(0.1) == 1
    assert short.s_of_frame(0, 0.1) == short.length


@given(st.lists(views, min_size=1, max_size=5), st.floats(0.1, 10), st.sampled_from([0.0, 0.001, 3.0]))
def test_times_from_speed_keep_the_mean_speed(key_views: list[View], speed: float, hold_s: float) -> None:
    times = camera.times_from_speed(key_views, SIZE, [hold_s] * len(key_views), speed)
    camera_path = CameraPath(tuple(Keyframe(v, t, hold_s) for v, t in zip(key_views, times, strict=True)), SIZE)
    legs = np.diff(times) - hold_s
    assert np.allclose(legs, np.maximum(np.diff(camera_path.marks) / speed, 1e-3))


def test_a_smooth_leg_starts_and_stops_softly_and_a_linear_one_at_once() -> None:
    speeds = {}
    easing: camera.Easing
    for easing in ("linear", "smooth"):
        leg = path(WHOLE, View(WHOLE.x, WHOLE.y, 2.0**-8), easing=easing, hold_s=1.0)
        times = np.linspace(1.0, 17.0, 1601)
        speeds[easing] = np.diff([leg.s_at(t) for t in times]) / 0.01
    # 8 octaves in 16 seconds; the soft ends cost the smooth leg some speed that its middle makes up for.
    assert np.allclose(speeds["linear"][60:-60], 0.5)
    assert speeds["smooth"][0] < 0.02
    assert speeds["smooth"][-1] < 0.02
    assert np.allclose(speeds["smooth"][300:-300], 0.5 / 0.88, rtol=0.01)


def test_retiming_a_film_leaves_its_geometry_alone() -> None:
    slow = CameraPath((Keyframe(WHOLE, 0), Keyframe(DEEP, 60, 5)), SIZE)
    fast = CameraPath((Keyframe(WHOLE, 0, 1), Keyframe(DEEP, 7)), SIZE, "linear")
    assert slow.length == fast.length
    assert all(slow.view(s) == fast.view(s) for s in np.linspace(0, slow.length, 20))


# ---- ways of playing, and open shutters


@given(keyframes(), st.sampled_from([10, 24, 30]))
def test_backward_is_forward_mirrored(keys: tuple[Keyframe, ...], fps: int) -> None:
    forward, backward = CameraPath(keys, SIZE), CameraPath(keys, SIZE, play="backward")
    assert backward.length == pytest.approx(forward.length)
    assert backward.frame_count(fps) == forward.frame_count(fps)
    count = forward.frame_count(fps)
    assume(count > 1)
    for frame in {0, count // 3, count - 1}:
        s = backward.s_of_frame(count - 1 - frame, fps)
        assert forward.length - s == pytest.approx(forward.s_of_frame(frame, fps), rel=1e-6, abs=1e-6)


@given(keyframes(), st.sampled_from([10, 24, 30]))
@pytest.mark.slow
def test_ping_pong_goes_there_and_back_and_shows_no_frame_twice_in_a_row(keys: tuple[Keyframe, ...], fps: int) -> None:
    """Played in a loop, the way there is followed by the way back without the frames at its ends, and so on."""
    forward, loop = CameraPath(keys, SIZE), CameraPath(keys, SIZE, play="ping-pong")
    count = forward.frame_count(fps)
    way = [forward.s_of_frame(f, fps) for f in range(count)]
    assert [loop.s_of_frame(f, fps) for f in range(loop.frame_count(fps))] == (way + way[-2:0:-1] or way)


def test_a_shutter_averages_moments_around_its_frame_and_none_at_rest() -> None:
    zoom = path(WHOLE, View(WHOLE.x, WHOLE.y, 2.0**-8), hold_s=1.0)
    assert zoom.moments(5, 30, 0.5) == (0.0,)
    middle = zoom.frame_count(30) // 2
    assert zoom.moments(middle, 30, 0.0) == (zoom.s_of_frame(middle, 30),)
    moments = zoom.moments(middle, 30, 0.5)
    assert 2 <= len(moments) <= 16
    assert np.mean(moments) == pytest.approx(zoom.s_of_frame(middle, 30), abs=1e-6)
    speed = zoom.s_of_frame(middle + 1, 30) - zoom.s_of_frame(middle, 30)
    assert np.ptp(moments) == pytest.approx(0.5 * speed * (1 - 1 / len(moments)), rel=1e-3)
    corner_px = np.diff(moments).max() * math.log(2) / 2 * SIZE[0]
    assert corner_px <= 2.5


def test_the_palettes_phase_is_that_of_the_keyframes_and_even_in_between() -> None:
    keys = (Keyframe(WHOLE, 0, phase=0.5), Keyframe(View(WHOLE.x, WHOLE.y, 2.0**-4), 8, phase=2.5))
    camera_path = CameraPath(keys, SIZE)
    assert [camera_path.phase(s) for s in (0.0, 2.0, 4.0)] == [0.5, 1.5, 2.5]
