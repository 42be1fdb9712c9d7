"""Machines and file systems that refuse something: no fsync of folders, no hard links, no locks, no home, no folder for
temporary files, a cache that is read-only or full. Simulated by a library that is preloaded into every process of a
render (refusing.c), built here."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from render.errors import WriteError
from render.files import atomic, places
from tests.helpers import environments, refusals

ROOT = Path(__file__).parents[1]
NO_SCRATCH = "read-only=/tmp read-only=/var/tmp read-only=/usr/tmp"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, why = refusals.build(tmp_path_factory.mktemp("library"))
    if path is None:
        pytest.skip(why)
    return path


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Run:
    def run(
        *words: str, refuse: str = "", without: tuple[str, ...] = (), **more: str
    ) -> "subprocess.CompletedProcess[str]":
        environment = {**environments.clean(), "LD_PRELOAD": str(library), "REFUSE": refuse, **more}
        for name in without:
            environment.pop(name, None)
        return subprocess.run(
            [sys.executable, "-m", "render.cli", *words],
            capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
        )  # fmt: skip

    return run


FILM = ["video", str(ROOT / "scenes/tiny.toml"), "--quality", "scene"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sum of the film that a machine makes that refuses nothing."""
    folder = tmp_path_factory.mktemp("reference")
    words = [sys.executable, "-m", "render.cli", *FILM]
    subprocess.run(words, cwd=folder, capture_output=True, check=True)
    return hashlib.sha256((folder / "out/tiny/tiny-scene.mp4").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("refuse", "without", "more"),
    refusals.BORNE,
)
def test_the_film_is_the_same_and_nothing_is_printed_or_left_behind(
    run: Run, tmp_path: Path, reference: str, refuse: str, without: tuple[str, ...], more: dict[str, str]
) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    more = {name: value.format(here=tmp_path) for name, value in more.items()}
    done = run(*FILM, refuse=refuse.format(here=tmp_path), without=without, **more)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "training runs" in done.stderr
    film = tmp_path / "out/tiny/tiny-scene.mp4"
    record = json.loads(film.with_name("tiny-scene.mp4.json").read_text())
    assert hashlib.sha256(film.read_bytes()).hexdigest() == record["sha256"] == reference
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out", "store", "tmp"]
    assert not any(atomic.is_partial(path) for path in tmp_path.rglob("*"))


