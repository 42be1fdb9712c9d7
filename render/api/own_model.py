"""Users' own files of training problems: trust, and checks."""

from __future__ import annotations

import os

from render.scene import own_files


def trust(path: str | os.PathLike[str]) -> None:
    """Let scenes run a file of code as it is now, in this process and in later ones of this user.

    path: of the file that a scene names as its problem's system. A changed file has to be trusted again. SceneError for
    a file that is not there, or cannot be a system.
    """
    own_files.trusted(os.fspath(path))
