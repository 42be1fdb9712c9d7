"""Networks of every kind against plain NumPy with complex-step gradients, and the laws of what each sample owns."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from render.geometry.axes import Axis
from render.problem import Problem
from render.problem.catalogue.settings import NetworkSettings
from render.train import engine, examples, systems
from render.train.systems import network
from tests.helpers import oracle, oracle_network
from tests.helpers.problems import changed


def axis(name: str) -> Axis:
    return Axis(name, "log10", Fraction(-3), Fraction(3))


def problem(x: str = "lr_input", y: str = "lr_output", **settings: Any) -> Problem:
    small: dict[str, Any] = {"width": 3, "inputs": 2, "examples": 5, "steps": 12} | settings
    return Problem(axis(x), axis(y), "network", **small)


# Every choice of every setting at least once; each case is small, and different in several ways at once.
CASES = {
    "as published": problem(),
    "relu, biases": problem(activation="relu", bias=True, data="teacher"),
    "deep, skip, layer norm": problem("lr", "weight_decay", depth=4, skip=True, norm="layer", bias=True),
    "deep, batch norm, minibatch": problem(
        "lr_input", "lr_output", depth=3, norm="batch", batch=3, fixed=(("lr_hidden", 0.3),)
    ),
    "momentum, cosine": problem("lr", "momentum", optimiser="momentum", schedule="cosine", activation="gelu"),
    "nesterov, linear": problem("lr", "momentum", optimiser="nesterov", schedule="linear", activation="sin"),
    "adam, mup": problem("lr", "beta1", optimiser="adam", scaling="mup", depth=3, activation="silu"),
    "rmsprop, standard": problem("lr", "beta2", optimiser="rmsprop", scaling="standard", activation="sigmoid"),
    "mup, sgd, warm-up": problem("lr", "init_std", scaling="mup", depth=3, fixed=(("warmup", 5.0),)),
    "xor, cross-entropy": problem("lr", "init_mean", data="xor", loss="cross-entropy", activation="softplus"),
    "moons, batch size": problem("lr", "batch_size", data="moons", batch=4, loss="cross-entropy", order="shared"),
    "digits, classes": problem("lr", "offset", data="digits", loss="cross-entropy", scaling="standard", steps=4),
    "linear, one layer": problem("lr", "weight_decay", depth=1, activation="identity"),
}
UNITS = {"momentum": (0.0, 0.99), "beta1": (0.0, 0.99), "beta2": (0.5, 0.999), "batch_size": (1, 4)}


def points(of: Problem, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Hyperparameters of some lanes: rates from small to too large, whole batch sizes."""
    rng = np.random.default_rng(seed)
    values = {}
    for name in (of.x.name, of.y.name):
        values[name] = rng.uniform(*UNITS[name], count) if name in UNITS else 10.0 ** rng.uniform(-2, 1, count)
        if name == "batch_size":
            values[name] = np.round(values[name])
    return values


def losses(of: Problem, hyper: dict[str, np.ndarray]) -> np.ndarray:
    """The losses [step, lane] of a system, by itself, without an engine."""
    system = systems.make(of)
    lanes = next(iter(hyper.values())).size
    everything = {name: jnp.full(lanes, value) for name, value in of.fixed}
    everything |= {name: jnp.asarray(value) for name, value in hyper.items()}
    run = jax.jit(lambda h: jax.lax.scan(lambda s, t: system.step(s, h, t), system.start(h), jnp.arange(of.steps))[1])
    return np.asarray(run(everything))


