"""Users' files that a scene's problem names: found, read and taken up as systems. Nothing in them is run here.

`problem.system` is a row of the catalogue, a path that ends in ".py", or the name under which an installed package
offers a system (entry points of the group `render.systems`).
"""

from __future__ import annotations

import importlib.util
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import render
from render.errors import ChangedCode, SceneError
from render.problem import catalogue, own_model
from render.problem.own_model import declaration
from render.scene.wording import quoted
from render.storage import trust

GROUP = "render.systems"


def taken_up(raw: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return a scene's fields with the user's file of its problem, if there is one, by its name in the catalogue.

    Axes that give no scale or range have those that the file declares. folder: that its path starts at; None where
    there is none, as in a scene out of a page. SceneError for a file that is not there, or has faults.
    """
    problem = raw.get("problem")
    system = problem.get("system") if isinstance(problem, dict) else None
    if not isinstance(problem, dict) or not isinstance(system, str) or system in catalogue.SYSTEMS:
        return raw
    known = _known(system, folder)
    if known is None:
        return raw
    code = problem.get("code")
    if isinstance(code, str) and code != known.source.digest:
        raise ChangedCode(
            f"problem.code must be {known.source.digest}, the digest of {known.source.name} as it is now, not "
            f"{quoted(code)}: the file, what it imports, or a package has changed since. Remove code to train it as it "
            "is now."
        )
    taken = {**problem, "system": known.name}
    row = catalogue.row(known.name)
    for which in ("x", "y"):
        axis = taken.get(which)
        name = axis.get("name") if isinstance(axis, dict) else None
        h = row.hyperparameters.get(name) if isinstance(name, str) else None
        if isinstance(axis, dict) and h is not None:
            given: dict[str, Any] = {"scale": h.scale} | axis
            if h.range is not None and not {"range", "range_log10"} & axis.keys():
                given["range"] = list(h.range)
            taken[which] = given
    return {**raw, "problem": taken}


def anchored(raw: dict[str, Any], folder: Path) -> None:
    """Make the path of a user's file absolute, so that another file may be laid over this one."""
    problem = raw.get("problem")
    system = problem.get("system") if isinstance(problem, dict) else None
    if isinstance(problem, dict) and isinstance(system, str) and _is_path(system):
        problem["system"] = str((folder / system).absolute())


def written(system: str, folder: Path | None = None) -> str:
    """Return a system as a scene in a folder names it: a path of a user's file, or the name itself."""
    if not own_model.is_own(system):
        return system
    known = own_model.find(system)
    offered = next((name for name, path in _offered().items() if path == known.folder / known.source.name), None)
    if offered is not None:
        return offered
    start = Path.cwd() if folder is None else folder.absolute()
    path = Path(os.path.relpath(known.folder.absolute() / known.source.name, start)).as_posix()
    return path if path.startswith("..") else f"./{path}"


def read(path: Path) -> own_model.Known:
    """Read a user's file. SceneError, with all faults, for one that cannot be a system."""
    plain = own_model.read(path)
    files = declaration.files(plain.name, plain.text)
    known = own_model.add(own_model.read(path, files) if files else plain, path.parent.absolute())
    if path.absolute().is_relative_to(Path(render.__file__).resolve().parent) or _is_shipped(path):
        trust.accept(known.source.code_digest)
    return known


def trusted(path: str | Path) -> bool:
    """Let this user's processes run a file as it is now; False where later processes cannot know of it.

    SceneError for a file that is not there, or cannot be a system.
    """
    file = Path(path)
    if not file.is_file():
        raise SceneError(f"There is no file {quoted(str(path))} to trust. (Its path starts at the current folder.)")
    return trust.remember(read(file).source)


def named(system: str, folder: Path | None) -> str | None:
    """Return the name in the catalogue of what a scene in a folder calls a system; None if there is none.

    SceneError for a file that is not there, or has faults.
    """
    if system in catalogue.SYSTEMS:
        return system
    known = _known(system, folder)
    return None if known is None else known.name


def offered() -> list[str]:
    """Return the names of the systems that installed packages offer."""
    return sorted(name for name in _offered() if name not in catalogue.SYSTEMS)


def _is_path(system: str) -> bool:
    return system.endswith(".py")


def _known(system: str, folder: Path | None) -> own_model.Known | None:
    if own_model.is_own(system):  # a name that this process gave: no scene may count on it
        raise SceneError(
            f"problem.system must be a system or the path of a file that ends in .py, not {quoted(system)}."
        )
    if _is_path(system):
        if folder is None:
            raise SceneError(
                f"problem.system: a scene that comes from a page or a still cannot name code such as {quoted(system)}. "
                "Open the scene's own file."
            )
        path = folder / system
        try:
            is_file = path.is_file()
        except (OSError, ValueError):
            is_file = False
        if not is_file:
            raise SceneError(
                f"problem.system must be a file beside the scene, and the folder {quoted(str(folder))} has no "
                f"{quoted(system)}. (`render new my_net.py` writes one to begin with.)"
            )
        return read(path)
    path_offered = _offered().get(system)
    if path_offered is None:
        return None
    known = read(path_offered)
    trust.accept(known.source.code_digest)  # it was installed, as this package was
    return known


def _offered() -> dict[str, Path]:
    """Return the files of the systems that installed packages offer, by name; nothing is imported."""
    files: dict[str, Path] = {}
    for entry in metadata.entry_points(group=GROUP):
        top, *inner = entry.module.split(".")
        spec = importlib.util.find_spec(top)
        if spec is None:
            continue
        folders = list(spec.submodule_search_locations or [])
        paths = [Path(folder, *inner).with_suffix(".py") for folder in folders] if inner else []
        paths += [Path(spec.origin)] if spec.origin and not inner else []
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            files.setdefault(entry.name, path)
    return files


def _is_shipped(path: Path) -> bool:
    """Return whether a file comes with render: it is as trusted as the program itself."""
    package = Path(render.__file__).resolve().parent
    inside = package / "scenes"
    folder = (inside if inside.is_dir() else package.parent / "scenes") / "own"
    return path.resolve().parent == folder
