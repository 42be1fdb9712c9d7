"""Runs in as many bits as they need: against programs of their own, closed forms, and as `render probe` writes them."""

import csv
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest

from render import scene
from render.errors import RenderError
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.samples import Status
from render.storage import exact_runs
from render.tools import probe
from render.train import engine
from render.train.past_float64 import exact_run
from render.train.past_float64.exact_run import ExactEngine
from tests.helpers import exact, published
from tests.helpers.deep import small, square


@pytest.mark.parametrize("name", ["tiny", "relu", "mean_lr", "minibatch", "linear", "single"])
def test_every_published_condition_has_the_outcome_of_a_program_written_by_hand(name: str) -> None:
    problem = small(name, steps=40)
    chosen = problem.settings_as(MlpSettings)
    draws = published.draws(width=4, examples=chosen.examples, steps=40, batch=chosen.batch)
    last = scene.load(name).keyframes[-1].view
    x, y = (Fraction(axis.value_from_unit(u)) for axis, u in ((problem.x, last.x), (problem.y, last.y)))
    run = ExactEngine(problem).run(x, y)
    truth = exact.run(draws, chosen.activation, 40, (problem.x.name, problem.y.name), x, y, bits=512)
    assert run.outcome["value"] == pytest.approx(truth, rel=1e-12)
    assert (run.outcome["status"] == Status.CONVERGED) == (truth < 0)


def test_points_that_float64_cannot_tell_apart_have_outcomes_of_their_own() -> None:
    problem, points = small(), square("1e-22", 2)
    draws = published.draws(width=4, examples=8, steps=200)
    truth = [exact.run(draws, "tanh", 200, (problem.x.name, problem.y.name), *point, bits=512) for point in points]
    runs = [ExactEngine(problem).run(*point) for point in points]
    assert len({float(point.x) for point in points}) == 1
    assert len(set(truth)) == 4
    assert [run.outcome["value"] for run in runs] == pytest.approx(truth, rel=1e-12)


def doubled_angles(z: Fraction, steps: int) -> np.ndarray:
    """The losses abs(z_t) / 2 of z -> z^2 - 2 from z = 2 cos a, where z_t = 2 cos(2^t a), in 4,096 bits."""
    before, flint.ctx.prec = flint.ctx.prec, 4096
    angle = (flint.arb(flint.fmpq(z.numerator, z.denominator)) / 2).acos()
    losses = [abs(float((angle * 2**t).cos())) for t in range(steps)]
    flint.ctx.prec = before
    return np.array(losses)


def chaotic() -> Problem:
    """z -> z^2 - 2, which loses a bit or two at every step."""
    p = scene.load("julia").problem
    return Problem(p.x, p.y, "julia", steps=200, fixed=[("c_re", -2.0), ("c_im", 0.0)])


def test_a_run_takes_as_many_bits_as_its_chaos_eats() -> None:
    z = Fraction(11, 8)
    losses = doubled_angles(z, 200)
    run = ExactEngine(chaotic()).run(z, Fraction(0))
    assert np.mean(losses[-20:]) < 1
    assert run.outcome["value"] == pytest.approx(-losses.sum(), rel=1e-12)
    assert run.outcome["final_loss"] == pytest.approx(losses[-1], rel=1e-12)
    assert run.bits >= 200 + 53
    plain = engine.Engine(chaotic()).run(np.array([float(z)]), np.array([0.0]))
    assert abs(plain.value[0] + losses.sum()) > 1, "float64 loses its way"


def test_a_run_that_escapes_ends_there_as_the_plain_engine_says() -> None:
    problem = scene.load("mandelbrot").problem
    plain = engine.Engine(problem).run(np.array([0.5, -0.1]), np.array([0.5, 0.1]))
    runs = [ExactEngine(problem).run(Fraction(x), Fraction(y)) for x, y in ((0.5, 0.5), (-0.1, 0.1))]
    for i, run in enumerate(runs):
        for name, channel in plain.channels().items():
            assert run.outcome[name] == pytest.approx(channel[i], rel=1e-10), name
    assert [run.outcome["status"] for run in runs] == [Status.ESCAPED, Status.CONVERGED]


