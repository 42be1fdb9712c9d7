"""Measured levels at which targets switch to differences, stored in the folder of their problem, beside references.

A measurement costs a minute or two, and all qualities and single frames of a film use the same one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from render.files.atomic import store_whole
from render.files.stored import read_stored
from render.problem import Problem

# Increase this when a change of the rule, or of either way of training, moves switches. Switches of another version are
# measured again.
_VERSION = 1


@dataclass(frozen=True)
class Agreement:
    """The agreement of both orders of summation in a square view, as fractions of its samples, 0 to 1.

    width: the width of the view, in positions of the x axis. plain_signs: the plain runs whose outcomes agree.
    plain_values: the plain runs whose values agree to 0.1 %. signs, values: the same for runs that are followed by
    differences; None where that was not measured.
    """

    width: float
    plain_signs: float
    plain_values: float
    signs: float | None = None
    values: float | None = None


@dataclass(frozen=True)
class Measured:
    """The measured switch of a target.

    last_plain_level: None where plain runs are right at every level that float64 resolves. views: the narrowest first.
    samples: the number of samples in each view. reference: the key of the reference run that was used; "" for none.
    """

    last_plain_level: int | None
    views: tuple[Agreement, ...]
    samples: int
    reference: str = ""


def save(measured: Measured, root: Path, problem: Problem, target: str) -> None:
    """Store the measurement at a target atomically."""
    content = {"version": _VERSION, **asdict(measured)}
    store_whole(_path(root, problem, target), json.dumps(content, indent=1).encode())


def load(root: Path, problem: Problem, target: str) -> Measured | None:
    """Return the stored measurement at a target; None if there is none, or if the file is damaged."""
    try:
        content = json.loads(read_stored(_path(root, problem, target)))
        level = content["last_plain_level"]
        if content["version"] != _VERSION or not (level is None or isinstance(level, int)):
            return None
        views = tuple(Agreement(**view) for view in content["views"])
        return Measured(level, views, int(content["samples"]), str(content["reference"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_all(root: Path, problem: Problem, targets: Iterable[str]) -> dict[str, Measured]:
    """Return the stored measurements at some targets, by target."""
    loaded = {target: load(root, problem, target) for target in targets}
    return {target: measured for target, measured in loaded.items() if measured is not None}


def _path(root: Path, problem: Problem, target: str) -> Path:
    return root / problem.key / "switches" / f"{target}.json"
