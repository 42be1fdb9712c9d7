"""Optimisers and learning-rate schedules: pure functions on one array of weights, with hyperparameters per lane.

optax is not used: its hyperparameters are one number for each call, so separate rates for every lane and layer would
need vmap around wrapped states. The few lines below do the same.

An optimiser is a row of OPTIMISERS. Its update turns a gradient into a direction d; the weights then move by
-rate * schedule(t) * (d + weight_decay * w). So weight decay is decoupled (Loshchilov and Hutter 2017,
arXiv:1711.05101), and for plain gradient descent the same as an L2 penalty of weight_decay / 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float64, Int

Array = jax.Array
Memory = tuple[Array, ...]  # zero to two arrays like the weights
Hyper = dict[str, Array]  # name -> [lane, 1, ...], as many axes as the weights have


class Optimiser(NamedTuple):
    """slots: the number of arrays in its memory, initially zero. update(gradient, memory, hyper, t) -> (d, memory)."""

    slots: int
    update: Callable[[Array, Memory, Hyper, Array], tuple[Array, Memory]]
    adaptive: bool = False  # whether the size of d hardly depends on that of the gradient


def _sgd(g: Array, memory: Memory, hyper: Hyper, t: Array) -> tuple[Array, Memory]:
    return g, ()


def _momentum(g: Array, memory: Memory, hyper: Hyper, t: Array) -> tuple[Array, Memory]:
    """Polyak 1964: v <- momentum v + g, d = v."""
    velocity = hyper["momentum"] * memory[0] + g
    return velocity, (velocity,)


def _nesterov(g: Array, memory: Memory, hyper: Hyper, t: Array) -> tuple[Array, Memory]:
    """Sutskever et al. 2013, at the look-ahead point: v <- momentum v + g, d = g + momentum v."""
    velocity = hyper["momentum"] * memory[0] + g
    return g + hyper["momentum"] * velocity, (velocity,)


def _adam(g: Array, memory: Memory, hyper: Hyper, t: Array) -> tuple[Array, Memory]:
    """Kingma and Ba 2014, arXiv:1412.6980, Algorithm 1."""
    b1, b2 = hyper["beta1"], hyper["beta2"]
    m, v = b1 * memory[0] + (1 - b1) * g, b2 * memory[1] + (1 - b2) * g * g
    age = jnp.asarray(t + 1, g.dtype)
    return m / (1 - b1**age) / (jnp.sqrt(v / (1 - b2**age)) + hyper["epsilon"]), (m, v)


def _rmsprop(g: Array, memory: Memory, hyper: Hyper, t: Array) -> tuple[Array, Memory]:
    """Tieleman and Hinton 2012: v <- beta2 v + (1 - beta2) g^2, d = g / (sqrt(v) + epsilon)."""
    v = hyper["beta2"] * memory[0] + (1 - hyper["beta2"]) * g * g
    return g / (jnp.sqrt(v) + hyper["epsilon"]), (v,)


OPTIMISERS = {
    "sgd": Optimiser(0, _sgd),
    "momentum": Optimiser(1, _momentum),
    "nesterov": Optimiser(1, _nesterov),
    "adam": Optimiser(2, _adam, adaptive=True),
    "rmsprop": Optimiser(1, _rmsprop, adaptive=True),
}

# name -> factor of the learning rate at a fraction 0..1 of the run
SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "constant": jnp.ones_like,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + jnp.cos(math.pi * progress)) / 2,
}


def rate_factor(schedule: str, warmup: Float64[Array, "lane"], t: Int[Array, ""], steps: int) -> Float64[Array, "lane"]:
    """Return the factor of the rate [lane] at step t, with a linear rise over the first `warmup` [lane] steps."""
    now = jnp.asarray(t, jnp.float64)
    rise = jnp.minimum(1.0, (now + 1) / jnp.maximum(warmup, 1.0))
    return rise * SCHEDULES[schedule](now / steps)


def begin(name: str, weights: Array) -> Memory:
    """Return the memory of an optimiser before its first step."""
    return tuple(jnp.zeros_like(weights) for _ in range(OPTIMISERS[name].slots))


def move(
    name: str,
    weights: Float64[Array, "lane *weight"],
    gradient: Float64[Array, "lane *weight"],
    memory: Memory,
    rate: Float64[Array, "lane"],
    hyper: dict[str, Array],
    t: Int[Array, ""],
) -> tuple[Float64[Array, "lane *weight"], Memory]:
    """Return weights and memory after step t. rate, hyper: [lane]; weights, gradient: [lane, ...]."""
    shape = (-1, *[1] * (weights.ndim - 1))
    spread = {key: value.reshape(shape) for key, value in hyper.items()}
    direction, memory = OPTIMISERS[name].update(gradient, memory, spread, t)
    return weights - rate.reshape(shape) * (direction + spread["weight_decay"] * weights), memory
