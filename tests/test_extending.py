"""The page about extending is right: everything that it names exists, and lists of rows are complete."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from render import backends
from render.encode import CODECS, SEQUENCE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "assets" / "docs" / "extending.md").read_text(encoding="utf-8")
PARTS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])


@pytest.fixture(scope="module")
def help_of() -> dict[str, str]:
    pages = {}
    for command in ("encode", "video"):
        done = subprocess.run(
            [sys.executable, "-m", "render", command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
        )
        pages[command] = re.sub(r"[\s│]+", " ", done.stdout)
    return pages


def test_the_help_of_a_codec_names_every_one_and_the_quality_that_it_can_have(help_of: dict[str, str]) -> None:
    words = re.split(r"[ ,.]+", help_of["encode"].partition("--codec NAME ")[2].partition(" --crf")[0])
    assert {*CODECS, SEQUENCE} <= {*words}
    numbers = help_of["encode"].partition("--crf INT ")[2].partition(" --quality")[0]
    for name, row in CODECS.items():
        assert row.crf is None or row.crf[1] == 51 or (str(row.crf[1]) in numbers and name in numbers)


def test_the_page_of_formats_names_every_codec_with_its_purpose_and_its_largest_frame() -> None:
    lines = (ROOT / "assets" / "docs" / "production.md").read_text(encoding="utf-8").splitlines()
    for name in (*CODECS, SEQUENCE):
        assert sum(line.startswith("|") and f"`{name}`" in line.split("|")[1] for line in lines) >= 2, name


def test_the_help_of_a_backend_names_every_one_that_trains(help_of: dict[str, str]) -> None:
    for name, row in backends.BACKENDS.items():
        assert (f"{name} ({row.words})" in help_of["video"]) == row.trains


@pytest.mark.parametrize("part", PARTS)
def test_a_how_to_has_ten_steps_at_most_and_names_tests_that_are_there(part: str) -> None:
    steps = re.findall(r"^\d+\. ", PARTS[part], re.MULTILINE)
    assert 1 <= len(steps) <= 10
    assert any(name.startswith("tests/test_") for name in re.findall(r"`([^`]+)`", PARTS[part]))


def test_every_file_and_name_of_the_page_is_there() -> None:
    paths = {name for name in re.findall(r"`([\w/.]+)`", PAGE) if "/" in name}
    assert [path for path in paths if path != "render/train/systems/mine.py" and not (ROOT / path).exists()] == []
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "render").rglob("*.py"))
    tables = set(re.findall(r"`([A-Z][A-Z_]+|[A-Z][a-z]+[A-Z]\w+)`", PAGE))
    assert len(tables) >= 8
    assert [name for name in tables if not re.search(rf"\b{name}\b", code)] == []
