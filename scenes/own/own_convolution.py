"""A convolutional network on handwritten digits of 8 x 8 pixels: one rate for its filters, one for its output."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import render

hyperparameters = {
    "lr_filters": {"label": "filters' learning rate", "default": 1.0, "range": [1e-3, 1e4]},
    "lr_output": {"label": "output layer's learning rate", "default": 1.0, "range": [1e-3, 1e4]},
}
settings = {"filters": {"default": 4, "range": [1, 256]}, "examples": {"default": 30, "range": [1, 500]}}
steps = 60
reference = "digits: Alpaydin and Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0"


def data(settings):
    """Return the first of the 500 digits that come with render, each pixel of mean 0, and their labels."""
    with np.load(Path(render.__file__).parent / "train" / "data" / "digits.npz") as stored:
        images, labels = stored["images"], stored["labels"]
    x = images[: settings.examples].astype(np.float64).reshape(-1, 1, 8, 8)
    x -= x.mean(axis=0)
    return x / x.std(), np.eye(10)[labels[: settings.examples]]


def init(key, settings):
    filters, output = jax.random.split(key)
    units = settings.filters * 9  # 3 x 3 places are left, after a stride of two and without a border
    return {
        "filters": jax.random.normal(filters, (settings.filters, 1, 3, 3)) * jnp.sqrt(2 / 9),
        "output": jax.random.normal(output, (units, 10)) / jnp.sqrt(units),
    }


def loss(params, batch):
    images, digits = batch
    maps = jax.lax.conv_general_dilated(images, params["filters"], window_strides=(2, 2), padding="VALID")
    outputs = jnp.tanh(maps).reshape(images.shape[0], -1) @ params["output"]
    return jnp.mean((outputs - digits) ** 2)


def update(params, gradient, hyper):
    rates = {"filters": hyper["lr_filters"], "output": hyper["lr_output"]}
    return {name: params[name] - rates[name] * gradient[name] for name in params}
