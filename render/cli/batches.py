"""Several films, one after the other. If one fails, the others are made all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from render.cli.options import Changes
from render.errors import RenderError, SceneError

if TYPE_CHECKING:
    from render.scene import Scene


def each(loaded: Sequence[Scene], film: Callable[[Scene], Sequence[Path]]) -> bool:
    """Make the film of every scene, report the outcome of each, and return whether all were made."""
    from render.cli import messages
    from render.cli.terminal import duration

    failed: list[tuple[str, str]] = []
    begun_s = time.monotonic()
    for number, scene in enumerate(loaded, 1):
        messages.emit("film", f"film {number} of {len(loaded)}: {scene.name}", name=scene.name, number=number)
        try:
            messages.wrote(*film(scene))
        except RenderError as error:
            fault = str(error).removeprefix(f"{scene.name}: ")  # many errors begin with the scene's name themselves
            failed.append((scene.name, fault))
            messages.emit("failed", f"{scene.name}: {fault}", style="red", name=scene.name, fault=fault)
    count = len(loaded) - len(failed)
    text = f"{count} of {len(loaded)} films made in {duration(time.monotonic() - begun_s)}."
    messages.emit("batch", text, made=count, films=len(loaded), failed=[name for name, _ in failed])
    for name, fault in failed:
        messages.emit("failed", f"not made: {name}: {fault}", style="red", name=name, fault=fault)
    return not failed


def load(names: Sequence[str | Path], changes: Changes) -> list[Scene]:
    """Return the scenes of some files, each of its own: all are read before the first film is begun.

    Raises SceneError with the faults of all of them, or RenderError for scenes of one name, whose films would replace
    each other.
    """
    loaded: list[Scene] = []
    faults: list[str] = []
    for name in names:
        try:
            loaded.append(changes.load(name))
        except SceneError as error:
            faults += error.faults
    if faults:
        raise SceneError(*faults)
    titles = [scene.name for scene in loaded]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise RenderError(
            f"with --each every scene must have a name of its own, since its film is called so, but {', '.join(twice)} "
            "comes more than once. Rename the files, and leave out --name."
        )
    return loaded
