"""Where finished tiles are kept: in memory, or in folders that explain themselves.

Below the root of a directory store:

    <problem key>/problem.toml                  what decides every sample in here
    <problem key>/<numerics key>/numerics.toml  what decides its last bits: lane count, kernel, jaxlib, processor
    <problem key>/<numerics key>/<level>/<ix>/<iy>.npz

A tile is one uncompressed .npz that `np.load` opens: `field`, a structured array [SAMPLES, SAMPLES] with the
channels of `Problem.channels` by name, and `meta`, a JSON string with the tile's own address and keys. It is
written whole under a temporary name and renamed, so under the final name there is never half a tile, any number
of processes may write at once, and what is finished stays finished. Nothing is cached: the files are the truth.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import socket
import struct
import tempfile
import time
import tomllib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from render import fields
from render.catalogue import SYSTEMS
from render.errors import DamagedTile, StoreError
from render.fields import Field
from render.problem import Problem, channels_of
from render.tiles import SAMPLES, Tile

_STALE_S = 24 * 3600  # no tile takes a day to write: an older temporary file was left by a killed process
HOST = "".join(c for c in socket.gethostname() if c.isalnum() or c == "-")[:32]
_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some of your quota",
    errno.EACCES: "Ask for permission to write there",
    errno.EPERM: "Ask for permission to write there",
    errno.EROFS: "Make it writable",
}


class TileStore(Protocol):
    """Finished tiles by address. Writing a tile again with the same field changes nothing."""

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays. Raises KeyError if absent, DamagedTile if its bytes are wrong."""
        ...

    def put(self, tile: Tile, field: Field) -> None:
        """Keep a tile's field: every channel [SAMPLES, SAMPLES], with its dtype. All or nothing."""
        ...

    def has(self, tile: Tile) -> bool:
        """Say whether a tile was put, without reading it: a damaged one is there too."""
        ...

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that are not in the store, in the order given."""
        ...


def check_store(root: Path) -> None:
    """Refuse a store that cannot be written to, before anything is trained for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise StoreError(
            f"{root}: the store must be a writable folder: {error.strerror}. Use another --store."
        ) from error


