"""Where runs are at every step: the orbits of a bifurcation diagram. Nothing of them is stored."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from render.problem import Problem
from render.problem.catalogue.kinds import LIGHT_LANES
from render.train import check, systems


def visits(
    problem: Problem, x: Float64[np.ndarray, "point"], start: float, transient: int
) -> Float64[np.ndarray, "step point"]:
    """Return the number that the y axis is the start of, after every step past the transient.

    x: float64 [point], values of the x axis's hyperparameter. start: of that number in every run. transient: steps that
    are left out, 0 to steps - 1. What leaves float64 is inf or nan from there on. The bits of a run do not depend on
    its neighbours: runs are trained in blocks of one size.
    """
    check()
    size = -(-x.size // LIGHT_LANES) * LIGHT_LANES
    padded = np.concatenate([x, np.full(size - x.size, x[0])])
    trained = _compiled(problem, transient)
    blocks = [
        np.asarray(trained(jnp.asarray(block), jnp.float64(start))) for block in np.split(padded, size // LIGHT_LANES)
    ]
    joined: np.ndarray = np.concatenate(blocks, axis=1)[:, : x.size]
    return joined


@functools.lru_cache(maxsize=8)
def _compiled(problem: Problem, transient: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    system, which = systems.make(problem), problem.row.visited.index(problem.y.name)

    def run(x: jax.Array, start: jax.Array) -> jax.Array:
        hyper = {name: jnp.full(x.shape, value) for name, value in problem.fixed}
        hyper |= {problem.x.name: x, problem.y.name: jnp.broadcast_to(start, x.shape)}

        def step(t: jax.Array, state: systems.State) -> systems.State:
            return system.step(state, hyper, t)[0]

        def seen(state: systems.State, t: jax.Array) -> tuple[systems.State, jax.Array]:
            state = step(t, state)
            return state, system.visited(state)[which]

        settled = jax.lax.fori_loop(0, transient, step, system.start(hyper))
        visited: jax.Array = jax.lax.scan(seen, settled, jnp.arange(transient, problem.steps))[1]
        return visited

    compiled: Callable[[jax.Array, jax.Array], jax.Array] = jax.jit(run)
    return compiled
