"""The explorer's dials: steps and hyperparameters beside the view, in samples, in keyframes, and on the page."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.api import targets
from render.errors import RenderError
from render.explorer import dials, film_preview, keyframes, requests
from render.explorer.growing_tile import UNKNOWN
from render.explorer.planes import Planes
from render.scene import Scene
from render.train import engine
from tests.helpers import browser
from tests.helpers.explorer import Server, in_browser

CHROMIUM = browser.find()
VIEW = 'centre_log10 = ["1.5", "1.5"]\nwidth_decades = 9.0\n'


def film(*held: str) -> Scene:
    """The tiny scene with keyframes that hold something."""
    text = scene.load("tiny").text
    head, look = text[: text.index("[[camera.keyframes]]")], text[text.index("[look]") :]
    return scene.parse(
        head + "".join(f"[[camera.keyframes]]\n{VIEW}{held_here}\n\n" for held_here in held) + look, "film", "film"
    )


STEPS = film("steps = 1", "steps = 20")
OFFSETS = film('set = { offset = "0" }', 'set = { offset = "0.2" }')


def test_a_scene_has_dials_for_its_steps_and_for_what_is_on_no_axis() -> None:
    plain = {dial.name: dial for dial in dials.of(scene.load("tiny"))}
    assert set(plain) == {"steps"}
    assert plain["steps"].stops[-1] == plain["steps"].value == 20 and not plain["steps"].moves
    fixed = {dial.name: dial for dial in dials.of(scene.load("small_rates"))}
    assert {"epsilon", "beta2"} <= fixed.keys() and not any(dial.moves for dial in fixed.values())
    assert (fixed["batch_size"].value, fixed["batch_size"].high) == (16.0, 16.0), "all of a minibatch, and no more"
    moved = {dial.name: dial for dial in dials.of(OFFSETS)}
    assert (moved["offset"].low, moved["offset"].high, moved["offset"].moves) == (0.0, 0.2, True)
    assert "steps" not in {dial.name for dial in dials.of(scene.load("minibatch"))}, "its runs have no prefixes"


def test_values_are_brought_to_where_a_dial_can_stand() -> None:
    assert dials.snapped(OFFSETS, {"offset": 5.0, "steps": 7.4}) == {"offset": 0.2, "steps": 7.0}
    with pytest.raises(requests.AskError, match="there is no dial 'lr_input'"):
        requests.dials_of({"at": {"lr_input": 1}}, OFFSETS)
    with pytest.raises(requests.AskError, match="offset must be a number"):
        requests.dials_of({"at": {"offset": "x"}}, OFFSETS)


def test_a_plane_at_other_values_is_that_of_a_scene_with_them(tmp_path: Path) -> None:
    planes = Planes(tmp_path, None)
    assert (
        planes.open("offset_rise", {"offset": 0.01}).problem.moved({"offset": 0.0}) == scene.load("offset_rise").problem
    )
    steps = planes.open("tiny", {"steps": 7.0})
    assert steps.problem.prefixes and steps is planes.open("tiny", {"steps": 12.0}), "one plane has all steps"
    assert planes.open("tiny") is not steps
    for i in range(40):
        planes.open("offset_rise", {"offset": i / 1000})
    assert len(planes._moved) <= 12 and planes.open("tiny") is planes.open("tiny")


def test_samples_are_shown_after_the_steps_that_the_dial_says() -> None:
    problem = dials.problem_at(scene.load("tiny").problem, {"steps": 7.0})
    x = y = 10.0 ** np.linspace(-3, 6, 64)
    field = engine.Engine(problem).run(x, y)
    unknown = dataclasses.replace(field, status=np.where(np.arange(64) < 9, UNKNOWN, field.status).astype(np.uint8))
    shown = dials.shown(problem, {"steps": 7.0}, unknown, UNKNOWN)
    alone = engine.Engine(dataclasses.replace(problem, steps=7, prefixes=())).run(x, y)
    np.testing.assert_array_equal(shown.value, alone.value)
    assert (shown.status[:9] == UNKNOWN).all() and (shown.status[9:] == alone.status[9:]).all()
    assert dials.shown(problem, {"steps": 20.0}, unknown, UNKNOWN) is unknown


@pytest.mark.parametrize("name", ["unfold", "unfold_zoom", "momentum_rise", "width_rise"])
def test_an_edit_that_changes_nothing_changes_no_byte(name: str) -> None:
    loaded = scene.load(name)
    asked = json.loads(json.dumps(keyframes.described(loaded))) | {"palette": "Spectral", "gap": 0.25}
    assert keyframes.rewritten(loaded, keyframes.edit(asked, loaded)) == loaded.text


def edited(of: Scene, *more: dict[str, object]) -> Scene:
    asked = keyframes.described(of) | {"palette": "Spectral", "gap": 0.25}
    asked["keyframes"] = [
        *asked["keyframes"],
        *({"x": 0.5, "y": 0.5, "width": 0.5, "hold_s": 1, **row} for row in more),
    ]
    return film_preview.edited(of, keyframes.edit(asked, of))


def test_a_keyframe_holds_what_the_dials_say() -> None:
    assert edited(STEPS, {"at": {"steps": 11}}).tracks[0].values == (1.0, 20.0, 11.0)
    assert edited(OFFSETS, {"at": {"offset": 0.05}}).tracks[0].values == (0.0, 0.2, 0.05)
    widths = film("set = { width = 2 }", "set = { width = 5 }")
    assert edited(widths, {"at": {"width": 3}}).tracks[0].values == (2.0, 5.0, 3.0)
    plain = edited(scene.load("tiny"), {"at": {"steps": 7}})
    assert plain.tracks[0].values == (20.0, 20.0, 7.0), "the others have the whole run"
    assert edited(OFFSETS, {}).tracks[0].values == (0.0, 0.2, 0.0), "one that says nothing has the scene's own value"


def test_keyframes_of_another_film_keep_what_the_scene_sets() -> None:
    asked = keyframes.described(OFFSETS) | {"palette": "Spectral", "gap": 0.25}
    asked["keyframes"] = [{"x": 0.5, "y": 0.5, "width": 0.5, "hold_s": 1}]
    edited = film_preview.edited(OFFSETS, keyframes.edit(asked, OFFSETS))
    assert edited.problem == OFFSETS.problem and edited.tracks[0].values == (0.0,)
    asked = keyframes.described(STEPS) | asked | {"keyframes": asked["keyframes"]}
    assert film_preview.edited(STEPS, keyframes.edit(asked, STEPS)).tracks[0].values == (20.0,), "the whole run"


def test_a_descent_into_a_scene_that_moves_keeps_what_its_keyframe_held() -> None:
    loaded = scene.parse(targets._scene_to(STEPS, STEPS.keyframes[0].view), "found", "found")
    assert sorted(loaded.tracks[0].values) == [1.0, 20.0]


def test_tables_that_cannot_move_with_their_keyframes_are_refused() -> None:
    apart = film('\n[camera.keyframes.set]\noffset = "0"', '\n[camera.keyframes.set]\noffset = "0.2"')
    with pytest.raises(RenderError, match="cannot move with their keyframes here"):
        edited(apart, {"at": {"offset": 0.05}})


def test_the_path_of_a_page_says_what_each_frame_is_of() -> None:
    path = film_preview.path(STEPS)
    assert path["at"][0] == {"steps": 1.0} and path["at"][-1] == {"steps": 20.0}
    offsets = {at["offset"] for at in film_preview.path(OFFSETS)["at"]}
    assert len(offsets) == OFFSETS.output.slices, "of the slices that the film trains"
    assert film_preview.path(scene.load("tiny"))["at"] is None


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[browser.Page, Server]]:
    if CHROMIUM is None:
        pytest.skip("no Chromium or Chrome on this machine: the explorer's page was not tested")
    folder = tmp_path_factory.mktemp("dials")
    (folder / "film.toml").write_text(STEPS.text)
    with in_browser(CHROMIUM, folder, str(folder / "film.toml"), size_px=(1366, 768)) as (page, server):
        page.js("(() => { const d = document.getElementById('detail'); d.value = '0.125'; d.onchange(); })()")
        page.until("document.getElementById('activity').dataset.state === 'idle'")
        yield page, server


SIGNED = "[...(explorer.cache.get(0, 0, 0)?.signed ?? [])]"


def test_a_slider_shows_shorter_runs_and_keyframes_hold_it(tab: tuple[browser.Page, Server]) -> None:
    page, _ = tab
    slider = "document.querySelector('#dials input')"
    last = page.until(f"{SIGNED}.length && {SIGNED}")
    page.js(f"(() => {{ {slider}.value = 4; {slider}.oninput(); }})()")  # the fifth rung
    page.until(f"{SIGNED}.length && JSON.stringify({SIGNED}) !== {json.dumps(json.dumps(last))} && !explorer.old")
    assert page.js("document.querySelector('#dials output').textContent") == "5"
    assert max(abs(value) for value in page.js(SIGNED)) <= 5e6, "a value of five steps"
    page.click("#add")
    page.until("document.querySelectorAll('#keyframes li').length === 3")
    assert page.js("document.querySelectorAll('#keyframes .held')[2].textContent") == "steps 5"
    page.until("explorer.film.preview.path?.at")
    page.js("(() => { const t = document.getElementById('time'); t.value = 0; t.oninput(); })()")
    page.until("explorer.dials.at.steps === 1")  # the preview follows
    assert page.errors == []