def oracle_losses(of: Problem, hyper: dict[str, float], state: systems.State | None = None) -> np.ndarray:
    h, settings = dict(of.fixed) | hyper, of.settings_as(NetworkSettings)
    data = examples.make(of)
    sizes = [data.inputs.shape[1], *[settings.width] * (settings.depth - 1), data.targets.shape[1]]
    # The scales by their formulas, written out once more.
    n, last = settings.width, settings.depth - 1
    multipliers, stds, rates = [], [], []
    for layer, fan_in in enumerate(sizes[:-1]):
        hidden = 0 < layer < last
        if settings.scaling == "mean-field":
            multipliers.append(fan_in**-0.5 * ((n if last else fan_in) ** -0.5 if layer == last else 1))
            stds.append(1.0)
        elif settings.scaling == "standard":
            multipliers.append(1.0)
            stds.append(fan_in**-0.5)
        else:
            multipliers.append(1.0 if hidden else n**0.5 if layer == 0 else n**-0.5)
            stds.append((fan_in * n) ** -0.5 if layer == 0 else n**-0.5)
        adaptive = settings.scaling == "mup" and settings.optimiser in ("adam", "rmsprop")
        rates.append((1 / n if hidden else n**-0.5) if adaptive else 1.0)
    rng = np.random.default_rng([of.seed, 1])
    params = []
    for (fan_in, out), std in zip(itertools.pairwise(sizes), stds, strict=True):
        params.append({"w": rng.standard_normal((out, fan_in)).T * std * h["init_std"]})
        if settings.bias:
            params[-1]["b"] = np.zeros(out)
    params[0]["w"] = params[0]["w"] + h["init_mean"]
    options = dict(of.settings) | {"steps": of.steps, "multipliers": multipliers, "rates": rates}
    batches = None
    if settings.batch:
        batches = list(np.random.default_rng([of.seed, 2]).integers(0, len(data.inputs), (of.steps, settings.batch)))
    with np.errstate(all="ignore"):
        return oracle_network.run(params, data.inputs, data.targets, options, h, batches)


@pytest.mark.parametrize("name", CASES)
def test_every_network_agrees_with_plain_numpy(name: str) -> None:
    of = CASES[name]
    hyper = points(of, 8)
    ours = losses(of, hyper)
    agreed = 0
    for lane in range(8):
        here = {key: float(value[lane]) for key, value in hyper.items()}
        theirs = oracle_losses(of, here)
        # Steps that are too large are chaotic: the oracle says from where on, by a move of 1e-12.
        near = oracle_losses(of, here | {of.x.name: here[of.x.name] * (1 + 1e-12)})
        steady = np.logical_and.accumulate(np.isclose(near, theirs, rtol=1e-9, atol=1e-300))
        np.testing.assert_allclose(ours[steady, lane], theirs[steady], rtol=1e-6, atol=1e-12)
        agreed += steady.sum()
        assert theirs[-1] != theirs[0], "nothing was trained"
    assert agreed > 0.7 * 8 * of.steps


def test_with_the_published_draws_it_is_the_published_network() -> None:
    """Same weights, data and rates: the losses of tests/helpers/oracle.py, layer by layer of the same scaling."""
    of = problem(inputs=3, width=3)
    data = examples.make(of)
    rng = np.random.default_rng([of.seed, 1])
    weights = [rng.standard_normal((out, fan_in)).T for fan_in, out in ((3, 3), (3, 1))]
    hyper = points(of, 20)
    theirs = oracle.run(
        weights, data.inputs, data.targets, None,
        activation="tanh", steps=of.steps, names=("lr_input", "lr_output"), x=hyper["lr_input"], y=hyper["lr_output"],
    )  # fmt: skip
    np.testing.assert_allclose(losses(of, hyper).T, theirs.losses, rtol=1e-6)


def test_an_initialization_of_its_own_follows_from_the_point_alone() -> None:
    of = problem("lr", "weight_decay", init="own")
    hyper = {"lr": np.array([0.1, 0.1, 0.1 * (1 + 2e-16), 0.1]), "weight_decay": np.array([0.2, 0.2, 0.2, 0.3])}
    first = losses(of, hyper)[0]
    assert first[0] == first[1]
    assert len(set(first)) == 3, "the next float64 and another y both draw again"
    reseeded = losses(changed(of, seed=1), hyper)[0]
    assert not set(first) & set(reseeded)
    of = changed(of, steps=1)
    assert len(set(losses(of, points(of, 400))[0])) == 400
    assert len(set(losses(changed(of, init="shared"), points(of, 400))[0])) == 1


