"""Products of scalars: against exact fractions and NumPy, and against what is known of such maps without computing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from render.analyse import estimators
from render.geometry.axes import Axis
from render.problem import Problem
from render.problem.catalogue.settings import ProductSettings
from render.samples import Field, Status
from render.train import engine, systems
from render.train.past_float64.differences import Differences

FEIGENBAUM = 4.669201609102990  # Feigenbaum 1978; digits: Briggs 1991
TRIPLING = 55.247  # Derrida, Gervois and Pomeau 1979


def axis(name: str, lo: str, hi: str) -> Axis:
    return Axis(name, "linear", Fraction(lo), Fraction(hi))


def plane(factors: int, starts: int = 2, steps: int = 200, **fixed: float) -> Problem:
    """A plane of two starts."""
    x, y = axis("start_1", "-4", "4"), axis("start_2", "-4", "4")
    return Problem(x, y, "product", factors=factors, starts=starts, steps=steps, fixed=fixed.items())


def balanced(factors: int, steps: int, **fixed: float) -> Problem:
    """A plane of rates and targets, all factors equal."""
    x, y = axis("lr", "0", "3"), axis("target", "1/2", "2")
    return Problem(x, y, "product", factors=factors, starts=1, steps=steps, fixed=fixed.items())


def train(problem: Problem, x: np.ndarray, y: np.ndarray) -> Field:
    trainer = engine.Engine(problem)
    pieces = np.array_split(np.arange(x.size), -(-x.size // trainer.capacity()))
    return Field.join([trainer.run(x.ravel()[piece], y.ravel()[piece]) for piece in pieces])


def lanes(**hyper: float) -> systems.Hyper:
    return {name: jnp.full(1, value) for name, value in hyper.items()}


# ---- the step


def exact_step(x: list[Fraction], lr: Fraction, target: Fraction, l2: Fraction) -> tuple[list[Fraction], Fraction]:
    """The state after a step, and the loss before it, without any rounding."""
    error = prod(x) - target
    slopes = [error * prod(x[:i] + x[i + 1 :]) + l2 * x[i] for i in range(len(x))]
    return [a - lr * g for a, g in zip(x, slopes, strict=True)], error**2 / 2 + l2 / 2 * sum(a * a for a in x)


@pytest.mark.parametrize("factors", range(1, 9))
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_steps_are_those_of_exact_fractions(factors: int, l2: float) -> None:
    values = {f"start_{i + 1}": v for i, v in enumerate([0.5, 1.25, -0.75, 1.125, 0.0, 1.5, 0.875, -1.0][:factors])}
    fixed: dict[str, Any] = {"lr": 0.15, "target": 0.7, "l2": l2}
    system = systems.make(plane(factors, factors, **fixed))
    hyper = lanes(**fixed, **values)
    state, exact = system.start(hyper), [Fraction(v) for v in values.values()]
    given = [Fraction(fixed[name]) for name in ("lr", "target", "l2")]
    for t in range(4):
        (state, loss), (exact, exact_loss) = system.step(state, hyper, jnp.int32(t)), exact_step(exact, *given)
        np.testing.assert_allclose(loss, [float(exact_loss)], rtol=1e-14)
        np.testing.assert_allclose(np.ravel(state), [float(v) for v in exact], rtol=1e-13, atol=1e-16)


def test_differences_of_steps_are_those_of_exact_fractions() -> None:
    """Two runs 1e-25 apart: their difference after four steps, to the last digits."""
    reference = {"lr": 0.15, "target": 0.7, "l2": 0.3, "start_1": 0.5, "start_2": 1.25}
    small = dict.fromkeys(reference, 0.0) | {"start_1": 1e-25, "start_2": -3e-26, "lr": 2e-27}
    followed = Differences(systems.make(plane(4)), "product")
    system, ref, change = systems.make(plane(4)), lanes(**reference), lanes(**small)
    state, moved = system.start(ref), followed.start(ref, change)

    def runs(apart: int) -> list[Fraction]:
        lr, target, l2, *starts = (Fraction(reference[name]) + apart * Fraction(small[name]) for name in reference)
        x = starts * 2
        for _ in range(4):
            x, _ = exact_step(x, lr, target, l2)
        return x

    for t in range(4):
        moved, _ = followed.step((state, ref), (moved, change), jnp.int32(t))
        state, _ = system.step(state, ref, jnp.int32(t))
    wanted = [float(b - a) for a, b in zip(runs(0), runs(1), strict=True)]
    np.testing.assert_allclose(np.ravel(moved), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "problem",
    [plane(2, lr=0.6), plane(3, lr=0.3, target=0.5), plane(4, lr=0.2), plane(5, starts=3, lr=0.1, l2=0.3, start_3=0.8)],
)
def test_runs_agree_with_plain_numpy(problem: Problem) -> None:
    hyper, settings = dict(problem.fixed), problem.settings_as(ProductSettings)
    first, second = np.random.default_rng(settings.factors).uniform(-3, 3, (2, 400))

    def descend(nudge: float) -> tuple[np.ndarray, np.ndarray]:
        starts = [first * (1 + nudge), second, np.full(400, hyper.get("start_3", 0.0))][: settings.starts]
        x = np.array([starts[i % settings.starts] for i in range(settings.factors)])
        total = np.zeros(400)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(problem.steps):
                error = x.prod(axis=0) - hyper["target"]
                total += np.minimum((error**2 + hyper["l2"] * (x**2).sum(axis=0)) / 2, 1e6)
                slopes = np.array([error * np.delete(x, i, axis=0).prod(axis=0) for i in range(settings.factors)])
                x = x - hyper["lr"] * (slopes + hyper["l2"] * x)
        return np.isfinite(total), total

    (stayed, total), (near, moved) = descend(0.0), descend(1e-13)
    steady = (stayed == near) & (~stayed | np.isclose(moved, total, rtol=1e-6))
    assert steady.mean() > 0.9
    ours = train(problem, first, second)
    assert 0.05 < stayed.mean() < 0.95
    np.testing.assert_array_equal((ours.value < 0)[steady], stayed[steady])
    np.testing.assert_allclose(-ours.value[steady & stayed], total[steady & stayed], rtol=1e-5)
    assert set(ours.status) == {Status.CONVERGED, Status.NON_FINITE}


# ---- equal factors: one map of one variable


@pytest.mark.parametrize("factors", range(2, 9))
def test_equal_factors_stay_equal_and_follow_the_map_of_one_variable(factors: int) -> None:
    rates = np.linspace(0.5 / factors, 2.2 / factors, 8)
    hyper = {"lr": jnp.asarray(rates)} | {
        n: jnp.full(8, v) for n, v in (("target", 1.0), ("l2", 0.0), ("start_1", 0.7))
    }
    system = systems.make(balanced(factors, 9, start_1=0.7))
    state, u = system.start(hyper), np.full(8, 0.7)
    for t in range(9):
        state, _ = system.step(state, hyper, jnp.int32(t))
        u = u - rates * (u**factors - 1) * u ** (factors - 1)
    # Products of the others are taken in another order for each factor, so the last bits may differ.
    np.testing.assert_allclose(state, np.tile(u, (factors, 1)), rtol=1e-9)


@pytest.mark.parametrize("factors", [2, 3, 4, 8])
def test_oscillation_begins_where_the_rate_passes_two_over_the_sharpness(factors: int) -> None:
    """At lr = 2 / k for the target 1, and at 2 / (k T^(2 - 2/k)) for any: within half a percent on either side."""
    targets = np.array([0.6, 1.0, 1.7])
    onset = 2 / (factors * targets ** (2 - 2 / factors))
    problem = balanced(factors, 4000, start_1=0.9)
    below, above = (train(problem, onset * share, targets).more for share in (0.995, 1.005))
    np.testing.assert_array_equal(below["period"], 1)
    np.testing.assert_array_equal(above["period"], 2)
    np.testing.assert_allclose(below["sharpness"], 2 / onset, rtol=1e-3)


@pytest.mark.parametrize("factors", [2, 3, 5])
@pytest.mark.parametrize("target", [0.5, 2.0])
def test_a_target_only_scales_the_rate(factors: int, target: float) -> None:
    """x = T^(1/k) z: the same periods at lr T^(2 - 2/k), through the first doublings and into chaos."""
    rates = np.linspace(1.5, 2.7, 97) / factors
    plain = Problem(axis("lr", "0", "9"), axis("start_1", "0", "9"), "product", factors=factors, starts=1, steps=3000)
    scaled = dataclasses.replace(plain, fixed=(("l2", 0.0), ("target", target)))
    scaled_rates, size = rates / target ** (2 - 2 / factors), target ** (1 / factors)
    periods = [
        train(problem, lr, np.full(97, start)).more["period"]
        for problem, lr, start in ((plain, rates, 0.7), (scaled, scaled_rates, 0.7 * size))
    ]
    assert set(periods[0]) >= {0, 1, 2, 4}
    # At an onset, and in narrow windows, rounding decides whether 3,000 steps were enough.
    assert np.mean(periods[0] == periods[1]) > 0.95


@functools.cache
def map_of(factors: int) -> Callable[[float, int], jax.Array]:
    """Return by how much the orbit of the map's maximum misses it at a rate after so many of the system's steps."""
    system = systems.make(balanced(factors, 1))

    def slope(u: jax.Array, lr: float) -> jax.Array:
        k = factors
        return (1 - lr * ((2 * k - 1) * u ** (2 * k - 2) - (k - 1) * u ** (k - 2))).sum()

    @jax.jit
    def missed(lr: float, period: int) -> jax.Array:
        # Newton's method: where the map has no slope.
        top = jax.lax.fori_loop(0, 60, lambda _, u: u - slope(u, lr) / jax.grad(slope)(u, lr), jnp.full(1, 1.2))
        hyper = lanes(target=1.0, l2=0.0) | {"lr": jnp.full(1, lr), "start_1": top}
        end = jax.lax.fori_loop(0, period, lambda t, s: system.step(s, hyper, t)[0], system.start(hyper))
        return (end[0] - top)[0]

    return missed


def superstable(factors: int, period: int, near: tuple[float, float]) -> float:
    """Return the rate, near two others, at which the orbit of the map's maximum comes back to it: by secants."""
    missed = map_of(factors)
    (a, b), before = near, missed(near[0], period)
    for _ in range(60):
        here = missed(b, period)
        if here == before or abs(b - a) < 1e-15 * b:
            break
        a, b, before = b, float(b - here * (b - a) / (here - before)), here
    return b


