"""The fused kernel beside XLA's on one device: are its runs the same runs, and is it faster?"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import NamedTuple

import jax
import numpy as np

from render.problem import Problem
from render.samples import Field
from render.train.engine import Engine, devices

# Runs that are compared, and how many of them must not hang on last bits: of the published conditions 60 % or more do
# not, over the whole plane.
_RUNS, _LEAST_STEADY = 256, 64

# A run hangs on last bits where its value changes by more than this if a hyperparameter changes by 1e-13 of itself.
_MOVED, _STEADY = 1e-13, 1e-9

# How far apart the values of two kernels may lie for a run that does not: nearly all, and each.
_CLOSE, _MOST_CLOSE_SHARE, _NEAR = 1e-6, 0.99, 1e-3


class Verdict(NamedTuple):
    """The result of a comparison. runs: that were compared. steady: of these, those that do not hang on last bits.

    agreeing: steady runs with the same outcome whose values are within 1e-3 of each other. close: within 1e-6.
    xla_per_s, fused_per_s: runs a second.
    """

    runs: int
    steady: int
    agreeing: int
    close: int
    xla_per_s: float
    fused_per_s: float

    @property
    def is_right(self) -> bool:
        """Return whether the fused kernel trains the same runs."""
        enough = self.steady >= min(_LEAST_STEADY, self.runs // 4)
        return enough and self.agreeing == self.steady and self.close >= _MOST_CLOSE_SHARE * self.steady

    @property
    def is_kept(self) -> bool:
        """Return whether the fused kernel is right and the faster one."""
        return self.is_right and self.fused_per_s > self.xla_per_s

    def words(self) -> str:
        """Return the comparison as a part of a sentence."""
        return (
            f"of {self.runs} runs, {self.steady} do not hang on last bits, and {self.agreeing} of these agree; "
            f"{self.fused_per_s:,.0f} runs a second against {self.xla_per_s:,.0f} of XLA's"
        )


def compare(plain: Engine, fused: Engine, device: jax.Device | None = None, *, timed: int | None = None) -> Verdict:
    """Train some hundred runs over the whole plane with both engines, and many with each for their speed.

    timed: the number of runs that are timed; all that a call of both takes if it is not given.
    """
    device = device or devices()[0]
    x, y = _points(plain.problem, _RUNS)
    ours, theirs = fused.run(x, y, device), plain.run(x, y, device)
    moved = [plain.run(x * (1 + _MOVED), y, device), plain.run(x, y * (1 + _MOVED), device)]
    steady = np.all([_apart(theirs, other) <= _STEADY for other in moved], axis=0)
    same = ((ours.value < 0) == (theirs.value < 0)) & steady
    apart = _apart(theirs, ours)
    count = timed or min(plain.capacity(device), fused.capacity(device))
    many = _points(plain.problem, count)
    return Verdict(
        runs=x.size,
        steady=int(steady.sum()),
        agreeing=int((same & (apart <= _NEAR)).sum()),
        close=int((same & (apart <= _CLOSE)).sum()),
        xla_per_s=count / _time_s(plain, many, device),
        fused_per_s=count / _time_s(fused, many, device),
    )


def _points(problem: Problem, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points [count] that are spread over the plane at random, the same ones every time."""
    places = np.random.default_rng(0).integers(1, 2**20, size=(2, count))
    x, y = (
        np.array([float(axis.value_from_unit(Fraction(int(place), 2**20))) for place in row])
        for axis, row in zip((problem.x, problem.y), places, strict=True)
    )
    return x, y


def _apart(one: Field, two: Field) -> np.ndarray:
    """Return how far apart values are, relative to the first [run]."""
    apart: np.ndarray = np.abs(one.value - two.value) / np.maximum(np.abs(one.value), np.finfo(np.float64).tiny)
    return apart


def _time_s(engine: Engine, points: tuple[np.ndarray, np.ndarray], device: jax.Device) -> float:
    engine.run(*points, device)  # compile
    began = time.perf_counter()
    engine.run(*points, device)
    return time.perf_counter() - began
