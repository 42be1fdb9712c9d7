"""The view of a keyframe: its centre and its width or height, or the whole plane, in units of the plane."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from render.geometry.axes import Axis
from render.geometry.camera import View
from render.scene.tables import KeyframeTable, good_fields
from render.scene.wording import shown

# Views below this have no float64 width.
_LEAST_WIDTH_UNIT = 1e-100
_MOST_WIDTH_UNIT = 8

# What says where a keyframe looks, unless its `view` does.
_OF_VIEWS = ("centre", "centre_log10", "width", "width_decades", "height", "height_decades")


def view(
    raw: dict[str, Any], where: str, x: Axis | None, y: Axis | None, shape: float | None, faults: list[str]
) -> View | None:
    """Return a keyframe's view. shape: width / height of the frame, if that is known."""
    good = good_fields(KeyframeTable, raw)
    if "view" in raw:
        if others := [name for name in _OF_VIEWS if name in raw]:
            faults.append(f"{where} shows the whole plane by its view, and must not have {', '.join(others)} besides")
        return View(Fraction(1, 2), Fraction(1, 2), max(1.0, shape)) if "view" in good and shape else None
    centre_key = one_of(raw, where, "centre", "centre_log10", faults)
    if x is None or y is None:
        if "height" not in raw and "height_decades" not in raw:
            one_of(raw, where, "width_decades", "width", faults)
        return None
    centre: list[Fraction] = []
    for i, (which, axis) in enumerate((("x", x), ("y", y))):
        if centre_key not in good:
            break
        at, position = f"{where}.{centre_key}[{i}]", good[centre_key][i]
        if axis.scale == "linear" and centre_key == "centre_log10":
            faults.append(f"{where}.centre_log10 needs two log10 axes, and the {which} axis is linear; give centre")
            break
        if axis.scale == "log10" and centre_key == "centre":
            if position <= 0:
                faults.append(f"{at} must be > 0 on the log10 {which} axis, not {shown(raw[centre_key][i])}")
                continue
            position = axis.position_from_value(position)
        unit = axis.unit_from_position(position)
        if 0 <= unit <= 1:
            centre.append(unit)
        else:
            runs = f"{'log10 runs' if axis.scale == 'log10' else 'values run'} from {float(axis.lo):.12g}"
            faults.append(
                f"{at} must lie on the {which} axis, whose {runs} to {float(axis.hi):.12g}, "
                f"not {shown(raw[centre_key][i])}"
            )
    width = _width(raw, good, where, x, y, shape, faults)
    return View(centre[0], centre[1], width) if len(centre) == 2 and width is not None else None


def _width(
    raw: dict[str, Any], good: dict[str, Any], where: str, x: Axis, y: Axis, shape: float | None, faults: list[str]
) -> float | None:
    """Return the width of a view in units of the plane: as it is given, or so that the height fits, or both."""
    high = any(name in raw for name in ("height", "height_decades"))
    widths: list[float | None] = []
    if not high or any(name in raw for name in ("width", "width_decades")):
        widths.append(_extent(raw, good, where, ("width", x, "x"), faults))
    if high:
        height = _extent(raw, good, where, ("height", y, "y"), faults)
        widths.append(None if height is None or shape is None else height * shape)
    known = [width for width in widths if width is not None]
    return max(known) if len(known) == len(widths) else None


def _extent(
    raw: dict[str, Any], good: dict[str, Any], where: str, along: tuple[str, Axis, str], faults: list[str]
) -> float | None:
    """Return how far a view reaches along an axis, in units of the plane. along: the field, the axis, its letter."""
    name, axis, which = along
    wanted, other, unit = f"{name}_decades", name, "decades"
    if axis.scale == "linear":
        wanted, other, unit = other, wanted, "units"
    if other in raw:
        faults.append(f"{where} must have {wanted} on a {axis.scale} {which} axis, not {other}")
    elif wanted not in raw:
        faults.append(f"{where} must have {wanted}")
    if other in raw or wanted not in good:
        return None
    span = float(axis.span)
    extent: float = good[wanted] / span
    if extent > _MOST_WIDTH_UNIT:
        limit = f"{_MOST_WIDTH_UNIT * span:.12g} ({_MOST_WIDTH_UNIT} times the {which} axis of {span:.12g} {unit})"
        faults.append(f"{where}.{wanted} must be at most {limit}, not {shown(raw[wanted])}")
        return None
    if extent < _LEAST_WIDTH_UNIT:
        limit = f"{_LEAST_WIDTH_UNIT * span:g}"
        faults.append(f"{where}.{wanted} must be at least {limit}, not {shown(raw[wanted])}")
        return None
    return extent


def one_of(raw: dict[str, Any], where: str, first: str, second: str, faults: list[str]) -> str | None:
    """Return which of two keys a table has; it must have exactly one."""
    present = [key for key in (first, second) if key in raw]
    if len(present) == 1:
        return present[0]
    faults.append(f"{where} must have exactly one of {first} and {second}, not {'both' if present else 'neither'}")
    return None
