"""A decoder-only transformer on characters, with a learning rate for attention and one for the rest.

After Torkamandi 2025, "Mapping the Edge of Chaos" (arXiv:2501.04286; code tbahman/MAPPING_THE_EDGE_OF_CHAOS): pre-norm
blocks of causal self-attention without biases and a ReLU feed-forward, learned token embedding, sinusoidal positions, a
last layer norm and an output layer; Adam. The attention rate moves the attention matrices and the layer norm before
them, the other rate everything else. Unlike the released code, all samples see one seeded order of windows, in float64.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int32

from render.problem import Problem
from render.problem.catalogue.settings import TransformerSettings
from render.train import optimisers
from render.train.systems import Hyper, System

Params = dict[str, jax.Array]

# The published runs stop here, and its measure then counts every later loss as one that is not finite.
_ESCAPE_RADIUS = 1e4

_NORM_EPSILON = 1e-6  # of the variance, as the released modules have it

# Parts of the name of a parameter that the attention rate moves.
_ATTENTION = ("norm1", "query", "key", "value", "mix")

# Streams of the problem's seed.
_WEIGHTS, _ORDER = 0, 1


def tokens(problem: Problem) -> tuple[Int32[np.ndarray, "token"], int]:
    """Return the text as int32 token numbers, and how many different ones there are."""
    settings = problem.settings_as(TransformerSettings)
    text = (Path(__file__).parents[1] / "data" / f"{settings.text}.txt").read_text(encoding="utf-8")
    symbols = sorted(set(text))
    return np.array([symbols.index(c) for c in text], np.int32), len(symbols)


def initial(problem: Problem, symbols: int) -> dict[str, np.ndarray]:
    """Return the initial parameters: matrices N(0, 1 / inputs), embeddings N(0, 1 / model), scales 1, offsets 0."""
    settings = problem.settings_as(TransformerSettings)
    rng = np.random.default_rng([problem.seed, _WEIGHTS])
    d, inner = settings.model, settings.feed_forward

    def matrix(fan_in: int, out: int) -> np.ndarray:
        return rng.standard_normal((fan_in, out)) / math.sqrt(fan_in)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.scale": np.ones(d), f"{name}.offset": np.zeros(d)}

    params = {"embed": rng.standard_normal((symbols, d)) / math.sqrt(d)}
    for n in range(settings.layers):
        params |= norm(f"{n}.norm1") | {f"{n}.{part}": matrix(d, d) for part in ("query", "key", "value", "mix")}
        params |= norm(f"{n}.norm2")
        params |= {f"{n}.in": matrix(d, inner), f"{n}.in.bias": np.zeros(inner)}
        params |= {f"{n}.out": matrix(inner, d), f"{n}.out.bias": np.zeros(d)}
    return params | norm("last") | {"logits": matrix(d, symbols), "logits.bias": np.zeros(symbols)}


def positions(length: int, d: int) -> Float64[np.ndarray, "length model"]:
    """Return the sinusoidal positions [length, d] of Vaswani et al. 2017 (arXiv:1706.03762): even sin, odd cos."""
    angle = np.arange(length)[:, None] / 10_000 ** (2 * (np.arange(d) // 2) / d)
    return np.where(np.arange(d) % 2 == 0, np.sin(angle), np.cos(angle))


def windows(problem: Problem, text: Int32[np.ndarray, "token"]) -> Int32[np.ndarray, "step window length"]:
    """Return the windows of every step, tokens [steps, batch, length + 1]: all starts shuffled, again and again."""
    settings = problem.settings_as(TransformerSettings)
    rng = np.random.default_rng([problem.seed, _ORDER])
    starts = np.arange(text.size - settings.length)
    wanted = problem.steps * settings.batch
    order = np.concatenate([rng.permutation(starts) for _ in range(-(-wanted // starts.size))])[:wanted]
    cut: np.ndarray = text[order[:, None] + np.arange(settings.length + 1)]
    return cut.reshape(problem.steps, settings.batch, settings.length + 1)


def make(problem: Problem) -> System:
    """Return training as a system; the loss is the mean cross-entropy of the step's own windows, before its update."""
    settings = problem.settings_as(TransformerSettings)
    text, symbols = tokens(problem)
    batches = jnp.asarray(windows(problem, text))
    begin = {name: jnp.asarray(value) for name, value in initial(problem, symbols).items()}
    place = jnp.asarray(positions(settings.length, settings.model))
    causal = jnp.tril(jnp.ones((settings.length, settings.length), bool))

    def loss_of(params: Params, shown: Int32[Array, "window length"]) -> Float64[Array, ""]:
        """Return the loss of one lane on windows [batch, length + 1]."""
        # A product with one-hot rows: the gradient of a lookup adds in no fixed order on GPUs.
        h = jax.nn.one_hot(shown[:, :-1], symbols, dtype=jnp.float64) @ params["embed"] + place[None]
        for n in range(settings.layers):
            h = h + _attend(params, n, _norm(params, f"{n}.norm1", h), settings.heads, causal)
            inner = jax.nn.relu(_norm(params, f"{n}.norm2", h) @ params[f"{n}.in"] + params[f"{n}.in.bias"][None, None])
            h = h + inner @ params[f"{n}.out"] + params[f"{n}.out.bias"][None, None]
        logits = _norm(params, "last", h) @ params["logits"] + params["logits.bias"][None, None]
        wanted = jax.nn.one_hot(shown[:, 1:], symbols, dtype=jnp.float64)
        return (jax.nn.logsumexp(logits, axis=-1) - (logits * wanted).sum(axis=-1)).mean()

    trained = jax.vmap(jax.value_and_grad(loss_of), in_axes=(0, None))

    def start(hyper: Hyper) -> tuple[Params, dict[str, Any]]:
        lanes = next(iter(hyper.values())).shape[0]
        params = {name: jnp.broadcast_to(value, (lanes, *value.shape)) for name, value in begin.items()}
        return params, {name: optimisers.begin("adam", value) for name, value in params.items()}

    def step(state: Any, hyper: Hyper, t: jax.Array) -> tuple[Any, jax.Array]:
        params, memory = state
        loss, gradient = trained(params, batches[t])
        moved = {
            name: optimisers.move("adam", w, gradient[name], memory[name], _rate(hyper, name), hyper, t)
            for name, w in params.items()
        }
        return ({name: pair[0] for name, pair in moved.items()}, {name: pair[1] for name, pair in moved.items()}), loss

    radius = _ESCAPE_RADIUS if problem.measure == "torkamandi" else math.inf
    return System(start, step, radius, bytes_per_lane=_bytes_per_lane(settings, symbols))


