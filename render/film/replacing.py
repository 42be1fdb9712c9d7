"""An existing output is replaced only if the same request made it, or if the user asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from render import scene as scenes
from render.errors import ChangedCode, RenderError, SceneError
from render.scene import Scene, records

# Fields that do not change a single frame, since they are about the compression of films.
UNSEEN_IN_STILLS = ("output.codec", "output.crf")

_MOST_NAMED = 3

_ADVICE = "Give --force to replace it, or --name for a name of its own."


def record_path(path: Path) -> Path:
    """Return the path of an output's record, which is beside it."""
    return path.with_name(f"{path.name}.json")


def check(
    path: Path,
    scene: Scene,
    *,
    force: bool,
    unseen: Collection[str] = (),
    asked: Mapping[str, object] | None = None,
    advice: str = _ADVICE,
) -> None:
    """Raise RenderError if an output would replace something that this request did not make.

    path: of a film, a picture, a folder of pictures, a JSON file of results, an export, or a print. scene: of the new
    output, at its quality. unseen: paths of fields, and names of tables, that do not matter. asked: the other parts of
    the request, which the output contains under the same names. advice: what the user can do.
    Outputs of another scene or with other settings are refused, and so are files that this program did not make.
    Outputs of other versions of render and its libraries are replaced, and so are empty files and folders. Devices and
    pipes are written to, so there is nothing to replace.
    """
    if force or (output := _source_of(path, advice)) is None:
        return
    before, fields = output
    differing = [field for field in scenes.between(before, scene) if not scenes.is_among(field, unseen)]
    differing += [name for name, value in (asked or {}).items() if str(fields.get(name)) != str(value)]
    if not differing:
        return
    named = ", ".join(differing[:_MOST_NAMED]) + (
        f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    )
    what = "by another request" if set(differing) <= {*(asked or {})} else "of another scene"
    raise RenderError(f"{path} was made {what}: this one differs from it in {named}. {advice}")


def foreign(path: Path, advice: str) -> RenderError:
    """Return the error about a file or folder that this program may not have made."""
    return RenderError(f"{path} does not say that render made it, so it may be a file of your own. {advice}")


def _has_content(path: Path) -> bool:
    """Return whether there is a file with content, or a folder with pictures or of an export."""
    if path.is_dir():
        return any(path.iterdir()) if records.carries(path) else any(map(_is_full, path.glob("*.png")))
    return _is_full(path)


def _is_full(path: Path) -> bool:
    """Return whether there is a plain file with content; anything else is refused when it is written."""
    return path.is_file() and path.stat().st_size > 0


def _source_of(path: Path, advice: str) -> tuple[Scene, dict[str, Any]] | None:
    """Return the scene from which an output was made, by its own account, and its other fields; None if there is none.

    If the output was deleted and its record was kept, the record counts. Raises RenderError.
    """
    carriers = [record_path(path)]
    if records.carries(path):
        carriers.append(path)
    elif path.is_dir():
        carriers += sorted(filter(_is_full, path.glob("*.png")))[:1]
    for carrier in carriers:
        if carrier.is_file() or carrier.is_dir():  # a pipe would be written to, and cannot be read
            try:
                text, name, fields = records.read_with_fields(carrier)
            except SceneError:
                continue
            try:
                return scenes.parse(text, str(carrier), name, folder=Path.cwd()), fields
            except ChangedCode:
                raise RenderError(f"{path} was made by another version of the scene's code. {advice}") from None
            except SceneError as error:  # from a version with other fields, or with a user's file that is gone
                raise RenderError(
                    f"{path} was made of a scene that cannot be read any more, so it may be another one: {error} "
                    f"{advice}"
                ) from None
    if not _has_content(path):
        return None
    raise foreign(path, advice)
