"""Reference runs: made in arbitrary precision, and checked by a second run with more bits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.errors import RenderError
from render.problem import Problem
from render.samples import Points
from render.storage.references import Reference
from render.train.past_float64 import resumed_run

# How many more bits the checking run has, and how far both may be apart, relative to the state: a float64 ulp is 1e-16.
CHECK_BITS = 64
_AGREE = 1e-13

# 4096 bits are more than 1,200 digits: a run that does not settle below has no meaning at any precision in sight.
_MOST_BITS = 4096

# Called now and then with the number of steps that are done, and that of all runs together.
Steps = Callable[[int, int], None]


def make_converged(
    problem: Problem,
    x: Fraction,
    y: Fraction,
    bits: int,
    report: Steps = lambda done, total: None,
    *,
    root: Path | None = None,
) -> Reference | None:
    """Return the run at (x, y) as `make` does, or None if it does not converge, which costs a single run to see.

    root: as in `make`; it also keeps that a run does not converge.
    """
    if root is not None and resumed_run.is_known_to_diverge(problem, x, y, bits, root):
        return None
    states = resumed_run.states(problem, x, y, bits, lambda t: report(t, 2 * problem.steps), root)
    if _value(problem, _unchecked(x, y, bits, states)) >= 0:
        if root is not None:
            resumed_run.save_divergence(problem, x, y, bits, root)
        return None
    return make(problem, x, y, bits, report, coarse=states, root=root)


def value(
    problem: Problem,
    x: Fraction,
    y: Fraction,
    bits: int,
    report: Steps = lambda done, total: None,
    *,
    root: Path | None = None,
) -> float:
    """Return the measure of the run at (x, y) in so many bits: one run, which nothing checks. root: as in `make`."""
    states = resumed_run.states(problem, x, y, bits, lambda t: report(t, problem.steps), root)
    return _value(problem, _unchecked(x, y, bits, states))


def _unchecked(x: Fraction, y: Fraction, bits: int, states: list[np.ndarray]) -> Reference:
    return Reference(x, y, bits, math.nan, math.nan, tuple(states))


def make(
    problem: Problem,
    x: Fraction,
    y: Fraction,
    bits: int,
    report: Steps = lambda done, total: None,
    *,
    coarse: list[np.ndarray] | None = None,
    root: Path | None = None,
) -> Reference:
    """Return the run at (x, y), with at least `bits`, after a check by a second run with more.

    x, y: hyperparameter values. coarse: the first run, if it was made already. root: the store that keeps the progress
    of the runs, so that whatever ends them early, they go on from there. Where both runs disagree, they are done again
    with twice the bits. Raises RenderError if they never agree.
    """
    total = 2 * problem.steps
    coarse = coarse or resumed_run.states(problem, x, y, bits, lambda t: report(t, total), root)
    while True:
        finer_bits = bits + CHECK_BITS
        finer = resumed_run.states(problem, x, y, finer_bits, lambda t: report(problem.steps + t, total), root)
        steps = min(len(coarse[0]), len(finer[0])) - 1
        error = _apart(coarse, finer, steps)
        if error <= _AGREE:
            reference = Reference(x, y, finer_bits, error, math.nan, tuple(leaf[: steps + 1] for leaf in finer))
            return dataclasses.replace(reference, value=_value(problem, reference))
        bits = 2 * finer_bits
        if bits > _MOST_BITS:
            raise RenderError(
                f"A reference run must come out the same with more digits, but at x = {float(x):g}, y = {float(y):g} "
                f"the runs with {finer_bits - CHECK_BITS} and {finer_bits} bits end {error:.1g} apart: training there "
                "is too sensitive to be followed."
            )
        coarse = resumed_run.states(problem, x, y, bits, lambda t: report(t, total), root)


def _value(problem: Problem, reference: Reference) -> float:
    """Return the measure of the reference's own run."""
    from render.train.past_float64 import difference_engine

    x, y = np.array([float(reference.x)]), np.array([float(reference.y)])
    engine = difference_engine.DeepEngine(problem, reference, rings=False)
    return float(engine.follow(Points(x, y, np.zeros(1), np.zeros(1))).field.value[0])


def _apart(one: list[np.ndarray], other: list[np.ndarray], steps: int) -> float:
    """Return the largest distance of two runs over all steps, relative to the norm of the state."""
    flat = [np.concatenate([leaf[: steps + 1].reshape(steps + 1, -1) for leaf in run], axis=1) for run in (one, other)]
    norm = np.linalg.norm(flat[1], axis=1)
    distance = np.linalg.norm(flat[0] - flat[1], axis=1)
    return float(np.max(np.divide(distance, norm, out=distance.copy(), where=norm > 0)))