class MemoryStore:
    """Tiles that live as long as the process."""

    def __init__(self) -> None:
        self._tiles: dict[Tile, Field] = {}

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays; KeyError if absent."""
        return self._tiles[tile]

    def put(self, tile: Tile, field: Field) -> None:
        """Keep a copy of a tile's field."""
        dtype = _dtype(fields.CHANNELS | {name: channel.dtype for name, channel in field.more.items()})
        self._tiles[tile] = _field(_interleaved(tile, field, dtype))

    def has(self, tile: Tile) -> bool:
        """Say whether a tile was put."""
        return tile in self._tiles

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that are not in the store, in the order given."""
        return [tile for tile in tiles if tile not in self._tiles]


class DirectoryStore:
    """Tiles of one problem, computed with one numerics, as files. May be pickled, and shared by many processes.

    root: folder of the whole store; it is made if need be.
    problem: what the tiles belong to; a folder whose problem.toml says otherwise is refused.
    numerics: what the last bits depend on, as JSON values; other numerics lie in other folders, never mixed.
    fsync: whether every tile also survives a power cut (about 4 ms a tile; a kill never needs it); as RENDER_FSYNC=1
    says if not given.
    """

    def __init__(
        self, root: Path, problem: Problem, numerics: Mapping[str, object], *, fsync: bool | None = None
    ) -> None:
        self.problem_key = problem.key
        self.numerics = dict(numerics)
        self.numerics_key = hashlib.sha256(json.dumps(dict(numerics), sort_keys=True).encode()).hexdigest()[:12]
        self.folder = Path(root) / self.problem_key / self.numerics_key
        self.fsync = os.environ.get("RENDER_FSYNC", "0") not in ("", "0") if fsync is None else fsync
        self._dtype = _dtype(problem.channels)
        _explain(self.folder.parent / "problem.toml", problem.describe(), "problem")
        _explain(self.folder / "numerics.toml", dict(numerics), "numerics")
        _sweep(self.folder)

    @classmethod
    def existing(cls, root: Path, problem: Problem) -> list[DirectoryStore]:
        """Return the stores of a problem that are there, one for each numerics, the newest first; none is made."""
        described = sorted((Path(root) / problem.key).glob("*/numerics.toml"), key=os.path.getmtime, reverse=True)
        return [cls(root, problem, read_toml(path, "numerics")) for path in described]

    @classmethod
    def at(cls, folder: Path) -> DirectoryStore:
        """Return the store of a folder with a numerics.toml, whatever its problem: to look at what is there."""
        store = cls.__new__(cls)
        store.problem_key, store.numerics_key = folder.parent.name, folder.name
        store.numerics = read_toml(folder / "numerics.toml", "numerics")
        store.folder, store.fsync = folder, False
        system = read_toml(folder.parent / "problem.toml", "problem").get("system")
        if system not in SYSTEMS:
            raise StoreError(f"{folder.parent} holds tiles of the system {system!r}, which this version does not know.")
        store._dtype = _dtype(channels_of(system))
        return store

    @property
    def other_numerics(self) -> list[str]:
        """Keys of the other numerics for which this problem has a folder, sorted."""
        described = self.folder.parent.glob("*/numerics.toml")
        return sorted(path.parent.name for path in described if path.parent != self.folder)

    def path(self, tile: Tile) -> Path:
        """Return where a tile's file is, or would be."""
        return self.folder / f"{tile.level:02d}" / str(tile.ix) / f"{tile.iy}.npz"

    def tile_of(self, path: Path) -> Tile:
        """Return the tile whose file this is: the inverse of `path`. ValueError for another file."""
        tile = Tile(int(path.parts[-3]), int(path.parts[-2]), int(path.stem))
        if self.path(tile) != path:
            raise ValueError(f"{path} must be {self.path(tile)}")
        return tile

    def get(self, tile: Tile) -> Field:
        """Return a tile's field as read-only arrays. Raises KeyError if absent, DamagedTile if its bytes are wrong."""
        path = self.path(tile)
        try:
            with open(path, "rb", buffering=0) as file:
                stored = file.read()
        except FileNotFoundError:
            raise KeyError(tile) from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
        # A tile's file follows from its address, its keys and its samples alone. So it is checked by writing it
        # again and comparing every byte, checksums included: no parser ever sees damaged bytes.
        samples_bytes = SAMPLES * SAMPLES * self._dtype.itemsize
        meta, samples = self._meta(tile), stored[-_TAIL_BYTES - samples_bytes : -_TAIL_BYTES]
        expected = _npz(meta, samples, self._dtype)
        if stored != expected:
            wanted_bytes = len(expected) - len(samples) + samples_bytes
            if len(stored) != wanted_bytes:
                fault = f"it has {len(stored)} bytes, not {wanted_bytes}"
            elif meta.encode("utf-32-le") not in stored:
                fault = "it does not name this tile of this problem and numerics"
            else:
                fault = "its bytes do not match their checksum"
            raise DamagedTile(f"{path} is damaged: {fault}. It will be trained again.")
        return _field(np.frombuffer(samples, self._dtype).reshape(SAMPLES, SAMPLES))

    def put(self, tile: Tile, field: Field) -> None:
        """Write a tile's file, whole or not at all. StoreError if the folder or the disk refuses."""
        content = _npz(self._meta(tile), _interleaved(tile, field, self._dtype).tobytes(), self._dtype)
        write_whole(self.path(tile), content, fsync=self.fsync)

    def has(self, tile: Tile) -> bool:
        """Say whether a tile's file is there, whoever wrote it."""
        return os.path.exists(self.path(tile))

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that have no file, in the order given; every folder is listed once."""
        listed: dict[tuple[int, int], frozenset[str]] = {}
        absent = []
        for tile in tiles:
            column = tile.level, tile.ix
            if column not in listed:
                listed[column] = _names(self.path(tile).parent)
            if f"{tile.iy}.npz" not in listed[column]:
                absent.append(tile)
        return absent

    def _meta(self, tile: Tile) -> str:
        address = {"level": int(tile.level), "ix": int(tile.ix), "iy": int(tile.iy)}
        return json.dumps(address | {"problem": self.problem_key, "numerics": self.numerics_key})


# ---- a tile as bytes ------------------------------------------------------------------------------------------


def _dtype(channels: Mapping[str, np.dtype]) -> np.dtype:
    """Return the type of one stored sample."""
    return np.dtype([(name, dtype.newbyteorder("<")) for name, dtype in channels.items()])


def _interleaved(tile: Tile, field: Field, dtype: np.dtype) -> np.ndarray:
    """Return a field as one structured array, after checking address, shapes and dtypes."""
    side = 1 << tile.level
    if not (0 <= tile.ix < side and 0 <= tile.iy < side):
        raise ValueError(f"{tile} must lie in the unit square: 0 <= ix, iy < {side}.")
    samples = np.empty((SAMPLES, SAMPLES), dtype)
    channels = field.channels()
    if list(channels) != list(dtype.names or ()):
        raise ValueError(f"{tile} must have the channels {', '.join(dtype.names or ())}, not {', '.join(channels)}.")
    for name, channel in channels.items():
        wanted = dtype[name].newbyteorder("=")
        if channel.dtype != wanted or channel.shape != samples.shape:
            raise ValueError(
                f"{tile}: channel {name!r} must be {wanted} {list(samples.shape)}, "
                f"not {channel.dtype} {list(channel.shape)}."
            )
        samples[name] = channel
    return samples


def _field(samples: np.ndarray) -> Field:
    """Return a structured array as a field of contiguous, read-only arrays in native byte order."""
    names = samples.dtype.names or ()
    field = fields.from_channels({name: samples[name].astype(samples.dtype[name].newbyteorder("=")) for name in names})
    for channel in field:
        channel.flags.writeable = False
    return field


def _npy(descr: object, shape: tuple[int, ...], data: bytes) -> bytes:
    """Return an array in the .npy format, version 1.0 (numpy.lib.format)."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    length = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n" + data


