"""Back-propagation over initial weights, and the singular values of teacher and student, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from render import scene
from render.backends import Batch
from render.backends.local import LocalBackend
from render.problem import Problem
from render.problem.catalogue.settings import PhasesSettings
from render.samples import Points
from render.train import engine, examples
from render.train.systems import backprop
from tests.helpers.problems import changed

XOR = scene.load("backprop").problem
PHASES = scene.load("phases").problem


def learn(problem: Problem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Largest error over the tolerance before every epoch, [step, lane], with the gradient written out by hand."""
    h = dict(problem.fixed)
    along = backprop.directions(problem)
    w = x[:, None] * along[0] + y[:, None] * along[1]  # origin = 0
    velocity, errors = np.zeros_like(w), []
    for _ in range(problem.steps):
        slope, worst = np.zeros_like(w), np.zeros(len(w))
        for a, b, target in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)):
            p = 1 / (1 + np.exp(-(w[:, 0] * a + w[:, 1] * b + w[:, 2])))
            q = 1 / (1 + np.exp(-(w[:, 3] * a + w[:, 4] * b + w[:, 5])))
            out = 1 / (1 + np.exp(-(w[:, 6] * p + w[:, 7] * q + w[:, 8])))
            worst = np.maximum(worst, np.abs(out - target))
            d = (out - target) * out * (1 - out)
            dp, dq = d * w[:, 6] * p * (1 - p), d * w[:, 7] * q * (1 - q)
            slope += np.stack([dp * a, dp * b, dp, dq * a, dq * b, dq, d * p, d * q, d], axis=1)
        errors.append(worst / h["tolerance"])
        velocity = h["momentum"] * velocity - h["lr"] * slope
        w = w + velocity
    return np.array(errors)


@pytest.mark.parametrize("directions", ["random", "weights"])
def test_back_propagation_agrees_with_a_gradient_written_by_hand(directions: str) -> None:
    problem = changed(XOR, directions=directions)
    x, y = np.random.default_rng(2).uniform(-10, 10, (2, 300))
    v, near = learn(problem, x, y), learn(problem, x + 1e-11, y)
    steady = np.isclose(v.sum(axis=0), near.sum(axis=0), rtol=1e-6)
    assert steady.mean() > 0.8
    learnt = v[-20:].mean(axis=0) < 1
    ours = engine.Engine(problem).run(x, y)
    np.testing.assert_array_equal((ours.value < 0)[steady], learnt[steady])
    if directions == "random":
        assert 0.05 < learnt.mean() < 0.95
    np.testing.assert_allclose(-ours.value[steady & learnt], v.sum(axis=0)[steady & learnt], rtol=1e-5)


def test_the_planes_directions_are_of_length_one_and_at_right_angles() -> None:
    along = backprop.directions(XOR)
    np.testing.assert_allclose(along @ along.T, np.eye(2), atol=1e-12)
    named = backprop.directions(changed(XOR, directions="weights", weight_x=9, weight_y=4))
    assert (named[0][8], named[1][3], named.sum()) == (1, 1, 2)


def test_singular_value_channels_agree_with_numpy() -> None:
    """A few plain steps of the student by hand (tanh, one output, squared error), then numpy.linalg.svd."""
    problem = changed(PHASES, steps=3, examples=20, width=5, inputs=4, batch=6)
    temperature, variance = np.array([1e-3, 0.02, 0.05]), np.array([0.5, 1.0, 3.0])
    ours = engine.Engine(problem).run(temperature, variance)
    settings = problem.settings_as(PhasesSettings)
    student = Problem(
        problem.x, problem.y, "network", steps=3, examples=20, width=5, inputs=4, batch=6, data="teacher",
        scaling="standard", noise=settings.noise, teacher_width=settings.teacher_width,
    )  # fmt: skip
    data = examples.make(student)
    rng = np.random.default_rng([problem.seed, 1])
    first, second = rng.standard_normal((5, 4)), rng.standard_normal((1, 5))
    order = np.random.default_rng([problem.seed, 2]).integers(0, 20, (3, 6))
    for lane in range(3):
        std = np.sqrt(variance[lane])
        a, b = first * std / np.sqrt(4), second * std / np.sqrt(5)
        start = a.copy()
        for chosen in order:
            x, y = data.inputs[chosen].T, data.targets[chosen].T
            hidden = np.tanh(np.sqrt(2) * a @ x)
            error = 2 * (b @ hidden - y) / 6
            back = (b.T @ error) * (1 - hidden**2) * np.sqrt(2)
            rate = temperature[lane] * 6
            a, b = a - rate * back @ x.T, b - rate * error @ hidden.T
        values = np.linalg.svd(a, compute_uv=False)
        shares = values**2 / (values**2).sum()
        hidden = np.tanh(np.sqrt(2) * a @ data.inputs.T)
        spread = np.linalg.eigvalsh(np.cov(hidden))
        expected = {
            "outlier": values[0] / (std / np.sqrt(4) * (np.sqrt(5) + np.sqrt(4))),
            "change": np.linalg.norm(a - start) / np.linalg.norm(start),
            "effective_rank": np.exp(-(shares * np.log(shares)).sum()),
            "first_share": spread[-1] / spread.sum(),
        }
        for name, value in expected.items():
            assert ours.more[name][lane] == pytest.approx(value, rel=1e-8), name


def test_the_three_regions_of_temperature_and_disorder_are_distinguished() -> None:
    """A learnt direction leads, the initial disorder stays, training diverges: the table of assets/docs/systems.md."""
    field = engine.Engine(PHASES).run(np.array([0.01, 0.01, 0.1]), 10.0 ** np.array([-1.9, 0.5, 0.0]))
    leads, stays = ({name: channel[lane] for name, channel in field.more.items()} for lane in (0, 1))
    assert leads["outlier"] > 2 > 1 > stays["outlier"]
    assert leads["effective_rank"] < 4 < 6 < stays["effective_rank"]
    assert leads["first_share"] > 0.6 > 0.3 > stays["first_share"]
    assert field.value[1] < 0 < field.value[2]


def test_two_devices_that_read_out_at_once_do_not_wait_for_each_other() -> None:
    """They did, for ever, when singular values were XLA's: both held the threads that each needed."""
    problem = changed(PHASES, steps=2)
    x, y = 10 ** np.random.default_rng(0).uniform(-1, 0, (2, 64))
    batches = [Batch((), Points(x, y)) for _ in range(20)]
    fields = [field for _, field in LocalBackend(problem).run(lambda: batches.pop() if batches else None)]
    assert len(fields) == 20
    assert all(np.isfinite(field.more["outlier"]).all() for field in fields)
