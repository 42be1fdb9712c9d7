"""Outcomes of runs in arbitrary precision, kept in the folder of their problem: each costs seconds to minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.files.atomic import store_whole
from render.problem import Problem

# Raised by hand when a change alters outcomes: those of another version are not used.
_VERSION = 1


@dataclass(frozen=True)
class ExactRun:
    """The outcome of the run at one point, independent of rounding.

    x, y: hyperparameter values, exact. bits: of its arithmetic; with fewer bits (two thirds or less) the outcome is the
    same to 12 digits. outcome: every channel of the problem by name, as a field has it: each rounded to float64.
    """

    x: Fraction
    y: Fraction
    bits: int
    outcome: Mapping[str, float]


def save(run: ExactRun, root: Path, problem: Problem) -> Path:
    """Keep an outcome in a store: whole, or not at all."""
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
    """Return the outcome at a point that a store keeps; None where there is none, or where the file is damaged."""
    try:
        content = json.loads(_path(root, problem, x, y).read_bytes())
        outcome = {name: float(value) for name, value in content["outcome"].items()}
        found = ExactRun(Fraction(content["x"]), Fraction(content["y"]), int(content["bits"]), outcome)
        usable = content["version"] == _VERSION and (found.x, found.y) == (x, y) and set(outcome) == {*problem.channels}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    return found if usable else None


def point_of(content: Mapping[str, str]) -> tuple[Fraction, Fraction]:
    """Return the hyperparameter values of the point that a kept file is about. Raises KeyError, ValueError."""
    return Fraction(content["x"]), Fraction(content["y"])


def _path(root: Path, problem: Problem, x: Fraction, y: Fraction) -> Path:
    place = hashlib.sha256(f"{x} {y}".encode()).hexdigest()[:16]
    return root / problem.key / "exact" / f"{place}.json"
