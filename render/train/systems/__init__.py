"""Systems: what is iterated. A system is a pair of functions over a batch of lanes, made by a file of this folder.

What a scene may set of it is its row in render.problem.catalogue, which also names the file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from render.problem import Problem
from render.storage import trust

Hyper = dict[str, jax.Array]  # hyperparameter name -> [lane] float64
State = Any  # a pytree of arrays whose first axis is the lane
Readout = Callable[[State, Hyper], Mapping[str, jax.Array | np.ndarray]]


class System(NamedTuple):
    """start(hyper) -> state; step(state, hyper, t) -> (state after step t, loss [lane] before it).

    escape_radius: a run whose loss exceeds this many times its first loss (or, with the measures that count losses as
    they are, simply this) has left for good; inf if a run may come back from anywhere. Wrong is worse than slow: tests
    train with and without it.
    readout(state after the last step, hyper) -> the further channels of the system's catalogue row, [lane] each. It is
    called once a batch, outside of what is compiled.
    visited(state) -> the numbers whose starts are the hyperparameters `visited` of the catalogue row, [lane] each, in
    their order.
    bytes_per_lane: about what a lane's step takes, where so much that blocks must have fewer lanes than usual
    (then its catalogue row leaves their number open).
    """

    start: Callable[[Hyper], State]
    step: Callable[[State, Hyper, jax.Array], tuple[State, jax.Array]]
    escape_radius: float
    readout: Readout = lambda state, hyper: {}
    bytes_per_lane: int = 0
    visited: Callable[[State], tuple[jax.Array, ...]] = lambda state: ()


def make(problem: Problem) -> System:
    """Return the system of a problem. Raises Untrusted for a user's code that the person has not said to trust."""
    trust.require(problem)
    system: System = importlib.import_module(f"{__name__}.{problem.row.kernel}").make(problem)
    return system
