"""The ffmpeg that imageio-ffmpeg brings, or that IMAGEIO_FFMPEG_EXE names: where it is, and what it can do."""

from __future__ import annotations

import functools
import gc
import os
import re
import shutil
import subprocess
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.encode.codecs import CODECS, SEQUENCE, Codec
from render.errors import EncodeError

REMEDY = "Install imageio-ffmpeg again, or let IMAGEIO_FFMPEG_EXE name another ffmpeg."


def binary() -> str:
    """Return the path of the ffmpeg that films are made with."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise EncodeError(f"No ffmpeg binary was found. {REMEDY}") from None


def version() -> str:
    """Return the version that ffmpeg gives itself."""
    found = re.match(r"ffmpeg version (\S+)", _output("-version"))
    if not found:
        raise EncodeError(f"{binary()} must be an ffmpeg, but does not say its version. {REMEDY}")
    return found[1]


def missing_encoders() -> list[str]:
    """Return the names in CODECS whose encoder this ffmpeg lacks."""
    known = _encoders(binary())
    return [name for name, codec in CODECS.items() if known and codec.encoder_name not in known]


def check_encoder(name: str, codec: Codec) -> None:
    """Refuse a codec whose encoder this ffmpeg lacks, with those that it has."""
    known = _encoders(binary())
    if known and codec.encoder_name not in known:
        there = [other for other, row in CODECS.items() if row.encoder_name in known]
        raise EncodeError(
            f'codec "{name}" needs the encoder {codec.encoder_name}, which {binary()} was built without. Choose one '
            f"of {', '.join([*there, SEQUENCE])}, or let IMAGEIO_FFMPEG_EXE name an ffmpeg that has it."
        )


def read_film_comment(path: Path) -> str:
    """Return the comment that a film carries; an empty text if it has none."""
    done = _run("-v", "error", "-i", f"file:{path}", "-f", "ffmetadata", "-")
    if done.returncode != 0:
        raise EncodeError(f"{path} must be a readable film, but ffmpeg says: {done.stderr.strip()[-300:]}")
    # A backslash stands before =, ;, #, a backslash and the end of a line (ffmpeg's documentation, "Metadata").
    found = re.search(r"^comment=((?:\\.|[^\\\n])*)$", done.stdout, re.DOTALL | re.MULTILINE | re.IGNORECASE)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else ""


def comment_file(comment: str) -> bytes:
    """Return a file in ffmpeg's format of metadata that holds a comment: the inverse of `read_film_comment`.

    A comment does not travel on the command line, where Linux allows 128 kB for an argument: that of a scene with many
    keyframes of many digits is longer.
    """
    return (";FFMETADATA1\ncomment=" + re.sub(r"([=;#\\\n])", r"\\\1", comment) + "\n").encode()


def count_frames(path: Path) -> int:
    """Return the number of frames of a film's one stream; 0 if it cannot be read."""
    done = _run("-v", "error", "-i", f"file:{path}", "-map", "0:v", "-c", "copy", "-f", "null", "-progress", "-", "-")
    counts = re.findall(r"^frame=(\d+)$", done.stdout, re.MULTILINE)
    return int(counts[-1]) if done.returncode == 0 and counts else 0


def frame_times(path: Path) -> tuple[Fraction, list[int]]:
    """Return the seconds of a tick of a film's clock, and the ticks at which its frames are shown, in order.

    Every packet is read and none is decoded. No frames where the film cannot be read.
    """
    done = _run("-v", "error", "-xerror", "-i", f"file:{path}", "-map", "0:v", "-c", "copy", "-f", "framecrc", "-")
    clock = re.search(r"^#tb 0: (\d+/\d+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or clock is None:
        return Fraction(1), []
    # A packet is a line: stream, when it is decoded, when it is shown, duration, size, checksum.
    return Fraction(clock[1]), sorted(int(line.split(",")[2]) for line in done.stdout.splitlines() if line[0] != "#")


def stream_s(path: Path, stream: str, *, decode: bool = False) -> float:
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
    """Say whether the first frame of a film is decoded, and those of its last second, which a player jumps to."""
    ends = (["-i", f"file:{path}", "-frames:v", "1"], ["-sseof", "-1", "-i", f"file:{path}"])
    done = (_run("-v", "error", "-xerror", *end, "-map", "0:v", "-f", "null", "-") for end in ends)
    return all(one.returncode == 0 and not one.stderr.strip() for one in done)


def read_film(path: Path) -> np.ndarray:
    """Return all frames of a short film as they are decoded, uint8 [frame, height, width, 3] sRGB, row 0 at the top.

    Raises EncodeError.
    """
    import imageio.v3 as iio

    # Else imageio-ffmpeg starts ffmpeg by a fork with Python code in it, which may hang beside JAX's threads.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    # Films for messages are pictures to imageio, and its ffmpeg takes none.
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
    """Return what tells this ffmpeg from every other on this machine: its words about itself, its size and its date.

    Its version names none of the encoders that it was built with.
    """
    program = Path(shutil.which(binary()) or binary())
    try:
        status = program.stat()
    except OSError as error:
        raise EncodeError(f"ffmpeg could not be started from {program} ({error.strerror}). {REMEDY}") from None
    return f"{_output('-version')}\n{status.st_size} {status.st_mtime_ns}"


@functools.cache
def _encoders(program: str) -> frozenset[str]:
    """Return the names of an ffmpeg's encoders; none if it does not list them."""
    _, listed, rows = _output("-encoders").partition("Encoders:")
    return frozenset(re.findall(r"^ [VAS]\S{5} (\S+)", rows, re.MULTILINE)) if listed else frozenset()


def _output(*arguments: str) -> str:
    return _run(*arguments).stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [binary(), "-hide_banner", "-nostdin", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise EncodeError(f"ffmpeg could not be started from {command[0]} ({error.strerror}). {REMEDY}") from None
