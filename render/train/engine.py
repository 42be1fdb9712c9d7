"""The engine trains batches of hyperparameter points and returns fields.

A batch is cut into blocks of a fixed number of lanes, and each block runs a phase of steps as one compiled loop.
Between phases, lanes that escaped are retired, and the remaining lanes are moved together into full blocks. The bits
of a lane do not depend on its place, its neighbours or the phases. They do depend on the number of lanes in a block,
so that number is fixed for each kind of device and is part of the numerics (tests check both).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int

from render.problem import Problem
from render.problem.catalogue import LANES
from render.samples import CHANNELS, Field, Points, Status, value_after
from render.storage import numerics as lastbits
from render.train import check, measures, observables, prefixes, reversed_sums, systems


class BlockShape(NamedTuple):
    """lanes: the fixed number of lanes in a block. blocks: the largest number of blocks in one batch."""

    lanes: int
    blocks: int


# CPU: 64 blocks are one tile, a few seconds of work. GPU: enough lanes to fill the chip with one launch (not measured).
BLOCK_SHAPES = {"cpu": BlockShape(LANES, 64), "gpu": BlockShape(4096, 4)}


# The memory that a step of a block may take, when every device runs one.
_BLOCK_BYTES = {"cpu": 2**29, "gpu": 2**34}


class Carry(NamedTuple):
    """The arrays that a batch carries from phase to phase; first axis: lane."""

    lane: jax.Array  # original index in the batch, int32
    hyper: systems.Hyper
    state: systems.State
    sums: Any  # the sums of the measure
    loss: jax.Array  # last recorded loss
    escape_step: jax.Array  # int32, -1 while alive
    finite: jax.Array  # bool: the loss at the escape step was finite
    kept: prefixes.Kept | None  # losses that the values of shorter runs need; None for a problem without prefixes
    observed: Any  # sums of what the problem observes besides, by name; None if it observes nothing


def devices() -> list[jax.Device]:
    """Return the devices to train on: every accelerator, else every core."""
    local: list[jax.Device] = jax.local_devices()
    return local


def _shape(device: jax.Device, problem: Problem, system: systems.System) -> BlockShape:
    """Return the shape of a batch: the fastest one, or the largest that memory allows."""
    kind = "cpu" if device.platform == "cpu" else "gpu"
    lanes, blocks = BLOCK_SHAPES[kind]
    if kind == "cpu" and problem.row.lanes is not None:
        return BlockShape(problem.row.lanes, min(blocks, 4096 // problem.row.lanes))
    fitting = _BLOCK_BYTES[kind] // max(system.bytes_per_lane, 1)
    # The number is a power of two, so that blocks still fill tiles.
    return BlockShape(min(lanes, 1 << max(fitting.bit_length() - 1, 0)), blocks)


def phase_ends(steps: int) -> list[int]:
    """Return the steps at which escaped lanes are retired: close together early, when most escape."""
    ends = [t for t in (4, 8, 16, 32) if t < steps]
    return ends + list(range(48, steps, 16)) + [steps]


class Engine:
    """The compiled training of one problem. It is thread-safe, and meant for one call at a time per device."""

    def __init__(self, problem: Problem, *, escape_radius: float | None = None, backwards: bool = False) -> None:
        """escape_radius: replaces the system's. backwards: take every sum in the opposite order (`reversed_sums`)."""
        self.problem = problem
        self._system = reversed_sums.backwards(systems.make(problem)) if backwards else systems.make(problem)
        self._measure = measures.MEASURES[problem.measure]
        self._escape_radius = self._system.escape_radius if escape_radius is None else escape_radius
        self._begin = jax.jit(self._begin_block, static_argnums=1)
        self._advance = jax.jit(self._advance_blocks, static_argnums=4, donate_argnums=0)
        self._compact = jax.jit(_compact_lanes, donate_argnums=0)
        self._judge = jax.jit(self._judged)
        self._shorter = jax.jit(self._sums_of_shorter)

    def capacity(self, device: jax.Device | None = None) -> int:
        """Return the largest number of points for one call of `run`."""
        shape = _shape(device or devices()[0], self.problem, self._system)
        return shape.lanes * shape.blocks

    def lanes(self, device: jax.Device | None = None) -> int:
        """Return the number of lanes of a block. Fewer points take as long as a full block."""
        return _shape(device or devices()[0], self.problem, self._system).lanes

    def numerics(self, device: jax.Device | None = None) -> dict[str, str | int]:
        """Return everything besides the problem that a tile's bits depend on."""
        device = device or devices()[0]
        return lastbits.of(
            device.platform, device.device_kind, self.lanes(device), blas=lastbits.asks_blas(self.problem)
        )

    def run(
        self, x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"], device: jax.Device | None = None
    ) -> Field:
        """Train at the points (x[i], y[i]) and return a field [point].

        x, y: float64 [points], hyperparameter values on the problem's two axes; 1 <= points <= capacity.
        """
        device, lanes, padded = self._padded(Points(x, y), device)
        points, capacity = x.size, self.capacity(device)
        carry = self._begin(tuple(jax.device_put(v, device) for v in padded.columns), capacity)
        alive, t, shorter = points, 0, self._no_values(points)
        for end in sorted({*phase_ends(self.problem.steps), *self.problem.prefixes}):
            if alive:
                carry = self._advance(carry, -(-alive // lanes), t, end, lanes)
                carry, count = self._compact(carry, points)
                alive, t = int(count), end
            if alive == 0 and not self.problem.prefixes:
                break
            self._add_value(shorter, carry, end)
        return self._finish(carry, points, shorter)

    def judge(self, x: float, y: float, run: Iterable[tuple[list[np.ndarray], float]]) -> Field:
        """Return the field [1] of one run at (x, y) that is computed elsewhere, as if it had been trained here.

        run: yields the leaves of the state [1, ...] and the loss before each step, and after the last step the state
        and nan. It is not iterated further once the run has escaped.
        """
        # What is observed is measured from step to step here; of a run computed elsewhere it is not known.
        carry, shorter = self._begin_block((jnp.full(1, x), jnp.full(1, y)), 1), self._no_values(1)
        carry = carry._replace(observed=None)
        tree = jax.tree.structure(carry.state)
        for t, (leaves, loss) in enumerate(run):
            carry = carry._replace(state=jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in leaves]))
            if t < self.problem.steps:
                carry = self._judge(carry, jnp.full(1, loss), t)
                self._add_value(shorter, carry, t + 1)
            if carry.escape_step[0] >= 0:
                for end in range(t + 2, self.problem.steps):
                    self._add_value(shorter, carry, end)
                break
        return self._finish(carry, 1, shorter)

    def losses(
        self, x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"]
    ) -> Float64[np.ndarray, "point step"]:
        """Return the loss before every step of runs at the points (x[i], y[i]); nan after a run's escape step.

        They are the losses of the runs that `run` trains, bit for bit: the blocks and the steps are the same.
        """
        device, lanes, _ = self._padded(Points(x[:1], y[:1]), None)
        losses = np.empty((x.size, self.problem.steps))
        traced = jax.jit(self._traced_block)
        for first in range(0, x.size, lanes):
            piece = slice(first, min(first + lanes, x.size))
            padded = (np.resize(v[piece], lanes) for v in (x, y))
            carry = self._begin(tuple(jax.device_put(v, device) for v in padded), lanes)
            losses[piece] = np.asarray(traced(carry))[: piece.stop - first]
        return losses

    def _traced_block(self, carry: Carry) -> Float64[Array, "lane step"]:
        def step(t: jax.Array, now: tuple[Carry, jax.Array]) -> tuple[Carry, jax.Array]:
            before, losses = now
            after = self._step(before, t)
            return after, losses.at[:, t].set(jnp.where(before.escape_step < 0, after.loss, jnp.nan))

        steps = self.problem.steps
        traced: tuple[Carry, jax.Array] = jax.lax.fori_loop(
            0, steps, step, (carry, jnp.full((carry.loss.shape[0], steps), jnp.nan))
        )
        return traced[1]

    def first_steps(self, device: jax.Device | None = None, steps: int = 32) -> str:
        """Return a digest of the carry of a block of runs over the whole plane after so many steps, at most.

        It shows whether two machines train to the same bits; a preloaded mathematics library, for example, may change
        them. It uses the same kernels as every batch.
        """
        carry, lanes = self._block_over_the_plane(device)
        carry = self._advance(carry, 1, 0, min(steps, self.problem.steps), lanes)
        leaves = (np.asarray(leaf)[:lanes] for leaf in jax.tree.leaves(carry))
        return hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()[:12]

    def step_time_s(self, device: jax.Device | None = None, steps: int = 4) -> float:
        """Return the seconds that a step of a full block takes on a device, about, without what compiling takes."""
        steps = min(steps, self.problem.steps)
        self._time_s(0, device)  # compiles
        # The fastest of some rounds, since a machine may stall; beside a round of a second a stall is small.
        rounds_s = [self._time_s(steps, device)]
        while len(rounds_s) < 5 and sum(rounds_s) < 1.0:
            rounds_s.append(self._time_s(steps, device))
        return max(min(rounds_s) - self._time_s(0, device), 0.0) / steps

    def _time_s(self, steps: int, device: jax.Device | None) -> float:
        carry, lanes = self._block_over_the_plane(device)
        started = time.perf_counter()
        self._advance(carry, 1, 0, steps, lanes).loss.block_until_ready()
        return time.perf_counter() - started

    def _block_over_the_plane(self, device: jax.Device | None) -> tuple[Carry, int]:
        """Return what `first_steps` begins with: a block of runs over the whole plane, and its number of lanes."""
        problem, device = self.problem, device or devices()[0]
        capacity, lanes = self.capacity(device), self.lanes(device)
        places = [Fraction(2 * i + 1, 2 * lanes) for i in range(lanes)]
        x = np.array([float(problem.x.value_from_unit(place)) for place in places])
        y = np.array([float(problem.y.value_from_unit(place)) for place in places[::2] + places[1::2]])
        padded = [jax.device_put(np.resize(v, capacity), device) for v in (x, y)]
        carry: Carry = self._begin(tuple(padded), capacity)
        carry.loss.block_until_ready()
        return carry, lanes

    def train(self, points: Points, device: jax.Device | None = None) -> Field:
        """Train at the points of a batch, which must be plain."""
        if not points.is_plain:
            raise TypeError("points with differences need the engine of their reference run")
        return self.run(points.x, points.y, device)

    def _padded(self, at: Points, device: jax.Device | None) -> tuple[jax.Device, int, Points]:
        """Check a batch; return its device, the lanes of a block, and the points padded to the capacity.

        Padding repeats the first point. Blocks that contain only padding are not run.
        """
        check()
        device = device or devices()[0]
        points, capacity = len(at), self.capacity(device)
        if any(column.dtype != np.float64 for column in at.columns):
            raise TypeError(f"hyperparameters must be float64, not {' and '.join(str(c.dtype) for c in at.columns)}")
        if not 1 <= points <= capacity:
            raise ValueError(f"a batch holds 1 to {capacity} points, not {points}")
        padded = Points(*(np.concatenate([v, np.full(capacity - points, v[0])]) for v in at.columns))
        return device, self.lanes(device), padded

    def _begin_block(self, xy: tuple[jax.Array, jax.Array], lanes: int) -> Carry:
        problem = self.problem
        hyper = {problem.x.name: xy[0], problem.y.name: xy[1]}
        hyper |= {name: jnp.full(lanes, value) for name, value in problem.fixed}
        state = self._system.start(hyper)
        return Carry(
            lane=jnp.arange(lanes, dtype=jnp.int32),
            hyper=hyper,
            state=state,
            sums=self._measure.begin(lanes),
            loss=jnp.zeros(lanes),
            escape_step=jnp.full(lanes, -1, dtype=jnp.int32),
            finite=jnp.ones(lanes, dtype=bool),
            kept=prefixes.begin(self._measure, lanes, problem.steps) if problem.prefixes else None,
            observed=observables.begin(problem, state),
        )

    def _advance_blocks(self, carry: Carry, blocks: jax.Array, t0: jax.Array, t1: jax.Array, lanes: int) -> Carry:
        """Run steps t0..t1 of the first `blocks` blocks, one block after the other."""

        def block(i: jax.Array, all_blocks: Carry) -> Carry:
            part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, i * lanes, lanes), all_blocks)
            part = jax.lax.fori_loop(t0, t1, lambda t, c: self._step(c, t), part)
            updated: Carry = jax.tree.map(
                lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, i * lanes, 0), all_blocks, part
            )
            return updated

        advanced: Carry = jax.lax.fori_loop(0, blocks, block, carry)
        return advanced

    def _step(self, carry: Carry, t: Int[Array, ""]) -> Carry:
        if carry.observed is None:
            state, loss = self._system.step(carry.state, carry.hyper, t)
            return self._judged(carry._replace(state=state), loss, t)
        moved = observables.step(self.problem, self._system, carry.state, carry.hyper, carry.observed, t)
        state, loss, observed = moved
        return self._judged(carry._replace(state=state, observed=observed), loss, t)

    def _judged(self, carry: Carry, loss: Float64[Array, "lane"], t: Int[Array, ""]) -> Carry:
        """Update each lane with the loss before step t, and record whether the lane escapes."""
        reference = self._measure.reference(carry.sums, loss, t)
        inside = loss <= self._escape_radius * reference  # False for nan, and for inf beyond a finite radius
        was_alive = carry.escape_step < 0
        alive = was_alive & inside & jnp.isfinite(loss)
        leaves = was_alive & ~alive
        return carry._replace(
            sums=self._measure.add(carry.sums, loss, alive, t, self.problem.steps),
            loss=jnp.where(was_alive, loss, carry.loss),
            escape_step=jnp.where(leaves, jnp.int32(t), carry.escape_step),
            finite=jnp.where(leaves, jnp.isfinite(loss), carry.finite),
            kept=None if carry.kept is None else prefixes.keep(carry.kept, loss, t),
        )

    # ---- values of shorter runs, stored beside those of the full runs: see prefixes -------------------------------

    def _no_values(self, points: int) -> dict[int, np.ndarray]:
        """Return an unfilled array [point] for the values after each prefix."""
        return {end: np.full(points, np.nan) for end in self.problem.prefixes}

    def _add_value(self, shorter: dict[int, np.ndarray], carry: Carry, end: int) -> None:
        """Fill in the values of runs of `end` steps, if that is a prefix.

        carry: the carry after `end` steps; lanes that escaped may have a later state, or that of their last step.
        """
        if end not in shorter:
            return
        lane, sums, escape_step = jax.tree.map(np.asarray, self._shorter(carry, end))
        inside = lane < shorter[end].size  # not padding
        sums, escape_step = jax.tree.map(lambda a: a[inside], (sums, escape_step))
        shorter[end][lane[inside]], _ = self._measure.finish(sums, escape_step, end)

    def _sums_of_shorter(self, carry: Carry, end: Int[Array, ""]) -> tuple[jax.Array, Any, jax.Array]:
        """Return lane, sums and escape step [lane] of runs of `end` steps."""
        assert carry.kept is not None
        escape_step = jnp.where(carry.escape_step < end, carry.escape_step, -1)
        return carry.lane, prefixes.sums_of(self._measure, carry.sums, carry.kept, escape_step, end), escape_step

    def _finish(self, carry: Carry, points: int, shorter: dict[int, np.ndarray]) -> Field:
        lane = np.asarray(carry.lane)
        back = np.argsort(lane)[:points]
        more = self._system.readout(carry.state, carry.hyper) if self.problem.row.channels else {}
        sums, loss, escape_step, finite, more = jax.tree.map(
            lambda a: np.asarray(a)[back], (carry.sums, carry.loss, carry.escape_step, carry.finite, more)
        )
        value, converged = self._measure.finish(sums, escape_step, self.problem.steps)
        gone = escape_step >= 0
        status = np.where(converged, Status.CONVERGED, Status.DIVERGED)
        status = np.where(gone, np.where(finite, Status.ESCAPED, Status.NON_FINITE), status)
        final_loss = np.where(gone, np.inf, loss)
        status = status.astype(CHANNELS["status"])
        further = {name: np.where(gone, np.nan, more[name]) for name in self.problem.row.channels}
        observed = observables.finish(self.problem, jax.tree.map(lambda a: a[back], carry.observed), points)
        further |= {name: np.where(gone, np.nan, values) for name, values in observed.items()}
        further |= {value_after(end): values for end, values in shorter.items()}
        return Field(value, final_loss, escape_step, status, further)


def _compact_lanes(carry: Carry, points: Int[Array, ""]) -> tuple[Carry, Int[Array, ""]]:
    """Move the lanes that have not escaped to the front, in order; also return their number. Padding is left behind."""
    alive = (carry.escape_step < 0) & (carry.lane < points)
    order = jnp.argsort(~alive, stable=True)
    moved: Any = jax.tree.map(lambda a: a[order], carry)
    return moved, alive.sum()
