"""Analyses end with a sentence, explain their columns, fit 80 columns, and say how long is left."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from render import cli, scene
from render.analyse import conclusions, dimension, plots, precision, subject, tables, tuning
from render.film import qualities, rendering

TINY = scene.load("tiny")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("conclusions")
    job = rendering.prepare(qualities.named(TINY, "scene"), store)
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    return store


@pytest.fixture(scope="module")
def measured(store: Path) -> dimension.Result:
    what = subject.prepare(TINY, store)
    return dimension.run(what, 64, None, lambda now: None)


def printed(table: object) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return out.getvalue().splitlines()


def test_a_table_of_dimensions_fits_80_columns_explains_them_and_ends_with_a_sentence(
    measured: dimension.Result,
) -> None:
    lines = printed(tables.of_dimension(measured))
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for heading in ("conv.", "box", "sausage", "pairs", "tiles", "smooth", "noise", "new", "bits"):
        assert heading in text.split("conv.: ")[0] and heading in text.split("conv.: ")[0] + "conv."
        assert heading in "conv.: " + text.split("conv.: ")[1]
    said = conclusions.of_dimension(measured)
    assert text.endswith(said)
    found = [spread.median for name in ("box", "sausage", "uncertainty") if (spread := measured.dimension(name))]
    found.append(measured.by_side("published")[64].median)
    assert f"dimension is {min(found):.2f} to {max(found):.2f} by four estimators" in said
    assert f"its smooth null model gives {measured.null('smooth', 'box').median:.2f}" in said  # type: ignore[union-attr]


def test_a_film_without_a_border_says_so() -> None:
    nothing = dimension.Result("x", "k", 64, "decades", (), None, 1e-11)
    assert conclusions.of_dimension(nothing).startswith("No window shows a boundary")


def test_no_end_of_a_bar_is_cut_off_and_every_line_is_named(measured: dimension.Result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2))
    plots._dimension(figure, measured)
    for axes in figure.axes[::2]:
        low, high = axes.get_ylim()
        assert low <= axes.dataLim.y0 and axes.dataLim.y1 <= high
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len({*names}) == len(names)
    assert {"null model: smooth, box counting", "null model: noise, box counting"} <= {*names}
    lines = [line for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)


def test_fits_say_which_one_runs_and_how_long_the_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    said: list[str] = []
    losses = np.full(100, np.inf)  # no tail at all: every fit is passed over, which takes no time
    assert tuning.fits(losses, (0.1, 0.2, 0.3), said.append) == ()
    assert said[0] == "Fit 1 of 3 to the low tail of the losses."
    assert said[1] == "Fit 2 of 3 to the low tail of the losses, about 20 s left."
    assert said[2] == "Fit 3 of 3 to the low tail of the losses, about 10 s left."


def test_what_random_search_found_is_one_sentence_with_its_numbers() -> None:
    curve = tuning.Curve((1, 10, 100), (0, 0, 0), (3.0, 2.0, 0.5), (9, 9, 9))
    fit = tuning.Fit(0.1, 1.0, 100, 0.0, 1.0, 2, 0.1)
    result = tuning.Result("x", "k", ("a", "b"), (0, 1, 0, 1), 1000, 0, (0.46, 0.4, 0.5), (0.25, 1, 1), curve, (fit,))
    assert conclusions.of_tuning(result) == (
        "Of 1,000 draws 46% converged; the best of 100 draws has a loss of 0.5 at the median, and the best of all "
        "0.25; near the best the landscape behaves as one of two hyperparameters."
    )


@pytest.mark.parametrize(("last", "says"), [(1.0, "wide enough"), (1e-13, "too deep for plain runs")])
def test_where_float64_ends_is_held_against_the_film(last: float, says: str) -> None:
    views = tuple(
        precision.Agreement(width, signs, 0.5, 0.5, 0.0) for width, signs in ((1e-8, 1.0), (1e-10, 0.99), (1e-12, 0.6))
    )
    tangents = precision.Tangents(runs=1, norms=(1e12,), growth=(1.0,), target=1e12)
    result = precision.Result("x", "k", "decades", 9.0, last, 3, views, tangents)
    said = conclusions.of_precision(result)
    assert says in said and f"{result.float64_ends:.1g} decades" in said


def test_the_sentence_is_in_the_file_too(store: Path, tmp_path: Path) -> None:
    words = ["analyse", "dimension", "tiny", "--deepest", "2", "--store", str(store), "--out", str(tmp_path)]
    cli.app(words, exit_on_error=False, print_error=False)
    found = json.loads((tmp_path / "tiny/tiny-dimension-deepest2.json").read_text())
    assert found["conclusion"].startswith("The boundary's dimension is ")
    assert found["made_of"]["name"] == "tiny"
