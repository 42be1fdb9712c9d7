"""The ffmpeg that imageio-ffmpeg installs, or that IMAGEIO_FFMPEG_EXE names: its path and its features."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from render.encode.codecs import CODECS, SEQUENCE, Codec
from render.errors import EncodeError
from render.machine import sizes

# Variables that make ffmpeg write a report of every run, which may fail, and colours into what it says.
_REPORTS = ("FFREPORT", "AV_LOG_FORCE_COLOR", "AV_LOG_FORCE_256COLOR")

# Variables of the C library that fill or place memory. x264 reads memory that it has not written wherever a frame is no
# whole number of eight macroblocks wide: with MALLOC_PERTURB_=165 a film of 320 x 180 pixels had other bytes. (Without
# its macroblock tree, or without assembler, it had the same, and so had the other encoders.)
_MEMORY = ("MALLOC_", "GLIBC_TUNABLES")

REMEDY = "Install imageio-ffmpeg again, or let IMAGEIO_FFMPEG_EXE name another ffmpeg."


def binary() -> str:
    """Return the path of the ffmpeg that films are made with."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise EncodeError(f"No ffmpeg binary was found. {REMEDY}") from None


def environ() -> dict[str, str]:
    """Return the variables that ffmpeg runs with: without those that change the film, or what is written besides."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*_REPORTS, *_MEMORY))}


def version() -> str:
    """Return the version of ffmpeg."""
    match = re.match(r"ffmpeg version (\S+)", _output("-version"))
    if not match:
        raise EncodeError(f"{binary()} must be an ffmpeg, but does not say its version. {REMEDY}")
    return match[1]


def missing_encoders() -> list[str]:
    """Return the names in CODECS whose encoder this ffmpeg lacks."""
    known = _encoders(binary())
    return [name for name, codec in CODECS.items() if known and codec.encoder_name not in known]


def check_encoder(name: str, codec: Codec) -> None:
    """Raise EncodeError if this ffmpeg lacks the encoder of a codec; the message lists the codecs that it has."""
    known = _encoders(binary())
    if not known:
        version()  # raises if it is no ffmpeg at all
    if known and codec.encoder_name not in known:
        available = [other for other, row in CODECS.items() if row.encoder_name in known]
        raise EncodeError(
            f'codec "{name}" needs the encoder {codec.encoder_name}, which {binary()} was built without. Choose one '
            f"of {', '.join([*available, SEQUENCE])}, or let IMAGEIO_FFMPEG_EXE name an ffmpeg that has it."
        )


def read_film_comment(path: Path) -> str:
    """Return the comment of a film; an empty text if it has none."""
    done = _run("-v", "error", "-i", f"file:{path}", "-f", "ffmetadata", "-")
    if done.returncode != 0:
        raise EncodeError(f"{path} must be a readable film, but ffmpeg says: {done.stderr.strip()[-300:]}")
    # A backslash precedes each =, ;, #, backslash and end of a line (ffmpeg's documentation, "Metadata").
    comment = re.search(r"^comment=((?:\\.|[^\\\n])*)$", done.stdout, re.DOTALL | re.MULTILINE | re.IGNORECASE)
    return re.sub(r"\\(.)", r"\1", comment[1], flags=re.DOTALL) if comment else ""


def comment_file(comment: str) -> bytes:
    """Return a file in ffmpeg's format of metadata that holds a comment: the inverse of `read_film_comment`.

    A comment is not passed on the command line, where Linux allows 128 kB for an argument: the comment of a scene with
    many keyframes of many digits is longer.
    """
    return (";FFMETADATA1\ncomment=" + re.sub(r"([=;#\\\n])", r"\\\1", comment) + "\n").encode()


def count_frames(path: Path) -> int:
    """Return the number of frames of a film; 0 if it cannot be read."""
    done = _run("-v", "error", "-i", f"file:{path}", "-map", "0:v", "-c", "copy", "-f", "null", "-progress", "-", "-")
    counts = re.findall(r"^frame=(\d+)$", done.stdout, re.MULTILINE)
    return int(counts[-1]) if done.returncode == 0 and counts else 0


def frame_times(path: Path) -> tuple[Fraction, list[int]]:
    """Return the duration of a tick of a film's clock in seconds, and the ticks at which its frames are shown.

    All packets are read, but not decoded. The list is empty if the film cannot be read.
    """
    done = _run("-v", "error", "-xerror", "-i", f"file:{path}", "-map", "0:v", "-c", "copy", "-f", "framecrc", "-")
    clock = re.search(r"^#tb 0: (\d+/\d+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or clock is None:
        return Fraction(1), []
    # Each packet is a line: stream, time of decoding, time of display, duration, size, checksum.
    return Fraction(clock[1]), sorted(int(line.split(",")[2]) for line in done.stdout.splitlines() if line[0] != "#")


def stream_end_s(path: Path, stream: str, *, decode: bool = False) -> float:
    """Return the second at which a stream of a file ends, such as "0:a:0"; 0 if there is none, or it cannot be read.

    decode: decode every packet, since some files do not say the length of theirs.
    """
    how = [] if decode else ["-c", "copy"]
    done = _run("-v", "error", "-xerror", "-i", f"file:{path}", "-map", stream, *how, "-f", "framecrc", "-")
    clock = re.search(r"^#tb 0: (\d+/\d+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or clock is None:
        return 0.0
    packets = (line.split(",") for line in done.stdout.splitlines() if line[0] != "#")
    ends = (int(packet[2]) + int(packet[3]) for packet in packets)
    return float(Fraction(clock[1]) * max(ends, default=0))


def opens(path: Path) -> bool:
    """Return whether the first frame of a film and the frames of its last second can be decoded."""
    ends = (["-i", f"file:{path}", "-frames:v", "1"], ["-sseof", "-1", "-i", f"file:{path}"])
    done = (_run("-v", "error", "-xerror", *end, "-map", "0:v", "-f", "null", "-") for end in ends)
    return all(one.returncode == 0 and not one.stderr.strip() for one in done)


def read_film(path: Path) -> np.ndarray:
    """Return all frames of a short film as they are decoded, uint8 [frame, height, width, 3] sRGB, row 0 at the top.

    Raises EncodeError.
    """
    import imageio.v3 as iio

    # Otherwise imageio-ffmpeg starts ffmpeg by a fork that runs Python code, which may hang with JAX's threads.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    # imageio treats GIF and WebP as pictures, which its ffmpeg plugin does not read.
    how = {"plugin": "pillow", "mode": "RGB"} if path.suffix in (".gif", ".webp") else {"plugin": "FFMPEG"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio-ffmpeg leaves the pipes of an ended process open
        try:
            return np.stack(list(iio.imiter(path, **how)))
        except (OSError, RuntimeError, ValueError) as error:
            fault = str(error).strip()[-300:]
        finally:
            gc.collect()
    raise EncodeError(f"{path} must be a readable film: {fault}")


def identity() -> str:
    """Return a text that identifies this ffmpeg on this machine: its version output, its size and its date.

    The version output does not give the versions of the encoders.
    """
    program = Path(shutil.which(binary()) or binary())
    try:
        status = program.stat()
    except OSError as error:
        raise EncodeError(f"ffmpeg could not be started from {program} ({error.strerror}). {REMEDY}") from None
    return f"{_output('-version')}\n{status.st_size} {status.st_mtime_ns}"


@functools.cache
def _encoders(program: str) -> frozenset[str]:
    """Return the names of an ffmpeg's encoders; an empty set if it does not list them."""
    _, listed, rows = _output("-encoders").partition("Encoders:")
    return frozenset(re.findall(r"^ [VAS]\S{5} (\S+)", rows, re.MULTILINE)) if listed else frozenset()


def _output(*arguments: str) -> str:
    return _run(*arguments).stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [binary(), "-hide_banner", "-nostdin", *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environ(),
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise EncodeError(f"ffmpeg could not be started from {command[0]} ({error.strerror}). {REMEDY}") from None


def room(path: Path, code: int = 0) -> str:
    """Return as a phrase what room there was for a file that ffmpeg could not write; "" if its folder is gone.

    code: ffmpeg's exit code, where it has ended.
    """
    if os.name == "posix" and code == -signal.SIGXFSZ:
        return " (it met the limit on the size of files: ulimit -f)"
    try:
        return f" (disk: {sizes.in_words(shutil.disk_usage(path.parent).free)} free)"
    except OSError:
        return ""


# A frame in 1080p then needs 6 pairs of writes and reads, not 95.
_PIPE_BYTES = 2**20


def widen(pipe: IO[bytes] | None) -> None:
    """Enlarge the buffer of a pipe, where the system supports (Linux) and allows it."""
    if pipe is not None and sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
