"""The six published conditions as data, and their random draws, as in the published code and the figure's windows.

`python -m tests.helpers.published` evaluates the oracle on 20 x 20 samples of every published window and compares
them with the figure (numpy 2, one core; a share of 400 samples is good to about two points):

    condition  converged (figure)  mask agreement  Spearman   time
    linear         50.0% ( 49.5%)           99.5%      0.94     5 s
    relu           43.0% ( 42.2%)           97.8%      0.94    12 s
    single         37.0% ( 32.0%)           93.0%      0.73     1 s
    minibatch      35.0% ( 31.5%)           96.5%      0.97    11 s
    tanh           55.0% ( 52.0%)           95.0%      0.74    14 s
    offset         76.0% ( 81.8%)           79.8%      0.70    15 s
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tests.helpers import ROOT

if TYPE_CHECKING:
    from render.problem import Problem

PANELS = ROOT / "tests" / "data" / "published_panels.npz"
PANEL_SIDE = 96  # samples along each side of a stored panel, ends of the window included


class Condition(NamedTuple):
    """One published condition and its window; the ends are values as printed on the figure."""

    name: str
    activation: Literal["tanh", "relu", "identity"]
    examples: int | Literal["parameters", "inputs"]
    batch: int | None
    steps: int
    names: tuple[str, str]  # what x and y are
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]
    dimension: float  # as printed above the panel
    converged: float  # share of the figure's pixels
    agreement: float  # least mask agreement measured at 96 to 128 samples a side (not a test for "offset")
    correlation: float  # Spearman correlation measured there

    def values(self, count: int = PANEL_SIDE) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` x and `count` y values, evenly spaced in log10 with both ends."""
        return _spread(*self.x_ends, count), _spread(*self.y_ends, count)


_RATES = ("lr_input", "lr_output")
CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition(
            *("linear", "identity", "inputs", None, 1000, _RATES),
            *(("1.90010080e+2", "1.90011840e+2"), ("4.77745244", "4.77749670")),
            *(1.17, 0.507, 0.97, 0.84),
        ),
        Condition(
            *("relu", "relu", "parameters", None, 500, _RATES),
            *(("5.77622737e-1", "5.77625590e-1"), ("8.14432439e+1", "8.14436463e+1")),
            *(1.20, 0.438, 0.989, 0.97),
        ),
        Condition(
            *("single", "tanh", 1, None, 500, _RATES),
            *(("4.8298735e+1", "4.8299146e+1"), ("1.82066141e+1", "1.82067690e+1")),
            *(1.41, 0.330, 0.94, 0.80),
        ),
        Condition(
            *("minibatch", "tanh", "parameters", 16, 1000, _RATES),
            *(("2.67398835471957e-1", "2.67398835475071e-1"), ("1.74269509700711e+2", "1.74269509702741e+2")),
            *(1.55, 0.342, 0.967, 0.95),
        ),
        Condition(
            *("tanh", "tanh", "parameters", None, 500, _RATES),
            *(("1.329976231e+1", "1.329978604e+1"), ("2.003582269e+2", "2.003585844e+2")),
            *(1.66, 0.574, 0.946, 0.82),
        ),
        Condition(
            *("offset", "tanh", "parameters", None, 500, ("offset", "lr")),
            *(("1.960618282403e-1", "1.960618285243e-1"), ("3.90254607863e+1", "3.90254608429e+1")),
            *(1.98, 0.842, 0.71, 0.70),
        ),
    )
}


class Draws(NamedTuple):
    """Initial weights (a matrix per layer), inputs [examples, n], targets [examples, 1], batches [steps, batch]."""

    weights: list[np.ndarray]
    inputs: np.ndarray
    targets: np.ndarray
    batches: np.ndarray | None


def draws(
    *,
    width: int = 16,
    depth: int = 2,
    examples: int | str = "parameters",
    batch: int | None = None,
    steps: int = 500,
    seed: int = 0,
) -> Draws:
    """Draw everything random through jax.random, in the published order; JAX's settings are left as found.

    Only seed 0 is published. The minibatches' seed is 42 whatever `seed` is, and they depend on `steps`.
    """
    import jax

    n, shapes = width, [(width, width)] * (depth - 1) + [(width, 1)]
    count = (
        examples if isinstance(examples, int) else {"parameters": sum(a * b for a, b in shapes), "inputs": n}[examples]
    )
    with jax.enable_x64(True), jax.threefry_partitionable(False):
        random = jax.random
        k = random.PRNGKey(seed)
        k, use = random.split(k)
        keys = random.split(use, depth)
        weights = [np.array(random.normal(key, shape)) for key, shape in zip(keys, shapes, strict=True)]
        k, use = random.split(k)
        inputs = np.array(random.normal(use, (count, n)))
        k, use = random.split(k)
        targets = np.array(random.normal(use, (count, 1)))
        batches = None
        if batch is not None:
            step_keys = random.split(random.PRNGKey(42), steps)
            batches = np.array(jax.vmap(lambda key: random.randint(key, (batch,), 0, count))(step_keys))
    assert inputs.dtype == np.float64
    return Draws(weights, inputs, targets, batches)


def condition_draws(condition: Condition) -> Draws:
    """Return the draws of a published condition."""
    return draws(examples=condition.examples, batch=condition.batch, steps=condition.steps)


def problem_of(condition: Condition) -> Problem:
    """Return the condition as a problem of `render`, over the whole published plane."""
    from render.geometry.axes import Axis
    from render.problem import Problem

    x, y = (Axis(name, "log10", Fraction(-3), Fraction(6)) for name in condition.names)
    return Problem(
        x, y, activation=condition.activation, examples=condition.examples, batch=condition.batch, steps=condition.steps
    )


def panel(name: str) -> np.ndarray:
    """Return a published panel: uint8 [96, 96] indices into Spectral, row 0 lowest y; > 127 means converged."""
    with np.load(PANELS) as panels:
        return panels[name]


def _spread(lo: str, hi: str, count: int) -> np.ndarray:
    # Extended precision: the minibatch window is 5e-12 decades wide, so float64 positions would be 1e-4 of it off.
    ends = np.log10(np.array([np.longdouble(lo), np.longdouble(hi)]))
    positions = ends[0] + (ends[1] - ends[0]) * np.arange(count, dtype=np.longdouble) / (count - 1)
    return (np.longdouble(10) ** positions).astype(np.float64)


def main() -> None:
    """Compare the oracle with every panel on each fifth sample of 96 x 96, and print a table."""
    import time

    from scipy.stats import spearmanr

    from tests.helpers import oracle

    print("condition  converged (figure)  mask agreement  Spearman   time")
    for condition in CONDITIONS.values():
        start = time.perf_counter()
        xs, ys = (values[::5] for values in condition.values())
        x, y = (grid.ravel() for grid in np.meshgrid(xs, ys))
        result = [
            oracle.run(
                *condition_draws(condition),
                activation=condition.activation,
                steps=condition.steps,
                names=condition.names,
                x=x[lanes],
                y=y[lanes],
            ).value
            for lanes in np.array_split(np.arange(x.size), 20)  # 20 lanes at a time fit the cache
        ]
        value, index = np.concatenate(result), panel(condition.name)[::5, ::5].ravel()
        print(
            f"{condition.name:9}  {np.mean(value < 0):9.1%} ({np.mean(index > 127):6.1%})"
            f"  {np.mean((value < 0) == (index > 127)):14.1%}"
            f"  {spearmanr(-value, index).statistic:8.2f}  {time.perf_counter() - start:4.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
