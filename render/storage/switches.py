"""Where a film's target switches to differences, as measured: kept in the folder of its problem, beside references.

A measurement costs a minute or two, and every quality of a film, and every frame of it alone, uses the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from render.files.atomic import store_whole
from render.problem import Problem

# Raised by hand when a change of the rule, or of either way of training, moves switches: others are measured again.
_VERSION = 1


@dataclass(frozen=True)
class Agreement:
    """What both orders of summation say of a square view: shares of its samples, 0 to 1.

    width: of the view, in positions of the x axis. plain_signs, plain_values: of plain runs, outcomes that agree, and
    values that agree to 0.1 %. signs, values: the same of runs followed by differences; None where none was.
    """

    width: float
    plain_signs: float
    plain_values: float
    signs: float | None = None
    values: float | None = None


@dataclass(frozen=True)
class Measured:
    """Where a target switches. last_plain_level: None where plain runs are right wherever float64 tells samples apart.

    views: from the narrowest on. samples: in each of them. reference: key of the run that was followed; "" for none.
    """

    last_plain_level: int | None
    views: tuple[Agreement, ...]
    samples: int
    reference: str = ""


def save(measured: Measured, root: Path, problem: Problem, target: str) -> None:
    """Keep what was measured at a target: whole, or not at all."""
    content = {"version": _VERSION, **asdict(measured)}
    store_whole(_path(root, problem, target), json.dumps(content, indent=1).encode())


def load(root: Path, problem: Problem, target: str) -> Measured | None:
    """Return what was measured at a target; None where nothing was, or where the file is damaged."""
    try:
        content = json.loads(_path(root, problem, target).read_bytes())
        level = content["last_plain_level"]
        if content["version"] != _VERSION or not (level is None or isinstance(level, int)):
            return None
        views = tuple(Agreement(**view) for view in content["views"])
        return Measured(level, views, int(content["samples"]), str(content["reference"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_all(root: Path, problem: Problem, targets: Iterable[str]) -> dict[str, Measured]:
    """Return what was measured at some targets, by target."""
    found = {target: load(root, problem, target) for target in targets}
    return {target: measured for target, measured in found.items() if measured is not None}


def _path(root: Path, problem: Problem, target: str) -> Path:
    return root / problem.key / "switches" / f"{target}.json"
