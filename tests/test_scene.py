"""Scene files: every shipped scene loads, every fault is found at once, nothing hostile gets through."""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import scene
from render.encode import CODECS
from render.errors import SceneError
from render.geometry.axes import Axis
from render.picture.channels import CHANNELS, OBSERVED
from render.problem.catalogue import SYSTEMS
from render.problem.catalogue.settings import MlpSettings
from render.scene import QUALITY, Output, Scene, files, tables, with_quality
from render.scene.wording import quoted

SCENES = Path(__file__).parent.parent / "scenes"
NAMES = sorted(path.stem for path in SCENES.glob("*.toml"))

GOOD: dict[str, Any] = {
    "problem": {
        "x": {"name": "lr_input", "range": ["1e-3", "1e6"]},
        "y": {"name": "lr_output", "range_log10": [-3, "6"]},
    },
    "camera": {
        "octaves_per_s": 1,
        "keyframes": [
            {"centre_log10": ["1.5", "1.5"], "width_decades": 9.0},
            {"centre": ["30", "20"], "width_decades": 1e-6, "hold_s": 2},
        ],
    },
}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def text(table: dict[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())


def parse(table: dict[str, Any]) -> Scene:
    return scene.parse(text(table), "deep.toml", "deep")


MISSING = object()


def changed(**changes: Any) -> dict[str, Any]:
    """GOOD with some fields set or removed: camera__keyframes__0__hold_s=1."""
    table = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place: Any = table
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return table


def faults(table: dict[str, Any] | str) -> list[str]:
    """The faults of a scene, without the name of the file that each begins with."""
    with pytest.raises(SceneError) as caught:
        scene.parse(table if isinstance(table, str) else text(table), "deep.toml", "deep")
    assert all(fault.startswith("deep.toml: ") for fault in caught.value.faults)
    return [fault.removeprefix("deep.toml: ") for fault in caught.value.faults]


# ---- what is shipped


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scene_loads_by_its_name_and_by_its_path(name: str) -> None:
    loaded = scene.load(SCENES / f"{name}.toml")
    assert loaded == scene.load(name)
    assert loaded.name == name
    assert loaded.text.startswith("#:schema ./scene.schema.json\n")
    path = loaded.path(loaded.output)
    assert len(path.rests) == 2
    assert path.view(0.0) == loaded.keyframes[0].view


# Small ones, and those whose camera looks at a window, or in which something else moves at a time of its own.
UNLIKE = {"tiny", "unfold_window", "momentum_rise", "offset_rise", "width_rise"}


@pytest.mark.parametrize("name", sorted({*NAMES} - UNLIKE))
def test_a_films_first_frame_is_as_wide_as_the_plane_and_it_zooms_at_the_published_speed(name: str) -> None:
    loaded = scene.load(name)
    first, *_, last = loaded.keyframes
    # The middle of a log10 axis beside a linear one can only be given as a value, to so many digits.
    assert (float(first.view.x), float(first.view.y), first.view.width) == pytest.approx((0.5, 0.5, 1.0), abs=1e-15)
    octaves = loaded.path(loaded.output).length
    held_s = sum(key.hold_s for key in loaded.keyframes[:-1])
    assert (last.time_s - held_s) / octaves == pytest.approx(1.5, rel=1e-3)
    assert [loaded.output.width_px, loaded.output.height_px, loaded.output.fps] == [1920, 1080, 30]


# Axis ends printed in the published figure.
WINDOWS = {
    "linear": (("1.90010080e+2", "1.90011840e+2"), ("4.77745244", "4.77749670")),
    "relu": (("5.77622737e-1", "5.77625590e-1"), ("8.14432439e+1", "8.14436463e+1")),
    "single": (("4.8298735e+1", "4.8299146e+1"), ("1.82066141e+1", "1.82067690e+1")),
    "minibatch": (("2.67398835471957e-1", "2.67398835475071e-1"), ("1.74269509700711e+2", "1.74269509702741e+2")),
    "tanh": (("1.329976231e+1", "1.329978604e+1"), ("2.003582269e+2", "2.003585844e+2")),
    "mean_lr": (("1.960618282403e-1", "1.960618285243e-1"), ("3.90254607863e+1", "3.90254608429e+1")),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_films_last_frame_holds_the_published_window_and_little_more(name: str) -> None:
    loaded = scene.load(name)
    viewport = loaded.path(loaded.output).viewport(1e9)
    x0, x1, y0, y1 = viewport.edges()
    axes: tuple[Axis, Axis] = (loaded.problem.x, loaded.problem.y)
    for axis, ends, low, high, room in zip(axes, WINDOWS[name], (x0, y0), (x1, y1), (16 / 9, 1), strict=True):
        a, b = (axis.unit_from_position(axis.position_from_value(Fraction(end))) for end in ends)
        side = b - a
        # The printed ends are good to a few thousandths of a side.
        assert low - side / 500 < a < b < high + side / 500
        assert float((high - low) / side) == pytest.approx(room, rel=2e-3)


def test_the_tiny_scene_is_tiny() -> None:
    tiny = scene.load("tiny")
    path = tiny.path(tiny.output)
    assert path.length == 6.0
    assert path.frame_count(tiny.output.fps) == 30
    assert (tiny.output.width_px, tiny.output.height_px, tiny.output.detail) == (64, 36, 0.5)


def test_the_committed_schema_is_up_to_date() -> None:
    # To renew it: python -c "import json; from render import scene; print(json.dumps(scene.schema(), indent=2))"
    assert json.loads((SCENES / "scene.schema.json").read_text()) == scene.schema()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_hyperparameter_can_be_an_axis(system: str) -> None:
    assert get_args(tables.of_system(system).axis.model_fields["name"].annotation) == tuple(
        SYSTEMS[system].hyperparameters
    )


# ---- what a scene means


def test_a_scene_with_the_fewest_fields_is_the_published_baseline() -> None:
    parsed = parse(GOOD)
    baseline = scene.load("tanh")
    assert parsed.problem == baseline.problem
    assert parsed.look == baseline.look
    assert parsed.output == Output()
    assert (parsed.easing, parsed.name, parsed.text) == ("smooth", "deep", text(GOOD))


@given(st.decimals(-3, 6, places=25), st.decimals(-3, 6, places=24))
def test_centres_of_25_digits_survive_exactly(x: Any, y: Any) -> None:
    parsed = parse(changed(camera__keyframes__1__centre=MISSING, camera__keyframes__1__centre_log10=[str(x), str(y)]))
    view = parsed.keyframes[1].view
    assert (view.x * 9 - 3, view.y * 9 - 3) == (Fraction(x), Fraction(y))


@given(st.decimals("0.001", 1000000, places=25))
def test_centres_on_a_linear_axis_survive_exactly(x: Any) -> None:
    table = changed(problem__x__scale="linear", problem__x__range=[0, 1000000])
    for key in table["camera"]["keyframes"]:
        key.pop("width_decades")
        key.pop("centre_log10", None)
        key |= {"width": 500.0, "centre": [str(x), "1"]}
    view = parse(table).keyframes[0].view
    assert view.x * 1000000 == Fraction(x)
    assert view.width == 500.0 / 1000000


def test_a_centre_in_hyperparameter_units_is_the_same_place_as_its_logarithm() -> None:
    view = parse(changed(camera__keyframes__1__centre=["1e1", 100])).keyframes[1].view
    assert (view.x, view.y) == (Fraction(4, 9), Fraction(5, 9))


def test_three_ways_of_timing_give_the_same_film() -> None:
    octaves = parse(GOOD)
    time_s = octaves.keyframes[1].time_s
    decades = parse(changed(camera__octaves_per_s=MISSING, camera__decades_per_s=0.30102999566398119521))
    times = parse(
        changed(camera__octaves_per_s=MISSING, camera__keyframes__0__time_s=0, camera__keyframes__1__time_s=time_s)
    )
    assert decades.keyframes[1].time_s == pytest.approx(time_s)
    assert times.keyframes == octaves.keyframes


def test_a_single_keyframe_needs_no_timing() -> None:
    still = parse({**GOOD, "camera": {"keyframes": [{"centre": [1, 1], "width_decades": 1, "hold_s": 3}]}})
    assert still.path(still.output).frame_count(30) == 90


def test_every_problem_field_reaches_the_problem() -> None:
    fields = {"width": 3, "depth": 4, "activation": "relu", "examples": 7, "steps": 9, "seed": 11}
    problem = parse(changed(**{f"problem__{k}": v for k, v in fields.items()}, problem__batch=5)).problem
    everything = dict(problem.settings) | {"steps": problem.steps, "seed": problem.seed}
    assert {key: everything[key] for key in fields} == fields
    assert problem.settings_as(MlpSettings).batch == 5
    assert parse(changed(problem__batch="full")).problem.settings_as(MlpSettings).batch is None
    assert parse(changed(problem__examples="inputs")).problem.settings_as(MlpSettings).examples == "inputs"


def test_fixed_hyperparameters_are_sorted_pairs() -> None:
    table = changed(
        problem__x__name="offset", problem__y__name="init_mean", problem__fixed={"lr_output": 2, "lr_input": 0.1}
    )
    assert parse(table).problem.fixed == (("lr_input", 0.1), ("lr_output", 2.0))


def test_rest_detail_is_never_below_detail() -> None:
    assert parse(changed(output__detail=2)).output.rest_detail == 2
    assert parse(changed(output__detail=0.25)).output.rest_detail == 1
    assert faults(changed(output__detail=2, output__rest_detail=1.5)) == [
        "output.rest_detail must be at least output.detail = 2.0, not 1.5."
    ]


@pytest.mark.parametrize("name", QUALITY)
def test_a_quality_keeps_the_shape_of_the_scene(name: str) -> None:
    loaded = with_quality(parse(changed(output__size=[1000, 750], output__crf=20)), name)
    row = asdict(QUALITY[name])
    assert loaded.output.height_px == row.pop("side_px")
    assert {k: asdict(loaded.output)[k] for k in row} == row
    assert abs(loaded.output.width_px - loaded.output.height_px * 4 / 3) <= 1
    assert (loaded.output.width_px % 2, loaded.output.crf) == (0, 20)


def test_a_wrong_quality_is_refused() -> None:
    with pytest.raises(SceneError) as caught:
        with_quality(parse(GOOD), "darft")
    names = ", ".join(f'"{name}"' for name in QUALITY)
    assert str(caught.value) == f'quality must be one of {names}, not "darft"; did you mean "draft"?'


def test_a_quality_that_would_make_too_wide_a_frame_is_refused() -> None:
    with pytest.raises(SceneError, match='quality "uhd" gives the scene\'s shape 16000 x 16 a width of 2160000 pixels'):
        with_quality(parse(changed(output__size=[16000, 16])), "uhd")


# ---- faults


def test_all_faults_are_reported_at_once() -> None:
    table = changed(
        problem__activation="tahn",
        problem__steps=2.5,
        problem__y__name="lr_input",
        camera__esae="smooth",
        camera__keyframes__0__centre_log10=["1.5", "6.5"],
        camera__keyframes__1__width_decades=-1e-9,
        look__palette="Spectrall",
        output__size=[63, 36],
        output__fps=float("nan"),
        outptu={},
    )
    faults_found = faults(table)
    palette = next(fault for fault in faults_found if fault.startswith("look.palette: "))
    assert "Spectral" in palette
    assert faults_found == [
        'problem.activation must be one of "tanh", "relu", "identity", not "tahn"; did you mean "tanh"?',
        "problem.steps must be a whole number, not 2.5.",
        "camera.keyframes[1].width_decades must be > 0, not -1e-9.",
        'camera has no field "esae"; did you mean "easing"?',
        "output.size[0] must be even, not 63.",
        "output.fps must be finite, not nan.",
        'the scene has no field "outptu"; did you mean "output"?',
        'problem.y.name must differ from problem.x.name, not be "lr_input" again.',
        'problem must set the learning rate of the output layer; put "lr_output" on an axis or into [problem.fixed].',
        palette,
        'camera.keyframes[0].centre_log10[1] must lie on the y axis, whose log10 runs from -3 to 6, not "6.5".',
    ]


NO_LR = 'problem must set the learning rate of the input layer and the output layer; put "lr" on an axis or into '
NO_LR += "[problem.fixed]."
ONE_WAY = "camera must be timed in exactly one way: octaves_per_s, or decades_per_s, or time_s in every keyframe; "

FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing at all": (
        {"problem": MISSING, "camera": MISSING},
        ["the scene must have problem.", "the scene must have camera."],
    ),
    "an unknown section": ({"camra": {}}, ['the scene has no field "camra"; did you mean "camera"?']),
    "an unknown field without a near name": (
        {"look__zzzzzz": 1},
        [
            'look has no field "zzzzzz"; its fields are palette, channel, equalise, gap, background, boundary, '
            "boundary_colour, shading."
        ],
    ),
    "an unknown hyperparameter": (
        {"problem__fixed__lr_inptu": 1.0},
        ['problem.fixed has no field "lr_inptu"; did you mean "lr_input"?'],
    ),
    "an unknown axis": (
        {"problem__x__name": "momentum"},
        [
            'problem.x.name must be one of "lr", "lr_input", "lr_output", "offset", "init_mean", not "momentum": axes '
            'depend on the system, here "mlp", since problem.system names no other; "momentum" belongs to the systems '
            '"network", "backprop".'
        ],
    ),
    "a string for a number": ({"problem__steps": "500"}, ['problem.steps must be a whole number, not "500".']),
    "a boolean for a number": ({"problem__seed": True}, ["problem.seed must be a whole number, not true."]),
    "a number for a boolean": (
        {"output__overlay": 1},
        ['output.overlay must be true, false, or a list of "axes", "depth", "legend", "values", not 1.'],
    ),
    "a number for a string": ({"look__palette": 1}, ["look.palette must be a name or a list of colours, not 1."]),
    "a palette of one colour": ({"look__palette": ["#000000"]}, ["look.palette must have 2 to 64 colours, not 1."]),
    "a palette of words": (
        {"look__palette": ["#000000", "red"]},
        ['look.palette must have colours such as "#1b1b1f", not "red" as number 1.'],
    ),
    "a part that frames do not have": (
        {"output__overlay": ["axes", "dept"]},
        ['output.overlay must be true, false, or a list of "axes", "depth", "legend", "values", not a list.'],
    ),
    "a phase without a wheel": (
        {"camera__keyframes__1__phase": 2.0},
        ["camera.keyframes: a phase needs a closed palette, such as wheel or twilight."],
    ),
    "an unknown way of playing": (
        {"camera__play": "ping-pog"},
        ['camera.play must be one of "forward", "backward", "ping-pong", not "ping-pog"; did you mean "ping-pong"?'],
    ),
    "a string for a section": ({"camera": "smooth"}, ['camera must be a table, not "smooth".']),
    "a table for a list": ({"camera__keyframes": {}}, ["camera.keyframes must be a list, not a table."]),
    "a number for a keyframe": (
        {"camera__keyframes__0": 3},
        ["camera.keyframes[0] must be a table, not 3."],
    ),
    "an infinite width": (
        {"camera__keyframes__0__width_decades": float("inf")},
        ["camera.keyframes[0].width_decades must be finite, not inf."],
    ),
    "a speed that is not a number": (
        {"camera__octaves_per_s": float("nan")},
        ["camera.octaves_per_s must be finite, not nan."],
    ),
    "a centre that is not a number": (
        {"camera__keyframes__1__centre": ["nan", float("nan")]},
        [
            "camera.keyframes[1].centre[0] must be finite, not 'nan'.",
            "camera.keyframes[1].centre[1] must be finite, not nan.",
        ],
    ),
    "a float where digits would be lost": (
        {"camera__keyframes__1__centre": [0.1, "one"]},
        [
            'camera.keyframes[1].centre[0] must be a quoted decimal such as "0.1", not 0.1: '
            "bare TOML floats lose digits.",
            "camera.keyframes[1].centre[1] must be a decimal number, not 'one'.",
        ],
    ),
    "a centre of three numbers": (
        {"camera__keyframes__1__centre": [1, 2, 3]},
        ["camera.keyframes[1].centre must have at most 2 entries, not 3."],
    ),
    "a centre outside the plane": (
        {"camera__keyframes__1__centre": ["1e-4", "2e6"]},
        [
            'camera.keyframes[1].centre[0] must lie on the x axis, whose log10 runs from -3 to 6, not "1e-4".',
            'camera.keyframes[1].centre[1] must lie on the y axis, whose log10 runs from -3 to 6, not "2e6".',
        ],
    ),
    "a centre without a logarithm": (
        {"camera__keyframes__1__centre": ["-1", 1]},
        ['camera.keyframes[1].centre[0] must be > 0 on the log10 x axis, not "-1".'],
    ),
    "no centre": (
        {"camera__keyframes__1__centre": MISSING},
        ["camera.keyframes[1] must have exactly one of centre and centre_log10, not neither."],
    ),
    "two centres": (
        {"camera__keyframes__1__centre_log10": [0, 0]},
        ["camera.keyframes[1] must have exactly one of centre and centre_log10, not both."],
    ),
    "no width": (
        {"camera__keyframes__1__width_decades": MISSING},
        ["camera.keyframes[1] must have width_decades."],
    ),
    "a width in units on a log10 axis": (
        {"camera__keyframes__1__width_decades": MISSING, "camera__keyframes__1__width": 1},
        ["camera.keyframes[1] must have width_decades on a log10 x axis, not width."],
    ),
    "a width no screen can show": (
        {"camera__keyframes__0__width_decades": 73, "camera__keyframes__1__width_decades": 1e-200},
        [
            "camera.keyframes[0].width_decades must be at most 72 (8 times the x axis of 9 decades), not 73.",
            "camera.keyframes[1].width_decades must be at least 9e-100, not 1e-200.",
        ],
    ),
    "an odd size": ({"output__size": [1920, 1081]}, ["output.size[1] must be even, not 1081."]),
    "a size too small or too large": (
        {"output__size": [14, 16386]},
        ["output.size[0] must be >= 16, not 14.", "output.size[1] must be <= 16384, not 16386."],
    ),
    "a frame rate of zero": ({"output__fps": 0}, ["output.fps must be > 0, not 0."]),
    "a lossless film": ({"output__crf": 0}, ["output.crf must be >= 1, not 0."]),
    "a frame rate too high": ({"output__fps": 241}, ["output.fps must be <= 240, not 241."]),
    "a codec that is not there": (
        {"output__codec": "avi"},
        [f'output.codec must be one of {", ".join(map(json.dumps, CODECS))}, "png", not "avi"; did you mean "av1"?'],
    ),
    "a crf that the codec does not have": ({"output__crf": 52}, ["output.crf must be <= 51 for h264, not 52."]),
    "too many steps": ({"problem__steps": 1_000_001}, ["problem.steps must be <= 1000000, not 1000001."]),
    "an integer too long to print": (
        {"problem__steps": 10**4000},
        ["problem.steps must be <= 1000000, not a number of more than 40 digits."],
    ),
    "an integer beyond float64": (
        {"camera__octaves_per_s": 10**400},
        ["camera.octaves_per_s must be within float64's range."],
    ),
    "a strange number of examples": (
        {"problem__examples": "all"},
        ['problem.examples must be "parameters", "inputs" or a whole number 1..1000000, not "all".'],
    ),
    "a batch of none": ({"problem__batch": 0}, ['problem.batch must be "full" or a whole number 1..1000000, not 0.']),
    "a background that is no colour": (
        {"look__background": "black"},
        ['look.background must be a colour such as "#1b1b1f", not "black".'],
    ),
    "an axis that falls": (
        {"problem__x__range": ["1e6", "1e-3"]},
        ['problem.x.range must rise from a lower to a higher value, not "1e6" and "1e-3".'],
    ),
    "an axis without logarithms": (
        {"problem__x__range": [0, 1]},
        ["problem.x.range[0] must be > 0 on a log10 axis, not 0."],
    ),
    "an axis with two ranges": (
        {"problem__x__range_log10": [0, 1]},
        ["problem.x must have exactly one of range and range_log10, not both."],
    ),
    "an axis without a range": (
        {"problem__x__range": MISSING},
        ["problem.x must have exactly one of range and range_log10, not neither."],
    ),
    "logarithms on a linear axis": (
        {"problem__y__scale": "linear"},
        ['problem.y.range_log10 needs scale = "log10"; give range.'],
    ),
    "an axis beyond float64": (
        {"problem__y__range_log10": [-3, "1e5"]},
        ['problem.y.range_log10[1] must be a value between 1e-300 and 1e300, not "1e5".'],
    ),
    "an axis too narrow for float64": (
        {"problem__x__range": ["1", "1.0000000000000001"]},
        ["problem.x.range must be wide enough for float64 to tell its samples apart; widen it."],
    ),
    "the same axis twice": (
        {"problem__x__name": "lr", "problem__y__name": "lr"},
        ['problem.y.name must differ from problem.x.name, not be "lr" again.'],
    ),
    "no learning rate": ({"problem__x__name": "offset", "problem__y__name": "init_mean"}, [NO_LR]),
    "one learning rate missing": (
        {"problem__x__name": "offset"},
        ['problem must set the learning rate of the input layer; put "lr_input" on an axis or into [problem.fixed].'],
    ),
    "a learning rate set twice": (
        {"problem__x__name": "lr"},
        [
            'problem must set the output layer\'s learning rate once, not by "lr" and by "lr_output"; '
            "remove one of them.",
        ],
    ),
    "a fixed value for an axis": (
        {"problem__fixed__lr_input": 1},
        ["problem.fixed.lr_input must not repeat the x axis; remove one of them."],
    ),
    "no timing": ({"camera__octaves_per_s": MISSING}, [ONE_WAY + "it has none of them."]),
    "two speeds": ({"camera__decades_per_s": 1}, [ONE_WAY + "it has octaves_per_s and decades_per_s."]),
    "a speed and times": (
        {"camera__keyframes__1__time_s": 9},
        [ONE_WAY + "it has octaves_per_s and time_s."],
    ),
    "times for some keyframes": (
        {"camera__octaves_per_s": MISSING, "camera__keyframes__0__time_s": 0},
        ["camera.keyframes[1] must have time_s, as other keyframes have it."],
    ),
    "times that begin late and fall": (
        {"camera__octaves_per_s": MISSING, "camera__keyframes__0__time_s": 2, "camera__keyframes__1__time_s": 1},
        [
            "camera.keyframes[0].time_s must be 0, where the film begins, not 2.",
            "camera.keyframes[1].time_s must be at least 2.001, 0.001 after the keyframe before and its hold, not 1.",
        ],
    ),
    "an arrival during the hold before": (
        {
            "camera__octaves_per_s": MISSING,
            "camera__keyframes__0__time_s": 0,
            "camera__keyframes__0__hold_s": 3.5,
            "camera__keyframes__1__time_s": 3.5,
        },
        ["camera.keyframes[1].time_s must be at least 3.501, 0.001 after the keyframe before and its hold, not 3.5."],
    ),
    "a hold shorter than any frame": (
        {"camera__keyframes__1__hold_s": 1e-9},
        ["camera.keyframes[1].hold_s must be 0 or at least 0.001, not 1e-9."],
    ),
    "a film of days": (
        {"camera__octaves_per_s": 0.001},
        ["camera: the film must last at most 3600 s, not 23103.5 s; raise the speed."],
    ),
    "no keyframes": ({"camera__keyframes": []}, ["camera.keyframes must have at least 1 entries, not 0."]),
    "too many keyframes": (
        {"camera__keyframes": [{"centre": [1, 1], "width_decades": 1}] * 201},
        ["camera.keyframes must have at most 200 entries, not 201."],
    ),
    "a name that would steer a terminal": (
        {"look__equalise": "\x1b[31m\u202e"},
        [r'look.equalise must be one of "octave", "film", "fixed", "log", not "\x1b[31m\u202e".'],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_with_its_place_and_what_must_hold(case: str) -> None:
    changes, expected = FAULTS[case]
    assert faults(changed(**changes)) == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[look", "is not valid TOML: Expected ']' at the end of a table declaration (at end of document)."),
        ("a = 1\na = 2", "is not valid TOML: Cannot overwrite a value (at end of document)."),
        ("a = " + "[" * 5000, "is not valid TOML: tables or lists are nested too deeply."),
        ("a = " + "9" * 5000, "is not valid TOML: a number has too many digits."),
        ("#.....\n" + "a." * 100_000 + "a = 1", "line 2 must have at most 100 dots, not 100000."),
    ],
)
def test_text_that_is_not_toml_is_refused_with_its_place(content: str, fault: str) -> None:
    assert faults(content) == [fault]


def test_a_flood_of_faults_is_cut() -> None:
    faults_found = faults({**GOOD, **{f"k{i}": i for i in range(1000)}})
    assert len(faults_found) == 41
    assert faults_found[-1] == "and 960 more faults."


# ---- files


def refused(name: str | Path) -> str:
    with pytest.raises(SceneError) as caught:
        scene.load(name)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ./scenes/mine.toml, and no other scenes anywhere."""
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "mine.toml").write_text(text(GOOD))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "folders", lambda: [Path("scenes")])
    return tmp_path


@pytest.mark.parametrize("name", ["mine", "mine.toml", "scenes/mine", "scenes/mine.toml", "scenes/../scenes/mine.toml"])
def test_a_scene_is_found_by_name_and_by_path(folder: Path, name: str) -> None:
    assert scene.find(name).resolve() == folder / "scenes" / "mine.toml"
    assert scene.load(name).name == "mine"


def test_a_folder_of_the_same_name_does_not_hide_a_scene(folder: Path) -> None:
    (folder / "mine").mkdir()
    assert scene.load("mine").name == "mine"


def test_a_missing_scene_lists_those_that_exist(folder: Path) -> None:
    assert refused("mien") == 'There is no scene "mien"; did you mean "mine"? The scenes are mine.'
    assert refused("../mine/qqqq") == 'There is no scene "../mine/qqqq": "../mine" does not exist.'
    assert refused("") == 'There is no scene "". The scenes are mine.'
    (folder / "scenes" / "mine.toml").unlink()
    assert refused("mine") == 'There is no scene "mine". There are no scenes in ./scenes either.'


def test_a_missing_file_names_what_lies_where_it_was_looked_for(folder: Path) -> None:
    (folder / "small.toml").write_text(text(GOOD))
    (folder / "my").mkdir()
    for wrong in ("smal", "smal.toml"):
        assert refused(wrong) == f'There is no scene "{wrong}"; did you mean "small.toml"? The scenes are mine.'
    assert refused("./smal.toml") == 'There is no scene "./smal.toml"; did you mean "small.toml"?'
    assert refused("my/other.toml") == 'There is no scene "my/other.toml": "my" holds none.'
    (folder / "my" / "ours.toml").write_text(text(GOOD))
    (folder / "my" / "ours-scene.mp4").write_text("")
    assert refused("my/our") == 'There is no scene "my/our"; did you mean "my/ours.toml"?'
    assert refused("my/zzz") == 'There is no scene "my/zzz": "my" holds "ours.toml".'
    assert refused("my/mien") == 'There is no scene "my/mien": "my" holds "ours.toml"; did you mean "mine"?'
    assert refused("my/our-scene.mp4") == 'There is no scene "my/our-scene.mp4"; did you mean "my/ours-scene.mp4"?'
    for i in range(9):
        (folder / "my" / f"{i}.toml").write_text(text(GOOD))
    assert refused("my/zzz") == 'There is no scene "my/zzz": "my" holds 10 others.'


def test_a_missing_folder_is_named(folder: Path) -> None:
    assert (
        refused("no/such/mine.toml")
        == 'There is no scene "no/such/mine.toml": "no" does not exist; did you mean "mine"?'
    )
    assert (
        refused("scene/mine") == 'There is no scene "scene/mine": "scene" does not exist; did you mean "scenes/mine"?'
    )
    assert refused("no/mine.mp4") == 'There is no scene "no/mine.mp4": "no" does not exist.'
    (folder / "plain").write_text("")
    assert refused("plain/zzz") == 'There is no scene "plain/zzz": "plain" is not a folder.'


def test_a_missing_scene_among_many_names_the_nearest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scene.find("tiny").parents[1])
    count = len(scene.names())
    assert count > 20
    names = f"`render systems` names all {count} scenes that need no path."
    assert refused("tanhh") == f'There is no scene "tanhh"; did you mean "tanh"? {names}'
    assert refused("product").startswith('There is no scene "product"; did you mean "product_')
    assert refused("product").count('"product_') == 3
    assert refused("qqqq") == f'There is no scene "qqqq". {names}'


@pytest.mark.parametrize("name", ["\0", "a\0.toml", "x" * 5000, "/" * 5000 + "x", "~nobody", "mine.toml/x", "mine\n"])
def test_names_that_no_file_can_have_are_just_missing(folder: Path, name: str) -> None:
    assert refused(name).startswith('There is no scene "')


def test_a_folder_is_refused(folder: Path) -> None:
    assert refused("scenes") == '"scenes" is a folder; give the scene file in it.'
    assert refused(folder) == f"{quoted(str(folder))} is a folder; give the scene file in it."


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    (folder / "notes.md").write_text("")
    assert refused("notes.md").startswith('"notes.md" is not a scene: a scene file ends in ".toml". (Pictures and')


def test_a_pipe_or_a_device_is_refused_without_reading_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")
    (folder / "zero.toml").symlink_to("/dev/zero")
    (folder / "loop.toml").symlink_to("loop.toml")
    for name in ("pipe.toml", "zero.toml"):
        assert refused(name) == f'"{name}" is not a file that can be read.'
    assert refused("loop.toml").startswith('"loop.toml" is not a file')


def test_a_file_that_may_not_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", no_entry)  # root may read any file, so permissions alone prove nothing
    assert refused("mine") == "scenes/mine.toml: cannot be read (Permission denied)."


def test_a_huge_file_is_refused(folder: Path) -> None:
    (folder / "huge.toml").write_text("#" * 1_000_001)
    assert refused("huge.toml") == "huge.toml: must have at most 1000000 bytes."


def test_a_file_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "latin.toml").write_bytes(b"# caf\xe9")
    assert refused("latin.toml") == "latin.toml: must be UTF-8 text; byte 5 is not."


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(folder: Path) -> None:
    (folder / "windows.toml").write_bytes(b"\xef\xbb\xbf" + text(GOOD).replace("\n", "\r\n").encode())
    assert scene.load("windows").problem == parse(GOOD).problem


# ---- anything at all

junk = st.recursive(
    st.one_of(
        st.integers(),
        st.floats(),
        st.booleans(),
        st.text(max_size=8),
        st.decimals().map(str),
        st.sampled_from(["1e400", "-1e-400", "", "lr", "linear", "log10", 10**350, 1e300, 5e-324, 0, 1, 1e-9]),
    ),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)


def places(table: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    return [(*path, key) for key, _ in items] + [p for key, item in items for p in places(item, (*path, key))]


FULL = tomllib.loads((SCENES / "tiny.toml").read_text())


@given(st.data())
def test_a_scene_with_anything_anywhere_is_a_scene_or_a_scene_error(data: st.DataObject) -> None:
    table = copy.deepcopy(data.draw(st.sampled_from([GOOD, FULL])))
    for _ in range(data.draw(st.integers(1, 4))):
        *parents, last = data.draw(st.sampled_from(places(table)))
        place = table
        for part in parents:
            place = place[part]
        place[last] = data.draw(junk)
    try:
        parsed = parse(table)
    except SceneError as error:
        assert error.faults
        assert all(fault.startswith("deep.toml: ") and "pydantic" not in fault for fault in error.faults)
    else:
        path = parsed.path(parsed.output)
        assert path.frame_count(parsed.output.fps) >= 1
        assert path.view(path.length) == parsed.keyframes[-1].view
        assert parsed.problem.deepest_level >= 0
        assert len(parsed.problem.key) == 16


@given(st.text(max_size=60) | st.builds(lambda a, b: text(GOOD)[:a] + b, st.integers(0, 300), st.text(max_size=9)))
def test_any_text_is_a_scene_or_a_scene_error(content: str) -> None:
    try:
        scene.parse(content, "any.toml", "any")
    except SceneError as error:
        assert error.faults


def test_every_way_of_playing_and_every_look_reaches_the_scene() -> None:
    loaded = parse(
        changed(
            camera__play="ping-pong",
            camera__keyframes__1__phase=1.5,
            look={"palette": "wheel", "channel": "status", "boundary": 2.0, "shading": 0.5, "equalise": "log"},
            output={"overlay": ["axes", "legend"], "caption": "words", "shutter": 0.5},
        )
    )
    assert (loaded.play, loaded.record, loaded.keyframes[1].phase) == ("ping-pong", None, 1.5)
    assert (loaded.look.palette, loaded.look.channel, loaded.look.equalise) == ("wheel", "status", "log")
    assert (loaded.look.boundary, loaded.look.shading) == (2.0, 0.5)
    assert (loaded.output.overlay, loaded.output.caption, loaded.output.shutter) == (("axes", "legend"), "words", 0.5)
    count = loaded.path(loaded.output).frame_count(30)
    assert count == 2 * parse(GOOD).path(loaded.output).frame_count(30) - 2


@pytest.mark.parametrize("play", ["forward", "backward", "ping-pong"])
@pytest.mark.parametrize("fps", [24, 29.97, 60])
def test_a_film_has_exactly_the_frames_that_it_is_to_have(play: str, fps: float) -> None:
    for count in (2, 100, 1600):
        loaded = parse(changed(camera__play=play, output={"frames": count, "fps": fps}))
        path = loaded.path(loaded.output)
        assert path.frame_count(fps) == count
        assert path.s_of_frame(0, fps) == 0
        assert path.length == parse(GOOD).path(loaded.output).length
        preview = scene.with_quality(loaded, "preview")
        assert preview.path(preview.output).frame_count(preview.output.fps) == count


def test_a_still_view_may_have_any_number_of_frames() -> None:
    still = {"keyframes": [{"centre_log10": ["1.5", "1.5"], "width_decades": 9.0}]}
    loaded = parse(changed(camera=still, output={"frames": 7}))
    assert loaded.path(loaded.output).frame_count(30) == 7


def test_impossible_counts_of_frames_are_reported() -> None:
    assert faults(changed(camera__play="ping-pong", output={"frames": 7})) == [
        "output.frames must be even, and at least 2, for a film there and back, not 7."
    ]
    assert "output.frames must be >= 1, not 0." in faults(changed(output={"frames": 0}))
    (fault,) = faults(changed(output={"frames": 1_000_000, "fps": 1}))
    assert fault.startswith("output.frames must be at most ")


def test_colours_can_show_what_the_system_measures_and_nothing_else() -> None:
    for name in NAMES:
        loaded = scene.load(name)
        # Colours of a bifurcation diagram are densities: see test_bifurcation.
        for channel in SYSTEMS[loaded.problem.system].channels if loaded.bifurcation is None else ():
            shown = scene.load(name, settings=[f"look.channel={channel}"])
            assert shown.look.channel == channel
    (fault,) = faults(changed(look={"channel": "rot"}))
    channels = ", ".join(f'"{name}"' for name in (*CHANNELS, *OBSERVED))
    assert fault.startswith(f'look.channel must be one of {channels}, not "rot": channels depend on the system')
    (fault,) = faults(changed(problem__system="newtn", look={"channel": "root"}))
    assert "system" in fault


def test_a_list_of_colours_is_a_palette() -> None:
    for listed in (["#102030", "#ffffff"], "#102030,#ffffff", "#102030, #ffffff"):
        assert parse(changed(look__palette=listed)).look.palette == ("#102030", "#ffffff")


@pytest.mark.parametrize("value", ["2.5", "true", "3", "1979-05-27", '"x"', "[1]"])
@pytest.mark.parametrize("table", ["problem.x", "problem.fixed", "problem.observe", "camera", "look", "output"])
def test_a_value_in_the_place_of_a_table_is_named(table: str, value: str) -> None:
    with pytest.raises(SceneError, match=re.escape(table)):
        scene.load("tiny", settings=[f"{table}={value}"])
