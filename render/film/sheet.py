"""Contact sheets: many frames of a film on one page, each with its number, its second and the width of its view."""

from __future__ import annotations

import bisect
import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from render import encode
from render.errors import RenderError
from render.files.atomic import check_target
from render.film import rendering, replacing
from render.film.job import Job
from render.film.rendering import Report
from render.picture.typeface import BUNDLED

_PAPER, _INK = (24, 24, 28), (225, 225, 225)

# The size of text is 1/24 of a picture's width: the longest label, "frame 100,000 · 3,600.0 s · 1.2e-10 decades", fits.
_TEXT_SHARE = 24
_SMALLEST_PX = 9

# A sheet is kept in memory while it is made, and few programs open larger ones.
_MOST_PIXELS = 200_000_000


def even_frames(job: Job, count: int) -> list[int]:
    """Return up to `count` frames from the first to the last, evenly spaced along the zoom, not in time.

    So every picture is narrower than the one before by the same factor, whatever the camera's speed, and a rest is
    shown once.
    """
    path, fps = job.plan.path, job.scene.output.fps
    places = [path.s_of_frame(number, fps) for number in range(job.frame_count)]
    wanted = (path.length * i / max(1, count - 1) for i in range(count))
    return list(dict.fromkeys(min(bisect.bisect_left(places, s), len(places) - 1) for s in wanted))


def write(
    job: Job,
    numbers: Sequence[int],
    path: Path,
    *,
    columns: int = 6,
    width_px: int = 320,
    report: Report = rendering.ignore_progress,
    force: bool = False,
) -> Path:
    """Write a sheet of some frames as one PNG, row by row, training only what they need.

    columns: pictures in a row. width_px: of each picture; a frame that is smaller keeps its size. force: replace even
    what another request made (see `replacing.check`).
    """
    output = job.scene.output
    columns = min(columns, len(numbers))
    width = min(width_px, output.width_px)
    height = max(1, round(output.height_px * width / output.width_px))
    text_px = max(_SMALLEST_PX, width // _TEXT_SHARE)
    gap, label = text_px, 2 * text_px
    rows = math.ceil(len(numbers) / columns)
    size = gap + columns * (width + gap), gap + rows * (height + label + gap)
    if size[0] * size[1] > _MOST_PIXELS:
        raise RenderError(
            f"a sheet of {len(numbers)} frames would be {size[0]} x {size[1]} pixels, and must have at most "
            f"{_MOST_PIXELS / 1e6:.0f} million. Choose fewer frames, or a smaller --width."
        )
    check_target(path)
    replacing.check(path, job.scene, force=force, unseen=replacing.UNSEEN_IN_STILLS)
    page = np.empty((size[1], size[0], 3), np.uint8)
    page[:] = _PAPER
    with contextlib.closing(rendering.frames(job, numbers, report)) as pictures:
        for i, (number, picture) in enumerate(pictures):
            left, top = gap + i % columns * (width + gap), gap + i // columns * (height + label + gap)
            page[top : top + height, left : left + width] = encode.shrunk(picture, width)
            words = _label(_words(job, number), (width, label), text_px)
            page[top + height : top + height + label, left : left + width] = words
    encode.write_png(path, page, job.provenance())
    return path


def _words(job: Job, number: int) -> tuple[str, ...]:
    """Return labels for a frame, from the longest to the shortest."""
    path, fps = job.plan.path, job.scene.output.fps
    axis = job.scene.problem.x
    width = path.view(path.s_of_frame(number, fps)).width * float(axis.span)
    where = f"{width:.2g}{' decades' if axis.scale == 'log10' else ''}"
    if path.tracks:
        s = path.s_of_frame(number, fps)
        where = " · ".join(track.words(path.value(track, s)) for track in path.tracks)
    return f"frame {number:,} · {float(number / fps):,.1f} s · {where}", f"{number:,} · {where}", where


def _label(texts: Sequence[str], size: tuple[int, int], text_px: int) -> np.ndarray:
    """Return the first text that fits, or else the last one, as a line of the page, uint8 [height, width, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    strip = Image.new("RGB", size, _PAPER)
    font = ImageFont.truetype(BUNDLED, text_px, layout_engine=ImageFont.Layout.BASIC)
    text = next((text for text in texts if font.getlength(text) <= size[0]), texts[-1])
    ImageDraw.Draw(strip).text((0, size[1] / 2), text, fill=_INK, font=font, anchor="lm")
    return np.asarray(strip)
