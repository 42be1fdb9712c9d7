"""Films: frames through a pipe into ffmpeg, checked at the end."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from render.encode.codecs import CODECS
from render.encode.ffmpeg import REMEDY, binary, check_encoder, count_frames
from render.encode.pictures import check_frame, count_pictures
from render.errors import EncodeError
from render.files import places
from render.files.atomic import WholeFile

# x264 gives other bytes at 1, 2 and 4 threads (tried), and its own choice follows the machine.
_THREADS = "4"


# A frame in 1080p then takes 6 turns of writing and reading, not 95.
_PIPE_BYTES = 2**20


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold more, where that can be asked for (Linux) and is allowed."""
    if pipe is not None and sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class VideoWriter:
    """Write frames to a film, as a context manager.

    The film stands at `path` after a clean end of the with-block only; an exception stops ffmpeg and leaves nothing.

    path: missing folders are made, an existing file is replaced. Its suffix should be the codec's.
    size_px: (width, height), both even and at least 16.
    fps: 0.1 to 1000 frames per second. Ratios such as 30000 / 1001 are recognised.
    codec: a name in `CODECS`.
    crf: 1 (best) to 51 (63 for AV1; smallest), or None for the codec's own; ignored where a codec has no such choice.
        At 16, H.264 scored VMAF 99.9 with two thirds of the bits of 12.
    metadata: provenance, kept as one JSON object in the film's comment.
    published: as in `WholeFile`: to write the film's record.
    """

    def __init__(
        self,
        path: Path,
        size_px: tuple[int, int],
        fps: float,
        *,
        codec: str = "h264",
        crf: int | None = None,
        metadata: Mapping[str, str] | None = None,
        published: Callable[[str], None] | None = None,
    ) -> None:
        if any(side < 16 or side % 2 for side in size_px):
            raise EncodeError(f"{path}: width and height must be even and at least 16, not {size_px[0]}x{size_px[1]}.")
        if not 0.1 <= fps <= 1000:
            raise EncodeError(f"{path}: fps must be from 0.1 to 1000, not {fps:g}.")
        if codec not in CODECS:
            raise EncodeError(f"{path}: codec must be one of {', '.join(CODECS)}, not {codec!r}.")
        row = CODECS[codec]
        if crf is not None and row.crf is not None and not 1 <= crf <= row.crf[1]:
            raise EncodeError(f"{path}: crf must be from 1 to {row.crf[1]} for {codec}, not {crf}.")
        self.path = path
        self.size_px = size_px
        self.frames = 0
        self.bits = row.bits
        self._codec = codec
        rate = Fraction(fps).limit_denominator(1001)
        quality = "" if row.crf is None else f"-crf {crf or row.crf[0]}"
        given = "rgb48le" if row.bits == 16 else "rgb24"
        # Two keyframes a second let a player jump quickly; JSON is ASCII, so no locale can harm it.
        options = (
            f"-hide_banner -loglevel error -nostdin -y -f rawvideo -pix_fmt {given} -s {size_px[0]}x{size_px[1]} "
            f"-r {rate} -i - -vf {row.filters.format(pixels=row.pixels)} {row.encoder} {quality} "
            f"-g {max(1, round(rate / 2))} -pix_fmt {row.pixels} {row.tags} -threads {_THREADS} -fflags +bitexact "
            f"-flags:v +bitexact {row.container} -map_metadata -1 -metadata"
        )
        self._options = [*options.split(), f"comment={json.dumps(dict(metadata or {}), sort_keys=True)}"]
        self._file = WholeFile(path, check=self._check, published=published)
        self._partial: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        ffmpeg = binary()
        check_encoder(self._codec, CODECS[self._codec])
        self._partial = self._file.__enter__()
        try:
            # ffmpeg's words go to a file, since a full pipe would block it. In a session of its own it does not hear
            # Ctrl-C, which would end the film early but cleanly.
            self._log = places.scratch_file(self._partial.parent)
            self._process = subprocess.Popen(
                [ffmpeg, *self._options, f"file:{self._partial}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
            _widen(self._process.stdin)
        except OSError as error:
            self._stop()
            self._file.discard()
            raise EncodeError(f"ffmpeg could not be started from {ffmpeg} ({error.strerror}). {REMEDY}") from None
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: uint8 or, for ten bits and more, uint16 [height, width, 3]; sRGB, row 0 at the top."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("VideoWriter.write works inside the with-block only.")
        check_frame(self.path, frame, self.size_px, bits=self.bits)
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError:
            raise self._trouble() from None
        self.frames += 1

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._end()
                self._file.publish()
        finally:
            self._stop()
            self._file.discard()

    def _end(self) -> None:
        """Let ffmpeg finish the film."""
        assert self._process is not None and self._process.stdin is not None
        if self.frames == 0:
            raise EncodeError(f"{self.path}: a film must have at least one frame, but none was written.")
        with contextlib.suppress(OSError):  # a broken pipe shows in the exit code too
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._trouble()

    def _check(self, partial: Path) -> None:
        """Refuse a film that does not open or lacks frames."""
        whole = CODECS[self._codec].whole
        # ffmpeg writes animated WebP, but does not read it.
        kept = count_frames(partial) if whole else count_pictures(partial)
        if kept != self.frames if whole else kept == 0:  # those that are not whole have a frame rate of their own
            raise EncodeError(f"{self.path}: ffmpeg must keep all {self.frames} frames, but kept {kept}. {REMEDY}")

    def _trouble(self) -> EncodeError:
        """Return what ffmpeg said. Only for when it has ended, or closed its end of the pipe and is about to."""
        assert self._process is not None and self._log is not None
        code = self._process.wait()
        if not self.path.parent.is_dir():
            return EncodeError(f"{self.path}: its folder is gone. Make it again, or choose another --out.")
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

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._process = None
        if self._log is not None:
            self._log.close()
