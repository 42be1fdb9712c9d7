"""Messages name a tile by its level, column and row, as a person finds its file; never as Python prints an object."""

import ast
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.backends import Batch
from render.backends.refusing import RefusingBackend
from render.errors import StoreError
from render.film.schedule import Training
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field, Points
from render.storage.store import DirectoryStore, MemoryStore
from render.tools import inventory, merging
from tests.helpers import ROOT

TILE = Tile(7, 12, 5)
NAMED = "the tile of level 7, column 12, row 5"
PROBLEM = scene.load("tiny").problem

# What must not be printed as Python writes it: objects of the program, and exceptions.
OBJECTS = {"tile", "view", "viewport", "problem", "loaded", "plan", "job", "field", "work", "error", "fault"}


def field() -> Field:
    channels = Field.empty((SAMPLES, SAMPLES)).channels()
    return Field.from_channels({name: np.zeros_like(values) for name, values in channels.items()})


def test_a_tile_is_named_by_the_numbers_of_its_file(tmp_path: Path) -> None:
    assert f"{TILE}" == str(TILE) == NAMED
    assert DirectoryStore(tmp_path, PROBLEM, {}).path(TILE).parts[-3:] == ("07", "12", "5.npz")


def test_a_lost_tile_is_reported_in_words_with_its_place_and_what_to_do() -> None:
    store = MemoryStore()
    store.put(TILE, field())
    training = Training(PROBLEM, [TILE], store, RefusingBackend())
    assert training.missing == frozenset()
    store._tiles.clear()
    with pytest.raises(StoreError, match=f"Samples of {NAMED} must be trained again, .* Run `render video`"):
        training.fetch(TILE)
    (message,) = training.repaired
    assert message.startswith(f"The store has lost {NAMED}: its file was removed. It will be trained again; nothing")


def test_a_tile_that_cannot_be_trained_is_named_in_words() -> None:
    training = Training(PROBLEM, [TILE], MemoryStore(), RefusingBackend())
    training._give_up(Batch((TILE,), Points(np.empty(0), np.empty(0))), "out of memory")
    assert training.repaired == [f"Could not train {NAMED}: out of memory. The others go on."]
    assert f"1 of 1 tiles could not be trained ({NAMED}: out of memory)" in str(training._failure())


def test_a_file_that_goes_while_a_store_is_read_is_reported_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path / "one", PROBLEM, {"kernel": 1})
    store.put(TILE, field())
    store.path(TILE).with_name("x.npz").write_bytes(b"")
    (kept,) = inventory.listed(tmp_path / "one", [], lambda problem: {})
    listed = [*inventory.tile_files(kept.folder)]
    monkeypatch.setattr(inventory, "tile_files", lambda folder: listed)
    store.path(TILE).unlink()
    gone, strange = f"{store.path(TILE)}", f"{store.path(TILE).with_name('x.npz')}"
    faults = {str(fault).split(": ")[0]: str(fault) for fault in inventory.verify(kept)}
    assert faults[gone] == f"{gone}: it was removed while the store was read."
    assert faults[strange] == f"{strange}: a file here must be LEVEL/COLUMN/ROW.npz, in whole numbers"
    merged = merging.merge(tmp_path / "one", tmp_path / "two")
    assert f"{gone} was left out: it was removed while the store was read." in merged.faults


def test_no_message_prints_an_object_as_python_writes_it() -> None:
    printed = [
        f"{path}:{node.lineno}"
        for path in sorted((ROOT / "render").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and isinstance(node.value, ast.Name)
        if node.value.id in OBJECTS
    ]
    assert printed == []
