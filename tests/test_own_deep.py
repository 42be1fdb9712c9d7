"""A user's file followed past float64: its differences from a reference run are those of the runs themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.problem import Problem
from render.scene import own_files
from render.storage import trust
from tests.helpers import ROOT
from tests.helpers.own import NET, SCENE

# Programs whose lanes are not the first axis of every product, or are merged with others on the way.
MODELS = {
    "rows": NET,
    "minibatches": NET.replace("steps = 12", "steps = 12\nbatch = 4"),
    "columns": NET.replace("    return x, np", "    return x.T, np").replace(
        "(jnp.tanh(x @ params[\"w\"]) @ params[\"v\"] - y)", "(params[\"v\"] @ jnp.tanh(params[\"w\"].T @ x) - y)"
    ).replace("x[:, 0] * x[:, 1]", "x[:, 0] * x[:, 2]"),
    "a function of one example": NET.replace(
        "(jnp.tanh(x @ params[\"w\"]) @ params[\"v\"] - y)",
        "(jax.vmap(lambda one: jnp.tanh(one @ params[\"w\"]) @ params[\"v\"])(x) - y)",
    ),
    "merged axes": NET.replace(
        "jnp.tanh(x @ params[\"w\"]) @ params[\"v\"]",
        "(jnp.tanh(jnp.einsum('ei,iu->eu', x, params[\"w\"])).reshape(3, 3, -1).transpose(1, 0, 2).reshape(9, -1)"
        " @ params[\"v\"])",
    ),
    "initial weights by hyperparameter": NET.replace("init(key, settings)", "init(key, settings, hyper)").replace(
        "jax.random.normal(b,", "(1 + hyper['decay']) * jax.random.normal(b,"
    ),
    "outer products": NET.replace("jnp.mean((", "jnp.mean(jnp.outer(params[\"v\"], params[\"v\"]) ** 2) + jnp.mean(("),
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and a user who trusts nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def followed(problem: Problem, x: float, y: float, dx: np.ndarray, dy: np.ndarray, steps: int) -> float:
    """Return the largest error of differences after some steps, over the largest difference of the same array."""
    import jax
    import jax.numpy as jnp

    from render.train import systems
    from render.train.past_float64.differences import Differences

    names, lanes = (problem.x.name, problem.y.name), dx.size
    fixed = dict(problem.fixed)

    def hyper(a: np.ndarray, b: np.ndarray, *, change: bool = False) -> dict[str, jax.Array]:
        rest = {name: jnp.full(a.size, 0.0 if change else value) for name, value in fixed.items()}
        return {names[0]: jnp.asarray(a), names[1]: jnp.asarray(b)} | rest

    system = systems.make(problem)
    differences = Differences(system, "own")
    ref, moved_hyper = hyper(np.array([x]), np.array([y])), hyper(x + dx, y + dy)
    change = hyper((x + dx) - x, (y + dy) - y, change=True)
    step = jax.jit(system.step)
    deep = jax.jit(lambda r, c, t: differences.step(r, c, t)[0])
    reference, state, moved = system.start(ref), system.start(moved_hyper), differences.start(ref, change)
    for t in range(steps):
        moved = deep((reference, ref), (moved, change), jnp.int32(t))
        reference, state = step(reference, ref, jnp.int32(t))[0], step(state, moved_hyper, jnp.int32(t))[0]
    worst = 0.0
    for r, s, m in zip(*map(jax.tree.leaves, (reference, state, moved)), strict=True):
        if not jnp.issubdtype(s.dtype, jnp.floating):
            continue
        true = np.asarray(s - jnp.broadcast_to(r, s.shape))
        assert m.shape == s.shape and m.shape[0] == lanes
        if np.abs(true).max() > 0:
            worst = max(worst, float(np.abs(np.asarray(m) - true).max() / np.abs(true).max()))
    return worst


@pytest.mark.parametrize("name", MODELS)
def test_differences_of_a_users_file_are_those_of_its_runs(name: str) -> None:
    """Lanes apart by a thousandth, so that subtracting the runs themselves still has ten digits."""
    Path("net.py").write_text(MODELS[name])
    Path("net.toml").write_text(SCENE)
    own_files.trusted("net.py")
    problem = scene.load("net.toml").problem
    rng = np.random.default_rng(0)
    dx, dy = 1e-3 * rng.uniform(0.5, 1, 6), 1e-3 * rng.uniform(0.5, 1, 6)
    assert followed(problem, 0.05, 0.3, dx, dy, steps=10) < 1e-9


def test_differences_of_a_shipped_file_are_those_of_its_runs() -> None:
    problem = scene.load(ROOT / "scenes" / "own" / "own_published.toml").problem
    rng = np.random.default_rng(0)
    dx, dy = 1e-3 * rng.uniform(0.5, 1, 4), 1e-3 * rng.uniform(0.5, 1, 4)
    assert followed(problem, 0.5, 0.7, dx, dy, steps=6) < 1e-9