@pytest.mark.parametrize(("factors", "first"), [(2, (0.5, 1.1213)), (3, (1 / 3, 0.749)), (4, (0.25, 0.562))])
def test_doublings_follow_each_other_by_feigenbaums_number(factors: int, first: tuple[float, float]) -> None:
    """Superstable orbits of periods 1, 2, 4 ... 256, through the system's own step: 4.669 to three digits and more."""
    rates = [superstable(factors, 2**n, (lr, lr + 1e-6)) for n, lr in enumerate(first)]
    assert rates[0] == pytest.approx(1 / factors, rel=1e-12)  # where the minimum itself is the top of the map
    for n in range(2, 9):
        gap = rates[-1] - rates[-2]
        rates.append(superstable(factors, 2**n, (rates[-1] + gap / 4.5, rates[-1] + gap / 4.6)))
    ratios = [a / b for a, b in pairwise(np.diff(rates))]
    assert ratios[-1] == pytest.approx(FEIGENBAUM, abs=5e-4)
    assert all(abs(b - FEIGENBAUM) < abs(a - FEIGENBAUM) for a, b in pairwise(ratios))


def test_windows_of_3_9_27_and_81_follow_each_other_by_the_number_of_tripling() -> None:
    rates = [superstable(2, 3, (1.4531, 1.4532)), superstable(2, 9, (1.4705, 1.47053))]
    for period in (27, 81, 243):
        gap = rates[-1] - rates[-2]
        rates.append(superstable(2, period, (rates[-1] + gap / 55, rates[-1] + gap / 55.1)))
    ratios = [a / b for a, b in pairwise(np.diff(rates))]
    assert ratios[-1] == pytest.approx(TRIPLING, rel=2e-4)
    # The channel says so too: a run at each of these rates ends in that period.
    problem = Problem(axis("lr", "0", "3"), axis("start_1", "0", "3"), "product", starts=1, steps=5000)
    field = train(problem, np.array(rates[:4]), np.full(4, 0.7))
    np.testing.assert_array_equal(field.more["period"], [3, 9, 27, 81])


