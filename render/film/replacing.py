"""An existing file or folder is replaced only if the same request made it, or if a person asks for it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from render import scene as scenes
from render.errors import ChangedCode, RenderError, SceneError
from render.scene import Scene, records

# Fields that a single frame does not show: they say how a film is compressed.
UNSEEN_IN_STILLS = ("output.codec", "output.crf")

_MOST_NAMED = 3

_ADVICE = "Give --force to replace it, or --name for a name of its own."


def record_path(path: Path) -> Path:
    """Return where the record of an output lies: beside it."""
    return path.with_name(f"{path.name}.json")


def check(path: Path, scene: Scene, *, force: bool, unseen: Collection[str] = ()) -> None:
    """Refuse to replace an output that was made of another scene, or with other settings. Raises RenderError.

    path: of a film, a picture, a folder of pictures, or a JSON file of results. scene: what is to be made there, at its
    quality. unseen: paths of fields, and names of tables, that do not matter. What neither has a record nor carries
    one, and what the versions of render and of its libraries would make different, is replaced.
    """
    if force or (found := _scene_of(path)) is None:
        return
    differing = [field for field in scenes.between(found, scene) if not scenes.is_among(field, unseen)]
    if not differing:
        return
    named = ", ".join(differing[:_MOST_NAMED]) + (
        f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    )
    raise RenderError(f"{path} was made of another scene: this one differs from it in {named}. {_ADVICE}")


def _scene_of(path: Path) -> Scene | None:
    """Return the scene of what stands at a path, or of the record that does; None if nothing says which that was."""
    carriers = [record_path(path)]
    if path.is_dir():
        carriers += sorted(path.glob("*.png"))[:1]
    elif path.suffix in records.SUFFIXES:
        carriers.append(path)
    for carrier in carriers:
        if carrier.is_file():
            try:
                text, name, _ = records.read(carrier)
            except SceneError:
                continue
            try:
                return scenes.parse(text, str(carrier), name, folder=Path.cwd())
            except ChangedCode:
                raise RenderError(f"{path} was made by another version of the scene's code. {_ADVICE}") from None
            except SceneError as error:  # of a version that knew other fields, or with a user's file that is gone
                raise RenderError(
                    f"{path} was made of a scene that cannot be read any more, so it may be another one: {error} "
                    f"{_ADVICE}"
                ) from None
    return None
