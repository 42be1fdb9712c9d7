"""Paths as a person gives them."""

from __future__ import annotations

import os
from pathlib import Path

from render.errors import RenderError


def path_of(given: str | os.PathLike[str], what: str) -> Path:
    """Return a path; RenderError if it is empty, or begins with a ~ that no shell has replaced.

    An empty one would mean the folder that the program runs in. Shells replace ~ neither behind a "=" nor within
    quotes, and a folder of that name would be made. what: how messages call it.
    """
    text = os.fspath(given)
    if not text:
        raise RenderError(f'{what} must not be empty. Give a name, or "." for the folder that you are in.')
    first = text.split("/")[0]
    home = os.path.expanduser(text)
    if first.startswith("~") and home != text and not Path(first).exists():
        raise RenderError(
            f'{what} must not begin with "~" where no shell replaces it, as behind "=" or within quotes: give {home}.'
        )
    return Path(text)
