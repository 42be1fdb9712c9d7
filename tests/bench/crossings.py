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

from render import backends
from render.backends import single_points
from render.geometry.axes import Axis
from render.problem import Problem
from render.samples import Points

# The additive f is convex up to this epsilon / lambda^2, and its border a point.
THRESHOLD = 1 / (2 * math.pi**2)


# Intervals of the whole line, of a stretch of it, and of the grid that says where the stretch lies.
WHOLE_LOG2, FINEST_LOG2, STRETCH_LOG2 = 22, 26, 12


class Case(NamedTuple):
    """A published exponent, and of which function; the wavelength is 0.1 and every run starts at 1.

    stretch: where on the grid of 2^STRETCH_LOG2 intervals all changes of the whole line lie, for grids still finer.
    """

    shape: str
    epsilon: float
    published: float
    stretch: tuple[int, int] | None = None


# At 2^31 intervals, +- 0.004 and 0.005; below the threshold 0 in all published cells.
CASES = (
    Case("multiplicative", 0.2, 0.837),
    Case("additive", 0.2, 0.996, (2728, 2752)),
    Case("additive", 0.95 * THRESHOLD * 0.1**2, 0.0),
)


def problem(shape: str, *, epsilon: float, wavelength: float, start: float) -> Problem:
    """Return the problem whose y axis is not used: epsilon comes with every point."""
    lr, unused = (Axis(name, "linear", Fraction(0), Fraction(3, 2)) for name in ("lr", "epsilon_2"))
    fixed = (("epsilon", epsilon), ("wavelength", wavelength), ("start", start))
    return Problem(lr, unused, "nonconvex", shape=shape, fixed=fixed)


def counts(of: Problem, finest_log2: int, coarsest_log2: int = 1, first: int = 0, last: int = 2) -> list[int]:
    """Return N(k) for k = coarsest_log2 .. finest_log2 between two points of the coarsest grid; by default all."""
    finer = finest_log2 - coarsest_log2
    rates = np.arange(first << finer, (last << finer) + 1) * (1.5 / 2**finest_log2)  # exact in float64
    bounded = np.empty(rates.size, bool)
    for piece, field in single_points.train(backends.make("local", of), Points(rates, np.zeros(rates.size))):
        bounded[piece] = field.value < 0
    grids = (bounded[:: 2 ** (finer - k)] for k in range(finer + 1))
    return [int(np.count_nonzero(grid[1:] != grid[:-1])) for grid in grids]


def exponent(counts: list[int]) -> float:
    """Return the slope of log2 N(k) over k, over all k with N(k) > 1; 0 if there are not two of them.

    Counts weigh by their own error, 1 / sqrt(N): the additive case has 3, 13, 23, 63 changes on the first grids that
    reach into its border, and a fit that trusts those as much as thousands says 1.08 at 2^22 intervals, and not 1.02.
    """
    points = np.array([(k, n) for k, n in enumerate(counts, 1) if n > 1], float).reshape(-1, 2)
    if len(points) < 2:
        return 0.0
    k, n = points.T
    return float(np.polyfit(k, np.log2(n), 1, w=np.sqrt(n))[0])
