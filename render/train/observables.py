"""What a scene may ask of runs besides their values: measured step by step, in running sums, beside the measure.

A row of OBSERVABLES belongs to the row of the same name in `render.problem.catalogue.observables`. Only a problem that
asks for one trains with it: the steps of all others stay what they are, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int

from render.problem import Problem
from render.train import directions
from render.train.systems import Hyper, State, System


class Move(NamedTuple):
    """One step of a block of runs. before, after: states. loss: [lane], before the step. t: the step's number.

    push(direction) -> the direction after the step, see `directions.pushed`.
    """

    before: State
    after: State
    loss: Float64[Array, "lane"]
    t: Int[Array, ""]
    push: Callable[[list[jax.Array]], list[jax.Array]]


class Observable(NamedTuple):
    """The functions of an observable; asked: the number in the scene.

    begin(state) -> the sums before step 0. add(sums, move, asked) -> the sums after a step.
    finish(sums, asked, steps) -> the channel float64 [lane], in NumPy.
    """

    begin: Callable[[State], Any]
    add: Callable[[Any, Move, float], Any]
    finish: Callable[[Any, float, int], np.ndarray]


# ---- the largest Lyapunov exponent


class Stretch(NamedTuple):
    """Sums of the exponent. direction: one array for each floating leaf of the state, together of length 1.

    total: [lane], the sum of the logarithms by which the steps after the transient stretched the direction.
    """

    direction: list[jax.Array]
    total: Float64[Array, "lane"]


# The logarithm of a stretch is at least this: a step at a superstable point turns a direction into exactly zero.
_LEAST_STRETCH = np.finfo(np.float64).tiny


def _begin_stretch(state: State) -> Stretch:
    leaves = directions.floating(state)
    return Stretch([jnp.zeros_like(leaf) for leaf in leaves], jnp.zeros(leaves[0].shape[0]))


def _add_stretch(sums: Stretch, move: Move, transient: float) -> Stretch:
    """Push the direction through a step, add the logarithm of its length, and make it as long as 1 again.

    The first direction is the first step itself. Nearly every direction turns into the one that is stretched most
    (Benettin et al. 1980, Meccanica 15), so the choice decides little; this one needs no random numbers, and a run that
    stays in a symmetric subspace (equal factors, equal units) is followed in it.
    """
    moved = [b - a for a, b in zip(directions.floating(move.before), directions.floating(move.after), strict=True)]
    even = [jnp.ones_like(leaf) for leaf in moved]
    first = _select(directions.norm(moved) > 0, moved, even)
    pushed = _select(jnp.broadcast_to(move.t == 0, sums.total.shape), first, move.push(sums.direction))
    length = directions.norm(pushed)
    # A direction that is lost (exactly zero) stays what it was; otherwise it could never be stretched again.
    direction = _select(length > 0, [_along(leaf, 1 / length) for leaf in pushed], sums.direction)
    stretch = jnp.log(jnp.maximum(length, _LEAST_STRETCH))
    return Stretch(direction, jnp.where(move.t >= transient, sums.total + stretch, sums.total))


def _exponent(sums: Stretch, transient: float, steps: int) -> np.ndarray:
    return np.asarray(sums.total) / (steps - transient)


def _select(condition: jax.Array, this: list[jax.Array], that: list[jax.Array]) -> list[jax.Array]:
    return [jnp.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(this, that, strict=True)]


def _along(leaf: jax.Array, factor: jax.Array) -> jax.Array:
    return leaf * factor.reshape(-1, *[1] * (leaf.ndim - 1))


# ---- steps to a threshold


def _add_first_below(first: jax.Array, move: Move, threshold: float) -> jax.Array:
    return jnp.where((first < 0) & (move.loss < threshold), move.t, first)


# A new observable is a row here, and one in the catalogue.
OBSERVABLES: dict[str, Observable] = {
    "lyapunov": Observable(_begin_stretch, _add_stretch, _exponent),
    "steps_to_loss": Observable(
        lambda state: jnp.full(directions.floating(state)[0].shape[0], -1, dtype=jnp.int32),
        _add_first_below,
        lambda first, threshold, steps: np.where(np.asarray(first) < 0, np.nan, np.asarray(first, dtype=np.float64)),
    ),
}


def begin(problem: Problem, state: State) -> dict[str, Any] | None:
    """Return the sums of what a problem observes, by name, before step 0; None if it observes nothing."""
    return {name: OBSERVABLES[name].begin(state) for name, _ in problem.observe} or None


def step(
    problem: Problem, system: System, state: State, hyper: Hyper, sums: dict[str, Any], t: Int[Array, ""]
) -> tuple[State, Float64[Array, "lane"], dict[str, Any]]:
    """Return the state after step t, the loss before it, and the sums with this step."""
    after, loss = system.step(state, hyper, t)

    def push(direction: list[jax.Array]) -> list[jax.Array]:
        return directions.pushed(lambda before: system.step(before, hyper, t)[0], state, direction)

    move = Move(state, after, loss, t, push)
    return after, loss, {name: OBSERVABLES[name].add(sums[name], move, asked) for name, asked in problem.observe}


def finish(problem: Problem, sums: dict[str, Any] | None, lanes: int) -> dict[str, np.ndarray]:
    """Return each channel that a problem observes, float64 [lane]; nan where a run was not observed (sums is None)."""
    if sums is None:
        return {name: np.full(lanes, np.nan) for name, _ in problem.observe}
    return {name: OBSERVABLES[name].finish(sums[name], asked, problem.steps) for name, asked in problem.observe}
