"""Fully connected networks of any depth, with the choices that the published one leaves out.

A layer is z = m W h (+ b), m a fixed multiplier of the scaling; hidden units are f(g norm(z)), with the gain g inside
(sqrt(2), and 1 for identity) as in the published network, plus the layer's input where `skip` is set and sizes agree.
Width 16, mean-field scaling and plain gradient descent on gaussian data is the published network, with other draws.

Layout as in mlp: the example axis is last; lanes share the inputs, so the largest product is one flat matrix product.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from render.problem import Problem
from render.problem.catalogue.settings import NetworkSettings
from render.train import examples, optimisers
from render.train.systems import Hyper, Readout, System

# Weights of a layer: "w" [lane, output, input] and, with biases, "b" [lane, output].
Weights = tuple[dict[str, jax.Array], ...]

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "identity": lambda z: z,
    "gelu": jax.nn.gelu,  # its tanh form
    "sin": jnp.sin,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
}

# Bounded or linear units fed by plain gradients never came back from here (see mlp). Normalised ones forget the size of
# their weights, units with a flat half may die, and adaptive steps do not grow: there only overflow counts.
_ESCAPE_RADIUS = 1e30
_STEADY = {"tanh", "identity", "sigmoid", "sin"}

_NORM_EPSILON = 1e-5  # of the variance, the usual value


class State(NamedTuple):
    """The state of a lane: the weights, and the optimiser's state for each array of weights."""

    weights: Any
    memory: Any


class Scale(NamedTuple):
    """A layer's scale: multiplier of its product, standard deviation of its initial weights, factor of its rate."""

    multiplier: float
    std: float
    rate: float = 1.0


def scales(scaling: str, sizes: list[int], *, adaptive: bool) -> list[Scale]:
    """Return the scale of each layer for layer sizes [input, hidden ..., output].

    mean-field: as published. standard: He or LeCun, without a multiplier. mup: the maximal update parametrisation (Yang
    and Hu 2020, arXiv:2011.14522, table 1), whose best rate does not move with the width.
    """
    last = len(sizes) - 2
    scales_of_layers = []
    for layer, fan_in in enumerate(sizes[:-1]):
        first, final = layer == 0, layer == last
        width = sizes[1] if first and not final else fan_in
        if scaling == "mean-field":
            scales_of_layers.append(Scale(1 / (math.sqrt(fan_in) * (math.sqrt(width) if final else 1.0)), 1.0))
        elif scaling == "standard":
            scales_of_layers.append(Scale(1.0, 1 / math.sqrt(fan_in)))
        else:
            outer = math.sqrt(width) if first and not final else 1 / math.sqrt(width) if final else 1.0
            factor = 1.0 if not adaptive else 1 / math.sqrt(width) if first or final else 1 / width
            scales_of_layers.append(Scale(outer, 1 / math.sqrt(fan_in * (width if first and not final else 1)), factor))
    return scales_of_layers


