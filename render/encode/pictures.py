"""Stills: PNG files with text chunks and 8 or 16 bits a channel."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from render.errors import EncodeError
from render.files.atomic import WholeFile

if TYPE_CHECKING:
    from PIL import PngImagePlugin


# The number of pixels of the largest frame that a scene may have.
_MOST_PIXELS = 16384 * 16384


def write_png(
    path: Path, frame: np.ndarray, metadata: Mapping[str, str], *, published: Callable[[str], None] | None = None
) -> None:
    """Write one frame, uint8 or uint16 [height, width, 3] sRGB, as a PNG with its metadata as text chunks.

    metadata: names of 1 to 79 printable ASCII characters; values without the character NUL. published: as in
    `WholeFile`: to write the picture's record.
    """
    import imageio.v3 as iio

    check_frame(path, frame, bits=8 * frame.dtype.itemsize if frame.dtype == np.uint16 else 8)
    chunks = _text_chunks(path, metadata)
    # imageio leaves a file open if the disk is full. So imageio only encodes, and the bytes are written here.
    with WholeFile(path, fsync=False, published=published) as partial:
        if frame.dtype == np.uint16:
            partial.write_bytes(_png16(frame, chunks))
        else:
            how: dict[str, Any] = {"plugin": "pillow", "extension": ".png", "is_batch": False}
            partial.write_bytes(iio.imwrite("<bytes>", frame, pnginfo=chunks, compress_level=6, **how))


def _text_chunks(path: Path, metadata: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    for name, text in sorted(metadata.items()):
        if not (name.isascii() and name.isprintable() and 0 < len(name.strip()) == len(name) < 80):
            raise EncodeError(f"{path}: a metadata name must be 1 to 79 printable ASCII characters, not {name!r}.")
        if "\0" in text:
            raise EncodeError(f"{path}: metadata {name!r} must not hold the character NUL.")
        chunks.add_text(name, text)
    return chunks


def _png16(frame: np.ndarray, chunks: PngImagePlugin.PngInfo) -> bytes:
    """Return a PNG of 16 bits a channel with text (PNG specification, sections 5, 7 and 9).

    The installed libraries cannot write one (imageio 2.38, Pillow 12): imageio's plugin "pillow" rejects such an
    array, as Pillow does; "PNG-PIL" rounds it to 8 bits; "FFMPEG" writes only films; "opencv" omits the text.
    """
    height, width = frame.shape[:2]
    rows = frame.astype(">u2").view(np.uint8).reshape(height, width * 6)
    # Filter 2, "up": every row is stored as its difference from the row above.
    up = np.empty((height, 1 + width * 6), np.uint8)
    up[:, 0] = 2
    up[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=up[1:, 1:])
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))]
    parts += [(chunk[0], chunk[1]) for chunk in chunks.chunks]
    parts += [(b"IDAT", zlib.compress(up.tobytes(), 6)), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def shrunk(frame: np.ndarray, width_px: int) -> np.ndarray:
    """Return a frame, uint8 [height, width, 3], at a smaller width and the same aspect; pixels are area means."""
    from PIL import Image

    height, width = frame.shape[:2]
    if width <= width_px:
        return frame
    size = width_px, max(1, round(height * width_px / width))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def read_png_metadata(path: Path | IO[bytes]) -> dict[str, str]:
    """Return the text chunks of a PNG, given as a path or an open file, by name."""
    try:
        with open_png(path) as image:
            return {name: str(text) for name, text in image.text.items()}
    except (OSError, SyntaxError, ValueError) as error:
        name = path if isinstance(path, Path) else "The picture"
        raise EncodeError(f"{name} must be a readable PNG: {error}.") from None


def open_png(path: Path | IO[bytes]) -> PngImagePlugin.PngImageFile:
    """Open a PNG of up to the size of the largest frame. Raises OSError, SyntaxError or ValueError.

    Pillow's Image.open, which imageio uses too, rejects 179 million pixels and more, because a small file may claim any
    number of pixels. That limit applies to the whole process, so it is not changed.
    """
    from PIL import PngImagePlugin

    image = PngImagePlugin.PngImageFile(path)
    if image.width * image.height > _MOST_PIXELS:
        image.close()
        raise ValueError(f"it has {image.width} x {image.height} pixels, and must have at most {_MOST_PIXELS:,}")
    return image


def animated_s(path: Path) -> float:
    """Return the duration of an animated GIF or WebP in seconds; 0 if it cannot be read.

    It uses Pillow, because imageio does not give the format of a file whose name has no suffix. A WebP of a single
    picture has no duration, which counts as infinity.
    """
    from PIL import Image, ImageSequence

    shown_ms = 0.0
    try:
        with Image.open(path, formats=["GIF", "WEBP"]) as image:
            if image.format == "WEBP" and not getattr(image, "is_animated", False):
                image.load()
                return math.inf
            for picture in ImageSequence.Iterator(image):
                picture.load()  # for a WebP this also reads the duration
                shown_ms += picture.info["duration"]
    except (OSError, SyntaxError, ValueError, KeyError, EOFError, Image.DecompressionBombError):
        return 0.0
    return shown_ms / 1000


def write_thumbnail(path: Path, picture: Path, width_px: int) -> None:
    """Write a PNG atomically as a JPEG of at most this width. Each pixel is the mean of an area."""
    import imageio.v3 as iio

    with WholeFile(path, fsync=False) as partial, open_png(picture) as image:
        how: dict[str, Any] = {"plugin": "pillow", "extension": ".jpg", "is_batch": False}
        small = shrunk(np.asarray(image), width_px)
        partial.write_bytes(iio.imwrite("<bytes>", small, quality=90, subsampling=0, **how))


def check_frame(path: Path, frame: np.ndarray, size_px: tuple[int, int] | None = None, *, bits: int = 8) -> None:
    """Raise EncodeError if a frame is not [height, width, 3] of so many bits, with the given (width, height) if any."""
    wanted = "height, width, 3" if size_px is None else f"{size_px[1]}, {size_px[0]}, 3"
    fits = frame.ndim == 3 and frame.shape[2] == 3 and (size_px is None or frame.shape[1::-1] == tuple(size_px))
    if frame.dtype != f"uint{bits}" or not fits:
        raise EncodeError(f"{path}: a frame must be uint{bits} [{wanted}], not {frame.dtype} {list(frame.shape)}.")
