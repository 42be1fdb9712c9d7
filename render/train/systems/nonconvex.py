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
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import NonconvexSettings
from render.train.systems import Hyper, System

# The published threshold of divergence (Julia runs; the CUDA runs have 1e16, and the same outcomes).
_ESCAPE_RADIUS = 1e8


def make(problem: Problem) -> System:
    """Return gradient descent as a system; all coordinates but the first start at `start` times a shared draw."""
    settings = problem.settings_as(NonconvexSettings)
    draws = np.random.default_rng(problem.seed).standard_normal(settings.dimensions)
    draws[0] = 1.0
    directions = jnp.asarray(draws)

    cosines = [("epsilon", "wavelength"), ("epsilon_2", "wavelength_2")]
    if ("epsilon_2", 0.0) in problem.fixed:
        del cosines[1]

    def loss_and_gradient(
        x: Float64[Array, "lane dimension"], hyper: Hyper
    ) -> tuple[Float64[Array, "lane"], Float64[Array, "lane dimension"]]:
        """Return f [lane] and its gradient [lane, dimension] at x [lane, dimension]."""
        wave, slope = jnp.zeros_like(x), jnp.zeros_like(x)
        for epsilon, wavelength in cosines:
            height, length = hyper[epsilon][:, None], hyper[wavelength][:, None]
            cosine, sine = _cos_sin_of_turns(x / length)
            wave += height * cosine
            slope -= height * (2 * math.pi / length) * sine
        if settings.shape == "additive":
            return (x * x + wave).sum(axis=1), 2 * x + slope
        square, factor = (x * x).sum(axis=1, keepdims=True), 1 + wave.sum(axis=1, keepdims=True)
        return (square * factor)[:, 0], 2 * x * factor + square * slope

    def start(hyper: Hyper) -> Float64[Array, "lane dimension"]:
        return hyper["start"][:, None] * directions[None]

    def step(
        x: Float64[Array, "lane dimension"], hyper: Hyper, t: jax.Array
    ) -> tuple[Float64[Array, "lane dimension"], Float64[Array, "lane"]]:
        loss, gradient = loss_and_gradient(x, hyper)
        # f may be a little below 0, where a size is asked for.
        return x - hyper["lr"][:, None] * gradient, jnp.abs(loss)

    return System(start, step, _ESCAPE_RADIUS)


def _cos_sin_of_turns(turns: Float64[Array, "*shape"]) -> tuple[Float64[Array, "*shape"], Float64[Array, "*shape"]]:
    """Return cos and sin of 2 pi turns, to about 1e-15.

    XLA's own call the C library for one number at a time, which was nine tenths of a step; Taylor's series on
    [-pi, pi], to the powers 30 and 31, are products that run eight numbers at a time.
    """
    angle = 2 * math.pi * (turns - jnp.round(turns))
    square = angle * angle
    cosine, sine = jnp.zeros_like(turns), jnp.zeros_like(turns)
    for k in range(30, -1, -2):
        sign = -1.0 if k % 4 else 1.0
        cosine = cosine * square + sign / math.factorial(k)
        sine = sine * square + sign / math.factorial(k + 1)
    return cosine, sine * angle