def make(problem: Problem) -> System:
    """Return the network's training as a system."""
    settings = problem.settings_as(NetworkSettings)
    data = examples.make(problem)
    sizes = [data.inputs.shape[1], *[settings.width] * (settings.depth - 1), data.targets.shape[1]]
    optimiser = optimisers.OPTIMISERS[settings.optimiser]
    scale = scales(settings.scaling, sizes, adaptive=optimiser.adaptive)
    initial = _initial(problem.seed, sizes)
    inputs_t, targets_t = jnp.asarray(data.inputs.T), jnp.asarray(data.targets.T)
    batch, batches = settings.batch, _batches(problem, len(data.inputs))
    own_order = batches is not None and settings.order == "own"
    last = len(sizes) - 2

    def losses(weights: Weights, x_t: jax.Array, y_t: jax.Array, example_weights: jax.Array | None) -> jax.Array:
        """Return the loss [lane] on x_t ([input, example], or with a lane in front), with weights [lane, example]."""
        output = forward(settings, weights, x_t, scale)
        each = examples.LOSSES[settings.loss](output, y_t)
        return each.mean(axis=1) if example_weights is None else (each * example_weights).sum(axis=1)

    def summed(weights: Weights, *given: Any) -> tuple[jax.Array, jax.Array]:
        loss = losses(weights, *given)
        return loss.sum(), loss  # lanes are independent: the gradient of the sum is each lane's own gradient

    def start(hyper: Hyper) -> State:
        lanes = hyper[problem.x.name].shape[0]
        keys = _keys(problem, hyper) if settings.init == "own" else None
        weights = []
        for layer, (unit, s) in enumerate(zip(initial, scale, strict=True)):
            drawn = jnp.broadcast_to(jnp.asarray(unit), (lanes, *unit.shape))
            if keys is not None:
                drawn = jax.vmap(lambda k, n=layer, u=unit: jax.random.normal(jax.random.fold_in(k, n), u.shape))(keys)
            w = drawn * (s.std * hyper["init_std"][:, None, None])
            if layer == 0:
                w = w + hyper["init_mean"][:, None, None]
            weights.append({"w": w} | ({"b": jnp.zeros(w.shape[:2])} if settings.bias else {}))
        memory = jax.tree.map(lambda w: optimisers.begin(settings.optimiser, w), tuple(weights))
        return State(tuple(weights), memory)

    def step(state: State, hyper: Hyper, t: jax.Array) -> tuple[State, jax.Array]:
        # The published "parameter initialization" condition: added inside every step and kept.
        first = state.weights[0] | {"w": state.weights[0]["w"] + hyper["offset"][:, None, None]}
        weights = (first, *state.weights[1:])
        if batch is None or batches is None:
            gradient, loss = jax.grad(summed, has_aux=True)(weights, inputs_t, targets_t, None)
        else:
            chosen = _own_batch(_keys(problem, hyper), t, batch, len(data.inputs)) if own_order else batches[t]
            x_t, y_t = inputs_t[:, chosen], targets_t[:, chosen]
            if own_order:  # [input, lane, example] -> [lane, input, example]
                x_t, y_t = jnp.moveaxis(x_t, 1, 0), jnp.moveaxis(y_t, 1, 0)
            example_weights = jnp.clip(
                hyper["batch_size"][:, None] - jnp.arange(batch, dtype=jnp.float64)[None], 0.0, 1.0
            )
            example_weights = example_weights / example_weights.sum(axis=1, keepdims=True)
            gradient, _ = jax.grad(summed, has_aux=True)(weights, x_t, y_t, example_weights)
            loss = losses(weights, inputs_t, targets_t, None)  # the recorded loss is always the full set's
        now = optimisers.rate_factor(settings.schedule, hyper["warmup"], t, problem.steps)
        moved, memory = [], []
        for layer, (w, g, m) in enumerate(zip(weights, gradient, state.memory, strict=True)):
            rate = _rate(hyper, layer, last) * now * scale[layer].rate
            both = {name: optimisers.move(settings.optimiser, w[name], g[name], m[name], rate, hyper, t) for name in w}
            moved.append({name: pair[0] for name, pair in both.items()})
            memory.append({name: pair[1] for name, pair in both.items()})
        return State(tuple(moved), tuple(memory)), loss

    steady = settings.activation in _STEADY and settings.norm == "none" and not optimiser.adaptive
    return System(start, step, _ESCAPE_RADIUS if steady else math.inf, _probe(problem, inputs_t, scale))


def _probe(problem: Problem, inputs_t: jax.Array, scale: list[Scale]) -> Readout:
    """Return what reads out the trained network's answer to one random input, the same for all samples."""
    settings = problem.settings_as(NetworkSettings)
    probe = jnp.asarray(np.random.default_rng([problem.seed, _PROBE]).standard_normal((inputs_t.shape[0], 1)))

    def readout(state: State, hyper: Hyper) -> dict[str, jax.Array]:
        # A lone example has no batch statistics: it is put beside the training set.
        beside = jnp.concatenate([probe, inputs_t], axis=1) if settings.norm == "batch" else probe
        return {"probe": forward(settings, state.weights, beside, scale)[:, 0, 0]}

    return readout


def forward(
    settings: NetworkSettings, weights: Weights, x_t: Float64[Array, "*lane input example"], scale: list[Scale]
) -> Float64[Array, "lane output example"]:
    """Return the outputs [lane, output, example] for inputs [input, example] or [lane, input, example]."""
    h = x_t
    for layer in range(len(weights) - 1):
        h = _layer(settings, weights, h, scale, layer)
    return _product(weights[-1], h, scale[-1])


