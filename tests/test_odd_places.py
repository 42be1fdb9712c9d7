"""Folders whose names are not text, and variables of ffmpeg: outputs are the same, or there is a message."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render import encode
from render.encode import VideoWriter
from render.errors import EncodeError
from tests.helpers import ROOT, environments
from tests.helpers.command import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of files may be any bytes on Linux")

# Not UTF-8, and with what shells and programs take for something else.
ODD = os.fsdecode(b'caf\xe9 $x "q" 100%')


def film(path: Path) -> str:
    """Make a film of twelve frames; return the sum of its bytes."""
    rows, columns = np.mgrid[:54, :96]
    with VideoWriter(path, (96, 54), 10, codec="h264", metadata={"a": "b"}) as writer:
        for number in range(12):
            grey = 128 + 100 * np.sin(((columns - 48) ** 2 + (rows - 27) ** 2) / (200 - 10 * number))
            writer.write(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> str:
    return film(tmp_path_factory.mktemp("usual") / "film.mp4")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFREPORT", "file=/dev/null/x:level=32"),
        ("FFREPORT", "level=48"),
        ("AV_LOG_FORCE_COLOR", "1"),
        ("AV_LOG_FORCE_256COLOR", "1"),
        ("MALLOC_PERTURB_", "165"),
        ("MALLOC_PERTURB_", "90"),
        ("GLIBC_TUNABLES", "glibc.malloc.perturb=165"),
    ],
)
def test_variables_of_ffmpeg_change_no_film_and_leave_no_report(
    name: str, value: str, usual: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert film(tmp_path / "film.mp4") == usual
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    (tmp_path / "no.mp4").write_bytes(b"no film")
    with pytest.raises(EncodeError) as error:
        encode.read_film_comment(tmp_path / "no.mp4")
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("program", ["true", "false", "cat"])
def test_a_program_that_is_no_ffmpeg_is_refused_before_any_frame(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = shutil.which(program)
    assert executable is not None
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", executable)
    with pytest.raises(EncodeError, match="must be an ffmpeg, but does not say its version"):
        film(tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_film_lies_wherever_names_are_no_text(usual: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("films", "tmp", "cwd"):
        (tmp_path / ODD / name).mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path / ODD / "tmp"))
    monkeypatch.chdir(tmp_path / ODD / "cwd")
    assert film(tmp_path / ODD / "films" / "film.mp4") == usual
    assert film(Path("film.mp4")) == usual


def test_a_cache_whose_name_xla_cannot_take_is_not_used_and_doctor_names_it(tmp_path: Path) -> None:
    (tmp_path / ODD).mkdir()
    places = ("--store", tmp_path / "store", "--out", tmp_path / "out")
    done = run("frame", "tiny", "3", "--quality", "scene", *places, XDG_CACHE_HOME=str(tmp_path / ODD))
    assert done.returncode == 0, done.stderr
    code = "from render.tools import doctor; print(doctor._cache())"
    report = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environments.clean() | {"XDG_CACHE_HOME": str(tmp_path / ODD)}, capture_output=True, check=True,
    )  # fmt: skip
    assert b"nowhere to keep compiled code" in report.stdout


def test_a_file_of_one_s_own_may_lie_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / ODD / "my_net.py"
    file.parent.mkdir()

    def ran(*words: object) -> tuple[int, bytes]:
        command = [sys.executable, "-m", "render", *map(str, words)]
        environ = environments.clean() | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert ran("new", file)[0] == 0
    code, errors = ran("check", file, "--trust", file)
    assert code == 0, errors
    text = file.read_text()
    file.write_text(text + "\n_broken = 1 / 0\n")
    code, errors_again = ran("check", file, "--trust", file)
    assert code == 1
    assert f"line {len(text.splitlines()) + 2}".encode() in errors_again and b"Traceback" not in errors_again


def test_a_checkout_whose_name_xla_cannot_take_is_named(tmp_path: Path) -> None:
    place = tmp_path / ODD
    shutil.copytree(ROOT / "render", place / "render", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scenes", place / "scenes")
    done = subprocess.run(
        [sys.executable, "-m", "render", "frame", "tiny", "3", "--quality", "scene"],
        cwd=place, env=environments.clean(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert b"must have a name that is UTF-8 text" in done.stderr and b"Traceback" not in done.stderr
    assert not list((place / "store").rglob("*.npz"))


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    words = ["video", "tiny", "--quality", "scene", "--store", str(tmp_path / "store"), "--out"]
    assert run(*words, tmp_path / "whole").returncode == 0
    film = shlex.join([sys.executable, "-m", "render.cli", *words, str(tmp_path / "limited")])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 10; exec {film}"], cwd=ROOT, env=environments.clean(), capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "ulimit -f" in done.stderr and "Traceback" not in done.stderr
