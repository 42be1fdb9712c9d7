"""The published one-axis measurement of trivial non-convexity (Liu 2024, arXiv:2406.13971).

    python -m tests.bench crossings        both published cases, and one below the threshold, at 2^22 intervals

Learning rates 0 to 1.5 in 2^n equal intervals; N(k) is the number of neighbouring rates of the 2^k grid with different
outcomes; the exponent is the slope of log2 N(k) over k where N(k) > 1. 0: isolated points; 1: the line is filled.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from render import backends, film
from render.axes import Axis
from render.problem import Problem

# The additive f is convex up to this epsilon / lambda^2, and its border a point.
THRESHOLD = 1 / (2 * math.pi**2)


class Case(NamedTuple):
    """A published exponent, and of which function; the wavelength is 0.1 and every run starts at 1."""

    shape: str
    epsilon: float
    published: float


# At 2^31 intervals, +- 0.004 and 0.005; below the threshold 0 in all published cells.
CASES = (
    Case("multiplicative", 0.2, 0.837),
    Case("additive", 0.2, 0.996),
    Case("additive", 0.95 * THRESHOLD * 0.1**2, 0.0),
)


def problem(shape: str, *, epsilon: float, wavelength: float, start: float) -> Problem:
    """Return the problem whose y axis is not used: epsilon comes with every point."""
    lr, unused = (Axis(name, "linear", Fraction(0), Fraction(3, 2)) for name in ("lr", "epsilon_2"))
    fixed = (("epsilon", epsilon), ("wavelength", wavelength), ("start", start))
    return Problem(lr, unused, "nonconvex", shape=shape, fixed=fixed)


def counts(of: Problem, intervals_log2: int, refined_log2: int = 0) -> list[int]:
    """Return N(k) for k = 1 .. intervals_log2, or on to refined_log2.

    The finer grids are trained only about the stretch of the line where changes were seen, and as far again on both sides.
    """
    whole = _bounded(of, intervals_log2, 0, 2**intervals_log2)
    found = [_changes(whole, intervals_log2 - k) for k in range(1, intervals_log2 + 1)]
    changed = np.flatnonzero(whole[1:] != whole[:-1])
    if refined_log2 > intervals_log2 and changed.size:
        reach = int(changed[-1] - changed[0]) + 1
        finer = refined_log2 - intervals_log2
        first, last = max(changed[0] - reach, 0), min(changed[-1] + 1 + reach, 2**intervals_log2)
        stretch = _bounded(of, refined_log2, int(first) << finer, int(last) << finer)
        assert _changes(stretch, finer) == found[-1]
        found += [_changes(stretch, finer - more) for more in range(1, finer + 1)]
    return found


def _bounded(of: Problem, intervals_log2: int, first: int, last: int) -> np.ndarray:
    """Return whether runs stayed bounded at the points first .. last of a grid on 0 .. 1.5; exact in float64."""
    rates = np.arange(first, last + 1) * (1.5 / 2**intervals_log2)
    bounded = np.empty(rates.size, bool)
    for piece, field in film.probe(backends.make("local", of), rates, np.zeros(rates.size)):
        bounded[piece] = field.value < 0
    return bounded


def _changes(bounded: np.ndarray, coarser_log2: int) -> int:
    """Return the number of neighbours that differ on the grid with every 2^coarser_log2th point."""
    grid = bounded[:: 2**coarser_log2]
    return int(np.count_nonzero(grid[1:] != grid[:-1]))


def exponent(found: list[int]) -> float:
    """Return the slope of log2 N(k) over k, over all k with N(k) > 1; 0 if there are not two of them."""
    points = [(k, np.log2(n)) for k, n in enumerate(found, 1) if n > 1]
    return float(np.polyfit(*np.transpose(points), 1)[0]) if len(points) > 1 else 0.0