def test_what_a_system_measures_besides_is_that_of_its_last_state() -> None:
    problem = scene.load("newton").problem
    run = ExactEngine(problem).run(Fraction(-1, 2), Fraction(4, 5))
    assert run.outcome["root"] == 1.0, "the nearest root is exp(2 pi i / 3)"


def test_a_run_that_no_number_of_bits_decides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_run, "_MOST_BITS", 200)
    with pytest.raises(RenderError, match=r"x = 1\.4285714285714286, y = 0\.0 .* still changes at 200 bits"):
        ExactEngine(chaotic()).run(Fraction(10, 7), Fraction(0))


@pytest.mark.parametrize("name", ["own_init", "own_shuffle"])
def test_own_draws_have_no_run_but_that_of_float64(name: str) -> None:
    with pytest.raises(RenderError, match=r'no rule in arbitrary precision. Use precision "float64"'):
        ExactEngine(scene.load(name).problem).run(Fraction(1), Fraction(1))


# ---- as a person meets it -------------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_probe_says_the_bits_and_keeps_every_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = scene.load("newton", settings=["problem.steps=60"])
    store, table, out = tmp_path / "store", tmp_path / "p.csv", tmp_path / "v.csv"
    deep = "0." + "3" * 60
    table.write_text(f"x,y\n{deep},1.5\n-0.5,0.8\n")
    remarks: list[str] = []
    probe.run(loaded, table, out, precision="exact", store=store, report_step=remarks.append)
    rows = rows_of(out)
    assert list(rows[0]) == [*probe.COLUMNS, "root", "bits"]
    assert [row["x"] for row in rows] == [deep, "-0.5"]
    assert all(int(row["bits"]) >= 192 for row in rows)
    assert "exact run 1 of 2, 128 bits: 0 %" in remarks
    first = ExactEngine(loaded.problem).run(Fraction(Decimal(deep)), Fraction(3, 2))
    assert float(rows[0]["value"]) == first.outcome["value"]

    damaged, *others = (store / loaded.problem.key / "exact").glob("*.json")
    assert len(others) == 1
    points_run: list[tuple[Fraction, Fraction]] = []
    inner = ExactEngine.run

    def counted(engine: ExactEngine, x: Fraction, y: Fraction, report: exact_run.Report) -> exact_runs.ExactRun:
        points_run.append((x, y))
        return inner(engine, x, y, report)

    monkeypatch.setattr(ExactEngine, "run", counted)
    before = out.read_bytes()
    probe.run(loaded, table, out, precision="exact", store=store)
    assert not points_run
    assert out.read_bytes() == before
    damaged.write_bytes(damaged.read_bytes()[:40])
    probe.run(loaded, table, out, precision="exact", store=store)
    assert len(points_run) == 1, "what cannot be read is computed again"
    assert out.read_bytes() == before


def test_an_outcome_of_another_place_or_version_is_not_taken(tmp_path: Path) -> None:
    problem, x, y = scene.load("newton").problem, Fraction(1, 3), Fraction(2, 3)
    run = exact_runs.ExactRun(x, y, 192, dict.fromkeys(problem.channels, 1.0))
    path = exact_runs.save(run, tmp_path, problem)
    assert exact_runs.load(tmp_path, problem, x, y) == run
    assert exact_runs.load(tmp_path, problem, y, x) is None
    for written in ('"version": 1', f'"{x}"'):
        path.write_text(path.read_text().replace(written, written.replace("1", "2")))
        assert exact_runs.load(tmp_path, problem, x, y) is None
        exact_runs.save(run, tmp_path, problem)
    for text in ("", "[]", "{}", "null"):
        path.write_text(text)
        assert exact_runs.load(tmp_path, problem, x, y) is None
