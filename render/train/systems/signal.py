"""Signal propagation in random deep networks: two inputs go through the same random layers, one layer a step.

    h <- tanh(sigma_w W_t h + sigma_b b_t),     entries of W_t ~ N(0, 1 / width), of b_t ~ N(0, 1)

All samples share the draws; the loss is the mean squared distance of the two. In wide networks it shrinks on one side
of the curve sigma_w^2 E[tanh'(sqrt(q) z)^2] = 1, the edge of chaos (Poole and others 2016, arXiv:1606.05340), and grows
on the other. For sigma_b = 0 the edge is at sigma_w = 1. Below it a signal dies out, layers act as their matrices, and
the exponent of a product of such matrices is known for every width (Newman 1986, Commun. Math. Phys. 103):

    (log(2 sigma_w^2 / width) + digamma(width / 2)) / 2
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from render.errors import RenderError
from render.problem import Problem
from render.problem.catalogue.settings import SignalSettings
from render.train.systems import Hyper, System

# Weights of all layers together: half a gigabyte.
_MOST_WEIGHTS = 2**26

Pair = tuple[Float64[Array, "lane unit"], Float64[Array, "lane unit"]]


def make(problem: Problem) -> System:
    """Return the propagation as a system; hyper holds sigma_w, sigma_b and apart."""
    n = problem.settings_as(SignalSettings).width
    if problem.steps * n * n > _MOST_WEIGHTS:
        raise RenderError(
            f"signal: problem.steps times the square of problem.width must be at most {_MOST_WEIGHTS:,}, all of whose "
            f"weights are in memory, not {problem.steps * n * n:,}. Take fewer steps or a smaller width."
        )
    rng = np.random.default_rng(problem.seed)
    first, aside = rng.standard_normal((2, n))
    # One list for all layers of a run: a layer's draws do not depend on how many follow.
    layers = [(rng.standard_normal((n, n)) / math.sqrt(n), rng.standard_normal(n)) for _ in range(problem.steps)]
    weights, biases = (jnp.asarray(np.stack(parts)) for parts in zip(*layers, strict=True))

    def start(hyper: Hyper) -> Pair:
        one = jnp.broadcast_to(jnp.asarray(first), (hyper["apart"].shape[0], n))
        return one, one + hyper["apart"][:, None] * jnp.asarray(aside)[None]

    def step(state: Pair, hyper: Hyper, t: jax.Array) -> tuple[Pair, Float64[Array, "lane"]]:
        w, b = weights[t], biases[t]

        def layer(h: Float64[Array, "lane unit"]) -> Float64[Array, "lane unit"]:
            return jnp.tanh(hyper["sigma_w"][:, None] * (h @ w.T) + hyper["sigma_b"][:, None] * b[None])

        return (layer(state[0]), layer(state[1])), jnp.mean(jnp.square(state[0] - state[1]), axis=1)

    return System(start, step, math.inf)  # tanh is bounded, so no run leaves
