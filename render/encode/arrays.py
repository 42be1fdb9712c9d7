"""Samples as arrays in the formats of other programs: NumPy, Zarr for xarray, float TIFF, OpenEXR.

The libraries for all formats but NumPy's are in the extra `export`. They are imported when a file is written.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from render.errors import EncodeError
from render.files.atomic import WholeFile, write_whole
from render.files.folders import Layout, check_folder, whole_folder

# Samples along a side of a chunk in Zarr and TIFF: half a megabyte of float64.
_CHUNK = 256

# A TIFF with 32-bit offsets can have 4 GiB; its tables of pages need little space beside its samples.
_CLASSIC_TIFF_BYTES = 2**32 - 2**25

# A file that Zarr, version 3, has in every group.
# Of format 3: groups and arrays, each with its own metadata, and chunks.
_ZARR = Layout("zarr.json", b'"zarr_format"', r"(\w+/)?zarr\.json|\w+/c(/\d+)*")

# OpenEXR has no 64-bit floats. A value too small for 32 bits becomes this number, with its sign.
_LEAST32 = np.finfo(np.float32).tiny

Facts = Mapping[str, str | int | float]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The content of a file. channels: arrays [rows, columns] by name, row 0 lowest in the plane.

    coordinates: float64 [columns] or [rows] by name; names that begin with x belong to columns, with y to rows.
    facts: properties of all samples. about: properties of single channels and coordinates, by name.
    """

    channels: Mapping[str, np.ndarray]
    coordinates: Mapping[str, np.ndarray]
    facts: Facts
    about: Mapping[str, Facts] = field(default_factory=dict)


class Format(NamedTuple):
    """A row of FORMATS. write: writes arrays to a path atomically. packages: the packages that it imports."""

    write: Callable[[Path, Arrays], None]
    packages: tuple[str, ...]
    about: str


def write(path: Path, arrays: Arrays) -> None:
    """Write arrays atomically in the format of the path's suffix. Raises EncodeError, WriteError."""
    format_of(path).write(path, arrays)


def format_of(path: Path) -> Format:
    """Return the row of FORMATS for a path. Raises EncodeError for another suffix, or if its library is missing."""
    row = FORMATS.get(path.suffix.lower())
    if row is None:
        known = ", ".join(f"{suffix} ({row.about})" for suffix, row in FORMATS.items())
        raise EncodeError(f"{path}: the name must end in one of {known}.")
    try:
        for package in row.packages:
            importlib.import_module(package)
    except ImportError as error:
        raise EncodeError(
            f"{row.about} needs the extra `export` ({error.name} is not installed). Install it with "
            f"`pip install '.[export]'` in a checkout, or `.venv/bin/pip install {' '.join(row.packages)}`."
        ) from error
    if path.suffix.lower() == ".zarr":
        check_folder(path, layout=_ZARR)
    return row


# ---- formats -----------------------------------------------------------------------------------------------------


def _npz(path: Path, arrays: Arrays) -> None:
    contents: dict[str, Any] = {**arrays.coordinates, **arrays.channels, "facts": np.array(json.dumps(_all(arrays)))}
    with WholeFile(path, fsync=False) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **contents)


def _zarr(path: Path, arrays: Arrays) -> None:
    import xarray

    data = xarray.Dataset(
        {name: (("y", "x"), values, arrays.about.get(name, {})) for name, values in arrays.channels.items()},
        {name: (name[0], values, arrays.about.get(name, {})) for name, values in arrays.coordinates.items()},
        dict(arrays.facts),
    )
    # Every dimension has chunks, so that a reader of a part of a large window reads only that part.
    chunks = {name: {"chunks": tuple(min(_CHUNK, n) for n in values.shape)} for name, values in data.data_vars.items()}
    with whole_folder(path, layout=_ZARR) as folder, warnings.catch_warnings():
        # Consolidated metadata let readers open the file faster, and xarray warns where they are missing. zarr warns
        # that they are not in the specification yet; readers that do not support them ignore them.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        data.to_zarr(folder, mode="w", zarr_format=3, consolidated=True, encoding=chunks)


