"""The names and values of both axes, written over a finished frame.

Drawn last: no sample, store or colour depends on it. The x axis is written along the bottom edge and
the y axis, turned, up the left edge. Each names the value at both edges of the view and, where there is room, the
hyperparameter and how much of it the view spans. Where a view reaches beyond the plane, the values are those of the
plane's edges, and stand there: beyond them there are no runs.

Values grow longer as a film goes deeper. What stands where is therefore decided once, for all views of a film
(`layouts`): no word moves to another line, and no title is shortened, from one frame to the next.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from render.geometry.axes import Axis
from render.geometry.viewport import Viewport
from render.picture import overlay

if TYPE_CHECKING:
    from PIL import ImageFont

# Wide enough to round any 60-digit value to any place.
_CONTEXT = decimal.Context(prec=1000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

# A value that does not fit loses digits in the middle: these many digits at its end tell the edges apart.
_TAIL = 5

# Of the titles of an axis, only the longer ones stand between its values: a name in words is worth a line of its own.
_BESIDE_VALUES = 2


@dataclass(frozen=True)
class Layout:
    """Where the words along one axis stand.

    ends_px: the most pixels that the value at the low end takes, and the one at the high end. title: which title is
    written, counted from the longest; None for none. own_line: whether the title has a line of its own.
    """

    ends_px: tuple[int, int]
    title: int | None
    own_line: bool


@dataclass(frozen=True)
class _Span:
    """What is said along an axis of one view. ends: the values; titles: earlier ones are better.

    low_px, high_px: where the ends are, from the low end of the room for words: all of it, or the plane's edges in it.
    """

    ends: tuple[str, str]
    titles: tuple[str, ...]
    low_px: int
    high_px: int


# Of the x and the y axis; None where not even the values find room, so that nothing is written.
Layouts = tuple[Layout | None, Layout | None]


def end_labels(lo: Decimal, hi: Decimal) -> tuple[str, str]:
    """Return both values with just enough digits: to three places after the first one in which they differ.

    Each also has at least three significant digits. Plain decimals from 0.0001 to 999999, else with an exponent.
    """
    ends = (lo, hi)
    apart = _CONTEXT.subtract(hi, lo)
    places = [end.adjusted() - 2 if end else 0 for end in ends]
    if apart:
        places = [min(place, apart.adjusted() - 3) for place in places]
    plain = all(not end or -4 <= end.adjusted() <= 5 for end in ends)
    texts = []
    for end, place in zip(ends, places, strict=True):
        last = min(place, 0) if plain else place
        rounded = end.quantize(Decimal((0, (1,), last)), context=_CONTEXT)
        texts.append(("0" if not end else f"{rounded:f}" if plain else f"{rounded:e}").replace("e+", "e"))
    return texts[0], texts[1]


def layouts(views: Iterable[Viewport], x_axis: Axis, y_axis: Axis, *, labels: tuple[str, str]) -> Layouts:
    """Return where the words along both axes stand in all frames of a film.

    views: what its frames look at, all of one size in pixels; enough of them that the longest values are among them.
    labels: names of the x and y hyperparameters in words.
    """
    views = list(views)
    font = overlay.font_of(views[0].width_px, views[0].height_px)
    x = _layout(font, _room_across(font, views[0]), [_across(font, view, x_axis, labels[0]) for view in views])
    up = [_up(font, view, x, y_axis, labels[1]) for view in views]
    return x, _layout(font, _room_up(font, views[0], x), up)


def _layout(font: ImageFont.FreeTypeFont, room: int, spans: list[_Span]) -> Layout | None:
    """Return the layout of an axis in so many pixels, for all that is to be written along it."""
    low, high = (
        [_pill_width(font, _fitting(font, span.ends[i], _room_of_value(font, room))) for span in spans] for i in (0, 1)
    )
    if min(low) == 0 or min(high) == 0:
        return None
    ends_px = max(low), max(high)
    titles = zip(*(span.titles for span in spans), strict=True)
    widths = [max(_pill_width(font, title) for title in same) for same in titles]
    between = min(span.high_px - span.low_px for span in spans) - sum(ends_px) - 2 * _gap(font)
    beside = next((i for i, width in enumerate(widths[:_BESIDE_VALUES]) if 0 < width <= between), None)
    if beside is not None:
        return Layout(ends_px, beside, own_line=False)
    alone = next((i for i, width in enumerate(widths) if 0 < width <= room), None)
    return Layout(ends_px, alone, own_line=alone is not None)


def draw(
    frame: np.ndarray,
    view: Viewport,
    x_axis: Axis,
    y_axis: Axis,
    *,
    labels: tuple[str, str],
    layouts_of_film: Layouts | None = None,
) -> int:
    """Write both axes on a frame, in place; return how many pixels they take at its left edge.

    frame: uint8 [height, width, 3], row 0 at the top; of any size, text follows it.
    view: what the frame looks at.
    labels: names of the x and y hyperparameters in words. One that finds no room between the values at the ends of its
    axis stands beside them. Left out where there is no room at all.
    layouts_of_film: see `layouts`; None for a picture that is no frame of a film.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    x, y = layouts_of_film or layouts([view], x_axis, y_axis, labels=labels)
    height = frame.shape[0]
    font = overlay.font_of(view.width_px, view.height_px)
    gap = _margin(font)
    thick = overlay.pill_height(font)
    step = _line_step(font)
    for i, line in enumerate(_lines(font, _room_across(font, view), x, _across(font, view, x_axis, labels[0]))):
        for start, pill in line:
            overlay.stamp(frame, pill, gap + start, height - gap - thick - i * step)
    room = _room_up(font, view, x)
    for i, line in enumerate(_lines(font, room, y, _up(font, view, x, y_axis, labels[1]))):
        for start, pill in line:
            overlay.stamp(frame, np.rot90(pill, axes=(1, 2)), gap + i * step, gap + room - start - pill.shape[2])
    return gap + thick + (step if y is not None and y.own_line else 0)


