"""Where a whole number is asked for, a fraction is refused, with its place: in scenes, own files and public calls."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import render
from render import api, scene
from render.errors import RenderError, SceneError
from render.scene import tables
from tests.helpers.own import NET, SCENE
from tests.test_scene import text

# One scene of each system, one of a bifurcation diagram, and one that moves a setting: all tables that there are.
LOADED = {
    loaded.problem.system: loaded
    for name in scene.names()
    if not name.startswith("own") and (loaded := scene.load(name))
}
SCENES = [*LOADED.values(), scene.load("bifurcation_windows"), scene.load("width_rise")]


def integer_fields(system: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of a table and the name of a field, for every field that takes whole numbers and no fractions."""
    for path, table in tables.tables_by_path(system).items():
        for key, schema in table.model_json_schema(mode="validation").get("properties", {}).items():
            parts = schema.get("anyOf", [schema])
            parts = [part.get("items", part) for part in parts]
            kinds = {part.get("type") for part in parts} | {type(v).__name__ for v in schema.get("enum", [])}
            if kinds & {"integer", "int"} and "number" not in kinds and "pattern" not in str(schema):
                yield path, key


# Each field, and the text of a scene that may have it.
FIELDS = {(*path, key): scene.resolved(of) for of in SCENES for path, key in integer_fields(of.problem.system)}


def with_field(path: tuple[str, ...], value: object) -> tuple[str, str]:
    """Return a scene with a value at a place, and that place as messages name it."""
    changed = tomllib.loads(FIELDS[path])
    inner: Any = changed
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
        inner = inner[0] if isinstance(inner, list) else inner
    inner[path[-1]] = [value, value] if path[-1] == "size" else value
    return text(changed), ".".join(f"{key}[0]" if key in ("keyframes", "size") else key for key in path)


def test_the_fields_of_every_table_are_there() -> None:
    dotted = {".".join(path) for path in FIELDS}
    assert len(dotted) > 30
    assert {"problem.steps", "problem.seed", "problem.width", "problem.observe.lyapunov", "output.crf"} <= dotted
    assert {"output.bits", "output.frames", "output.size", "output.slices", "bifurcation.transient"} <= dotted
    assert {"camera.keyframes.steps", "camera.keyframes.set.width"} <= dotted


@pytest.mark.parametrize("value", [1.5, 64.5, 8.0, 16.000000001])
def test_a_fraction_in_the_place_of_a_whole_number_is_refused_with_file_and_key(value: float) -> None:
    """Also 8.0, which TOML tells apart from 8: what a file means is what stands in it."""
    for path in FIELDS:
        written, place = with_field(path, value)
        with pytest.raises(SceneError) as caught:
            scene.parse(written, "mine.toml", "mine")
        mine = [fault for fault in caught.value.faults if place in fault]
        assert mine and all(fault.startswith(f"mine.toml: {place} ") for fault in mine), caught.value.faults
        assert "whole number" in mine[0], mine


CALLS = [
    (name, parameter.name)
    for name in api.__all__
    if inspect.isfunction(function := getattr(api, name))
    for parameter in inspect.signature(function).parameters.values()
    if parameter.annotation in ("int", "int | None")
]


@pytest.mark.parametrize(("name", "parameter"), CALLS)
def test_a_public_call_refuses_a_fraction(name: str, parameter: str) -> None:
    asked: dict[str, Any] = {
        p.name: "x"
        for p in inspect.signature(getattr(api, name)).parameters.values()
        if p.default is inspect.Parameter.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    asked |= {key: render.load("tiny") for key in ("scene", "loaded") if key in asked}
    for value in (64.5, 64.0, True, "64", np.float64(3.0)):
        with pytest.raises(RenderError, match=f"^render.{name}: {parameter} must be a whole number, not "):
            getattr(render, name)(**asked, **{parameter: value})


def test_numpy_integers_are_whole_numbers(tmp_path: Path) -> None:
    loaded = render.load("tiny", settings=["problem.steps=2"])
    one = render.field(loaded, samples=np.int64(8), store=tmp_path)  # type: ignore[arg-type]
    assert one.level == render.field(loaded, samples=8, store=tmp_path).level
    assert ("field", "samples") in CALLS and ("export", "samples") in CALLS and ("probe", "steps") in CALLS


@pytest.mark.parametrize("ends", ["[1.5, 100]", "[1, 64.5]", "[0.0, 100.0]"])
def test_the_range_of_a_whole_setting_of_an_own_file_has_whole_ends(ends: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.replace('{"width": 5}', f'{{"width": {{"default": 5, "range": {ends}}}}}'))
    (tmp_path / "mine.toml").write_text(SCENE)
    with pytest.raises(SceneError, match=r"net.py: line 11: settings.width must be .* both whole where the default is"):
        scene.load(tmp_path / "mine.toml")
