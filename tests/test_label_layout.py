"""The layout of the words on a film is decided once: nothing jumps from one frame to the next, and nothing overlaps."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import ImageFont

from render import scene
from render.film import qualities
from render.film.plan import Plan
from render.geometry.axes import Axis
from render.geometry.camera import Keyframe, Path, View
from render.geometry.tracks import Track
from render.picture import overlay
from render.picture.annotate import Annotator
from render.picture.colour import Look

RATE = Axis("rate", "log10", Fraction(-3), Fraction(6))
OFFSET = Axis("offset", "linear", Fraction(-2), Fraction(2))
CAPTION = "a caption of the film that is long enough to be broken"
LABELS = ("weight offset added at every step", "learning rate")


class Page:
    """What is written on frames, seen from outside of the drawing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._written: list[tuple[str, int, int, int, int]] = []
        texts: dict[int, tuple[str, np.ndarray]] = {}
        pill, stamp = overlay.pill, overlay.stamp

        def named(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
            masks = pill(font, text)
            texts[id(masks)] = text, masks
            return masks

        def placed(frame: np.ndarray, masks: np.ndarray, left: int, top: int) -> None:
            text, _ = texts.get(id(masks), ("", masks)) if masks.base is None else texts[id(masks.base)]
            self._written.append((text, left, top, masks.shape[2], masks.shape[1]))
            stamp(frame, masks, left, top)

        monkeypatch.setattr(overlay, "pill", named)
        monkeypatch.setattr(overlay, "stamp", placed)

    def of(self, drawing: Annotator, size: tuple[int, int], s: float) -> list[tuple[str, int, int, int, int]]:
        """Return (text, left, top, width, height) of all that is written at path length s."""
        self._written.clear()
        drawing.draw(np.full((size[1], size[0], 3), 128, np.uint8), s)
        return list(self._written)


def words(text: str) -> str:
    """Return a text with a sign for every number."""
    return re.sub(r"-?\d[\d.,…]*(e-?\d+)?", "#", text).replace("steps", "step")


def annotator(path: Path, axes: tuple[Axis, Axis], labels: tuple[str, str], *parts: str, text: str = "") -> Annotator:
    return Annotator(path, axes, labels, Look(), parts, text)


@pytest.mark.parametrize("size", [(384, 216), (216, 384), (216, 216), (640, 360)])
@pytest.mark.parametrize("name", ["mean_lr", "deep_tanh", "momentum_rise", "unfold_zoom", "julia"])
def test_no_word_of_a_film_leaves_its_line_or_becomes_shorter_and_no_two_overlap(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = scene.load(name, settings=[f"output.size=[{size[0]}, {size[1]}]"])
    path, problem = loaded.path(loaded.output), loaded.problem
    page = Page(monkeypatch)
    drawing = annotator(path, (problem.x, problem.y), problem.labels, "axes", "values", text="a caption")
    count = path.frame_count(loaded.output.fps)
    layouts = set()
    for number in range(0, count, max(1, count // 60)):
        pills = page.of(drawing, size, path.s_of_frame(number, loaded.output.fps))
        layouts.add(tuple((words(text), y if w > h else x) for text, x, y, w, h in pills))
        for (_, x, y, w, h), (_, u, v, a, b) in itertools.combinations(pills, 2):
            assert x + w <= u or u + a <= x or y + h <= v or v + b <= y, pills
    assert len(layouts) == 1, layouts


@pytest.mark.parametrize("number", [109, 110, 563, 564])
def test_the_frames_of_mean_lr_at_which_words_used_to_jump_have_the_layout_of_all_others(number: int) -> None:
    plan: Plan = qualities.named(scene.load("mean_lr"), "preview").plan
    problem, output = plan.scene.problem, plan.scene.output
    size = output.width_px, output.height_px
    first, here = (np.full((size[1], size[0], 3), 128, np.uint8) for _ in range(2))
    labels = annotator(plan.path, (problem.x, problem.y), problem.labels, "axes")
    labels.draw(first, 0.0)
    labels.draw(here, plan.path.s_of_frame(number, output.fps))
    rows = [(frame != 128).any(axis=(1, 2)) for frame in (first, here)]
    np.testing.assert_array_equal(rows[0][size[1] * 3 // 4 :], rows[1][size[1] * 3 // 4 :])


def test_a_frame_alone_has_the_words_of_that_frame_of_the_film() -> None:
    size = 384, 216
    ends = View(Fraction(1, 3), Fraction(1, 3), 1.0), View(Fraction(1, 3), Fraction(1, 3), 1e-9)
    path = Path((Keyframe(ends[0], 0.0), Keyframe(ends[1], 30.0)), size)
    film = annotator(path, (OFFSET, RATE), LABELS, *overlay.PARTS, text=CAPTION)
    for share in (0.0, 0.1, 0.5, 1.0):
        frames = [np.full((size[1], size[0], 3), 128, np.uint8) for _ in range(2)]
        film.draw(frames[0], share * path.length)
        alone = annotator(path, (OFFSET, RATE), LABELS, *overlay.PARTS, text=CAPTION)
        alone.draw(frames[1], share * path.length)
        np.testing.assert_array_equal(frames[0], frames[1])


def test_a_label_of_what_moves_is_short_in_all_frames_or_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 480, 216
    view = View(Fraction(1, 2), Fraction(1, 2), 1.0)
    track = Track("momentum", logarithmic=False, values=(0.0, 1.0), label="momentum of the gradient descent")
    path = Path((Keyframe(view, 0.0), Keyframe(view, 9.0)), size, tracks=(track,))
    widths = [overlay.pill_width(overlay.font_of(*size), track.words(value)) for value in (0.0, 0.123)]
    assert widths[0] <= size[0] // 2 < widths[1], "the label fits at the keyframes only"
    page, drawing = Page(monkeypatch), annotator(path, (OFFSET, RATE), LABELS, "values")
    assert {words(page.of(drawing, size, s)[0][0]) for s in np.linspace(0, path.length, 50)} == {"momentum #"}


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (360, 360)])
@pytest.mark.parametrize("width", [0.9, 1.0, 1.78, 3.0])
@pytest.mark.parametrize("centre", [Fraction(1, 2), Fraction(1, 5)])
def test_values_are_those_of_the_planes_edges_and_stand_there_where_a_view_reaches_beyond(
    size: tuple[int, int], width: float, centre: Fraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(centre, Fraction(1, 2), width)
    path = Path((Keyframe(view, 0.0), Keyframe(view, 9.0)), size)
    pills = Page(monkeypatch).of(annotator(path, (OFFSET, RATE), LABELS, "axes"), size, 0.0)
    numbers = [pill for pill in pills if re.fullmatch(r"-?[\d.]+(e-?\d+)?", pill[0].replace("−", "-"))]
    assert len(numbers) == 4
    gap = round(overlay.font_of(*size).size * 0.5)
    edges = path.viewport(0.0).edges()
    for side, axis, (first, last) in ((0, OFFSET, edges[:2]), (1, RATE, edges[2:])):
        along = [pill for pill in numbers if (pill[3] > pill[4]) == (side == 0)]
        low, high = sorted(along, key=lambda pill: pill[1] if side == 0 else -pill[2])
        lo, hi = max(first, Fraction(0)), min(last, Fraction(1))
        for (text, *_), unit in ((low, lo), (high, hi)):
            value = float(axis.value_from_unit(unit))
            assert float(text.replace("−", "-")) == pytest.approx(value, rel=2e-2, abs=2e-2)
        length = size[side]
        start, end = (round(float((at - first) / (last - first)) * length) for at in (lo, hi))
        starts, ends = (low[1], high[1] + high[3]) if side == 0 else (length - low[2] - low[4], length - high[2])
        if end - start < sum(max(pill[3], pill[4]) for pill in along) + 2 * gap:
            continue  # no room for both: the next test
        assert ends == min(end, length - gap)
        # Along the y axis the lines of the x axis are left free.
        assert starts == start if start > 5 * gap else 0 < starts <= (gap if side == 0 else 9 * gap)


def test_values_of_a_plane_that_is_small_in_the_frame_stand_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    size, view = (640, 360), View(Fraction(1, 2), Fraction(1, 2), 12.0)
    path = Path((Keyframe(view, 0.0), Keyframe(view, 9.0)), size)
    pills = Page(monkeypatch).of(annotator(path, (OFFSET, RATE), LABELS, "axes"), size, 0.0)
    for (_, x, y, w, h), (_, u, v, a, b) in itertools.combinations(pills, 2):
        assert x + w <= u or u + a <= x or y + h <= v or v + b <= y, pills
    numbers = [pill for pill in pills if pill[3] > pill[4] and re.match(r"[-−\d]", pill[0])]
    assert sum(x + w / 2 for _, x, _, w, _ in numbers) / 2 == pytest.approx(320, abs=8)
