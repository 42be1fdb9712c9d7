"""Deep linear networks: gradient descent on a product of matrices, whose edge of stability is known exactly.

With L square layers and a target of singular values sigma_1 > sigma_2 > ..., in directions drawn by the seed,

    f(W) = |W_L ... W_2 W_1 - U diag(sigma) V'|^2 / 2,        W_1 = ... = W_(L-1) = start I,  W_L = 0

At the balanced minimum the largest eigenvalue of the Hessian is L sigma_1^(2 - 2/L). It turns unstable, and the run
begins to oscillate with period 2 in the first singular direction, at lr = 2 / (L sigma_1^(2 - 2/L)): 0.0309439 for
L = 3 and sigma_1 = 10 (Ghosh and others 2025, arXiv:2502.20531).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import DeepLinearSettings
from render.train.systems import Hyper, System

Layers = tuple[Float64[Array, "lane out in"], ...]

# The target's singular values, as hyperparameters; all others are 0.
_VALUES = ("sigma_1", "sigma_2", "sigma_3")


def make(problem: Problem) -> System:
    """Return the network's training as a system; hyper holds lr, start and the target's singular values."""
    settings = problem.settings_as(DeepLinearSettings)
    d = settings.width
    rng = np.random.default_rng(problem.seed)
    left, right = (jnp.asarray(np.linalg.qr(rng.standard_normal((d, d)))[0][:, : len(_VALUES)]) for _ in range(2))

    def start(hyper: Hyper) -> Layers:
        one = hyper["start"][:, None, None] * jnp.eye(d)[None]
        return (*([one] * (settings.layers - 1)), jnp.zeros_like(one))

    def losses(layers: Layers, target: Float64[Array, "lane out in"]) -> tuple[jax.Array, Float64[Array, "lane"]]:
        product = layers[0]
        for layer in layers[1:]:
            product = jnp.einsum("lij,ljk->lik", layer, product)
        loss = jnp.square(product - target).sum(axis=(1, 2)) / 2
        return loss.sum(), loss  # lanes are independent: the gradient of the sum is each lane's own gradient

    def step(layers: Layers, hyper: Hyper, t: jax.Array) -> tuple[Layers, Float64[Array, "lane"]]:
        values = jnp.stack([hyper[name] for name in _VALUES], axis=1)
        target = jnp.einsum("iv,lv,jv->lij", left, values, right)
        gradients, loss = jax.grad(losses, has_aux=True)(layers, target)
        rate = hyper["lr"][:, None, None]
        return tuple(w - rate * g for w, g in zip(layers, gradients, strict=True)), loss

    # As with products of scalars: a polynomial can be thrown back from anywhere by a single step.
    return System(start, step, math.inf)
