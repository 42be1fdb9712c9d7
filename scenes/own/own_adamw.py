"""An equinox network on two half circles: AdamW with warm-up, learning rate against weight decay."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

hyperparameters = {
    "lr": {"label": "learning rate", "default": 1e-2, "range": [1e-3, 1e2]},
    "weight_decay": {"label": "weight decay", "default": 1e-2, "range": [1e-3, 1e2]},
}
settings = {"width": {"default": 8, "range": [1, 1024]}, "depth": {"default": 2, "range": [1, 16]}}
steps = 150
channels = {"accuracy": "share of new examples on the right side"}


def _moons(rng, count):
    upper = np.arange(count) % 2 == 0
    angle = rng.uniform(0, np.pi, count)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle)) - 0.5
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle)) - 0.25
    return np.stack([x, y], axis=1) + 0.15 * rng.standard_normal((count, 2)), np.where(upper, 1.0, -1.0)


def data(seed):
    return _moons(np.random.default_rng(seed), 48)


def init(key, settings):
    return eqx.nn.MLP(2, "scalar", settings.width, settings.depth, activation=jnp.tanh, key=key)


def loss(params, batch):
    points, sides = batch
    return jnp.mean(jax.nn.softplus(-sides * jax.vmap(params)(points)))


def optimiser(hyper, steps):
    warmup = optax.warmup_cosine_decay_schedule(0.0, 1.0, steps // 10, steps)
    return optax.adamw(lambda t: hyper["lr"] * warmup(t), weight_decay=hyper["weight_decay"])


def readout(params):
    points, sides = _moons(np.random.default_rng(1), 200)
    return {"accuracy": jnp.mean(jnp.where(jax.vmap(params)(points) * sides > 0, 1.0, 0.0))}
