"""Training by differences: against runs written out by hand in arbitrary precision, and against the plain engine."""

import csv
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.deep import reference_search
from render.deep.reference_search import Point
from render.problem import Problem
from render.problem.catalogue.settings import MlpSettings
from render.storage import references
from render.train import engine
from render.train.past_float64 import difference_engine as engines
from render.train.past_float64 import reference_run
from tests.helpers import exact, oracle, published
from tests.helpers.command import refused, run_here
from tests.helpers.deep import small, square


def followed(problem: Problem, points: list[Point], reference: references.Reference) -> engines.Results:
    return engines.DeepEngine(problem, reference).follow(reference_search.in_float64(points, reference))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("width", ["1e-12", "1e-16", "1e-22", "1e-30"])
def test_signs_and_values_are_those_of_256_bits(width: str, store: Path) -> None:
    problem, points = small(), square(width, 5)
    reference = reference_search.find_reference(problem, points, store, lambda words: None)
    mine = followed(problem, points, reference).field.value
    draws = published.draws(width=4, examples=8, steps=200)
    names = problem.x.name, problem.y.name
    truth = np.array([exact.run(draws, "tanh", 200, names, p.x, p.y) for p in points])
    assert 0 < np.mean(truth < 0) < 1, "a view without a border says nothing"
    assert np.mean((mine < 0) == (truth < 0)) >= 0.99
    assert np.mean(np.abs(mine - truth) <= 1e-3 * np.abs(truth)) >= 0.95
    if width == "1e-30":
        plain = engine.Engine(problem).train(reference_search.in_float64(points)).value
        assert len(set(plain)) == 1, "plain float64 sees one point where there are 25"


def test_the_oracle_in_long_double_is_nearer_to_256_bits_than_in_float64() -> None:
    """It is what the table of assets/docs/deep.md rests on where 256 bits are too slow."""
    points, draws = square("1e-9", 2), published.draws(width=4, examples=8, steps=100)
    truth = np.array([exact.run(draws, "tanh", 100, ("lr_input", "lr_output"), *point) for point in points])
    errors = []
    for number in (np.longdouble, np.float64):
        x, y = (
            np.array([number(float(v)) + number(float(v - Fraction(float(v)))) for v in c])
            for c in zip(*points, strict=True)
        )
        value = oracle.run(*draws, activation="tanh", steps=100, names=("lr_input", "lr_output"), x=x, y=y).value
        errors.append(np.max(np.abs(value / truth - 1)))
    assert errors[0] < errors[1] / 100


@pytest.mark.parametrize("name", ["relu", "mean_lr", "minibatch", "linear", "single"])
def test_every_published_condition_at_a_depth_of_twenty_decades(name: str, store: Path) -> None:
    problem = small(name, steps=40)
    settings = problem.settings_as(MlpSettings)
    draws = published.draws(
        width=4, examples=settings.examples if isinstance(settings.examples, int) else 8, steps=40, batch=settings.batch
    )
    path = scene.load(name).path(scene.load(name).output)
    view = path.view(path.length)
    names, activation = (problem.x.name, problem.y.name), settings.activation
    base = Point(
        *(Fraction(a.value_from_unit(v)) for a, v in zip((problem.x, problem.y), (view.x, view.y), strict=True))
    )
    shift = [Fraction(0), Fraction(3, 10**20), Fraction(-7, 10**21)]
    points = [Point(base.x * (1 + a), base.y * (1 + b)) for a in shift for b in shift]
    reference = reference_run.make(problem, *base, 256)
    mine = followed(problem, points, reference).field
    truth = np.array([exact.run(draws, activation, 40, names, p.x, p.y) for p in points])
    np.testing.assert_allclose(mine.value, truth, rtol=1e-9)


