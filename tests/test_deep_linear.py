"""Deep linear networks: steps against NumPy, and the onset of oscillation at 2 / (L sigma^(2 - 2/L))."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from render.geometry.axes import Axis
from render.problem import Problem
from render.samples import Field
from render.train import engine


def problem(layers: int, steps: int, width: int = 5, **fixed: float) -> Problem:
    """A plane of rates and first singular values."""
    x, y = Axis("lr", "linear", Fraction(0), Fraction(1)), Axis("sigma_1", "linear", Fraction(1), Fraction(20))
    return Problem(x, y, "deep_linear", layers=layers, width=width, steps=steps, fixed=fixed.items())


def train(of: Problem, rates: np.ndarray, first: float) -> Field:
    return engine.Engine(of).run(rates, np.full(rates.shape, first))


@pytest.mark.parametrize(("layers", "width"), [(2, 3), (3, 5), (4, 4)])
def test_losses_are_those_of_numpy(layers: int, width: int) -> None:
    """Gradients written by hand: of layer l, (later layers)' E (earlier layers)'."""
    rate, steps = 0.01, 40
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((width, width)))[0] for _ in range(2))
    values = np.array([7.0, 6.0, 3.0])
    target = left[:, :3] @ np.diag(values) @ right[:, :3].T
    weights, losses = [0.3 * np.eye(width) for _ in range(layers - 1)] + [np.zeros((width, width))], []
    for _ in range(steps):
        product = np.linalg.multi_dot(weights[::-1])
        error = product - target
        losses.append((error**2).sum() / 2)
        slopes = []
        for i in range(layers):
            later = np.linalg.multi_dot([np.eye(width), np.eye(width), *weights[:i:-1]])
            earlier = np.linalg.multi_dot([np.eye(width), np.eye(width), *weights[:i][::-1]])
            slopes.append(later.T @ error @ earlier.T)
        weights = [w - rate * slope for w, slope in zip(weights, slopes, strict=True)]
    ours = engine.Engine(problem(layers, steps, width, start=0.3)).losses(np.array([rate]), np.array([7.0]))[0]
    np.testing.assert_allclose(ours, losses, rtol=1e-8)


def test_the_known_onset_of_three_layers_lies_between_rates_next_to_it() -> None:
    """0.0309439 for L = 3 and singular values 10, 6, 3: a thousandth below runs converge, above they oscillate."""
    onset = 2 / (3 * 10 ** (4 / 3))
    assert onset == pytest.approx(0.0309439, abs=5e-8)
    field = train(problem(3, 6_000), onset * np.array([0.99, 0.999, 1.001, 1.01]), 10.0)
    assert (field.escape_step < 0).all()
    assert (field.final_loss[:2] < 1e-6).all()
    assert (field.final_loss[2:] > 1e-3).all()
    assert field.final_loss[3] > field.final_loss[2]


@pytest.mark.parametrize(("layers", "first"), [(2, 8.0), (4, 7.0)])
def test_the_onset_follows_depth_and_singular_value(layers: int, first: float) -> None:
    onset = 2 / (layers * first ** (2 - 2 / layers))
    field = train(problem(layers, 3_000, start=0.3), onset * np.array([0.98, 1.02]), first)
    assert field.final_loss[0] < 1e-9
    assert 1e-3 < field.final_loss[1] < np.inf
