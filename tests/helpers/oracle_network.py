"""Training of a fully connected network in plain NumPy: forward only, gradients by complex steps.

The derivative of an analytic f is Im f(x + ih) / h, exact to rounding for h = 1e-30 (Squire and Trapp 1998). So no rule
of differentiation is shared with anything, and nothing but the forward pass and the optimisers' formulas can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEP = 1e-30

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "identity": lambda z: z,
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "sin": np.sin,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


def forward(params: list[dict[str, np.ndarray]], x: np.ndarray, o: dict[str, Any]) -> np.ndarray:
    """Return outputs [..., example, output]; params may have any axes in front, as "w" [..., input, output]."""
    act, gain = ACTIVATIONS[o["activation"]], 1 if o["activation"] == "identity" else np.sqrt(2)
    h = x
    for layer, p in enumerate(params):
        z = o["multipliers"][layer] * (h @ p["w"])
        if "b" in p:
            z = z + p["b"][..., None, :]
        if layer == len(params) - 1:
            return z
        if o["norm"] != "none":
            axis = -1 if o["norm"] == "layer" else -2
            z = z - z.mean(axis=axis, keepdims=True)
            z = z / np.sqrt((z**2).mean(axis=axis, keepdims=True) + 1e-5)
        a = act(gain * z)
        h = h + a if o["skip"] and layer else a
    raise AssertionError


def loss(params: list[dict[str, np.ndarray]], x: np.ndarray, y: np.ndarray, o: dict[str, Any]) -> np.ndarray:
    """Return the mean loss [...] over the examples."""
    f = forward(params, x, o)
    if o["loss"] == "mse":
        return ((f - y) ** 2).mean(axis=(-2, -1))
    if y.shape[-1] == 1:
        return np.log(1 + np.exp(-f * y)).mean(axis=(-2, -1))
    return (np.log(np.exp(f).sum(axis=-1)) - (f * y).sum(axis=-1)).mean(axis=-1)


def gradient(
    params: list[dict[str, np.ndarray]], x: np.ndarray, y: np.ndarray, o: dict[str, Any]
) -> list[dict[str, np.ndarray]]:
    """Return the slope of the loss in every number, by one complex step each, all at once."""
    slopes: list[dict[str, np.ndarray]] = []
    for layer, p in enumerate(params):
        slopes.append({})
        for name, w in p.items():
            steps = 1j * STEP * np.eye(w.size).reshape(w.size, *w.shape)
            moved = [dict(q) for q in params]
            moved[layer][name] = w + steps
            slopes[layer][name] = (loss(moved, x, y, o).imag / STEP).reshape(w.shape)
    return slopes


def update(name: str, g: np.ndarray, memory: dict[str, Any], h: dict[str, float], t: int) -> np.ndarray:
    """Return the direction of an optimiser's step, and remember."""
    zero = np.zeros_like(g)
    if name == "sgd":
        return g
    if name in ("momentum", "nesterov"):
        memory["v"] = h["momentum"] * memory.get("v", zero) + g
        return memory["v"] if name == "momentum" else g + h["momentum"] * memory["v"]
    memory["s"] = h["beta2"] * memory.get("s", zero) + (1 - h["beta2"]) * g**2
    if name == "rmsprop":
        return g / (np.sqrt(memory["s"]) + h["epsilon"])
    memory["m"] = h["beta1"] * memory.get("m", zero) + (1 - h["beta1"]) * g
    m, s = memory["m"] / (1 - h["beta1"] ** (t + 1)), memory["s"] / (1 - h["beta2"] ** (t + 1))
    return m / (np.sqrt(s) + h["epsilon"])


def run(
    params: list[dict[str, np.ndarray]],
    x: np.ndarray,
    y: np.ndarray,
    o: dict[str, Any],
    h: dict[str, float],
    batches: list[np.ndarray] | None,
) -> np.ndarray:
    """Train one network and return its loss before every step, of the full set.

    params: "w" [input, output] and maybe "b" [output] of each layer, complete with mean and scale. h: hyperparameters.
    o: activation, norm, skip, loss, optimiser, schedule, steps; multipliers and rate factors of each layer.
    """
    params = [{name: w.copy() for name, w in p.items()} for p in params]
    memory: list[dict[str, dict[str, Any]]] = [{name: {} for name in p} for p in params]
    losses = []
    for t in range(o["steps"]):
        params[0]["w"] = params[0]["w"] + h["offset"]
        losses.append(loss(params, x, y, o))
        share = {"constant": 1, "linear": 1 - t / o["steps"], "cosine": (1 + np.cos(np.pi * t / o["steps"])) / 2}
        now = share[o["schedule"]] * min(1, (t + 1) / max(h["warmup"], 1))
        chosen = slice(None) if batches is None else batches[t][: int(min(h["batch_size"], len(batches[t])))]
        slopes = gradient(params, x[chosen], y[chosen], o)
        for layer, p in enumerate(params):
            kind = "lr_input" if layer == 0 else "lr_output" if layer == len(params) - 1 else "lr_hidden"
            rate = h.get("lr", h.get(kind, 0)) * now * o["rates"][layer]
            for name in p:
                d = update(o["optimiser"], slopes[layer][name], memory[layer][name], h, t)
                p[name] = p[name] - rate * (d + h["weight_decay"] * p[name])
    return np.array(losses)
