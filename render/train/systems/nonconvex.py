"""Gradient descent on a quadratic with a cosine: the least non-convexity that makes a border fractal.

Liu 2024, "Complex fractal trainability boundary can arise from trivial non-convexity", arXiv:2406.13971; code
liuyz0/FractalBoundary. In d dimensions

    additive:        f(x) = sum_i x_i^2 + epsilon cos(2 pi x_i / lambda) + epsilon_2 cos(2 pi x_i / lambda_2)
    multiplicative:  f(x) = |x|^2 (1 + sum_i epsilon cos(2 pi x_i / lambda) + epsilon_2 cos(2 pi x_i / lambda_2))

and x <- x - lr grad f(x). A run diverged once f passes 1e8.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from render.problem import Problem
from render.train.systems import Hyper, System

# The published threshold of divergence (Julia runs; the CUDA runs have 1e16, and the same outcomes).
_ESCAPE_RADIUS = 1e8

# A step is a few operations on each number, so a block of 16 lanes would be mostly overhead.
_LANES = 512


def make(problem: Problem) -> System:
    """Return gradient descent as a system; all coordinates but the first start at `start` times a shared draw."""
    draws = np.random.default_rng(problem.seed).standard_normal(problem.dimensions)
    draws[0] = 1.0
    directions = jnp.asarray(draws)

    cosines = [("epsilon", "wavelength"), ("epsilon_2", "wavelength_2")]
    if ("epsilon_2", 0.0) in problem.fixed:
        del cosines[1]  # nine tenths of a step are sines and cosines

    def losses(x: jax.Array, hyper: Hyper) -> jax.Array:
        """Return f [lane] of x [lane, dimension]."""
        waves = jnp.zeros_like(x)
        for epsilon, wavelength in cosines:
            waves += hyper[epsilon][:, None] * jnp.cos(2 * math.pi / hyper[wavelength][:, None] * x)
        if problem.shape == "additive":
            return (x * x + waves).sum(axis=1)
        return (x * x).sum(axis=1) * (1 + waves.sum(axis=1))

    def summed(x: jax.Array, hyper: Hyper) -> tuple[jax.Array, jax.Array]:
        loss = losses(x, hyper)
        return loss.sum(), loss  # lanes are independent: the gradient of the sum is each lane's own gradient

    def start(hyper: Hyper) -> jax.Array:
        return hyper["start"][:, None] * directions

    def step(x: jax.Array, hyper: Hyper, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        gradient, loss = jax.grad(summed, has_aux=True)(x, hyper)
        # f may be a little below 0, where a size is asked for.
        return x - hyper["lr"][:, None] * gradient, jnp.abs(loss)

    return System(start, step, _ESCAPE_RADIUS, lanes=_LANES)
