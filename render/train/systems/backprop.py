"""Back-propagation on exclusive or, started anywhere in the space of weights: 2-2-1 sigmoid units with thresholds.

Kolen and Pollack 1990, "Back Propagation is Sensitive to Initial Conditions" (NIPS 3, 860-867): which initial weights
learn the task within a number of epochs has a border that is not smooth. The plane is cut out of the nine dimensions of
weight space by two directions; their text was not at hand, so inputs and targets of 0 and 1, whole epochs and the rule
of success below are ours.

The weights are, in order: hidden unit 1 (two inputs, threshold), hidden unit 2, output (two hidden units, threshold).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import BackpropSettings
from render.train.systems import Hyper, System

# The four patterns, with the constant input of the threshold.
_INPUTS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
_TARGETS = np.array([0.0, 1.0, 1.0, 0.0])
_WEIGHTS = 9

State = tuple[jax.Array, jax.Array]  # weights and velocities, [lane, 9] each


def directions(problem: Problem) -> Float64[np.ndarray, "2 9"]:
    """Return the two directions [2, 9] of the plane: of two weights, or random ones of length 1 at right angles."""
    settings = problem.settings_as(BackpropSettings)
    if settings.directions == "weights":
        return np.eye(_WEIGHTS)[[settings.weight_x - 1, settings.weight_y - 1]]
    q, _ = np.linalg.qr(np.random.default_rng([problem.seed, 1]).standard_normal((_WEIGHTS, 2)))
    return np.ascontiguousarray(q.T)


def make(problem: Problem) -> System:
    """Return training as a system; the loss is the largest error of the four outputs over the tolerance."""
    plane = jnp.asarray(directions(problem))
    origin = jnp.asarray(np.random.default_rng([problem.seed, 0]).uniform(-1, 1, _WEIGHTS))
    inputs_t, targets = jnp.asarray(_INPUTS.T), jnp.asarray(_TARGETS)

    def outputs(weights: Float64[Array, "lane 9"]) -> Float64[Array, "lane 4"]:
        """Return the outputs [lane, pattern]."""
        lanes = weights.shape[0]
        hidden = jax.nn.sigmoid(weights[:, :6].reshape(lanes, 2, 3) @ inputs_t)
        return jax.nn.sigmoid((weights[:, 6:8, None] * hidden).sum(axis=1) + weights[:, 8:])

    def summed(weights: Float64[Array, "lane 9"]) -> tuple[Float64[Array, ""], Float64[Array, "lane 4"]]:
        error = outputs(weights) - targets[None]
        return (error**2).sum() / 2, error  # lanes are independent

    def start(hyper: Hyper) -> State:
        weights = hyper["origin"][:, None] * origin[None]
        weights += hyper["along_x"][:, None] * plane[:1] + hyper["along_y"][:, None] * plane[1:]
        return weights, jnp.zeros_like(weights)

    def step(state: State, hyper: Hyper, t: jax.Array) -> tuple[State, jax.Array]:
        weights, velocity = state
        gradient, error = jax.grad(summed, has_aux=True)(weights)
        velocity = hyper["momentum"][:, None] * velocity - hyper["lr"][:, None] * gradient
        return (weights + velocity, velocity), jnp.abs(error).max(axis=1) / hyper["tolerance"]

    return System(start, step, math.inf)
