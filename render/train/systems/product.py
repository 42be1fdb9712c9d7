"""Gradient descent on a product of scalars: the smallest model of a deep network whose training can be chaotic.

With k factors, a target T and weight decay as a penalty,

    L(x) = (x_1 x_2 ... x_k - T)^2 / 2 + l2 / 2 (x_1^2 + ... + x_k^2),        x <- x - lr grad L(x)

What is known exactly, and tested (tests/test_product.py), for l2 = 0 and T > 0:

- Equal factors stay equal: u <- u - lr (u^k - T) u^(k-1), a map of one variable, with all that such maps do.
- At the balanced minimum u^k = T the largest eigenvalue of the Hessian, the sharpness, is k T^(2 - 2/k). It turns
  unstable, and the run begins to oscillate, at lr = 2 / (k T^(2 - 2/k)): 2 / k for T = 1.
- x = T^(1/k) z turns the target into 1 and the rate into lr T^(2 - 2/k).
- For k = 2 and p = x y, a step multiplies x^2 + y^2 - lr T p - (4 - lr^2 T^2) / lr by 1 + lr^2 (p - T) p, which is
  positive for lr T < 2. So no step crosses the ellipse where the former is 0, and while lr T < 1 it is the whole border
  between runs that stay and runs that leave. With l2 > 0 the border is a fractal (Liang and Montufar 2025,
  arXiv:2509.25351, who give the critical rate of the smooth case).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import ProductSettings
from render.train.systems import Hyper, System

Factors = tuple[Float64[Array, "lane"], ...]  # what a lane carries: its k factors

# The longest period that is looked for: it has the windows of 3, 9, 27 and 81, and all doublings up to 128.
LONGEST_PERIOD = 128

# An orbit that comes back to within this (of 1, or of its size if that is more) is periodic. Rounding is far below it,
# and an orbit that is chaotic comes so near within 128 steps by chance about once in ten thousand runs.
_BACK = 1e-6


def make(problem: Problem) -> System:
    """Return the descent as a system; hyper holds lr, target, l2 and as many starts as the problem has."""
    settings = problem.settings_as(ProductSettings)

    def start(hyper: Hyper) -> Factors:
        return tuple(hyper[f"start_{i % settings.starts + 1}"] for i in range(settings.factors))

    def step(state: Factors, hyper: Hyper, t: jax.Array) -> tuple[Factors, Float64[Array, "lane"]]:
        others = _products_of_others(state)
        error = others[0] * state[0] - hyper["target"]
        squares = sum((x * x for x in state[1:]), state[0] * state[0])
        loss = 0.5 * (error * error + hyper["l2"] * squares)
        moved = (x - hyper["lr"] * (error * p + hyper["l2"] * x) for x, p in zip(state, others, strict=True))
        return tuple(moved), loss

    def measured(state: Factors, hyper: Hyper) -> dict[str, Float64[Array, "lane"]]:
        def on(p: jax.Array, carry: tuple[Factors, Float64[Array, "lane"]]) -> tuple[Factors, Float64[Array, "lane"]]:
            moved, period = carry
            moved, _ = step(moved, hyper, p)
            apart = sum((jnp.abs(a - b) for a, b in zip(moved, state, strict=True)), jnp.zeros_like(size))
            return moved, jnp.where((period == 0) & (apart <= _BACK * jnp.maximum(size, 1.0)), p, period)

        size = sum((jnp.abs(x) for x in state[1:]), jnp.abs(state[0]))
        _, period = jax.lax.fori_loop(1, LONGEST_PERIOD + 1, on, (state, jnp.zeros_like(size)))
        gradient = _products_of_others(state)
        return {"period": period, "sharpness": sum((p * p for p in gradient[1:]), gradient[0] * gradient[0])}

    # A polynomial can be thrown back from anywhere by a single step, so only what overflows has left for good.
    return System(start, step, math.inf, jax.jit(measured), visited=lambda state: state)


def _products_of_others(state: Factors) -> Factors:
    """Return, for each factor, the product of all others: without dividing, so that a factor may be 0."""
    before, after = [jnp.ones_like(state[0])], [jnp.ones_like(state[0])]
    for left, right in zip(state[:-1], state[:0:-1], strict=True):
        before.append(before[-1] * left)
        after.append(after[-1] * right)
    return tuple(a * b for a, b in zip(before, reversed(after), strict=True))
