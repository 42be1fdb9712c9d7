"""One training run in plain NumPy, float64 or, for long double hyperparameters, long double: the published system.

It shares no code with `render.train`. Weights, data and minibatches come in as arrays, so it knows nothing of
random generators either. The system is that of the published code (Sohl-Dickstein/fractal).

Every hyperparameter may be a number, or an array [lanes]: then lanes runs are done side by side. Shapes below are
of one run; arrays of runs have the lanes in front. In long double only what depends on a hyperparameter is more than
float64: the constants, sqrt(2) among them, are the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# (hidden activation of the pre-activation z, its derivative)
ACTIVATIONS = {
    "tanh": (lambda z: np.tanh(np.sqrt(2) * z), lambda z: np.sqrt(2) * (1 - np.tanh(np.sqrt(2) * z) ** 2)),
    "relu": (lambda z: np.sqrt(2) * np.maximum(z, 0), lambda z: np.sqrt(2) * (z > 0)),
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
}


class Run(NamedTuple):
    """The result of a run. value: the measure, < 0 if converged. losses: [steps], each before its step."""

    value: np.ndarray
    final_loss: np.ndarray
    converged: np.ndarray
    losses: np.ndarray


def run(
    weights: list[np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    batches: np.ndarray | None,
    *,
    activation: str,
    steps: int,
    names: tuple[str, str],
    x: float | np.ndarray,
    y: float | np.ndarray,
    fixed: Mapping[str, float] | None = None,
) -> Run:
    """Train one net by gradient descent and measure how.

    weights: one matrix per layer, [n, n] each and [n, 1] last. inputs, targets: [examples, n], [examples, 1].
    batches: [steps, batch] indices of the examples of every gradient, or None for all of them.
    names: what x and y are: two of lr, lr_input, lr_output, offset, init_mean. fixed: values of further ones.
    """
    given = {**(fixed or {}), names[0]: x, names[1]: y}
    hyper = {name: np.asarray(value, np.result_type(value, float))[..., None, None] for name, value in given.items()}
    nothing = np.zeros_like(hyper[names[0]])
    rates = [hyper[name] if name in hyper else hyper["lr"] for name in ("lr_input", "lr_output")]

    weights = [w + nothing for w in weights]  # a copy for every lane
    weights[0] = weights[0] + hyper.get("init_mean", 0.0)  # once
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            weights[0] = weights[0] + hyper.get("offset", 0.0)  # at every step, before loss and gradient, and kept
            losses.append(loss(weights, inputs, targets, activation))  # of the full set, even with minibatches
            chosen = slice(None) if batches is None else batches[step]
            slopes = gradient(weights, inputs[chosen], targets[chosen], activation)
            weights = [w - rates[i % 2] * slope for i, (w, slope) in enumerate(zip(weights, slopes, strict=True))]
    history = np.stack(losses, axis=-1)
    value, converged = measure(history)
    return Run(value, history[..., -1], converged, history)


def forward(
    weights: list[np.ndarray], inputs: np.ndarray, activation: str
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Return what goes into each layer, each layer's pre-activations, and the output [examples, 1]."""
    act, _ = ACTIVATIONS[activation]
    root_n = np.sqrt(inputs.shape[-1])
    h, ins, zs = inputs, [], []
    for w in weights:
        ins.append(h)
        zs.append(h @ w / root_n)
        h = act(zs[-1])
    return ins, zs, zs[-1] / root_n  # the last layer is linear, and divided once more


def loss(weights: list[np.ndarray], inputs: np.ndarray, targets: np.ndarray, activation: str) -> np.ndarray:
    """Return the mean squared error."""
    output = forward(weights, inputs, activation)[-1]
    return np.mean((output - targets) ** 2, axis=(-2, -1))


def gradient(weights: list[np.ndarray], inputs: np.ndarray, targets: np.ndarray, activation: str) -> list[np.ndarray]:
    """Return the gradient of the loss in every weight matrix, by the chain rule."""
    _, slope_of = ACTIVATIONS[activation]
    root_n = np.sqrt(inputs.shape[-1])
    ins, zs, output = forward(weights, inputs, activation)
    in_z = 2 * (output - targets) / targets.size / root_n  # d loss / d z of the last layer
    slopes: list[np.ndarray] = []
    for layer in reversed(range(len(weights))):
        slopes.insert(0, ins[layer].swapaxes(-1, -2) @ in_z / root_n)
        if layer:
            in_z = in_z @ weights[layer].swapaxes(-1, -2) / root_n * slope_of(zs[layer - 1])
    return slopes


def measure(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (value, converged) of losses [..., steps], in the order of operations of the published code."""
    finite = np.where(np.isfinite(losses), losses, 1e6)
    with np.errstate(over="ignore", divide="ignore"):  # a huge loss over a small one; one over a loss of zero
        v = np.minimum(finite / finite[..., :1], 1e6)
        converged = np.mean(v[..., -20:], axis=-1) < 1
        return np.where(converged, -np.sum(v, axis=-1), np.sum(1 / v, axis=-1)), converged
