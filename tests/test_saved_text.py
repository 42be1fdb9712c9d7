"""What the explorer saves means the edited scene, in whatever form a person wrote the file, and loses no comment."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib

import pytest

from render import scene
from render.explorer import keyframes, toml_document

PROBLEM = """[problem]  # the net
system = "mlp"
width = 4
steps = 20
examples = 8
{x}
"""
AXES = """
[problem.x]
name = "lr_input"
range_log10 = ["-3", "6"]
[problem.y]
name = "lr_output"
range_log10 = ["-3", "6"]
"""
CAMERAS = {
    "tables": """
[camera]  # the way
octaves_per_s = 2.0
[[camera.keyframes]]  # far
centre_log10 = ["1.5", "1.5"]
width_decades = 9
# near comes next
[[camera.keyframes]]
centre_log10 = [
  "1.25", # right
  "1.75", # up
]
width_decades = 0.5
""",
    "inline list": """
[camera]
octaves_per_s = 2.0  # quick
keyframes = [ # all of them
  { centre_log10 = ["1.5", "1.5"], width_decades = 9 }, # far
  # a line between
  { centre_log10 = ["1.25", "1.75"], width_decades = 0.5 }, # near
]
""",
    "quoted headers": """
["camera"]  # quoted
octaves_per_s = 2.0
[["camera".'keyframes']]
centre_log10 = ["1.5", "1.5"]
width_decades = 9
[["camera".'keyframes']]
centre_log10 = ["1.25", "1.75"]  # near
width_decades = 0.5
""",
}
# Keys of the document itself stand before every header.
TOP = {
    "inline camera": """# one line
camera = { octaves_per_s = 2.0, keyframes = [{ centre_log10 = ["1.5", "1.5"], width_decades = 9 }, \
{ centre_log10 = ["1.25", "1.75"], width_decades = 0.5 }] } # all inline
""",
    "dotted camera": """# dotted
camera.octaves_per_s = 2.0  # quick
camera.keyframes = [
  { centre_log10 = ["1.5", "1.5"], width_decades = 9 }, # far
  { centre_log10 = ["1.25", "1.75"], width_decades = 0.5 },
]
""",
}
LOOKS = {
    "none": ("", ""),
    "table": ("", '[look]  # colours\npalette = "vik" # blue and red\n'),
    "inline": ('look = { palette = "vik" } # colours\n', ""),
    "dotted": ('look.palette = "vik"  # not a # comment in "# text"\n', ""),
}
TEXTS = {
    f"{camera}, {look} look": top + look_top + PROBLEM.format(x=AXES) + body + look_body
    for (camera, (top, body)), (look, (look_top, look_body)) in itertools.product(
        [*((name, ("", text)) for name, text in CAMERAS.items()), *((name, (text, "")) for name, text in TOP.items())],
        LOOKS.items(),
    )
}
EDITS = {
    "speed": lambda edit: dataclasses.replace(edit, octaves_per_s=3.0),
    "colours": lambda edit: dataclasses.replace(edit, palette="Spectral", gap=0.125),
    "hold": lambda edit: dataclasses.replace(
        edit, keyframes=(dataclasses.replace(edit.keyframes[0], hold_s=1.5), *edit.keyframes[1:])
    ),
    "target": lambda edit: dataclasses.replace(
        edit,
        keyframes=(
            edit.keyframes[0],
            dataclasses.replace(
                edit.keyframes[1],
                view=dataclasses.replace(
                    edit.keyframes[1].view, x=edit.keyframes[1].view.x + edit.keyframes[1].view.x / 64
                ),
            ),
        ),
    ),
    "one more": lambda edit: dataclasses.replace(
        edit, keyframes=(*edit.keyframes, dataclasses.replace(edit.keyframes[1], source=None))
    ),
}


@pytest.mark.parametrize("change", EDITS)
def test_every_form_of_a_scene_is_edited_to_what_was_asked_for_and_keeps_its_comments(change: str) -> None:
    for form, text in TEXTS.items():
        for end, written in (("LF", text), ("CRLF", text.replace("\n", "\r\n")), ("no end", text.rstrip("\n"))):
            before = scene.parse(written, "mine.toml", "mine")
            asked = EDITS[change](keyframes.own_edit(before))
            saved = keyframes.rewritten(before, asked)
            after = scene.parse(saved, "mine.toml", "mine")
            where = f"{form}, {end}: {saved}"
            assert [key.hold_s for key in after.keyframes] == [key.hold_s for key in asked.keyframes], where
            for ours, theirs in zip(after.keyframes, asked.keyframes, strict=True):
                assert abs(ours.view.x - theirs.view.x) < theirs.view.width * 1e-3, where
                assert ours.view.width == pytest.approx(theirs.view.width), where
            assert (after.look.palette, after.look.gap) == (asked.palette, asked.gap), where
            assert keyframes.own_edit(after).octaves_per_s == asked.octaves_per_s, where
            assert after.problem == before.problem, where
            lost = {c.lstrip("# ") for c in toml_document.comments_in(written)}
            kept = " ".join(toml_document.comments_in(saved))
            assert all(comment in kept for comment in lost), where
            assert end != "CRLF" or "\n" not in saved.replace("\r\n", ""), where


def test_comments_are_told_from_strings_that_hold_their_sign() -> None:
    text = "a = \"# no\" # yes\nb = '# no'\nc = \"\"\"\n# no\n\"\"\" # also\nd = '''# no'''\n# last"
    tomllib.loads(text)
    assert toml_document.comments_in(text) == ["# yes", "# also", "# last"]
