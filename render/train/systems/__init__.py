"""Systems: what is iterated. A system is a pair of functions over a batch of lanes, and one row of SYSTEMS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from render.problem import Problem

Hyper = dict[str, jax.Array]  # hyperparameter name -> [lane] float64
State = Any  # a pytree of arrays whose first axis is the lane


class System(NamedTuple):
    """start(hyper) -> state; step(state, hyper, t) -> (state after step t, loss [lane] before it).

    escape_radius: a run whose loss exceeds this many times its first loss has left for good; inf if a run may come
    back from anywhere. Wrong is worse than slow: tests train with and without it.
    """

    start: Callable[[Hyper], State]
    step: Callable[[State, Hyper, jax.Array], tuple[State, jax.Array]]
    escape_radius: float


def make(problem: Problem) -> System:
    """Return the system of a problem."""
    from render.train.systems import mlp

    systems: dict[str, Callable[[Problem], System]] = {"mlp": mlp.make}
    return systems[problem.system](problem)
