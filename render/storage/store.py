"""Stores of finished tiles: in memory, or in folders that describe their contents.

Below the root of a directory store:

    <problem key>/problem.toml                  everything that decides the samples below this folder
    <problem key>/<numerics key>/numerics.toml  what decides their last bits: lanes, kernel, jaxlib, processor
    <problem key>/<numerics key>/first_steps.toml  what shows that they were trained with one arithmetic
    <problem key>/<numerics key>/<level>/<ix>/<iy>.npz

A tile is one uncompressed .npz that `np.load` opens: `field`, a structured array [SAMPLES, SAMPLES] with the
channels of `Problem.channels` by name, and `meta`, a JSON string with the address and the keys of the tile. It is
written under a temporary name and then renamed. So a file under its final name is always complete, any number of
processes may write at the same time, and finished tiles are never lost. The store has no cache: every call reads files.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from render.errors import DamagedTile, StoreError
from render.files import atomic
from render.geometry.tiles import SAMPLES, Tile
from render.machine import environment
from render.problem import Problem, channels_of
from render.samples import CHANNELS, Field
from render.storage import descriptions, first_steps, numerics, tile_format


class TileStore(Protocol):
    """The finished tiles of one problem, by address. Writing a tile again with the same field changes nothing."""

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays. Raises KeyError if absent, DamagedTile if its bytes are wrong."""
        ...

    def put(self, tile: Tile, field: Field) -> None:
        """Store a tile's field atomically: every channel [SAMPLES, SAMPLES], with its dtype."""
        ...

    def has(self, tile: Tile) -> bool:
        """Return whether a tile is stored, without reading it: this is True for a damaged tile too."""
        ...

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that are not in the store, in the order given."""
        ...

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Raise StoreError if what a backend trains has other bits than what is stored: see `first_steps.check`."""
        ...


def check_store(root: Path) -> None:
    """Raise StoreError if a store cannot be written, before anything is trained for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise StoreError(
            f"{root}: the store must be a writable folder: {error.strerror}. Use another --store."
        ) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class MemoryStore:
    """A store in memory, for the lifetime of the process."""

    def __init__(self) -> None:
        self._tiles: dict[Tile, Field] = {}

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays. Raises KeyError if absent."""
        return self._tiles[tile]

    def put(self, tile: Tile, field: Field) -> None:
        """Store a copy of a tile's field."""
        dtype = tile_format.dtype_of(CHANNELS | {name: channel.dtype for name, channel in field.more.items()})
        self._tiles[tile] = tile_format.field_of(tile_format.interleaved(tile, field, dtype))

    def has(self, tile: Tile) -> bool:
        """Return whether a tile is stored."""
        return tile in self._tiles

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that are not in the store, in the order given."""
        return [tile for tile in tiles if tile not in self._tiles]

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Check nothing: all tiles are of this process."""


