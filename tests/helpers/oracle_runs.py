"""Runs of the published network by `tests.helpers.oracle`, at points of a problem, to compare engines with."""

import numpy as np

from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from tests.helpers import oracle, published


def points(count: int, seed: int = 0, lo: float = -3.0, hi: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return hyperparameter values, uniform in their logarithms; lo, hi: powers of ten."""
    x, y = 10.0 ** np.random.default_rng(seed).uniform(lo, hi, (2, count))
    return x, y


def oracle_run(problem: Problem, x: np.ndarray, y: np.ndarray) -> oracle.Run:
    """Return the runs at the points (x[i], y[i]) in plain NumPy."""
    settings = problem.settings_as(MlpSettings)
    draws = published.draws(
        width=settings.width,
        depth=settings.depth,
        examples=settings.examples,
        batch=settings.batch,
        steps=problem.steps,
        seed=problem.seed,
    )
    names = problem.x.name, problem.y.name
    return oracle.run(
        *draws, activation=settings.activation, steps=problem.steps, names=names, x=x, y=y, fixed=dict(problem.fixed)
    )
