"""A run in full: its loss at every step, and how fast neighbouring runs part from it.

For looking at single points. Films need neither, and the engine keeps no history.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from render.problem import Problem
from render.train import engine, systems


class Trace(NamedTuple):
    """losses: float64 [points, steps], the loss before each step; inf and nan as they came.

    parting: float64 [points], the largest relative change of the weights at any step, per decade of the axes' values
    (per length of a linear axis): 1e8 means that runs 1e-8 decades apart end up far from each other, so structure
    should go on to about that depth. The tangent of Wolf et al. 1985, Physica D 16, in its plainest form.
    """

    losses: np.ndarray
    parting: np.ndarray


def run(problem: Problem, x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"]) -> Trace:
    """Train at the points (x[i], y[i]), float64 [points], one block of lanes after the other, recording every step."""
    lanes = engine.Engine(problem).lanes()
    size = -(-x.size // lanes) * lanes
    padded = [np.concatenate([v, np.full(size - v.size, v[0])]) for v in (x, y)]
    blocks = (slice(start, start + lanes) for start in range(0, size, lanes))
    traced = (_compiled(problem)(*(jnp.asarray(v[block]) for v in padded)) for block in blocks)
    losses, parting = zip(*traced, strict=True)
    return Trace(np.concatenate(losses, axis=1).T[: x.size], np.concatenate(parting)[: x.size])


@functools.lru_cache(maxsize=8)
def _compiled(problem: Problem):  # type: ignore[no-untyped-def] # a jitted function
    system = systems.make(problem)

    def begin(x: jax.Array, y: jax.Array) -> tuple[systems.Hyper, systems.State]:
        hyper = {problem.x.name: x, problem.y.name: y}
        hyper |= {name: jnp.full(x.shape, value) for name, value in problem.fixed}
        return hyper, system.start(hyper)

    def trace(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Lanes are independent, so one tangent per axis serves them all.
        towards = [
            jnp.asarray(math.log(10)) * v if axis.scale == "log10" else jnp.full(v.shape, float(axis.span))
            for axis, v in ((problem.x, x), (problem.y, y))
        ]
        zero = jnp.zeros(x.shape)
        directions = ((towards[0], zero), (zero, towards[1]))

        def step(carry, t):  # type: ignore[no-untyped-def]
            hyper, state, tangents, parting = carry

            def advance(h, s):  # type: ignore[no-untyped-def]
                return system.step(s, h, t)

            moved = []
            for hyper_tangent, state_tangent in tangents:
                (state_after, loss), (state_moves, _) = jax.jvp(advance, (hyper, state), (hyper_tangent, state_tangent))
                moved.append((hyper_tangent, state_moves))
                parting = jnp.fmax(parting, _relative(state_moves, state_after))
            return (hyper, state_after, tuple(moved), parting), loss

        hyper, state = begin(x, y)
        tangents = tuple(jax.jvp(begin, (x, y), direction)[1] for direction in directions)
        carry = (hyper, state, tangents, jnp.zeros(x.shape))
        (*_, parting), losses = jax.lax.scan(step, carry, jnp.arange(problem.steps))
        return losses, parting

    return jax.jit(trace)


def _relative(tangent: systems.State, state: systems.State) -> jax.Array:
    """Return the size of a tangent over the size of what it moves, [lane]."""

    def size(tree: systems.State) -> jax.Array:
        leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return jnp.sqrt(sum((jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=1) for leaf in leaves), jnp.zeros(())))

    return size(tangent) / size(state)
