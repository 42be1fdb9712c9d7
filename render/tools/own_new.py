"""`render new`: a commented file of a training problem, and its scene, to begin with."""

from __future__ import annotations

import re
from pathlib import Path

from render import scene
from render.errors import RenderError
from render.files.atomic import write_whole
from render.scene import own_files

_TEMPLATE = Path(__file__).parent / "own_template"


def write(path: Path) -> tuple[Path, Path]:
    """Write a file and its scene beside it, and return both. RenderError if one of them exists already.

    What is written is trusted: the program wrote it, and it stays trusted until it is changed.
    """
    if path.suffix != ".py" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", path.stem):
        raise RenderError(
            f"A file of code must be named by letters, digits and _, and end in .py, such as my_net.py, not "
            f"{path.name!r}."
        )
    target = path.with_suffix(".toml")
    for one in (path, target):
        if one.exists():
            raise RenderError(f"{one} exists already, and is left as it is. Choose another name.")
    code, text = ((_TEMPLATE / f"net{end}.txt").read_text(encoding="utf-8") for end in (".py", ".toml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    for one, content in ((path, code), (target, scene.with_schema(text, path.parent))):
        try:
            write_whole(one, content.replace("NAME", path.stem).encode(), replace=False)
        except FileExistsError:
            raise RenderError(f"{one} exists already, and is left as it is. Choose another name.") from None
    own_files.trusted(path)
    return path, target
