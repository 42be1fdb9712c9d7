"""Laws of folders that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from render.errors import WriteError
from render.files import folders
from render.files.folders import Layout, whole_folder
from render.tools import inventory

MARK = "mark"
LAYOUT = Layout(MARK, b"", r"mark|page/.+")


def fill(path: Path, word: str) -> None:
    with whole_folder(path, layout=LAYOUT) as folder:
        (folder / MARK).write_text(word)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_gets_its_name_when_it_is_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "site"
    with whole_folder(place, layout=LAYOUT) as folder:
        (folder / MARK).write_text("one")
        assert not place.exists()
    assert names(place) == [MARK]
    fill(place, "two")
    assert (place / MARK).read_text() == "two"
    assert names(place.parent) == ["site"]


def test_whatever_ends_it_early_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "site"
    for before in ([], ["site"]):
        with pytest.raises(KeyboardInterrupt), whole_folder(place, layout=LAYOUT) as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt
        assert names(tmp_path) == before
        fill(place, "one")
    assert (place / MARK).read_text() == "one"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("names_a_file", [True, False])
def test_a_file_system_that_fails_while_it_is_filled_is_reported_in_a_sentence(
    tmp_path: Path, number: int, names_a_file: bool
) -> None:
    with pytest.raises(WriteError, match=f"site cannot be written: {os.strerror(number)}"):  # noqa: SIM117
        with whole_folder(tmp_path / "site", layout=LAYOUT) as folder:
            raise OSError(number, os.strerror(number), *([str(folder / "page/a.js")] if names_a_file else []))
    for other in (OSError(errno.ENOENT, "of another file", str(tmp_path / "x")), BrokenPipeError(errno.EPIPE, "pipe")):
        with pytest.raises(type(other)), whole_folder(tmp_path / "site", layout=LAYOUT):
            raise other
    assert names(tmp_path) == []


def test_files_that_threads_make_after_a_failure_are_removed_too(tmp_path: Path) -> None:
    """Zarr writes with threads, and goes on for a moment after the first of them has failed."""
    ended = threading.Event()
    late: list[threading.Thread] = []

    def write(folder: Path) -> None:
        while not ended.wait(0.001):
            with contextlib.suppress(OSError):
                (folder / f"{time.monotonic_ns()}").write_text("late")

    with pytest.raises(KeyError), whole_folder(tmp_path / "site", layout=LAYOUT) as folder:
        for _ in range(4):
            late.append(threading.Thread(target=write, args=[folder]))
            late[-1].start()
        threading.Timer(0.3, ended.set).start()
        raise KeyError
    for thread in late:
        thread.join()
    assert names(tmp_path) == []


def test_an_empty_folder_is_taken_and_a_foreign_one_refused(tmp_path: Path) -> None:
    place = tmp_path / "site"
    place.mkdir()
    fill(place, "one")
    (place / MARK).unlink()
    (place / "other").write_text("x")
    with pytest.raises(WriteError, match=r"holds something else \(it has no mark of render\'s\)"):
        fill(place, "two")
    assert names(place) == ["other"]


@pytest.mark.parametrize("name", ["thesis.txt", ".git/HEAD", "page2/a.js"])
def test_a_folder_with_a_user_s_other_files_is_never_replaced(name: str, tmp_path: Path) -> None:
    place = tmp_path / "site"
    fill(place, "one")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("precious")
    with pytest.raises(WriteError, match="holds a file of another origin"):
        fill(place, "two")
    assert (place / name).read_text() == "precious" and (place / MARK).read_text() == "one"


def test_a_foreign_folder_with_the_same_mark_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("of another program")
    with (
        pytest.raises(WriteError, match="it has no mark of render's"),
        whole_folder(tmp_path, layout=LAYOUT._replace(says=b"render")),
    ):
        pass
    assert names(tmp_path) == [MARK]


def test_a_place_that_cannot_become_a_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="Not a directory"):
        folders.check_folder(tmp_path / "file" / "site", layout=LAYOUT)
    with pytest.raises(WriteError, match="there is a file"):
        folders.check_folder(tmp_path / "file", layout=LAYOUT)
    assert folders.check_folder(tmp_path / "new" / "site", layout=LAYOUT) == tmp_path / "new" / "site"
    assert names(tmp_path / "new") == []


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to("real")
    fill(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / MARK).read_text() == "two"


@pytest.mark.parametrize("name", ["site", "site [1] of *"])
def test_a_folder_that_a_dead_process_left_is_removed_and_that_of_a_living_one_stays(tmp_path: Path, name: str) -> None:
    dead = tmp_path / f".{name}.0123456789abcdef.partial"
    (dead / "content").mkdir(parents=True)
    (dead / "content" / "tile").write_bytes(b"x" * 100)
    with whole_folder(tmp_path / name, layout=LAYOUT) as living:
        assert not dead.exists()
        fill(tmp_path / name, "meanwhile")
        assert living.is_dir()
        assert inventory.left_behind(tmp_path, tmp_path) == []
        dead.mkdir()
        (dead / "part").write_bytes(b"x" * 100)
        assert inventory.left_behind(tmp_path, tmp_path) == [dead]
        assert inventory.delete([dead]) == 100
        assert folders.remove(living.parent) == 0
        (living / MARK).write_text("last")
    assert (tmp_path / name / MARK).read_text() == "last"
    assert names(tmp_path) == [name]
