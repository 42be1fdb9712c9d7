"""The overlay of a film besides its axes: each part alone, at its place, in proportion to the frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from render.geometry.axes import Axis
from render.geometry.camera import Keyframe, Path, View
from render.picture import annotate, overlay
from render.picture.annotate import Annotator
from render.picture.colour import Look

AXES = (Axis("offset", "log10", Fraction(-3), Fraction(6)), Axis("lr", "log10", Fraction(-3), Fraction(6)))
LABELS = ("offset", "learning rate")
SIZES = [(640, 360), (1920, 1080), (1080, 1920), (720, 720)]


def path(size: tuple[int, int]) -> Path:
    a, b = (View(Fraction(1, 2), Fraction(1, 2), width) for width in (1.0, 1e-9))
    return Path((Keyframe(a, 0.0), Keyframe(b, 30.0)), size)


def written(size: tuple[int, int], s: float, *parts: str, look: Look | None = None, caption: str = "") -> np.ndarray:
    """Which pixels of a grey frame are written on: bool [height, width]."""
    frame = np.full((size[1], size[0], 3), 128, np.uint8)
    Annotator(path(size), AXES, LABELS, look or Look(), parts, caption).draw(frame, s)
    inked: np.ndarray = (frame != 128).any(axis=2)
    return inked


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_stand_apart_and_each_can_be_left_out(size: tuple[int, int]) -> None:
    assert not written(size, 12.0, "values").any(), "nothing moves but the camera"
    masks = [written(size, 12.0, part) for part in ("axes", "depth", "legend")] + [
        written(size, 12.0, caption="a caption")
    ]
    assert all(mask.any() for mask in masks)
    alone = written(size, 12.0)
    assert not alone.any()
    axes, _, legend, _ = masks
    caption = written(size, 12.0, "axes", caption="a caption") & ~axes
    depth = written(size, 12.0, "depth", "legend") & ~legend
    assert depth.any() and caption.any()
    assert np.sum([axes, legend, caption, depth], axis=0).max() == 1, "no part covers another"
    together = written(size, 12.0, *overlay.PARTS, caption="a caption")
    assert together.sum() == axes.sum() + legend.sum() + caption.sum() + depth.sum()


@pytest.mark.parametrize("size", SIZES)
def test_sizes_follow_the_frame(size: tuple[int, int]) -> None:
    top, bottom, left, right = box(written(size, 12.0, "legend"))
    shorter = min(size)
    assert bottom - top < 0.2 * shorter
    assert right - left < 0.75 * size[0]
    assert right > size[0] - 0.05 * shorter
    assert top < 0.05 * shorter


def test_the_depth_bar_fills_as_the_camera_goes_down() -> None:
    size = (1920, 1080)
    camera_path = path(size)
    filled = []
    for share in (0.0, 0.25, 0.5, 1.0):
        frame = np.zeros((1080, 1920, 3), np.uint8)
        Annotator(camera_path, AXES, LABELS, Look(), ("depth",)).draw(frame, share * camera_path.length)
        filled.append(int((frame[:, -16] > 180).sum()))
    assert filled == sorted(filled)
    assert filled[0] < 0.02 * filled[-1]
    assert filled[1] / filled[-1] == pytest.approx(0.25, abs=0.03)
    assert filled[2] / filled[-1] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("zoom", "text"), [(1.0, "1.0"), (9.94, "9.9"), (37.2, "37"), (4210, "4200"), (99_000, "99000"), (1.6e9, "1.6e9")]
)
def test_a_magnification_reads_as_a_person_would_say_it(zoom: float, text: str) -> None:
    assert annotate._times(zoom) == text


def test_the_legend_shows_the_palettes_own_colours() -> None:
    for palette in ("Spectral", "luma", ("#102030", "#d0a060")):
        rows = annotate._rows(Look(palette=palette), 0.0, 50)
        assert [text for _, text in rows] == ["converged, fast to slow", "diverged, at once to slow"]
    assert len(annotate._rows(Look(channel="status"), 0.0, 20)) == 4


def test_a_preview_keeps_its_few_lines_for_the_picture() -> None:
    assert not written((384, 216), 12.0, "legend", "depth").any()
