"""Scene files and single settings laid over each other in order: the later one wins, and a fault names its own.

Tables are merged field by field; anything else, lists included, is replaced. Where a field may be given in either
of two ways (`EITHER`), the later way drops the earlier one.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from render.errors import SceneError
from render.scene import line_numbers
from render.scene.wording import quoted

Keys = tuple[str | int, ...]

# Fields of one table that say the same thing in two ways.
EITHER = (
    ("range", "range_log10"),
    ("centre", "centre_log10"),
    ("width", "width_decades"),
    ("height", "height_decades"),
    *((one, other) for one in ("width", "width_decades") for other in ("height", "height_decades")),
    *(("view", name) for name in ("centre", "centre_log10", "width", "width_decades", "height", "height_decades")),
    ("octaves_per_s", "decades_per_s"),
)

_MOST_CHARACTERS = 10_000
_PATH = re.compile(r"[A-Za-z_]\w*(?:\[-?\d+\]|\.[A-Za-z_]\w*)*")
_PART = re.compile(r"\[(-?\d+)\]|(\w+)")


@dataclass
class Layers:
    """The combined fields of several sources.

    raw: their fields, as tomllib gives them. origins: the source of every field that some source gives, by its path.
    """

    raw: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    _sources: list[tuple[str, Callable[[Keys], bool]]] = field(default_factory=list)
    _texts: dict[str, str] = field(default_factory=dict)

    def lay(self, source: str, raw: dict[str, Any], text: str = "") -> None:
        """Lay a file's fields over what is there. source: what messages call it. text: of the file, to say lines of."""
        self.raw = merged(self.raw, copy.deepcopy(raw))
        self.origins |= dict.fromkeys(_leaves(raw), source)
        self._sources.append((source, lambda keys: _reaches(raw, keys)))
        self._texts[source] = text

    def set(self, text: str) -> None:
        """Lay one setting over what is there: `camera.keyframes[1].hold_s=3`. The value is TOML, or a bare string."""
        path, equals, value = text.partition("=")
        path = path.strip()
        source = f"--set {quoted(text)[1:-1]}"
        if not equals or not _PATH.fullmatch(path):
            raise SceneError(
                f"{source}: a setting must be FIELD=VALUE, such as look.palette=vik or camera.keyframes[1].hold_s=3."
            )
        if len(text) > _MOST_CHARACTERS:
            raise SceneError(f"{source}: a setting must have at most {_MOST_CHARACTERS} characters, not {len(text)}.")
        keys: Keys = ()
        place: Any = self.raw
        *above, last = keys_of(path)
        for key in above:
            key = _checked(place, key, keys, source)
            keys += (key,)
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        last = _checked(place, last, keys, source)
        keys += (last,)
        if isinstance(place, dict):
            changed = merged(place, {last: _value(value)})
            place.clear()
            place.update(changed)
        else:
            place[last] = _value(value)
        self.origins[path_of(keys)] = source
        self._sources.append((source, lambda asked: asked[: len(keys)] == keys[: len(asked)]))

    @property
    def first(self) -> str:
        """The name of the source that was laid first; empty before there is one."""
        return self._sources[0][0] if self._sources else ""

    def source_of(self, fault: str) -> str:
        """Return which source a fault is about: the last that gives the field with which the fault begins.

        It is a file with the line, such as "mine.toml, line 12", a setting, or a file alone if it lacks the field.
        """
        match = re.match(rf"(?:the scene|({_PATH.pattern}))(?: has no field \"(\w+)\")?", fault)
        keys = keys_of(match[1] or "") if match else ()
        deeper = match and match[2]
        for asked in (*([(*keys, deeper)] if deeper else []), *(keys[:n] for n in range(len(keys), 0, -1))):
            for source, reaches in reversed(self._sources):
                if reaches(asked):
                    return self._with_line(source, asked)
        return self._sources[0][0]

    def _with_line(self, source: str, keys: Keys) -> str:
        lines = line_numbers.of_fields(self._texts[source]) if self._texts.get(source) else {}
        line = next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)
        return source if line is None else f"{source}, line {line}"


def keys_of(path: str) -> Keys:
    """Return the keys of a path such as camera.keyframes[1].hold_s."""
    return tuple(int(index) if index else name for index, name in _PART.findall(path))


def path_of(keys: Iterable[str | int]) -> str:
    """Return keys as a path: the inverse of `keys_of`."""
    path = ""
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path


def differences(one: Any, other: Any, above: Keys = ()) -> dict[Keys, tuple[Any, Any]]:
    """Return the fields in which two files differ, by their keys, with both values; None where one has no such field.

    Lists of as many tables are compared table by table, all other lists as a whole.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(key, one.get(key), other.get(key)) for key in {**one, **other}]
    elif _is_tables(one) and _is_tables(other) and len(one) == len(other):
        pairs = [(i, *entries) for i, entries in enumerate(zip(one, other, strict=True))]
    else:
        return {} if one == other else {above: (one, other)}
    return {keys: values for key, a, b in pairs for keys, values in differences(a, b, (*above, key)).items()}


def with_values(raw: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's fields with other values, by their paths; None removes a field. Raises LookupError, TypeError."""
    changed = copy.deepcopy(raw)
    for path, value in values.items():
        *above, last = keys_of(path)
        place: Any = changed
        for key in above:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return changed


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _others(name: str) -> list[str]:
    return [other for ways in EITHER if name in ways for other in ways if other != name]


def merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return upper laid over lower; neither is changed."""
    dropped = {other for name in upper for other in _others(name)} - upper.keys()
    result = {name: value for name, value in lower.items() if name not in dropped}
    for name, value in upper.items():
        below = result.get(name)
        result[name] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _leaves(raw: dict[str, Any], above: Keys = ()) -> list[str]:
    """Return the path of every field that is no table; those of a list of tables are the fields of its entries."""
    paths: list[str] = []
    for key, value in raw.items():
        keys = (*above, key)
        if isinstance(value, dict):
            paths += _leaves(value, keys)
        elif _is_tables(value):
            for i, entry in enumerate(value):
                paths += _leaves(entry, (*keys, i))
        else:
            paths.append(path_of(keys))
    return paths


def _reaches(raw: Any, keys: Keys) -> bool:
    """Return whether a file's fields hold the one that keys lead to."""
    for key in keys:
        try:
            raw = raw[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _checked(place: Any, key: str | int, keys: Keys, source: str) -> Any:
    """Return a key that may be looked up in place, which `keys` led to; a negative index counted from the front."""
    where = path_of(keys) or "the scene"
    if isinstance(key, str):
        if not isinstance(place, dict):
            raise SceneError(f"{source}: {where} is not a table, and has no field {quoted(key)}.")
        return key
    if not isinstance(place, list):
        raise SceneError(f"{source}: {where} is not a list, and has no entry [{key}].")
    if not -len(place) <= key < len(place):
        raise SceneError(f"{source}: {where} has {len(place)} entries, [0] to [{len(place) - 1}], and no [{key}].")
    return key % len(place)


def _value(text: str) -> Any:
    """Return a TOML value; what is none is a string, so that names need no quotes on the command line."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return read["value"] if len(read) == 1 else text.strip()
