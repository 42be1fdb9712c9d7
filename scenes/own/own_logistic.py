"""Logistic regression at the edge of its stability, which is known: 2 over the largest eigenvalue of the Hessian."""

# A run starts beside the minimum, pushed along the steepest direction of the Hessian. There every step multiplies its
# distance by 1 - lr * eigenvalue, so that it comes back exactly where lr < 2 / eigenvalue. tests/test_own_scenes.py
# computes that line in NumPy and compares.

import jax
import jax.numpy as jnp
import numpy as np

hyperparameters = {
    "lr": {"label": "learning rate", "default": 1.0, "range": [1e-1, 1e3]},
    "l2": {"label": "weight of the squares", "default": 1e-2, "range": [1e-3, 1e1]},
}
settings = {"examples": {"default": 40, "range": [2, 10000]}}
steps = 200


def data(seed, settings):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((settings.examples, 2)) * [1.0, 3.0]
    side = np.where(x @ [1.0, -0.5] + rng.standard_normal(settings.examples) > 0, 1.0, -1.0)
    return x * side[:, None]  # the loss asks only for the product of a side, 1 or -1, and the inputs


def loss(params, batch, hyper):
    return jnp.mean(jax.nn.softplus(-(batch @ params))) + 0.5 * hyper["l2"] * jnp.sum(params**2)


def init(key, hyper, seed, settings):
    x = jnp.asarray(data(seed, settings))
    slope, curvature = jax.grad(loss), jax.hessian(loss)

    def newton(_, w):
        (a, b), (_, c) = curvature(w, x, hyper)
        return w - jnp.array([[c, -b], [-b, a]]) @ slope(w, x, hyper) / (a * c - b * b)

    minimum = jax.lax.fori_loop(0, 20, newton, jnp.zeros(2))  # the function is convex; twenty steps are plenty
    (a, b), (_, c) = curvature(minimum, x, hyper)
    eigenvalue = (a + c) / 2 + jnp.sqrt((a - c) ** 2 / 4 + b * b)
    steepest = jnp.array([b, eigenvalue - a])
    return minimum + 1e-4 * steepest / jnp.sqrt(jnp.sum(steepest**2))


def update(params, gradient, hyper):
    return params - hyper["lr"] * gradient
