"""The public functions in Python: a first argument that is not a scene is refused, and frames may be numbers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import render
from render import api
from render.errors import RenderError
from render.film import selection

# Functions that take something else first, or nothing.
OTHERS = {"load", "trust", "explore", "watching"}
TAKE_A_SCENE = [
    name for name in api.__all__ if inspect.isfunction(getattr(api, name)) and name not in OTHERS
]  # fmt: skip


def required(name: str) -> dict[str, Any]:
    """Return something for every other argument that a function cannot do without."""
    parameters = list(inspect.signature(getattr(api, name)).parameters.values())[1:]
    return {
        p.name: "x" for p in parameters if p.default is inspect.Parameter.empty and p.kind is not p.VAR_POSITIONAL
    }  # fmt: skip


@pytest.mark.parametrize("name", TAKE_A_SCENE)
@pytest.mark.parametrize("given", ["tiny", Path("tiny.toml"), None, 3])
def test_a_name_in_the_place_of_a_scene_is_answered_by_the_call_that_works(
    name: str, given: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RenderError) as caught:
        getattr(render, name)(given, **required(name))
    if isinstance(given, (str, Path)):
        advice = f"not {str(given)!r}: render.{name}(render.load({str(given)!r}))."
    else:
        advice = f"not {given!r}: give what render.load returns."
    assert str(caught.value) == f"render.{name} takes a scene, {advice}"
    assert list(tmp_path.iterdir()) == []


def test_all_functions_that_take_a_scene_are_tried() -> None:
    assert {"plan", "video", "frame", "field", "probe", "export", "poster", "publish", "descend"} <= {*TAKE_A_SCENE}
    first = {name: next(iter(inspect.signature(getattr(api, name)).parameters)) for name in TAKE_A_SCENE}
    assert {*first.values()} <= {"scene", "loaded"}, first


def test_a_frame_may_be_a_number(tmp_path: Path) -> None:
    assert selection.numbers([5, "7", -1, "0..2"], 30, 3.0) == [5, 7, 29, 0, 1, 2]
    scene, store = render.load("tiny"), tmp_path / "store"
    by_number, by_text = (render.pictures(scene, at, quality="scene", store=store)[0] for at in (5, "5"))
    assert np.array_equal(by_number, by_text)
    one, other = (render.field(scene, at, samples=16, store=store).field.value for at in (-1, "last"))
    assert np.array_equal(one, other)
    with pytest.raises(RenderError, match="frame 30 must lie within the film: 0 to 29"):
        render.pictures(scene, 30, quality="scene", store=store)
