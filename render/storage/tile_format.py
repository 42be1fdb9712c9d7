"""The file format of tiles: an uncompressed .npz whose bytes follow from address, patches, keys and samples alone."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Mapping

import numpy as np

from render.geometry import patches as patches_of_tiles
from render.geometry.patches import PER_TILE, SIDE, WHOLE, Patches
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field, nothing


def dtype_of(channels: Mapping[str, np.dtype]) -> np.dtype:
    """Return the type of one stored sample."""
    return np.dtype([(name, dtype.newbyteorder("<")) for name, dtype in channels.items()])


def interleaved(tile: Tile, field: Field, dtype: np.dtype) -> np.ndarray:
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


def blank(dtype: np.dtype) -> np.ndarray:
    """Return samples of a tile, structured [SAMPLES, SAMPLES], none of which is there yet: see `samples.nothing`."""
    samples = np.empty((SAMPLES, SAMPLES), dtype)
    for name in dtype.names or ():
        samples[name] = nothing(dtype[name])
    return samples


def shape(patches: Patches) -> tuple[int, ...]:
    """Return the shape in which some patches of a tile are stored: the tile's own, or [patch, SIDE, SIDE]."""
    return (SAMPLES, SAMPLES) if patches == WHOLE else (patches.bit_count(), SIDE, SIDE)


def cut(samples: np.ndarray, patches: Patches) -> np.ndarray:
    """Return some patches of a tile's samples [SAMPLES, SAMPLES] in the shape in which they are stored."""
    return samples if patches == WHOLE else _by_patch(samples)[_places(patches)]


def lay_in(samples: np.ndarray, stored: np.ndarray, patches: Patches, wanted: Patches) -> None:
    """Copy those patches that are wanted of a tile's stored ones to their places in samples [SAMPLES, SAMPLES]."""
    if patches == WHOLE:
        mask = patches_of_tiles.samples(wanted)
        samples[mask] = stored[mask]
        return
    taken = [wanted >> number & 1 == 1 for number in patches_of_tiles.numbers(patches)]
    _by_patch(samples)[_places(patches & wanted)] = stored[taken]


def _by_patch(samples: np.ndarray) -> np.ndarray:
    """Return a view [row, column, SIDE, SIDE] of the patches of samples [SAMPLES, SAMPLES]."""
    return samples.reshape(PER_TILE, SIDE, PER_TILE, SIDE).swapaxes(1, 2)


def _places(patches: Patches) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.divmod(patches_of_tiles.numbers(patches), PER_TILE)
    return rows, columns


def field_of(samples: np.ndarray) -> Field:
    """Return a structured array as a field of contiguous, read-only arrays in native byte order."""
    field = Field.from_channels({name: samples[name].astype(native) for name, native in _native(samples.dtype)})
    for channel in field:
        channel.flags.writeable = False
    return field


@functools.lru_cache(maxsize=64)
def _native(dtype: np.dtype) -> list[tuple[str, np.dtype]]:
    """Return the channels of stored samples, each with its type in native byte order."""
    return [(name, dtype[name].newbyteorder("=")) for name in dtype.names or ()]


@functools.lru_cache(maxsize=64)
def _npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Return what precedes an array's bytes in the .npy format, version 1.0 (numpy.lib.format)."""
    descr = dtype.str if dtype.names is None else dtype.descr
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    length = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def npz(meta: str, samples: bytes, dtype: np.dtype, patches: Patches = WHOLE) -> bytes:
    """Return an .npz of `meta`, a 0-d string, and `field`, structured samples: a zip of two stored members.

    samples: of the given patches of the tile, in the shape in which these are stored.

    It is written without zipfile because the bytes must be the same on every machine: zipfile records the system, and
    Python and NumPy choose headers by version. See PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12
    (central directory) and 4.3.16 (its end). Every date is 1 January 1980, the first that a zip can hold.
    """
    body, directory = b"", b""
    members = {
        b"meta.npy": _npy_header(np.dtype(f"<U{len(meta)}"), ()) + meta.encode("utf-32-le"),
        b"field.npy": _npy_header(dtype, shape(patches)) + samples,
    }
    for name, data in members.items():
        # Version 2.0, no flags, stored, time 0, date 1980-01-01; checksum, size twice, length of name, no extra.
        entry = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0)
        attributes = struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + entry + attributes + name
        body += b"PK\x03\x04" + entry + name + data
    count = len(members)
    return body + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)


# The names, keys and checksums of a tile's file take about this many bytes, and file systems allocate such blocks.
_AROUND_BYTES, _BLOCK_BYTES = 1_024, 4_096


def room_bytes(channels: Mapping[str, np.dtype], patches: Patches = WHOLE) -> int:
    """Return the disk space that some patches of a tile with these channels take, in bytes."""
    size = SIDE**2 * patches.bit_count() * dtype_of(channels).itemsize + _AROUND_BYTES
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


# What follows the samples in a tile's file: two directory entries with their names, and the directory's end.
TAIL_BYTES = 2 * 46 + len("meta.npy" + "field.npy") + 22
