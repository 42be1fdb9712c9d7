"""The engine past float64: lanes are followed by their differences from a reference run until they have left it.

The same batches, blocks, phases, escape and compaction as the plain engine (train.engine). In every phase the lanes
that are still close to the reference take the step over differences (train.differences), the others the plain step.
At the end of a phase those whose difference exceeds 1 % of the reference's state are promoted: rounding is small
against their difference from then on, and they go on as plain runs from reference + difference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from render.problem import Problem
from render.samples import Field
from render.storage.references import Reference
from render.train import systems
from render.train.engine import Carry, Engine, phase_ends
from render.train.past_float64.differences import Differences, whole

# Raised by hand when a change alters results.
DIFFERENCES_VERSION = 1

# Relative size of the difference from which on a lane goes on by itself. Rounding reference + difference costs
# 1e-16 / 1e-2 of the difference, and a difference is exact at any size: a lane that grows past it within a phase is
# none the worse for waiting.
PROMOTION = 0.01


class DeepCarry(NamedTuple):
    """A batch of lanes of which some are followed by differences.

    runs: as in the plain engine, but that `state` holds differences for lanes that are not promoted.
    change: of the hyperparameters from the reference's, by name, [lane] float64, each rounded once.
    promoted: [lane] bool. promotion_step: [lane] int32, -1 if never.
    """

    runs: Carry
    change: systems.Hyper
    promoted: jax.Array
    promotion_step: jax.Array


class Followed(NamedTuple):
    """A reference on the device. states: [steps kept + 1, 1, ...]. hyper: by name, [1]."""

    states: Any
    hyper: systems.Hyper


class Results(NamedTuple):
    """What a batch gave: the field, and the step [point] at which each lane left the reference; -1 if it never did."""

    field: Field
    promotion_step: np.ndarray


class DeepEngine(Engine):
    """The compiled training of one problem by differences from one reference."""

    def __init__(self, problem: Problem, reference: Reference) -> None:
        """reference: of this problem. Raises RenderError if an operation of the system has no rule."""
        super().__init__(problem)
        self.reference = reference
        self._differences = Differences(self._system, problem.system)
        shapes = jax.eval_shape(self._system.start, {name: jnp.zeros(1) for name in self._reference_hyper()})
        tree = jax.tree.structure(shapes)
        # Given to what is compiled, not written into it: another reference of the problem compiles nothing anew.
        states = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in reference.states])
        self._ref = Followed(states, {name: jnp.full(1, value) for name, value in self._reference_hyper().items()})
        self._begin_deep = jax.jit(self._begun)
        self._follow = jax.jit(self._follow_blocks, static_argnums=5, donate_argnums=0)
        self._go_on = jax.jit(self._plain_blocks, static_argnums=4, donate_argnums=0)
        self._promote = jax.jit(self._promoted, donate_argnums=0)
        self._order = jax.jit(_ordered, donate_argnums=0)

    def numerics(self, device: jax.Device | None = None) -> dict[str, str | int]:
        """Return everything besides the problem that a tile's bits depend on: the reference is part of it."""
        own: dict[str, str | int] = {"differences": DIFFERENCES_VERSION, "reference": self.reference.key}
        return super().numerics(device) | own

    def train(self, columns: tuple[np.ndarray, ...], device: jax.Device | None = None) -> Field:
        """Train at the points of a batch's columns: x, y and their differences from the reference's, or plainly."""
        if len(columns) == 2:
            return super().train(columns, device)
        x, y, dx, dy = columns
        return self.follow(x, y, dx, dy, device).field

    def follow(
        self, x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray, device: jax.Device | None = None
    ) -> Results:
        """Train at the points (x[i], y[i]).

        x, y: float64 [points], hyperparameter values. dx, dy: float64 [points], the same less the reference's: exact
        differences, rounded once. They carry what the values cannot hold.
        """
        device, lanes, padded = self._padded((x, y, dx, dy), device)
        points = x.size
        ref = jax.device_put(self._ref, device)
        carry = self._begin_deep(tuple(jax.device_put(v, device) for v in padded), ref.hyper)
        followed, plain, t = points, 0, 0
        for end in phase_ends(self.problem.steps):
            if end > self.reference.steps and followed:
                carry, followed, plain = self._sorted_out(carry, ref, t, points, everything=True)
            if followed:
                carry = self._order(carry, points, False)
                carry = self._follow(carry, ref, -(-followed // lanes), t, end, lanes)
            if plain:
                carry = self._order(carry, points, True)
                carry = self._go_on(carry, -(-plain // lanes), t, end, lanes)
            t = end
            last = end == self.problem.steps
            carry, followed, plain = self._sorted_out(carry, ref, t, points, everything=last)
            if followed + plain == 0:
                break
        order = np.argsort(np.asarray(carry.runs.lane))[:points]
        return Results(self._finish(carry.runs, points), np.asarray(carry.promotion_step)[order])

    def _sorted_out(
        self, carry: DeepCarry, ref: Followed, t: int, points: int, *, everything: bool
    ) -> tuple[DeepCarry, int, int]:
        """Promote what has left the reference, or everything, and return how many lanes are of either kind."""
        carry, counts = self._promote(carry, ref.states, t, points, everything)
        followed, plain = (int(count) for count in np.asarray(counts))
        return carry, followed, plain

    def _reference_hyper(self) -> dict[str, float]:
        values = dict(self.problem.fixed)
        return values | {self.problem.x.name: float(self.reference.x), self.problem.y.name: float(self.reference.y)}

    def _begun(self, values: tuple[jax.Array, ...], ref: systems.Hyper) -> DeepCarry:
        x, y, dx, dy = values
        lanes = x.shape[0]
        runs = self._begin_block((x, y), lanes)
        change = {name: jnp.zeros(lanes) for name in runs.hyper}
        change |= {self.problem.x.name: dx, self.problem.y.name: dy}
        state = self._differences.start(ref, change)
        away = jnp.zeros(lanes, dtype=bool)
        return DeepCarry(runs._replace(state=state), change, away, jnp.full(lanes, -1, dtype=jnp.int32))

    def _follow_blocks(
        self, carry: DeepCarry, ref: Followed, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int
    ) -> DeepCarry:
        """Run steps t0..t1 over differences, in the first blocks; promoted lanes among them stay as they are."""

        def step(t: jax.Array, now: DeepCarry) -> DeepCarry:
            before = jax.tree.map(lambda leaf: leaf[t], ref.states)
            changed, loss = self._differences.step((before, ref.hyper), (now.runs.state, now.change), t)
            return _where(now.promoted, now, now._replace(runs=self._judged(now.runs._replace(state=changed), loss, t)))

        return _over_blocks(carry, step, blocks, t0, t1, lanes)

    def _plain_blocks(self, carry: DeepCarry, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int) -> DeepCarry:
        """Run plain steps t0..t1 in the first blocks; lanes among them that are not promoted stay as they are."""

        def step(t: jax.Array, now: DeepCarry) -> DeepCarry:
            return _where(~now.promoted, now, now._replace(runs=self._step(now.runs, t)))

        return _over_blocks(carry, step, blocks, t0, t1, lanes)

    def _promoted(
        self, carry: DeepCarry, states: Any, t: jax.Array, points: jax.Array, everything: jax.Array
    ) -> tuple[DeepCarry, jax.Array]:
        ref = jax.tree.map(lambda leaf: leaf[t], states)
        runs = carry.runs
        leaves = ~carry.promoted & ((_norm(runs.state) > PROMOTION * _norm(ref)) | everything)
        own = whole(ref, runs.state)
        state = jax.tree.map(lambda new, old: jnp.where(_along(leaves, old), new, old), own, runs.state)
        promoted = carry.promoted | leaves
        alive = (runs.escape_step < 0) & (runs.lane < points)
        counts = jnp.stack([(alive & ~promoted).sum(), (alive & promoted).sum()])
        step = jnp.where(leaves & ~everything, t.astype(jnp.int32), carry.promotion_step)
        return DeepCarry(runs._replace(state=state), carry.change, promoted, step), counts


def _over_blocks(carry: DeepCarry, step: Any, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int) -> DeepCarry:
    def block(i: jax.Array, every: DeepCarry) -> DeepCarry:
        part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * lanes, lanes), every)
        part = jax.lax.fori_loop(t0, t1, step, part)
        put: DeepCarry = jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, i * lanes, 0), every, part)
        return put

    advanced: DeepCarry = jax.lax.fori_loop(0, blocks, block, carry)
    return advanced


def _ordered(carry: DeepCarry, points: jax.Array, plain_first: jax.Array) -> DeepCarry:
    """Move the living lanes of one kind to the front, then those of the other, keeping their order."""
    dead = (carry.runs.escape_step >= 0) | (carry.runs.lane >= points)
    rank = jnp.where(carry.promoted == plain_first, 0, 1) + jnp.where(dead, 2, 0)
    order = jnp.argsort(rank, stable=True)
    moved: DeepCarry = jax.tree.map(lambda a: a[order], carry)
    return moved


def _where(stays: jax.Array, before: DeepCarry, after: DeepCarry) -> DeepCarry:
    chosen: DeepCarry = jax.tree.map(lambda b, a: jnp.where(_along(stays, b), b, a), before, after)
    return chosen


def _along(mask: jax.Array, like: jax.Array) -> jax.Array:
    return mask.reshape(-1, *[1] * (like.ndim - 1))


def _norm(state: Any) -> jax.Array:
    """Return the Euclidean norm [lane] of all floating leaves."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    squares = [jnp.square(leaf).reshape(leaf.shape[0], -1).sum(axis=1) for leaf in leaves]
    return jnp.sqrt(sum(squares[1:], squares[0]))
