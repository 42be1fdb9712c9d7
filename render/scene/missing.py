"""What a message says of a scene that is not there: where it was looked for, and the nearest names there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from render.scene import records
from render.scene.wording import nearest_few, quoted

# Of scenes or files, in a message about one that is not there.
_MOST_NAMED = 8


def kind(path: Path) -> Literal["file", "folder", "other", "none"]:
    """Return what is at a path; "none" also for one that nothing can be at, or that may not be looked up."""
    try:
        if path.is_file():
            return "file"
        return "folder" if path.is_dir() else "other" if os.path.lexists(path) else "none"
    except (OSError, ValueError):  # too long, a loop of links, not permitted, a NUL
        return "none"


def message(given: str, known: Iterable[str]) -> str:
    """Return what to say of a scene that was not found. known: the names of the scenes that need no path."""
    known = list(known)
    path = Path(given)
    # What is asked for as an output of render stands for none of the scenes that have a name.
    named = {} if path.suffix in records.SUFFIXES else {name: name for name in known}
    if path.name == given or not path.name:
        near = _nearest(path, {**_files(Path(), path.suffix), **named})
        return f"There is no scene {quoted(given)}{near or '.'} {_all(known)}"
    folder = path.parent
    if kind(folder) != "folder":
        first = next(part for part in (*reversed(folder.parents), folder) if kind(part) != "folder")
        why = "is not a folder" if kind(first) in ("file", "other") else "does not exist"
        near = _near_folder(first, path) or _nearest(path, named)
        return f"There is no scene {quoted(given)}: {quoted(str(first))} {why}{near or '.'}"
    candidates = _files(folder, path.suffix)
    if near := _nearest(path, candidates):
        return f"There is no scene {quoted(given)}{near}"
    shown = sorted(candidates.values())
    held = f"{len(shown)} others" if len(shown) > _MOST_NAMED else ", ".join(quoted(Path(name).name) for name in shown)
    near = _nearest(path, named)
    return f"There is no scene {quoted(given)}: {quoted(str(folder))} holds {held or 'none'}{near or '.'}"


def _near_folder(missing: Path, path: Path) -> str:
    """Return a question for the same path in the folder whose name is nearest to that of a missing folder."""
    try:
        folders = [other for other in missing.parent.iterdir() if other.is_dir() and str(other).isprintable()]
    except (OSError, ValueError):
        return ""
    return nearest_few(
        missing.name, [other.name for other in folders], {o.name: str(o / path.relative_to(missing)) for o in folders}
    )


def _all(known: list[str]) -> str:
    if not known:
        return "There are no scenes in ./scenes either."
    if len(known) > _MOST_NAMED:
        return f"`render systems` names all {len(known)} scenes that need no path."
    return f"The scenes are {', '.join(known)}."


def _files(folder: Path, suffix: str) -> dict[str, str]:
    """Return the files of a folder that may be a scene, or an output of the suffix that was asked for: stem -> path."""
    suffix = suffix if suffix in records.SUFFIXES else ".toml"
    try:
        files = [path for path in folder.glob(f"*{suffix}") if str(path).isprintable()]
    except (OSError, ValueError):
        return {}
    return {path.stem: str(path) for path in files}


def _nearest(path: Path, names: dict[str, str]) -> str:
    """Return a question for those of some names (stem -> what to type) that are nearest to a path's."""
    stem = path.stem if path.suffix in (".toml", *records.SUFFIXES) else path.name
    return nearest_few(stem, names, names)
