"""A user's file of a training problem, and a scene beside it, as small as they may be."""

NET = '''"""A small net."""

import jax
import jax.numpy as jnp
import numpy as np

hyperparameters = {
    "lr": {"label": "learning rate", "default": 0.1, "range": ["1e-3", "100"]},
    "decay": {"label": "weight decay", "default": 0.0, "scale": "linear", "range": [0, 1]},
}
settings = {"width": 5}
steps = 12


def data(seed):
    x = np.random.default_rng(seed).standard_normal((9, 3))
    return x, np.sin(x[:, 0] * x[:, 1])


def init(key, settings):
    a, b = jax.random.split(key)
    return {"w": jax.random.normal(a, (3, settings.width)), "v": jax.random.normal(b, (settings.width,))}


def loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["w"]) @ params["v"] - y) ** 2)


def update(params, gradient, hyper):
    return jax.tree.map(lambda p, g: p - hyper["lr"] * (g + hyper["decay"] * p), params, gradient)
'''

SCENE = """
[problem]
system = "./net.py"
[problem.x]
name = "lr"
[problem.y]
name = "decay"
[camera]
octaves_per_s = 1
[[camera.keyframes]]
centre = ["1", "0.5"]
width_decades = 5
[output]
size = [32, 18]
detail = 0.5
rest_detail = 0.5
overlay = false
"""
