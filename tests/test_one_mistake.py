"""One mistake in a scene is one message: a misspelt or refused field is not reported again as one that is missing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from render import scene
from render.errors import SceneError
from render.scene.faults import without_consequences
from tests.test_scene import GOOD, text

RISE = scene.resolved(scene.load("momentum_rise"))
UNFOLD = scene.resolved(scene.load("unfold"))
PLAIN = text(GOOD)
Raw = dict[str, Any]


def faults(written: str, change: Callable[[Raw], object]) -> list[str]:
    raw = tomllib.loads(written)
    change(raw)
    with pytest.raises(SceneError) as caught:
        scene.parse(text(raw), "mine.toml", "mine")
    return [fault.removeprefix("mine.toml: ") for fault in caught.value.faults]


def keyframe(raw: Raw, number: int) -> Raw:
    wanted: Raw = raw["camera"]["keyframes"][number]
    return wanted


def renamed(table: Raw, one: str, other: str) -> None:
    table[other] = table.pop(one)


MISSPELT = '"; did you mean "'


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_misspelt_name_in_a_keyframe_s_set(number: int) -> None:
    reported = faults(RISE, lambda raw: renamed(keyframe(raw, number)["set"], "momentum", "momentun"))
    assert reported == [f'camera.keyframes[{number}].set has no field "momentun{MISSPELT}momentum"?']


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("init", 'set has no field "init": "init" is the same for all samples; set problem.init.'),
        ("steps", 'set has no field "steps": "steps" is a field of the keyframe itself, beside its "set".'),
        ("lr_input", "set.lr_input must not move the x axis; remove it."),
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_a_name_that_no_keyframe_may_set_is_not_asked_of_the_others(name: str, message: str, number: int) -> None:
    reported = faults(RISE, lambda raw: keyframe(raw, number)["set"].update({name: "0.5"}))
    assert reported == [f"camera.keyframes[{number}].{message}"]


def test_what_is_no_table_lacks_nothing() -> None:
    assert faults(RISE, lambda raw: keyframe(raw, 1).update(set=3)) == [
        "camera.keyframes[1].set must be a table, not 3."
    ]


@pytest.mark.parametrize(
    ("written", "change", "where", "names"),
    [
        (UNFOLD, lambda raw: renamed(keyframe(raw, 0), "steps", "step"), "camera.keyframes[0]", ("step", "steps")),
        (PLAIN, lambda raw: renamed(raw["camera"], "octaves_per_s", "octave_per_s"), "camera",
         ("octave_per_s", "octaves_per_s")),
        (PLAIN, lambda raw: renamed(raw["problem"]["x"], "name", "nam"), "problem.x", ("nam", "name")),
        (PLAIN, lambda raw: renamed(raw["problem"]["x"], "range", "rnge"), "problem.x", ("rnge", "range")),
        (PLAIN, lambda raw: renamed(keyframe(raw, 0), "width_decades", "width_decade"), "camera.keyframes[0]",
         ("width_decade", "width_decades")),
        (PLAIN, lambda raw: renamed(keyframe(raw, 0), "centre_log10", "center_log10"), "camera.keyframes[0]",
         ("center_log10", "centre_log10")),
        (PLAIN, lambda raw: renamed(raw["camera"], "keyframes", "keyframe"), "camera", ("keyframe", "keyframes")),
    ],
)  # fmt: skip
def test_a_misspelt_field_that_must_be_there(
    written: str, change: Callable[[Raw], object], where: str, names: tuple[str, str]
) -> None:
    assert faults(written, change) == [f'{where} has no field "{names[0]}{MISSPELT}{names[1]}"?']


def test_other_faults_stay() -> None:
    """What is missing besides is still said, and in another table."""

    def two(raw: Raw) -> None:
        renamed(keyframe(raw, 0), "width_decades", "width_decade")
        del keyframe(raw, 0)["centre_log10"]
        del keyframe(raw, 1)["width_decades"]

    assert faults(PLAIN, two) == [
        f'camera.keyframes[0] has no field "width_decade{MISSPELT}width_decades"?',
        "camera.keyframes[0] must have exactly one of centre and centre_log10, not neither.",
        "camera.keyframes[1] must have width_decades.",
    ]
    unrelated = ['a has no field "b"; its fields are c', "a must have c"]
    assert without_consequences(unrelated) == unrelated
