"""The published one-axis measurement of trivial non-convexity (Liu 2024, arXiv:2406.13971).

    python -m tests.bench crossings        both published cases at 2^22 intervals

Learning rates 0 to 1.5 in 2^n equal intervals; N(k) is the number of neighbouring rates of the 2^k grid with different
outcomes; the exponent is the slope of log2 N(k) over k where N(k) > 1. 0: isolated points; 1: the line is filled.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from render import backends, film
from render.axes import Axis
from render.problem import Problem

PUBLISHED = {"multiplicative": 0.837, "additive": 0.996}  # at 2^31 intervals, +- 0.004 and 0.005


def problem(shape: str, *, epsilon: float, wavelength: float, start: float) -> Problem:
    """Return the problem whose y axis is not used: epsilon comes with every point."""
    lr, unused = (Axis(name, "linear", Fraction(0), Fraction(3, 2)) for name in ("lr", "epsilon_2"))
    fixed = (("epsilon", epsilon), ("wavelength", wavelength), ("start", start))
    return Problem(lr, unused, "nonconvex", shape=shape, fixed=fixed)


def counts(of: Problem, intervals_log2: int) -> list[int]:
    """Return N(k) for k = 1 .. intervals_log2."""
    rates = np.linspace(0.0, 1.5, 2**intervals_log2 + 1)
    bounded = np.empty(rates.size, bool)
    for piece, field in film.probe(backends.make("local", of), rates, np.zeros(rates.size)):
        bounded[piece] = field.value < 0
    grids = (bounded[:: 2 ** (intervals_log2 - k)] for k in range(1, intervals_log2 + 1))
    return [int(np.count_nonzero(grid[1:] != grid[:-1])) for grid in grids]


def exponent(found: list[int]) -> float:
    """Return the slope of log2 N(k) over k, over all k with N(k) > 1; 0 if there are not two of them."""
    points = [(k, np.log2(n)) for k, n in enumerate(found, 1) if n > 1]
    return float(np.polyfit(*np.transpose(points), 1)[0]) if len(points) > 1 else 0.0
