"""The contents of a store: whose samples it holds, and how large they are; and what killed renders left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render import scene as scenes
from render.encode import segments
from render.errors import DamagedTile, SceneError, StoreError
from render.files import atomic, folders
from render.geometry import patches
from render.problem import Problem, described, own_model
from render.scene import Scene
from render.storage import numerics, trust
from render.storage.descriptions import read_toml
from render.storage.store import DirectoryStore, patches_named


@dataclass(frozen=True)
class Kept:
    """The tiles of one problem that one numerics made.

    scenes: names of the known scenes that use them. samples: in all tiles; those that two levels share count twice.
    levels: the coarsest and the finest of them. size_bytes: of the tiles, and of points that analyses keep beside them.
    differs: why this version of render, on this machine, cannot add to them: "kernel 1, now 2"; "" if it can.
    """

    folder: Path
    problem: str
    scenes: tuple[str, ...]
    describes: dict[str, Any]
    numerics: dict[str, Any]
    differs: str
    tiles: int
    samples: int
    size_bytes: int
    levels: tuple[int, int] | None


def listed(root: Path, known: Sequence[Scene], numerics_of: Callable[[Problem], Mapping[str, Any]]) -> list[Kept]:
    """Return what a store keeps, the largest first.

    known: scenes whose names it gives. numerics_of: returns the numerics that a problem has on this machine.
    """
    if not root.is_dir():
        raise StoreError(f"{root} must be a store, but there is no such folder. Name it with --store.")
    names: dict[str, list[str]] = {}
    for scene in known:
        names.setdefault(scene.problem.key, []).append(scene.name)
    folders_kept = []
    for toml in root.glob("*/*/numerics.toml"):
        folder, problem = toml.parent, toml.parent.parent
        made_by, describes = read_toml(toml, "numerics"), read_toml(problem / "problem.toml", "problem")
        tiles = list(tile_files(folder))
        levels = [int(path.relative_to(folder).parts[0]) for path in tiles]
        folders_kept.append(
            Kept(
                folder=folder,
                problem=problem.name,
                scenes=tuple(names.get(problem.name, ())),
                describes=describes,
                numerics=made_by,
                differs=_difference(made_by, describes, numerics_of),
                tiles=len(tiles),
                samples=patches.SIDE**2 * sum(patches_named(path.name).bit_count() for path in tiles),
                size_bytes=sum(_size(path) for path in _files(folder) if path.suffix == ".npz"),
                levels=(min(levels), max(levels)) if levels else None,
            )
        )
    return sorted(folders_kept, key=lambda kept: (-kept.size_bytes, kept.folder))


def known_scenes() -> Iterator[Scene]:
    """Yield the scenes that can be named without a path; those with faults are left out."""
    for name in scenes.names():
        with contextlib.suppress(SceneError):
            yield scenes.load(name)


def _difference(
    made_by: Mapping[str, Any], describes: Mapping[str, Any], numerics_of: Callable[[Problem], Mapping[str, Any]]
) -> str:
    try:
        now = numerics_of(described(describes))
        if "fused" in made_by:  # samples of the other kernel of the same device
            now = numerics.fused(dict(now))
        if "reference" in made_by:  # samples of deep levels, beside the plain ones of the same machine
            now = numerics.following(now, [str(made_by["reference"])])
    except trust.Untrusted:
        return "a problem whose code you have not said to trust"
    except ValueError:
        if own_model.is_own(system := str(describes.get("system"))):
            file = system.partition("#")[0]
            return f"trained by a version of {file} that no known scene uses; name its scene: render store ls SCENE"
        return f"a problem of system {describes.get('system')!r} that this version does not know"
    names = [name for name in {**now, **made_by} if made_by.get(name) != now.get(name)]
    return "; ".join(f"{name} {made_by.get(name, 'none')}, now {now.get(name, 'none')}" for name in names)


def verify(kept: Kept, *, remove: bool = False) -> Iterator[str | None]:
    """Read every tile and yield for each what is wrong with it, or None. remove: delete those that are damaged, so that
    they are trained again."""
    store = DirectoryStore.at(kept.folder)
    for path in tile_files(kept.folder):
        try:
            store.stored(*store.address_of(path))
            yield None
        except KeyError:
            yield f"{path}: it was removed while the store was read."
        except (DamagedTile, ValueError) as fault:
            if remove:
                path.unlink(missing_ok=True)
            yield f"{path}: {fault}" if not isinstance(fault, DamagedTile) else str(fault)


def remove(kept: Kept) -> None:
    """Delete tiles, and the folder of their problem if it then holds no others."""
    try:
        shutil.rmtree(kept.folder)
        if not any(entry.is_dir() for entry in kept.folder.parent.iterdir()):
            shutil.rmtree(kept.folder.parent)
    except OSError as error:
        raise StoreError(f"{kept.folder} cannot be removed: {error.strerror}.") from error


def delete(left: Iterable[Path]) -> int:
    """Delete what was left behind, unless a process writes it again, and return how many bytes that freed."""
    return sum(folders.remove(path) if path.is_dir() else atomic.remove_abandoned(path) for path in left)


def left_behind(out: Path, store: Path) -> list[Path]:
    """Return what killed renders left in both folders and no process writes any more: partial files, partial folders,
    and folders of segments."""
    partial = (path for folder in (out, store) for path in _files(folder) if atomic.is_partial(path))
    kept = [Path(place, name) for place, names, _ in os.walk(out) for name in names]
    abandoned = [folder for folder in kept if segments.abandoned(folder) or folders.is_left_behind(folder)]
    return [
        *(path for path in partial if path.parent not in abandoned and atomic.is_abandoned(path)),
        *abandoned,
    ]


def tile_files(folder: Path) -> Iterator[Path]:
    """Yield the files of tiles, from the folders of their levels, without the points of analyses beside them."""
    for level in sorted(folder.glob("[0-9][0-9]")):
        yield from (path for path in _files(level) if path.suffix == ".npz" and not path.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # another process removed it just now
