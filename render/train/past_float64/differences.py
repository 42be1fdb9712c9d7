"""The step of a system, over differences from one reference run: exact, and without cancellation.

Two runs that start d apart are followed as one run and their difference, so that d may be far below the last digit of
either run. The step is traced to its primitive operations, and each is evaluated on pairs (X, x): the reference's value
and each lane's difference from it. A rule says what the operation does to the difference, in a form that never
subtracts two nearly equal numbers: (X + x)(Y + y) - XY = x (Y + y) + X y. It is to finite differences what `jax.jvp` is
to tangents, and what perturbation is to deep pictures of the Mandelbrot set.

The reference has one lane, so the step is traced twice, for one lane and for all: X has the shape of the one, x that of
the other. Lanes are the first axis, so where axes are merged the lanes are the slowest part: `spread` relies on that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from render.errors import RenderError
from render.train import operations
from render.train.past_float64 import kinks
from render.train.past_float64.rules import RULES, Operation, Pair, is_float, lane_value, spread
from render.train.systems import Hyper, State, System


class Differences:
    """A system's start and step over differences. Raises RenderError for an operation that has no rule."""

    def __init__(self, system: System, name: str) -> None:
        """name: of the system, for messages."""
        self._system, self._name = system, name

    def start(self, ref: Hyper, change: Hyper) -> State:
        """Return the differences of the states before step 0. ref: [1] each. change: [lane] each."""
        [*leaves], tree = self._run(self._system.start, (ref,), (change,))
        return jax.tree.unflatten(tree, [_all_changes(pair, shape) for pair, shape in leaves])

    def step(self, ref: tuple[State, Hyper], change: tuple[State, Hyper], t: jax.Array) -> tuple[State, jax.Array]:
        """Return the differences of the states after step t, and the loss [lane] itself before it."""
        return self._step(ref, change, t, None)

    def watched_step(
        self, ref: tuple[State, Hyper], change: tuple[State, Hyper], t: jax.Array
    ) -> tuple[State, jax.Array, jax.Array]:
        """Return what `step` does, and a bool: whether any lane comes near a kink on the way (see `kinks`)."""
        near: list[jax.Array] = []
        state, loss = self._step(ref, change, t, near)
        return state, loss, jnp.stack(near).any() if near else jnp.zeros((), dtype=bool)

    def _step(
        self, ref: tuple[State, Hyper], change: tuple[State, Hyper], t: jax.Array, near: list[jax.Array] | None
    ) -> tuple[State, jax.Array]:
        [*leaves, (loss, shape)], tree = self._run(self._system.step, (*ref, t), (*change, None), near)
        lane_losses = lane_value(spread(loss.ref, shape), loss.change)
        parts = [_all_changes(pair, shape) for pair, shape in leaves]
        state, loss_lanes = jax.tree.unflatten(tree, [*parts, lane_losses])
        return state, loss_lanes

    def _run(
        self,
        function: Callable[..., Any],
        ref: tuple[Any, ...],
        change: tuple[Any, ...],
        near: list[jax.Array] | None = None,
    ) -> Any:
        """Return the results as (pair, shape with all lanes), and their tree.

        near: where to put, for each operation that has kinks, whether a lane comes near one; None: that is not asked.
        """
        lanes = tuple(r if c is None else c for r, c in zip(ref, change, strict=True))
        one = jax.make_jaxpr(function)(*_shapes(ref))
        of_lanes, shapes = jax.make_jaxpr(function, return_shape=True)(*_shapes(lanes))
        given = [
            [
                Pair(r, None if c is None else a)
                for r, a in zip(jax.tree.leaves(ref_), jax.tree.leaves(all_), strict=True)
            ]
            for ref_, all_, c in zip(ref, lanes, change, strict=True)
        ]
        arguments = [pair for part in given for pair in part]
        results = self._evaluate(one.jaxpr, of_lanes.jaxpr, one.consts, arguments, near)
        leaves, tree = jax.tree.flatten(shapes)
        return list(zip(results, [leaf.shape for leaf in leaves], strict=True)), tree

    def _evaluate(
        self, one: Any, of_lanes: Any, consts: Any, arguments: list[Pair], near: list[jax.Array] | None
    ) -> list[Pair]:
        known: dict[Any, Pair] = {}

        def read(var: Any) -> Pair:
            return Pair(operations.literal(var)) if isinstance(var, core.Literal) else known[var]

        known.update(zip(one.constvars, (Pair(jnp.asarray(c)) for c in consts), strict=True))
        known.update(zip(one.invars, arguments, strict=True))
        if [e.primitive.name for e in one.eqns] != [e.primitive.name for e in of_lanes.eqns]:
            raise RenderError(
                f"System {self._name!r} takes other operations for one lane than for many, so that its runs cannot be "
                'followed by their differences. Use precision "float64".'
            )
        for eqn, eqn_all in zip(one.eqns, of_lanes.eqns, strict=True):
            pairs = [read(var) for var in eqn.invars]
            inner, inner_all = operations.inside(eqn), operations.inside(eqn_all)
            if inner is not None and inner_all is not None:
                results = self._evaluate(inner.jaxpr, inner_all.jaxpr, inner.consts, pairs, near)
            elif all(pair.change is None for pair in pairs):
                results = [Pair(r) for r in operations.bound(eqn, [pair.ref for pair in pairs])]
            else:
                operation = Operation(eqn, eqn_all)
                results = [self._result(operation, pairs)]
                kink = kinks.near(eqn.primitive.name, operation, [*pairs, *results]) if near is not None else None
                if near is not None and kink is not None:
                    near.append(kink)
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(var) for var in one.outvars]

    def _result(self, operation: Operation, pairs: list[Pair]) -> Pair:
        name = operation.one.primitive.name
        rule = RULES.get(name)
        if rule is None:
            raise RenderError(
                f"System {self._name!r} uses the operation {name!r}, which has no rule for differences "
                f'(render.train.past_float64.rules.RULES has {len(RULES)} others). Use precision "float64".'
            )
        ref = operation.ref(pairs)
        return Pair(ref, rule(operation, [*pairs, Pair(ref)]))


def _shapes(tree: Any) -> Any:
    """Return shapes and dtypes alone: an array that came from a Python number would be traced otherwise."""
    return jax.tree.map(lambda a: operations.shaped(jnp.shape(a), jnp.asarray(a).dtype), tree)


def _all_changes(pair: Pair, shape: tuple[int, ...]) -> jax.Array:
    if pair.change is not None:
        return pair.change
    return jnp.zeros(shape, pair.ref.dtype) if is_float(pair.ref) else spread(pair.ref, shape)


def lane_states(ref: State, change: State) -> State:
    """Return the states of the lanes themselves: reference [1, ...] plus differences [lane, ...]."""
    return jax.tree.map(lambda r, c: lane_value(r, c), ref, change)