def _margin(font: ImageFont.FreeTypeFont) -> int:
    """Return how far from the frame's edges text stands, in pixels."""
    return round(font.size * 0.5)


def _gap(font: ImageFont.FreeTypeFont) -> int:
    """Return the least distance of words on one line, in pixels."""
    return round(font.size * 0.8)


def _line_step(font: ImageFont.FreeTypeFont) -> int:
    """Return how far the lines along one axis lie apart, in pixels."""
    return overlay.pill_height(font) + _margin(font) // 2


def _room_across(font: ImageFont.FreeTypeFont, view: Viewport) -> int:
    return view.width_px - 2 * _margin(font)


def _room_up(font: ImageFont.FreeTypeFont, view: Viewport, x: Layout | None) -> int:
    """Return the pixels along the y axis above the lines of the x axis."""
    below = overlay.pill_height(font) + (_line_step(font) if x is not None and x.own_line else 0)
    return view.height_px - 3 * _margin(font) - below


def _room_of_value(font: ImageFont.FreeTypeFont, room: int) -> int:
    return (room - _gap(font)) // 2


def _pill_width(font: ImageFont.FreeTypeFont, text: str) -> int:
    """Return the width of the pill of a text in pixels; 0 for no text."""
    return overlay.pill_width(font, text) if text else 0


def _across(font: ImageFont.FreeTypeFont, view: Viewport, axis: Axis, name: str) -> _Span:
    """Return what is said along the x axis of a view."""
    x0, x1, _, _ = view.edges()
    return _span(axis, (x0, x1), name, "width", view.width_px, _margin(font), _room_across(font, view))


def _up(font: ImageFont.FreeTypeFont, view: Viewport, x: Layout | None, axis: Axis, name: str) -> _Span:
    """Return what is said along the y axis of a view, above the lines of the x axis, whose layout is given."""
    _, _, y0, y1 = view.edges()
    room = _room_up(font, view, x)
    return _span(axis, (y0, y1), name, "height", view.height_px, view.height_px - _margin(font) - room, room)


def _span(
    axis: Axis, edges: tuple[Fraction, Fraction], name: str, side: str, view_px: int, before_px: int, room: int
) -> _Span:
    """Return what is said along an axis: see `_Span`.

    edges: of the view, in units of the plane. view_px: how long it is. before_px: of it that lie before the room.
    """
    first, last = edges
    lo, hi = max(first, Fraction(0)), min(last, Fraction(1))
    if lo >= hi:  # nothing of the plane is in view
        lo, hi = first, last
    low_px, high_px = (min(max(round((at - first) / (last - first) * view_px) - before_px, 0), room) for at in (lo, hi))
    ends = end_labels(axis.value_from_unit(lo), axis.value_from_unit(hi))
    extent = f"{side} {overlay.two_digits(float(axis.span * (hi - lo)))}{' decades' if axis.scale == 'log10' else ''}"
    titles = (f"{name}, {extent}", name, axis.name) if name else (extent,)
    return _Span(ends, titles, low_px, high_px)


def _lines(
    font: ImageFont.FreeTypeFont, room: int, layout: Layout | None, span: _Span
) -> list[list[tuple[int, np.ndarray]]]:
    """Return the lines along an axis, of pills as (start in pixels from the low end, pill), as its layout says.

    A title that is longer here than in all views which the layout was made from becomes shorter, and covers no value.
    """
    value_px = _room_of_value(font, room)
    pills = [overlay.pill(font, text) for end in span.ends if (text := _fitting(font, end, value_px))]
    if layout is None or len(pills) < 2:
        return []
    low_px, high_px = pills[0].shape[2], pills[1].shape[2]
    # Inside the ends; but beside each other where these lie too close together.
    middle, gap = (span.low_px + span.high_px) // 2, _gap(font)
    start = max(min(span.low_px, middle - gap // 2 - low_px, room - high_px - gap - low_px), 0)
    end = min(max(span.high_px, middle + gap - gap // 2 + high_px, start + low_px + gap + high_px), room)
    line = [(start, pills[0]), (end - high_px, pills[1])]
    first, last = 0, room
    if not layout.own_line:
        first = start + max(layout.ends_px[0], low_px) + gap
        last = end - max(layout.ends_px[1], high_px) - gap
    chosen = span.titles[layout.title :] if layout.title is not None else ()
    title = next((title for title in chosen if title and overlay.pill_width(font, title) <= last - first), "")
    if not title:
        return [line]
    # In the middle of the frame, unless the values, which need not be equally long, push it aside.
    width = overlay.pill_width(font, title)
    placed = (min(max((room - width) // 2, first), last - width), overlay.pill(font, title))
    return [line, [placed]] if layout.own_line else [[*line, placed]]


def _fitting(font: ImageFont.FreeTypeFont, value: str, room: int) -> str:
    """Return a value, its middle digits elided until its pill is at most room pixels long; "" if none are left."""
    digits, mark, exponent = value.partition("e")
    tail = digits[-_TAIL:] + mark + exponent
    choices = [value, *(digits[:keep] + "…" + tail for keep in range(len(digits) - _TAIL - 2, 2, -1))]
    return next((text for text in choices if overlay.pill_width(font, text) <= room), "")