# ---- two factors: an exact border, and a fractal one


def test_a_step_never_crosses_the_ellipse() -> None:
    """Q = x^2 + y^2 - lr T x y - (4 - lr^2 T^2) / lr becomes Q (1 + lr^2 (p - T) p) exactly, with p = x y.

    The factor is at least 1 - lr^2 T^2 / 4, so that no step changes the sign of Q while lr T < 2.
    """
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y, lr, target = (Fraction(int(v), 64) for v in rng.integers(1, 200, 4))

        def outside(x: Fraction, y: Fraction, lr: Fraction = lr, target: Fraction = target) -> Fraction:
            return x * x + y * y - lr * target * x * y - (4 - lr**2 * target**2) / lr

        (after, other), _ = exact_step([x, y], lr, target, Fraction(0))
        factor = 1 + lr**2 * (x * y - target) * x * y
        assert outside(after, other) == outside(x, y) * factor
        assert factor > 0 or lr * target >= 2


@pytest.mark.parametrize(("lr", "target"), [(0.5, 1.0), (0.9, 1.0), (0.3, 2.5)])
def test_without_a_penalty_the_border_of_two_factors_is_the_ellipse(lr: float, target: float) -> None:
    """A part in 10^9 inside of it every run stays, a part in 10^9 outside of it every run leaves."""
    turn = np.linspace(0.05, 2 * np.pi, 500)
    size = np.sqrt((4 - (lr * target) ** 2) / lr / (1 - lr * target * np.cos(turn) * np.sin(turn)))
    x, y = size * np.cos(turn), size * np.sin(turn)
    problem = plane(2, steps=3000, lr=lr, target=target)
    inside, outside = (train(problem, x * share, y * share) for share in (1 - 1e-9, 1 + 1e-9))
    assert set(inside.status) == {Status.CONVERGED}
    assert set(outside.status) == {Status.NON_FINITE}


