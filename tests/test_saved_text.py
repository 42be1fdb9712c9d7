"""The text that the explorer saves is the edited scene, and lines that were not edited stay as the user wrote them.

Scenes are written in every form that TOML has, with comments wherever it allows them, and edited at random. Whoever
writes the text knows to what each line belongs, so no parser of comments or tables is needed to judge the result.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from render import scene
from render.explorer import keyframes, toml_document
from render.explorer.keyframes import Edit, Keyframe
from render.geometry.camera import View
from render.scene import Scene

# To what a line belongs: a part of the film that an edit may touch, a keyframe by its number, or neither.
Owner = str | int | None

CAMERAS = ("tables", "tables alone", "list", "top inline", "top dotted list", "top dotted, tables")
LOOKS = ("none", "table", "inline", "dotted")
HEADERS = ("[{}]", "[ {} ]", "  [{}]\t")
CAPTION = ('caption = """', "[camera]", "[[camera.keyframes]]  # no comment", "]")


@dataclass
class Line:
    """A line, and to what it belongs."""

    text: str
    owner: Owner


class Writer:
    """Writes a scene in a random style, and remembers to what each line and each comment belongs."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.comments: dict[str, Owner] = {}
        self.listing = False  # whether the keyframes are items of a list, and not tables

    def some(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def remark(self, owner: Owner) -> str:
        """Return a comment full of signs that mean something elsewhere."""
        sign = self.some("", " = [", " ]", " }", ", {", ' "', " '", " [camera]", " \u2028")
        text = f"# {len(self.comments)}{sign} #"
        self.comments[text] = owner
        return text

    def beside(self, owner: Owner) -> str:
        return f"  {self.remark(owner)}" if self.some(False, True) else ""

    def above(self, owner: Owner) -> list[Line]:
        return [Line(f" {self.remark(owner)}", owner)] if self.some(False, False, True) else []

    def key(self, text: str, owner: Owner) -> list[Line]:
        return [*self.above(owner), Line(text + self.beside(owner), owner)]

    def keys(self, keys: list[tuple[str, Owner]]) -> list[Line]:
        return [line for text, owner in keys for line in self.key(text, owner)]

    def header(self, name: str, owner: Owner, *, double: bool = False) -> list[Line]:
        """Return a header in some spelling, with comments above that belong to it."""
        parts = name.split(".")
        quoted = ".".join(f'"{part}"' for part in parts)
        name = self.some(name, " . ".join(parts), quoted, quoted.replace('"', "'"))
        written = self.some(*HEADERS).format(name)
        written = written.replace("[", "[[").replace("]", "]]") if double else written
        lines = [Line("", None)] if self.some(True, True, False) else []
        if lines:
            lines += [Line(self.remark(owner), owner) for _ in range(self.some(0, 0, 1, 2))]
        return [*lines, Line(written + self.beside(owner), owner)]

    # ---- keyframes -------------------------------------------------------------------------------------------------

    def fields(self, i: int, *, timed: bool) -> list[tuple[str, str]]:
        """Return the keys and values of a keyframe."""
        name, x, y = self.some(
            ("centre_log10", "1.5", "1.5"), ("centre_log10", "1.25", "1.75"), ("centre", "31.6", "1.5e1")
        )
        fields = [(name, f'["{x}", "{y}"]'), ("width_decades", self.some("9", "0.5", "2.5e-3"))]
        if self.some(False, True):
            fields.append(("hold_s", self.some("0.0", "1", "1.5")))
        if timed:
            fields.append(("time_s", f"{10 * i}.0"))
        return list(self.draw(st.permutations(fields)))

    def row(self, i: int, *, timed: bool) -> list[Line]:
        """Return a keyframe as a table; its centre may have several lines."""
        lines = self.header("camera.keyframes", i, double=True)
        for name, value in self.fields(i, timed=timed):
            if value.startswith("[") and self.some(False, True):
                x, y = value.strip("[]").split(", ")
                lines += [Line(f"{name} = [{self.beside(i)}", i), Line(f"\t{x},{self.beside(i)}", i)]
                lines += [Line(f"  {y}{self.some('', ',')}{self.beside(i)}", i), *self.above(i)]
                lines.append(Line(f"]{self.beside(i)}", i))
            else:
                lines += self.key(f"{name} = {value}", i)
        return lines

    def listed(self, start: str, count: int, *, timed: bool, owner: Owner, end: str = "") -> list[Line]:
        """Return the list of keyframes, on one line or on several. owner: of what is no keyframe."""
        tables = [
            "{ " + ", ".join(f"{name} = {value}" for name, value in self.fields(i, timed=timed)) + " }"
            for i in range(count)
        ]
        if self.some(False, True):
            return [Line(f"{start}[{', '.join(tables)}{self.some('', ',')}]{end}{self.beside('list')}", "list")]
        lines = [Line(f"{start}[{self.beside(owner)}", owner)]
        for i, table in enumerate(tables):
            lines += self.above(i)
            if i < count - 1 and self.some(False, False, True):
                lines += [Line(f"  {table}{self.beside(i)}", i), Line(f"  ,{self.beside(i)}", i)]
            else:
                comma = "," if i < count - 1 else self.some("", ",")
                lines.append(Line(f"  {table}{comma}{self.beside(i)}", i))
        return [*lines, *self.above(owner), Line(f"]{end}{self.beside(owner)}", owner)]

    # ---- the whole -------------------------------------------------------------------------------------------------

    def scene(self) -> list[Line]:
        camera, look, count = self.some(*CAMERAS), self.some(*LOOKS), self.some(1, 2, 3, 4)
        self.listing = camera in ("list", "top inline", "top dotted list")
        timed = count > 1 and (camera == "tables alone" or self.some(False, True))
        keys: list[tuple[str, Owner]] = []
        if camera != "tables alone":
            keys += [] if timed else [("octaves_per_s = 2.0", "speed")]
            keys += [('easing = "linear"', "easing")] if self.some(False, True) else []
        top_camera, camera_tables = self.camera(camera, keys, count, timed=timed)
        top_look, look_tables = self.look(look)
        tables = [*camera_tables, *look_tables, *self.rest()]
        tables = list(self.draw(st.permutations(tables)))
        if not self.listing:
            # Tables of the list keep their order, but others may stand between them.
            places = sorted(self.draw(st.integers(0, len(tables))) for _ in range(count))
            if self.some(True, True, False):
                places = [places[0]] * count
            for i, at in reversed(list(enumerate(places))):
                tables.insert(at, self.row(i, timed=timed))
        top = [*self.above(None), Line("", None), *top_look, *top_camera]
        return [*top, *(line for table in tables for line in table)]

    def camera(
        self, form: str, keys: list[tuple[str, Owner]], count: int, *, timed: bool
    ) -> tuple[list[Line], list[list[Line]]]:
        """Return the lines of the camera at the top of the text, and its tables, without those of keyframes."""
        if form == "top inline":
            inside = "".join(f"{text}, " for text, _ in keys)
            start = f"camera = {{ {inside}keyframes = "
            return self.listed(start, count, timed=timed, owner="camera", end=" }"), []
        if form == "tables":
            return [], [[*self.header("camera", None), *self.keys(keys)]]
        if form == "list":
            rows = self.listed("keyframes = ", count, timed=timed, owner=None)
            return [], [[*self.header("camera", None), *self.keys(keys), *rows]]
        top = self.keys([(f"camera.{text}", owner) for text, owner in keys])
        if form == "top dotted list":
            top += self.listed("camera.keyframes = ", count, timed=timed, owner=None)
        return top, []

    def look(self, form: str) -> tuple[list[Line], list[list[Line]]]:
        """Return the lines of the look at the top of the text, and its table."""
        colours: list[tuple[str, Owner]] = [("shading = 0.25", None), ("gap = 0.125", "gap")]
        palette = self.some('"vik"', '"Spectral"', '["#40004b", "#f7f7f7"]', '"#40004b,#f7f7f7"')
        colours += [(f"palette = {palette}", "palette")] if self.some(False, True) else []
        name = self.some("look", '"look"')
        if form == "inline":
            return self.key(f"{name} = {{ {', '.join(text for text, _ in colours)} }}", "look"), []
        if form == "dotted":
            return self.keys([(f"{name} . {text}", owner) for text, owner in colours]), []
        return [], [[*self.header("look", None), *self.keys(colours)]] if form == "table" else []

    def rest(self) -> list[list[Line]]:
        """Return the tables that no edit touches; one has a text that looks like tables."""
        problem = self.keys([(text, None) for text in ('system = "mlp"', "width = 4", "steps = 20", "examples = 8")])
        tables = [[*self.header("problem", None), *problem]]
        for axis, name in (("x", "lr_input"), ("y", "lr_output")):
            lines = self.keys([(f'name = "{name}"', None), ('range_log10 = ["-3", "6"]', None)])
            tables.append([*self.header(f"problem.{axis}", None), *lines])
        output = [*(Line(text, None) for text in CAPTION), Line(f'"""{self.beside(None)}', None)]
        return [*tables, [*self.header("output", None), *output]]


