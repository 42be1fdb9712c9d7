"""What only plans writes nothing: the store stays absent, or as it was to the last byte, also where it is read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from render.cli import commands
from tests.helpers.command import run_here

SMALL = ("--set", "problem.steps=3")
POSTER = ("poster", "tiny", *SMALL, "--cm", "2x1", "--dpi", 50)
ALL = ("analyse", "all", "tiny.toml", "--deepest", 1)

# Every command that plans. `test_every_command_with_a_plan_is_tried` looks for others.
PLANS = {
    "plan": ("plan", "tiny", *SMALL),
    "plan of a moving film": ("plan", "momentum_rise", *SMALL, "--quality", "preview"),
    "plan past float64": ("plan", "deep_small", *SMALL, "--quality", "preview"),
    "poster": (*POSTER, "--plan"),
    "analyse all": (*ALL, "--plan"),
}


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file of a folder with its bytes and the time of its last change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder to work in, where nothing may appear."""
    folder = tmp_path / "here"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_makes_no_store(name: str, tmp_path: Path, elsewhere: Path) -> None:
    done = run_here(*PLANS[name], "--store", tmp_path / "store", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "training runs" in done.stdout + done.stderr
    assert not (tmp_path / "store").exists()


def test_a_plan_changes_nothing_in_a_store(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    store.mkdir()
    frame = run_here("frame", "tiny", *SMALL, "0", "--quality", "preview", "--store", store, "--out", tmp_path / "out")
    assert frame.returncode == 0, frame.stderr
    (problem,) = store.iterdir()
    (problem / "problem.toml").touch()
    left = next(problem.glob("*/numerics.toml")).parent / ".5.npz.0123456789abcdef.partial"
    left.write_bytes(b"what a killed render left behind")
    before = content(store)
    # A folder that may not be written, whoever runs this test.
    monkeypatch.setattr(os, "open", _refusing(os.open, store))
    monkeypatch.setattr(os, "mkdir", _refusing(os.mkdir, store))
    assert "must be a writable folder" in run_here("preview", "tiny", *SMALL, "--store", store, cwd=elsewhere).stderr
    for name in ("plan", "poster", "analyse all"):
        done = run_here(*PLANS[name], "--store", store, cwd=elsewhere)
        assert done.returncode == 0, done.stderr
    assert content(store) == before


def _refusing(usual: object, store: Path) -> object:
    """Return a call of the system that is refused where it would write in a folder."""

    def refusing(path: object, flags: int = os.O_WRONLY, *more: object, **named: object) -> object:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(store)):
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, flags, *more, **named)  # type: ignore[operator]

    return refusing


def test_every_command_with_a_plan_is_tried() -> None:
    def with_plan(app: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name in app:  # type: ignore[attr-defined]
            if name.startswith("-"):
                continue
            command = app[name]  # type: ignore[index]
            yield from with_plan(command, (*path, name))
            function = command.default_command
            if function is not None and "plan" in function.__annotations__:
                yield (*path, name)

    planning = {" ".join(path) for path in with_plan(commands.app)}
    assert planning and {"plan"} | planning == {name for name in PLANS if " of " not in name and "--" not in name} - {
        "plan past float64"
    }
