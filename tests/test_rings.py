"""Rings: lanes that start late from polynomials end as lanes that are followed from the first step on."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from render import scene
from render.deep import reference_search
from render.deep.targets import Target, Targets
from render.errors import RenderError
from render.film import switch
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Points
from render.storage import numerics, references
from render.storage import rings as storage
from render.storage.references import Reference
from render.storage.rings import Ring
from render.storage.store import DirectoryStore
from render.train import engine, operations, systems
from render.train.past_float64 import reference_run, rings
from render.train.past_float64.difference_engine import DeepEngine
from tests.helpers.deep import small, square


def around(reference: Reference, size: float, count: int = 48, seed: int = 0) -> Points:
    """Points around a reference, `size` (of its hyperparameters) away at most, evenly spread over the square."""
    rng = np.random.default_rng(seed)
    x, y = float(reference.x), float(reference.y)
    dx, dy = (rng.uniform(-size, size, count) * (abs(v) or 1.0) for v in (x, y))
    return Points(x + dx, y + dy, dx, dy)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Problem, Reference]:
    """A small net whose border was followed to 1e-30 decades, and a reference there that converges."""
    problem, store = small(), tmp_path_factory.mktemp("store")
    return problem, reference_search.find_reference(problem, square("1e-30", 5), store, lambda words: None)


# ---- with rings and without --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-9, 1e-12, 1e-16, 1e-22, 1e-30])
def test_lanes_end_and_leave_as_they_do_without_rings(deep: tuple[Problem, Reference], size: float) -> None:
    problem, reference = deep
    columns = around(reference, size, 256)
    with_rings, without = DeepEngine(problem, reference), DeepEngine(problem, reference, rings=False)
    one, two = with_rings.follow(columns), without.follow(columns)
    assert max(ring.start for ring in with_rings._rings.values()) >= 16
    assert np.array_equal(one.field.status, two.field.status)
    assert np.mean(two.field.value < 0) > 0
    assert np.array_equal(one.field.escape_step, two.field.escape_step)
    assert np.array_equal(one.promotion_step, two.promotion_step)
    assert np.mean(np.abs(one.field.value / two.field.value - 1) < 1e-6) > 0.98


SMALL = {"width": 4, "examples": 8}

# A scene of each system that can be followed, and what makes its problem smaller.
FOLLOWED: dict[str, dict[str, Any]] = {
    "tiny": {},
    "relu": {},
    "linear": {},
    "mean_lr": {},
    "minibatch": {},
    "single": {},
    "width_4": {"examples": 8},
    "momentum": SMALL,
    "phases": {"width": 4, "inputs": 3, "examples": 8, "teacher_width": 2, "batch": 4},
    "cosine_additive": {},
    "cosine_multiplicative": {},
    "mandelbrot": {},
    "julia": {},
    "newton": {},
}


def converging(problem: Problem) -> tuple[Fraction, Fraction]:
    """The first place of a grid over the plane whose plain run converges."""
    side = 8  # none in the middle, where a part of a complex number is zero
    units = [Fraction(2 * i + 1, 2 * side) for i in range(side)]
    places = [(problem.x.value_from_unit(u), problem.y.value_from_unit(v)) for v in units for u in units]
    x, y = (np.array([float(place[i]) for place in places]) for i in range(2))
    value = engine.Engine(problem).run(x, y).value
    return tuple(Fraction(v) for v in places[int(np.flatnonzero(value < 0)[0])])  # type: ignore[return-value]


@pytest.mark.parametrize("name", FOLLOWED)
def test_every_system_with_a_rule_ends_as_without_rings(name: str) -> None:
    problem = small(name, steps=48, **FOLLOWED[name])
    reference = reference_run.make(problem, *converging(problem), 128)
    assert reference.converged
    columns = around(reference, 1e-13)
    with_rings, without = DeepEngine(problem, reference), DeepEngine(problem, reference, rings=False)
    one, two = with_rings.follow(columns), without.follow(columns)
    assert np.array_equal(one.field.status, two.field.status)
    assert np.array_equal(one.promotion_step, two.promotion_step)
    for channel, other in zip(one.field.channels().values(), two.field.channels().values(), strict=True):
        np.testing.assert_allclose(channel, other, rtol=1e-6)
    assert any(ring.start for ring in with_rings._rings.values()), "no ring did anything"


@pytest.mark.parametrize("name", ["own_init", "own_shuffle"])
def test_systems_that_draw_for_every_sample_have_no_rings(name: str) -> None:
    """They have no differences: a neighbour's draws are others. So nothing can be followed, by rings or without."""
    problem = scene.load(name).problem
    names = operations.hyperparameters(problem)
    shapes = jax.eval_shape(systems.make(problem).start, {name: jnp.ones(1) for name in names})
    state = tuple(np.ones((problem.steps + 1, *leaf.shape)) for leaf in jax.tree.leaves(shapes))
    with pytest.raises(RenderError, match=r'Use precision "float64"'):
        reference = Reference(Fraction(1), Fraction(1), 128, 0.0, -1.0, state)
        DeepEngine(problem, reference).follow(around(reference, 1e-12))


