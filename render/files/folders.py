"""Folders that this program fills: the process that fills one, and folders that are complete or absent.

A process that fills a folder keeps a locked partial file in it, the owner file. A process that finds the owner file of
a living process leaves the folder alone.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from render.errors import WriteError
from render.files import partials
from render.files.atomic import WholeFile, check_target, is_abandoned, is_partial, remove_abandoned, worded

_OWNER = "owner"

_PATIENCE_S = 5.0


def held(folder: Path) -> contextlib.ExitStack | None:
    """Hold a folder for this process until the returned stack is closed. None if a living process holds it.

    The folder is made if needed. If two processes try at the same moment, neither gets the folder.
    """
    with contextlib.ExitStack() as stack:
        mine = WholeFile(folder / _OWNER, fsync=False)
        partial = mine.__enter__()
        stack.callback(mine.discard)
        for other in owner_files(folder):
            if other != partial:
                remove_abandoned(other)
                if other.exists():
                    return None
        return stack.pop_all()


def owner_files(folder: Path) -> list[Path]:
    """Return the owner files of a folder, including those of dead processes."""
    return list(folder.glob(f".{_OWNER}.*.partial"))


def is_owner(path: Path) -> bool:
    """Return whether a file is an owner file."""
    return path.name.startswith(f".{_OWNER}.")


def abandoned(folder: Path) -> bool:
    """Return whether no living process holds a folder."""
    return folder.is_dir() and all(is_abandoned(owner) for owner in owner_files(folder))


def remove(folder: Path) -> int:
    """Remove a folder unless a living process holds it. Return the number of bytes that were freed."""
    if not abandoned(folder):
        return 0
    mine = held(folder)  # so that no other process starts to use it now
    if mine is None:
        return 0
    with mine:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
    return size


def is_left_behind(folder: Path) -> bool:
    """Return whether a folder is an unfinished folder of `whole_folder` whose process has ended."""
    return is_partial(folder) and abandoned(folder)


class Layout(NamedTuple):
    """What a kind of folder holds, so that no folder that a person keeps other files in is ever replaced.

    mark: the name of a file that every such folder has. says: what that file contains. files: a regular expression of
    the paths of all files, relative to the folder, with "/" between names.
    """

    mark: str
    says: bytes
    files: str


@contextlib.contextmanager
def whole_folder(path: Path, *, layout: Layout) -> Iterator[Path]:
    """Yield an empty folder to fill. It is renamed to `path` at a clean end of the with-block, and removed otherwise.

    An existing folder at `path` is replaced if it is empty, or if all of its files belong to this layout. Raises
    WriteError before any work for any other folder.
    """
    with worded(path):
        plain = check_folder(path, layout=layout)  # makes its parents
        for left in plain.parent.glob(f".{glob.escape(partials.stem(plain))}.*.partial"):
            if is_left_behind(left):
                remove(left)
        partial = _beside(plain)
        mine = held(partial)
        assert mine is not None  # its name is random
        content = partial / "content"
        content.mkdir()
    try:
        try:
            yield content
        except OSError as error:
            if isinstance(error, ConnectionError) or not _is_inside(error.filename, content):
                raise
            with worded(path):
                raise
        with worded(path):
            _publish(content, plain)
    finally:
        mine.close()
        _remove_all(partial)


def _is_inside(name: object, folder: Path) -> bool:
    """Return whether an error of the file system is about a folder; errors of open files name nothing."""
    return name is None or Path(os.fsdecode(str(name))).is_relative_to(folder)


def _remove_all(folder: Path) -> None:
    """Remove a folder, in which threads of a library that failed may still make files for a moment."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > until_s:
            return
        time.sleep(0.05)


def check_folder(path: Path, *, layout: Layout) -> Path:
    """Return the folder that a path leads to. Raises WriteError if it must not be replaced, or cannot be written."""
    with worded(path):
        plain = Path(os.path.realpath(path)) if os.path.islink(path) else path
        if os.path.exists(plain) and not os.path.isdir(plain):
            raise WriteError(path, "it must become a folder, but there is a file")
        if os.path.isdir(plain):
            if not os.access(plain, os.W_OK):
                raise WriteError(path, "the folder there is read-only")
            if any(plain.iterdir()):
                _refuse_other_files(path, plain, layout)
    try:
        check_target(_beside(plain))
    except WriteError as error:
        raise WriteError(path, error.reason, error.advice) from None
    return plain


def _refuse_other_files(path: Path, plain: Path, layout: Layout) -> None:
    """Raise WriteError for a folder with any file that is not of a layout: replacing the folder would remove it."""
    mark = plain / layout.mark
    if not (mark.is_file() and layout.says in mark.read_bytes()):
        raise WriteError(path, f"the folder there holds something else (it has no {layout.mark} of render's)")
    for other in sorted(plain.rglob("*")):
        name = other.relative_to(plain).as_posix()
        if (other.is_symlink() or not other.is_dir()) and not re.fullmatch(layout.files, name):
            raise WriteError(path, f"the folder there holds a file of another origin, {name}: move it away")


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
