"""A system with every sum taken backwards: the same training in exact arithmetic, but other rounding in float64.

Where both agree, the order of summation does not matter, and so, most likely, rounding does not matter either. The
step is traced once, and its operations are evaluated one by one (as in JAX's guide to custom interpreters). The
operands of a product or a sum are reversed along the axes of the sum.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from render.problem import Problem
from render.train import operations, systems
from render.train.systems import Hyper, State, System


def backwards(system: System) -> System:
    """Return the system with the sums of its step taken in the opposite order."""

    def step(state: State, hyper: Hyper, t: jax.Array) -> tuple[State, jax.Array]:
        traced, shape = jax.make_jaxpr(system.step, return_shape=True)(state, hyper, t)
        flat = jax.tree.leaves((state, hyper, t))
        results = _evaluate(traced.jaxpr, traced.consts, [jnp.asarray(v) for v in flat])
        pair: tuple[State, jax.Array] = jax.tree.unflatten(jax.tree.structure(shape), results)
        return pair

    return system._replace(step=step)


def sums(problem: Problem) -> int:
    """Return how many sums and products of a problem's step `backwards` reverses; 0 leaves nothing to compare."""
    system = systems.make(problem)
    hyper = {name: jnp.ones(1) for name in operations.hyperparameters(problem)}
    state = jax.eval_shape(system.start, hyper)
    return _count(jax.make_jaxpr(system.step)(state, hyper, jnp.int32(0)).jaxpr)


def _evaluate(jaxpr: Any, consts: Any, arguments: list[Any]) -> list[Any]:
    known: dict[Any, Any] = {}

    def read(var: Any) -> Any:
        return var.val if isinstance(var, core.Literal) else known[var]

    known.update(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))
    for eqn in jaxpr.eqns:
        values = [read(var) for var in eqn.invars]
        inner = operations.inside(eqn)
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, values)
        else:
            results = operations.bound(eqn, _reversed(eqn, values))
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _contracted(eqn: Any) -> list[tuple[int, ...]]:
    """Return the axes of the sum for each operand; an empty list for an operation without a sum.

    Axes of one element count too, so that a step has the same operations for one lane as for many, as differences need.
    """
    if eqn.primitive.name == "dot_general":
        (left, right), _ = eqn.params["dimension_numbers"]
        axes = [tuple(left), tuple(right)]
    elif eqn.primitive.name == "reduce_sum":
        axes = [tuple(eqn.params["axes"])]
    else:
        return []
    return axes


def _reversed(eqn: Any, values: list[Any]) -> list[Any]:
    axes = _contracted(eqn)
    if not axes:
        return values
    # Without the barrier XLA may see that a reversed sum is the same sum, and undo it.
    barrier: Any = jax.lax.optimization_barrier
    return [barrier(jax.lax.rev(jnp.asarray(v), a)) for v, a in zip(values, axes, strict=True)]


def _count(jaxpr: Any) -> int:
    inner = [nested.jaxpr for eqn in jaxpr.eqns if (nested := operations.inside(eqn)) is not None]
    return sum(1 for eqn in jaxpr.eqns if _adds_up(eqn)) + sum(map(_count, inner))


def _adds_up(eqn: Any) -> bool:
    """Return whether an operation sums more than one element."""
    shape = eqn.invars[0].aval.shape if eqn.invars else ()
    return any(shape[axis] > 1 for axis in next(iter(_contracted(eqn)), ()))
