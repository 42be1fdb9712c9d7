"""The full history of a run: its loss at every step, and the tangent of its state by the two hyperparameters.

This serves the study of single points. Films do not need it, and the engine stores no history.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from render.geometry.axes import Axis
from render.problem import Problem
from render.train import directions, engine, systems


class Trace(NamedTuple):
    """The history of runs.

    losses: float64 [step, point], the loss before each step, including inf and nan.
    growth: float64 [step, point], |dW/du| / |W| after each step; inf or nan from where a run has left float64. W: the
    system's whole state, Euclidean norm. u: the two axes' positions (log10 of the value on a log10 axis), so the unit
    is one over a decade; both directions are taken together, as the root of the sum of their squares. Exact derivatives
    of the training steps, by jax.jvp: the tangent of Wolf et al. 1985, Physica D 16, in its plainest form.
    """

    losses: np.ndarray
    growth: np.ndarray

    @property
    def parting(self) -> np.ndarray:
        """The largest growth at any step, float64 [point].

        1e8 means that runs 1e-8 decades apart end far from each other: there is structure down to about that depth.
        """
        largest: np.ndarray = np.fmax.reduce(self.growth, axis=0)
        return largest


def run(
    problem: Problem,
    x: Float64[np.ndarray, "point"],
    y: Float64[np.ndarray, "point"],
    states: tuple[np.ndarray, ...] | None = None,
) -> Trace:
    """Train at the points (x[i], y[i]), one block of lanes after the other, recording every step.

    x, y: float64 [point], hyperparameter values. states: the leaves [steps + 1, 1, ...] of the states of one run in
    higher precision, for its only point, where float64 is not enough.
    """
    lanes = 1 if states is not None else engine.Engine(problem).lanes()
    size = -(-x.size // lanes) * lanes
    padded = [np.concatenate([v, np.full(size - v.size, v[0])]) for v in (x, y)]
    blocks = (slice(start, start + lanes) for start in range(0, size, lanes))
    traced = [_compiled(problem)(*(jnp.asarray(v[block]) for v in padded), states) for block in blocks]
    losses, growth = (np.concatenate(parts, axis=1)[:, : x.size] for parts in zip(*traced, strict=True))
    return Trace(losses, growth)


@functools.lru_cache(maxsize=8)
def _compiled(problem: Problem) -> Callable[..., tuple[jax.Array, jax.Array]]:
    system = systems.make(problem)

    def trace(x: jax.Array, y: jax.Array, states: tuple[jax.Array, ...] | None) -> tuple[jax.Array, jax.Array]:
        hyper = {problem.x.name: x, problem.y.name: y}
        hyper |= {name: jnp.full(x.shape, value) for name, value in problem.fixed}

        def along(axis: Axis) -> systems.Hyper:
            rate = math.log(10) * hyper[axis.name] if axis.scale == "log10" else jnp.ones(x.shape)
            return {name: rate if name == axis.name else jnp.zeros(x.shape) for name in hyper}

        # Lanes are independent, so that one tangent per axis serves them all.
        both = along(problem.x), along(problem.y)
        started, *tangents = [jax.jvp(system.start, (hyper,), (direction,)) for direction in both]
        known = None
        if states is not None:
            known = jax.tree.unflatten(jax.tree.structure(started[0]), list(states))

        def step(carry: tuple[Any, Any], t: jax.Array) -> tuple[tuple[Any, Any], tuple[jax.Array, jax.Array]]:
            before = carry[0] if known is None else jax.tree.map(lambda leaf: leaf[t], known)
            moved = []
            for tangent, direction in zip(carry[1], both, strict=True):
                (state, loss), (state_moves, _) = jax.jvp(
                    lambda s, h: system.step(s, h, t), (before, hyper), (tangent, direction)
                )
                moved.append(jax.tree.map(directions.still, before, state, state_moves))
            size = directions.norm(state)
            right, up = (directions.norm(tangent) / size for tangent in moved)
            return (state, tuple(moved)), (loss, jnp.hypot(right, up))

        begun = started[0], (started[1], *(tangent for _, tangent in tangents))
        recorded: tuple[jax.Array, jax.Array] = jax.lax.scan(step, begun, jnp.arange(problem.steps))[1]
        return recorded

    compiled: Callable[..., tuple[jax.Array, jax.Array]] = jax.jit(trace)
    return compiled
