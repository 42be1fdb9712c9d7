"""Print-size pictures as tiled TIFF, written as they are made: no more than some rows are in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.encode import arrays
from render.errors import EncodeError
from render.files.atomic import WholeFile

# Pixels along a side of a TIFF's tiles: whole tiles are made of bands of so many rows.
TILE_PX = 256

# A TIFF of 32-bit offsets ends at 4 GiB, and deflated noise is as large as noise; tables need little more.
_CLASSIC_BYTES = 2**32 - 2**26

# BigTIFF (64-bit offsets) has a suffix of its own, so that no print shop gets one that it cannot read.
_SUFFIXES = {".tif": False, ".tiff": False, ".btf": True}

# TIFF counts pixels in 32 bits, but few programs open a side of more than Photoshop's limit.
_MOST_PX = 300_000


@dataclass(frozen=True)
class Print:
    """The format of a print: (width, height) in pixels, bits of a channel (8 or 16), and pixels an inch."""

    size_px: tuple[int, int]
    bits: int
    dpi: float

    @property
    def size_bytes(self) -> int:
        """Size of the picture before it is compressed."""
        return self.size_px[0] * self.size_px[1] * 3 * self.bits // 8


def check_bits(bits: int) -> None:
    """Refuse a number of bits a channel that no print has. Raises EncodeError."""
    if bits not in (8, 16):
        raise EncodeError(f"A print must have 8 or 16 bits a channel, not {bits}.")


def check(path: Path, picture: Print) -> None:
    """Refuse a print that its file cannot hold. Raises EncodeError."""
    if path.suffix.lower() not in _SUFFIXES:
        raise EncodeError(f"{path}: the name of a print must end in .tif, or in .btf for BigTIFF beyond 4 GB.")
    check_bits(picture.bits)
    width, height = picture.size_px
    if not (16 <= width <= _MOST_PX and 16 <= height <= _MOST_PX):
        raise EncodeError(
            f"{path}: the sides of a print must be 16 to {_MOST_PX:,} pixels, not {width:,} x {height:,}."
        )
    if not _SUFFIXES[path.suffix.lower()] and picture.size_bytes > _CLASSIC_BYTES:
        raise EncodeError(
            f"{path}: {width:,} x {height:,} pixels of {picture.bits} bits are {picture.size_bytes / 1e9:.1f} GB, and "
            "a TIFF must end at 4.2 GB. Choose fewer --dpi or --bits 8, or a name that ends in .btf: BigTIFF, which "
            "many printers cannot read."
        )
    arrays.format_of(path.with_suffix(".tif"))  # its library


def write(path: Path, picture: Print, bands: Iterable[np.ndarray], metadata: Mapping[str, str | int | float]) -> None:
    """Write a picture, whole or not at all.

    bands: uint8 or uint16 [rows, width, 3], sRGB, from the top, TILE_PX rows each but for the last. metadata: becomes
    the description. Raises EncodeError, WriteError.
    """
    import tifffile

    check(path, picture)
    width, height = picture.size_px
    dtype = np.dtype(np.uint8 if picture.bits == 8 else np.uint16)
    with (
        WholeFile(path, fsync=False) as partial,
        tifffile.TiffWriter(partial, bigtiff=_SUFFIXES[path.suffix.lower()], byteorder="<") as file,
    ):
        file.write(
            _tiles(bands, picture, dtype),
            shape=(height, width, 3),
            dtype=dtype,
            photometric="rgb",
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            resolution=(picture.dpi, picture.dpi),
            resolutionunit="INCH",
            iccprofile=_srgb_profile(),
            description=json.dumps(dict(metadata)),
            software="render",
            metadata=None,
            maxworkers=1,
        )


def _tiles(bands: Iterable[np.ndarray], picture: Print, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Yield the tiles of bands, row by row; those at the right and lower edges are filled up with black."""
    width, height = picture.size_px
    top = 0
    for band in bands:
        rows = min(TILE_PX, height - top)
        if band.shape != (rows, width, 3) or band.dtype != dtype:
            raise EncodeError(f"a band must be {dtype} [{rows}, {width}, 3], not {band.dtype} {list(band.shape)}.")
        top += rows
        for left in range(0, width, TILE_PX):
            tile = np.zeros((TILE_PX, TILE_PX, 3), dtype)
            part = band[:, left : left + TILE_PX]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
    if top != height:
        raise EncodeError(f"a print must have {height} rows, not {top}.")


def _srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes whenever it is made."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Bytes 24 to 35 of the header say when it was made (ICC.1:2022, 7.2): year, month, day, hour, minute, second.
    profile[24:36] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(profile)
