"""Reading the files that the program keeps for itself: samples, descriptions, caches. See `atomic` for writing them."""

from __future__ import annotations

import os
from pathlib import Path


def read_stored(path: str | Path) -> bytes:
    """Return the content of a file that the program keeps for itself. Raises OSError.

    A pipe in its place reads as empty, and so as damaged; opened as usual, it would block the program for ever.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        return file.read() or b""


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
