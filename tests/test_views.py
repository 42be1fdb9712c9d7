"""The views of keyframes: whole planes, heights, both axes at once, and views that hang over the edge."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from render import api, scene
from render.api.listener import Listener
from render.errors import SceneError
from render.explorer import film_preview, keyframes
from render.film.depth import overhang_remark
from render.scene import Scene

TEXT = """
[problem]
activation = "tanh"
steps = 20
[problem.x]
name = "lr"
range_log10 = ["-3", "6"]
[problem.y]
name = "init_mean"
scale = "linear"
range = ["-2", "2"]
[camera]
octaves_per_s = 1
[[camera.keyframes]]
{first}
[[camera.keyframes]]
centre = ["10", "0.5"]
{last}
[output]
size = [{width}, {height}]
"""
WHOLE = 'view = "whole"'


def mixed(first: str = WHOLE, last: str = "width_decades = 1", size: tuple[int, int] = (640, 360)) -> Scene:
    text = TEXT.format(first=first, last=last, width=size[0], height=size[1])
    return scene.parse(text, "mine.toml", "mine")


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (400, 400)])
def test_the_whole_plane_fits_every_frame_and_touches_two_of_its_edges(size: tuple[int, int]) -> None:
    loaded = mixed(size=size)
    x0, x1, y0, y1 = loaded.path(loaded.output).viewport(0.0).edges()
    assert x0 <= 0 and x1 >= 1 and y0 <= 0 and y1 >= 1
    assert [x0, x1] == [0, 1] or [y0, y1] == [0, 1]
    assert overhang_remark(loaded) == ""


@pytest.mark.parametrize("shape", ["square", "vertical", "cinema"])
def test_views_that_fit_follow_the_shape_that_is_asked_for(tmp_path: Path, shape: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TEXT.format(first=WHOLE, last="height = 0.5", width=640, height=360))
    loaded = scene.load(file, shape=shape)
    output = loaded.output
    again = scene.parse(scene.resolved(loaded), "again", "again")
    assert again.keyframes[0].view == loaded.keyframes[0].view
    assert again.keyframes[1].view == loaded.keyframes[1].view
    assert loaded.keyframes[0].view.width == max(1.0, output.width_px / output.height_px)
    height = loaded.keyframes[1].view.width * output.height_px / output.width_px
    assert height == pytest.approx(0.5 / 4)


def test_a_height_is_in_the_units_of_y_and_a_width_in_those_of_x() -> None:
    by_height = mixed(last="height = 0.5").keyframes[1].view
    assert by_height.width * 360 / 640 == pytest.approx(0.5 / 4)
    assert mixed(last="width_decades = 0.9").keyframes[1].view.width == pytest.approx(0.1)


@pytest.mark.parametrize(("width", "height"), [(0.9, 0.01), (0.0009, 2.0), (4.5, 1.0)])
def test_a_view_with_both_shows_both(width: float, height: float) -> None:
    view = mixed(last=f"width_decades = {width}\nheight = {height}").keyframes[1].view
    seen_width, seen_height = view.width * 9, view.width * 360 / 640 * 4
    assert seen_width >= width * (1 - 1e-12) and seen_height >= height * (1 - 1e-12)
    assert seen_width == pytest.approx(width) or seen_height == pytest.approx(height)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (f"{WHOLE}\nwidth_decades = 1", "width_decades = 1", "must not have width_decades besides"),
        (f'{WHOLE}\ncentre = ["1", "0"]', "width_decades = 1", "must not have centre besides"),
        ('view = "all"', "width_decades = 1", 'view must be "whole", not "all"'),
        (WHOLE, "height_decades = 1", "must have height on a linear y axis, not height_decades"),
        (WHOLE, "width = 1", "must have width_decades on a log10 x axis, not width"),
        (WHOLE, "height = 0", "height must be > 0, not 0"),
        (WHOLE, "height = 40", "height must be at most 32 (8 times the y axis of 4 units), not 40"),
        (WHOLE, "", "must have width_decades"),
    ],
)
def test_what_is_no_view_is_refused_with_its_field(first: str, last: str, says: str) -> None:
    with pytest.raises(SceneError) as refused:
        mixed(first, last)
    (fault,) = refused.value.faults
    assert says in fault and "camera.keyframes[" in fault


def test_a_setting_replaces_the_other_ways_to_say_where(tmp_path: Path) -> None:
    loaded = scene.load("tiny", settings=["camera.keyframes[0].view=whole"])
    assert loaded.keyframes[0].view.width == 64 / 36
    assert "centre_log10" not in scene.resolved(loaded).split("[[camera.keyframes]]")[1]
    back = scene.load("tiny", settings=["camera.keyframes[0].view=whole", 'camera.keyframes[0].centre=["1", "1"]',
                                        "camera.keyframes[0].width_decades=3"])  # fmt: skip
    assert back.keyframes[0].view.width == pytest.approx(1 / 3)
    high = scene.load("tiny", settings=["camera.keyframes[0].height_decades=4.5"])
    assert high.keyframes[0].view.width * 36 / 64 == pytest.approx(0.5)


def test_a_moved_keyframe_of_the_whole_plane_is_saved_as_a_place() -> None:
    loaded = mixed()
    edit = keyframes.own_edit(loaded)
    assert keyframes.rewritten(loaded, edit) == loaded.text
    moved = replace(edit.keyframes[0].view, x=Fraction(1, 4), width=0.5)
    edited = film_preview.edited(
        loaded, replace(edit, keyframes=(replace(edit.keyframes[0], view=moved), edit.keyframes[1]))
    )
    assert 'view = "whole"' not in edited.text
    assert edited.keyframes[0].view.width == pytest.approx(0.5)
    assert edited.keyframes[1].view == loaded.keyframes[1].view


@pytest.mark.parametrize(
    ("centre", "width", "outside"),
    [
        ('["1e6", "0"]', 0.9, "50%"),  # on the right edge
        ('["1e6", "2"]', 0.9, "75%"),  # in a corner
        ('["10", "0"]', 0.9, ""),
        ('["10", "0"]', 12.0, ""),  # all of x, and nothing of it is left out
    ],
)
def test_a_view_over_the_edge_is_remarked_on_with_its_share(centre: str, width: float, outside: str) -> None:
    remark = overhang_remark(mixed(f"centre = {centre}\nwidth_decades = {width}"))
    if not outside:
        assert remark == ""
    else:
        assert remark.startswith("A view hangs over the edge of the plane") and f"keyframes[0] ({outside} of" in remark


def test_no_shipped_scene_hangs_over_unsaid() -> None:
    """Those that do have their centre near an edge, as published."""
    over = [name for name in scene.names() if overhang_remark(scene.load(name))]
    assert len(over) <= 6, over


def test_a_plan_says_it(tmp_path: Path) -> None:
    notes: list[str] = []

    class Heard(Listener):
        def note(self, text: str) -> None:
            notes.append(text)

    loaded = scene.load("tiny", settings=['camera.keyframes[1].centre=["1e6", "1"]'])
    api.plan(loaded, quality="scene", store=tmp_path, listener=Heard())
    assert [note for note in notes if note.startswith("A view hangs over the edge of the plane")] == [
        "A view hangs over the edge of the plane, where nothing is trained: camera.keyframes[1] (50% of the frame)."
    ]