def test_without_any_folder_for_temporary_files_they_go_beside_the_films(run: Run, reference: str) -> None:
    """/dev/shm stands for a disk of films; everything else cannot be written, the current folder among it."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second file system that can be written")
    folder = Path("/dev/shm", f"render-test-{os.getpid()}")
    here = ["--out", f"{folder}/out", "--store", f"{folder}/store"]
    refuse = {"refuse": f"passwd {NO_SCRATCH} read-only={ROOT}", "without": ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    try:
        for words in (FILM, ["analyse", "tuning", FILM[1], "--draws", "64"]):
            done = run(*words, *here, **refuse)
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr and "atplotlib" not in done.stderr
        film = folder / "out/tiny/tiny-scene.mp4"
        assert hashlib.sha256(film.read_bytes()).hexdigest() == reference
        assert {path.name for path in folder.iterdir()} == {"out", "store"}
        assert not [path for path in folder.rglob(".*") if path.is_dir()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


WRITING = {
    "video": [*FILM, "--out", "{there}", "--store", "store"],
    "frame": ["frame", FILM[1], "0", "--quality", "scene", "--out", "{there}", "--store", "store"],
    "sheet": ["sheet", FILM[1], "--quality", "scene", "--out", "{there}", "--store", "store"],
    "probe": ["probe", FILM[1], "--points", "points.csv", "--out", "{there}/values.csv"],
    "analyse": ["analyse", "tuning", FILM[1], "--draws", "64", "--out", "{there}", "--store", "store"],
    "descend": ["descend", FILM[1], "--decades", "3", "--out", "{there}/deep.toml", "--store", "store"],
    "store": [*FILM, "--store", "{there}"],
}


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize(
    ("refusal", "says"), [("read-only", "Read-only file system"), ("full", "No space left on device")]
)
def test_a_refused_disk_is_named_by_every_command_and_left_as_it_was(
    run: Run, tmp_path: Path, command: str, refusal: str, says: str
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (tmp_path / "points.csv").write_text("x,y\n0.1,0.1\n")
    words = [word.format(there=folder) for word in WRITING[command]]
    done = run(*words, refuse=f"{refusal}={folder}")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr and str(folder) in done.stderr and "Traceback" not in done.stderr
    # A film keeps its finished segments, to go on from them once there is room.
    files = [path for path in folder.rglob("*") if path.is_file() and not path.parent.name.endswith(".segments")]
    assert [path for path in files if path.suffix != ".partial" or path.stat().st_size] == []


def test_doctor_finds_each_refusal_and_says_what_to_do(run: Run, tmp_path: Path) -> None:
    def findings(refuse: str, **more: object) -> dict[str, dict[str, str]]:
        done = run("doctor", "--json", refuse=refuse, **more)
        assert "Traceback" not in done.stderr
        return {finding["what"]: finding for finding in map(json.loads, done.stdout.splitlines())}

    sound = findings("")
    sound.pop("settings", None)  # those of the machine that runs the tests, such as a BLAS kernel
    assert {what: finding["state"] for what, finding in sound.items() if finding["state"] != "ok"} == {}
    lame = findings(
        f"fsync-folder link flock passwd {NO_SCRATCH}".replace("/tmp", "/none", 1), without=("HOME", "XDG_CACHE_HOME")
    )
    for what in ("store", "output"):
        assert lame[what]["state"] == "note"
        assert all(word in lame[what]["found"] for word in ("no locks", "no fsync", "no hard links"))
        assert "choose another folder with --" in lame[what]["advice"]
    assert lame["cache"]["state"] == "note" and "neither HOME nor an entry in passwd" in lame["cache"]["found"]
    assert "Set XDG_CACHE_HOME" in lame["cache"]["advice"]
    for name in ("cache", "out"):
        (tmp_path / name).mkdir()
    by_name = findings(f"full={tmp_path}/out", XDG_CACHE_HOME="relative")
    cache, output = by_name["cache"], by_name["output"]
    assert cache["state"] == "note" and "'relative', which is no absolute path" in cache["found"]
    assert output["state"] == "bad" and "No space left on device" in output["found"] and "--out" in output["advice"]
    shut = findings(f"read-only={tmp_path} {NO_SCRATCH}", XDG_CACHE_HOME=f"{tmp_path}/cache", TMPDIR="")
    assert shut["cache"]["state"] == "note" and "Set XDG_CACHE_HOME" in shut["cache"]["advice"]
    assert shut["scratch"]["state"] == "note" and "Set TMPDIR" in shut["scratch"]["advice"]
    assert shut["output"]["state"] == "bad" and "Read-only file system" in shut["output"]["found"]
    assert shut["film"]["state"] == "bad"


# ---- each refusal by itself, in this process ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EBADF])
def test_a_folder_that_cannot_be_synced_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    atomic.write_whole(tmp_path / "file", b"whole", fsync=True)
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_fsync_says_about_the_disk_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError, match=os.strerror(number)):
        atomic.write_whole(tmp_path / "file", b"whole", fsync=True)
    assert (tmp_path / "file").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("fsync", [True, False])
def test_what_a_network_file_system_says_at_the_end_is_heard_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    """Such as ENOSPC of bytes that were written into memory: it comes with fsync, or else when a file is closed."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync" if fsync else "close", refuse)
    with pytest.raises(WriteError, match="No space left on device"):
        atomic.write_whole(tmp_path / "file", b"whole", fsync=fsync)
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "{here}/cache", "HOME": "/none"}, "{here}/cache/render"),
        ({"XDG_CACHE_HOME": "", "HOME": "{here}"}, "{here}/.cache/render"),
        ({"XDG_CACHE_HOME": "cache", "HOME": "{here}"}, "{here}/.cache/render"),
        ({"XDG_CACHE_HOME": "~/cache", "HOME": "{here}"}, "{here}/.cache/render"),
        ({"HOME": "{here}"}, "{here}/.cache/render"),
        ({"HOME": ""}, None),
        ({"HOME": "home"}, None),
        ({}, None),
        ({"XDG_CACHE_HOME": "{here}/file", "HOME": "{here}"}, None),
        ({"XDG_CACHE_HOME": "/dev/null/cache", "HOME": "{here}"}, None),
    ],
)
def test_where_caches_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    """Nowhere but in a folder that is the user's: never in the current one."""
    import pwd

    def none(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", none)
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(here=tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    folder = places.cache_folder()
    assert folder == (None if expected is None else Path(expected.format(here=tmp_path)))
    assert list((tmp_path / "current").iterdir()) == []
    assert os.path.isabs(os.environ.get("XDG_CACHE_HOME", "/"))  # other libraries look there too
