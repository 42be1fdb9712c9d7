"""The engine on the fused kernel: losses come from `render.fused`, and are judged as those of every other engine."""

from __future__ import annotations

import hashlib
import threading
from fractions import Fraction

import jax
import numpy as np
from jaxtyping import Array, Float64, Int

from render.fused import shape
from render.fused.runs import Runs, Training
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.samples import Field, Points
from render.storage import numerics as lastbits
from render.train.datasets import DATASETS
from render.train.engine import Carry, Engine, devices
from render.train.systems import mlp

# Points of one launch. Fewer leave multiprocessors without work at its end. More take seconds on a card with few
# float64 units, and a card that also drives a screen may end a launch that takes many. Not measured.
_CAPACITY = 4096

# Where on both axes `first_steps` trains.
_PLACES = [Fraction(2 * i + 1, 32) for i in range(16)]


class FusedEngine(Engine):
    """Trains with the fused kernel. It has the interface of `Engine`, and numerics of its own.

    One block of threads is one run, so there are no lanes that wait for each other: a run that escapes makes room for
    the next. On a processor it is slow, and meant for tests.
    """

    def __init__(self, problem: Problem, *, escape_radius: float | None = None) -> None:
        """escape_radius: replaces the system's. Raises ValueError for a problem that the kernel does not train."""
        if (reason := shape.refusal(problem)) is not None:
            raise ValueError(f"the fused kernel cannot be used: {reason}")
        super().__init__(problem, escape_radius=escape_radius)
        settings = problem.settings_as(MlpSettings)
        draws = DATASETS[settings.data](problem)
        self._shape = shape.of(problem, len(draws.targets))
        self._training = Training(
            draws.weights[0], draws.weights[1][:, 0], draws.inputs, draws.targets, draws.batches,
            gain=mlp.ACTIVATIONS[settings.activation][1], radius=self._escape_radius, steps=problem.steps,
        )  # fmt: skip
        self._runs: dict[str, Runs] = {}
        self._making = threading.Lock()
        self._start = jax.jit(self._begin_block, static_argnums=1)
        self._judge_steps = jax.jit(self._judged_steps, donate_argnums=0)

    def capacity(self, device: jax.Device | None = None) -> int:
        """Return the largest number of points for one call of `run`."""
        return min(_CAPACITY, super().capacity(device))

    def lanes(self, device: jax.Device | None = None) -> int:
        """Return 1: a run waits for no other."""
        return 1

    def numerics(self, device: jax.Device | None = None) -> dict[str, str | int]:
        """Return everything besides the problem that a tile's bits depend on."""
        return lastbits.fused(super().numerics(device))

    def run(
        self, x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"], device: jax.Device | None = None
    ) -> Field:
        """Train at the points (x[i], y[i]) and return a field [point]; see `Engine.run`."""
        device, _, padded = self._padded(Points(x, y), device)
        points, capacity = x.size, self.capacity(device)
        losses = self._trained(x, y, device, capacity)
        carry = self._start(tuple(jax.device_put(v, device) for v in padded.columns), capacity)
        t, shorter = 0, self._no_values(points)
        for end in sorted({*self.problem.prefixes, self.problem.steps}):
            carry = self._judge_steps(carry, losses, t, end)
            self._add_value(shorter, carry, end)
            t = end
        return self._finish(carry, points, shorter)

    def losses(
        self, x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"]
    ) -> Float64[np.ndarray, "point step"]:
        """Return the loss before every step of runs at the points (x[i], y[i]); nan after a run's escape step."""
        first = devices()[0]
        pieces = [slice(i, i + _CAPACITY) for i in range(0, x.size, _CAPACITY)]
        return np.concatenate([np.asarray(self._trained(x[p], y[p], first, x[p].size)) for p in pieces])

    def first_steps(self, device: jax.Device | None = None, steps: int = 32) -> str:
        """Return a digest of the losses of some runs over the whole plane, in their first so many steps."""
        problem, device = self.problem, device or devices()[0]
        x, y = (np.array([float(axis.value_from_unit(p)) for p in _PLACES]) for axis in (problem.x, problem.y))
        losses = np.asarray(self._trained(x, np.roll(y, 1), device, x.size))
        return hashlib.sha256(losses[:, :steps].tobytes()).hexdigest()[:12]

    def _trained(self, x: np.ndarray, y: np.ndarray, device: jax.Device, rows: int) -> jax.Array:
        """Return the losses [rows, step] on the device of runs at the points; nan after an escape, and beyond them."""
        hyper = {self.problem.x.name: x, self.problem.y.name: y} | dict(self.problem.fixed)
        rates = [hyper.get(name, hyper.get("lr")) for name in ("lr_input", "lr_output")]
        columns = [*rates, hyper.get("offset", 0.0), hyper.get("init_mean", 0.0)]
        table = np.stack([np.broadcast_to(np.asarray(column, np.float64), x.shape) for column in columns], axis=1)
        losses = self._runs_on(device).losses(table, rows)
        if device.platform == "cpu":
            losses_on_device: jax.Array = jax.device_put(losses.numpy(), device)
        else:
            losses_on_device = jax.dlpack.from_dlpack(losses)
        return losses_on_device

    def _runs_on(self, device: jax.Device) -> Runs:
        name = "cpu" if device.platform == "cpu" else f"cuda:{device.local_hardware_id}"
        with self._making:
            if name not in self._runs:
                self._runs[name] = Runs(self._shape, self._training, name)
            return self._runs[name]

    def _judged_steps(
        self, carry: Carry, losses: Float64[Array, "lane step"], t0: Int[Array, ""], t1: Int[Array, ""]
    ) -> Carry:
        def step(t: jax.Array, now: Carry) -> Carry:
            loss = jax.lax.dynamic_index_in_dim(losses, t, axis=1, keepdims=False)
            return self._judged(now, loss, t)

        judged: Carry = jax.lax.fori_loop(t0, t1, step, carry)
        return judged
