"""Whether training is fastest at the onset of chaos: steps to a loss and Lyapunov exponents over the learning rate.

    python -m tests.bench onset            the table of assets/docs/chaos.md: width 8
    python -m tests.bench onset 16         the same at another width

Tanh nets of `mlp` with one learning rate for both layers. Runs of all nets whose rates lie in the same eighth of a
decade make one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from render import backends
from render.backends import single_points
from render.geometry.axes import Axis
from render.problem import Problem
from render.samples import Points

# Rates from 10^-0.5 to 10^2.5, in the middle of as many equal parts of that range, and parts in a row of the table.
LOW_LOG10, HIGH_LOG10, RATES, ROWS = -0.5, 2.5, 144, 24

SEEDS = range(8)

# A run has arrived where its loss is first below this.
THRESHOLD = 0.1


class Row(NamedTuple):
    """Runs with rates from low to high: shares from 0 to 1 that arrive and escape, medians of steps and of exponents.

    steps: of the runs that arrive; exponent: of those that do not escape. nan where there are none.
    """

    low: float
    high: float
    arrive: float
    escape: float
    steps: float
    exponent: float


def problem(seed: int, width: int, steps: int = 500) -> Problem:
    """Return the training of one net, observed; its second axis, the offset, is not used: every point has 0."""
    rate, unused = Axis("lr", "log10", Fraction(-1), Fraction(3)), Axis("offset", "linear", Fraction(0), Fraction(1))
    asked = (("lyapunov", 1), ("steps_to_loss", THRESHOLD))
    return Problem(rate, unused, "mlp", width=width, examples=64, steps=steps, seed=seed, observe=asked)


def measured(width: int, seeds: range = SEEDS, rates: int = RATES) -> Iterator[Row]:
    """Yield the rows of the table, from small rates to large ones."""
    logs = LOW_LOG10 + (HIGH_LOG10 - LOW_LOG10) * (np.arange(rates) + 0.5) / rates
    x = 10.0**logs
    channels = {name: np.empty((len(seeds), rates)) for name in ("lyapunov", "steps_to_loss", "escape_step")}
    for net, seed in enumerate(seeds):
        points = Points(x, np.zeros(rates))
        for piece, field in single_points.train(backends.make("local", problem(seed, width)), points):
            for name, values in channels.items():
                values[net, piece] = field.channels()[name]
    row_of = np.floor((logs - LOW_LOG10) / (HIGH_LOG10 - LOW_LOG10) * ROWS).astype(int)
    edges = 10 ** np.linspace(LOW_LOG10, HIGH_LOG10, ROWS + 1)
    for row in np.unique(row_of):
        part = {name: values[:, row_of == row] for name, values in channels.items()}
        steps, escaped = part["steps_to_loss"], part["escape_step"] >= 0
        yield Row(
            low=float(edges[row]),
            high=float(edges[row + 1]),
            arrive=float(np.isfinite(steps).mean()),
            escape=float(escaped.mean()),
            steps=_median(steps[np.isfinite(steps)]),
            exponent=_median(part["lyapunov"][~escaped]),
        )


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")
