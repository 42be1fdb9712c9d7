"""Single runs in as many bits as they need: what every other way of training is compared with.

A run is made twice, the second time with half again as many bits. Where both have the same outcome, rounding played no
part in it: what rounding there was would have had to be the same in both. Where they differ, a third run follows with
half again as many bits, and so on. A chaotic run loses a fixed number of bits on its way, so that this ends soon.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from render.errors import RenderError
from render.problem import Problem
from render.storage.exact_runs import ExactRun
from render.train.engine import Engine
from render.train.past_float64 import arbitrary_precision

# The first run. Those of the published conditions lose up to 2^110 in 500 steps, and a float64 takes 53 more.
_FIRST_BITS = 128

# 8,192 bits are 2,466 digits. A run whose outcome still changes there stands on a kink (a unit of relu at exactly
# zero), where no number of bits decides.
_MOST_BITS = 8192

# How far numbers of two runs may be apart, relative to their size. What the measure adds up is rounded to float64.
_AGREE = 1e-12

# Called with the bits of the run that is going on, the steps that are done, and the steps of all of it.
Report = Callable[[int, int, int], None]


class ExactEngine:
    """Trains a problem's runs one by one, each in as many bits as it needs."""

    def __init__(self, problem: Problem) -> None:
        """problem: of any system whose operations all have a rule in arbitrary precision."""
        self.problem = problem
        self._engine = Engine(problem)

    def run(self, x: Fraction, y: Fraction, report: Report = lambda bits, done, total: None) -> ExactRun:
        """Return the outcome of the run at hyperparameter values x, y.

        Raises RenderError for a system that has an operation without a rule, or where 8,192 bits do not decide.
        """
        before: dict[str, float] | None = None
        for bits in _numbers_of_bits():
            outcome = self._outcome(x, y, bits, report)
            if before is not None and _same(before, outcome):
                return ExactRun(x, y, bits, outcome)
            before = outcome
        raise RenderError(
            f"The run at x = {float(x)!r}, y = {float(y)!r} must have the same outcome with more bits, but it still "
            f"changes at {_MOST_BITS:,} bits: it stands on a point where the outcome jumps. Move the point a little."
        )

    def _outcome(self, x: Fraction, y: Fraction, bits: int, report: Report) -> dict[str, float]:
        """Return the outcome in so many bits, computed up to the step at which the run escapes."""

        def moments() -> Iterator[tuple[list[np.ndarray], float]]:
            for t, moment in enumerate(arbitrary_precision.run(self.problem, x, y, bits)):
                report(bits, t, self.problem.steps)
                yield moment.state, moment.loss

        field = self._engine.judge(float(x), float(y), moments())
        return {name: float(values[0]) for name, values in field.channels().items()}


def _numbers_of_bits() -> Iterator[int]:
    """Yield the bits of one run after another: multiples of 64, each half again as many as the one before."""
    growing = itertools.accumulate(itertools.repeat(None), lambda bits, _: bits + bits // 2, initial=_FIRST_BITS)
    return itertools.takewhile(lambda bits: bits <= _MOST_BITS, (64 * math.ceil(bits / 64) for bits in growing))


def _same(one: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two outcomes agree to 12 digits; what is infinite or not a number must be so in both."""
    return np.allclose(list(one.values()), list(other.values()), rtol=_AGREE, atol=0.0, equal_nan=True)
