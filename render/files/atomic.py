"""Files of the store that are whole or absent, and the TOML by which its folders explain themselves."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from render.errors import StoreError
from render.files import owners

_STALE_S = 24 * 3600  # no tile takes a day to write: an older temporary file was left by a killed process
_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some of your quota",
    errno.EACCES: "Ask for permission to write there",
    errno.EPERM: "Ask for permission to write there",
    errno.EROFS: "Make it writable",
}


def write_whole(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file whole or not at all, making its folder if need be."""
    # The same folder, hence the same file system: only there is a rename atomic.
    temporary = path.with_name(f".{path.name}.{owners.mine()}.{secrets.token_hex(4)}.tmp")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                if fsync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if fsync and os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Mend that")
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. {advice}, or use another --store, and run the "
            "same command again: everything finished before is kept."
        ) from error


def names_in(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder; none if there is no such folder."""
    try:
        return frozenset(os.listdir(folder))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise StoreError(f"{folder} cannot be listed: {error.strerror}.") from error


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left behind, once they are a day old."""
    oldest = time.time() - _STALE_S
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):  # another process may have swept it, or still own it
                    path = os.path.join(place, name)
                    if os.stat(path).st_mtime < oldest:
                        os.unlink(path)


def explain(path: Path, fields: Mapping[str, object], kind: str) -> None:
    """Write what a folder holds as TOML, or check that it says the same."""
    text = _toml(fields)
    if tomllib.loads(text) != fields:
        raise ValueError(f"A {kind} must consist of strings, finite numbers, truth values and tables, not {fields}.")
    try:
        found = read_toml(path, kind)
    except FileNotFoundError:
        title = f"# The {kind} of every tile below this folder. Written by render, which checks it: do not edit.\n"
        write_whole(path, (title + text).encode(), fsync=True)
        return
    if found != fields:
        name = next(name for name in {**fields, **found} if found.get(name) != fields.get(name))
        raise StoreError(
            f"{path.parent} was made with another {kind} ({name} = {found.get(name)!r}, now {fields.get(name)!r}). "
            "Use another --store, or delete that folder."
        )


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Return what problem.toml or numerics.toml says. Raises FileNotFoundError if there is none, or StoreError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} must describe the {kind} of its tiles: {error}. Delete that folder.") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Use another --store.") from error


def _toml(fields: Mapping[str, object]) -> str:
    """Return strings, numbers and one level of tables as TOML."""
    plain = {name: value for name, value in fields.items() if not isinstance(value, Mapping)}
    # Strings, numbers and truth values read the same in JSON and TOML, and so do quoted keys.
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in plain.items())
    for name, table in fields.items():
        if isinstance(table, Mapping):
            text += f"\n[{name}]\n{_toml(table)}"
    return text
