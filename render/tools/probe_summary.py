"""A summary of a table of trained points, in sentences."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from render.geometry.axes import Axis
from render.problem import Problem
from render.samples import Field, Status

# What `value` means, whichever measure a system has (see render.train.measures).
VALUE = "value is below 0 where a run converged and at least 0 where it did not; the farther from 0, the slower."


def outside(problem: Problem, x: np.ndarray, y: np.ndarray) -> str:
    """Return a sentence about the points beyond the ranges of a scene's axes; "" if there are none. x, y: [points]."""
    beyond = _beyond(problem.x, x) | _beyond(problem.y, y)
    if not beyond.any():
        return ""
    count, first = int(beyond.sum()), int(np.argmax(beyond))
    ranges = " and ".join(f"{axis.name} {_range(axis)}" for axis in (problem.x, problem.y))
    where = f"{count:,} of {x.size:,} points lie" if count > 1 else f"1 of {x.size:,} points lies"
    return (
        f"{where} outside the scene's plane, {ranges}; the first is point {first + 1}, "
        f"{x[first]:.6g} and {y[first]:.6g}. All are trained."
    )


def counts(field: Field) -> dict[str, int]:
    """Return how many runs ended in each way that occurs, by its name."""
    codes, numbers = np.unique(field.status, return_counts=True)
    return {
        Status(int(status)).name.lower().replace("_", "-"): int(count)
        for status, count in zip(codes, numbers, strict=True)
    }


def sentence(field: Field) -> str:
    """Return how the runs of a field ended, and how slowly."""
    ended = counts(field)
    total = sum(ended.values())
    parts = [f"{count:,} {name} ({count / total:.0%})" for name, count in ended.items()]
    points = "1 point" if total == 1 else f"{total:,} points"
    values = f"value {field.value.min():.4g}" + (f" to {field.value.max():.4g}" if total > 1 else "")
    return f"{points}: {', '.join(parts)}; {values}. {VALUE[0].upper()}{VALUE[1:]}"


def _beyond(axis: Axis, values: np.ndarray) -> np.ndarray:
    low, high = _ends(axis)
    outside: np.ndarray = (values < low) | (values > high)
    return outside


def _ends(axis: Axis) -> tuple[float, float]:
    return float(axis.value_from_unit(Fraction(0))), float(axis.value_from_unit(Fraction(1)))


def _range(axis: Axis) -> str:
    low, high = _ends(axis)
    return f"{low:.6g} to {high:.6g}"
