"""One suite for every store; then what only files can get wrong."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from render.errors import DamagedTile, StoreError
from render.files import atomic
from render.geometry.axes import Axis
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.samples import CHANNELS, Field
from render.storage import numerics
from render.storage.store import DirectoryStore, MemoryStore, TileStore

ROOT = Path(__file__).parents[1]
SHAPE = (SAMPLES, SAMPLES)
PROBLEM = Problem(
    Axis("lr_input", "log10", Fraction(-3), Fraction(6)),
    Axis("lr_output", "log10", Fraction(-3), Fraction(6)),
    fixed=(("offset", 0.1),),
)
NUMERICS = {"lanes": 32, "kernel": 1, "jaxlib": "0.10.2", "backend": "cpu", "device_kind": 'the "cpu"'}
TILE = Tile(3, 5, 2)


def field_of(number: int) -> Field:
    """A field of random bits, so that every nan payload, inf and signed zero is among the values."""
    rng = np.random.default_rng(number)
    field = Field.from_channels(
        {
            name: np.frombuffer(rng.bytes(SAMPLES**2 * d.itemsize), d).reshape(SHAPE).copy()
            for name, d in CHANNELS.items()
        }
    )
    field.value[0, :4] = np.inf, -np.inf, np.nan, -0.0
    field.final_loss[-1] = np.inf
    return field


def same_bits(one: Field, other: Field) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def open_store(root: Path, problem: Problem = PROBLEM, **changes: object) -> DirectoryStore:
    return DirectoryStore(root, problem, NUMERICS | changes)


def temporaries(root: Path) -> list[Path]:
    return [path for path in root.rglob(".*") if atomic.is_partial(path)]


# ---- every store ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "directory", "directory, fsync"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TileStore:
    if request.param == "memory":
        return MemoryStore()
    return DirectoryStore(tmp_path, PROBLEM, NUMERICS, fsync="fsync" in request.param)


def test_a_field_comes_back_bit_for_bit(store: TileStore) -> None:
    for number, tile in enumerate([Tile(0, 0, 0), TILE, Tile(104, 2**104 - 1, 0), Tile(9, *np.array([7, 8]))]):
        store.put(tile, field_of(number))
        assert same_bits(store.get(tile), field_of(number))


def test_what_comes_back_is_contiguous_and_read_only(store: TileStore) -> None:
    store.put(TILE, field_of(0))
    for channel in store.get(TILE):
        assert channel.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            channel[0, 0] = 1


def test_a_stored_tile_does_not_follow_later_changes_of_the_field(store: TileStore) -> None:
    field = field_of(0)
    store.put(TILE, field)
    field.value[:] = 0
    assert same_bits(store.get(TILE), field_of(0))


def test_any_memory_layout_may_be_put(store: TileStore) -> None:
    store.put(
        TILE, Field.from_channels({name: np.asfortranarray(array) for name, array in field_of(0).channels().items()})
    )
    assert same_bits(store.get(TILE), field_of(0))


def test_an_absent_tile_is_a_key_error(store: TileStore) -> None:
    with pytest.raises(KeyError):
        store.get(TILE)
    store.put(TILE, field_of(0))
    with pytest.raises(KeyError):
        store.get(TILE._replace(iy=TILE.iy + 1))


def test_has_and_missing_see_a_tile_as_soon_as_it_is_put(store: TileStore) -> None:
    tiles = [Tile(3, ix, iy) for iy in (4, 1, 7) for ix in (6, 0)]
    assert store.missing(iter(tiles)) == tiles
    for count, tile in enumerate(tiles):
        assert not store.has(tile)
        store.put(tile, field_of(count))
        assert store.has(tile)
        assert store.missing(tiles) == tiles[count + 1 :]


def test_a_tile_put_again_replaces_the_first(store: TileStore) -> None:
    store.put(TILE, field_of(0))
    store.put(TILE, field_of(1))
    assert same_bits(store.get(TILE), field_of(1))


@pytest.mark.parametrize("name", CHANNELS)
def test_a_wrong_shape_or_dtype_is_refused_and_nothing_is_kept(store: TileStore, name: str) -> None:
    good = field_of(0)
    for channel in (getattr(good, name)[:-1], getattr(good, name).view(np.int8), getattr(good, name)[None]):
        with pytest.raises(ValueError, match=f"channel '{name}' must be {CHANNELS[name]}"):
            store.put(TILE, dataclasses.replace(good, **{name: channel}))
    assert not store.has(TILE)


@pytest.mark.parametrize("tile", [Tile(3, 8, 0), Tile(3, 0, 8), Tile(3, -1, 0), Tile(0, 0, -1)])
def test_an_address_outside_the_plane_is_refused(store: TileStore, tile: Tile) -> None:
    with pytest.raises(ValueError, match="must lie in the unit square"):
        store.put(tile, field_of(0))


class AgreesWithMemory(stateful.RuleBasedStateMachine):
    """Whatever is done in whatever order, a directory store answers as a memory store does."""

    tiles = st.builds(Tile, st.just(2), st.integers(0, 3), st.integers(0, 3))

    folders: Iterator[Path]  # a new one for every example

    def __init__(self) -> None:
        super().__init__()
        self.model = MemoryStore()
        self.root = next(self.folders)
        self.store = open_store(self.root)

    @stateful.rule(tile=tiles, number=st.integers(0, 20))
    def put(self, tile: Tile, number: int) -> None:
        self.model.put(tile, field_of(number))
        self.store.put(tile, field_of(number))

    @stateful.rule(tile=tiles)
    def get(self, tile: Tile) -> None:
        if self.model.has(tile):
            assert same_bits(self.model.get(tile), self.store.get(tile))
        else:
            with pytest.raises(KeyError):
                self.store.get(tile)

    @stateful.rule(tiles=st.lists(tiles))
    def missing(self, tiles: list[Tile]) -> None:
        assert self.model.missing(tiles) == self.store.missing(tiles)
        assert [self.model.has(tile) for tile in tiles] == [self.store.has(tile) for tile in tiles]

    @stateful.rule()
    def reopen(self) -> None:
        self.store = pickle.loads(pickle.dumps(self.store))

    @stateful.rule()
    def open_again(self) -> None:
        self.store = open_store(self.root)


def test_a_directory_agrees_with_memory_whatever_is_done(tmp_path: Path) -> None:
    AgreesWithMemory.folders = (tmp_path / str(number) for number in range(10**6))
    settings = hypothesis.settings(max_examples=40, stateful_step_count=20, deadline=None)
    stateful.run_state_machine_as_test(AgreesWithMemory, settings=settings)


# ---- damage ---------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(TILE, field_of(0))
    path = store.path(TILE)
    content = path.read_bytes()
    ends = set(range(700)) | set(range(len(content) - 200, len(content)))  # all that is not samples
    for place in sorted(ends | set(range(0, len(content), 101))):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(DamagedTile):
            store.get(TILE)
    path.write_bytes(content)
    assert same_bits(store.get(TILE), field_of(0))


def test_a_file_cut_or_grown_is_noticed_and_trained_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(TILE, field_of(0))
    path = store.path(TILE)
    file_content = path.read_bytes()
    for content in [file_content[:length] for length in (0, 1, 200, len(file_content) // 2, len(file_content) - 1)] + [
        file_content + b"\0"
    ]:
        path.write_bytes(content)
        assert store.has(TILE)
        with pytest.raises(DamagedTile) as caught:
            store.get(TILE)
        wanted = f"{path} is damaged: it has {len(content)} bytes, not {len(file_content)}. It will be trained again."
        assert str(caught.value) == wanted
    store.put(TILE, field_of(0))
    assert same_bits(store.get(TILE), field_of(0))


def test_a_tile_moved_to_another_address_problem_or_numerics_is_noticed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(TILE, field_of(0))
    others = [
        (store, Tile(3, 5, 3)),
        (open_store(tmp_path, jaxlib="0.11.2"), TILE),
        (open_store(tmp_path, dataclasses.replace(PROBLEM, steps=501)), TILE),
    ]
    for other, tile in others:
        other.path(tile).parent.mkdir(parents=True, exist_ok=True)
        other.path(tile).write_bytes(store.path(TILE).read_bytes())
        with pytest.raises(DamagedTile, match="does not name this tile of this problem and numerics"):
            other.get(tile)


def test_numpy_and_zip_open_a_tile(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    field = field_of(0)
    store.put(TILE, field)
    with zipfile.ZipFile(store.path(TILE)) as archive:
        assert archive.testzip() is None
    with np.load(store.path(TILE), allow_pickle=False) as content:
        assert content.files == ["meta", "field"]
        for name in CHANNELS:
            assert content["field"][name].tobytes() == getattr(field, name).tobytes()
        meta = json.loads(str(content["meta"]))
    assert meta == {"level": 3, "ix": 5, "iy": 2, "problem": PROBLEM.key, "numerics": store.numerics_key}


def test_the_same_tile_is_the_same_file(tmp_path: Path) -> None:
    stores = [open_store(tmp_path / name) for name in ("a", "b")]
    for store in stores:
        store.put(TILE, field_of(0))
    assert len({store.path(TILE).read_bytes() for store in stores}) == 1


# ---- many writers, and killed ones ----------------------------------------------------------------------------

WRITER = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    store, fields = pickle.load(file)
print("ready", flush=True)
while True:
    for tile, field in fields.items():
        store.put(tile, field)
        print("put", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_writer_leaves_no_damaged_tile(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    fields = {Tile(2, number % 4, number // 4): field_of(number) for number in range(16)}
    (tmp_path / "work").write_bytes(pickle.dumps((store, fields)))
    command = [sys.executable, "-c", WRITER, str(tmp_path / "work")]
    for attempt in range(6):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
            for _ in range(1 + 7 * attempt):  # the last attempts see every tile written, and are killed in some other
                assert writer.stdout.readline() == "put\n"
            time.sleep(0.001 * attempt)  # at another moment of writing it, each time
            writer.send_signal(signal.SIGKILL)
        for tile in fields.keys() - store.missing(fields):
            assert same_bits(store.get(tile), fields[tile])
    assert store.missing(fields) == []


def test_writers_and_readers_of_one_tile_never_meet_half_a_tile(tmp_path: Path) -> None:
    fields = [field_of(number) for number in range(4)]
    store = open_store(tmp_path)
    store.put(TILE, fields[0])
    faults: list[BaseException] = []

    def write(number: int) -> None:
        try:
            mine = open_store(tmp_path)
            for _ in range(50):
                mine.put(TILE, fields[number])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        read = store.get(TILE)
        assert any(same_bits(read, field) for field in fields)
    assert faults == []
    assert temporaries(tmp_path) == []


def test_of_old_versions_only_stale_temporary_files_are_swept(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(TILE, field_of(0))
    stale, fresh = (store.path(TILE).with_name(f".2.npz.host.{pid}.00.tmp") for pid in (1, 2))
    for path in (stale, fresh):
        path.touch()
    os.utime(stale, (0, time.time() - 25 * 3600))
    os.utime(store.path(TILE), (0, 0))
    open_store(tmp_path)
    assert temporaries(tmp_path) == [fresh]
    assert store.has(TILE)


# ---- what belongs together ------------------------------------------------------------------------------------


def test_folders_say_what_they_hold(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.folder.parent == tmp_path / PROBLEM.key
    assert tomllib.loads((store.folder.parent / "problem.toml").read_text()) == PROBLEM.describe()
    assert tomllib.loads((store.folder / "numerics.toml").read_text()) == NUMERICS
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.toml")}
    open_store(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.toml")}


def test_tiles_of_other_numerics_are_kept_apart_and_named(tmp_path: Path) -> None:
    one, other = open_store(tmp_path), open_store(tmp_path, lanes=64)
    one.put(TILE, field_of(0))
    assert not other.has(TILE)
    other.put(TILE, field_of(1))
    assert same_bits(one.get(TILE), field_of(0))
    assert one.other_numerics == [other.numerics_key]
    assert other.other_numerics == [one.numerics_key]
    DirectoryStore(tmp_path, PROBLEM, numerics.following(one.numerics, ["0" * 12]))
    assert one.other_numerics == [other.numerics_key]
    assert open_store(tmp_path, dataclasses.replace(PROBLEM, steps=7)).other_numerics == []


def test_the_order_in_which_numerics_are_given_does_not_matter(tmp_path: Path) -> None:
    backwards = DirectoryStore(tmp_path, PROBLEM, dict(reversed(NUMERICS.items())))
    assert backwards.folder == open_store(tmp_path).folder
    assert backwards.other_numerics == []


def test_a_folder_of_another_problem_is_refused(tmp_path: Path) -> None:
    path = open_store(tmp_path).folder.parent / "problem.toml"
    path.write_text(path.read_text().replace("steps = 500", "steps = 1000"))
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert str(caught.value) == (
        f"{path.parent} was made with another problem (steps = 1000, now 500). "
        "Use another --store, or delete that folder."
    )


def test_an_unreadable_description_is_refused(tmp_path: Path) -> None:
    path = open_store(tmp_path).folder / "numerics.toml"
    path.write_text("lanes = ")
    with pytest.raises(StoreError, match="numerics.toml must describe the numerics of its tiles: "):
        open_store(tmp_path)


def test_numerics_that_toml_cannot_hold_are_refused(tmp_path: Path) -> None:
    for value in (None, float("nan")):
        with pytest.raises(ValueError):
            open_store(tmp_path, lanes=value)


# ---- folders and disks that refuse ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, advice",
    [
        (errno.ENOSPC, "Free some space, or use another --store"),
        (errno.EACCES, "Ask for permission to write there, or use another --store"),
        (errno.EROFS, "Make it writable, or use another --store"),
        (errno.EIO, "Fix that, or use another --store"),
    ],
)
@pytest.mark.parametrize("moment", ["write", "rename"])
def test_a_refused_write_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str, moment: str
) -> None:
    store = open_store(tmp_path)
    store.put(TILE, field_of(0))
    other = TILE._replace(iy=7)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    class Half(io.FileIO):
        """A file that takes half of what is written."""

        def write(self, content: Any, /) -> int:
            view = memoryview(content)
            super().write(view[: len(view) // 2])
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(atomic, "open", Half, raising=False)
        else:
            patch.setattr(os, "replace", refuse)
        for tile in (TILE, other):
            with pytest.raises(StoreError) as caught:
                store.put(tile, field_of(1))
            assert str(caught.value) == (
                f"{store.path(tile)} cannot be written: {os.strerror(number)}. {advice}, "
                "and run the same command again: everything finished before is kept."
            )
    assert temporaries(tmp_path) == []
    assert not store.has(other)
    assert same_bits(store.get(TILE), field_of(0))


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put(TILE, field_of(0))
    assert temporaries(tmp_path) == []
    assert not store.has(TILE)


def test_a_file_where_the_store_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="Use another --store"):
        open_store(tmp_path / "store")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="Ask for permission to write there"):
            store.put(TILE, field_of(0))
    finally:
        store.folder.chmod(0o700)


def test_a_full_disk_is_reported_and_what_was_finished_is_whole(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", tmp_path], capture_output=True
    ).returncode
    if mounted != 0:
        pytest.skip("cannot mount a small file system")
    try:
        store = open_store(tmp_path)
        tiles = [Tile(4, number, 0) for number in range(16)]
        with pytest.raises(StoreError, match="Free some space"):
            for number, tile in enumerate(tiles):
                store.put(tile, field_of(number))
        finished = len(tiles) - len(store.missing(tiles))
        assert 0 < finished < len(tiles)
        assert all(same_bits(store.get(tile), field_of(number)) for number, tile in enumerate(tiles[:finished]))
        assert temporaries(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
