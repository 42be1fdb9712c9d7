"""Output files that are whole or absent: claimed under a partial name, renamed at the end."""

from __future__ import annotations

import errno
import glob
import os
from pathlib import Path

from render.errors import EncodeError
from render.files import owners


def claim(path: Path) -> Path:
    """Make the folder and an empty partial file beside the path, so that trouble shows before any work.

    The name holds machine and process: two renders of one film do not write into each other, and what a killed one
    left behind is told from what a living one writes.
    """
    partial = path.parent / f"{path.name}.{owners.mine()}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
            if not owners.may_live(".".join(left.name.split(".")[-3:-1])):
                left.unlink(missing_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial.write_bytes(b"")
    except OSError as error:
        raise unwritable(path, error) from None
    return partial


def unwritable(path: Path, error: OSError) -> EncodeError:
    """Return the error of a path that the file system refuses."""
    reason = error.strerror or error
    return EncodeError(f"{path} must be a file that can be written, but: {reason}. Choose another path or make room.")


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; missing folders are made."""
    partial = claim(path)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)
