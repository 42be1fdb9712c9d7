"""The wording of names and values in messages about scenes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any


def quoted(text: str) -> str:
    """Return text in quotes, cut, and with nothing in it that could steer a terminal."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + '"'


def shown(value: object) -> str:
    """Return a TOML value the way its author would write it; tables and lists by their kind."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if isinstance(value, (int, float)):
        return re.sub(r"e([+-])0(\d)$", r"e\1\2", repr(value))
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)[:60]


def listed(names: Any) -> str:
    """Return names in quotes, one after the other."""
    return ", ".join(f'"{name}"' for name in names)


def nearest_few(name: str, names: Iterable[str], typed: Mapping[str, str] | None = None) -> str:
    """Return a question for up to three names that may have been meant; nothing if none is near.

    typed: what is to be typed for each of the names, where it is not the name itself.
    """
    names = list(names)
    near = difflib.get_close_matches(name[:100], names, n=3)
    if len(near) < 2:
        near = _nearest(name, names)
    quotes = [quoted(typed[other] if typed else other) for other in near]
    return f"; did you mean {' or '.join(filter(None, [', '.join(quotes[:-1]), quotes[-1]]))}?" if quotes else ""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a question for the name that may have been meant; nothing if none is near."""
    near = _nearest(name, list(names))
    return f'; did you mean "{near[0]}"?' if near else ""


def _nearest(name: str, names: list[str]) -> list[str]:
    """Return the one name that may have been meant, or none."""
    name = name[:100]
    near = difflib.get_close_matches(name, names, n=1)
    if not near:  # a looser match if at least the first letter is right
        near = difflib.get_close_matches(name, [other for other in names if other[:1] == name[:1]], n=1, cutoff=0.4)
    return near
