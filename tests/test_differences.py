"""Differences of single operations, against python-flint; operations without a rule are named."""

import math
from collections.abc import Callable
from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from render.errors import RenderError
from render.train.past_float64.differences import Differences
from render.train.past_float64.rules import RULES
from render.train.systems import System

# Differences far below the last digit of the numbers that they belong to.
TINY = np.array([3e-25, -7e-31, 2e-18, -0.003, 0.0])
LANES = TINY.size


def change(function: Callable[..., jax.Array], ref: list[float], *changes: np.ndarray) -> np.ndarray:
    """Return what a function of [lane] arrays does to differences from the reference's values."""
    names = "abc"[: len(ref)]
    system = System(
        start=lambda hyper: function(*(hyper[n] for n in names)), step=lambda s, h, t: (s, s), escape_radius=math.inf
    )
    big = {n: jnp.full(1, v) for n, v in zip(names, ref, strict=True)}
    small = {n: jnp.asarray(c) for n, c in zip(names, changes, strict=True)}
    return np.asarray(jax.jit(Differences(system, "example").start)(big, small))


def exact(function: Callable[..., flint.arb], ref: list[float], *changes: np.ndarray) -> np.ndarray:
    """Return the same in 512 bits."""
    flint.ctx.prec = 512

    def ball(value: float, more: float) -> flint.arb:
        total = Fraction(value) + Fraction(more)
        return flint.arb(flint.fmpq(total.numerator, total.denominator))

    before = function(*(ball(v, 0.0) for v in ref))
    rows = zip(*changes, strict=True)
    return np.array([float(function(*(ball(v, c) for v, c in zip(ref, row, strict=True))) - before) for row in rows])


ONE = {
    "tanh": (jnp.tanh, lambda v: v.tanh()),
    "exp": (jnp.exp, lambda v: v.exp()),
    "expm1": (jnp.expm1, lambda v: v.expm1()),
    "logistic": (jax.nn.sigmoid, lambda v: 1 / (1 + (-v).exp())),
    "sin": (jnp.sin, lambda v: v.sin()),
    "cos": (jnp.cos, lambda v: v.cos()),
    "square": (jnp.square, lambda v: v * v),
    "integer_pow": (lambda a: a**5, lambda v: v**5),
    "negative power": (lambda a: a**-3, lambda v: v**-3),
    "abs": (jnp.abs, lambda v: abs(v)),
    "sum": (lambda a: jnp.stack([a, a * a, a], axis=1).sum(axis=1), lambda v: 2 * v + v * v),
    "mean of a larger array": (lambda a: (a[:, None] * jnp.arange(4.0)[None, :]).mean(axis=1), lambda v: v * 3 / 2),
}
POSITIVE = {
    "sqrt": (jnp.sqrt, lambda v: v.sqrt()),
    "rsqrt": (jax.lax.rsqrt, lambda v: v.rsqrt()),
    "log": (jnp.log, lambda v: v.log()),
    "log1p": (jnp.log1p, lambda v: v.log1p()),
}


@pytest.mark.parametrize("name", [*ONE, *POSITIVE])
def test_a_difference_below_the_last_digit_is_right_to_the_last_digit(name: str) -> None:
    function, truth = {**ONE, **POSITIVE}[name]
    for ref in (0.7, 1.9) if name in POSITIVE else (0.7, -1.3, 6.0):
        np.testing.assert_allclose(change(function, [ref], TINY), exact(truth, [ref], TINY), rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "truth"),
    [
        (lambda a, b: a * b, lambda a, b: a * b),
        (lambda a, b: a / b, lambda a, b: a / b),
        (lambda a, b: a - 3 * b, lambda a, b: a - 3 * b),
        (lambda a, b: jnp.einsum("li,li->l", a[:, None], b[:, None]), lambda a, b: a * b),
        (jnp.maximum, lambda a, b: a.max(b)),
        (jnp.minimum, lambda a, b: a.min(b)),
        (lambda a, b: jnp.where(a > b, a * a, b), lambda a, b: a * a if a > b else b),
        (lambda a, b: jnp.stack([a, b], axis=1).max(axis=1), lambda a, b: a.max(b)),
    ],
)
def test_operations_of_two(function: Callable[..., jax.Array], truth: Callable[..., flint.arb]) -> None:
    other = TINY[::-1].copy()
    for ref in ([0.75, 0.6], [0.6, 0.75]):
        np.testing.assert_allclose(change(function, ref, TINY, other), exact(truth, ref, TINY, other), rtol=1e-12)


def test_kinks_are_taken_by_cases() -> None:
    ref = 1e-26  # within reach of the smallest differences, on either side
    steps = np.array([-3e-26, -5e-27, 4e-26, 1e-3, -1e-3])
    for sign in (1.0, -1.0):
        relu, slope = jax.nn.relu, lambda a: jnp.where(a > 0, 3.0 * a, 0.0)
        for function, truth in (
            (relu, lambda v: v if v > 0 else flint.arb(0)),
            (jnp.abs, lambda v: abs(v)),
            (slope, lambda v: 3 * v if v > 0 else flint.arb(0)),
        ):
            np.testing.assert_allclose(
                change(function, [sign * ref], steps), exact(truth, [sign * ref], steps), rtol=1e-12
            )


def test_a_saturated_unit_that_flips_is_no_zero_over_zero() -> None:
    steps = np.array([-60.0, -80.0, 5.0, -1e-3, -29.0])
    np.testing.assert_allclose(
        change(jnp.tanh, [30.0], steps), exact(lambda v: v.tanh(), [30.0], steps), rtol=1e-12, atol=1e-15
    )


def test_an_operation_without_a_rule_is_named() -> None:
    assert "cumprod" not in RULES
    with pytest.raises(RenderError, match="'example' uses the operation 'cumprod', which has no rule.*float64"):
        change(lambda a: jnp.cumprod(a[:, None], axis=1)[:, 0], [1.0], TINY)