def first_hidden(
    settings: NetworkSettings, weights: Weights, x_t: Float64[Array, "*lane input example"], scale: list[Scale]
) -> Float64[Array, "lane unit example"]:
    """Return what the first hidden layer gives out, [lane, unit, example]."""
    return _layer(settings, weights, x_t, scale, 0)


def _layer(
    settings: NetworkSettings,
    weights: Weights,
    h: Float64[Array, "*lane input example"],
    scale: list[Scale],
    layer: int,
) -> Float64[Array, "lane unit example"]:
    z = _product(weights[layer], h, scale[layer])
    if settings.norm != "none":
        axis = 1 if settings.norm == "layer" else 2
        z = z - z.mean(axis=axis, keepdims=True)
        z = z / jnp.sqrt((z * z).mean(axis=axis, keepdims=True) + _NORM_EPSILON)
    gain = 1.0 if settings.activation == "identity" else math.sqrt(2.0)
    a: jax.Array = ACTIVATIONS[settings.activation](gain * z)
    return h + a if settings.skip and layer > 0 else a


def _product(
    w: dict[str, jax.Array], h: Float64[Array, "*lane input example"], scale: Scale
) -> Float64[Array, "lane unit example"]:
    """Return m W h (+ b) [lane, output, example]."""
    matrix = w["w"] * scale.multiplier
    if h.ndim == 2:
        lanes, units, fan_in = matrix.shape
        z = (matrix.reshape(lanes * units, fan_in) @ h).reshape(lanes, units, -1)
    else:
        z = jnp.einsum("lij,lje->lie", matrix, h)
    return z + w["b"][:, :, None] if "b" in w else z


# What is drawn with NumPy beside the data: streams of the problem's seed.
_WEIGHTS, _ORDER, _PROBE = 1, 2, 3


def _initial(seed: int, sizes: list[int]) -> list[np.ndarray]:
    """Return N(0, 1) draws [output, input] for each layer, those that all samples share."""
    rng = np.random.default_rng([seed, _WEIGHTS])
    return [rng.standard_normal((out, fan_in)) for fan_in, out in itertools.pairwise(sizes)]


def _batches(problem: Problem, count: int) -> Int32[Array, "step example"] | None:
    """Return the shared minibatches, example indices [steps, batch], drawn with replacement; None for the full set."""
    batch = problem.settings_as(NetworkSettings).batch
    if batch is None:
        return None
    rng = np.random.default_rng([problem.seed, _ORDER])
    return jnp.asarray(rng.integers(0, count, (problem.steps, batch), dtype=np.int32))


def _keys(problem: Problem, hyper: Hyper) -> jax.Array:
    """Return a random key [lane] for each sample, which follows from the bits of its two hyperparameters alone."""
    words = [jax.lax.bitcast_convert_type(hyper[name], jnp.uint32) for name in (problem.x.name, problem.y.name)]

    def key(x: jax.Array, y: jax.Array) -> jax.Array:
        folded = jax.random.key(problem.seed)
        for word in (x[0], x[1], y[0], y[1]):
            folded = jax.random.fold_in(folded, word)
        return folded

    return jax.vmap(key)(*words)


def _own_batch(keys: jax.Array, t: jax.Array, size: int, count: int) -> jax.Array:
    """Return each lane's own example indices [lane, batch] of step t."""

    def draw(key: jax.Array) -> jax.Array:
        # Steps are counted from 2^31 on, apart from the layers that draw initial weights.
        step_key = jax.random.fold_in(key, jnp.uint32(2**31) + t.astype(jnp.uint32))
        return jax.random.randint(step_key, (size,), 0, count)

    return jax.vmap(draw)(keys)


def _rate(hyper: Hyper, layer: int, last: int) -> Float64[Array, "lane"]:
    """Return the learning rate [lane] of a layer."""
    if "lr" in hyper:
        return hyper["lr"]
    return hyper["lr_input" if layer == 0 else "lr_output" if layer == last else "lr_hidden"]