# ---- a sample is a function of its place ----------------------------------------------------------------------------


def test_neither_neighbours_nor_the_place_in_a_batch_change_a_bit(deep: tuple[Problem, Reference]) -> None:
    problem, reference = deep
    parts = [around(reference, size, 40, seed) for seed, size in enumerate((1e-12, 1e-16, 1e-29))]
    joined = Points.join(parts)
    shuffled = np.random.default_rng(0).permutation(len(joined))
    at_once = DeepEngine(problem, reference).follow(joined).field
    mixed = DeepEngine(problem, reference).follow(joined.at(shuffled)).field
    alone = [DeepEngine(problem, reference).follow(columns).field.value for columns in parts]
    assert np.array_equal(at_once.value[shuffled], mixed.value)
    assert np.array_equal(at_once.value, np.concatenate(alone))


def test_three_quarters_of_a_tile_are_new_and_one_has_its_parents_bits(deep: tuple[Problem, Reference]) -> None:
    problem, reference = deep
    level = 70
    ix, iy = (
        int(axis.unit_from_value(value) * 2**level) if hasattr(axis, "unit_from_value") else _tile(axis, value, level)
        for axis, value in ((problem.x, reference.x), (problem.y, reference.y))
    )
    tile = Tile(level, ix - ix % 2, iy - iy % 2)
    rows, columns = (v.ravel() for v in np.indices((32, 32)))
    engine_ = DeepEngine(problem, reference)
    fields = [
        engine_.train(references.points(problem, each, rows, columns, reference)).value.reshape(32, 32)
        for each in (tile, tile.parent)
    ]
    child, parent = fields
    assert np.array_equal(child[::2, ::2], parent[tile.parent_quadrant])
    assert max(ring.start for ring in engine_._rings.values()) > 0


def _tile(axis, value: Fraction, level: int) -> int:  # type: ignore[no-untyped-def]
    """The tile of a level that a value lies in, by halving."""
    low, high = 0, 1 << level
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high)
            if Fraction(axis.value_from_unit(Fraction(middle, 1 << level), level)) <= value
            else (low, middle)
        )
    return low


@pytest.mark.parametrize("size", [1.0, 0.5, 0.75, 3e-300, 5e-324])
def test_a_ring_holds_sizes_up_to_its_own_and_above_the_next(size: float) -> None:
    for dx, dy in ((size, 0.0), (-size / 2, -size), (0.0, size)):
        (number,) = rings.number_of(np.array([dx]), np.array([dy]), (1.0, 1.0))
        assert Fraction(2) ** int(number - 1) < Fraction(size) <= Fraction(2) ** int(number)
    assert rings.number_of(np.zeros(1), np.zeros(1), (1.0, 1.0))[0] == rings.NONE
    assert [rings.scale_of(v) for v in (353.0, -0.3, 1.0, 0.0)] == [256.0, 0.25, 1.0, 1.0]


def test_the_nearer_the_longer(deep: tuple[Problem, Reference]) -> None:
    follower = DeepEngine(*deep)
    starts = [follower._ring(number, jax.devices()[0]).start for number in (-30, -40, -55, -70, -85, -100)]
    assert starts == sorted(starts)
    assert starts[-1] - starts[0] >= 64


# ---- what ends a ring -----------------------------------------------------------------------------------------------


