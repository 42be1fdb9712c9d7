"""Outcomes of runs in arbitrary precision, stored in the folder of their problem: each costs seconds to minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.files.atomic import store_whole
from render.files.stored import read_stored
from render.problem import Problem

# Increase this when a change alters outcomes. Stored outcomes of another version are not used.
_VERSION = 1


@dataclass(frozen=True)
class ExactRun:
    """The outcome of the run at one point, independent of rounding.

    x, y: exact hyperparameter values. bits: the precision of the arithmetic; with two thirds of it or less the outcome
    is the same to 12 digits. outcome: every channel of the problem by name, each rounded to float64.
    """

    x: Fraction
    y: Fraction
    bits: int
    outcome: Mapping[str, float]


def save(run: ExactRun, root: Path, problem: Problem) -> Path:
    """Store an outcome atomically, and return its path."""
    path = _path(root, problem, run.x, run.y)
    content = {
        "version": _VERSION,
        "x": str(run.x),
        "y": str(run.y),
        "bits": run.bits,
        "outcome": {name: repr(float(value)) for name, value in run.outcome.items()},
    }
    store_whole(path, json.dumps(content, indent=1).encode())
    return path


def load(root: Path, problem: Problem, x: Fraction, y: Fraction) -> ExactRun | None:
    """Return the stored outcome at a point; None if there is none, or if the file is damaged."""
    try:
        content = json.loads(read_stored(_path(root, problem, x, y)))
        outcome = {name: float(value) for name, value in content["outcome"].items()}
        run = ExactRun(Fraction(content["x"]), Fraction(content["y"]), int(content["bits"]), outcome)
        usable = content["version"] == _VERSION and (run.x, run.y) == (x, y) and set(outcome) == {*problem.channels}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    return run if usable else None


def point_of(content: Mapping[str, str]) -> tuple[Fraction, Fraction]:
    """Return the hyperparameter values of the point that a kept file is about. Raises KeyError, ValueError."""
    return Fraction(content["x"]), Fraction(content["y"])


def _path(root: Path, problem: Problem, x: Fraction, y: Fraction) -> Path:
    place = hashlib.sha256(f"{x} {y}".encode()).hexdigest()[:16]
    return root / problem.key / "exact" / f"{place}.json"
