"""What a table of points says of how it was made, in a JSON file beside it: a table of numbers has no room for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import render
from render import scene as scenes
from render.files.atomic import check_target, write_whole
from render.film import replacing
from render.scene import Scene

# Tables that say nothing of a view or of colours.
_UNSEEN = ("camera", "look", "output")

_ADVICE = "Give --force to replace it, or another name."


def asked(points: Iterable[tuple[str, str]], steps: int, precision: str) -> dict[str, object]:
    """Return what a request consists of besides its scene. points: as they were written, or will be."""
    digest = hashlib.sha256("\n".join(f"{x},{y}" for x, y in points).encode()).hexdigest()
    return {"points": digest, "steps": steps, "precision": precision}


def check(path: Path, loaded: Scene, request: Mapping[str, object], *, force: bool) -> bool:
    """Refuse to write a table where that cannot be, or where one of another request or a person's file is.

    Return whether a file will be made or replaced there, which gets a record: no device. Raises RenderError.
    """
    makes_file = check_target(path)
    if makes_file and path.is_file() and path.stat().st_size:
        replacing.check(path, loaded, force=force, unseen=_UNSEEN, asked=request, advice=_ADVICE)
    if makes_file:
        check_target(replacing.record_path(path))
    return makes_file


def write(path: Path, loaded: Scene, request: Mapping[str, object]) -> None:
    """Write the record of a table."""
    facts = scenes.provenance(loaded, "scene", {}) | {"render": render.__version__} | dict(request)
    write_whole(replacing.record_path(path), (json.dumps(facts, indent=1) + "\n").encode())
