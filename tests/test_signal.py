"""Signal propagation: against NumPy, the exponent of products of random matrices, and the mean-field edge of chaos."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import digamma

from render.errors import RenderError
from render.geometry.axes import Axis
from render.problem import Problem
from render.train import engine


def problem(width: int, steps: int, seed: int = 0, transient: int | None = None, **fixed: float) -> Problem:
    """A plane of both scales."""
    x, y = Axis("sigma_w", "linear", Fraction(0), Fraction(6)), Axis("sigma_b", "linear", Fraction(0), Fraction(3))
    observe = [] if transient is None else [("lyapunov", transient)]
    return Problem(x, y, "signal", width=width, steps=steps, seed=seed, fixed=fixed.items(), observe=observe)


def test_losses_are_those_of_numpy() -> None:
    n, steps, scales = 8, 12, (1.3, 0.4)
    rng = np.random.default_rng(0)
    one, aside = rng.standard_normal((2, n))
    other, losses = one + 0.1 * aside, []
    for _ in range(steps):
        losses.append(np.mean((one - other) ** 2))
        w, b = rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal(n)
        one, other = (np.tanh(scales[0] * w @ h + scales[1] * b) for h in (one, other))
    ours = engine.Engine(problem(n, steps)).losses(np.array([scales[0]]), np.array([scales[1]]))[0]
    np.testing.assert_allclose(ours, losses, rtol=1e-10)


def test_without_biases_a_dying_signal_has_the_exponent_of_a_product_of_random_matrices() -> None:
    n, sigmas = 16, np.array([0.3, 0.6, 0.8])
    field = [engine.Engine(problem(n, 400, seed, 100)).run(sigmas, np.zeros(3)).more["lyapunov"] for seed in range(4)]
    exact = (np.log(2 * sigmas**2 / n) + digamma(n / 2)) / 2
    assert (exact < np.log(sigmas) - 0.02).all(), "of this width the exponent is not that of wide networks"
    # Four runs of 300 layers: the logarithm of one layer's stretch deviates by sqrt(trigamma(n / 2)) / 2 = 0.18.
    np.testing.assert_allclose(np.mean(field, axis=0), exact, atol=0.02)


def mean_field(sigma_w: float, sigma_b: float) -> float:
    """Half the logarithm of sigma_w^2 E[tanh'^2] at the fixed point of the mean square of pre-activations."""
    z, weights = np.polynomial.hermite_e.hermegauss(101)
    weights = weights / weights.sum()
    q = 1.0
    for _ in range(2_000):
        q = sigma_w**2 * weights @ np.tanh(np.sqrt(q) * z) ** 2 + sigma_b**2
    return float(0.5 * np.log(sigma_w**2 * weights @ (1 - np.tanh(np.sqrt(q) * z) ** 2) ** 2))


def test_wide_networks_have_the_exponents_of_mean_field_theory_on_both_sides_of_the_edge() -> None:
    x, y = np.array([0.7, 1.1, 1.6, 2.5, 2.5]), np.array([0.3, 0.3, 0.3, 0.3, 1.5])
    theory = np.array([mean_field(*pair) for pair in zip(x, y, strict=True)])
    assert (theory < -0.1).any()
    assert (theory > 0.1).any()
    field = engine.Engine(problem(256, 80, transient=30)).run(x, y)
    np.testing.assert_allclose(field.more["lyapunov"], theory, atol=0.06)
    clear = np.abs(theory) > 0.1
    np.testing.assert_array_equal((field.value < 0)[clear], (theory < 0)[clear])


def test_layers_that_do_not_fit_into_memory_are_refused() -> None:
    with pytest.raises(RenderError, match="problem.steps times the square of problem.width must be at most"):
        engine.Engine(problem(512, 1_000))
