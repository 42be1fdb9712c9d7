"""The published network as a user's file: no biases, mean-field scaling, squared error, plain gradient descent."""

# What the system `mlp` of render trains, from the same draws (Sohl-Dickstein 2024, arXiv:2402.06184).
# The examples are the last axis, so that all runs together make one large matrix product.

import math

import jax
import jax.numpy as jnp

hyperparameters = {
    "lr_input": {"label": "input layer learning rate", "default": 1.0, "range": ["1e-3", "1e6"]},
    "lr_output": {"label": "output layer learning rate", "default": 1.0, "range": ["1e-3", "1e6"]},
}
settings = {"width": {"default": 16, "range": [1, 4096], "about": "Units of the hidden layer, and inputs."}}
steps = 500
escape_radius = 1e30  # no run of a tanh network came back from there: see render/train/systems/mlp.py
reference = "Sohl-Dickstein 2024, arXiv:2402.06184"


def _draws(seed, width):
    """Draw in the published order, by the generator of its time."""
    normal = jax.random.normal
    with jax.threefry_partitionable(False):
        carry, use = jax.random.split(jax.random.key(seed))
        first, last = jax.random.split(use, 2)
        weights = normal(first, (width, width)).T, normal(last, (width, 1))[:, 0]
        carry, use = jax.random.split(carry)
        inputs = normal(use, (width * width + width, width)).T
        carry, use = jax.random.split(carry)
        return weights, inputs, normal(use, (width * width + width, 1))[:, 0]


def data(seed, settings):
    _, inputs, targets = _draws(seed, settings.width)
    return inputs, targets


def init(key, seed, settings):
    (hidden, output), _, _ = _draws(seed, settings.width)
    return {"hidden": hidden, "output": output}


def loss(params, batch):
    inputs, targets = batch
    width = inputs.shape[0]
    units = jnp.tanh((params["hidden"] * (math.sqrt(2.0) / math.sqrt(width))) @ inputs)
    return jnp.mean((params["output"] / width @ units - targets) ** 2)


def update(params, gradient, hyper):
    return {
        "hidden": params["hidden"] - hyper["lr_input"] * gradient["hidden"],
        "output": params["output"] - hyper["lr_output"] * gradient["output"],
    }
