"""A fault of a scene file names the line on which it stands."""

import re
from pathlib import Path

import pytest

from render import scene
from render.errors import SceneError
from render.scene import line_numbers
from render.scene.layers import keys_of, path_of

ODD = '''# a comment with name = "x"
title.text = """
name = "not a key"
"""
"quoted key" = 1
list = [ # of three lines
  { name = 1 },
  { name = 2 },
]
[a.b]
c = { d = 1, e = [1, 2] }
f.g = 2
[[rows]]
name = 1
[rows.inner]
deep = 1
[[rows]]

name = 2
[rows.inner]
deep = 2
[last]'''

PLACES = {
    ("title", "text"): 2,
    ("quoted key",): 5,
    ("list", 0, "name"): 6,
    ("list", 1): 6,
    ("a", "b"): 10,
    ("a", "b", "c", "d"): 11,
    ("a", "b", "c", "e", 1): 11,
    ("a", "b", "f", "g"): 12,
    ("rows", 0): 13,
    ("rows", 0, "name"): 14,
    ("rows", 0, "inner", "deep"): 16,
    ("rows", 1): 17,
    ("rows", 1, "name"): 19,
    ("rows", 1, "inner", "deep"): 21,
    ("last",): 22,
}


def test_every_form_of_a_field_is_found_on_its_line() -> None:
    numbers = line_numbers.of_fields(ODD)
    assert {keys: numbers.get(keys) for keys in PLACES} == PLACES
    assert ("name",) not in numbers, "what stands in a text or a comment is no field"
    assert line_numbers.of_fields(ODD.replace("\n", "\r\n")) == numbers


@pytest.mark.parametrize("name", scene.names())
def test_every_field_of_a_shipped_scene_is_on_the_line_that_names_it(name: str) -> None:
    text = scene.find(name).read_text()
    lines, numbers = text.split("\n"), line_numbers.of_fields(text)
    fields = [path for path in scene.load(name).origins if path]
    assert len(fields) > 5
    for path in fields:
        keys = keys_of(path)
        line = lines[numbers[keys] - 1]
        last = next(key for key in reversed(keys) if isinstance(key, str))
        assert re.search(rf"\b{last}\b", line), (path, line)


@pytest.mark.parametrize(
    ("old", "new", "line_of", "says"),
    [
        ("steps = 20", "steps = -3", "steps =", "problem.steps must be >= 1, not -3"),
        ("steps = 20", "stepss = 20", "stepss", 'problem has no field "stepss"; did you mean "steps"?'),
        (
            "width_decades = 0.140625",
            "width_decades = 0",
            "width_decades = 0",
            "camera.keyframes[1].width_decades must",
        ),
        ('palette = "Spectral"', 'palette = "Spectrall"', "palette", "look.palette: no palette 'Spectrall'"),
        ("fps = 5", "fps = 0", "fps", "output.fps must be > 0, not 0"),
        ("octaves_per_s = 1.2", "", "[camera]", "camera"),
        ('range = ["1e-3", "1e6"]', 'range = ["1e6", "1e-3"]', "range", "problem.x"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path: Path, old: str, new: str, line_of: str, says: str) -> None:
    text = scene.find("tiny").read_text()
    assert old in text
    text = text.replace(old, new, 1)
    file = tmp_path / "mine.toml"
    file.write_text(text)
    # The last of these lines is the changed one, where a field stands in both keyframes or both axes.
    lines = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(line_of)]
    wanted = lines[0] if new in text and old.startswith("range") else lines[-1]
    with pytest.raises(SceneError) as refused:
        scene.load(file)
    (fault,) = [fault for fault in refused.value.faults if says in fault]
    assert re.search(rf"mine\.toml, line {wanted}: ", fault), fault


def test_a_setting_and_a_field_that_no_file_gives_have_no_line(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"^--set problem.steps=-3: problem.steps must be >= 1"):
        scene.load("tiny", settings=["problem.steps=-3"])
    (tmp_path / "mine.toml").write_text("[output]\nfps = 0\n")
    with pytest.raises(SceneError, match=r"mine\.toml, line 2: output\.fps must be > 0"):
        scene.load("tiny", tmp_path / "mine.toml")
    (tmp_path / "none.toml").write_text("")
    with pytest.raises(SceneError, match=r"none\.toml: the scene must have problem"):
        scene.load(tmp_path / "none.toml")


def test_paths_and_keys_are_inverse() -> None:
    assert path_of(keys_of("camera.keyframes[1].hold_s")) == "camera.keyframes[1].hold_s"
