"""One run gives the values of all shorter ones, to the bit."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render.deep import reference_search
from render.geometry.axes import Axis
from render.problem import Problem
from render.problem.catalogue import SYSTEMS
from render.samples import CHANNELS, Status, value_after
from render.train import engine
from render.train.past_float64.difference_engine import DeepEngine
from render.train.past_float64.exact_run import ExactEngine
from tests.helpers import deep
from tests.helpers.problems import changed


def axis(name: str, lo: float = -3, hi: float = 6) -> Axis:
    return Axis(name, "log10", Fraction(lo), Fraction(hi))


def linear(name: str, lo: float, hi: float) -> Axis:
    return Axis(name, "linear", Fraction(lo), Fraction(hi))


RATES = axis("lr_input"), axis("lr_output")
SMALL = Problem(*RATES, width=5, examples=12, steps=130)
NETWORK = Problem(*RATES, "network", width=5, examples=12, steps=130)
# Every measure, and every way in which a run can end. Rates reach far into chaos and escape.
PROBLEMS = {
    "tanh, published": SMALL,
    "relu, where runs come back": changed(SMALL, activation="relu"),
    "linear": changed(SMALL, activation="identity"),
    "network with minibatches": changed(NETWORK, batch=4),
    "network with minibatches of its own": changed(NETWORK, batch=4, order="own"),
    "network with Adam": changed(NETWORK, optimiser="adam", fixed=(("warmup", 30.0),)),
    "transformer, torkamandi": Problem(
        axis("lr_attention", -4, 0), axis("lr_rest", -4, 0), "transformer", steps=45, length=4, batch=2, model=4,
        feed_forward=4,
    ),
    "mandelbrot, absolute": Problem(linear("re", -2, 1), linear("im", -1, 1), "mandelbrot", steps=130),
    "newton, absolute": Problem(linear("re", -2, 2), linear("im", -2, 2), "newton", steps=60),
    "nonconvex, bounded": Problem(linear("lr", 0, 2), linear("epsilon", 0, 2), "nonconvex", steps=130),
    "product, bounded": Problem(linear("start_1", -4, 4), linear("start_2", -4, 4), "product", steps=130,
                                fixed=(("lr", 0.4), ("l2", 0.3))),
    "backprop, absolute": Problem(linear("along_x", -8, 8), linear("along_y", -8, 8), "backprop", steps=130),
    "phases, published": Problem(axis("temperature", -4, 2), axis("init_variance", -2, 2), "phases", steps=60),
}  # fmt: skip
# Shorter than a tail, one step longer than it, and longer than two: each of them is an engine to compile.
LENGTHS = (7, 21, 41)


def points(problem: Problem, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    unit = np.random.default_rng(3).uniform(0, 1, (2, count))
    x, y = (
        np.array([float(axis.value_from_unit(Fraction(u))) for u in units])
        for axis, units in zip((problem.x, problem.y), unit, strict=True)
    )
    return x, y


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_prefix_has_the_bits_of_a_run_of_so_many_steps(name: str) -> None:
    problem = PROBLEMS[name]
    lengths = LENGTHS if name != "tanh, published" else (1, 2, *LENGTHS, 20, 40, 129)
    x, y = points(problem)
    field = engine.Engine(dataclasses.replace(problem, prefixes=lengths)).run(x, y)
    for count in lengths:
        alone = engine.Engine(dataclasses.replace(problem, steps=count)).run(x, y)
        prefix = field.after(count)
        for channel in ("value", "status", "escape_step"):
            np.testing.assert_array_equal(
                getattr(prefix, channel), getattr(alone, channel), err_msg=f"{channel} after {count}"
            )
    assert len(set(field.after(lengths[-1]).value)) > 30, "all runs are alike: nothing is tested"
    plain = engine.Engine(problem).run(x, y)
    for channel in (*CHANNELS, *SYSTEMS[problem.system].channels):
        np.testing.assert_array_equal(field.channels()[channel], plain.channels()[channel], err_msg=channel)


def test_runs_that_escaped_count_on_in_longer_prefixes() -> None:
    lengths = range(1, 130)
    problem = changed(SMALL, prefixes=tuple(lengths))
    x, y = points(problem, 400)
    field = engine.Engine(problem).run(x, y)
    gone = np.isin(field.status, (Status.ESCAPED, Status.NON_FINITE))
    assert gone.sum() > 20
    values = np.stack([field.more[value_after(count)] for count in lengths])
    assert (np.diff(np.abs(values[:, gone]), axis=0) > 0).all(), "a prefix adds something at every step"
    everywhere = np.full(16, 1e6), np.full(16, 1e6)  # all lanes leave: no block is left to train
    field = engine.Engine(problem).run(*everywhere)
    assert all(np.isfinite(field.more[value_after(count)]).all() for count in lengths)


@pytest.mark.parametrize("width", ["1e-12", "1e-20"])
def test_past_float64_a_prefix_has_the_bits_of_a_run_of_so_many_steps(width: str, tmp_path: Path) -> None:
    problem, places = deep.small(), deep.square(width, 5)
    reference = reference_search.find_reference(problem, places, tmp_path, lambda words: None)
    points = reference_search.in_float64(places, reference)
    lengths = (7, 33, 90, 150, 199)
    followed = DeepEngine(dataclasses.replace(problem, prefixes=lengths), reference).follow(points)
    assert (followed.promotion_step > 0).any(), "nothing left the reference on its way"
    for count in lengths:
        alone = DeepEngine(dataclasses.replace(problem, steps=count), reference, rings=False).follow(points).field
        prefix = followed.field.after(count)
        for channel in ("value", "status", "escape_step"):
            np.testing.assert_array_equal(getattr(prefix, channel), getattr(alone, channel), err_msg=f"{count}")
    assert len(set(prefix.value)) > 20
    plain = DeepEngine(problem, reference, rings=False).follow(points).field
    np.testing.assert_array_equal(followed.field.value, plain.value)


def test_an_exact_run_has_prefixes_too(tmp_path: Path) -> None:
    problem = changed(SMALL, width=3, examples=4, steps=40)
    lengths = (1, 5, 25, 39)
    for x, y in ((Fraction(1, 3), Fraction(1, 7)), (Fraction(3000), Fraction(5000))):  # stays; escapes
        outcome = ExactEngine(dataclasses.replace(problem, prefixes=lengths)).run(x, y).outcome
        for count in lengths:
            alone = ExactEngine(dataclasses.replace(problem, steps=count)).run(x, y).outcome
            assert outcome[value_after(count)] == pytest.approx(alone["value"], rel=1e-12)
