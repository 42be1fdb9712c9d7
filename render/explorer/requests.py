"""Checks of a page's requests: only finite numbers within bounds, and names from lists, pass."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from render.errors import RenderError
from render.explorer import colouring, dials
from render.explorer.wanted_tiles import Look
from render.geometry.axes import DEEPEST_LEVEL, exact
from render.geometry.tiles import Tile
from render.geometry.tracks import STEPS
from render.geometry.viewport import Viewport
from render.problem import Problem
from render.scene import Scene

MOST_PX = 8192
DETAILS = (1.0, 0.5, 0.25, 0.125)

# The largest coordinate and width of a view, in units of the plane.
_MOST_WIDTH = 16.0

# The narrowest view, in units of the plane: less than a sample of the deepest level.
LEAST_WIDTH = 2.0 ** -(DEEPEST_LEVEL + 6)

# The most digits of a column or row of the deepest level.
_MOST_DIGITS = 121


class AskError(RenderError):
    """A request that the server does not offer: an error of the page, or not from the page."""


class BusyError(RenderError):
    """A request of a kind of which too many are waiting."""


@dataclass(frozen=True)
class View:
    """A view of a page. serial: the page's number of it. train: whether to train what is missing.

    keep: whether what the view before asked for is trained meanwhile, as during the preview of a film.
    at: values of dials, by name.
    whole_plane: whether ranks are taken over the whole plane, and not over the view. gap: as in `colour.Look`.
    """

    serial: int
    scene: str
    look: Look
    channel: str
    gap: float
    whole_plane: bool
    train: bool
    keep: bool
    at: tuple[tuple[str, float], ...] = ()


def table(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object; AskError for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise AskError("a request must be JSON.") from None
    if not isinstance(content, dict):
        raise AskError("a request must be a JSON object.")
    return content


def number(raw: dict[str, Any], name: str, least: float, most: float) -> float:
    """Return a finite number of a request."""
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise AskError(f"{name} must be a number from {least:g} to {most:g}.")
    return float(value)


def integer(raw: dict[str, Any], name: str, least: int, most: int) -> int:
    """Return an integer of a request, within bounds. Raises AskError."""
    value = raw.get(name)
    if type(value) is not int or not least <= value <= most:
        raise AskError(f"{name} must be a whole number from {least} to {most}.")
    return value


# The most characters of a palette: 64 colours with commas between them.
MOST_PALETTE = 600


def text(raw: dict[str, Any], name: str, most: int = 200) -> str:
    """Return a text of a request."""
    value = raw.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise AskError(f"{name} must be a text of at most {most} characters.")
    return value


def coordinate(raw: dict[str, Any], name: str, least: float, most: float) -> Fraction:
    """Return a unit coordinate of a request, exactly. It is a number, or a decimal text of any number of digits."""
    value = raw.get(name)
    if not isinstance(value, str):
        return Fraction(number(raw, name, least, most))
    try:
        place = exact(value)
    except ValueError as error:
        raise AskError(f"{name} {error}.") from None
    if not least <= place <= most:
        raise AskError(f"{name} must be a number from {least:g} to {most:g}.")
    return place


def point(raw: dict[str, Any]) -> tuple[Fraction, Fraction]:
    """Return the unit coordinates of a point of the plane."""
    return coordinate(raw, "x", 0, 1), coordinate(raw, "y", 0, 1)


def tiles(raw: dict[str, Any]) -> list[Tile]:
    """Return the tiles that a request names."""
    rows = raw.get("tiles")
    good = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 3 and type(row[0]) is int and all(map(_is_index, row[1:])) for row in rows
    )
    if not good or rows is None:
        raise AskError("tiles must be a list of [level, ix, iy], the last two as decimal texts.")
    return [Tile(level, int(ix), int(iy)) for level, ix, iy in rows]


def _is_index(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit()


# More dials than any scene has.
_MOST_DIALS = 64


def dials_of(raw: dict[str, Any], scene: Scene) -> tuple[tuple[str, float], ...]:
    """Return the values of a scene's dials in a request, by name; empty if there are none."""
    given = raw.get("at") or {}
    if not isinstance(given, dict) or len(given) > _MOST_DIALS:
        raise AskError("at must be an object of dials.")
    try:
        return tuple(sorted(dials.snapped(scene, {name: number(given, name, -1e300, 1e300) for name in given}).items()))
    except KeyError as error:
        raise AskError(f"there is no dial {str(error.args[0])[:60]!r}.") from None


def view(raw: dict[str, Any], problem: Problem, deepest_level: int, at: tuple[tuple[str, float], ...] = ()) -> View:
    """Return the view that a page asks for. deepest_level: the deepest one of the scene. at: see `dials_of`."""
    x, y = (coordinate(raw, name, -_MOST_WIDTH, _MOST_WIDTH) for name in ("x", "y"))
    width = number(raw, "width", LEAST_WIDTH, _MOST_WIDTH)
    width_px, height_px = (integer(raw, name, 1, MOST_PX) for name in ("width_px", "height_px"))
    focus = (x, y)
    if isinstance(raw.get("pointer"), dict):
        focus = point(raw["pointer"])
    detail = number(raw, "detail", DETAILS[-1], DETAILS[0])
    if detail not in DETAILS:
        raise AskError(f"detail must be one of {DETAILS}.")
    shorter = dict(at).get(STEPS, problem.steps) < problem.steps
    channel, known = text(raw, "channel"), colouring.channels(problem, shorter=shorter)
    if channel not in known:
        raise AskError(f"channel must be one of {', '.join(known)}.")
    return View(
        serial=integer(raw, "serial", 0, 2**53),
        scene=text(raw, "scene"),
        look=Look(Viewport(x, y, width, width_px, height_px), focus, detail, deepest_level),
        channel=channel,
        gap=number(raw, "gap", 0, 0.9),
        whole_plane=raw.get("whole_plane") is True,
        train=raw.get("train") is True,
        keep=raw.get("keep") is True,
        at=at,
    )


def finite(value: float) -> float | None:
    """Return a number that JSON can contain: None for inf and nan."""
    return value if math.isfinite(value) else None