@dataclass
class Written:
    """A scene's text; who wrote it; and its lines with their ends, and to what they belong."""

    text: str
    writer: Writer
    lines: list[Line]

    def __repr__(self) -> str:
        return f"Written({self.text!r})"


@st.composite
def texts(draw: st.DrawFn) -> Written:
    """Draw a text with one kind of line ends or both, with or without one at its end."""
    writer = Writer(draw)
    lines = writer.scene()
    ends = draw(st.sampled_from([("\n",), ("\r\n",), ("\n", "\r\n")]))
    last = draw(st.sampled_from([*ends, ""]))
    lines = [Line(line.text + draw(st.sampled_from(ends)), line.owner) for line in lines[:-1]] + [
        Line(lines[-1].text + last, lines[-1].owner)
    ]
    return Written("".join(line.text for line in lines), writer, lines)


@st.composite
def edits(draw: st.DrawFn, before: Scene) -> Edit:
    """Draw an edit of a scene."""
    edit_before = keyframes.own_edit(before)
    rows: list[Keyframe] = []
    if draw(st.booleans()):
        order = draw(st.permutations(range(len(edit_before.keyframes))))
        rows = [edit_before.keyframes[i] for i in order[: draw(st.integers(1, len(order)))]]
        for i, row in enumerate(rows):
            change = draw(st.sampled_from(["nothing", "nothing", "hold", "view"]))
            if change == "hold":
                rows[i] = replace(row, hold_s=2.5)
            elif change == "view":
                rows[i] = replace(row, view=View(Fraction(1, 3), Fraction(2, 7), 0.03125))
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            new = Keyframe(View(Fraction(3, 8), Fraction(5, 8), 0.25), 0.5, None, None)
            rows.insert(draw(st.integers(0, len(rows))), new)
    rows = rows or list(edit_before.keyframes)
    timed = len(rows) > 1 and draw(st.booleans())
    return Edit(
        tuple(replace(row, time_s=10.0 * i if timed else None) for i, row in enumerate(rows)),
        None if timed else draw(st.sampled_from([edit_before.octaves_per_s, 0.5])) or 1.0,
        draw(st.sampled_from([edit_before.easing, "smooth", "linear"])),
        draw(st.sampled_from([edit_before.palette, "gray", "#1a0633,#f7f7f7,#00441b"])),
        draw(st.sampled_from([edit_before.gap, 0.25])),
    )


