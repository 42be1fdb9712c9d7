"""The shipped scenes of own models: each against something that is known independently."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.geometry.axes import Axis
from render.problem import Problem
from tests.helpers import ROOT

FOLDER = ROOT / "scenes" / "own"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def loaded(name: str) -> Problem:
    return scene.load(FOLDER / f"{name}.toml").problem


def trained(problem: Problem, x: np.ndarray, y: np.ndarray):  # type: ignore[no-untyped-def]
    from render.train import engine

    return engine.Engine(problem).run(x, y)


def test_every_scene_has_its_file_and_its_poster_and_is_on_the_page() -> None:
    page = (ROOT / "assets/docs/own_model.md").read_text()
    assert len(NAMES) >= 4
    for name in NAMES:
        assert (FOLDER / f"{name}.py").is_file() and (ROOT / f"assets/own/{name}.png").is_file()
        assert f"| `{name}` |" in page and f"(../own/{name}.png)" in page
        assert scene.find(name).resolve() == (FOLDER / f"{name}.toml").resolve()
        assert scene.load(name).text.startswith("#:schema ../scene.schema.json\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_trains_in_the_same_bits_whatever_its_neighbours(name: str) -> None:
    """Two blocks of runs, and some of them alone. The file needs no trust, since it comes with the program."""
    problem = loaded(name)
    problem = Problem(problem.x, problem.y, problem.system, steps=25, fixed=problem.fixed, settings=problem.settings)
    rng = np.random.default_rng(3)
    x, y = (
        np.array([float(axis.value_from_unit(Fraction(u).limit_denominator(1000))) for u in rng.uniform(0, 1, 20)])
        for axis in (problem.x, problem.y)
    )
    together, some = trained(problem, x, y), trained(problem, x[5:8], y[5:8])
    for a, b in zip(together, some, strict=True):
        assert np.array_equal(a[5:8], b, equal_nan=True)


def test_the_published_network_of_a_users_file_ends_as_the_built_in_one() -> None:
    """On 99.9 % of the plane of its rates.

    Most runs have the same bits. XLA groups the sums of the two programs differently, and a chaotic run amplifies a
    bit at every step, so that the values of others differ: by less than 1e-9 of them for nearly all.
    """
    from_file = loaded("own_published")
    built_in = Problem(from_file.x, from_file.y, "mlp", steps=500)
    rng = np.random.default_rng(0)
    x, y = 10 ** rng.uniform(-3, 6, 1024), 10 ** rng.uniform(-3, 6, 1024)
    a, b = trained(from_file, x, y), trained(built_in, x, y)
    same = np.sign(a.value) == np.sign(b.value)
    assert same.mean() >= 0.999
    assert (a.value == b.value).mean() > 0.5
    assert np.isclose(a.value, b.value, rtol=1e-9).mean() > 0.97


def test_the_edge_of_stability_is_where_linear_algebra_puts_it() -> None:
    """2 over the largest eigenvalue of the Hessian at the minimum, by NumPy alone."""
    problem = loaded("own_logistic")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2)) * [1.0, 3.0]
    side = np.where(x @ [1.0, -0.5] + rng.standard_normal(40) > 0, 1.0, -1.0)
    x = x * side[:, None]
    decays = 10 ** np.linspace(-3, 1, 25)
    edges = []
    for l2 in decays:
        w = np.zeros(2)
        for _ in range(50):
            p = 1 / (1 + np.exp(x @ w))
            hessian = (x * (p * (1 - p))[:, None]).T @ x / 40 + l2 * np.eye(2)
            w -= np.linalg.solve(hessian, -x.T @ p / 40 + l2 * w)
        edges.append(2 / np.linalg.eigvalsh(hessian)[-1])
    inside = trained(problem, np.array(edges) * (1 - 1e-3), decays)
    outside = trained(problem, np.array(edges) * (1 + 1e-3), decays)
    assert (inside.value < 0).all()
    assert (outside.value > 0).all()


def test_decoupled_weight_decay_has_its_own_edge() -> None:
    """Over half a cosine, weights grow where lr * decay is above 4: nothing can hold them there (see the scene)."""
    problem = loaded("own_adamw")
    problem = Problem(problem.x, problem.y, problem.system, settings=problem.settings, fixed=problem.fixed)
    lr = np.array([1.0, 3.0, 10.0, 30.0])
    assert (trained(problem, lr, 6.0 / lr).final_loss > 1e3).all()
    assert (trained(problem, lr, 2.8 / lr).final_loss < 1e3).all()


def test_the_convolution_is_the_one_that_numpy_writes_out() -> None:
    problem = loaded("own_convolution")
    import jax

    from render.train import own_code, systems

    module = own_code.module(problem)
    settings = problem.settings_as(problem.row.settings_type)
    images, digits = module.data(settings)
    assert images.shape == (30, 1, 8, 8) and images.std() == pytest.approx(1)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        params = jax.tree.map(np.asarray, module.init(jax.random.key(0), settings))
    maps = np.empty((30, 4, 3, 3))
    for i in range(3):
        for j in range(3):
            patch = images[:, 0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            maps[:, :, i, j] = np.einsum("nab,fab->nf", patch, params["filters"][:, 0])
    expected = np.mean((np.tanh(maps).reshape(30, -1) @ params["output"] - digits) ** 2)
    system = systems.make(problem)
    hyper = {"lr_filters": jax.numpy.ones(1), "lr_output": jax.numpy.ones(1)}
    _, loss = system.step(system.start(hyper), hyper, jax.numpy.int32(0))
    assert float(loss[0]) == pytest.approx(expected, rel=1e-12)


def test_a_plane_of_the_published_file_is_that_of_the_paper() -> None:
    problem = loaded("own_published")
    assert (problem.x, problem.y) == (
        Axis("lr_input", "log10", Fraction(-3), Fraction(6)),
        Axis("lr_output", "log10", Fraction(-3), Fraction(6)),
    )
    assert Path(scene.find("own_published")).suffix == ".toml"
