"""Folders of the user and the machine, each of which may be missing: cache, configuration, and temporary files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO


def cache_folder(part: str = "") -> Path | None:
    """Return this program's folder in the user's cache, or a part of it, made if needed; None if it cannot be made.

    Its contents only save time. It may be read-only, as in a container image that was filled beforehand. It holds
    machine code, so it always belongs to the user and is never a shared folder for temporary files. Its name must be
    UTF-8, since XLA takes no other.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        # The XDG specification says to ignore these. Other libraries would write into the current folder.
        os.environ.pop("XDG_CACHE_HOME", None)
        if not os.environ.get("HOME"):  # an empty HOME would give /.cache
            os.environ.pop("HOME", None)
        base = os.path.expanduser("~/.cache")  # unchanged without HOME and an entry in passwd
        if not os.path.isabs(base):
            return None
    folder = Path(base, "render", part)
    try:
        str(folder).encode()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, UnicodeEncodeError):
        return None
    return folder


def config_folder(part: str, *, make: bool = True) -> Path | None:
    """Return a part of this program's folder in the user's configuration; None if it cannot be made.

    make: whether it is made if needed, accessible to the user alone.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG specification says to ignore these
        base = os.path.expanduser("~/.config")
        if not os.path.isabs(base):
            return None
    folder = Path(base, "render", part)
    if make:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return None
    return folder


def scratch_file(beside: Path) -> IO[bytes]:
    """Return an open file without a name, in the folder for temporary files, or else in the folder `beside`."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return tempfile.TemporaryFile(dir=beside)


def scratch_folder(beside: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, for a with-statement, in the folder for temporary files, or else in `beside`."""
    try:
        return tempfile.TemporaryDirectory(prefix="render-")
    except OSError:
        return tempfile.TemporaryDirectory(prefix=".render-", dir=beside)
