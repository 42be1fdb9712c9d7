"""Frames become files: a film through ffmpeg, a picture through Pillow.

Both are written beside their final name and renamed when whole, so a path holds a complete file or nothing; and
neither holds a clock, so the same frames give the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import numpy as np

from render.errors import EncodeError

# x264 gives other bytes at 1, 2 and 4 threads (tried), and its own choice follows the machine.
_THREADS = "4"

# Without tags a player guesses BT.601, an error of up to 40 of 255 on flat colours. Conversion, frame parameters and
# output flags are all needed: ffmpeg 4 to 7 take the flags for mere labels, 9 drops two of them without setparams.
# With all three the largest error is 2 (ffmpeg 4.2.2, 7.0.2, 9.0.2). The transfer is tagged sRGB because frames
# leave linear light through the sRGB curve, and so a film and a PNG of the same frame look alike.
_FILTERS = (
    "scale=in_range=full:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+lanczos,"
    "format={pixels},setparams=color_primaries=bt709:color_trc=iec61966-2-1:colorspace=bt709:range=tv"
)
_TAGS = "-color_primaries bt709 -color_trc iec61966-2-1 -colorspace bt709 -color_range tv"

_REMEDY = "Install imageio-ffmpeg again, or let IMAGEIO_FFMPEG_EXE name another ffmpeg."


class Codec(NamedTuple):
    """One way to compress a film: ffmpeg's pixel format, and the encoder with its options."""

    pixels: str
    encoder: str


# h264 is 8-bit 4:2:0, since most browsers play no other H.264. hevc has ten bits, against banding; Apple's players
# want the tag hvc1; info=0 keeps the processor out. (x265 gave the same bytes at every thread count tried.)
CODECS = {
    "h264": Codec("yuv420p", "-c:v libx264 -preset medium -profile:v high -bf 2"),
    "hevc": Codec(
        "yuv420p10le",
        "-c:v libx265 -preset medium -tag:v hvc1 -x265-params log-level=error:info=0:pools=4:frame-threads=2",
    ),
}


