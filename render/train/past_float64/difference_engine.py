"""The engine past float64: lanes are followed by their differences from a reference run until they have left it.

The same batches, blocks, phases, escape and compaction as the plain engine (train.engine). In every phase the lanes
that are still close to the reference take the step over differences (train.differences), the others the plain step.
At the end of a phase those whose difference exceeds 1 % of the reference's state are promoted: rounding is small
against their difference from then on, and they go on as plain runs from reference + difference.

What lanes do before they come near that is known beforehand: a ring (past_float64.rings) says where each is after a
number of steps, and the lane sleeps until then.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from render.errors import RenderError
from render.problem import Problem
from render.samples import Field, Points
from render.storage import numerics
from render.storage import rings as storage
from render.storage.references import Reference
from render.storage.rings import Ring
from render.train import measures, systems
from render.train.engine import Carry, Engine, phase_ends
from render.train.past_float64 import rings
from render.train.past_float64.differences import Differences, lane_states

# Relative size of the difference from which on a lane goes on by itself. Rounding reference + difference costs
# 1e-16 / 1e-2 of the difference, and a difference is exact at any size: a lane that grows past it within a phase is
# none the worse for waiting.
PROMOTION = 0.01


class DeepCarry(NamedTuple):
    """A batch of lanes of which some are followed by differences.

    runs: as in the plain engine, but that `state` holds differences for lanes that are not promoted.
    change: of the hyperparameters from the reference's, by name, [lane] float64, each rounded once.
    promoted: [lane] bool. promotion_step: [lane] int32, -1 if never.
    start: [lane] int32, the step before which a lane is not trained.
    """

    runs: Carry
    change: systems.Hyper
    promoted: jax.Array
    promotion_step: jax.Array
    start: jax.Array


class Followed(NamedTuple):
    """A reference on the device. states: [steps kept + 1, 1, ...]. hyper: by name, [1]."""

    states: Any
    hyper: systems.Hyper


class Results(NamedTuple):
    """The result of a batch: the field, and the step [point] at which each lane left the reference, or -1."""

    field: Field
    promotion_step: np.ndarray


class DeepEngine(Engine):
    """The compiled training of one problem by differences from one reference."""

    def __init__(self, problem: Problem, reference: Reference, *, rings: bool = True, backwards: bool = False) -> None:
        """reference: of this problem. Raises RenderError if an operation of the system has no rule.

        rings: whether lanes start in rings. A ring costs as much as 128 lanes up to where it ends, once, and saves as
        much for every lane: for a few lanes, doing without is quicker. Signs are the same, values to about 1e-6. A
        problem with prefixes has none: what a lane slept through has no losses.
        backwards: take every sum in the opposite order, of differences too: other rounding, and other numerics.
        """
        if problem.observe:
            raise RenderError(
                f"{' and '.join(dict(problem.observe))} cannot be observed of runs that are followed by differences; "
                "leave problem.observe out."
            )
        super().__init__(problem, backwards=backwards)
        self.reference = reference
        self._with_rings = rings and not problem.prefixes
        self._rings: dict[tuple[int, str], Ring] = {}
        self._making = threading.Lock()
        self._differences = Differences(self._system, problem.system)
        shapes = jax.eval_shape(self._system.start, {name: jnp.zeros(1) for name in self._reference_hyper()})
        tree = jax.tree.structure(shapes)
        # Given to what is compiled, not written into it: another reference of the problem compiles nothing again.
        states = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in reference.states])
        self._ref = Followed(states, {name: jnp.full(1, value) for name, value in self._reference_hyper().items()})
        self._begin_deep = jax.jit(self._begun)
        self._follow = jax.jit(self._follow_blocks, static_argnums=5, donate_argnums=0)
        self._go_on = jax.jit(self._plain_blocks, static_argnums=4, donate_argnums=0)
        self._promote = jax.jit(self._promoted, donate_argnums=0)
        self._order = jax.jit(_ordered, donate_argnums=0)
        self._probe = jax.jit(self._probe_blocks, static_argnums=5, donate_argnums=0)
        self._wake = jax.jit(self._woken, donate_argnums=0)

    def numerics(self, device: jax.Device | None = None) -> dict[str, str | int]:
        """Return everything besides the problem that a tile's bits depend on: the reference is part of it."""
        added: dict[str, str | int] = {"differences": numerics.DIFFERENCES_VERSION, "reference": self.reference.key}
        return super().numerics(device) | added | ({} if self._with_rings else {"rings": "none"})

    def train(self, points: Points, device: jax.Device | None = None) -> Field:
        """Train at points: by their differences from the reference, or plainly where they have none."""
        return super().train(points, device) if points.is_plain else self.follow(points, device).field

    def follow(self, at: Points, device: jax.Device | None = None) -> Results:
        """Train at points with differences from the reference, and return also when each run left it."""
        device, lanes, padded = self._padded(at, device)
        points = len(at)
        ref = jax.device_put(self._ref, device)
        numbers, own_rings = self._rings_of(*padded.differences, device)
        starts = np.array([own_rings[number].start for number in numbers], dtype=np.int32)
        carry = self._begin_deep(tuple(jax.device_put(v, device) for v in padded.columns), ref.hyper, starts)
        t, shorter = 0, self._no_values(points)
        followed, plain, asleep = int((starts[:points] == 0).sum()), 0, int((starts[:points] > 0).sum())
        for end in phase_ends(self.problem.steps):
            if end > self.reference.steps and followed:
                carry, (followed, plain, asleep) = self._sorted_out(carry, ref, t, points, everything=True)
            # Lanes leave the reference between phases alone, so that a stop within one changes no bits.
            for stop in (*(count for count in shorter if t < count < end), end):
                if followed:
                    carry = self._order(carry, points, False, t)
                    carry = self._follow(carry, ref, -(-followed // lanes), t, stop, lanes)
                if plain:
                    carry = self._order(carry, points, True, t)
                    carry = self._go_on(carry, -(-plain // lanes), t, stop, lanes)
                self._add_value(shorter, carry.runs, stop)
                t = stop
            waking = sorted(number for number, ring in own_rings.items() if ring.start == t)
            if followed + plain == 0 and not waking:
                continue  # all are asleep
            for number in waking:
                leaves = jax.device_put(tuple(own_rings[number].leaves), device)
                carry = self._wake(carry, leaves, numbers == number, math.ldexp(1.0, -int(number)))
            last = end == self.problem.steps
            carry, (followed, plain, asleep) = self._sorted_out(carry, ref, t, points, everything=last)
            if followed + plain + asleep == 0:
                break
        for count in (count for count in shorter if count > t):  # all had escaped before
            self._add_value(shorter, carry.runs, count)
        order = np.argsort(np.asarray(carry.runs.lane))[:points]
        return Results(self._finish(carry.runs, points, shorter), np.asarray(carry.promotion_step)[order])

    def _sorted_out(
        self, carry: DeepCarry, ref: Followed, t: int, points: int, *, everything: bool
    ) -> tuple[DeepCarry, tuple[int, int, int]]:
        """Promote what has left the reference, or everything.

        Returns also how many lanes are followed, how many are plain runs, and how many are still asleep.
        """
        carry, counts = self._promote(carry, ref.states, t, points, everything)
        followed, plain, asleep = (int(count) for count in np.asarray(counts))
        return carry, (followed, plain, asleep)

    def learn(self, known: Mapping[int, Ring], device: jax.Device) -> None:
        """Use rings that were made elsewhere, by engines with the same numerics."""
        made_by = repr(sorted(self.numerics(device).items()))
        with self._making:
            for number, ring in known.items():
                self._rings.setdefault((number, made_by), ring)

    def known(self) -> dict[int, Ring]:
        """Return the rings that are known by now, by number."""
        with self._making:
            return {number: ring for (number, _), ring in self._rings.items()}

    @property
    def _scale(self) -> tuple[float, float]:
        """The powers of two that offsets from the reference are relative to."""
        return rings.scale_of(float(self.reference.x)), rings.scale_of(float(self.reference.y))

    def _rings_of(self, dx: np.ndarray, dy: np.ndarray, device: jax.Device) -> tuple[np.ndarray, dict[int, Ring]]:
        """Return the ring int [lane] of each lane, and the rings of these by number."""
        numbers = rings.number_of(dx, dy, self._scale) if self._with_rings else np.full(dx.shape, rings.NONE)
        return numbers, {int(number): self._ring(int(number), device) for number in np.unique(numbers)}

    def _ring(self, number: int, device: jax.Device) -> Ring:
        """Return a ring: one that was made before, here or for the store, or a new one, kept from now on."""
        if number == rings.NONE:
            return Ring(0, ())
        made_by = self.numerics(device)
        key = number, repr(sorted(made_by.items()))
        with self._making:  # the other devices wait: they would make the same
            ring = self._rings.get(key) or storage.load(self.reference, number, made_by)
            if ring is None:
                ring = self._made_ring(number, device)
                storage.save(ring, self.reference, number, made_by)
            self._rings[key] = ring
            return ring

    def _made_ring(self, number: int, device: jax.Device) -> Ring:
        """Follow the probes of a ring up to the first phase after which they are no longer known from their places."""
        scale = tuple(axis * math.ldexp(1.0, number) for axis in self._scale)
        dx, dy = (np.ascontiguousarray(rings.PLACES[:, i] * scale[i]) for i in range(2))
        x, y = float(self.reference.x) + dx, float(self.reference.y) + dy
        lanes = self.lanes(device)
        width = lanes * -(-rings.PROBES // lanes)
        padded = [jax.device_put(np.concatenate([v, np.full(width - v.size, v[0])]), device) for v in (x, y, dx, dy)]
        ref = jax.device_put(self._ref, device)
        carry = self._begin_deep(tuple(padded), ref.hyper, np.zeros(width, dtype=np.int32))
        best, t = Ring(0, ()), 0
        last = min(self.reference.steps, measures.before_tail(self.problem.steps))
        for end in (end for end in phase_ends(self.problem.steps) if end <= last):
            carry, near_kink = self._probe(carry, ref, width // lanes, t, end, lanes)
            kept = jax.tree.map(lambda leaf: np.asarray(leaf)[: rings.PROBES], (carry.runs.state, carry.runs.sums))
            if bool(near_kink) or (np.asarray(carry.runs.escape_step) >= 0).any():
                break
            fitted = [rings.fit(leaf, sums=False) for leaf in jax.tree.leaves(kept[0])]
            fitted += [rings.fit(leaf, sums=True) for leaf in jax.tree.leaves(kept[1])]
            good = tuple(leaf for leaf in fitted if leaf is not None)
            if len(good) < len(fitted):
                break
            best, t = Ring(end, good), end
            at_end = jax.tree.map(lambda leaf, end=end: leaf[end], ref.states)
            if (np.asarray(_norm(carry.runs.state)) > PROMOTION * np.asarray(_norm(at_end))).any():
                break
        return best

    def _reference_hyper(self) -> dict[str, float]:
        values = dict(self.problem.fixed)
        return values | {self.problem.x.name: float(self.reference.x), self.problem.y.name: float(self.reference.y)}

    def _begun(self, values: tuple[jax.Array, ...], ref: systems.Hyper, start: jax.Array) -> DeepCarry:
        x, y, dx, dy = values
        lanes = x.shape[0]
        runs = self._begin_block((x, y), lanes)
        change = {name: jnp.zeros(lanes) for name in runs.hyper}
        change |= {self.problem.x.name: dx, self.problem.y.name: dy}
        state = self._differences.start(ref, change)
        away = jnp.zeros(lanes, dtype=bool)
        return DeepCarry(runs._replace(state=state), change, away, jnp.full(lanes, -1, dtype=jnp.int32), start)

    def _follow_blocks(
        self, carry: DeepCarry, ref: Followed, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int
    ) -> DeepCarry:
        """Run steps t0..t1 over differences, in the first blocks.

        Promoted lanes among them, and those that are still asleep, stay as they are.
        """

        def step(t: jax.Array, now: DeepCarry) -> DeepCarry:
            before = jax.tree.map(lambda leaf: leaf[t], ref.states)
            changed, loss = self._differences.step((before, ref.hyper), (now.runs.state, now.change), t)
            moved = now._replace(runs=self._judged(now.runs._replace(state=changed), loss, t))
            return _where(now.promoted | (now.start > t), now, moved)

        return _over_blocks(carry, step, blocks, t0, t1, lanes)

    def _probe_blocks(
        self, carry: DeepCarry, ref: Followed, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int
    ) -> tuple[DeepCarry, jax.Array]:
        """Run steps t0..t1 over differences in all blocks, and say whether any lane came near a kink on the way."""

        def step(t: jax.Array, now: tuple[DeepCarry, jax.Array]) -> tuple[DeepCarry, jax.Array]:
            part, near = now
            before = jax.tree.map(lambda leaf: leaf[t], ref.states)
            changed, loss, kink = self._differences.watched_step((before, ref.hyper), (part.runs.state, part.change), t)
            above = self._measure.above_cap(part.runs.sums, loss, t)
            low, high = above.min(), above.max()
            capped = (2 * low - high < 0) & (2 * high - low > 0)  # with as much again on both sides, as with kinks
            runs = self._judged(part.runs._replace(state=changed), loss, t)
            return part._replace(runs=runs), near | kink | capped

        def block(i: jax.Array, every: tuple[DeepCarry, jax.Array]) -> tuple[DeepCarry, jax.Array]:
            all_blocks, near = every
            part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * lanes, lanes), all_blocks)
            part, near = jax.lax.fori_loop(t0, t1, step, (part, near))
            put = jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, i * lanes, 0), all_blocks, part)
            return put, near

        advanced: tuple[DeepCarry, jax.Array] = jax.lax.fori_loop(0, blocks, block, (carry, jnp.zeros((), dtype=bool)))
        return advanced

    def _woken(
        self, carry: DeepCarry, leaves: tuple[jax.Array, ...], inside: jax.Array, inverse: jax.Array
    ) -> DeepCarry:
        """Put the lanes of a ring where it says that they are at its step.

        leaves: of the ring. inside: [point] bool, which points are in it, by their place in the batch.
        inverse: 2^-number.
        """
        # Divided by powers of two, one after the other: their product may be less than float64 has.
        s_x, s_y = (
            carry.change[axis.name] * inverse / scale
            for axis, scale in zip((self.problem.x, self.problem.y), self._scale, strict=True)
        )
        mine = inside[carry.runs.lane]
        old, tree = jax.tree.flatten((carry.runs.state, carry.runs.sums))
        new = [rings.evaluate(leaf, s_x, s_y) for leaf in leaves]
        chosen = [jnp.where(_along(mine, before), after, before) for before, after in zip(old, new, strict=True)]
        state, sums = jax.tree.unflatten(tree, chosen)
        return carry._replace(runs=carry.runs._replace(state=state, sums=sums))

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
        awake = carry.start <= t
        leaves = awake & ~carry.promoted & ((_norm(runs.state) > PROMOTION * _norm(ref)) | everything)
        values = lane_states(ref, runs.state)
        state = jax.tree.map(lambda new, old: jnp.where(_along(leaves, old), new, old), values, runs.state)
        promoted = carry.promoted | leaves
        alive = (runs.escape_step < 0) & (runs.lane < points)
        kinds = alive & awake & ~promoted, alive & promoted, alive & ~awake
        counts = jnp.stack([kind.sum() for kind in kinds])
        step = jnp.where(leaves & ~everything, t.astype(jnp.int32), carry.promotion_step)
        moved = carry._replace(runs=runs._replace(state=state), promoted=promoted, promotion_step=step)
        return moved, counts


def _over_blocks(carry: DeepCarry, step: Any, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int) -> DeepCarry:
    def block(i: jax.Array, every: DeepCarry) -> DeepCarry:
        part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * lanes, lanes), every)
        part = jax.lax.fori_loop(t0, t1, step, part)
        put: DeepCarry = jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, i * lanes, 0), every, part)
        return put

    advanced: DeepCarry = jax.lax.fori_loop(0, blocks, block, carry)
    return advanced


def _ordered(carry: DeepCarry, points: jax.Array, plain_first: jax.Array, t: jax.Array) -> DeepCarry:
    """Move the lanes of one kind that live and are awake at step t to the front, then those of the other kind.

    Both keep their order.
    """
    idle = (carry.runs.escape_step >= 0) | (carry.runs.lane >= points) | (carry.start > t)
    rank = jnp.where(carry.promoted == plain_first, 0, 1) + jnp.where(idle, 2, 0)
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
