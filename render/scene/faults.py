"""Faults in the fields of a scene file, each worded as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from render.problem.catalogue import SYSTEMS
from render.scene import other_systems, own_files
from render.scene.tables import of_system, system_of, tables_by_path
from render.scene.wording import listed, nearest, quoted, shown


def layout_faults(raw: dict[str, Any]) -> list[str]:
    """Return what is wrong with a scene file's fields by themselves, in sentences without their full stops."""
    system = system_of(raw)
    try:
        of_system(system).scene.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        return []
    for e in errors:
        if e["loc"] == ("problem", "system") and e["type"] == "literal_error":
            # Which fields the problem may have, and what it measures, is not known: no other fault of those counts.
            names = ", ".join(f"'{name}'" for name in (*SYSTEMS, *own_files.offered()))
            fault = _fault(e | {"ctx": {"expected": names}}, system)
            others = [e for e in errors if e["loc"][:1] != ("problem",) and e["loc"] != ("look", "channel")]
            return [fault, *(_fault(other, system) for other in others)]
    return [_fault(e, system) for e in errors]


def without_consequences(faults: Iterable[str]) -> list[str]:
    """Return faults without those that follow from a misspelt field: that the field which was meant is missing."""
    faults = [*faults]
    meant = [match.groups() for fault in faults if (match := _MISSPELT.fullmatch(fault))]
    return [
        fault
        for fault in faults
        if not any(
            fault.startswith(f"{where} must ") and re.search(rf"\b{re.escape(name)}\b", fault) for where, name in meant
        )
    ]


# The place and the field that was meant, of a message as `_fault` words it.
_MISSPELT = re.compile(r'(.*) has no field "[^"]*"; did you mean "([^"]*)"\?')


def _key_path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a table",
    "finite_number": "finite",
    "string_pattern_mismatch": 'a colour such as "#1b1b1f"',
}
_BOUNDS = {"greater_than": (">", "gt"), "greater_than_equal": (">=", "ge"), "less_than_equal": ("<=", "le")}


def _fault(error: Any, system: str) -> str:
    """Return one of pydantic's errors, worded as a sentence without its full stop."""
    kind, loc, given, context = error["type"], error["loc"], error["input"], error.get("ctx", {})
    where, path = _key_path(loc), tuple(part for part in loc if isinstance(part, str))
    if kind == "extra_forbidden":
        names = list(tables_by_path(system)[path[:-1]].model_fields)
        hint = other_systems.hint(path[:-1], loc[-1], system) or nearest(loc[-1], names)
        hint = hint or f"; its fields are {', '.join(names)}"
        return f"{_key_path(loc[:-1]) or 'the scene'} has no field {quoted(loc[-1])}{hint}"
    if kind == "missing":
        return f"{_key_path(loc[:-1]) or 'the scene'} must have {loc[-1]}"
    if kind == "literal_error":
        names = re.findall("'([^']*)'", context["expected"])
        must = f"must be one of {listed(names)}" if len(names) > 1 else f"must be {listed(names)}"
        hint = ""
        if isinstance(given, str):
            hint = other_systems.hint(path, given, system) or nearest(given, names)
        return f"{where} {must}, not {shown(given)}{hint}"
    if kind in _BOUNDS:
        sign, key = _BOUNDS[kind]
        return f"{where} must be {sign} {context[key]:.12g}, not {shown(given)}"
    if kind == "multiple_of":
        return f"{where} must be even, not {shown(given)}"
    if kind in ("too_short", "too_long"):
        limit = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"{where} must have {limit} entries, not {len(given)}"
    if kind == "value_error":
        return f"{where} {context['error']}"
    if kind == "float_type" and type(given) is int:
        return f"{where} must be within float64's range"
    if kind in _KINDS:
        return f"{where} must be {_KINDS[kind]}, not {shown(given)}"
    return f"{where} is not valid: {error['msg']}"
