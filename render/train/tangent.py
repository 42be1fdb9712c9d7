"""How fast training runs part: the tangent of the trained state by the two hyperparameters, step by step."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from render.geometry.axes import Axis
from render.problem import Problem
from render.train import systems


def growth(
    problem: Problem,
    x: Float64[np.ndarray, "point"],
    y: Float64[np.ndarray, "point"],
    states: tuple[np.ndarray, ...] | None = None,
) -> Float64[np.ndarray, "step point"]:
    """Return |dW/du| / |W| after each step, float64 [steps, lane]; inf or nan from where a run has left float64.

    x, y: float64 [lane], hyperparameter values. W: the system's whole state, Euclidean norm. u: the two axes' positions
    (log10 of the value on a log10 axis), so the unit is one over a decade; both directions are taken together, as the
    root of the sum of their squares. Exact derivatives of the training steps, by jax.jvp.
    states: the leaves [steps + 1, lane, ...] of the runs' states, where float64 alone would lose their way.
    """
    system = systems.make(problem)
    hyper = {problem.x.name: jnp.asarray(x), problem.y.name: jnp.asarray(y)}
    hyper |= {name: jnp.full(x.shape, value) for name, value in problem.fixed}

    def along(axis: Axis) -> Any:
        rate = math.log(10) * hyper[axis.name] if axis.scale == "log10" else jnp.ones(x.shape)
        return {name: rate if name == axis.name else jnp.zeros(x.shape) for name in hyper}

    def run(direction: systems.Hyper) -> jax.Array:
        started = jax.jvp(system.start, (hyper,), (direction,))
        known = None
        if states is not None:
            known = jax.tree.unflatten(jax.tree.structure(started[0]), [jnp.asarray(leaf) for leaf in states])

        def step(carry: tuple[Any, Any], t: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
            before = carry[0] if known is None else jax.tree.map(lambda leaf: leaf[t], known)
            state, tangent = jax.jvp(lambda s, h: system.step(s, h, t)[0], (before, hyper), (carry[1], direction))
            return (state, tangent), _norm(tangent) / _norm(state)

        grown: jax.Array = jax.lax.scan(step, started, jnp.arange(problem.steps))[1]
        return grown

    compiled = jax.jit(run)
    right, up = (np.asarray(compiled(along(axis))) for axis in (problem.x, problem.y))
    norms: np.ndarray = np.hypot(right, up)
    return norms


def _norm(tree: Any) -> jax.Array:
    """Return the Euclidean norm [lane] of all floating leaves, scaled so that large ones do not overflow on the way."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    flat = jnp.concatenate([jnp.abs(leaf).reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)
    largest = flat.max(axis=1, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1.0)
    return jnp.sqrt(jnp.square(flat / scale).sum(axis=1)) * scale[:, 0]
