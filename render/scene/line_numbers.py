"""On which line of a TOML text a field stands."""

from __future__ import annotations

import tomllib
from typing import Any

Keys = tuple[str | int, ...]

# Of one value. A longer one is passed over line by line, and its fields are reported on the line of their table.
_MOST_LINES = 100


def of_fields(text: str) -> dict[Keys, int]:
    """Return the line, from 1, of every field and table of a valid TOML text; entries of a list of tables by number.

    What stands in a list or an inline table has the line on which that begins.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    numbers: dict[Keys, int] = {}
    table: Keys = ()
    counts: dict[Keys, int] = {}
    at = 0
    while at < len(lines):
        head = lines[at].strip()
        read, length = _statement(lines, at)
        if head.startswith("[") and read is not None:
            table = _table(read, counts)
            numbers.setdefault(table, at + 1)
        elif read:
            for keys in _keys(read):
                numbers.setdefault((*table, *keys), at + 1)
        at += length
    return numbers


def _statement(lines: list[str], at: int) -> tuple[dict[str, Any] | None, int]:
    """Return what the statement that begins on a line says by itself, and how many lines it has; None for no such."""
    for length in range(1, min(_MOST_LINES, len(lines) - at) + 1):
        try:
            return tomllib.loads("\n".join(lines[at : at + length])), length
        except (ValueError, RecursionError):
            if lines[at].lstrip().startswith("["):
                break
    return None, 1


def _table(read: dict[str, Any], counts: dict[Keys, int]) -> Keys:
    """Return the path of the table that a header begins. counts: how many tables there were of each list so far."""
    keys: Keys = ()
    inner: Any = read
    while inner:
        ((name, inner),) = inner.items()
        keys += (name,)
        if isinstance(inner, list):  # [[name]]
            counts[keys] = counts.get(keys, -1) + 1
            return (*keys, counts[keys])
        if keys in counts:  # a table within the last of a list
            keys += (counts[keys],)
    return keys


def _keys(value: Any) -> list[Keys]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [keys for key, inner in pairs for keys in ((key,), *((key, *deeper) for deeper in _keys(inner)))]