class DirectoryStore:
    """Tiles of one problem, computed with one numerics, as files. May be pickled, and shared by many processes.

    root: the folder of the whole store; it is made if needed.
    problem: the problem of the tiles. A folder whose problem.toml differs raises StoreError.
    numerics: everything that the last bits depend on, as JSON values. Every numerics has a folder of its own.
    fsync: whether every tile also survives a power cut, at about 4 ms a tile. (No fsync is needed to survive a killed
    process.) None: as the variable RENDER_FSYNC sets it.
    """

    def __init__(
        self, root: Path, problem: Problem, numerics: Mapping[str, object], *, fsync: bool | None = None
    ) -> None:
        self.problem_key = problem.key
        self.numerics: dict[str, Any] = dict(numerics)
        self.numerics_key = hashlib.sha256(json.dumps(dict(numerics), sort_keys=True).encode()).hexdigest()[:12]
        self.folder = Path(root) / self.problem_key / self.numerics_key
        self.fsync = environment.switch("RENDER_FSYNC") if fsync is None else fsync
        self._dtype = tile_format.dtype_of(problem.channels)
        descriptions.describe(self.folder.parent / "problem.toml", problem.describe(), "problem")
        descriptions.describe(self.folder / "numerics.toml", dict(numerics), "numerics")
        atomic.sweep(self.folder)

    @classmethod
    def existing(cls, root: Path, problem: Problem) -> list[DirectoryStore]:
        """Return the existing stores of a problem, one for each numerics, newest first."""
        described = sorted((Path(root) / problem.key).glob("*/numerics.toml"), key=os.path.getmtime, reverse=True)
        return [cls(root, problem, descriptions.read_toml(path, "numerics")) for path in described]

    @classmethod
    def at(cls, folder: Path) -> DirectoryStore:
        """Return the store of a folder with a numerics.toml, for any problem, to read its contents."""
        store = cls.__new__(cls)
        store.problem_key, store.numerics_key = folder.parent.name, folder.name
        store.numerics = descriptions.read_toml(folder / "numerics.toml", "numerics")
        store.folder, store.fsync = folder, False
        fields = descriptions.read_toml(folder.parent / "problem.toml", "problem")
        try:
            store._dtype = tile_format.dtype_of(channels_of(fields))
        except KeyError:
            raise StoreError(
                f"{folder.parent} holds tiles of the system {fields.get('system')!r}, which this version does not know."
            ) from None
        return store

    @property
    def other_numerics(self) -> list[str]:
        """Keys of the numerics of other machines for which this problem has a folder, sorted.

        Folders of samples that follow reference runs are no others where the machine is the same.
        """
        own = numerics.plain_part(self.numerics)
        described = self.folder.parent.glob("*/numerics.toml")
        others = (path for path in described if numerics.plain_part(descriptions.read_toml(path, "numerics")) != own)
        return sorted(path.parent.name for path in others)

    def path(self, tile: Tile) -> Path:
        """Return the path of a tile's file, whether it exists or not."""
        return Path(self._file(tile))

    def _file(self, tile: Tile) -> str:
        # A film reads some thousand tiles a second; joining Path objects would take a third of that time.
        return f"{self.folder}/{tile.level:02d}/{tile.ix}/{tile.iy}.npz"

    def tile_of(self, path: Path) -> Tile:
        """Return the tile of a file: the inverse of `path`. Raises ValueError for another file."""
        tile = Tile(int(path.parts[-3]), int(path.parts[-2]), int(path.stem))
        if self.path(tile) != path:
            raise ValueError(f"{path} must be {self.path(tile)}")
        return tile

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays. Raises KeyError if absent, DamagedTile if its bytes are wrong."""
        path = self._file(tile)
        try:
            # A FIFO in the place of a tile must not hold the program up: opened so, it reads as empty.
            with open(path, "rb", buffering=0, opener=_without_waiting) as file:
                stored = file.read()
        except FileNotFoundError:
            raise KeyError(tile) from None
        except IsADirectoryError:
            raise DamagedTile(f"{path} must be a file, but it is a folder. Remove it.") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
        # The bytes of a tile's file follow from its address, its keys and its samples alone. So the file is checked by
        # encoding it again and comparing every byte, checksums included: no parser ever reads damaged bytes.
        samples_bytes = SAMPLES * SAMPLES * self._dtype.itemsize
        meta, samples = self._meta(tile), stored[-tile_format.TAIL_BYTES - samples_bytes : -tile_format.TAIL_BYTES]
        expected = tile_format.npz(meta, samples, self._dtype)
        if stored != expected:
            wanted_bytes = len(expected) - len(samples) + samples_bytes
            if len(stored) != wanted_bytes:
                fault = f"it has {len(stored)} bytes, not {wanted_bytes}"
            elif meta.encode("utf-32-le") not in stored:
                fault = "it does not name this tile of this problem and numerics"
            else:
                fault = "its bytes do not match their checksum"
            raise DamagedTile(f"{path} is damaged: {fault}. It will be trained again.")
        return tile_format.field_of(np.frombuffer(samples, self._dtype).reshape(SAMPLES, SAMPLES))

    def put(self, tile: Tile, field: Field) -> None:
        """Write a tile's file atomically. Raises StoreError if it cannot be written."""
        samples = tile_format.interleaved(tile, field, self._dtype).tobytes()
        content = tile_format.npz(self._meta(tile), samples, self._dtype)
        atomic.store_whole(self.path(tile), content, fsync=self.fsync)

    def has(self, tile: Tile) -> bool:
        """Return whether a tile's file exists."""
        return os.path.exists(self._file(tile))

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that have no file, in the order given. Every folder is listed only once."""
        listed: dict[tuple[int, int], frozenset[str]] = {}
        absent = []
        for tile in tiles:
            column = tile.level, tile.ix
            if column not in listed:
                listed[column] = descriptions.names_in(self.path(tile).parent)
            if not listed[column] or f"{tile.iy}.npz" not in listed[column]:
                absent.append(tile)
        return absent

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Raise StoreError if what a backend trains has other bits than what is stored: see `first_steps.check`."""
        first_steps.check(self.folder, proof)

    def _meta(self, tile: Tile) -> str:
        address = {"level": int(tile.level), "ix": int(tile.ix), "iy": int(tile.iy)}
        return json.dumps(address | {"problem": self.problem_key, "numerics": self.numerics_key})