def test_a_shuffle_of_its_own_changes_the_gradients_and_not_the_first_loss() -> None:
    of = problem("lr", "weight_decay", batch=2, order="own", examples=16)
    twins = {"lr": np.array([0.1, 0.1, 0.1 * (1 + 2e-16)]), "weight_decay": np.full(3, 1e-3)}
    losses_of_twins = losses(of, twins)
    assert len(set(losses_of_twins[0])) == 1
    np.testing.assert_array_equal(losses_of_twins[:, 0], losses_of_twins[:, 1])
    assert abs(losses_of_twins[-1, 0] - losses_of_twins[-1, 2]) > 1e-6


def test_in_mup_the_border_does_not_move_with_the_width() -> None:
    """Teacher-student, full batch: the largest rate that ends below its first loss, at widths 16 and 256."""
    rates = 10.0 ** np.linspace(-3, 1.5, 46)

    def border(scaling: str, width: int) -> float:
        of = problem(
            "lr", "init_mean", scaling=scaling, width=width, depth=3, data="teacher", inputs=6, examples=16, steps=30
        )
        losses_at_rates = losses(of, {"lr": rates, "init_mean": np.zeros(rates.size)})
        return float(np.log10(rates[np.flatnonzero(losses_at_rates[-1] < losses_at_rates[0])[-1]]))

    assert abs(border("mup", 256) - border("mup", 16)) < 0.4
    assert border("standard", 16) - border("standard", 256) > 0.7


def test_the_probe_point_is_what_the_trained_network_says_of_one_input() -> None:
    of = problem("lr", "weight_decay", depth=1, activation="identity", steps=2000)
    trained = engine.Engine(of).run(np.array([0.4]), np.array([1e-9]))
    data = examples.make(of)
    best, *_ = np.linalg.lstsq(data.inputs, data.targets, rcond=None)
    probe = np.random.default_rng([of.seed, 3]).standard_normal((2, 1))
    assert trained.more["probe"][0] == pytest.approx((probe.T @ best)[0, 0], rel=1e-3)


def test_data_sets_are_what_they_say() -> None:
    xor = examples.make(problem(data="xor"))
    np.testing.assert_array_equal(xor.targets[:, 0], -xor.inputs[:, 0] * xor.inputs[:, 1])
    moons = examples.make(problem(data="moons", examples=400, noise=0.0))
    radius = np.hypot(moons.inputs[:, 0] + 0.5, moons.inputs[:, 1] + 0.25)
    np.testing.assert_allclose(radius[moons.targets[:, 0] > 0], 1)
    digits = examples.make(problem(data="digits", examples=500))
    assert digits.inputs.shape == (500, 64)
    assert digits.targets.sum(axis=0).min() >= 46
    # Ten digits can be told apart by a linear map, as everybody finds.
    weights, *_ = np.linalg.lstsq(np.c_[digits.inputs, np.ones(500)], digits.targets, rcond=None)
    guess = (np.c_[digits.inputs, np.ones(500)] @ weights).argmax(axis=1)
    assert (guess == digits.targets.argmax(axis=1)).mean() > 0.95
    teacher = examples.make(problem(data="teacher", examples=4000, noise=0.0, inputs=8))
    assert 0.3 < teacher.targets.std() < 1.2


@pytest.mark.parametrize("activation", ["tanh", "sin"])  # of those with an escape radius
def test_retiring_escaped_runs_changes_no_outcome(activation: str) -> None:
    of = problem(activation=activation, depth=3, fixed=(("lr_hidden", 1.0),), steps=30)
    x, y = 10.0 ** np.random.default_rng(5).uniform(-2, 4, (2, 400))
    usual, literal = engine.Engine(of).run(x, y), engine.Engine(of, escape_radius=np.inf).run(x, y)
    np.testing.assert_array_equal(usual.value < 0, literal.value < 0)
    assert activation in network._STEADY
    assert activation == "sin" or (usual.escape_step >= 0).any()