def test_polynomials_are_exact_for_polynomials_and_refused_for_others() -> None:
    s_x, s_y = rings.PLACES.T
    smooth = np.stack([3 * s_x**8 - s_y, s_x**3 * s_y**5, np.zeros_like(s_x)], axis=1)
    coefficients = rings.fit(smooth, sums=False)
    assert coefficients is not None
    at = np.random.default_rng(0).uniform(-1, 1, (2, 50))
    evaluated = rings.evaluate(jnp.asarray(coefficients), *(jnp.asarray(v) for v in at))
    truth = np.stack([3 * at[0] ** 8 - at[1], at[0] ** 3 * at[1] ** 5, np.zeros(50)], axis=1)
    np.testing.assert_allclose(evaluated, truth, atol=1e-13)
    for other in (s_x**9 * s_y**2, np.abs(s_x + 0.3), np.where(s_x > 0.999, np.nan, s_x), 1 / (s_x - 1.1)):
        assert rings.fit(other, sums=False) is None
        assert rings.fit(other, sums=True) is None
    all_probes = np.ones((rings.PROBES, 1), dtype=np.int32)
    constant = rings.fit(all_probes, sums=False)
    assert constant is not None and np.array_equal(constant, all_probes[:1])
    all_probes[3] = 2
    assert rings.fit(all_probes, sums=False) is None


def planted(
    step: Callable[[jax.Array, jax.Array], jax.Array], monkeypatch: pytest.MonkeyPatch
) -> tuple[Problem, Reference]:
    """A system of one number that grows by 1.5 a step from how far x is above 1, with a kink of its own in the step."""
    p = scene.load("cosine_additive").problem
    problem = Problem(p.x, p.y, p.system, steps=200, measure="bounded", fixed=p.fixed, settings=p.settings)

    def start(hyper: systems.Hyper) -> dict[str, jax.Array]:
        x = hyper[problem.x.name]
        return {"w": x - 1.0, "above": 0.0 * x, "mass": 0.0 * x + 1.0}

    def moved(
        state: dict[str, jax.Array], hyper: systems.Hyper, t: jax.Array
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        w = 1.5 * state["w"]
        return {"w": w, "above": state["above"] + step(w, t), "mass": state["mass"]}, 0.5 + state["w"] * state["w"]

    monkeypatch.setattr(systems, "make", lambda _: systems.System(start, moved, 1e30))
    return problem, reference_run.make(problem, Fraction(1), Fraction(1, 4), 128)


KINKS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "max": lambda w: jnp.maximum(w, 0.0),
    "min": lambda w: jnp.minimum(w, 0.0),
    "abs": jnp.abs,
    "sign": jnp.sign,
    "floor": lambda w: jnp.floor(w + 1.0),
    "select": lambda w: jnp.where(w > 0, w, 0.1 * w),
    "reduce_max": lambda w: jnp.stack([w, 0.0 * w], axis=1).max(axis=1),
    "convert": lambda w: (w > 0).astype(jnp.float64),
}


