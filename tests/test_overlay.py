"""Laws of the overlay: labels tell the edges apart, and drawing changes nothing but the labels' places."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from render import scene
from render.geometry.axes import Axis
from render.geometry.viewport import Viewport
from render.picture import axis_labels, overlay
from render.picture.axis_labels import end_labels

RATE = Axis("rate", "log10", Fraction(-3), Fraction(6))
OFFSET = Axis("offset", "linear", Fraction(-2), Fraction(2))
LABELS = ("weight offset added at every step", "learning rate")
MIDDLE = Fraction("0.634781236497123649712364")

values = st.decimals(-(10**9), 10**9, allow_nan=False, places=20) | st.decimals(
    Decimal("1e-40"), Decimal("1e-3"), allow_nan=False, places=45
)
SIZES = [(384, 216), (640, 360), (360, 640), (1920, 1080), (3840, 2160)]


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def view(width_px: int, height_px: int, width: float = 1e-4, x: Fraction = MIDDLE) -> Viewport:
    return Viewport(x, Fraction(1, 3), width, width_px, height_px)


@given(values, values)
def test_labels_of_different_values_differ(lo: Decimal, hi: Decimal) -> None:
    assume(lo != hi)
    first, last = end_labels(lo, hi)
    assert first != last
    assert Decimal(first) != Decimal(last)


@given(values, values)
def test_a_label_reads_back_to_a_thousandth_of_the_distance_and_to_three_digits(lo: Decimal, hi: Decimal) -> None:
    assume(lo != hi)
    for label, value in zip(end_labels(lo, hi), (lo, hi), strict=True):
        error = abs(Decimal(label) - value)
        assert error <= abs(hi - lo) / 1000
        assert error <= abs(value) / 100


@given(values, values)
def test_labels_keep_the_order_of_their_values(lo: Decimal, hi: Decimal) -> None:
    first, last = end_labels(lo, hi)
    assert (lo < hi) == (Decimal(first) < Decimal(last))


@given(values)
def test_equal_values_have_equal_labels(value: Decimal) -> None:
    first, last = end_labels(value, value)
    assert first == last


@pytest.mark.parametrize(
    ("lo", "hi", "labels"),
    [
        ("0", "1", ("0", "1.000")),
        ("-2.6", "2.6", ("-2.600", "2.600")),
        ("0.538525312", "0.539725312", ("0.538525", "0.539725")),
        ("1e-9", "1", ("1.00e-9", "1.0000e0")),
        ("0.000001961", "0.000001962", ("1.961000e-6", "1.962000e-6")),
        ("31622.77", "61748.12", ("31623", "61748")),
        ("2500000", "7500000", ("2.500e6", "7.500e6")),
    ],
)
def test_labels_read_as_a_person_would_write_them(lo: str, hi: str, labels: tuple[str, str]) -> None:
    assert end_labels(Decimal(lo), Decimal(hi)) == labels


def draw(frame: np.ndarray, *what: object, **labels: object) -> np.ndarray:
    written = frame.copy()
    axis_labels.draw(written, *what, **labels)  # type: ignore[arg-type]
    return written


@pytest.mark.parametrize("size", SIZES)
def test_only_the_left_and_bottom_edges_are_written_on(size: tuple[int, int]) -> None:
    frame = noise(*size)
    changed = (draw(frame, view(*size), OFFSET, RATE, labels=LABELS) != frame).any(axis=2)
    band = max(48, round(min(size) / 20))  # of two lines where a frame is small
    assert not changed[:-band, band:].any()
    assert changed[-band:, -size[0] // 4 :].any(), "the value at the right edge"
    assert changed[-band:, : size[0] // 4].any(), "the value at the left edge"
    assert changed[: size[1] // 4, :band].any(), "the value at the upper edge"
    assert changed[size[1] // 2 : -band, :band].any(), "the value at the lower edge"


def columns_written(frame: np.ndarray, x: Axis, at: Viewport, labels: tuple[str, str] = LABELS) -> np.ndarray:
    height = frame.shape[0]
    drawn = draw(frame, at, x, RATE, labels=labels)
    return np.asarray((drawn != frame).any(axis=2)[height - 8 - height // 100])


def runs(columns: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], columns.astype(int), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


@pytest.mark.parametrize("size", [(384, 216), (216, 384), (180, 180)])
def test_labels_never_run_into_each_other(size: tuple[int, int]) -> None:
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    for width in np.geomspace(2, 1e-13, 40):
        at = view(*size, width=float(width))
        pills_of_names = [runs(columns_written(white, RATE, at, (name, ""))) for name in ("", "rate", LABELS[0])]
        assert all(len(pills) in (2, 3) for pills in pills_of_names), "two values, and the name where there is room"
        assert len({(pills[0], pills[-1]) for pills in pills_of_names}) == 1, (
            "the values stand where no name moves them"
        )


def test_a_name_without_room_leaves_the_line_of_the_values_and_a_wider_frame_shows_it_there() -> None:
    for width_px, labels in ((384, 2), (1920, 3)):
        white = np.full((216, width_px, 3), 255, np.uint8)
        assert len(runs(columns_written(white, RATE, view(width_px, 216, 1e-13)))) == labels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [OFFSET, RATE])
def test_the_deepest_view_can_be_labelled(size: tuple[int, int], axis: Axis) -> None:
    deepest = float(Fraction(1, 10**12) / axis.span)
    frame = noise(*size)
    assert (draw(frame, view(*size, width=deepest), axis, RATE, labels=LABELS) != frame).any()
    x0, x1, _, _ = view(*size, width=deepest).edges()
    first, last = end_labels(axis.value_from_unit(x0), axis.value_from_unit(x1))
    assert first != last and len(first) < 22


@pytest.mark.parametrize("x", [Fraction(-1, 4), Fraction(1, 2), Fraction(5, 4)])
def test_a_view_beyond_the_plane_is_labelled_with_the_continued_axis(x: Fraction) -> None:
    frame = noise(384, 216)
    assert (draw(frame, view(384, 216, 1.5, x), OFFSET, RATE, labels=LABELS) != frame).any()


def test_a_moved_view_shows_other_values() -> None:
    frame = noise(640, 360)
    here = draw(frame, view(640, 360), OFFSET, RATE, labels=LABELS)
    moved = draw(frame, view(640, 360, x=MIDDLE + Fraction(1, 10**7)), OFFSET, RATE, labels=LABELS)
    assert not np.array_equal(here, moved)


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (64, 36), (40, 400)])
def test_a_frame_too_small_for_text_is_still_drawn(size: tuple[int, int]) -> None:
    assert draw(noise(*size), view(*size), OFFSET, RATE, labels=LABELS).shape == (size[1], size[0], 3)


def test_drawing_twice_gives_the_same_bytes() -> None:
    frame = noise(640, 360)
    first, second = (draw(frame, view(640, 360), OFFSET, RATE, labels=LABELS) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_frame_of_floats_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frame must be uint8 \[height, width, 3\], not float64 \[9, 16, 3\]"):
        draw(np.zeros((9, 16, 3)), view(16, 9), OFFSET, RATE, labels=LABELS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "text", ["0.538525", "1.961e-6", "-2.600", "×4200", "learning rate, width 0.031 decades", "Wavy fjord"]
)
def test_a_text_of_single_glyphs_is_the_text_that_pillow_draws(size: tuple[int, int], text: str) -> None:
    font = overlay.font_of(*size)
    _, ink = overlay.pill(font, text)
    height, width = ink.shape
    by_pillow = Image.new("L", (width, height))
    shown = text.replace("-", "\N{MINUS SIGN}")
    ImageDraw.Draw(by_pillow).text((width / 2, height * 0.5), shown, fill=255, font=font, anchor="mm")
    np.testing.assert_allclose(ink * 255, np.asarray(by_pillow), atol=1)


@pytest.mark.parametrize("size", [(384, 216), (216, 384), (216, 216), (640, 360)])
@pytest.mark.parametrize("name", [name for name in scene.names() if not name.startswith("transformer_pub")])
def test_small_frames_name_both_axes_at_every_depth(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    drawn = overlay.pill

    def pill(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
        written.append(text)
        return drawn(font, text)

    monkeypatch.setattr(overlay, "pill", pill)
    problem = scene.load(name).problem
    widths = (1.0, 1e-3, 1e-9) if problem.last_plain_level > 40 else (1.0, 1e-3)
    for width in widths:
        written.clear()
        frame = np.full((size[1], size[0], 3), 128, np.uint8)
        at = Viewport(MIDDLE, MIDDLE, width, *size)
        taken = axis_labels.draw(frame, at, problem.x, problem.y, labels=problem.labels)
        for axis, label in zip((problem.x, problem.y), problem.labels, strict=True):
            assert any(text.partition(",")[0] in (label.partition(",")[0], axis.name) for text in written), written
        assert taken < size[0] / 4
        above = frame[: size[1] // 2, taken:]
        assert (above == 128).all(), "what stands beside the values of y is no wider than is said"
