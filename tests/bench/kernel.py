"""The training kernel: its rate for the published conditions, and the floor that the machine itself sets.

The floor is what one step and sample would cost if its products ran as fast as a large product and its tanh as fast
as tanh alone does, both by the same compiler, on all devices at once, in the same run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from render.problem import Problem
from render.train import engine
from tests.helpers import published

# Width 16 and 272 examples: the two large products of a step, the two with the output layer, and one tanh per unit.
WIDTH, EXAMPLES = 16, 272
FLOP = 2 * 2 * WIDTH * WIDTH * EXAMPLES + 2 * 2 * WIDTH * EXAMPLES
TANH = WIDTH * EXAMPLES

_LARGE = 1024
_REPEATS = 20


class Floor(NamedTuple):
    """gflop_per_s: of a large float64 product. gtanh_per_s: of tanh alone. Both of all devices together."""

    gflop_per_s: float
    gtanh_per_s: float

    @property
    def step_us(self) -> float:
        """Microseconds per training step and sample that no program of this compiler could go below."""
        return (FLOP / self.gflop_per_s + TANH / self.gtanh_per_s) / 1e3


def on_all_devices(work: Callable[[jax.Device], object]) -> float:
    """Return the seconds in which every device has done this work once, all at the same time."""
    threads = [threading.Thread(target=work, args=(device,)) for device in engine.devices()]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def floor() -> Floor:
    """Measure the machine's own rates, as they are now."""
    devices = len(engine.devices())
    large = np.random.default_rng(0).normal(size=(_LARGE, _LARGE)) / _LARGE
    hidden = np.random.default_rng(0).normal(size=(16 * WIDTH, EXAMPLES))

    @jax.jit
    def products(a):  # type: ignore[no-untyped-def]
        return jax.lax.fori_loop(0, _REPEATS, lambda _, b: a @ b, a)

    @jax.jit
    def tanhs(h):  # type: ignore[no-untyped-def]
        return jax.lax.fori_loop(0, 100 * _REPEATS, lambda _, b: jnp.tanh(b), h)

    def rate(function, argument, count: float) -> float:  # type: ignore[no-untyped-def]
        def work(device: jax.Device) -> None:
            function(jax.device_put(argument, device)).block_until_ready()

        on_all_devices(work)  # compile
        return devices * count / median(on_all_devices(work) for _ in range(3)) / 1e9

    return Floor(
        rate(products, large, _REPEATS * 2 * _LARGE**3),
        rate(tanhs, hidden, 100 * _REPEATS * hidden.size),
    )


class Steady:
    """A problem trained at one point where nothing escapes: every step of every lane is done."""

    def __init__(self, problem: Problem, rate: float = 0.1, share: float = 0.5) -> None:
        self.steps = problem.steps
        self._trainer = engine.Engine(problem)
        self._points = np.full(int(self._trainer.capacity() * share), rate)
        self()  # compile

    def __call__(self) -> float:
        """Return microseconds per training step and sample, over all devices."""
        time_s = on_all_devices(lambda device: self._trainer.run(self._points, self._points, device))
        return time_s / self._points.size / len(engine.devices()) / self.steps * 1e6


def tanh() -> Problem:
    """Return the published tanh condition: what the other ways are compared on."""
    return published.problem_of(published.CONDITIONS["tanh"])


def conditions() -> dict[str, Steady]:
    """Return the published conditions, each ready to be timed. No run of theirs escapes at a rate of 0.01."""
    return {name: Steady(published.problem_of(condition), 0.01) for name, condition in published.CONDITIONS.items()}


def escape() -> tuple[float, float]:
    """Return which shares of the work and of the time are left when runs that escaped are retired.

    Over the published tanh window, against as many runs that all go on to the end.
    """
    problem = tanh()
    trainer = engine.Engine(problem)
    side = int((trainer.capacity() // 2) ** 0.5)
    x, y = (grid.ravel() for grid in np.meshgrid(*published.CONDITIONS["tanh"].values(side)))
    steady = np.full(x.size, 0.1)
    escape_step = trainer.run(x, y).escape_step
    work = float(np.mean(np.where(escape_step >= 0, escape_step, problem.steps))) / problem.steps

    def time_s(x: np.ndarray, y: np.ndarray) -> float:
        return on_all_devices(lambda device: trainer.run(x, y, device))

    time_s(steady, steady)  # compile
    return work, median(time_s(x, y) / time_s(steady, steady) for _ in range(5))