@pytest.mark.parametrize("name", ["mandelbrot", "newton"])
def test_where_float64_is_right_both_engines_agree(name: str) -> None:
    problem = small(name, steps=12)
    rng = np.random.default_rng(0)
    units = rng.uniform(0.45, 0.55, (100, 2))
    points = [
        Point(*(Fraction(a.value_from_unit(Fraction(u))) for a, u in zip((problem.x, problem.y), pair, strict=True)))
        for pair in units
    ]
    plain = engine.Engine(problem).train(reference_search.in_float64(points))
    start = points[int(np.argmax(np.where(plain.escape_step < 0, np.iinfo(np.int32).max, plain.escape_step)))]
    result = followed(problem, points, reference_run.make(problem, *start, 128))
    assert np.array_equal(result.field.status, plain.status)
    assert np.mean(np.abs(result.field.value - plain.value) <= 1e-6 * np.abs(plain.value)) > 0.97


# ---- as a person meets it -------------------------------------------------------------------------------------------


def test_probe_takes_any_number_of_digits_and_keeps_the_reference(tmp_path: Path) -> None:
    points = square("1e-18", 3)
    with localcontext() as context:
        context.prec = 45
        texts = [[str(Decimal(v.numerator) / Decimal(v.denominator)) for v in point] for point in points]
    table = tmp_path / "points.csv"
    table.write_text("x,y\n" + "\n".join(",".join(pair) for pair in [*texts, ["353", "0.25"]]))
    net = ["--set", "problem.width=4", "--set", "problem.examples=8", "--set", "problem.steps=40"]
    command = ["probe", "tanh", *net, "--points", table, "--out", tmp_path / "v.csv", "--store", tmp_path / "store"]
    done = run_here(*command)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "v.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[row["x"], row["y"]] for row in rows[:-1]] == texts, "no digit is lost on the way"
    assert (rows[-1]["x"], rows[-1]["y"]) == ("353.0", "0.25")
    draws = published.draws(width=4, examples=8, steps=40)
    for row in rows:
        place = Fraction(row["x"]), Fraction(row["y"])
        assert float(row["value"]) == pytest.approx(exact.run(draws, "tanh", 40, ("lr_input", "lr_output"), *place))
    kept = list((tmp_path / "store").rglob("references/*.npz"))
    assert len(kept) == 1, "one reference for nine neighbours, none for a point that float64 holds"
    before = kept[0].stat().st_mtime_ns
    again = run_here(*command, "--precision", "auto")
    assert again.returncode == 0, again.stderr
    assert [path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("references/*.npz")] == [before]


def test_a_damaged_reference_is_made_again(tmp_path: Path) -> None:
    problem, points = small(steps=20), square("1e-20", 2)
    reference = reference_search.find_reference(problem, points, tmp_path, lambda words: None)
    (path,) = tmp_path.rglob("references/*.npz")
    path.write_bytes(path.read_bytes()[:500])
    assert references.load_all(tmp_path, problem) == []
    assert reference_search.find_reference(problem, points, tmp_path, lambda words: None).key == reference.key


def test_a_reference_serves_what_is_not_too_fine_for_its_distance(tmp_path: Path) -> None:
    """1e-12 beside it, points 1e-31 apart would all be one when they leave it."""
    problem, near = small(steps=20), square("1e-30", 2)
    aside = [Point(point.x * (1 + Fraction(1, 10**12)), point.y) for point in near]
    assert reference_search.groups(near + aside) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert reference_search.groups(square("1e-10", 5)) == [list(range(25))]
    first = reference_search.find_reference(problem, near, tmp_path, lambda words: None)
    assert reference_search.find_reference(problem, near, tmp_path, lambda words: None).key == first.key
    second = reference_search.find_reference(problem, aside, tmp_path, lambda words: None)
    assert reference_search.apart(Point(second.x, second.y), aside[0]) < 1e-29


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("x,y\n1." + "3" * 500 + ",2\n")
    says = refused("probe", "tiny", "--points", table, "--out", tmp_path / "v.csv")
    assert "line 2: x must have at most 400 digits" in says
