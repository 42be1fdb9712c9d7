"""Runs in arbitrary precision that were cut before they were of use, stored so that they go on from where they were.

A reference run costs up to a minute, and some tries at it end without one. Each run that such a search makes is stored
here while the search goes on; with the reference at hand they have no use any more, and are removed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.files.atomic import store_whole
from render.files.stored import read_stored
from render.problem import Problem

# Increase this when a change alters what a run computes or how its state is written. Others are not used.
_VERSION = 1


class Name(NamedTuple):
    """The identity of a run.

    x, y: exact hyperparameter values. bits: of the arithmetic. computation: a digest of the operations and constants of
    a step; a run that another version began does not go on.
    """

    x: Fraction
    y: Fraction
    bits: int
    computation: str


@dataclass(frozen=True, eq=False)
class UnfinishedRun:
    """The part of a run that is done.

    states: the leaves of its states, rounded to float64, or integers [steps done + 1, 1, ...]: entry t is the state
    before step t. exact: the leaves of the last of them, in all its digits, as the arithmetic writes them; none where
    the run is at its end. diverged: whether the run is at its end and did not converge; its states are not stored then,
    since only this is of use.
    """

    states: tuple[np.ndarray, ...]
    exact: tuple[np.ndarray, ...] = ()
    diverged: bool = False

    @property
    def steps(self) -> int:
        """The number of steps that are done."""
        return len(self.states[0]) - 1

    @property
    def is_at_end(self) -> bool:
        """Return whether no step is left."""
        return not self.exact


def save(run: UnfinishedRun, name: Name, root: Path, problem: Problem) -> None:
    """Store what is done of a run atomically, in place of what was stored of it before. Raises StoreError."""
    buffer = io.BytesIO()
    arrays = {f"state_{i}": leaf for i, leaf in enumerate(run.states)}
    arrays |= {f"exact_{i}": leaf for i, leaf in enumerate(run.exact)}
    np.savez(buffer, allow_pickle=False, meta=np.array(_meta(name, run.diverged)), **arrays)
    store_whole(_path(root, problem, name), buffer.getvalue())


def load(name: Name, root: Path, problem: Problem) -> UnfinishedRun | None:
    """Return what is stored of a run; None if nothing is, or if the file is damaged or of another computation."""
    try:
        with np.load(io.BytesIO(read_stored(_path(root, problem, name))), allow_pickle=False) as file:
            diverged = str(file["meta"]) == _meta(name, diverged=True)
            if not diverged and str(file["meta"]) != _meta(name, diverged=False):
                return None
            states, exact = (_leaves(file, kind) for kind in ("state", "exact"))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return UnfinishedRun(states, exact, diverged) if states or diverged else None


def remove(points: Iterable[tuple[Fraction, Fraction]], root: Path, problem: Problem) -> None:
    """Remove everything that is stored of runs at some points, and the folder if nothing is left in it."""
    folder = _folder(root, problem)
    try:
        for x, y in points:
            for path in folder.glob(f"{_place(x, y)}-*.npz"):
                path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError:
        return  # what stays takes a little room, and is removed after the next search


def _leaves(file: np.lib.npyio.NpzFile, kind: str) -> tuple[np.ndarray, ...]:
    return tuple(file[f"{kind}_{i}"] for i in range(sum(name.startswith(kind) for name in file.files)))


def _meta(name: Name, diverged: bool) -> str:
    names = {"version": _VERSION, "x": str(name.x), "y": str(name.y), "bits": name.bits}
    return json.dumps({**names, "computation": name.computation, "diverged": diverged})


def _place(x: Fraction, y: Fraction) -> str:
    return hashlib.sha256(f"{x} {y}".encode()).hexdigest()[:16]


def _folder(root: Path, problem: Problem) -> Path:
    return root / problem.key / "unfinished"


def _path(root: Path, problem: Problem, name: Name) -> Path:
    return _folder(root, problem) / f"{_place(name.x, name.y)}-{name.bits}.npz"