def touched(before: Edit, edit: Edit) -> tuple[set[Owner], set[Owner]]:
    """Return to what the lines belong that an edit may change, and the keyframes that it removes."""
    kept = {row.source: row for row in edit.keyframes}
    removed: set[Owner] = {row.source for row in before.keyframes if row.source not in kept}
    changed: set[Owner] = removed | {row.source for row in before.keyframes if kept.get(row.source) != row}
    names = {"octaves_per_s": "speed", "easing": "easing", "palette": "palette", "gap": "gap"}
    changed |= {name for field, name in names.items() if getattr(before, field) != getattr(edit, field)}
    if changed & {"palette", "gap"}:
        changed.add("look")
    if edit.keyframes != before.keyframes or changed & {"speed", "easing"}:
        changed |= {"camera", "list"}
    return changed, removed


def assert_means(saved: str, before: Scene, edit: Edit) -> None:
    """Check that a text parses to the edited scene."""
    after = scene.parse(saved, "mine.toml", "mine")
    edit_before, edit_after = keyframes.own_edit(before), keyframes.own_edit(after)
    assert (after.problem, after.output) == (before.problem, before.output)
    assert replace(after.look, palette="", gap=0) == replace(before.look, palette="", gap=0)
    assert (edit_after.easing, edit_after.palette, edit_after.gap) == (edit.easing, edit.palette, edit.gap)
    # A film of one keyframe has no speed.
    assert len(edit.keyframes) == 1 or edit_after.octaves_per_s == edit.octaves_per_s
    for ours, row, asked in zip(after.keyframes, edit_after.keyframes, edit.keyframes, strict=True):
        assert (row.hold_s, row.time_s) == (asked.hold_s, asked.time_s)
        if asked.source is not None and edit_before.keyframes[asked.source].view == asked.view:
            assert ours.view == before.keyframes[asked.source].view
        assert abs(ours.view.x - asked.view.x) < asked.view.width * 1e-6
        assert abs(ours.view.y - asked.view.y) < asked.view.width * 1e-6
        assert ours.view.width == pytest.approx(asked.view.width, rel=1e-6)


