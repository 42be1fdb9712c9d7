"""The engine against an independent run in NumPy, and the laws on which stored tiles depend."""

import importlib
import threading
from fractions import Fraction

import numpy as np
import pytest

from render.film import schedule
from render.geometry import patches
from render.geometry.axes import Axis
from render.geometry.patches import WHOLE
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.problem.catalogue import SYSTEMS
from render.samples import CHANNELS, Field, Status
from render.storage import numerics
from render.train import datasets, engine
from tests.helpers import published
from tests.helpers.oracle_runs import oracle_run, points
from tests.helpers.problems import changed


def axis(name: str) -> Axis:
    return Axis(name, "log10", Fraction(-3), Fraction(6))


# Small and short, but with every kind of run: converging, bounded, escaping.
SMALL = Problem(axis("lr_input"), axis("lr_output"), width=5, examples=12, steps=40)
PROBLEMS = {
    "tanh": SMALL,
    "relu": changed(SMALL, activation="relu"),
    "identity": changed(SMALL, activation="identity", examples="inputs"),
    "one example": changed(SMALL, examples=1),
    "one example per parameter": changed(SMALL, examples="parameters"),
    "minibatch": changed(SMALL, batch=4),
    "three layers": changed(SMALL, depth=3),
    "four layers": changed(SMALL, depth=4, examples=3),
    "another seed": changed(SMALL, seed=7),
    "fewer steps than the tail": changed(SMALL, steps=7),
    "offset": changed(SMALL, x=axis("offset"), y=axis("lr")),
    "initial mean": changed(SMALL, x=axis("init_mean"), y=axis("lr")),
    "fixed rate": changed(SMALL, x=axis("offset"), y=axis("lr_output"), fixed=(("lr_input", 0.5),)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_engine_agrees_with_plain_numpy(name: str) -> None:
    problem = PROBLEMS[name]
    x, y = points(200, hi=5.0)
    ours, theirs = engine.Engine(problem).run(x, y), oracle_run(problem, x, y)
    # Chaotic runs amplify the last bit of a tanh into another ending. The oracle itself says which ones: those that
    # end elsewhere when a hyperparameter moves by 1e-13. All others must agree to nearly every digit.
    moved = oracle_run(problem, x * (1 + 1e-13), y)
    steady = np.abs(moved.value - theirs.value) <= 1e-9 * np.abs(theirs.value)
    assert steady.mean() > 0.6
    converged = ours.status == Status.CONVERGED
    assert 0.02 < converged[steady].mean() < 0.98, "the points must straddle the border, or nothing is tested"
    np.testing.assert_array_equal(converged[steady], theirs.converged[steady])
    # Plateau of runs that blew up where the first loss is above 1, see measures.finish.
    slack = problem.steps * np.maximum(theirs.losses[..., 0] - 1, 0) * 1e-6
    error = np.abs(ours.value - theirs.value) - np.where(converged, 0, slack)
    assert np.mean((error <= 1e-6 * np.abs(theirs.value))[steady]) > 0.99
    assert (error <= 1e-3 * np.abs(theirs.value))[steady].all()
    # The loss of a converged run, that is: a diverging one is chaotic in its last digits long before its measure is.
    # A loss that vanished is rounding and nothing else: hence the absolute part.
    done = steady & converged
    np.testing.assert_allclose(ours.final_loss[done], theirs.final_loss[done], rtol=1e-4, atol=1e-12)


def test_draws_are_the_published_ones() -> None:
    problem = changed(SMALL, batch=4, width=16, examples="parameters")
    ours = datasets.gaussian(problem)
    theirs = published.draws(batch=4, steps=problem.steps)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(ours.inputs, theirs.inputs)
    np.testing.assert_array_equal(ours.targets, theirs.targets[:, 0])
    np.testing.assert_array_equal(ours.batches, theirs.batches)
    # The first weight of the legacy generator with x64, as any correct recipe must give it (published notebook).
    assert ours.inputs.shape == (272, 16)


def test_channels_have_their_dtypes_and_float32_is_refused() -> None:
    x, y = points(3)
    trained = engine.Engine(SMALL).run(x, y)
    for (name, dtype), channel in zip(CHANNELS.items(), trained, strict=True):
        assert channel.dtype == dtype, name
        assert channel.shape == (3,)
    with pytest.raises(TypeError, match="(?i)float64"):
        engine.Engine(SMALL).run(x.astype(np.float32), y)


def assert_same_bits(one: Field, two: Field) -> None:
    for name, a, b in zip(CHANNELS, one, two, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("name", ["tanh", "minibatch", "offset", "three layers"])
def test_a_samples_bits_do_not_depend_on_its_batch(name: str) -> None:
    """Alone, permuted, in other company, in a longer batch, on another device: the same bits."""
    trainer = engine.Engine(PROBLEMS[name])
    x, y = points(500)
    field = trainer.run(x, y)
    order = np.random.default_rng(1).permutation(500)
    assert_same_bits(trainer.run(x[order], y[order]), field.at(order))
    assert_same_bits(trainer.run(x[123:124], y[123:124]), field.at(slice(123, 124)))
    assert_same_bits(trainer.run(x[77:210], y[77:210]), field.at(slice(77, 210)))
    other_x, other_y = points(400, seed=9)
    mixed = trainer.run(np.concatenate([other_x, x]), np.concatenate([other_y, y]))
    assert_same_bits(mixed.at(slice(400, None)), field)
    assert len(engine.devices()) >= 2
    assert_same_bits(trainer.run(x, y, engine.devices()[1]), field)


def test_phases_do_not_change_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = points(200)
    usual = engine.Engine(SMALL).run(x, y)
    monkeypatch.setattr(engine, "phase_ends", lambda steps: [steps])
    assert_same_bits(engine.Engine(SMALL).run(x, y), usual)
    monkeypatch.setattr(engine, "phase_ends", lambda steps: list(range(1, steps + 1)))
    assert_same_bits(engine.Engine(SMALL).run(x, y), usual)


def test_phases_end_with_the_last_step() -> None:
    for steps in (1, 3, 4, 5, 20, 32, 33, 48, 49, 100, 500, 1000):
        ends = engine.phase_ends(steps)
        assert ends == sorted(set(ends))
        assert ends[0] > 0
        assert ends[-1] == steps


def test_two_threads_on_two_devices_give_the_same_bits() -> None:
    trainer = engine.Engine(SMALL)
    x, y = points(300)
    results: dict[int, Field] = {}

    def work(i: int) -> None:
        results[i] = trainer.run(x, y, engine.devices()[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(results[0], results[1])


def test_a_run_whose_first_loss_is_not_finite_has_its_own_status() -> None:
    problem = changed(SMALL, x=axis("init_mean"), y=axis("lr"), activation="identity")
    trained = engine.Engine(problem).run(np.array([1e200, 1e-3]), np.array([1.0, 1e-3]))
    assert list(trained.status) == [Status.NON_FINITE, Status.CONVERGED]
    assert trained.escape_step[0] == 0
    assert trained.value[0] == problem.steps  # every relative loss counts 1, as in the published code


def train_tile(trainer: engine.Engine, problem: Problem, tile: Tile, parent: Field | None) -> Field:
    work = schedule.Work(WHOLE) if parent is None else schedule.Work(WHOLE, tile.parent, WHOLE)
    points = schedule.points_of(problem, tile, work)
    return schedule.assemble(tile, work, trainer.train(points), parent)


def test_a_childs_even_samples_are_its_parents_quadrant_over_five_levels() -> None:
    """Bit for bit, although parent and child are trained whole, in other batches, from other tile addresses."""
    # The published offset condition, cut to 60 steps and few examples so that it takes seconds.
    problem = Problem(axis("offset"), axis("lr"), width=16, examples=16, steps=60)
    trainer = engine.Engine(problem)
    tile = Tile(20, 2**20 * 254 // 1000, 2**20 * 510 // 1000)
    parent = train_tile(trainer, problem, tile, None)
    for _ in range(6):
        tile = tile.children[tile.level % 4]
        child = train_tile(trainer, problem, tile, None)
        quadrant = parent.at(tile.parent_quadrant)
        assert_same_bits(child.at((slice(None, None, 2), slice(None, None, 2))), quadrant)
        assert_same_bits(train_tile(trainer, problem, tile, parent), child)
        parent = child


def test_new_samples_and_parent_samples_partition_a_tile() -> None:
    mask = patches.new_samples(WHOLE, WHOLE)
    assert mask.sum() == SAMPLES * SAMPLES * 3 // 4 == patches.new_sample_count(WHOLE, WHOLE)
    assert not mask[::2, ::2].any()
    assert patches.new_samples(WHOLE, 0).all()


# ---- numerics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_numerics_known_without_jax_are_those_that_the_engine_has(name: str) -> None:
    x, y = map(axis, SYSTEMS[name].axes)
    problem = Problem(x, y, name)
    known = numerics.of_processor(problem)
    assert known == (None if SYSTEMS[name].lanes is None else engine.Engine(problem).numerics())


def test_where_an_accelerator_may_be_found_only_jax_says_what_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    assert numerics.of_processor(SMALL) is not None
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert numerics.of_processor(SMALL) is None


@pytest.mark.parametrize(
    ("machine", "has", "says"),
    [
        ("x86_64", {"AVX2", "AVX512F"}, "x86_64 AVX512F"),
        ("x86_64", {"AVX2"}, "x86_64 AVX2"),
        ("x86_64", {"SSE2"}, "x86_64 plain"),
        ("aarch64", {"SVE", "ASIMD"}, "aarch64 SVE"),
        ("arm64", {"ASIMD"}, "arm64 ASIMD"),
    ],
)
def test_processors_with_other_vectors_have_numerics_of_their_own(
    machine: str, has: set[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    assert {"AVX2", "AVX512F", "SVE", "ASIMD"} <= features.keys()  # numpy's names for them, on every machine
    for name in features:
        monkeypatch.setitem(features, name, name in has)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert numerics.of("cpu", "cpu", 16)["machine"] == says
    assert numerics.of("gpu", "H100", 4096)["machine"] == machine
