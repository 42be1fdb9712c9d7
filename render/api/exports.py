"""Exports samples and frames as files for other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

import render
from render import scene as scenes
from render.api import arrays as windows
from render.api import output_names, preparation
from render.api.arrays import Window
from render.api.listener import SILENT, Listener
from render.api.preparation import MakeBackend, local_backend
from render.api.scene_argument import takes_scene
from render.encode import arrays
from render.encode.arrays import Arrays, Facts
from render.files import path_argument
from render.files.atomic import check_target
from render.film import frame_arrays, qualities, replacing
from render.geometry.axes import Axis
from render.geometry.tiles import SAMPLES
from render.samples import Status
from render.scene import Scene, records

StrPath = str | os.PathLike[str]

# Tables of a scene on which samples do not depend.
_UNSEEN = ("look", *replacing.UNSEEN_IN_STILLS)

_ADVICE = "Give --force to replace it, or another --out."


@takes_scene
def export(
    scene: Scene,
    out: StrPath,
    at: str | int = "last",
    *,
    window: Sequence[str | float] | None = None,
    samples: int = 256,
    force: bool = False,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Path:
    """Write all samples of a frame's view, or of a window, to a file, and return its path.

    out: its suffix names the format: .npz, .zarr (a folder), .tif or .exr. Every channel is written as it is stored,
    float64, int32 and uint8; OpenEXR alone has 32 bits. Rows of .npz and .zarr rise with y; pictures begin at the top.
    at, window, samples: as in `field`. force: replace even a file that render did not make, or made from another scene
    or window. Raises RenderError; EncodeError for another suffix or a library that is missing.
    """
    path = path_argument.path_of(out, "--out")
    arrays.format_of(path)
    if path.suffix.lower() != ".zarr":
        check_target(path)
    scene.check_plane("an export")
    asked = windows.asked(scene, at, window, samples)
    replacing.check(path, scene, force=force, unseen=_UNSEEN, asked=asked.facts, advice=_ADVICE)
    trained, numerics = windows.trained(asked, Path(store), make_backend, listener)
    facts = scenes.provenance(scene, "scene", numerics) | {"version": render.__version__}
    arrays.write(path, as_arrays(scene, trained, {**records.exported(facts), **asked.facts}))
    return path


@takes_scene
def export_frames(
    scene: Scene,
    folder: StrPath,
    *frames: str | int,
    quality: str = "auto",
    budget_min: float = qualities.BUDGET_S / 60,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> list[Path]:
    """Write frames of a film, or all, as OpenEXR files with the camera's path as a table, and return their paths.

    Each pixel has the stored channels of its nearest sample, and R, G and B as linear light. A call that was stopped
    goes on where it was. frames: as in `frame`. Raises RenderError.
    """
    path = output_names.folder(folder, advice="Give a folder: every frame is a file of its own there.")
    scene.check_plane("an export")
    frame_arrays.check_folder(path)
    job, _ = preparation.prepare(scene, quality, budget_min, Path(store), make_backend, listener)
    numbers = job.frame_numbers(frames) if frames else range(job.frame_count)
    with listener.rendering(job) as report:
        return frame_arrays.write_frames(job, numbers, path, report)


def as_arrays(scene: Scene, window: Window, facts: Facts) -> Arrays:
    """Return a window with its coordinates, and with what other programs must know about it. facts: of all samples."""
    problem = scene.problem
    middle = _middle(window)
    coordinates, about = {}, {}
    pairs = zip(("x", "y"), (problem.x, problem.y), problem.labels, (window.columns, window.rows), middle, strict=True)
    for name, axis, label, indices, centre in pairs:
        origin = axis.value_from_unit(centre, window.level)
        coordinates[name] = window.x if name == "x" else window.y
        # Past float64 neighbouring values are equal when rounded to float64; their differences from a nearby value are
        # not.
        coordinates[f"{name}_offset"] = _offsets(axis, window.level, indices, Fraction(origin))
        about[name] = {"long_name": label, "hyperparameter": axis.name, "scale": axis.scale}
        about[f"{name}_offset"] = {"long_name": f"{label}, less origin", "origin": str(origin)}
    statuses = {int(status): status.name.lower() for status in Status}
    return Arrays(window.field.channels(), coordinates, facts, {**about, "status": {"statuses": json.dumps(statuses)}})


def _middle(window: Window) -> tuple[Fraction, Fraction]:
    """Return the unit coordinates of the sample in the middle of a window."""
    count = SAMPLES << window.level
    x, y = (indices[len(indices) // 2] for indices in (window.columns, window.rows))
    return Fraction(x, count), Fraction(y, count)


def _offsets(axis: Axis, level: int, indices: range, origin: Fraction) -> np.ndarray:
    first, last = indices.start // SAMPLES, (indices.stop - 1) // SAMPLES
    offsets = np.concatenate([axis.differences(level, tile * SAMPLES, origin) for tile in range(first, last + 1)])
    return offsets[indices.start - first * SAMPLES : indices.stop - first * SAMPLES]