@given(written=texts(), data=st.data())
def test_a_saved_scene_means_the_edit_and_keeps_every_line_that_it_leaves_alone(
    written: Written, data: st.DataObject
) -> None:
    before = scene.parse(written.text, "mine.toml", "mine")
    assert str(toml_document.Document.parse(written.text)) == written.text
    edit = data.draw(edits(before))
    saved = keyframes.rewritten(before, edit)
    note(f"{written.text}\n---- {edit}\n{saved}")
    assert_means(saved, before, edit)

    changed, removed = touched(keyframes.own_edit(before), edit)
    for comment, owner in written.writer.comments.items():
        assert comment in saved or owner in removed
    # In a list, commas and the ends of lines belong to the place, not to the item that stands there.
    left = [line for line in written.lines if line.text.strip() and line.owner not in changed]
    items = [line for line in left if written.writer.listing and isinstance(line.owner, int)]
    # The last line may have no end, as before; then any end that it had, or has now as another line, will do.
    *ended, last = saved.split("\n")
    exact = Counter([*(f"{line}\n" for line in ended), last, f"{last}\n", f"{last}\r\n"])
    for text, count in Counter(line.text for line in left if line not in items).items():
        assert exact[text] + (0 if text.endswith("\n") else exact[f"{text}\n"] + exact[f"{text}\r\n"]) >= count
    loose = [line.replace(",", "").strip() for line in saved.split("\n")]
    for line in items:
        assert line.text.strip(", \r\n") == "" or line.text.replace(",", "").strip() in loose


@given(st.text("ab[]{},\n#.=1\"' \\\r\u2028\x85\x0b", max_size=80))
def test_cutting_a_text_into_statements_loses_nothing(text: str) -> None:
    assert "".join(toml_document.statements(text)) == text


def test_a_comment_beside_a_key_that_goes_stays() -> None:
    document = toml_document.Document.parse("# file\r\ncamera.octaves_per_s = 1.0 #beside\r\ncamera.easing = 'linear'")
    document.blocks[0].drop(("camera", "octaves_per_s"))
    assert str(document) == "# file\r\n#beside\r\ncamera.easing = 'linear'"


@pytest.mark.parametrize("width", [0.5, 1e-12, 1e-44, 1e-60])
def test_a_centre_stays_in_the_units_in_which_it_was_written_while_they_can_tell_it(width: float) -> None:
    text = (
        'camera = { octaves_per_s = 2.0, keyframes = [{ centre = ["31.6", "1.5e1"], width_decades = 9 }] }\n'
        '[problem]\nsystem = "mlp"\nwidth = 4\nsteps = 20\nexamples = 8\n'
        '[problem.x]\nname = "lr_input"\nrange_log10 = ["-3", "6"]\n'
        '[problem.y]\nname = "lr_output"\nrange_log10 = ["-3", "6"]\n'
    )
    before = scene.parse(text, "mine.toml", "mine")
    edit = keyframes.own_edit(before)
    view = View(Fraction(1, 3), Fraction(2, 7), width)
    edit = replace(edit, keyframes=(replace(edit.keyframes[0], view=view),))
    saved = keyframes.rewritten(before, edit)
    assert ("centre_log10" in saved) == (width < 1e-50)
    assert_means(saved, before, edit)
