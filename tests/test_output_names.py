"""A name for another kind of output than a command makes is refused before anything is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import render
from render.encode import CODECS
from render.errors import RenderError
from tests.helpers.command import refused, run_here

# Every command that takes a place for its output, with the option for it.
IN_A_FOLDER = {
    "video": ["video", "tiny", "--out"],
    "several films": ["video", "tiny", "--each", "--out"],
    "preview": ["preview", "tiny", "--out"],
    "frame": ["frame", "tiny", "0", "--out"],
    "sheet": ["sheet", "tiny", "--out"],
    "recolour": ["recolour", "tiny", "--palette", "vik", "--out"],
    "encode": ["encode", "tiny", "--codec", "gif", "--out"],
    "dimension": ["analyse", "dimension", "tiny", "--out"],
    "precision": ["analyse", "precision", "tiny", "--out"],
    "tuning": ["analyse", "tuning", "tiny", "--out"],
    "all": ["analyse", "all", "tiny", "--out"],
    "frames as arrays": ["export", "tiny", "--film", "--out"],
    "publish": ["publish", "tiny"],
    "explore": ["explore", "tiny", "--folder"],
}
IN_A_FILE = {
    "export": (["export", "tiny", "--out"], [".mp4", ".png", ".csv"]),
    "poster": (["poster", "tiny", "--cm", "4x3", "--out"], [".mp4", ".png", ".csv"]),
    "probe": (["probe", "tiny", "--points", "points.csv", "--out"], [".mp4", ".png", ".toml"]),
    "trace": (["probe", "tiny", "--points", "points.csv", "--out", "v.csv", "--trace"], [".mp4", ".npz"]),
    "descend": (["descend", "tiny", "--out"], [".mp4", ".png", ".csv"]),
}
# Further options and arguments that take a path.
FURTHER = {
    "store": ["plan", "tiny", "--store"],
    "points": ["probe", "tiny", "--out", "v.csv", "--points"],
    "trace": ["probe", "tiny", "--points", "points.csv", "--out", "v.csv", "--trace"],
    "new": ["new"],
    "merge": ["store", "merge"],
    "clean": ["clean", "--out"],
}
EVERY = FURTHER | IN_A_FOLDER | {name: words for name, (words, _) in IN_A_FILE.items()}
SUFFIXES = sorted({codec.suffix for codec in CODECS.values()} | {".png", ".JPG", ".json", ".csv", ".exr"})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the scene and a table of points, and nothing else."""
    (tmp_path / "tiny.toml").write_text((Path(__file__).parents[1] / "scenes/tiny.toml").read_text())
    (tmp_path / "points.csv").write_text("x,y\n1,1\n")
    return tmp_path


def files(folder: Path) -> list[str]:
    """Return the names of all that is in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("command", IN_A_FOLDER)
def test_no_folder_is_made_that_has_the_name_of_a_file(place: Path, command: str) -> None:
    before = files(place)
    for suffix in [*SUFFIXES, ".zarr", ".zip", ".tar.gz"] if command == "video" else [".mp4", ".png", ".zip"]:
        errors = refused(*IN_A_FOLDER[command], f"mine{suffix}", cwd=place)
        assert f'must be a folder, and "mine{suffix}" is a name for a' in errors, errors
        assert "Give a folder" in errors
        assert files(place) == before


@pytest.mark.parametrize(
    ("command", "suffix"), [(name, suffix) for name, (_, suffixes) in IN_A_FILE.items() for suffix in suffixes]
)
def test_no_file_is_made_that_has_the_name_of_another_kind(place: Path, command: str, suffix: str) -> None:
    before = files(place)
    errors = refused(*IN_A_FILE[command][0], f"mine{suffix}", cwd=place)
    assert f"mine{suffix}" in errors
    assert "must" in errors
    assert files(place) == before


@pytest.mark.parametrize("command", EVERY)
def test_no_path_is_empty_or_begins_with_a_tilde_that_no_shell_has_replaced(place: Path, command: str) -> None:
    before, home = files(place), os.path.expanduser("~")
    assert "must not be empty" in refused(*EVERY[command], "", cwd=place)
    for given in ("~", "~/films"):
        errors = refused(*EVERY[command], given, cwd=place)
        assert 'must not begin with "~"' in errors and f"give {given.replace('~', home)}." in errors
    if EVERY[command][-1].startswith("--"):
        assert 'must not begin with "~"' in refused(*EVERY[command][:-1], f"{EVERY[command][-1]}=~/x", cwd=place)
    assert files(place) == before


def test_nothing_else_is_written_into_an_array(place: Path) -> None:
    (place / "mine.zarr").mkdir()
    assert "is a name for an array" in refused("frame", "tiny", "0", "--out", "mine.zarr", cwd=place)


def test_a_folder_that_is_there_may_be_called_anything(place: Path) -> None:
    (place / "old.mp4").mkdir()
    done = run_here("frame", "tiny", "0", "--quality", "scene", "--out", "old.mp4", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (place / "old.mp4/tiny/tiny-scene-00000.png").is_file()


def test_dots_that_are_no_suffix_of_a_file_are_taken(place: Path) -> None:
    for given in ("out.v2", "2026.11.28", "~mp4", "a.b"):
        done = run_here("frame", "tiny", "0", "--quality", "scene", "--out", given, cwd=place)
        assert done.returncode == 0, done.stderr
    written = run_here("probe", "tiny", "--points", "points.csv", "--out", "values.txt", cwd=place)
    assert written.returncode == 0, written.stderr
    assert (place / "values.txt").read_text().startswith("x,y,value")


def test_python_is_refused_in_the_same_way(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    scene = render.load("tiny.toml")
    before = files(place)
    makers: list[Callable[..., object]] = [render.video, render.recolour, render.convert]
    makers += [render.frame, render.contact_sheet, render.export_frames, render.publish]
    for make in makers:
        with pytest.raises(RenderError, match="must be a folder"):
            if make in (render.export_frames, render.publish):
                make(scene, place / "mine.png")
            else:
                make(scene, out=place / "mine.png")
    for given, says in (("", "must not be empty"), ("~/x.tif", "must not begin with")):
        with pytest.raises(RenderError, match=says):
            render.export(scene, given)
        with pytest.raises(RenderError, match=says):
            render.poster(scene, given, cm=(4, 3))
        with pytest.raises(RenderError, match=says):
            render.frame(scene, out=given)
    assert files(place) == before
