"""Names of outputs: a folder where a command names its files itself, else a file of one kind.

A name is refused if its suffix shows that another kind of output was meant: `--out film.mp4` would otherwise make a
folder of that name.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.encode import CODECS
from render.errors import RenderError
from render.files import path_argument
from render.scene import records
from render.scene.wording import quoted

# The kind of file that a suffix stands for, in the words of messages: all that this program writes, and similar ones.
_KINDS = (
    records.SUFFIXES
    | dict.fromkeys((codec.suffix for codec in CODECS.values()), "a film")
    | dict.fromkeys((".avi", ".m4v"), "a film")
    | dict.fromkeys((".jpg", ".jpeg", ".webp", ".gif", ".svg", ".pdf"), "a picture")
    | dict.fromkeys((".tif", ".tiff", ".btf", ".exr"), "a picture")
    | dict.fromkeys((".npz", ".npy", ".zarr"), "an array")
    | dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".xz", ".7z"), "an archive")
    | {".csv": "a table", ".toml": "a scene", ".html": "a page"}
)

_NAME_ADVICE = (
    "Give a folder, and --name for what the files in it are called; the format of a film is that of output.codec."
)


def folder(given: str | os.PathLike[str], *, what: str = "--out", advice: str = _NAME_ADVICE) -> Path:
    """Return the folder for files that a command names itself; RenderError if it does not exist and has a file's name.

    what: its name in messages. advice: what the user can do instead. A folder that exists may have any name.
    """
    path = path_argument.path_of(given, what)
    kind = _KINDS.get(path.suffix.lower())
    # A folder may be called anything, but for one that is an array by itself: nothing else is to be in it.
    if kind is not None and (not path.is_dir() or path.suffix.lower() == ".zarr"):
        raise RenderError(f"{what} must be a folder, and {quoted(str(given))} is a name for {kind}. {advice}")
    return path


def file(given: str | os.PathLike[str], kind: str, suffix: str, *, what: str = "--out") -> Path:
    """Return the path of a file of one kind, such as "a table"; RenderError if its suffix is that of another kind.

    suffix: the usual one, for the message. Other suffixes, none, and devices are accepted.
    """
    path = path_argument.path_of(given, what)
    meant = _KINDS.get(path.suffix.lower(), kind)
    if meant != kind:
        raise RenderError(
            f"{what} must be a name for {kind}, and {quoted(str(given))} is one for {meant}. Give a name that ends in "
            f"{suffix}."
        )
    return path
