"""Analyses end with a sentence, explain their columns, fit into 80 columns, and report how long is left."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from render import cli, scene
from render.analyse import (
    conclusions,
    dimension,
    dimension_over_steps,
    estimators,
    plots,
    precision,
    subject,
    tables,
    tuning,
)
from render.cli import terminal
from render.film import qualities, rendering, training_rate
from tests.helpers.clock import set_clock

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
    for heading in ("conv.", "box", "sausage", "pairs", "tiles", "smooth", "noise", "new", "bits", "ulp"):
        assert heading in text.split("conv.: ")[0] and heading in text.split("conv.: ")[0] + "conv."
        assert heading in "conv.: " + text.split("conv.: ")[1]
    conclusion = conclusions.of_dimension(measured)
    assert text.endswith(conclusion)
    medians = [spread.median for name in ("box", "sausage", "uncertainty") if (spread := measured.dimension(name))]
    medians.append(measured.by_side("published")[64].median)
    assert f"dimension is {min(medians):.2f} to {max(medians):.2f} by four estimators" in conclusion
    assert f"its smooth null model gives {measured.null('smooth', 'box').median:.2f}" in conclusion  # type: ignore[union-attr]


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
    set_clock(monkeypatch, tuning, monotonic=lambda: next(clock))
    monkeypatch.setattr(tuning, "_fitted", lambda *_: SimpleNamespace(a=0.0, b=1.0, c=2, o=0.1))
    remarks: list[str] = []
    losses = np.linspace(0.0, 1.0, 100)
    # Of 10 losses no tail is fitted: that fit is not among those that are counted.
    assert [fit.quantile for fit in tuning.fits(losses, (0.1, 0.3, 0.4, 0.5), remarks.append)] == [0.3, 0.4, 0.5]
    assert remarks == [
        "Fit 1 of 3 to the low tail of the losses.",
        "Fit 2 of 3 to the low tail of the losses, about 20 s left.",
        "Fit 3 of 3 to the low tail of the losses, about 10 s left.",
    ]
    assert tuning.fits(np.full(100, np.inf), (0.1, 0.5), remarks.append) == () and len(remarks) == 3


def test_the_time_of_the_fits_is_known_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 0.0, 2.0])
    fitted: list[int] = []
    set_clock(monkeypatch, tuning, monotonic=lambda: next(clock))
    monkeypatch.setattr(tuning, "_fitted", lambda losses, *_: fitted.append(losses.size))
    five, three = tuning.fitting_s(1024), tuning.fitting_s(128)
    assert five == pytest.approx(5 / 3 * three) and five >= 5 * 2.0
    assert fitted == [1024, 128]
    assert tuning.fitting_s(40) == 0.0, "no tail of 40 losses is fitted"


def test_an_estimate_says_what_comes_after_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    for samples, starts in ((0, "x: 0 training runs to do: every sample is in the store; "), (64, "x: 64 training ru")):
        terminal.announce("x", samples, lambda: training_rate.Rate(8.0), lambda: (75.0, "the fits"))
        printed = " ".join(capsys.readouterr().err.split())
        assert printed.startswith(starts) and printed.endswith("about 75 s for the fits.")


def longest() -> list[object]:
    """Every table, with the longest numbers that may stand in it."""
    names = ("box", "sausage", "uncertainty")
    side = 1024
    estimate = estimators.Estimate((1.0, 2.0), (1.0, 2.0), (1.0,), 1.234)
    window = dimension.Level(
        level=1023,
        width=1.23e-31,
        share=1.0,
        estimates=dict.fromkeys(names, estimate),
        null={model: dict.fromkeys((*names, "published"), 1.234) for model in ("smooth", "noise")},
        halved={name: dict.fromkeys(dimension.sides(side), 1.234) for name in names},
        published={few: [1.234, 2.345] for few in dimension.sides(side)},
        patches=[1.0, 2.0],
        new_detail=1.0,
        equal=4,
        again=4,
        flipped=16,
        nudged=16,
    )
    name = "a_scene_of_a_long_name"
    spread = dimension.Spread(1.23, 1.11, 1.99, 32)
    after = dimension_over_steps.After(
        100_000, 32, 1.0, dict.fromkeys((*names, "published"), spread), {m: {"box": 1.234} for m in ("smooth", "noise")}
    )
    view = precision.Agreement(1.23e-100, 1.0, 1.0, 1.0, 1.0)
    tangents = precision.Tangents((1e250, 3e300), (1.0,), 1e300, 16)
    leaving = precision.Leaving(99_999.0, 100_000, 0.5, 144)
    curve = tuning.Curve((1, 1000), (1.234e-100, 1.0), (1.234e-100, 1.0), (1.234e-100, 1.0))
    fits = (tuning.Fit(0.05, 1.234e-100, 100_000, -1.234e-100, 1.0, 4, 1.2e-100),)
    return [
        tables.of_dimension(dimension.Result(name, "k", side, "decades", (window,) * 3, 1.66, 1e-40, 40)),
        tables.of_dimension_over_steps(
            dimension_over_steps.Result(name, "k", side, "decades", 32, (9.0, 1.23e-31), (after,) * 3)
        ),
        tables.of_precision(
            precision.Result(name, "k", "decades", 9.0, 1.2e-31, 12, (view, view), tangents, leaving)
        ),
        tables.of_tuning(
            tuning.Result(
                name, "k", ("lr_hidden_layer", "weight_offset"), (0, 1, 0, 1), 1_000_000, 0, (0.46, 0.4, 0.5),
                (1.234e-100, 1.23456e-100, 1.23456e-100), curve, fits,
            )
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("which", range(4))
def test_every_table_fits_80_columns_whatever_its_numbers(which: int) -> None:
    lines = printed(longest()[which])
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines), "nothing is cut off"


def test_every_heading_of_a_table_is_explained_below_it() -> None:
    for table, columns in zip(
        longest(),
        (
            conclusions.DIMENSION_COLUMNS,
            conclusions.OVER_STEPS_COLUMNS,
            conclusions.PRECISION_COLUMNS,
            conclusions.TUNING_COLUMNS,
        ),
        strict=True,
    ):
        text = " ".join(" ".join(printed(table)).split())
        assert columns in text
        assert text.index(columns) < text.rindex(". "), "a sentence of conclusion follows"


def test_how_the_dimension_grows_is_one_sentence_with_its_numbers() -> None:
    def after(steps: int, box: float | None) -> dimension_over_steps.After:
        spread = None if box is None else dimension.Spread(box, box, box, 3)
        return dimension_over_steps.After(
            steps, 3 if spread else 0, 0.5, dict.fromkeys(("box", "sausage"), spread), {"smooth": {"box": 1.04}}
        )

    def conclusion(*rows: dimension_over_steps.After) -> str:
        return conclusions.of_dimension_over_steps(
            dimension_over_steps.Result("x", "k", 64, "decades", 3, (1.0, 0.1), rows)
        )

    assert conclusion(after(5, None), after(10, 1.05), after(1000, 1.41)) == (
        "By box counting the boundary's dimension goes from 1.05 after 10 steps to 1.41 after 1,000; its smooth null "
        "model gives 1.04 there."
    )
    assert conclusion(after(5, None), after(1000, 1.41)).startswith(
        "There is a boundary only after 1,000 steps: its dimen"
    )
    assert conclusion(after(5, None)).startswith("No window shows a boundary after any number of steps")


@pytest.mark.parametrize(
    ("decades", "words"),
    [(-31.0, "1e-31"), (-1.4, "0.04"), (-3.2, "6e-4"), (0.0, "1"), (2.2, "200"), (4.999, "1e5"), (400.3, "2e400")],
)
def test_a_power_of_ten_reads_as_a_number_of_one_digit(decades: float, words: str) -> None:
    assert tables.power_of_ten(decades) == words


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
    conclusion = conclusions.of_precision(result)
    assert says in conclusion and f"{result.float64_ends:.1g} decades" in conclusion


def test_the_sentence_is_in_the_file_too(store: Path, tmp_path: Path) -> None:
    words = ["analyse", "dimension", "tiny", "--deepest", "2", "--store", str(store), "--out", str(tmp_path)]
    cli.app(words, exit_on_error=False, print_error=False)
    content = json.loads((tmp_path / "tiny/tiny-dimension-deepest2.json").read_text())
    assert content["conclusion"].startswith("The boundary's dimension is ")
    assert content["made_of"]["name"] == "tiny"
