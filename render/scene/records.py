"""Scenes out of what was made from them: pictures, films, and the JSON files beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from render.errors import RenderError, SceneError
from render.scene.values import OutputRecord

SUFFIXES = {
    ".png": "a picture",
    ".json": "a record",
    ".mp4": "a film",
    ".mov": "a film",
    ".mkv": "a film",
    ".webm": "a film",
}

# Samples for other programs, and prints. Their facts have names that begin with this.
_EXPORTS = (".npz", ".zarr", ".tif", ".tiff", ".btf", ".exr")
_PREFIX = "render_"

# The field of a JSON file of results that holds what makes them again: what a record of a film holds by itself.
MADE_OF = "made_of"


def carries(path: Path) -> bool:
    """Return whether files, or folders, of a path's suffix carry their own scene."""
    return path.suffix.lower() in (*SUFFIXES, *_EXPORTS)


def exported(provenance: Mapping[str, str]) -> dict[str, str]:
    """Return what an output says of how it was made, as facts of an export: the inverse of what `fields` reads."""
    return {f"{_PREFIX}{name}": text for name, text in provenance.items()}


def read(path: Path) -> tuple[str, str, OutputRecord]:
    """Return the scene as TOML, its name, and how it was made, of a PNG, a film or a JSON file that carries them."""
    return _read(path, fields(path))


def read_with_fields(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Return the scene as TOML, its name, and everything else that an output says of itself. Raises SceneError."""
    facts = fields(path)
    text, name, _ = _read(path, facts)
    return text, name, facts


def _read(path: Path, fields: dict[str, Any]) -> tuple[str, str, OutputRecord]:
    try:
        frame, numerics = fields.get("frame"), fields["numerics"]
        record = OutputRecord(
            quality=_plain_name(fields["quality"]),
            frame=None if frame is None else int(frame),
            numerics=json.dumps(json.loads(numerics) if isinstance(numerics, str) else numerics, sort_keys=True),
            changed_from=_table(fields.get("changed_from", {})),
        )
        return str(fields["scene"]), _plain_name(fields["name"]), record
    except (KeyError, ValueError, TypeError):
        raise SceneError(
            f"{path}: must carry the scene it was made from, but does not. Only outputs of render do, and only if no "
            "other program saved them again; the .json beside an output is another copy."
        ) from None


def _table(value: object) -> dict[str, Any]:
    """Return a table, which a picture and a film hold as a text of JSON. Raises ValueError for anything else."""
    table = json.loads(value) if isinstance(value, str) else value
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise ValueError(value)
    return table


def _plain_name(name: object) -> str:
    """Return a name, refusing what would lead a file name elsewhere."""
    text = str(name)
    if not text or text.startswith(".") or any(c in text for c in "/\\") or not text.isprintable():
        raise ValueError(text)
    return text


def fields(path: Path) -> dict[str, Any]:
    """Return what an output says of itself; {} if it says nothing. Raises SceneError if it cannot be read."""
    from render import encode

    if path.suffix.lower() in _EXPORTS:
        from render.encode import arrays

        return {name.removeprefix(_PREFIX): value for name, value in arrays.read_facts(path).items()}
    try:
        if path.suffix == ".png":
            return dict(encode.read_png_metadata(path))
        text = path.read_text(encoding="utf-8") if path.suffix == ".json" else encode.read_film_comment(path)
        facts = json.loads(text)
        if not isinstance(facts, dict):
            return {}
        return facts[MADE_OF] if isinstance(facts.get(MADE_OF), dict) else facts
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({error.strerror}).") from None
    except RenderError as error:
        raise SceneError(str(error)) from None
    except ValueError:
        return {}
