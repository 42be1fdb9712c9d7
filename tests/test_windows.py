"""The published figure out of the published coordinates, reduced so that it takes seconds.

Every seventh sample of 96 x 96 in both directions. The whole comparison, with the thresholds that count, is
`python -m tests.bench published`; a share of 196 samples is only good to a few points, hence the slack here.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from render.problem import Problem
from render.samples import Field
from render.train import engine
from tests.helpers import published

STRIDE = 7
# name -> least agreement of the masks (None where the mask of plain NumPy disagrees too), least rank correlation
LEAST = {
    "linear": (0.95, 0.83),
    "relu": (0.96, 0.93),
    "single": (0.88, 0.65),
    "minibatch": (0.93, 0.90),
    "tanh": (0.92, 0.70),
    "offset": (None, 0.55),
}


def train(problem: Problem, x: np.ndarray, y: np.ndarray, **options: Any) -> Field:
    return engine.Engine(problem, **options).run(x, y)


def window(condition: published.Condition, stride: int = STRIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xs, ys = (values[::stride] for values in condition.values())
    x, y = (grid.ravel() for grid in np.meshgrid(xs, ys))
    return x, y, published.panel(condition.name)[::stride, ::stride].ravel()


@pytest.mark.parametrize("name", LEAST)
def test_the_published_picture_comes_out_of_the_published_window(name: str) -> None:
    condition = published.CONDITIONS[name]
    x, y, index = window(condition)
    value = train(published.problem_of(condition), x, y).value
    agreement, correlation = LEAST[name]
    if agreement is not None:
        assert np.mean((value < 0) == (index > 127)) >= agreement
    assert spearmanr(-value, index).statistic >= correlation


@pytest.mark.parametrize("name", published.CONDITIONS)
def test_retiring_escaped_runs_does_not_change_the_picture(name: str) -> None:
    """With and without escape: every sign is the same, and every value but for the known plateau."""
    condition = published.CONDITIONS[name]
    problem = published.problem_of(condition)
    x, y, _ = window(condition, 12)
    usual = train(problem, x, y)
    literal = train(problem, x, y, escape_radius=np.inf)
    np.testing.assert_array_equal(usual.value < 0, literal.value < 0)
    gone = usual.escape_step >= 0
    np.testing.assert_array_equal(usual.value[~gone], literal.value[~gone])
    # A step after escape counts 1e-6 instead of 1 / v <= 1: the few steps between 1e30 and overflow change nothing
    # that a colour could show.
    np.testing.assert_allclose(usual.value[gone], literal.value[gone], rtol=0, atol=problem.steps * 1e-6)


def test_the_literal_initialization_mean_is_another_picture() -> None:
    """Why two scenes exist: in the published window, shifting the weights once lets every run converge."""
    condition = published.CONDITIONS["offset"]
    problem = published.problem_of(condition)
    x, y, _ = window(condition, 16)
    once = dataclasses.replace(problem, x=dataclasses.replace(problem.x, name="init_mean"))
    assert (train(once, x, y).value < 0).all()
    assert not (train(problem, x, y).value < 0).all()