@pytest.mark.parametrize("kink", KINKS)
def test_a_fold_ends_a_ring_even_where_no_probe_crosses_it(kink: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """w = 2^-40 s 1.5^t at the probes; a fold at 1e-8 is reached by 2 w between two phases, by w later."""
    fold = 1e-8
    problem, reference = planted(lambda w, t: KINKS[kink](w - fold), monkeypatch)
    followed = DeepEngine(problem, reference)
    ring = followed._ring(-40, jax.devices()[0])
    reached = np.log(fold / 2.0**-40) / np.log(1.5)
    ends = [end for end in (4, 8, 16, 32) if 2 * 2.0**-40 * 1.5**end < fold]
    assert ring.start == ends[-1] == 16 < reached
    columns = around(reference, 2.0**-40, 64)
    one = followed.follow(columns).field
    two = DeepEngine(problem, reference, rings=False).follow(columns).field
    np.testing.assert_allclose(one.value, two.value, rtol=1e-10)


def test_without_a_kink_the_same_ring_goes_on_until_probes_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, reference = planted(lambda w, t: w, monkeypatch)
    assert DeepEngine(problem, reference)._ring(-40, jax.devices()[0]).start > 32


def test_a_ring_ends_for_good_at_the_first_failure(
    deep: tuple[Problem, Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, reference = deep[0], dataclasses.replace(deep[1], kept_in=None)
    inner, calls = rings.fit, []

    def failing(values: np.ndarray, *, sums: bool) -> np.ndarray | None:
        calls.append(values)
        leaves = 6
        return None if leaves * 3 <= len(calls) - 1 < leaves * 4 else inner(values, sums=sums)

    monkeypatch.setattr(rings, "fit", failing)
    assert DeepEngine(problem, reference)._ring(-100, jax.devices()[0]).start == 16, (
        "the third phase, though the fifth is good"
    )


def test_a_ring_ends_before_the_tail_of_the_measure_and_of_its_reference(deep: tuple[Problem, Reference]) -> None:
    problem, reference = deep
    last = problem.steps - 20
    assert DeepEngine(problem, reference)._ring(-400, jax.devices()[0]).start <= last
    short = dataclasses.replace(reference, kept_in=None, states=tuple(leaf[:41] for leaf in reference.states))
    assert DeepEngine(problem, short)._ring(-400, jax.devices()[0]).start == 32


# ---- kept beside the reference --------------------------------------------------------------------------------------


def test_rings_are_kept_beside_their_reference_and_made_again_where_damaged(
    deep: tuple[Problem, Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, reference = deep
    columns = around(reference, 1e-20, 32)
    before = DeepEngine(problem, reference).follow(columns).field.value
    assert reference.kept_in is not None
    files = sorted(reference.kept_in.glob(f"{reference.key}-rings/*/*.npz"))
    assert files
    assert all(path.stat().st_size < 200_000 for path in files)
    (again,) = (r for r in references.load_all(reference.kept_in.parents[1], problem) if r.key == reference.key)

    fresh: list[int] = []
    inner = DeepEngine._made_ring

    def counted(self: DeepEngine, number: int, device: Any) -> Ring:
        fresh.append(number)
        return inner(self, number, device)

    monkeypatch.setattr(DeepEngine, "_made_ring", counted)
    assert np.array_equal(DeepEngine(problem, again).follow(columns).field.value, before)
    assert fresh == [], "all were kept"
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(bytes(content))
    assert np.array_equal(DeepEngine(problem, again).follow(columns).field.value, before)
    assert fresh, "damaged ones were made again"


def test_rings_of_other_numerics_lie_apart(tmp_path: Path) -> None:
    reference = Reference(Fraction(1), Fraction(2), 128, 0.0, -1.0, (np.zeros((3, 1)),), tmp_path)
    ring = storage.Ring(16, (np.ones((45, 3)), np.zeros((1, 1), dtype=np.int32)))
    storage.save(ring, reference, -40, {"kernel": 1})
    kept = storage.load(reference, -40, {"kernel": 1})
    assert kept is not None
    assert kept.start == 16
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(kept.leaves, ring.leaves, strict=True))
    assert storage.load(reference, -40, {"kernel": 2}) is None
    assert storage.load(reference, -41, {"kernel": 1}) is None
    alone = dataclasses.replace(reference, kept_in=None)
    storage.save(ring, alone, -40, {"kernel": 1})
    assert storage.load(alone, -40, {"kernel": 1}) is None


def test_numerics_tell_rings_from_none(deep: tuple[Problem, Reference]) -> None:
    with_rings, without = (DeepEngine(*deep, rings=on).numerics() for on in (True, False))
    assert with_rings["differences"] == numerics.DIFFERENCES_VERSION == 2
    assert with_rings != without


def test_a_film_that_trains_nothing_takes_no_tiles_of_another_version(
    deep: tuple[Problem, Reference], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, reference = deep
    described = DeepEngine(problem, reference).numerics()
    plain = DirectoryStore(tmp_path, problem, engine.Engine(problem).numerics())
    for version in (numerics.DIFFERENCES_VERSION - 1, numerics.DIFFERENCES_VERSION, numerics.DIFFERENCES_VERSION + 1):
        DirectoryStore(tmp_path, problem, described | {"differences": version})
    monkeypatch.setattr(reference_search, "reference_at", lambda *_: reference)
    places = Targets((Target(Fraction(1, 2), Fraction(1, 2), 1e-12, 40),))
    plan: Any = SimpleNamespace(targets=places, scene=SimpleNamespace(problem=problem))
    switched: Any = switch.existing_store(plan, tmp_path, plain)
    assert [store.numerics for store in switched.below] == [described]
