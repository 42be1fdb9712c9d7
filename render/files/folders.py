"""Folders that this program fills: which process fills one, and folders that are whole or absent.

A file of the process that fills a folder lies in it, unfinished for ever and locked: whoever finds one whose writer
lives stays away.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from render.errors import WriteError
from render.files import partials
from render.files.atomic import WholeFile, is_abandoned, is_partial, remove_abandoned, worded

_OWNER = "owner"


def held(folder: Path) -> contextlib.ExitStack | None:
    """Take a folder for this process, until the stack is closed; None where a living process has it.

    The folder is made if need be. Two processes that come in the same moment both stay away.
    """
    with contextlib.ExitStack() as stack:
        mine = WholeFile(folder / _OWNER, fsync=False)
        partial = mine.__enter__()
        stack.callback(mine.discard)
        for other in owners(folder):
            if other != partial:
                remove_abandoned(other)
                if other.exists():
                    return None
        return stack.pop_all()


def owners(folder: Path) -> list[Path]:
    """Return the files by which processes hold a folder, of dead processes too."""
    return list(folder.glob(f".{_OWNER}.*.partial"))


def is_owner(path: Path) -> bool:
    """Return whether a file is one by which a process holds its folder."""
    return path.name.startswith(f".{_OWNER}.")


def abandoned(folder: Path) -> bool:
    """Return whether a folder is held by no living process."""
    return folder.is_dir() and all(is_abandoned(owner) for owner in owners(folder))


def remove(folder: Path) -> int:
    """Remove a folder unless a living process holds it; return how many bytes that freed."""
    if not abandoned(folder):
        return 0
    mine = held(folder)  # so that no process begins to use it now
    if mine is None:
        return 0
    with mine:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
    return size


def is_left_behind(folder: Path) -> bool:
    """Return whether a folder is an unfinished one of `whole_folder` whose process has ended."""
    return is_partial(folder) and abandoned(folder)


@contextlib.contextmanager
def whole_folder(path: Path, *, mark: str) -> Iterator[Path]:
    """Give an empty folder to fill, which gets the name `path` at a clean end of the with-block, and else is removed.

    mark: a file that every such folder has. A folder at `path` that has it is replaced; one that holds anything else
    is refused before any work. Raises WriteError.
    """
    with worded(path):
        plain = check_folder(path, mark=mark)
        plain.parent.mkdir(parents=True, exist_ok=True)
        for left in plain.parent.glob(f".{partials.stem(plain)}.*.partial"):
            if is_left_behind(left):
                remove(left)
        partial = _beside(plain)
        mine = held(partial)
        assert mine is not None  # its name is random
        content = partial / "content"
        content.mkdir()
    try:
        yield content
        with worded(path):
            _publish(content, plain)
    finally:
        mine.close()
        shutil.rmtree(partial, ignore_errors=True)


def check_folder(path: Path, *, mark: str) -> Path:
    """Return the folder that a path leads to; refuse one that could not be replaced. Raises WriteError."""
    plain = Path(os.path.realpath(path)) if path.is_symlink() else path
    if plain.exists() and not plain.is_dir():
        raise WriteError(path, "it must become a folder, and there is a file")
    if plain.is_dir() and any(plain.iterdir()) and not (plain / mark).exists():
        raise WriteError(path, f"the folder there holds something else (it has no {mark})")
    return plain


def _publish(content: Path, plain: Path) -> None:
    if plain.is_dir():
        old = _beside(plain)
        os.rename(plain, old)
        os.rename(content, plain)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(content, plain)


def _beside(plain: Path) -> Path:
    return plain.with_name(f".{partials.stem(plain)}.{secrets.token_hex(8)}.partial")
