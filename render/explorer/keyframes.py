"""Conversion between keyframes of a page and the text of a scene; the rest of the text stays as the user wrote it.

Every request about a film (its path, its cost, the saved file) is answered from the edited text of the scene, so that a
page can ask for nothing that a scene file cannot, and the same checks apply to both.
"""

from __future__ import annotations

import math
import tomllib
from copy import copy
from dataclasses import dataclass, replace
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

import tomlkit

from render.errors import RenderError
from render.explorer import dials, requests, toml_document
from render.geometry.axes import Axis
from render.geometry.camera import EASINGS, View
from render.geometry.tracks import STEPS
from render.picture import palettes
from render.picture.colour import Look
from render.scene import Scene
from render.scene.tables import MOST_KEYFRAMES

# A saved centre is rounded to this fraction of the view's width: a thousandth of a pixel of an 8K frame.
_SHARE = Decimal("1e-7")

# The view that a page receives is rounded to this fraction of its width, so that a round trip changes nothing.
_PLACE_FRACTION = Decimal("1e-12")

# A value on a log10 axis is read to 60 digits of its logarithm, so the centre of a narrower view is written as log10.
_NARROWEST_OF_VALUES = 1e-45

_KEYFRAMES = ("camera", "keyframes")

# For numbers of any length that a scene may have; Python's own context keeps 28 digits.
_ROUNDING = Context(prec=1000, Emax=MAX_EMAX, Emin=MIN_EMIN)

# Relative difference below which the width of a view on a page counts as that in the scene: JSON keeps numbers exactly,
# but a map may be moved by a fraction of a pixel without intention.
_SAME = 1e-9


@dataclass(frozen=True)
class Keyframe:
    """A keyframe on a page. source: its index in the scene's text, if it comes from there; the view is then that of the
    text.

    at: the values of dials that it sets, by name (see `dials`).
    """

    view: View
    hold_s: float
    time_s: float | None
    source: int | None
    at: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Edit:
    """The changes that a page makes to a scene. octaves_per_s: the speed, or None if every keyframe has a time."""

    keyframes: tuple[Keyframe, ...]
    octaves_per_s: float | None
    easing: str
    palette: str
    gap: float


def edit(raw: dict[str, Any], scene: Scene) -> Edit:
    """Return the edit that a page asks for."""
    rows = raw.get("keyframes")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_KEYFRAMES:
        raise requests.AskError(f"a film must have 1 to {MOST_KEYFRAMES} keyframes.")
    timed = raw.get("octaves_per_s") is None and len(rows) > 1
    easing = requests.text(raw, "easing")
    if easing not in EASINGS:
        raise requests.AskError(f"easing must be one of {', '.join(EASINGS)}.")
    edited = [_keyframe(row, scene, timed) for row in rows]
    # All keyframes must set the same dials, and at least those of the scene's keyframes, or the scene's plane would
    # change. A keyframe that does not set a dial gets the scene's value.
    names = dict.fromkeys([*(track.name for track in scene.tracks), *(name for key in edited for name, _ in key.at)])
    usual = dials.values_of_scene(scene, names)
    return Edit(
        keyframes=tuple(replace(key, at=tuple(sorted((usual | dict(key.at)).items()))) for key in edited),
        octaves_per_s=None if raw.get("octaves_per_s") is None else requests.number(raw, "octaves_per_s", 1e-3, 1e3),
        easing=easing,
        palette=requests.text(raw, "palette", requests.MOST_PALETTE),
        gap=requests.number(raw, "gap", 0, 0.9),
    )


def _keyframe(row: object, scene: Scene, timed: bool) -> Keyframe:
    if not isinstance(row, dict):
        raise requests.AskError("a keyframe must be an object.")
    x, y = requests.point(row)
    view = View(x, y, requests.number(row, "width", requests.LEAST_WIDTH, 8))
    source = None
    if row.get("source") is not None:
        source = requests.integer(row, "source", 0, len(scene.keyframes) - 1)
        known = scene.keyframes[source].view
        # The text may have more digits than the page. If both mean the same view, that of the text is used.
        away = max(abs(known.x - x), abs(known.y - y)) / Fraction(known.width)
        if away < 1e-3 and abs(view.width / known.width - 1) < _SAME:
            view = known
    time_s = requests.number(row, "time_s", 0, 3600) if timed else None
    at = requests.dials_of(row, scene)
    if source is not None:
        known_dials = dials.of_keyframe(scene, source)
        at = tuple((name, known_dials[name] if _alike(known_dials.get(name), value) else value) for name, value in at)
    return Keyframe(view, requests.number(row, "hold_s", 0, 3600), time_s, source, at)


def _alike(one: float | None, other: float) -> bool:
    """Return whether a page's number, which is rounded to six digits, is the scene's number."""
    return one is not None and math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-300)


