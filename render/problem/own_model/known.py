"""The users' files that this process has read, by the names under which problems refer to them.

A name such as "my_net.py#1f2e3d4c5b6a7988" holds the digest of what decides values, so that it always means the same
samples, in every process. A process that gets a problem with such a name has to be handed the file itself as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from render.problem import catalogue
from render.problem.own_model import declaration
from render.problem.own_model.source import Source


class Known(NamedTuple):
    """A file that was read. name: of its system. folder: where its data files are."""

    name: str
    source: Source
    folder: Path


_known: dict[str, Known] = {}


def add(source: Source, folder: Path, name: str = "") -> Known:
    """Take note of a file, whose declarations become a row of the catalogue. SceneError if they have faults.

    A file with the same digest takes the place of the former: only words differ. name: as another process named it,
    whose installed packages may have other versions.
    """
    name = name or f"{source.name}#{source.digest}"
    former = _known.get(name)
    if former is None or former.source != source or former.folder != folder:
        if former is None or former.source != source:
            catalogue.add(name, declaration.row(source))
        _known[name] = Known(name, source, folder)
    return _known[name]


def find(system: str) -> Known:
    """Return the file behind a name. KeyError if this process has not read it."""
    return _known[system]


def is_known(system: str) -> bool:
    """Return whether this process has read the file behind a name."""
    return system in _known


def is_own(system: str) -> bool:
    """Return whether a name is that of a user's file, known here or not."""
    return "#" in system
