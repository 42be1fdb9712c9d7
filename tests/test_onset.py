"""The bench part `onset`: the rows of the table in assets/docs/chaos.md, on fewer nets and rates."""

from __future__ import annotations

import numpy as np
import pytest

from render.train import engine
from tests.bench import onset


def test_rows_count_the_runs_of_their_own_rates_and_the_fastest_are_a_little_inside_chaos() -> None:
    """One net, two rates a row: every figure from runs of this test's own at the row's rates."""
    rows = list(onset.measured(8, range(1), 48))
    assert len(rows) == onset.ROWS
    assert [row.high for row in rows[:-1]] == [row.low for row in rows[1:]]
    kernel = engine.Engine(onset.problem(0, 8))
    for row in rows[6:13:3]:
        rates = row.low * (row.high / row.low) ** np.array([0.25, 0.75])
        field = kernel.run(rates, np.zeros(2))
        below = field.more["steps_to_loss"]
        assert row.arrive == np.isfinite(below).mean()
        assert row.escape == (field.escape_step >= 0).mean() == 0
        assert row.steps == (np.median(below[np.isfinite(below)]) if row.arrive else pytest.approx(np.nan, nan_ok=True))
        np.testing.assert_allclose(row.exponent, np.median(field.more["lyapunov"]), atol=1e-4)
    assert (rows[-1].arrive, rows[-1].escape) == (0, 1)
    arriving = [row for row in rows if row.arrive == 1]
    fastest = min(arriving, key=lambda row: row.steps)
    assert 4 < fastest.low < 24
    assert 0 < fastest.exponent < 0.03