def described(scene: Scene) -> dict[str, Any]:
    """Return a scene's film as a page shows it."""
    camera = tomllib.loads(scene.text)["camera"]
    speed = camera.get("octaves_per_s") or camera.get("decades_per_s", 0) * math.log2(10)
    timed = not speed and len(scene.keyframes) > 1
    return {
        "keyframes": [
            {
                **place(key.view),
                "hold_s": key.hold_s,
                "time_s": round(key.time_s, 3),
                "source": i,
                "at": dials.of_keyframe(scene, i),
            }
            for i, key in enumerate(scene.keyframes)
        ],
        "octaves_per_s": None if timed else round(float(speed), 6) or 0.667,
        "easing": scene.easing,
    }


def place(view: View) -> dict[str, Any]:
    """Return a view as pages have it: unit coordinates as decimals, rounded to _PLACE_FRACTION of its width."""
    step = Decimal(view.width) * _PLACE_FRACTION
    return {"x": decimals(view.x, step), "y": decimals(view.y, step), "width": view.width}


def own_edit(scene: Scene) -> Edit:
    """Return the edit that changes nothing."""
    return edit(described(scene) | {"palette": palettes.written(scene.look.palette), "gap": scene.look.gap}, scene)


# ---- into text --------------------------------------------------------------------------------------------------


def rewritten(scene: Scene, edit: Edit) -> str:
    """Return the scene's text with the edited film; everything else stays as the user wrote it.

    Raises RenderError if other parts of the text would change.
    """
    before = own_edit(scene)
    if edit == before:
        return scene.text
    document = toml_document.Document.parse(scene.text)
    if edit.keyframes != before.keyframes or (edit.octaves_per_s is None) != (before.octaves_per_s is None):
        _rewrite_keyframes(document, scene, edit)
    # A film of one keyframe needs no speed, and is described with a default one, which must be written for more of
    # them.
    grown = len(edit.keyframes) > 1 == len(before.keyframes)
    if grown or (edit.octaves_per_s, edit.easing) != (before.octaves_per_s, before.easing):
        _rewrite_camera(_holder(document, "camera"), edit)
    if (edit.palette, edit.gap) != (before.palette, before.gap):
        _holder(document, "look").edit(lambda look: _edit_look(look, edit), ("look",))
    text = str(document)
    _check(scene, text)
    return text


def _rewrite_keyframes(document: toml_document.Document, scene: Scene, edit: Edit) -> None:
    timed = edit.octaves_per_s is None and len(edit.keyframes) > 1

    def table(key: Keyframe) -> toml_document.Block:
        block = copy(rows[key.source]) if key.source is not None else document.new(f"[[{'.'.join(_KEYFRAMES)}]]")
        gone: list[str] = []
        block.edit(lambda row: gone.extend(_fill(row, key, scene, timed=timed)), _KEYFRAMES)
        for name in gone:
            block.drop((*_KEYFRAMES, name))
        block.tail = block.tail or document.end  # a blank line after every keyframe
        return block

    def item(key: Keyframe, items: list[toml_document.Item]) -> toml_document.Item:
        copied = copy(items[key.source]) if key.source is not None else items[-1].empty()

        def change(row: Any) -> None:
            for name in _fill(row, key, scene, timed=timed):
                row.pop(name, None)

        copied.edit(change)
        return copied

    def relist(camera: Any) -> None:
        listed = toml_document.List.parse(camera["keyframes"].as_string())
        items = [item(key, listed.items) for key in edit.keyframes]
        camera["keyframes"] = tomlkit.value(str(replace(listed, items=items)))

    rows = document.tables(*_KEYFRAMES)
    if document.tables(*_KEYFRAMES, "set"):
        raise RenderError(
            f"{scene.name} has tables [{'.'.join(_KEYFRAMES)}.set], which cannot move with their keyframes here; write "
            'them as set = { NAME = "VALUE" } within their keyframes, and try again.'
        )
    if rows:
        blocks = [table(key) for key in edit.keyframes]
        blocks[-1].tail = rows[-1].tail  # empty, if the file ends there
        document.replace(rows, blocks)
    else:
        _holder(document, "camera").edit(relist, ("camera",))


def _holder(document: toml_document.Document, table: str) -> toml_document.Block:
    """Return the block that has the keys of a table; a new one if there is none yet."""
    block = document.holder(table)
    if block is not None:
        return block
    rows = document.tables(*_KEYFRAMES) if table == "camera" else []
    return document.insert(f"[{table}]", rows[0] if rows else None)


def _check(scene: Scene, text: str) -> None:
    """Raise RenderError if an edited text would change more than the tables of the film."""

    def apart(text: str) -> dict[str, Any]:
        return {name: table for name, table in tomllib.loads(text).items() if name not in ("camera", "look")}

    try:
        if apart(text) == apart(scene.text):
            return
    except tomllib.TOMLDecodeError:
        pass
    raise RenderError(
        f"{scene.name} is written in a way that cannot be edited here without changing other parts of it; "
        "write its camera as [camera] and [[camera.keyframes]], and try again."
    )


