"""Observables of runs: Lyapunov exponents that are known exactly, and steps to a threshold against NumPy."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from render import scene
from render.errors import RenderError, SceneError
from render.film import depth
from render.geometry.axes import Axis
from render.picture import channels
from render.problem import Problem, channels_of, described
from render.problem.catalogue import OBSERVABLES
from render.samples import Field
from render.train import engine, observables
from tests.helpers import oracle, published


def axis(name: str, lo: str, hi: str, scale: str = "linear") -> Axis:
    return Axis(name, scale, Fraction(lo), Fraction(hi))  # type: ignore[arg-type]


def product(steps: int, transient: int) -> Problem:
    """A plane of rates and starts of two equal factors: u <- u - lr (u^2 - 1) u."""
    plane = axis("lr", "0", "3"), axis("start_1", "0", "2")
    return Problem(*plane, "product", factors=2, starts=1, steps=steps, observe=[("lyapunov", transient)])


def exponents(problem: Problem, rates: object, starts: object) -> np.ndarray:
    x, y = np.broadcast_arrays(np.asarray(rates, float), np.asarray(starts, float))
    return engine.Engine(problem).run(x.ravel().copy(), y.ravel().copy()).more["lyapunov"]


# ---- exponents that are known


def test_the_exponent_is_ln_3_where_a_step_triples_an_angle() -> None:
    """At lr = 2 the map is the third Chebyshev polynomial: u = sqrt(2) cos a goes to -sqrt(2) cos 3 a."""
    measured = exponents(product(10_000, 100), 2.0, np.linspace(0.1, 1.3, 20))
    assert np.std(measured) < 0.03
    np.testing.assert_allclose(np.mean(measured), math.log(3), atol=0.01)


def test_at_a_stable_point_the_exponent_is_the_logarithm_of_its_multiplier() -> None:
    """The balanced minimum u = 1 has the multiplier 1 - 2 lr."""
    rates = np.array([0.2, 0.45, 0.7, 0.95])
    np.testing.assert_allclose(exponents(product(400, 200), rates, 0.3), np.log(np.abs(1 - 2 * rates)), rtol=1e-6)


def test_on_a_superstable_point_the_exponent_is_finite_and_very_low() -> None:
    """At lr = 1/2 a step at the minimum turns every direction into exactly zero."""
    measured = exponents(product(400, 200), 0.5, 0.3)
    assert np.isfinite(measured).all()
    assert (measured < -300).all()


def test_on_stable_cycles_the_exponent_is_that_of_the_product_of_slopes() -> None:
    """Cycles of 2, 4 and 3 steps, found by plain iteration of u, with the slopes 1 - lr (3 u^2 - 1) along them."""
    for rate, period in ((1.1, 2), (1.27, 4), (1.4585, 3)):
        u, slopes = 0.3, []
        for step in range(9_000):
            if step >= 9_000 - period:
                slopes.append(1 - rate * (3 * u * u - 1))
            u -= rate * (u * u - 1) * u
        back = u
        for _ in range(period):
            back -= rate * (back * back - 1) * back
        assert abs(back - u) < 1e-9
        wanted = math.log(abs(math.prod(slopes))) / period
        assert wanted < -0.01
        np.testing.assert_allclose(exponents(product(3_012, 3_000), rate, 0.3), wanted, rtol=1e-6)


# ---- a network, against NumPy

SMALL = Problem(
    axis("lr_input", "-2", "3", "log10"), axis("lr_output", "-2", "3", "log10"),
    width=4, examples=8, steps=60, observe={"lyapunov": 20, "steps_to_loss": 0.3}.items(),
)  # fmt: skip


def by_complex_steps(x: float, y: float) -> tuple[float, int | None, np.ndarray]:
    """Exponent, first step below 0.3 and losses of one run: an imaginary 1e-30 is a tangent, exact to the last bits."""
    weights, inputs, targets, _ = published.draws(width=4, depth=2, examples=8, batch=None, steps=60, seed=0)
    total, direction, losses = 0.0, None, []
    for t in range(60):
        losses.append(float(oracle.loss(weights, inputs, targets, "tanh")))
        slopes = oracle.gradient(weights, inputs, targets, "tanh")
        after = [w - rate * slope for w, rate, slope in zip(weights, (x, y), slopes, strict=True)]
        if direction is None:
            pushed = [b - a for a, b in zip(weights, after, strict=True)]
        else:
            beside = [w + 1e-30j * d for w, d in zip(weights, direction, strict=True)]
            slopes = oracle.gradient(beside, inputs, targets, "tanh")
            pushed = [(b - rate * slope).imag / 1e-30 for b, rate, slope in zip(beside, (x, y), slopes, strict=True)]
        length = math.sqrt(sum(float((p * p).sum()) for p in pushed))
        total += math.log(length) if t >= 20 else 0.0
        direction, weights = [p / length for p in pushed], after
    below = [t for t, loss in enumerate(losses) if loss < 0.3]
    return total / 40, below[0] if below else None, np.array(losses)


def test_exponents_and_steps_of_networks_agree_with_complex_steps_in_numpy() -> None:
    rng = np.random.default_rng(3)
    x, y = 10.0 ** rng.uniform(-1.5, 2.5, 40), 10.0 ** rng.uniform(-1.5, 1.5, 40)
    ours = engine.Engine(SMALL).run(x, y)
    agreed, signs, below = 0, set(), 0
    for i in range(40):
        if ours.escape_step[i] >= 0:
            assert np.isnan(ours.more["lyapunov"][i])
            assert np.isnan(ours.more["steps_to_loss"][i])
            continue
        exponent, first, losses = by_complex_steps(x[i], y[i])
        if not np.isclose(ours.final_loss[i], losses[-1], rtol=1e-6):
            continue  # chaos has made two runs of it by now
        agreed += 1
        signs.add(exponent > 0)
        np.testing.assert_allclose(ours.more["lyapunov"][i], exponent, rtol=1e-4, atol=1e-6)
        if first is None:
            assert np.isnan(ours.more["steps_to_loss"][i])
        else:
            below += 1
            assert ours.more["steps_to_loss"][i] == first
    assert agreed >= 15
    assert below >= 3
    assert signs == {True, False}


def test_states_with_more_than_weights_have_exponents() -> None:
    """Moments of Adam, and minibatches, which change the map from step to step."""
    plane = axis("lr", "-4", "1", "log10"), axis("beta1", "0", "0.99")
    settings: dict[str, Any] = {"width": 4, "examples": 16, "steps": 40, "optimiser": "adam", "batch": 8}
    problem = Problem(*plane, "network", **settings, observe=[("lyapunov", 10)])
    field = engine.Engine(problem).run(np.logspace(-4, 0, 8), np.full(8, 0.9))
    stayed = field.escape_step < 0
    assert stayed.sum() >= 4
    assert np.isfinite(field.more["lyapunov"][stayed]).all()


def test_what_is_observed_does_not_depend_on_a_batch_and_leaves_values_alone() -> None:
    x, y = 10.0 ** np.random.default_rng(1).uniform(-1, 2.5, (2, 300))
    observing, plain = engine.Engine(SMALL), engine.Engine(dataclasses.replace(SMALL, observe=()))
    together, order = observing.run(x, y), np.random.default_rng(2).permutation(300)
    again = observing.run(x[order], y[order])
    for name, channel in together.channels().items():
        np.testing.assert_array_equal(again.channels()[name], channel[order], err_msg=name)
        np.testing.assert_array_equal(observing.run(x[7:9], y[7:9]).channels()[name], channel[7:9], err_msg=name)
    assert np.mean(np.isclose(together.value, plain.run(x, y).value, rtol=1e-9)) > 0.6  # all but chaos


# ---- problems, scenes, colours


def test_only_problems_that_observe_have_keys_of_their_own() -> None:
    plain = dataclasses.replace(SMALL, observe=())
    assert "observe" not in plain.describe()
    assert len({plain.key, SMALL.key, dataclasses.replace(SMALL, observe=(("lyapunov", 21.0),)).key}) == 3
    content = json.loads(json.dumps(SMALL.describe()))
    assert described(content) == SMALL
    assert channels_of(content) == SMALL.channels
    assert set(SMALL.channels) - set(plain.channels) == set(OBSERVABLES)


@pytest.mark.parametrize("asked", [{"lyapunov": 0}, {"lyapunov": 60}, {"entropy": 1.0}])
def test_what_cannot_be_observed_is_refused(asked: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"problem\.observe\."):
        dataclasses.replace(SMALL, observe=tuple(asked.items()))


def test_rows_of_what_is_observed_have_one_name_in_catalogue_training_and_colours() -> None:
    assert set(OBSERVABLES) == set(observables.OBSERVABLES) == set(channels.OBSERVED)


TINY = (scene.files.shipped() / "tiny.toml").read_text()


def tiny(observe: str, channel: str = "lyapunov") -> str:
    return TINY.replace("[problem.x]", f"[problem.observe]\n{observe}\n\n[problem.x]").replace(
        "[look]", f'[look]\nchannel = "{channel}"'
    )


def test_a_scene_observes_and_shows_what_it_asks_for() -> None:
    loaded = scene.checks.parse(tiny("lyapunov = 5\nsteps_to_loss = 0.25"), "tiny.toml", "tiny")
    assert loaded.problem.observe == (("lyapunov", 5.0), ("steps_to_loss", 0.25))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (tiny("lyapunov = 20"), "problem.observe.lyapunov must be a step from 1 to 19, not 20"),
        (tiny("lyapunov = 0"), "problem.observe.lyapunov must be >= 1, not 0"),
        (tiny("steps_to_loss = 0"), "problem.observe.steps_to_loss must be > 0, not 0"),
        (tiny("lyapunow = 3"), 'problem.observe has no field "lyapunow"; did you mean "lyapunov"?'),
        (tiny("steps_to_loss = 0.1"), 'look.channel "lyapunov" must be observed to be shown; set problem.observe.lyap'),
    ],
)
def test_faults_of_what_a_scene_observes_are_located(text: str, fault: str) -> None:
    with pytest.raises(SceneError, match=re.escape(fault)):
        scene.checks.parse(text, "tiny.toml", "tiny")


def test_a_film_past_float64_cannot_observe() -> None:
    deep = scene.checks.parse(
        tiny("lyapunov = 5").replace("width_decades = 0.140625", "width_decades = 1e-20"), "tiny.toml", "tiny"
    )
    with pytest.raises(RenderError, match="lyapunov can only be observed where float64 reaches"):
        depth.refuse_too_deep(deep, 60, deep.path(deep.output))


def test_the_exponents_sign_is_the_side_of_the_palette_and_escaped_runs_are_farthest() -> None:
    field = dataclasses.replace(
        Field.empty((5,)),
        escape_step=np.array([-1, -1, -1, 7, -1], dtype=np.int32),
        more={"lyapunov": np.array([-2.0, -0.1, 0.4, np.nan, -np.inf])},
    )
    signed = channels.channel("lyapunov").signed(field)
    assert np.isfinite(signed).all()
    assert np.argsort(signed).tolist() == [4, 0, 1, 2, 3]
    assert (signed < 0).tolist() == [True, True, False, False, True]


def test_runs_that_reach_the_loss_are_converged_in_colour_and_the_sooner_the_nearer_to_the_middle() -> None:
    field = dataclasses.replace(
        Field.empty((4,)),
        value=np.array([-3.0, -9.0, -8.0, 2.0]),
        more={"steps_to_loss": np.array([0.0, 12.0, np.nan, np.nan])},
    )
    signed = channels.channel("steps_to_loss").signed(field)
    assert (signed < 0).tolist() == [True, True, False, False]
    assert -signed[1] > -signed[0] > 0


# ---- rates that take turns


@pytest.mark.parametrize("order", ["ab", "aab", "aabb", "aabab", "a3b3", "a6b6"])
def test_rates_take_turns_as_in_numpy(order: str) -> None:
    """The map of one variable u, its slope and its loss, written once more."""
    letters = {"a3b3": "aaabbb", "a6b6": "aaaaaabbbbbb"}.get(order, order)
    plane, (steps, transient) = (axis("lr_a", "0.5", "2.5"), axis("lr_b", "0.5", "2.5")), (40, 10)
    problem = Problem(
        *plane,
        "cyclic",
        order=order,
        steps=steps,
        fixed=[("start", 0.3), ("l2", 0.1)],
        observe=[("lyapunov", transient)],
    )
    a, b = np.random.default_rng(4).uniform(0.5, 1.9, (2, 60))
    u, total, stretched = np.full(60, 0.3), np.zeros(60), np.zeros(60)
    for t in range(steps):
        rate = a if letters[t % len(letters)] == "a" else b
        total += (u * u - 1) ** 2 / 2 + 0.1 / 2 * 2 * u * u
        if t >= transient:
            stretched += np.log(np.abs(1 - rate * (3 * u * u - 1 + 0.1)))
        u = u - rate * ((u * u - 1) * u + 0.1 * u)
    ours = engine.Engine(problem).run(a, b)
    steady = np.isclose(-ours.value, total, rtol=1e-9)
    assert steady.mean() > 0.5
    np.testing.assert_allclose(ours.more["lyapunov"][steady], stretched[steady] / (steps - transient), atol=1e-4)
    assert (ours.more["lyapunov"] > 0).any()
    assert (ours.more["lyapunov"] < 0).any()
