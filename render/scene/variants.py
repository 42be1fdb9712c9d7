"""In what a scene differs from what its own files say, and how names of files tell that."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from render.picture import palettes
from render.scene.files import resolved
from render.scene.layers import differences, keys_of, path_of
from render.scene.values import Scene

# Names of files have room for so many bytes of this (see `naming.MOST_BYTES`).
MOST_TAG_BYTES = 20

# Of SHA-256, in hex. Two requests of one name in 17 million would share it, and then their records tell them apart.
_DIGEST_CHARACTERS = 6

# What shells, URLs and file systems leave as it is.
_PLAIN = re.compile(r"[A-Za-z0-9._]+")


def changed_from(scene: Scene) -> dict[str, Any]:
    """Return what the scene's own files say of each field that settings changed, by its path; None: they say nothing.

    What further files say is no change: the scene's name has their names in it, and that of its shape.
    """
    if scene.plain is None:
        paths = {path for path, source in scene.origins.items() if source.startswith("--set ")}
        return dict.fromkeys(sorted(paths | set(scene.record.changed_from if scene.record else ())))
    return {path: before for path, (before, _) in between(scene.plain, scene).items()}


def provenance(scene: Scene, quality: str, numerics: Mapping[str, str | int]) -> dict[str, str]:
    """Return what an output says of how it was made, as short texts: what `records.read` reads."""
    texts = {
        "scene": resolved(scene),
        "name": scene.name,
        "quality": quality,
        "problem": scene.problem.key,
        "numerics": json.dumps(dict(numerics), sort_keys=True),
    }
    changed = changed_from(scene)
    return texts | {"changed_from": json.dumps(changed, sort_keys=True)} if changed else texts


def between(one: Scene, other: Scene) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two scenes differ, by their paths, with both values; None where one has no such field.

    Values that are written in two ways and mean the same are no difference.
    """
    same = {
        "problem": one.problem == other.problem,
        "camera": (one.keyframes, one.easing, one.play) == (other.keyframes, other.easing, other.play),
        "look": one.look == other.look,
        "output": one.output == other.output,
    }
    differing = differences(tomllib.loads(resolved(one)), tomllib.loads(resolved(other)))
    return {path_of(keys): values for keys, values in differing.items() if not same.get(str(keys[0]), False)}


def tag(scene: Scene, ignored: Collection[str] = ()) -> str:
    """Return the part of a file's name that tells what settings changed: "vik", "bits-16"; "" for no change.

    At most MOST_TAG_BYTES long, and the same for the same values, whichever option gave them. ignored: paths of fields,
    and names of tables, that do not change what the file shows.
    """
    changed = {path: _value(scene, path) for path in sorted(changed_from(scene)) if not is_among(path, ignored)}
    if not changed:
        return ""
    words = {path: _word(path, value) for path, value in changed.items()}
    unsaid = {path: changed[path] for path, word in words.items() if not word}
    parts = [word for word in words.values() if word]
    readable = "-".join([*parts, *([_digest(unsaid)] if unsaid else [])])
    if len(readable) <= MOST_TAG_BYTES:
        return readable
    room = MOST_TAG_BYTES - 1 - _DIGEST_CHARACTERS
    return f"{'-'.join(parts)[:room].rstrip('-._')}-{_digest(changed)}"


def is_among(path: str, fields: Collection[str]) -> bool:
    """Return whether a field is one of some paths, or in one of some tables."""
    return path in fields or path.partition(".")[0] in fields


def _value(scene: Scene, path: str) -> Any:
    if path == "look.palette":  # colours are a list, or a text
        return scene.look.palette
    value: Any = tomllib.loads(resolved(scene))
    for key in keys_of(path):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):  # given up for another way to say it
            return None
    return value


def _word(path: str, value: Any) -> str:
    """Return a value of the look or the output in words of a file's name; "" for what has no short ones."""
    table, _, name = path.partition(".")
    if path == "look.palette" and isinstance(value, str):
        return "".join(c if _PLAIN.fullmatch(c) else "_" for c in palettes.shortest_name(value))
    if path == "output.size":
        return "x".join(map(str, value))
    plain = str(value).lower() if isinstance(value, (bool, int, float)) else value
    if table in ("look", "output") and isinstance(plain, str) and _PLAIN.fullmatch(plain):
        return f"{name}-{plain}"
    return ""


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARACTERS]