def _bytes_per_lane(settings: TransformerSettings, symbols: int) -> int:
    """Return about what a step keeps of its arrays between forward and backward pass."""
    of_block = 8 * settings.model + 3 * settings.feed_forward + 3 * settings.heads * settings.length
    numbers = settings.batch * settings.length * (settings.layers * of_block + 3 * symbols + 4 * settings.model)
    return 8 * numbers


def _rate(hyper: Hyper, name: str) -> Float64[Array, "lane"]:
    if "lr" in hyper:
        return hyper["lr"]
    return hyper["lr_attention" if any(part in name.split(".") for part in _ATTENTION) else "lr_rest"]


def _norm(params: Params, name: str, h: Float64[Array, "window length model"]) -> Float64[Array, "window length model"]:
    centred = h - h.mean(axis=-1, keepdims=True)
    unit = centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + _NORM_EPSILON)
    return unit * params[f"{name}.scale"][None, None] + params[f"{name}.offset"][None, None]


def _attend(
    params: Params, n: int, h: Float64[Array, "window length model"], heads: int, causal: Bool[Array, "length length"]
) -> Float64[Array, "window length model"]:
    """Return causal self-attention of h [batch, length, model]."""
    batch, length, d = h.shape
    q, k, v = (
        (h @ params[f"{n}.{part}"]).reshape(batch, length, heads, d // heads) for part in ("query", "key", "value")
    )
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(d // heads)
    weights = jax.nn.softmax(jnp.where(causal[None, None], scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(batch, length, d) @ params[f"{n}.mix"]
