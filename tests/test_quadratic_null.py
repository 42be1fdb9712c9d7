"""The published network with its input layer frozen: a quadratic, whose border is known and smooth."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from render import scene
from render.analyse import estimators
from render.geometry.axes import Axis
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.train import engine
from render.train.datasets import gaussian

FROZEN = scene.load("frozen").problem


def of(problem: Problem, steps: int) -> Problem:
    """The same with another length of run."""
    return Problem(problem.x, problem.y, steps=steps, fixed=problem.fixed, settings=problem.settings)


def modes(problem: Problem, mean: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues of the Hessian, the loss that each of its directions starts with, and the loss that stays."""
    draws, n = gaussian(problem), problem.settings_as(MlpSettings).width
    hidden = np.tanh(math.sqrt(2) * draws.inputs @ (draws.weights[0] + mean) / math.sqrt(n)) / n
    hessian = 2 / len(hidden) * hidden.T @ hidden
    best = np.linalg.lstsq(hidden, draws.targets, rcond=None)[0]
    values, directions = np.linalg.eigh(hessian)
    along = directions.T @ (draws.weights[1][:, 0] - best)
    return values, values * along**2 / 2, float(np.mean((hidden @ best - draws.targets) ** 2))


def converges(problem: Problem, mean: float, lr: float) -> bool:
    """In closed form: every direction by itself shrinks or grows by 1 - lr * its eigenvalue at a step."""
    values, shares, rest = modes(problem, mean)
    # Logarithms, since a power of 2 * 500 steps overflows.
    size = 2 * np.log(np.abs(1 - lr * values) + 1e-300)
    t = np.arange(problem.steps - 20, problem.steps)[:, None]
    tail = (shares * np.exp(np.minimum(t * size, 600.0))).sum(axis=1).mean() + rest
    return bool(tail < shares.sum() + rest)


def border(problem: Problem, mean: float) -> float:
    """log10 of the rate at which a run just stops converging, by halving."""
    low, high = -3.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if converges(problem, mean, 10**middle) else (low, middle)
    return low


MEANS = 10.0 ** np.linspace(-3, 3, 9)


def test_the_border_is_the_closed_forms() -> None:
    """A millionth of a decade below it every run converges, a millionth above it every run diverges."""
    at = np.array([border(FROZEN, mean) for mean in MEANS])
    trainer = engine.Engine(FROZEN)
    below, above = (trainer.run(MEANS, 10 ** (at + apart)) for apart in (-1e-6, 1e-6))
    assert (below.value < 0).all()
    assert (above.value > 0).all()


def test_the_border_nears_the_spectral_radius_of_one_as_runs_lengthen() -> None:
    """|1 - lr * largest eigenvalue| = 1, to a thousandth of a decade after 500 steps, and nearer after more."""
    limit = np.array([math.log10(2 / modes(FROZEN, mean)[0][-1]) for mean in MEANS])
    for steps in (500, 5000, 50000):
        borders = np.array([border(of(FROZEN, steps), mean) for mean in MEANS])
        np.testing.assert_allclose(borders, limit, rtol=0, atol=0.5 / steps)
    assert np.ptp(limit) > 0.9  # the border is a curve, not a line along an axis


@pytest.mark.parametrize("decades", [1.0, 1e-3, 1e-6])
def test_its_dimension_is_that_of_a_smooth_curve(decades: float) -> None:
    """Through engine and estimators, on the net of four units: 64 samples across, at three depths."""
    x_axis, y_axis = (Axis(name, "log10", Fraction(-3), Fraction(6)) for name in ("init_mean", "lr_output"))
    small = Problem(
        x_axis, y_axis, steps=200, width=4, examples=8, fixed=[("lr_input", 0.0)],
    )  # fmt: skip
    side = np.linspace(-0.5, 0.5, 64) * decades
    x, y = (10.0 ** (v.ravel()) for v in np.meshgrid(side, side + border(small, 1.0)))
    trainer = engine.Engine(small)
    pieces = np.array_split(np.arange(x.size), -(-x.size // trainer.capacity()))
    mask = np.concatenate([trainer.run(x[piece], y[piece]).value < 0 for piece in pieces]).reshape(64, 64)
    for name in estimators.ESTIMATORS:
        estimate = estimators.estimate(name, mask)
        assert estimate is not None
        assert 0.93 < estimate.dimension < 1.1, name
