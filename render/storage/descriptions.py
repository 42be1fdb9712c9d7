"""The TOML files that describe the folders of a store."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from render.errors import StoreError
from render.files.atomic import store_whole
from render.files.stored import read_stored


def names_in(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder; an empty set if the folder does not exist."""
    try:
        return frozenset(os.listdir(folder))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise StoreError(f"{folder} cannot be listed: {error.strerror}.") from error


def describe(path: Path, fields: Mapping[str, object], kind: str) -> None:
    """Write the description of a folder, or check that an existing one has the same fields. Raises StoreError."""
    text = _written(fields)
    if text is None or tomllib.loads(text) != fields:  # because of nan, or of a tuple
        raise ValueError(
            f"A {kind} must consist of values that TOML can write (text, finite numbers, lists), not {fields}."
        )
    if not check(path, fields, kind):
        title = f"# The {kind} of every tile below this folder. Written by render, which checks it: do not edit.\n"
        store_whole(path, (title + text).encode(), fsync=True)


def check(path: Path, fields: Mapping[str, object], kind: str) -> bool:
    """Return whether a folder has its description. Raises StoreError if that has other fields."""
    try:
        existing = read_toml(path, kind)
    except FileNotFoundError:
        return False
    if existing != fields:
        name = next(name for name in {**fields, **existing} if existing.get(name) != fields.get(name))
        raise StoreError(
            f"{path.parent} was made with another {kind} ({name} = {existing.get(name)!r}, now {fields.get(name)!r}). "
            "Use another --store, or delete that folder."
        )
    return True


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Return the fields of problem.toml or numerics.toml. Raises FileNotFoundError or StoreError."""
    try:
        return tomllib.loads(read_stored(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} must describe the {kind} of its tiles: {error}. Delete that folder.") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Use another --store.") from error


def _written(fields: Mapping[str, object]) -> str | None:
    """Return fields as TOML; None if TOML cannot write one of them."""
    try:
        return tomli_w.dumps(fields)
    except TypeError:
        return None
