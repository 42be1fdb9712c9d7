"""Files that the program keeps for itself, and what stands in their place and is no file: nothing waits for a pipe."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from render import scene
from render.errors import DamagedTile, StoreError
from render.files.stored import read_stored
from render.film import qualities
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field
from render.storage import exact_runs, first_steps, references, switches
from render.storage.store import DirectoryStore

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")

TINY = scene.load("tiny")
PROBLEM = TINY.problem
TILE = Tile(3, 1, 2)
NUMERICS = {"lanes": 16}


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def test_a_pipe_reads_as_empty_and_a_file_as_what_it_holds(tmp_path: Path) -> None:
    assert read_stored(pipe(tmp_path / "pipe")) == b""
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    assert read_stored(str(tmp_path / "file")) == b"x" * 300_000
    with pytest.raises(FileNotFoundError):
        read_stored(tmp_path / "none")


@pytest.mark.parametrize("patches", [0xFFFF, 0x0011])
def test_a_pipe_in_the_place_of_a_tile_is_damage_and_never_takes_what_is_trained(tmp_path: Path, patches: int) -> None:
    store, field = DirectoryStore(tmp_path, PROBLEM, NUMERICS), Field.empty((SAMPLES, SAMPLES), PROBLEM.channels)
    path = pipe(store.path(TILE, patches))
    with pytest.raises(DamagedTile, match="0 bytes"):
        store.get(TILE, patches)
    with pytest.raises(StoreError, match="it is a pipe, not a file. Remove it"):
        store.put(TILE, field, patches)
    path.unlink()
    store.put(TILE, field, patches)
    assert store.held([TILE]) == [patches]


@pytest.mark.parametrize("name", ["problem.toml", "numerics.toml"])
def test_a_pipe_in_the_place_of_a_description_is_refused(tmp_path: Path, name: str) -> None:
    folder = DirectoryStore(tmp_path, PROBLEM, NUMERICS).folder
    pipe((folder.parent if name == "problem.toml" else folder) / name)
    with pytest.raises(StoreError, match="Use another --store, or delete that folder"):
        DirectoryStore(tmp_path, PROBLEM, NUMERICS)


def test_a_pipe_in_the_place_of_the_first_steps_is_named(tmp_path: Path) -> None:
    path = pipe(tmp_path / first_steps.FILE_NAME)
    with pytest.raises(StoreError, match=f"{path.name} cannot be written: it is a pipe"):
        first_steps.check(tmp_path, {first_steps.DIGEST: "0123"})


def test_pipes_in_the_places_of_what_is_worked_out_once_count_as_nothing(tmp_path: Path) -> None:
    x, y = Fraction(1), Fraction(2)
    run = exact_runs.ExactRun(x, y, 128, dict.fromkeys(PROBLEM.channels, 1.0))
    pipe(exact_runs.save(run, tmp_path, PROBLEM))
    assert exact_runs.load(tmp_path, PROBLEM, x, y) is None
    pipe(tmp_path / PROBLEM.key / "references" / "0123.npz")
    assert references.load_all(tmp_path, PROBLEM) == []
    pipe(tmp_path / PROBLEM.key / "switches" / "0123.json")
    assert switches.load(tmp_path, PROBLEM, "0123") is None
    memory = qualities.Memory(pipe(tmp_path / "auto.json"))
    memory.remember(TINY, 60.0, "draft")
    assert memory.recall(TINY, 60.0) is None
