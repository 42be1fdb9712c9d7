"""Checks of this machine and this installation: whether films can be made here, and what to do where they cannot."""

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
from render.backends import Batch, kernels
from render.errors import RenderError, WriteError
from render.files import atomic, places
from render.film import training_rate
from render.film.plan import Plan
from render.machine import cores, environment
from render.picture import typeface
from render.samples import CHANNELS, Points
from render.storage import tile_format

# What a preview of a ten-decade film leaves on disk, twice.
_LEAST_FREE_BYTES = 500_000_000

# Grey levels of the trial frames, and how far they may come back from these: a codec of 8 bits rounds them twice.
_GREYS, _MOST_ERROR = (0, 128, 255), 3

# One of each kind of character that labels of frames and sheets contain.
_LABELS = "lr₀ 2⁴⁵ −1.5e−3 … · é"


@dataclass(frozen=True)
class Finding:
    """The result of one check. state: "ok"; "note" if some films cannot be made, or are slower; "bad" if none can."""

    what: str
    state: Literal["ok", "note", "bad"]
    found: str
    advice: str = ""


def examine(store: Path, out: Path) -> Iterator[Finding]:
    """Check ffmpeg, fonts, disks, devices and float64 in turn. The last check takes seconds."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "cache": _cache,
        "scratch": _scratch,
        "ffmpeg": _ffmpeg,
        "film": lambda: _film(_nearest_existing(out)),
        "font": _font,
        "store": lambda: _disk("store", store),
        "output": lambda: _disk("output", out),
        "settings": _settings,
        "devices": _devices,
        "kernel": _kernel,
        "float64": _float64,
    }
    for what, check in checks.items():
        try:
            yield check()
        except RenderError as error:
            yield Finding(what, "bad", str(error))
        except Exception as error:  # a broken installation can fail anywhere, and the other checks must still run
            lines = str(error).strip().splitlines()
            yield Finding(
                what,
                "bad",
                f"{type(error).__name__}: {lines[-1] if lines else ''}",
                "Set up again: make clean, then make.",
            )


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _ffmpeg() -> Finding:
    version, missing = encode.version(), encode.missing_encoders()
    if not missing:
        return Finding("ffmpeg", "ok", f"{version}, with every encoder: {', '.join(encode.CODECS)}")
    available = [name for name in encode.CODECS if name not in missing]
    return Finding(
        "ffmpeg",
        "note" if "h264" in available else "bad",
        f"{version}, without encoders for {', '.join(missing)}",
        "Reinstall imageio-ffmpeg (pip install -U imageio-ffmpeg), or let IMAGEIO_FFMPEG_EXE name another ffmpeg.",
    )


def _film(beside: Path) -> Finding:
    try:
        scratch = places.scratch_folder(beside)
    except OSError as error:
        remark = f"no film could be made: neither a temporary folder nor --out can be written ({error.strerror})"
        return Finding("film", "bad", remark, "Set TMPDIR or --out to a folder that can be written.")
    with scratch as folder:
        path = Path(folder) / "film.mp4"
        metadata = {"scene": "é = 1\n"}
        with encode.VideoWriter(path, (64, 36), 24, metadata=metadata) as writer:
            for grey in _GREYS:
                writer.write(np.full((36, 64, 3), grey, np.uint8))
        carried = encode.read_film_comment(path)
        shown = [float(frame.mean()) for frame in encode.read_film(path)]
    if len(shown) != len(_GREYS) or np.abs(np.subtract(shown, _GREYS)).max() > _MOST_ERROR:
        remark = f"frames of grey {_GREYS} come back as {[round(grey) for grey in shown]}"
        return Finding("film", "bad", remark, "Reinstall imageio-ffmpeg (pip install -U imageio-ffmpeg).")
    if carried == json.dumps(metadata):
        return Finding("film", "ok", "three frames were encoded, come back when decoded, and carry their scene")
    remark = "films do not carry their scene with this ffmpeg"
    return Finding("film", "note", remark, "Keep the .json beside each film.")


def _font() -> Finding:
    from PIL import ImageFont

    font = ImageFont.truetype(typeface.BUNDLED, 20, layout_engine=ImageFont.Layout.BASIC)
    blank = bytes(font.getmask("\uffff"))
    lacking = [c for c in _LABELS if c != " " and bytes(font.getmask(c)) == blank]
    if not lacking:
        return Finding("font", "ok", f"{typeface.BUNDLED.name} writes every label")
    return Finding("font", "note", f"{typeface.BUNDLED} lacks {' '.join(lacking)}", "Reinstall render.")


def _cache() -> Finding:
    asked = os.environ.get("XDG_CACHE_HOME")
    folder = places.cache_folder("xla")
    advice = "Set XDG_CACHE_HOME to a folder that can be written, as an absolute path."
    if folder is None:
        home = os.path.expanduser("~")
        why = f"below {home}" if os.path.isabs(home) else "neither HOME nor an entry in passwd names a home"
        return Finding(
            "cache", "note", f"nowhere to keep compiled code ({asked or why}): every start takes seconds longer", advice
        )
    try:
        atomic.lacking(folder)
    except WriteError as error:
        remark = f"what {folder} lacks is compiled again at every start: {error.reason}"
        return Finding("cache", "note", remark, advice)
    if asked is not None and not os.path.isabs(asked):
        remark = f"XDG_CACHE_HOME is {asked!r}, which is not an absolute path, and is ignored: {folder} is used"
        return Finding("cache", "note", remark, advice)
    return Finding("cache", "ok", f"compiled code is kept in {folder}")


def _scratch() -> Finding:
    try:
        return Finding("scratch", "ok", f"temporary files go to {tempfile.gettempdir()}")
    except OSError:
        return Finding(
            "scratch",
            "note",
            "no folder for temporary files can be written: they go beside films, and --backend dask does not start",
            "Set TMPDIR to a folder that can be written.",
        )


def _nearest_existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return existing


def _disk(what: str, folder: Path) -> Finding:
    existing = _nearest_existing(folder)
    other = f"choose another folder with --{_OPTION[what]}."
    try:
        if not existing.is_dir():
            raise WriteError(existing, "it is not a folder")
        lacking = atomic.lacking(existing)
    except WriteError as error:
        advice = f"{error.advice}, or {other}" if error.advice else other.capitalize()
        return Finding(what, "bad", f"{folder} cannot be written: {error.reason}", advice)
    free = shutil.disk_usage(existing).free
    tiles = free // tile_format.room_bytes(CHANNELS)
    remark = f"{free / 1e9:,.1f} GB free in {folder}: room for {tiles:,} tiles"
    if free < _LEAST_FREE_BYTES:
        return Finding(what, "note", remark, f"Make room, or {other}")
    if lacking:
        return Finding(what, "note", f"{remark}. It has {'; '.join(lacking)}", f"Nothing else is affected. Or {other}")
    return Finding(what, "ok", remark)


_OPTION = {"store": "store", "output": "out"}


def _settings() -> Finding:
    apart, ignored = environment.numerics(True).get("settings", ""), environment.without_effect()
    if not apart and not ignored:
        return Finding("settings", "ok", "no variable changes samples")
    remarks = [f"samples are kept apart because of {apart}"] if apart else []
    remarks += [f"without effect on training: {', '.join(ignored)}"] if ignored else []
    advice = "Unset what is named first to share samples with other machines." if apart else ""
    return Finding("settings", "note" if apart else "ok", "; ".join(remarks), advice)


def _devices() -> Finding:
    backend = backends.make("local", scenes.load("tiny").problem)
    kind, platform_name = backend.numerics["device"], backend.numerics["backend"]
    remark = f"{backend.workers} x {kind} ({platform_name}); {cores.count()} of {os.cpu_count()} processor cores"
    if platform_name == "cpu" and shutil.which("nvidia-smi"):
        advice = "JAX is installed without support for this NVIDIA GPU: make video GPU=cuda13 (or cuda12, if older)."
        return Finding("devices", "note", remark, advice)
    return Finding("devices", "ok", remark)


def _kernel() -> Finding:
    problem = scenes.load("tiny").problem
    remark = f"XLA's, unless --kernel fused is given (not measured yet). Then: {kernels.choose(problem, 'fused').why}"
    card = kernels.card_words(problem)
    return Finding("kernel", "ok", f"{remark} {card}.".strip() if card else remark)


def _float64() -> Finding:
    scene = scenes.load("tiny")
    backend = backends.make("local", scene.problem)
    rate = training_rate.measure(Plan(scene), backend)
    x = y = np.full(8, 0.1)
    batches = iter([Batch((), Points(x, y))])
    values = np.concatenate([field.value for _, field in backends.trained(backend.run(lambda: next(batches, None)))])
    # A run whose last operations are in single precision ends with a value that float32 holds exactly.
    if values.dtype != np.float64 or (values.astype(np.float32) == values).any():
        return Finding(
            "float64",
            "bad",
            "training runs come out in single precision",
            "Set up again: make clean, then make.",
        )
    return Finding("float64", "ok", f"training runs in it, {rate.samples_per_s:,.0f} of the tiny scene's a second")
