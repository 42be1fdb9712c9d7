"""Both kernels on an NVIDIA device, in under ten minutes: speed, what it is of the card's own, bits, agreement, a film.

Nothing here was run on a card yet: tests/test_kernels.py runs all of it on a processor, where the figures mean nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from render import scene as scenes
from render.backends.kernels import XLA, Choice
from render.backends.local import LocalBackend
from render.film import training_rate
from render.film.plan import Plan
from render.fused import shape
from render.machine.cards import Card
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.samples import Field
from render.scene import Scene
from render.train import datasets
from render.train.engine import Engine
from render.train.fused_check import compare
from render.train.fused_engine import FusedEngine
from tests.helpers import published

Row = tuple[str, str]


@dataclass(frozen=True)
class Size:
    """How much is measured. points: of a timed run. side: of a window's points. rounds: of which the median is taken.

    copied_bytes: of the array by which the rate of the memory is measured.
    """

    points: int = 4096
    side: int = 32
    rounds: int = 3
    copied_bytes: int = 2**30


def hd_film() -> Scene:
    """Return the film that the estimate is for: ten decades of `tanh` at 1080p."""
    return scenes.with_quality(scenes.load("tanh"), "hd")


def rows(
    card: Card,
    device: jax.Device,
    *,
    size: Size = Size(),
    conditions: dict[str, Problem] | None = None,
    film: Callable[[], Scene] = hd_film,
) -> Iterator[Row]:
    """Yield what is measured on a device. conditions: problems by name; the six published ones if not given.

    The first of them, or `tanh`, is what is timed, at a point where no run escapes.
    """
    conditions = conditions or {
        name: published.problem_of(condition) for name, condition in published.CONDITIONS.items()
    }
    timed = conditions.get("tanh", next(iter(conditions.values())))
    plain, fused = Engine(timed), FusedEngine(timed)
    yield "card", card.words()
    yield from _speed(card, device, size, plain, fused)
    yield "comparison by which it is chosen", compare(plain, fused, device, timed=size.points).words()
    yield "bits of the fused kernel", _stability(fused, device, size.points)
    yield from _agreement(device, size, conditions)
    yield from _film(film())


def _speed(card: Card, device: jax.Device, size: Size, plain: Engine, fused: FusedEngine) -> Iterator[Row]:
    steady = np.full(size.points, 0.1)
    rates = {}
    for name, engine in (("XLA", plain), ("fused", fused)):
        run = functools.partial(engine.run, steady, steady, device)
        times_s = [_time_s(run) for _ in range(size.rounds + 1)]
        rates[name] = size.points / median(times_s[1:])  # the first one compiles
        yield f"{name}, runs a second that do not escape", f"{rates[name]:,.0f}"
    yield "fused against XLA", f"{rates['fused'] / rates['XLA']:.2f} times"
    flop = shape.flop(plain.problem, datasets.example_count(plain.problem.settings_as(MlpSettings)))
    ceiling = card.float64_flop_per_s
    for name, rate in rates.items():
        share = "its ceiling is not known" if ceiling is None else f"{rate * flop / ceiling:.0%} of the card's ceiling"
        yield f"{name}, float64", f"{rate * flop / 1e12:.3g} TFLOP/s by count, {share}"
    memory = _copied_per_s(device, size.copied_bytes)
    steps, block = plain.problem.steps, plain.lanes(device)
    moved = _bytes_a_step(plain, device) / block * steps * rates["XLA"]
    yield "XLA, memory", f"{moved / 1e9:,.0f} GB/s by its own count, {moved / memory:.0%} of what a copy reaches here"
    losses = 8 * steps * rates["fused"]
    yield "fused, memory", f"{losses / 1e9:.3g} GB/s of losses, {losses / memory:.2%} of what a copy reaches here"


def _time_s(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _copied_per_s(device: jax.Device, size_bytes: int) -> float:
    """Return bytes a second that a large sum of two arrays reads and writes."""
    array = jax.device_put(np.ones(size_bytes // 8), device)
    add = jax.jit(lambda a: a + 1.0)
    jax.block_until_ready(add(array))
    return 2 * size_bytes / median(_time_s(lambda: jax.block_until_ready(add(array))) for _ in range(5))


def _bytes_a_step(engine: Engine, device: jax.Device) -> float:
    """Return the bytes that XLA counts as accessed by one step of a block, from what it compiled."""
    lanes = engine.lanes(device)
    points = tuple(jax.device_put(np.full(lanes, 0.1), device) for _ in range(2))
    carry = engine._begin(points, lanes)
    compiled = jax.jit(engine._step).lower(carry, jax.device_put(jnp.int32(0), device)).compile()
    counted = compiled.cost_analysis()
    assert counted is not None
    return float(counted["bytes accessed"])


def _stability(engine: FusedEngine, device: jax.Device, count: int) -> str:
    """Return whether runs have the same bits alone, in other company, and in another order."""
    x, y = 10.0 ** np.random.default_rng(0).uniform(-2, 2, (2, count))
    together = _bits(engine.run(x, y, device))
    order = np.random.default_rng(1).permutation(count)
    third = -(-count // 3)
    parts = [engine.run(x[i : i + third], y[i : i + third], device) for i in range(0, count, third)]
    others = {
        "again": _bits(engine.run(x, y, device)),
        "in another order": _bits(engine.run(x[order], y[order], device))[np.argsort(order)],
        "in three batches": _bits(Field.join(parts)),
    }
    differ = {name: int((bits != together).any(axis=1).sum()) for name, bits in others.items()}
    return ", ".join(f"{name} {number or 'none'} of {count:,} differ" for name, number in differ.items())


def _bits(field: Field) -> np.ndarray:
    """Return all channels of runs as integers [run, channel]."""
    floats = [channel.view(np.int64) for channel in (field.value, field.final_loss)]
    return np.stack([*floats, field.escape_step, field.status], axis=1)


def _agreement(device: jax.Device, size: Size, conditions: dict[str, Problem]) -> Iterator[Row]:
    """Yield how many outcomes of each window are those of XLA on this machine's processor."""
    processor = jax.local_devices(backend="cpu")[0]
    for name, problem in conditions.items():
        if name in published.CONDITIONS:
            x, y = (grid.ravel() for grid in np.meshgrid(*published.CONDITIONS[name].values(size.side)))
        else:
            x, y = 10.0 ** np.random.default_rng(0).uniform(-2, 2, (2, size.side**2))
        plain = Engine(problem)
        pieces = [slice(i, i + plain.capacity(processor)) for i in range(0, x.size, plain.capacity(processor))]
        expected = Field.join([plain.run(x[p], y[p], processor) for p in pieces])
        fields = {"XLA": plain.run(x, y, device), "fused": FusedEngine(problem).run(x, y, device)}
        same = {way: float(np.mean((field.value < 0) == (expected.value < 0))) for way, field in fields.items()}
        yield f"{name}, outcomes as on the processor", ", ".join(f"{way} {share:.1%}" for way, share in same.items())


def _film(scene: Scene) -> Iterator[Row]:
    plan = Plan(scene)
    for name, kernel in (("XLA", XLA), ("fused", Choice(fused=True))):
        rate = training_rate.measure(plan, LocalBackend(scene.problem, kernel=kernel))
        output = scene.output
        yield (
            f"{scene.name}, {output.width_px} x {output.height_px}, {plan.samples:,} runs, {name}",
            f"{rate.time_s(plan.samples) / 3600:.2f} h of training, at {rate.samples_per_s:,.0f} runs a second",
        )
