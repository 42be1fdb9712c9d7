"""The published network: no biases, mean-field scaling, squared error, plain gradient descent.

Sohl-Dickstein 2024, arXiv:2402.06184, as its notebook (Sohl-Dickstein/fractal) computes it. Every layer is
z = h W / sqrt(n); hidden units are tanh(sqrt(2) z), sqrt(2) relu(z) or z; the output is divided by sqrt(n) once
more. The loss is the mean over the examples of (f(x) - y)^2.

Layout: the example axis is last and contiguous, and all lanes share the inputs, so both large products of a step
are one flat matrix product over [lane * unit].
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64

from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.train.datasets import DATASETS
from render.train.systems import Hyper, System

Weights = tuple[jax.Array, ...]  # hidden layers [lane, unit, input], then the output layer [lane, unit]

# name -> (function, gain on the pre-activation). relu(sqrt(2) z) = sqrt(2) relu(z), so all gains go inside.
ACTIVATIONS = {
    "tanh": (jnp.tanh, math.sqrt(2.0)),
    "relu": (jax.nn.relu, math.sqrt(2.0)),
    "identity": (lambda z: z, 1.0),
}


# 1e6, the measure's cap, is no safe stop: of 1,600 tanh runs two came back after it, one after 1e10, none after 1e12.
# A relu net may come back from anywhere: a step that throws every unit into its flat half leaves a dead net with a
# small constant loss (4 of 100 runs of a four-layer net passed 1e30 and then died at 1.75, below their first loss).
_ESCAPE_RADIUS = {"tanh": 1e30, "relu": math.inf, "identity": 1e30}


def make(problem: Problem) -> System:
    """Return the network's training as a system; hyper holds lr or lr_input and lr_output, offset, init_mean."""
    settings = problem.settings_as(MlpSettings)
    draws = DATASETS[settings.data](problem)
    activation, gain = ACTIVATIONS[settings.activation]
    n = settings.width
    inputs_t, targets = jnp.asarray(draws.inputs.T), jnp.asarray(draws.targets)
    initial = [w.T for w in draws.weights[:-1]] + [draws.weights[-1][:, 0]]
    batches = None if draws.batches is None else jnp.asarray(draws.batches)

    def losses(
        weights: Weights, x_t: Float64[Array, "input example"], y: Float64[Array, "example"]
    ) -> Float64[Array, "lane"]:
        """Return the loss [lane] on examples x_t [input, example], y [example]."""
        lanes, examples = weights[0].shape[0], x_t.shape[1]
        # The gain goes into the small weights, not over the large pre-activations.
        first = (weights[0] * (gain / math.sqrt(n))).reshape(lanes * n, n)
        hidden = activation((first @ x_t).reshape(lanes, n, examples))
        for w in weights[1:-1]:
            hidden = activation(jnp.einsum("lij,lje->lie", w * (gain / math.sqrt(n)), hidden))
        # A product, not sum(w * h): XLA's sum over the middle axis costs four times as much here.
        output = jnp.einsum("lu,lue->le", weights[-1] / n, hidden)
        return jnp.mean((output - y[None]) ** 2, axis=1)

    def summed(
        weights: Weights, x_t: Float64[Array, "input example"], y: Float64[Array, "example"]
    ) -> tuple[Float64[Array, ""], Float64[Array, "lane"]]:
        loss = losses(weights, x_t, y)
        return loss.sum(), loss  # lanes are independent: the gradient of the sum is each lane's own gradient

    def start(hyper: Hyper) -> Weights:
        lanes = next(iter(hyper.values())).shape[0]
        weights = [jnp.broadcast_to(jnp.asarray(w), (lanes, *w.shape)) for w in initial]
        if "init_mean" in hyper:
            weights[0] = weights[0] + hyper["init_mean"][:, None, None]
        return tuple(weights)

    def step(weights: Weights, hyper: Hyper, t: jax.Array) -> tuple[Weights, Float64[Array, "lane"]]:
        if "offset" in hyper:
            # The published "parameter initialization" condition: added inside every step and kept.
            weights = (weights[0] + hyper["offset"][:, None, None], *weights[1:])
        if batches is None:
            gradients, loss = jax.grad(summed, has_aux=True)(weights, inputs_t, targets)
        else:
            chosen = batches[t]
            gradients, _ = jax.grad(summed, has_aux=True)(weights, inputs_t[:, chosen], targets[chosen])
            loss = losses(weights, inputs_t, targets)  # the recorded loss is always the full set's
        rates = (hyper["lr"],) * 2 if "lr" in hyper else (hyper["lr_input"], hyper["lr_output"])
        moved = tuple(
            w - rates[i % 2].reshape(-1, *[1] * (w.ndim - 1)) * g
            for i, (w, g) in enumerate(zip(weights, gradients, strict=True))
        )
        return moved, loss

    return System(start, step, _ESCAPE_RADIUS[settings.activation])