def _npz(meta: str, samples: bytes, dtype: np.dtype) -> bytes:
    """Return an .npz of `meta`, a 0-d string, and `field`, structured samples: a zip of two stored members.

    Written by hand because the bytes must be the same on every machine: zipfile notes the operating system, and
    Python and numpy choose headers by version. PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12
    (central directory) and 4.3.16 (its end). Every date is 1 January 1980, the first that a zip can hold.
    """
    body, directory = b"", b""
    members = {
        b"meta.npy": _npy(f"<U{len(meta)}", (), meta.encode("utf-32-le")),
        b"field.npy": _npy(dtype.descr, (SAMPLES, SAMPLES), samples),
    }
    for name, data in members.items():
        # Version 2.0, no flags, stored, time 0, date 1980-01-01; checksum, size twice, length of name, no extra.
        entry = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0)
        attributes = struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + entry + attributes + name
        body += b"PK\x03\x04" + entry + name + data
    count = len(members)
    return body + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)


# What follows the samples in a tile's file: two directory entries with their names, and the directory's end.
_TAIL_BYTES = 2 * 46 + len("meta.npy" + "field.npy") + 22


# ---- files ----------------------------------------------------------------------------------------------------


def write_whole(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file whole or not at all, making its folder if need be."""
    # The same folder, hence the same file system: only there is a rename atomic.
    temporary = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                if fsync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if fsync and os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Mend that")
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. {advice}, or use another --store, and run the "
            "same command again: everything finished before is kept."
        ) from error


def _names(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder; none if there is no such folder."""
    try:
        return frozenset(os.listdir(folder))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise StoreError(f"{folder} cannot be listed: {error.strerror}.") from error


def _sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left behind, once they are a day old."""
    oldest = time.time() - _STALE_S
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):  # another process may have swept it, or still own it
                    path = os.path.join(place, name)
                    if os.stat(path).st_mtime < oldest:
                        os.unlink(path)


def _explain(path: Path, fields: Mapping[str, object], kind: str) -> None:
    """Write what a folder holds as TOML, or check that it says the same."""
    text = _toml(fields)
    if tomllib.loads(text) != fields:
        raise ValueError(f"A {kind} must consist of strings, finite numbers, truth values and tables, not {fields}.")
    try:
        found = read_toml(path, kind)
    except FileNotFoundError:
        title = f"# The {kind} of every tile below this folder. Written by render, which checks it: do not edit.\n"
        write_whole(path, (title + text).encode(), fsync=True)
        return
    if found != fields:
        name = next(name for name in {**fields, **found} if found.get(name) != fields.get(name))
        raise StoreError(
            f"{path.parent} was made with another {kind} ({name} = {found.get(name)!r}, now {fields.get(name)!r}). "
            "Use another --store, or delete that folder."
        )


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Return what problem.toml or numerics.toml says. Raises FileNotFoundError if there is none, or StoreError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} must describe the {kind} of its tiles: {error}. Delete that folder.") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Use another --store.") from error


def _toml(fields: Mapping[str, object]) -> str:
    """Return strings, numbers and one level of tables as TOML."""
    plain = {name: value for name, value in fields.items() if not isinstance(value, Mapping)}
    # Strings, numbers and truth values read the same in JSON and TOML, and so do quoted keys.
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in plain.items())
    for name, table in fields.items():
        if isinstance(table, Mapping):
            text += f"\n[{name}]\n{_toml(table)}"
    return text
