"""Riddled basins: the committee of two neurons against NumPy, its transverse exponent, and its uncertainty exponent."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.analyse import estimators
from render.geometry.axes import Axis
from render.problem import Problem
from render.train import engine
from tests.bench import riddled
from tests.bench.riddled import TARGET, exponents, outcomes

SCENES = Path(__file__).parents[1] / "scenes"

POWER = 3


def plane(steps: int, power: int = POWER, **fixed: float) -> Problem:
    """The plane of both initial weights."""
    x, y = (Axis(f"weight_{i}", "linear", Fraction(-2), Fraction(2)) for i in (1, 2))
    return Problem(x, y, "committee", measure="absolute", power=power, steps=steps, fixed=fixed.items())


def descent(x: np.ndarray, y: np.ndarray, lr: float, steps: int, power: int = POWER) -> tuple[np.ndarray, ...]:
    """Both weights after so many steps, and the losses before each, [step, point]: a program of this test's own."""
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            error = x**power + y**power - TARGET
            losses.append(error**2 / 2)
            x, y = x - lr * error * power * x ** (power - 1), y - lr * error * power * y ** (power - 1)
    return x, y, np.array(losses)


def square(centre: tuple[float, float], width: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of a square window, [side, side]."""
    offsets = width * ((np.arange(side) + 0.5) / side - 0.5)
    x, y = np.meshgrid(centre[0] + offsets, centre[1] + offsets)
    return x, y


@pytest.mark.parametrize("power", [2, 3, 4, 5])
def test_losses_are_those_of_numpy(power: int) -> None:
    x, y = np.array([0.4, 0.9, -0.3, 1.0]), np.array([0.7, 0.2, 0.8, 1.0])
    ours = engine.Engine(plane(60, power, lr=0.03, target=TARGET)).losses(x, y)
    np.testing.assert_allclose(ours, descent(x, y, 0.03, 60, power)[2].T, rtol=1e-9, atol=1e-18)


def test_equal_neurons_stay_equal_to_the_last_bit() -> None:
    """Through 500 chaotic steps: so the line is invariant for float64 too."""
    start = np.linspace(0.3, 1.0, 33)
    problem = plane(500, lr=0.27, target=TARGET)
    kernel = engine.Engine(problem)
    both = kernel.losses(start, start)
    # A single neuron of half the target, with steps twice as long, is what each of them then is.
    u = start.copy()
    for t in range(500):
        if t < 20:
            np.testing.assert_allclose(both[:, t], (2 * u**3 - TARGET) ** 2 / 2, rtol=1e-8)
        u = u - 0.27 * (2 * u**3 - TARGET) * 3 * u**2
    assert outcomes(problem, start, start).all()


def test_the_line_attracts_below_the_known_rate_and_not_above_it() -> None:
    """The sign of the transverse exponent decides what becomes of neurons that are nearly equal, by our engine."""
    start = np.linspace(0.6, 1.0, 400)
    for lr, sign in ((0.262, -1), (0.27, -1), (0.278, 1), (0.285, 1)):
        across, along, _ = exponents(lr)
        assert along > 0.3, "the orbit is chaotic"
        assert np.sign(across) == sign
        near = outcomes(plane(4_000, lr=lr, target=TARGET), start, start + 1e-9).mean()
        assert near > 0.98 if sign < 0 else near < 0.1


@pytest.fixture(scope="module")
def window() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """128 x 128 runs of the riddled basin off the line: points, and outcomes by the scene's own problem."""
    x, y = square((0.8, 1.1), 0.4, 128)
    return x, y, outcomes(scene.load(SCENES / "committee_riddled.toml").problem, x, y)


def test_runs_end_on_the_line_or_dead_and_outcomes_say_which(window: tuple[np.ndarray, ...]) -> None:
    """NumPy's outcomes: equal weights, or both within 0.1 of 0. Nearby runs part, so only shares are alike."""
    x, y, ours = window
    last_x, last_y, losses = descent(x, y, 0.27, 2_000)
    on_line, dead = last_x == last_y, (abs(last_x) < 0.1) & (abs(last_y) < 0.1)
    assert np.mean(on_line ^ dead) > 0.999, "no third outcome"
    tail = losses[-20:].mean(axis=0)
    assert tail[on_line].max() < 0.8
    assert tail[dead & ~on_line].min() > 1.0
    assert ours.mean() == pytest.approx(on_line.mean(), abs=0.02)
    assert np.mean(ours == on_line) > 0.85


def test_the_uncertainty_exponent_is_near_zero_and_that_of_the_null_near_one(window: tuple[np.ndarray, ...]) -> None:
    rough = estimators.uncertainty(window[2])
    assert rough is not None
    assert 2 - rough.dimension < 0.15
    x, y = square((-0.5, -0.923), 0.05, 128)
    smooth = estimators.uncertainty(outcomes(scene.load(SCENES / "committee_smooth.toml").problem, x, y))
    assert smooth is not None
    assert 2 - smooth.dimension == pytest.approx(1, abs=0.08)


def test_twelve_decades_of_precision_hardly_help() -> None:
    """Shares of pairs that end differently, from a distance of 1e-2 to one of 1e-14: they fall by less than 10."""
    far, near = riddled.shares((-2, -14), count=2_000)
    assert 0.2 < far < 0.45
    assert 0.03 < near < 0.12
    predicted = riddled.predicted(*exponents(0.27))
    assert 0.005 < predicted < 0.025
    assert predicted < np.log(far / near) / np.log(1e12) < 0.12


def test_the_border_of_the_null_is_where_the_first_step_takes_a_neuron_to_zero() -> None:
    """3 lr (1.5 - w1^3 - w2^3) w2 = -1, at -0.92228 for w1 = -0.5; runs of n steps have it 0.7494 / n farther out.

    A neuron that the first step takes to a weight of w > 0 leaves 0 after 1 / (3 lr T w) steps, and w is 1.977 times
    its distance from that border. The camera's target is where 1,000 steps have it, within a millionth.
    """
    rate, known = 0.15, -0.92227919891543688354
    assert 3 * rate * (TARGET + 0.5**3 - known**3) * known == pytest.approx(-1, abs=1e-12)
    slope = 3 * rate * -known * (TARGET + 0.5**3 - 4 * known**3)
    for steps in (1_000, 8_000):
        border = known - 1 / (3 * rate * TARGET * slope * steps)
        ends = outcomes(
            plane(steps, lr=rate, target=TARGET), np.array([-0.5, -0.5]), border + np.array([1.0, -1.0]) * 2e-5
        )
        assert list(ends) == [False, True]
    loaded = scene.load(SCENES / "committee_smooth.toml")
    centre = float(loaded.problem.y.value_from_unit(loaded.keyframes[-1].view.y))
    ends = outcomes(loaded.problem, np.array([-0.5, -0.5]), centre + np.array([1e-6, -1e-6]))
    assert list(ends) == [False, True]