def test_the_sharpness_is_the_hessians_and_no_run_settles_above_two_over_the_rate() -> None:
    lr = 0.3
    problem = plane(4, starts=2, steps=3000, lr=lr)
    x, y = np.random.default_rng(0).uniform(-2, 2, (2, 500))
    field = train(problem, x, y)
    settled = field.more["period"] == 1
    assert 0.2 < settled.mean() < 1
    assert field.more["sharpness"][settled].max() < 2 / lr

    def end(x: float, y: float) -> np.ndarray:
        at = np.array([x, y, x, y])
        for _ in range(3000):
            at = at - lr * (at.prod() - 1) * np.array([np.delete(at, i).prod() for i in range(4)])
        return at

    def hessian(at: np.ndarray) -> np.ndarray:
        others = np.array([np.delete(at, i).prod() for i in range(4)])
        mixed = [[0.0 if i == j else np.delete(at, [i, j]).prod() for j in range(4)] for i in range(4)]
        return np.outer(others, others) + (at.prod() - 1) * np.array(mixed)

    for i in np.flatnonzero(settled)[:20]:
        largest = np.linalg.eigvalsh(hessian(end(x[i], y[i])))[-1]
        assert field.more["sharpness"][i] == pytest.approx(largest, rel=1e-6)


# ---- dimensions (larger ones, with the time that they took: assets/docs/systems.md)


def mask(problem: Problem, side: int) -> np.ndarray:
    x, y = (np.linspace(float(a.lo), float(a.hi), side) for a in (problem.x, problem.y))
    columns = (v.ravel() for v in np.meshgrid(x, y))
    return train(problem, *columns).value.reshape(side, side) < 0


def dimension(converged: np.ndarray) -> float:
    estimate = estimators.estimate("box", converged)
    assert estimate is not None
    return estimate.dimension


def test_the_basin_of_four_factors_is_rough_and_that_of_two_is_smooth() -> None:
    window = axis("start_1", "3", "3.4"), axis("start_2", "0.1", "0.5")
    four = Problem(*window, "product", factors=4, steps=2000, fixed=[("lr", 0.2)])
    assert dimension(mask(four, 128)) > 1.5
    near = axis("start_1", "2", "2.4"), axis("start_2", "2", "2.4")
    two = Problem(*near, "product", steps=300, fixed=[("lr", 0.5)])
    assert dimension(mask(two, 128)) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("width", [0.1, 1e-3, 1e-5])
def test_a_penalty_roughens_the_border_of_two_factors(width: float) -> None:
    """At the target of product_penalty, at three depths: 1.25 and more, where without a penalty it is 1."""
    x, y = -0.19855499267578125, -2.884115219116211
    side = np.linspace(-0.5, 0.5, 128) * width
    columns = [v.ravel() for v in np.meshgrid(x + side, y + side)]
    rough = train(plane(2, steps=500, lr=0.8, l2=0.3), *columns).value.reshape(128, 128) < 0
    assert 1.15 < dimension(rough) < 1.6
