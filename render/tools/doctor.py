"""Is everything there that films need? Each check says what it found, and what to do if that is not enough."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from render import backends, encode
from render import scene as scenes
from render.backends import Batch
from render.errors import RenderError
from render.film import training_rate
from render.film.plan import Plan
from render.picture import typeface
from render.samples import CHANNELS
from render.storage import tile_format

# What a preview of a ten-decade film leaves on disk, twice.
_LEAST_FREE_BYTES = 500_000_000

# A character of every kind that frames and sheets are labelled with.
_LABELS = "lr₀ 2⁴⁵ −1.5e−3 … · é"


@dataclass(frozen=True)
class Finding:
    """What one check found. state: "ok"; "note" if films can be made, but not all or not as fast; "bad" if not."""

    what: str
    state: Literal["ok", "note", "bad"]
    found: str
    advice: str = ""


def examine(store: Path, out: Path) -> Iterator[Finding]:
    """Check ffmpeg, fonts, disks, devices and float64, one after the other; the last takes seconds."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "ffmpeg": _ffmpeg,
        "film": _film,
        "font": _font,
        "store": lambda: _disk("store", store),
        "output": lambda: _disk("output", out),
        "devices": _devices,
        "float64": _float64,
    }
    for what, check in checks.items():
        try:
            yield check()
        except RenderError as error:
            yield Finding(what, "bad", str(error))
        except Exception as error:  # a broken installation breaks anywhere, and the other checks still tell
            said = str(error).strip().splitlines()
            yield Finding(
                what,
                "bad",
                f"{type(error).__name__}: {said[-1] if said else ''}",
                "Set up anew: make clean, then make.",
            )


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _ffmpeg() -> Finding:
    version, missing = encode.version(), encode.missing_encoders()
    if not missing:
        return Finding("ffmpeg", "ok", f"{version}, with every encoder: {', '.join(encode.CODECS)}")
    there = [name for name in encode.CODECS if name not in missing]
    return Finding(
        "ffmpeg",
        "note" if "h264" in there else "bad",
        f"{version}, without encoders for {', '.join(missing)}",
        "Install imageio-ffmpeg anew (pip install -U imageio-ffmpeg), or let IMAGEIO_FFMPEG_EXE name another ffmpeg.",
    )


def _film() -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        metadata = {"scene": "é = 1\n"}
        with encode.VideoWriter(path, (64, 36), 24, metadata=metadata) as writer:
            for grey in (0, 128, 255):
                writer.write(np.full((36, 64, 3), grey, np.uint8))
        carried = encode.read_film_comment(path)
    if carried == json.dumps(metadata):
        return Finding("film", "ok", "three frames were encoded, counted, and carry their scene")
    found = "films do not carry their scene with this ffmpeg"
    return Finding("film", "note", found, "Keep the .json beside each film.")


def _font() -> Finding:
    from PIL import ImageFont

    font = ImageFont.truetype(typeface.BUNDLED, 20, layout_engine=ImageFont.Layout.BASIC)
    blank = bytes(font.getmask("\uffff"))
    lacking = [c for c in _LABELS if c != " " and bytes(font.getmask(c)) == blank]
    if not lacking:
        return Finding("font", "ok", f"{typeface.BUNDLED.name} writes every label")
    return Finding("font", "note", f"{typeface.BUNDLED} lacks {' '.join(lacking)}", "Install render anew.")


def _disk(what: str, folder: Path) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(what, "bad", f"{folder} cannot be written", f"Choose another folder with --{_OPTION[what]}.")
    free = shutil.disk_usage(there).free
    tiles = free // tile_format.room_bytes(CHANNELS)
    found = f"{free / 1e9:,.1f} GB free in {folder}: room for {tiles:,} tiles"
    if free < _LEAST_FREE_BYTES:
        return Finding(what, "note", found, f"Make room, or choose another folder with --{_OPTION[what]}.")
    return Finding(what, "ok", found)


_OPTION = {"store": "store", "output": "out"}


def _devices() -> Finding:
    backend = backends.make("local", scenes.load("tiny").problem)
    kind, platform_name = backend.numerics["device"], backend.numerics["backend"]
    found = f"{backend.workers} x {kind} ({platform_name}); {os.cpu_count()} processor cores"
    if platform_name == "cpu" and shutil.which("nvidia-smi"):
        advice = "An NVIDIA GPU is there, but JAX was installed without it: make video GPU=cuda13 (cuda12 if older)."
        return Finding("devices", "note", found, advice)
    return Finding("devices", "ok", found)


def _float64() -> Finding:
    scene = scenes.load("tiny")
    backend = backends.make("local", scene.problem)
    rate = training_rate.measure(Plan(scene), backend)
    x = y = np.full(8, 0.1)
    batches = iter([Batch((), x, y)])
    values = np.concatenate([field.value for _, field in backends.trained(backend.run(lambda: next(batches, None)))])
    # Single precision anywhere near the end of a run would leave a value that float32 holds.
    if values.dtype != np.float64 or (values.astype(np.float32) == values).any():
        return Finding(
            "float64",
            "bad",
            "training runs come out in single precision",
            "Unset JAX_ENABLE_X64 and other JAX_ settings.",
        )
    return Finding("float64", "ok", f"training runs in it, {rate.samples_per_s:,.0f} of the tiny scene's a second")
