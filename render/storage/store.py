"""Stores of finished tiles: in memory, or in folders that describe their contents.

Below the root of a directory store:

    <problem key>/problem.toml                  everything that decides the samples below this folder
    <problem key>/<numerics key>/numerics.toml  what decides their last bits: lanes, kernel, jaxlib, processor
    <problem key>/<numerics key>/first_steps.toml  what shows that they were trained with one arithmetic
    <problem key>/<numerics key>/<level>/<ix>/<iy>.npz                a whole tile
    <problem key>/<numerics key>/<level>/<ix>/<iy>.<patches>.npz      some patches of one, of which a film needs no more

A tile is one uncompressed .npz that `np.load` opens: `field`, a structured array [SAMPLES, SAMPLES] with the
channels of `Problem.channels` by name, and `meta`, a JSON string with the address and the keys of the tile. It is
written under a temporary name and then renamed. So a file under its final name is always complete, any number of
processes may write at the same time, and finished tiles are never lost. The store has no cache: every call reads files.

Where only some patches of a tile are there (see `geometry.patches`), `field` has the shape [patch, 8, 8], and they are
named by four hex digits both in `meta` and in the name of the file. A process that adds patches writes them, with those
that it finds, under the name of all of them, and only then removes what that file holds too. So two that do so at the
same time leave two files, each of them right; readers take what they want from both, and the next writer joins them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from render.errors import DamagedTile, StoreError
from render.files import atomic
from render.files.stored import read_stored
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import Tile
from render.machine import environment
from render.problem import Problem, channels_of
from render.samples import CHANNELS, Field
from render.storage import descriptions, first_steps, numerics, tile_format

# What follows the row of a tile in the name of a file that holds some of its patches, but not none and not all of them.
_SOME = re.compile(r"(\d+)\.((?!0000|ffff)[0-9a-f]{4})\.npz")


def patches_named(name: str) -> Patches:
    """Return which patches of a tile a file of this name holds."""
    some = _SOME.fullmatch(name)
    return int(some[2], 16) if some else WHOLE


class TileStore(Protocol):
    """The finished samples of one problem, by tile and patch. Writing the same ones again changes nothing."""

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        """Return the wanted patches of a tile as read-only arrays [SAMPLES, SAMPLES], with nothing beside them.

        Raises KeyError if one of them is absent, DamagedTile if its bytes are wrong.
        """
        ...

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        """Store some patches of a tile's field atomically: every channel [SAMPLES, SAMPLES], with its dtype.

        Other patches of the tile that are stored already stay.
        """
        ...

    def has(self, tile: Tile) -> bool:
        """Return whether a whole tile is stored, without reading it: this is True for a damaged tile too."""
        ...

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return which patches of each tile are stored, without reading them."""
        ...

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return the tiles of which not all wanted patches are stored, in the order given."""
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


def lacking(store: TileStore, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches]) -> list[Tile]:
    """Return the tiles of which a store does not hold all wanted patches: what its `missing` returns."""
    tiles = list(tiles)
    return [tile for tile, kept in zip(tiles, store.held(tiles), strict=True) if wanted.get(tile, WHOLE) & ~kept]


class MemoryStore:
    """A store in memory, for the lifetime of the process."""

    def __init__(self) -> None:
        self._tiles: dict[Tile, tuple[Patches, np.ndarray]] = {}

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        """Return the wanted patches of a tile as read-only arrays. Raises KeyError if one is absent."""
        kept, samples = self._tiles[tile]
        if wanted & ~kept:
            raise KeyError(tile)
        return tile_format.field_of(_only(samples, wanted))

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        """Store a copy of some patches of a tile's field."""
        dtype = tile_format.dtype_of(CHANNELS | {name: channel.dtype for name, channel in field.more.items()})
        new = tile_format.interleaved(tile, field, dtype)
        kept, samples = self._tiles.get(tile, (0, tile_format.blank(dtype)))
        joined = samples.copy()
        tile_format.lay_in(joined, new, WHOLE, patches)
        self._tiles[tile] = kept | patches, joined

    def has(self, tile: Tile) -> bool:
        """Return whether a whole tile is stored."""
        return self.held([tile]) == [WHOLE]

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return which patches of each tile are stored."""
        return [self._tiles[tile][0] if tile in self._tiles else 0 for tile in tiles]

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return the tiles of which not all wanted patches are stored, in the order given."""
        return lacking(self, tiles, wanted)

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Check nothing: all samples are of this process."""


def _only(samples: np.ndarray, wanted: Patches) -> np.ndarray:
    """Return samples [SAMPLES, SAMPLES] with nothing beside the wanted patches."""
    if wanted == WHOLE:
        return samples
    laid = tile_format.blank(samples.dtype)
    tile_format.lay_in(laid, samples, WHOLE, wanted)
    return laid


class DirectoryStore:
    """Tiles of one problem, computed with one numerics, as files. May be pickled, and shared by many processes.

    root: the folder of the whole store; it is made if needed.
    problem: the problem of the tiles. A folder whose problem.toml differs raises StoreError.
    numerics: everything that the last bits depend on, as JSON values. Every numerics has a folder of its own.
    fsync: whether every tile also survives a power cut, at about 4 ms a tile. (No fsync is needed to survive a killed
    process.) None: as the variable RENDER_FSYNC sets it.
    read_only: whether no folder is made, nothing is described, and nothing left behind is removed: for what only plans.
    """

    def __init__(
        self,
        root: Path,
        problem: Problem,
        numerics: Mapping[str, object],
        *,
        fsync: bool | None = None,
        read_only: bool = False,
    ) -> None:
        self.problem_key = problem.key
        self.numerics: dict[str, Any] = dict(numerics)
        self.numerics_key = hashlib.sha256(json.dumps(dict(numerics), sort_keys=True).encode()).hexdigest()[:12]
        self.folder = Path(root) / self.problem_key / self.numerics_key
        self.fsync = environment.switch("RENDER_FSYNC") if fsync is None else fsync
        self._dtype = tile_format.dtype_of(problem.channels)
        describe = descriptions.check if read_only else descriptions.describe
        describe(self.folder.parent / "problem.toml", problem.describe(), "problem")
        describe(self.folder / "numerics.toml", dict(numerics), "numerics")
        if not read_only:
            atomic.sweep(self.folder)

    @classmethod
    def existing(cls, root: Path, problem: Problem) -> list[DirectoryStore]:
        """Return the existing stores of a problem, one for each numerics, newest first."""
        described = sorted((Path(root) / problem.key).glob("*/numerics.toml"), key=os.path.getmtime, reverse=True)
        return [cls(root, problem, descriptions.read_toml(path, "numerics"), read_only=True) for path in described]

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
        plain = numerics.plain_part(self.numerics)
        described = self.folder.parent.glob("*/numerics.toml")
        others = (path for path in described if numerics.plain_part(descriptions.read_toml(path, "numerics")) != plain)
        return sorted(path.parent.name for path in others)

    def path(self, tile: Tile, patches: Patches = WHOLE) -> Path:
        """Return the path of the file of some patches of a tile, whether it exists or not."""
        return Path(self._file(tile, patches))

    def _file(self, tile: Tile, patches: Patches = WHOLE) -> str:
        # A film reads some thousand tiles a second; joining Path objects would take a third of that time.
        some = "" if patches == WHOLE else f".{patches:04x}"
        return f"{self.folder}/{tile.level:02d}/{tile.ix}/{tile.iy}{some}.npz"

    def address_of(self, path: Path) -> tuple[Tile, Patches]:
        """Return the tile and the patches of a file: the inverse of `path`. Raises ValueError for another file."""
        patches = patches_named(path.name)
        try:
            tile = Tile(int(path.parts[-3]), int(path.parts[-2]), int(path.name.partition(".")[0]))
        except ValueError:
            raise ValueError("a file here must be LEVEL/COLUMN/ROW.npz, in whole numbers") from None
        if patches == 0 or self.path(tile, patches) != path:
            raise ValueError(f"{path} must be {self.path(tile, patches)}")
        return tile, patches

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        """Return the wanted patches of a tile as read-only arrays [SAMPLES, SAMPLES], with nothing beside them.

        Raises KeyError if one of them is absent, DamagedTile if its bytes are wrong.
        """
        for patches in dict.fromkeys((wanted, WHOLE)):  # nearly always one of these two files is there
            try:
                return tile_format.field_of(self._joined({patches: self._stored(tile, patches)}, wanted))
            except FileNotFoundError:
                continue
        gone: set[Patches] = set()
        while True:
            left, files, before = wanted, {}, len(gone)
            for patches in self._files(tile):
                if patches & left and patches not in gone:
                    try:
                        files[patches] = self._stored(tile, patches)
                        left &= ~patches
                    except FileNotFoundError:
                        gone.add(patches)
            if not left:
                return tile_format.field_of(self._joined(files, wanted))
            if len(gone) == before:
                raise KeyError(tile)
            # Another process has put what was listed into a larger file just now: that one is looked for. A link that
            # leads nowhere is listed too, and is not asked for twice.

    def stored(self, tile: Tile, patches: Patches) -> Field:
        """Return what the file of just these patches of a tile holds. Raises KeyError, DamagedTile as `get` does."""
        try:
            return tile_format.field_of(self._joined({patches: self._stored(tile, patches)}, patches))
        except FileNotFoundError:
            raise KeyError(tile) from None

    def _joined(self, files: Mapping[Patches, np.ndarray], wanted: Patches) -> np.ndarray:
        """Return the wanted patches of what some files hold, as samples [SAMPLES, SAMPLES] with nothing beside them."""
        if wanted in files and wanted == WHOLE:
            return files[WHOLE]
        samples = tile_format.blank(self._dtype)
        for patches, stored in files.items():
            tile_format.lay_in(samples, stored, patches, patches & wanted)
        return samples

    def _files(self, tile: Tile) -> list[Patches]:
        """Return the patches that each file of a tile holds, the largest file first."""
        row, held = f"{tile.iy}.", set()
        for name in descriptions.names_in(self.path(tile).parent):
            if name.startswith(row) and (name == f"{row}npz" or _SOME.fullmatch(name)):
                held.add(patches_named(name))
        return sorted(held - {0}, key=lambda patches: (-patches.bit_count(), patches))

    def _stored(self, tile: Tile, patches: Patches) -> np.ndarray:
        """Read one file and return its samples as they are stored. Raises FileNotFoundError, DamagedTile."""
        path = self._file(tile, patches)
        try:
            stored = read_stored(path)
        except FileNotFoundError:
            raise
        except IsADirectoryError:
            raise DamagedTile(f"{path} must be a file, but it is a folder. Remove it.") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
        # The bytes of a tile's file follow from its address, its keys and its samples alone. So the file is checked by
        # encoding it again and comparing every byte, checksums included: no parser ever reads damaged bytes.
        shape = tile_format.shape(patches)
        samples_bytes = math.prod(shape) * self._dtype.itemsize
        meta = self._meta(tile, patches)
        samples = stored[-tile_format.TAIL_BYTES - samples_bytes : -tile_format.TAIL_BYTES]
        expected = tile_format.npz(meta, samples, self._dtype, patches)
        if stored != expected:
            wanted_bytes = len(expected) - len(samples) + samples_bytes
            if len(stored) != wanted_bytes:
                fault = f"it has {len(stored)} bytes, not {wanted_bytes}"
            elif meta.encode("utf-32-le") not in stored:
                fault = "it does not name this tile of this problem and numerics"
            else:
                fault = "its bytes do not match their checksum"
            raise DamagedTile(f"{path} is damaged: {fault}. It will be trained again.")
        return np.frombuffer(samples, self._dtype).reshape(shape)

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        """Write some patches of a tile atomically, with what is stored of it. Raises StoreError if it cannot."""
        samples = tile_format.interleaved(tile, field, self._dtype)
        before, kept = self._files(tile), patches
        for other in before:
            if more := other & ~kept:
                try:
                    tile_format.lay_in(samples, self._stored(tile, other), other, more)
                    kept |= more
                except FileNotFoundError:
                    continue  # another process has put it into a larger file just now
                except DamagedTile:
                    self._remove(tile, other)  # what it held counts as absent from now on, and is trained when wanted
        content = tile_format.cut(samples, kept).tobytes()
        npz = tile_format.npz(self._meta(tile, kept), content, self._dtype, kept)
        atomic.store_whole(self.path(tile, kept), npz, fsync=self.fsync)
        for other in before:
            if other != kept and not other & ~kept:
                self._remove(tile, other)

    def _remove(self, tile: Tile, patches: Patches) -> None:
        with contextlib.suppress(OSError):  # a file that stays is read no more than any other, or reported again
            os.unlink(self._file(tile, patches))

    def has(self, tile: Tile) -> bool:
        """Return whether a whole tile is stored."""
        return os.path.exists(self._file(tile)) or self.held([tile]) == [WHOLE]

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return which patches of each tile have a file. Every folder is listed only once."""
        listed: dict[tuple[int, int], tuple[frozenset[str], dict[str, Patches]]] = {}
        patches_held = []
        for tile in tiles:
            column = tile.level, tile.ix
            if column not in listed:
                names, some = descriptions.names_in(self.path(tile).parent), dict[str, Patches]()
                for match in filter(None, map(_SOME.fullmatch, names)):
                    some[match[1]] = some.get(match[1], 0) | int(match[2], 16)
                listed[column] = names, some
            names, some = listed[column]
            if not names:
                patches_held.append(0)
            else:
                patches_held.append(WHOLE if f"{tile.iy}.npz" in names else some.get(str(tile.iy), 0))
        return patches_held

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return the tiles of which not all wanted patches have a file, in the order given."""
        return lacking(self, tiles, wanted)

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Raise StoreError if what a backend trains has other bits than what is stored: see `first_steps.check`."""
        first_steps.check(self.folder, proof)

    def _meta(self, tile: Tile, patches: Patches) -> str:
        address = {"level": int(tile.level), "ix": int(tile.ix), "iy": int(tile.iy)}
        some = {} if patches == WHOLE else {"patches": f"{patches:04x}"}
        return json.dumps(address | some | {"problem": self.problem_key, "numerics": self.numerics_key})
