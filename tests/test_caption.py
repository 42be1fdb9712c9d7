"""Captions: no letter is lost, lines are kept, nothing leaves its room, and a font without the letters is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import scene
from render.errors import SceneError
from render.picture import caption, overlay, typeface

SIZE = (640, 360)


def masks(text: str, room_px: int = 600, size: tuple[int, int] = SIZE) -> np.ndarray:
    return caption.masks(text, typeface.BUNDLED, size, room_px)


def rows_of_ink(text: str, room_px: int = 600) -> int:
    """How many runs of rows with ink there are: lines of capitals do not touch one another."""
    inked = masks(text, room_px)[1].max(axis=1) > 0.2
    return int(np.count_nonzero(np.diff(np.concatenate([[False], inked]).astype(int)) == 1))


def test_a_caption_of_one_line_is_drawn_as_every_other_text() -> None:
    font = overlay.font_of(*SIZE)
    assert np.array_equal(masks("learning rate -1.5e-3"), overlay.pill(font, "learning rate -1.5e-3"))


def test_line_breaks_are_kept_and_each_line_is_drawn_as_it_is_alone() -> None:
    assert rows_of_ink("HELLO\nMORE\nLINES") == 3
    font = overlay.font_of(*SIZE)
    block = masks("HELLO\nMORE")[1]
    alone = overlay.pill(font, "HELLO")[1]
    assert np.array_equal(block[: alone.shape[0] // 2, : alone.shape[1]], alone[: alone.shape[0] // 2])


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200), st.integers(60, 600))
def test_no_caption_leaves_its_room_or_a_third_of_the_frame(text: str, room_px: int) -> None:
    written = masks(text, room_px)
    assert written.shape[0] == 2
    assert written.shape[1] <= max(SIZE[1] / 3, overlay.pill_height(overlay.font_of(*SIZE)))
    assert written.shape[2] <= room_px
    assert written.min() >= 0
    assert written.max() <= 1


@given(st.lists(st.text("ABCDEFGHIKLMN", min_size=1, max_size=12), min_size=1, max_size=12), st.integers(120, 600))
def test_every_word_of_a_wrapped_caption_is_in_some_line(words: list[str], room_px: int) -> None:
    font = overlay.font_of(*SIZE)
    lines = caption._lines(font, " ".join(words), room_px)
    assert "".join("".join(lines).split()) == "".join(words)
    assert all(overlay.pill_width(font, line) <= room_px for line in lines)


def test_a_caption_without_room_ends_in_an_ellipsis_and_not_in_the_middle_of_nothing() -> None:
    font = overlay.font_of_size(overlay.SMALLEST_PX)
    long = " ".join(["word"] * 40)
    shown = caption.masks(long, typeface.BUNDLED, (64, 36), 60)
    assert shown.shape[2] <= 60
    first_line = caption._shortened(font, caption._lines(font, long, 60)[0] + "…", 60)
    assert first_line.endswith("…")


@pytest.mark.parametrize(
    ("text", "missing"), [("学习率", ["学", "习", "率"]), ("a\U0010fffdb", ["\U0010fffd"]), ("plain", [])]
)
def test_what_a_font_lacks_is_named_letter_by_letter(text: str, missing: list[str]) -> None:
    assert typeface.lacking(text, typeface.BUNDLED) == missing


def test_a_caption_that_no_font_can_write_is_refused_with_its_letters() -> None:
    with pytest.raises(SceneError) as refused:
        scene.load("tiny", settings=['output.caption="a\U0010fffdb"'])
    (fault,) = refused.value.faults
    assert "output.caption needs letters" in fault
    assert "\U0010fffd" in fault
    assert "output.font" in fault


def test_a_font_is_found_by_path_and_refused_if_it_is_none(tmp_path: Path) -> None:
    copy = tmp_path / "Mine.ttf"
    shutil.copy(typeface.BUNDLED, copy)
    assert typeface.find("abc", str(copy)) == copy
    (tmp_path / "no.ttf").write_text("no font")
    for wanted in (str(tmp_path / "no.ttf"), "No Such Family 123"):
        with pytest.raises(SceneError, match="output.font"):
            scene.load("tiny", settings=["output.caption=abc", f'output.font="{wanted}"'])


def test_a_machine_font_is_taken_for_letters_that_the_bundled_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for x, y in ((0, 0), (0, 700), (500, 700)):
        (pen.moveTo if (x, y) == (0, 0) else pen.lineTo)((x, y))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "letter"])
    builder.setupCharacterMap({0x5B66: "letter"})
    builder.setupGlyf(
        {name: pen.glyph() if name == "letter" else TTGlyphPen(None).glyph() for name in (".notdef", "letter")}
    )
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "letter"), (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    (tmp_path / "fonts").mkdir()
    builder.save(tmp_path / "fonts" / "OneLetter-Regular.ttf")
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    typeface.installed.cache_clear()
    try:
        font = typeface.find("学")
        assert font.name == "OneLetter-Regular.ttf"
        assert typeface.find("学", "oneletter") == font
        assert caption.masks("学", font, SIZE, 200)[1].max() > 0.9
        with pytest.raises(typeface.LacksLetters, match="习"):
            typeface.find("学习")
    finally:
        typeface.installed.cache_clear()