def _rewrite_camera(block: toml_document.Block, edit: Edit) -> None:
    gone = {"octaves_per_s", "decades_per_s"}

    def change(camera: Any) -> None:
        _set(camera, "easing", edit.easing, default="smooth")
        decades, speed = camera.get("decades_per_s"), edit.octaves_per_s
        if decades is not None and speed is not None and math.isclose(decades * math.log2(10), speed, rel_tol=1e-5):
            gone.remove("decades_per_s")
        elif speed is not None:
            _set(camera, "octaves_per_s", speed, default=None)
            gone.remove("octaves_per_s")

    block.edit(change, ("camera",))
    for key in sorted(gone):
        block.drop(("camera", key))


def _edit_look(look: Any, edit: Edit) -> None:
    asked = palettes.read(edit.palette)
    if asked != palettes.read(look.get("palette", Look.palette)):
        look["palette"] = asked if isinstance(asked, str) else list(asked)
    _set(look, "gap", edit.gap, default=Look.gap)


def _set(table: Any, key: str, value: Any, *, default: Any) -> None:
    """Set a key, unless it has this value, or is left out and this is the default."""
    if table.get(key, default) != value:
        table[key] = value


def _fill(row: Any, key: Keyframe, scene: Scene, *, timed: bool) -> list[str]:
    """Write a keyframe into its table; return the keys that have to be removed."""
    gone = [] if timed else ["time_s"]
    if key.source is None or scene.keyframes[key.source].view != key.view:
        x, y = scene.problem.x, scene.problem.y
        # If possible, a centre stays in the units in which it was written, and the comments within its list stay.
        both = x.scale == y.scale == "log10"
        logs = both and ("centre" not in row or key.view.width < _NARROWEST_OF_VALUES)
        name, centre = "centre_log10" if logs else "centre", _centre(key.view, x, y, logs=logs)
        if name in row:
            for i, coordinate in enumerate(centre):
                row[name][i] = coordinate
        else:
            row[name] = centre
        gone += ["view", "height", "height_decades", *(["centre"] if logs else [])]
        width = float(f"{key.view.width * float(x.span):.7g}")
        _set(row, "width_decades" if x.scale == "log10" else "width", width, default=None)
    gone += _fill_dials(row, dict(key.at), scene, None if key.source is None else dials.of_keyframe(scene, key.source))
    _set(row, "hold_s", _plain(key.hold_s), default=0.0)
    if timed:
        _set(row, "time_s", _plain(key.time_s or 0.0), default=None)
    return gone


def _fill_dials(row: Any, at: dict[str, float], scene: Scene, before: dict[str, float] | None) -> list[str]:
    """Write the dials that a keyframe sets; return the keys that have to be removed. before: the dials in its text."""
    if at == before:
        return []
    gone = []
    if STEPS in at:
        _set(row, STEPS, round(at[STEPS]), default=None)
    else:
        gone.append(STEPS)
    hyper = {name: value for name, value in at.items() if name != STEPS}
    if not hyper:
        return [*gone, "set"]
    table = tomlkit.inline_table()
    for name, value in hyper.items():
        table[name] = int(value) if name in scene.problem.row.settings else _decimal(value)
    row["set"] = table
    return gone


def _decimal(value: float) -> str:
    return f"{value:.12g}"


def _plain(number: float) -> float:
    return round(number, 3)


def _centre(view: View, x: Axis, y: Axis, *, logs: bool) -> list[str]:
    """Return the decimals of a centre, with the digits that its view can show and a few more.

    logs: as the log10 of both coordinates.
    """
    texts = []
    for axis, unit in ((x, view.x), (y, view.y)):
        step = Decimal(view.width) * _SHARE * Decimal(float(axis.span))
        if logs or axis.scale == "linear":
            texts.append(decimals(axis.position_from_unit(unit), step))
        else:
            value = axis.value_from_unit(unit, max(0, math.ceil(-math.log2(view.width))) + 32)
            texts.append(rounded(value, value * step * Decimal("2.3")))
    return texts


def decimals(position: Fraction, step: Decimal) -> str:
    """Return an exact number as a decimal, rounded to a power of ten below `step`."""
    places = -step.adjusted() + 1
    scaled = round(position * Fraction(10) ** places)
    return _text(Decimal(f"{scaled}e{-places}"))  # exact: arithmetic would round to 28 digits


def rounded(value: Decimal, step: Decimal) -> str:
    """Return a decimal rounded to a power of ten below `step`."""
    return _text(value.quantize(Decimal((0, (1,), step.adjusted() - 1)), rounding=ROUND_HALF_EVEN, context=_ROUNDING))


def _text(number: Decimal) -> str:
    text = f"{number:f}" if -40 < number.adjusted() < 20 else f"{number:e}"
    if "." in text and "e" not in text:
        text = text.rstrip("0")
        text += "0" if text.endswith(".") else ""
    return text