def _tiff(path: Path, arrays: Arrays) -> None:
    import tifffile

    size = sum(values.nbytes for values in arrays.channels.values())
    with (
        WholeFile(path, fsync=False) as partial,
        tifffile.TiffWriter(partial, bigtiff=size > _CLASSIC_TIFF_BYTES) as file,
    ):
        for name, values in arrays.channels.items():
            facts = json.dumps({**arrays.facts, **arrays.about.get(name, {}), "channel": name})
            file.write(
                np.flipud(values),  # a picture's first row is the highest
                photometric="minisblack",
                compression="zlib",
                tile=(_CHUNK, _CHUNK),
                description=facts,
                extratags=[(285, "s", 0, name, True)],  # PageName
                metadata=None,
            )


def _exr(path: Path, arrays: Arrays) -> None:
    write_exr(path, {name: np.flipud(values) for name, values in arrays.channels.items()}, _all(arrays))


def write_exr(path: Path, channels: Mapping[str, np.ndarray], facts: Facts) -> None:
    """Write channels [rows, columns], row 0 highest, as one OpenEXR file, atomically.

    float64 and int32 become 32-bit floats, uint8 becomes uint32, float16 stays. facts: the attributes of the file.
    """
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **facts}
    pixels = {name: np.ascontiguousarray(_as_exr(values)) for name, values in channels.items()}
    # In memory first: OpenEXR takes only names that are UTF-8, and says of a full disk that it is a fault of pixels.
    content = io.BytesIO()
    try:
        OpenEXR.File(header, pixels).write(content)
    except RuntimeError as error:
        raise EncodeError(f"{path}: OpenEXR cannot write it: {error}") from error
    write_whole(path, content.getvalue())


def read_facts(path: Path) -> dict[str, Any]:
    """Return the facts that a file of one of FORMATS, or a print, carries; {} if it carries none that can be read.

    Values are as the format keeps them: numbers or texts.
    """
    read = _READERS.get(path.suffix.lower())
    try:
        facts = {} if read is None else read(path)
    # What other programs made, or what is damaged, makes each library fail in its own ways.
    except Exception:
        return {}
    return facts if isinstance(facts, dict) else {}


def _npz_facts(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["facts"]))


def _zarr_facts(path: Path) -> Any:
    return json.loads((path / _ZARR.mark).read_bytes())["attributes"]


def _tiff_facts(path: Path) -> Any:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        return json.loads(page.description)


def read_exr_facts(path: Path) -> dict[str, Any]:
    """Return the attributes of an OpenEXR file, without reading its pixels. Raises EncodeError."""
    import OpenEXR

    named = not any("\ud800" <= letter <= "\udfff" for letter in str(path))  # its name is UTF-8
    try:
        source = str(path) if named else io.BytesIO(path.read_bytes())
        with OpenEXR.File(source, header_only=True) as file:
            return dict(file.header())
    except (RuntimeError, ValueError, OSError) as error:
        raise EncodeError(f"{path} must be a readable OpenEXR file: {error}") from error


def _as_exr(values: np.ndarray) -> np.ndarray:
    """Return values in one of the three types of OpenEXR."""
    if values.dtype == np.uint8:
        return values.astype(np.uint32)
    if values.dtype != np.float64:
        return values if values.dtype == np.float16 else values.astype(np.float32)
    return in_float32(values)


def in_float32(values: np.ndarray) -> np.ndarray:
    """Return float64 values as float32; one too small for that becomes the smallest number of its sign."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    lost = (np.abs(narrow) < _LEAST32) & (values != 0)
    narrow[lost] = np.copysign(_LEAST32, values[lost])
    return narrow


def _all(arrays: Arrays) -> dict[str, str | int | float]:
    """Return all facts in one table; those of channels and coordinates have their names as prefixes."""
    return {**arrays.facts, **{f"{name}_{key}": v for name, facts in arrays.about.items() for key, v in facts.items()}}


_READERS: dict[str, Callable[[Path], Any]] = {
    ".npz": _npz_facts,
    ".zarr": _zarr_facts,
    **dict.fromkeys((".tif", ".tiff", ".btf"), _tiff_facts),
    ".exr": lambda path: read_exr_facts(path),
}

# A new format is a row here.
FORMATS: dict[str, Format] = {
    ".npz": Format(_npz, ("numpy",), "NumPy"),
    ".zarr": Format(_zarr, ("xarray", "zarr"), "Zarr"),
    ".tif": Format(_tiff, ("tifffile",), "float TIFF"),
    ".tiff": Format(_tiff, ("tifffile",), "float TIFF"),
    ".exr": Format(_exr, ("OpenEXR",), "OpenEXR"),
}
