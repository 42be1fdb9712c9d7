"""What an output may be called: a folder where a command names its files itself, a file of one kind where it does not.

A name is refused if its suffix says that a person meant another kind of output: `--out film.mp4` would otherwise make
a folder of that name.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.encode import CODECS
from render.errors import RenderError
from render.files.given import path as given_path
from render.scene import records
from render.scene.wording import quoted

# What a suffix says a file is, in the words of messages: everything that this program writes, and its relatives.
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
    """Return the folder for what a command names itself; RenderError if it would be made with a file's name.

    what: how messages call it. advice: what a person can do instead. A folder that exists may be called anything.
    """
    path = given_path(given, what)
    kind = _KINDS.get(path.suffix.lower())
    # A folder may be called anything, but for one that is an array by itself: nothing else is to be in it.
    if kind is not None and (not path.is_dir() or path.suffix.lower() == ".zarr"):
        raise RenderError(f"{what} must be a folder, and {quoted(str(given))} is a name for {kind}. {advice}")
    return path


def file(given: str | os.PathLike[str], kind: str, suffix: str, *, what: str = "--out") -> Path:
    """Return the path of a file of one kind, such as "a table"; RenderError if its suffix says that it is another.

    suffix: the usual one, for the message. Other suffixes, or none, are taken, and so are devices.
    """
    path = given_path(given, what)
    meant = _KINDS.get(path.suffix.lower(), kind)
    if meant != kind:
        raise RenderError(
            f"{what} must be a name for {kind}, and {quoted(str(given))} is one for {meant}. Give a name that ends in "
            f"{suffix}."
        )
    return path
