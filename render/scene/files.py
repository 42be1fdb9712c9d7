"""Scenes in files: found by name or by path, and read with care."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from render.errors import SceneError
from render.scene.checks import parse
from render.scene.values import Scene
from render.scene.words import nearest, quoted

MOST_BYTES = 1_000_000


def _folders() -> list[Path]:
    """Where scenes are looked up by name: here, and beside the package of a checkout."""
    return [Path("scenes"), Path(__file__).resolve().parents[2] / "scenes"]


def _kind(path: Path) -> Literal["file", "folder", "other", "none"]:
    try:
        if path.is_file():
            return "file"
        return "folder" if path.is_dir() else "other" if os.path.lexists(path) else "none"
    except (OSError, ValueError):  # too long, a loop of links, not permitted, a NUL
        return "none"


def find(name_or_path: str | Path) -> Path:
    """Return the file of a scene, given its path, or its name in ./scenes or in a checkout's scenes folder."""
    given = str(name_or_path)
    candidates = [Path(given), Path(given + ".toml")]
    if Path(given).name == given:  # a plain name: no folder, no tricks
        candidates += [folder / name for folder in _folders() for name in (given, given + ".toml")]
    for path in candidates:
        if _kind(path) == "file" and path.suffix == ".toml":
            return path
    kind = _kind(Path(given)) if given else "none"
    if kind == "file":
        raise SceneError(f'{quoted(given)} is not a scene: a scene file ends in ".toml".')
    if kind == "folder":
        raise SceneError(f"{quoted(given)} is a folder; give the scene file in it.")
    if kind == "other":
        raise SceneError(f"{quoted(given)} is not a file that can be read.")
    known = names()
    there = f"The scenes are {', '.join(known)}" if known else "There are no scenes in ./scenes either"
    raise SceneError(f"There is no scene {quoted(given)}{nearest(Path(given).stem, known) or '.'} {there}.")


def names() -> list[str]:
    """Return the names of all scenes that can be given by name, sorted."""
    return sorted({path.stem for folder in _folders() if _kind(folder) == "folder" for path in folder.glob("*.toml")})


def load(name_or_path: str | Path) -> Scene:
    """Return the scene of a file, given its path or name."""
    path = find(name_or_path)
    source = quoted(str(path))[1:-1] if len(str(path)) <= 60 else str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SceneError(f"{source}: cannot be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise SceneError(f"{source}: a scene file must have at most {MOST_BYTES} bytes.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneError(f"{source}: must be UTF-8 text; byte {error.start} is not.") from None
    if path.stem.startswith("."):  # the stem names the film's folder
        raise SceneError(f"{source}: the name of a scene file must not start with a dot.")
    return parse(text, source, path.stem)
