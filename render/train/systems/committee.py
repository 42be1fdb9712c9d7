"""Gradient descent on a committee of two equal neurons: the smallest network whose basins of attraction are riddled.

Each neuron has one weight and the activation w^p, the output weights are fixed at 1, and there is one example:

    L(w) = (w_1^p + w_2^p - T)^2 / 2,        w_j <- w_j - lr (w_1^p + w_2^p - T) p w_j^(p-1)

A plane of initial weights is the whole state space. What is known of it, and tested (tests/test_riddled.py), for T > 0:

- Neurons that start equal stay equal. With w = (T / 2)^(1/p) u and a = lr p T (T / 2)^(1 - 2/p) they follow
  u <- u - a (u^p - 1) u^(p-1), the map of `product` with p equal factors, with its doublings and its chaos.
- A small difference d of the neurons follows d <- d (1 - a (p - 1) (u^p - 1) u^(p-2)). Its logarithm, averaged along
  the chaotic orbit, is the transverse Lyapunov exponent. Where it is below 0, most runs near the line of
  equal neurons end in it. Where the factor is nevertheless above 1 for a while, others leave: every neighbourhood of
  every point of the basin holds points that do not belong to it, and it is riddled (Alexander and others 1992).
- For odd p there is somewhere to go: below 0 a neuron only creeps back to it, as 1 / (3 lr T t) for p = 3. Both
  neurons are dead there, and the loss is T^2 / 2.

Ly and Gong 2025 (arXiv:2510.05606) find riddled basins in deep networks, from symmetries as this one.
"""

from __future__ import annotations

import math

import jax
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import CommitteeSettings
from render.train.systems import Hyper, System

Weights = tuple[Float64[Array, "lane"], Float64[Array, "lane"]]


def make(problem: Problem) -> System:
    """Return the descent as a system; hyper holds lr, target, weight_1 and weight_2."""
    power = problem.settings_as(CommitteeSettings).power

    def slope_and_value(w: Float64[Array, "lane"]) -> Weights:
        """Return w^(p-1) and w^p: products, since libraries round a power in ways of their own."""
        lower = w
        for _ in range(power - 2):
            lower = lower * w
        return lower, lower * w

    def start(hyper: Hyper) -> Weights:
        return hyper["weight_1"], hyper["weight_2"]

    def step(state: Weights, hyper: Hyper, t: jax.Array) -> tuple[Weights, Float64[Array, "lane"]]:
        (slope_1, value_1), (slope_2, value_2) = map(slope_and_value, state)
        error = value_1 + value_2 - hyper["target"]
        push = hyper["lr"] * power * error
        return (state[0] - push * slope_1, state[1] - push * slope_2), 0.5 * error * error

    # A polynomial can be thrown back from anywhere by a single step, so only what overflows has left for good.
    return System(start, step, math.inf, visited=lambda state: state)