class VideoWriter:
    """Write frames to an MP4 film, as a context manager.

    The film stands at `path` after a clean end of the with-block only; an exception stops ffmpeg and leaves nothing.

    path: missing folders are made, an existing file is replaced.
    size_px: (width, height), both even and at least 16.
    fps: 0.1 to 1000 frames per second. Ratios such as 30000 / 1001 are recognised.
    codec: a name in `CODECS`.
    crf: 1 (best) to 51 (smallest). At 16, H.264 scored VMAF 99.9 with two thirds of the bits of 12.
    metadata: provenance, kept as one JSON object in the film's comment.
    """

    def __init__(
        self,
        path: Path,
        size_px: tuple[int, int],
        fps: float,
        *,
        codec: str = "h264",
        crf: int = 16,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if any(side < 16 or side % 2 for side in size_px):
            raise EncodeError(f"{path}: width and height must be even and at least 16, not {size_px[0]}x{size_px[1]}.")
        if not 0.1 <= fps <= 1000:
            raise EncodeError(f"{path}: fps must be from 0.1 to 1000, not {fps:g}.")
        if codec not in CODECS:
            raise EncodeError(f"{path}: codec must be one of {', '.join(CODECS)}, not {codec!r}.")
        if not 1 <= crf <= 51:
            raise EncodeError(f"{path}: crf must be from 1 to 51, not {crf}.")
        self.path = path
        self.size_px = size_px
        self.frames = 0
        rate = Fraction(fps).limit_denominator(1001)
        pixels, encoder = CODECS[codec]
        # Two keyframes a second let a player jump quickly; JSON is ASCII, so no locale can harm it.
        options = (
            f"-hide_banner -loglevel error -nostdin -y -f rawvideo -pix_fmt rgb24 -s {size_px[0]}x{size_px[1]} "
            f"-r {rate} -i - -vf {_FILTERS.format(pixels=pixels)} {encoder} -crf {crf} -g {max(1, round(rate / 2))} "
            f"-pix_fmt {pixels} {_TAGS} -threads {_THREADS} -fflags +bitexact -flags:v +bitexact "
            f"-movflags +faststart+write_colr -f mp4 -map_metadata -1 -metadata"
        )
        self._options = [*options.split(), f"comment={json.dumps(dict(metadata or {}), sort_keys=True)}"]
        self._partial: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        ffmpeg = _ffmpeg()
        self._partial = _claim(self.path)
        try:
            # ffmpeg's words go to a file, since a full pipe would block it. In a session of its own it does not hear
            # Ctrl-C, which would end the film early but cleanly.
            self._log = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                [ffmpeg, *self._options, f"file:{self._partial}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
        except OSError as error:
            self._discard()
            raise EncodeError(f"ffmpeg could not be started from {ffmpeg} ({error.strerror}). {_REMEDY}") from None
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: uint8 [height, width, 3], sRGB, row 0 at the top."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("VideoWriter.write works inside the with-block only.")
        _check_frame(self.path, frame, self.size_px)
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError:
            raise self._trouble() from None
        self.frames += 1

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        assert self._process is not None and self._process.stdin is not None and self._partial is not None
        if self.frames == 0:
            raise EncodeError(f"{self.path}: a film must have at least one frame, but none was written.")
        with contextlib.suppress(OSError):  # a broken pipe shows in the exit code too
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._trouble()
        kept = _count_frames(self._partial)
        if kept != self.frames:
            raise EncodeError(f"{self.path}: ffmpeg must keep all {self.frames} frames, but kept {kept}. {_REMEDY}")
        try:
            self._partial.replace(self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _trouble(self) -> EncodeError:
        """Return what ffmpeg said. Only for when it has ended, or closed its end of the pipe and is about to."""
        assert self._process is not None and self._log is not None
        code = self._process.wait()
        self._log.seek(0)
        words = re.sub(r" @ 0x[0-9a-f]+", "", self._log.read().decode(errors="replace"))
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        # The cause comes first and the consequences last.
        said = " | ".join(lines if len(lines) <= 5 else [*lines[:3], *lines[-2:]]) or "nothing"
        return EncodeError(
            f"{self.path}: ffmpeg must take every frame, but stopped after {self.frames} with exit code {code} and "
            f"said: {said} (disk: {shutil.disk_usage(self.path.parent).free / 1e6:.0f} MB free). "
            "Make room if that is little, or try another codec."
        )

    def _discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._process = None
        if self._log is not None:
            self._log.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)


def write_png(path: Path, frame: np.ndarray, metadata: Mapping[str, str]) -> None:
    """Write one frame, uint8 [height, width, 3] sRGB, as a PNG that carries its metadata as text chunks.

    metadata: names of 1 to 79 printable ASCII characters; values without the character NUL.
    """
    from PIL import Image, PngImagePlugin

    _check_frame(path, frame)
    chunks = PngImagePlugin.PngInfo()
    for name, text in sorted(metadata.items()):
        if not (name.isascii() and name.isprintable() and 0 < len(name.strip()) == len(name) < 80):
            raise EncodeError(f"{path}: a metadata name must be 1 to 79 printable ASCII characters, not {name!r}.")
        if "\0" in text:
            raise EncodeError(f"{path}: metadata {name!r} must not hold the character NUL.")
        chunks.add_text(name, text)
    partial = _claim(path)
    try:
        Image.fromarray(frame).save(partial, format="PNG", pnginfo=chunks, compress_level=6)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def read_png_metadata(path: Path) -> dict[str, str]:
    """Return the text chunks of a PNG by name."""
    from PIL import Image, PngImagePlugin

    try:
        with Image.open(path, formats=["PNG"]) as image:
            assert isinstance(image, PngImagePlugin.PngImageFile)
            return {name: str(text) for name, text in image.text.items()}
    except (OSError, SyntaxError, ValueError) as error:
        raise EncodeError(f"{path} must be a readable PNG: {error}.") from None


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise EncodeError(f"No ffmpeg binary was found. {_REMEDY}") from None


def _check_frame(path: Path, frame: np.ndarray, size_px: tuple[int, int] | None = None) -> None:
    """Refuse a frame that is not uint8 [height, width, 3], of the given (width, height) if there is one."""
    wanted = "height, width, 3" if size_px is None else f"{size_px[1]}, {size_px[0]}, 3"
    fits = frame.ndim == 3 and frame.shape[2] == 3 and (size_px is None or frame.shape[1::-1] == tuple(size_px))
    if frame.dtype != np.uint8 or not fits:
        raise EncodeError(f"{path}: a frame must be uint8 [{wanted}], not {frame.dtype} {list(frame.shape)}.")


def _claim(path: Path) -> Path:
    """Make the folder and an empty partial file beside the path, so that trouble shows before any work.

    The name holds the process: two renders of one film do not write into each other, and what a killed one left
    behind is told from what a living one writes.
    """
    partial = path.parent / f"{path.name}.{os.getpid()}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
            if not _is_alive(left.name.split(".")[-2]):
                left.unlink(missing_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial.write_bytes(b"")
    except OSError as error:
        raise _unwritable(path, error) from None
    return partial


def _is_alive(pid: str) -> bool:
    if os.name != "posix" or not pid.isdecimal():
        return True  # who knows
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _unwritable(path: Path, error: OSError) -> EncodeError:
    reason = error.strerror or error
    return EncodeError(f"{path} must be a file that can be written, but: {reason}. Choose another path or make room.")


def _count_frames(film: Path) -> int:
    """Return the number of frames in the sample table (atom stsz, inside moov) of an MP4; 0 without one."""
    with film.open("rb") as file:
        while len(head := file.read(8)) == 8:
            content_bytes = max(0, int.from_bytes(head[:4], "big") - 8)
            if head[4:] == b"moov":
                table = file.read(content_bytes).partition(b"stsz")[2]
                return int.from_bytes(table[8:12], "big")
            file.seek(content_bytes, os.SEEK_CUR)
    return 0
