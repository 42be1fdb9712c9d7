"""Frames as numbers: the stored channels of the sample nearest to every pixel, and the colours as linear light.

Values are never filtered, because the mean of a converged and a diverged run is not the value of any run. So every
pixel has the channels of one sample, the nearest one of the deepest level that the frame shows there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from render.encode import arrays
from render.encode.arrays import Facts
from render.errors import EncodeError, WriteError
from render.files.atomic import check_target
from render.film import camera_table, rendering, sliced
from render.film.job import Job
from render.film.plan import Plan
from render.film.rendering import Fetch, Make, Report
from render.geometry import patches
from render.geometry.tiles import SAMPLES, Tile
from render.geometry.viewport import Viewport
from render.picture import palettes
from render.samples import NO_SAMPLE, Status, nothing

# The camera's path, beside the frames.
PATH_NAME = "camera.csv"

Channels = dict[str, np.ndarray]


class FrameArrays:
    """Makes the arrays of the frames of one plan.

    fetch: returns the field of a finished tile; it is called only for tiles of plan.tiles_at(s).
    """

    def __init__(self, plan: Plan, fetch: Fetch) -> None:
        self._plan, self._fetch = plan, fetch
        self._compositor = sliced.compositor(plan, fetch)
        self._dtypes = plan.slices.channels

    def channels(self, s: float, moments: tuple[float, ...] = ()) -> Channels:
        """Return the channels at path length s, [height, width] with row 0 at the top: R, G, B (float16), and all
        others.

        moments: the path lengths over which R, G and B are averaged; s alone if there are none.
        """
        view = self._plan.path.viewport(s)
        light = palettes.linear_from_srgb(self._compositor.frame(*(moments or (s,)), bits=16) / 65535)
        colours = dict(zip("RGB", np.moveaxis(light.astype(np.float16), -1, 0), strict=True))
        return {**colours, **self._nearest(view, s)}

    def _nearest(self, view: Viewport, s: float) -> Channels:
        # The mean of two slices is not the value of any run, so the slice that the frame shows more of is taken.
        slices = self._plan.slices
        fetch = slices.reader(slices.nearest(s), self._fetch)
        shape = view.height_px, view.width_px
        nearest = {name: np.full(shape, nothing(dtype), dtype) for name, dtype in self._dtypes.items()}
        for level, _ in self._plan.mix(s):
            rows, columns = (_runs(indices) for indices in nearest_samples(view, level))
            planned = self._plan.levels[level].patches
            for row_px, iy, row in rows:
                for column_px, ix, column in columns:
                    if (held := planned.get(tile := Tile(level, ix, iy))) is None:
                        continue
                    read = np.ix_(row, column)
                    known = patches.samples(held)[read]
                    if known.any():
                        channels = fetch(tile).channels()
                        for name in nearest:
                            nearest[name][row_px, column_px][known] = channels[name][read][known]
        return nearest


def nearest_samples(view: Viewport, level: int) -> tuple[list[int], list[int]]:
    """Return the lattice index of the sample of a level nearest to each row (from the top) and column of pixels.

    -1 where the middle of the row or column lies outside of the plane. They are Python integers, since indices of deep
    levels exceed 64 bits, and exact to a millionth of a pixel at any depth.
    """
    window = view.window(level)
    box = view.box(level, window.x0, window.y0)
    count = SAMPLES << level

    def nearest(low: float, high: float, pixels: int, first: int) -> list[int]:
        centres = low + (np.arange(pixels) + 0.5) / pixels * (high - low)
        inside = (0 <= first + int(cell) < count for cell in np.floor(centres))
        # There are no samples at the plane's upper ends; the nearest ones are the last.
        indices = (min(first + int(i), count - 1) for i in np.floor(centres + 0.5))
        return [i if is_inside else -1 for i, is_inside in zip(indices, inside, strict=True)]

    columns = nearest(box.x0, box.x1, view.width_px, window.x0)
    return nearest(box.y0, box.y1, view.height_px, window.y0)[::-1], columns


def _runs(indices: list[int]) -> list[tuple[slice, int, np.ndarray]]:
    """Cut lattice indices into runs of one tile each: (places, the tile's index, samples of the tile [places])."""
    tiles = [i // SAMPLES for i in indices]
    breaks = [0, *(i for i in range(1, len(tiles)) if tiles[i] != tiles[i - 1]), len(tiles)]
    return [
        (slice(a, b), tiles[a], np.array([i - tiles[a] * SAMPLES for i in indices[a:b]], dtype=np.intp))
        for a, b in itertools.pairwise(breaks)
        if tiles[a] >= 0
    ]


# ---- a film ------------------------------------------------------------------------------------------------------


def frame_path(folder: Path, number: int) -> Path:
    """Return the path of a frame's arrays."""
    return folder / f"{number:05d}.exr"


def check_folder(folder: Path) -> None:
    """Raise WriteError for a folder of frames that cannot be written, or that is named like a file."""
    arrays.format_of(frame_path(folder, 0))  # raises if the library is missing
    if folder.suffix.lower() in arrays.FORMATS or (os.path.lexists(folder) and not os.path.isdir(folder)):
        raise WriteError(
            folder,
            "a film is written as a folder of frames, one .exr each, and this is the name of a file",
            "Name a folder with --out, or leave out --film for one view as a file",
        )
    check_target(folder / PATH_NAME)


def write_frames(
    job: Job, numbers: Sequence[int], folder: Path, report: Report = rendering.ignore_progress
) -> list[Path]:
    """Write frames as OpenEXR files into a folder, with the camera's path as a table; return their paths.

    Existing files of the same scene stay, so a call that was stopped goes on where it was. Samples that the store lacks
    are trained.
    """
    check_folder(folder)
    table = folder / PATH_NAME
    for path in (table, *(frame_path(folder, number) for number in numbers)):
        if os.path.exists(path) and not os.path.isfile(path):
            raise WriteError(path, "frames are read again, and must be plain files")
    for path in folder.glob("[0-9]" * 5 + ".exr"):
        if not _is_written(job, int(path.stem), path):
            raise WriteError(path, "it is a frame of another film, or damaged: move it away")
    todo = [number for number in numbers if not frame_path(folder, number).exists()]

    def maker(plan: Plan, fetch: Fetch) -> Make[Channels]:
        frame_arrays = FrameArrays(plan, fetch)
        return lambda s, moments, _: frame_arrays.channels(s, moments)

    with contextlib.closing(rendering.made_of_frames(job, todo, maker, report)) as written:
        for number, channels in written:
            arrays.write_exr(frame_path(folder, number), channels, frame_facts(job, number))
    camera_table.write(job.plan, table, numbers)
    return [*(frame_path(folder, number) for number in numbers), table]


def frame_facts(job: Job, number: int) -> Facts:
    """Return the facts that a frame's file contains: the scene, the frame, and the place of the camera."""
    path, fps, problem = job.plan.path, job.scene.output.fps, job.scene.problem
    view = path.viewport(s := path.s_of_frame(number, fps))
    edges = zip(("x_low", "x_high", "y_low", "y_high"), view.edges(), strict=True)
    level = max(0, math.ceil(view.level))
    limits = {name: str((problem.x if name[0] == "x" else problem.y).value_from_unit(at, level)) for name, at in edges}
    return {
        **{f"render_{name}": text for name, text in job.provenance(number).items()},
        **limits,
        "x_name": problem.labels[0],
        "y_name": problem.labels[1],
        "octaves": repr(s),  # OpenEXR would keep 32 bits of a number
        **_shown(job, s),
        "statuses": json.dumps({**{int(status): status.name.lower() for status in Status}, NO_SAMPLE: "outside"}),
    }


def _shown(job: Job, s: float) -> dict[str, str]:
    """Return the slice of a frame's values, in a film that has several."""
    return {"steps": str(job.plan.slices.nearest(s).steps)} if job.plan.path.tracks else {}


def _is_written(job: Job, number: int, path: Path) -> bool:
    """Return whether a file holds a complete frame of this job."""
    if not path.is_file():
        return False
    try:
        return arrays.read_exr_facts(path).items() >= frame_facts(job, number).items()
    except EncodeError:
        return False
