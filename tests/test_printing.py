"""Laws of printing: whatever stdout and stderr are, a command makes its files and ends without a traceback."""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from render.cli.streams import _Output, _printable

ROOT = Path(__file__).parents[1]
FULL = Path("/dev/full")
RENDER = [sys.executable, "-m", "render.cli"]

needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
posix = pytest.mark.skipif(os.name != "posix", reason="descriptors are closed as a POSIX shell does it")


def run(*arguments: object, **given: Any) -> subprocess.CompletedProcess[bytes]:
    options: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "cwd": ROOT,
        "timeout": 240,
    } | given
    command = [*RENDER, *map(str, arguments)]
    if redirections := options.pop("shell", None):
        command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *command]
    opened = {value for value in (options["stdout"], options["stderr"]) if isinstance(value, int) and value > 2}
    try:
        return subprocess.run(command, check=False, **options)
    finally:
        for descriptor in opened:
            os.close(descriptor)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("printing")


@pytest.fixture(scope="module")
def sums(root: Path) -> dict[str, str]:
    """The checksums of a film and its poster where everything could be printed; its samples are in root/store."""
    done = run("video", "tiny", "--quality", "scene", "--store", root / "store", "--out", root / "plain", cwd=root)
    assert done.returncode == 0, done.stderr
    return sums_of(root / "plain/tiny")


def sums_of(folder: Path) -> dict[str, str]:
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    record = json.loads((folder / "tiny-scene.mp4.json").read_text())
    assert record["sha256"] == sums["tiny-scene.mp4"]
    return {name: sums[name] for name in ("tiny-scene.mp4", "tiny-scene.poster.png", "tiny-scene.thumb.jpg")}


def full(*streams: str) -> dict[str, object]:
    return dict.fromkeys(streams, os.open(FULL, os.O_WRONLY))


def without_reader(*streams: str) -> dict[str, object]:
    reader, writer = os.pipe()
    os.close(reader)
    return dict.fromkeys(streams, writer)


def closed(redirections: str = ">&-") -> dict[str, object]:
    """Close streams as a shell does: with its words for it."""
    return {"shell": redirections}


DISTURBED: dict[str, Callable[[], dict[str, object]]] = {
    "stdout full": lambda: full("stdout"),
    "stderr full": lambda: full("stderr"),
    "both full": lambda: full("stdout", "stderr"),
    "stdout without a reader": lambda: without_reader("stdout"),
    "both without a reader": lambda: without_reader("stdout", "stderr"),
    "stdout closed": lambda: closed(),
    "all closed": lambda: closed("<&- >&- 2>&-"),
}


@posix
@needs_full
@pytest.mark.parametrize("printing", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("how", DISTURBED)
def test_a_film_its_record_and_its_poster_are_made_whatever_cannot_be_printed(
    tmp_path: Path, root: Path, sums: dict[str, str], how: str, printing: list[str]
) -> None:
    if printing and how not in ("stdout full", "both without a reader"):
        return  # these differ from the text in no way
    command = ["video", "tiny", "--quality", "scene", "--store", root / "store", "--out", tmp_path, *printing]
    done = run(*command, **DISTURBED[how]())
    assert b"Traceback" not in (done.stderr or b"")
    assert sums_of(tmp_path / "tiny") == sums
    lost_results = how in ("stdout full", "both full")
    assert done.returncode == (2 if lost_results else 0)
    if how == "stdout full":
        assert b"stdout cannot be written: No space left on device. Everything that was made is kept" in done.stderr


@posix
@needs_full
@pytest.mark.parametrize("command", ["show tiny", "systems", "--help", "store ls", "show tiny --json", "jobscript -h"])
def test_a_command_that_only_prints_says_that_it_could_not_and_is_content_with_a_reader_that_leaves(
    tmp_path: Path, command: str
) -> None:
    words = [*command.split(), *(["--store", str(tmp_path)] if command == "store ls" else [])]
    done = run(*words, **full("stdout"))
    assert done.returncode == 2, done.stderr
    assert b"Free some space, or send stdout elsewhere." in done.stderr.splitlines()[-1]
    left = run(*words, **without_reader("stdout"))
    assert left.returncode == 0
    assert b"Traceback" not in left.stderr
    assert run(*words, **closed()).returncode == 0


@posix
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path, root: Path, sums: dict[str, str]) -> None:
    """With stdout closed, the next file that a process opens gets its descriptor, and all that is printed."""
    run("frame", "tiny", "0", "--quality", "scene", "--store", root / "store", "--out", tmp_path / "a", **closed())
    run("frame", "tiny", "0", "--quality", "scene", "--store", root / "store", "--out", tmp_path / "b")
    still = "tiny/tiny-scene-00000.png"
    assert (tmp_path / "a" / still).read_bytes() == (tmp_path / "b" / still).read_bytes()


@posix
@pytest.mark.parametrize("encoding", ["ascii:strict", "latin-1"])
def test_a_scene_named_in_greek_is_filmed_and_named_in_escapes_where_stdout_lacks_its_letters(
    tmp_path: Path, root: Path, sums: dict[str, str], encoding: str
) -> None:
    scene_file = tmp_path / "σκηνή.toml"
    scene_file.write_text((ROOT / "scenes/tiny.toml").read_text())
    command = ["video", scene_file, "--quality", "scene", "--store", root / "store", "--out", tmp_path / "out"]
    done = run(*command, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert b"\\u03c3\\u03ba\\u03b7\\u03bd\\u03ae-scene.mp4.json" in done.stdout
    names = {path.name for path in (tmp_path / "out/σκηνή").iterdir()}
    assert {"σκηνή-scene.mp4", "σκηνή-scene.mp4.json", "σκηνή-scene.poster.png"} <= names


# ---- the stream itself ----------------------------------------------------------------------------------------------


@needs_full
def test_what_cannot_be_written_is_dropped_with_its_reason_and_later_texts_too() -> None:
    stream = _Output(FULL.open("wb"), encoding="utf-8")
    for _ in range(3):
        assert stream.write("a" * 100_000) == 100_000
        stream.flush()
    assert stream.failure is not None and stream.failure.errno == errno.ENOSPC
    stream.close()  # what was buffered does not raise any more


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "α\U0001f600", b"\\u03b1\\U0001f600"),
        ("utf-8", "caf\udce9 α", b"caf\xe9 \xce\xb1"),
        ("ascii", "caf\udce9 α", b"caf\xe9 \\u03b1"),
        ("utf-8", "\ud83d", b"\\ud83d"),
        ("latin-1", "é\udcffΩ", b"\xe9\xff\\u03a9"),
    ],
)
def test_bytes_of_names_come_back_and_characters_that_an_encoding_lacks_become_escapes(
    tmp_path: Path, encoding: str, text: str, written: bytes
) -> None:
    codecs.register_error("render.printable", _printable)
    with _Output((tmp_path / "out").open("wb"), encoding=encoding, errors="render.printable") as stream:
        stream.write(text)
    assert (tmp_path / "out").read_bytes() == written
