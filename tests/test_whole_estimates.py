"""An analysis announces all that it does, and not its training alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.analyse import dimension, dimension_over_steps, tuning
from tests.helpers.clock import set_clock
from tests.helpers.command import run_here

FEW = ("analyse", "dimension", "tiny", "--deepest", 2)


def announced(tmp_path: Path, *words: object) -> str:
    done = run_here(*words, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    return " ".join(done.stderr.split())


def test_the_dimension_announces_the_measurement_of_its_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []

    def measuring_s(*arguments: int) -> float:
        asked.append(arguments)
        return 42.0

    monkeypatch.setattr(dimension, "measuring_s", measuring_s)
    monkeypatch.setattr(dimension_over_steps, "measuring_s", measuring_s)
    assert ", then about 42 s for measuring the 2 windows." in announced(tmp_path, *FEW)
    assert "0 training runs to do: every sample is in the store; about 42 s for" in announced(tmp_path, *FEW, "--force")
    assert ", then about 42 s for measuring the 2 windows." in announced(tmp_path, *FEW, "--over", "steps")
    assert asked == [(64, 2), (64, 2), (64, 2, 20)]


def test_the_measurement_of_windows_is_that_of_one_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 0.25)
    shapes: list[tuple[int, ...]] = []
    for module in (dimension, dimension_over_steps):
        set_clock(monkeypatch, module, perf_counter=lambda: next(seconds))

    def measure(*arguments: Any) -> None:
        shapes.extend(given.shape for given in arguments if isinstance(given, np.ndarray))

    for module in (dimension, dimension_over_steps):
        monkeypatch.setattr(module, "_measure", measure)
    assert dimension.measuring_s(128, 6) == 6 * 0.25
    steps = dimension_over_steps.numbers_of_steps(100)
    assert dimension_over_steps.measuring_s(128, 6, 100) == 6 * 0.25 * len(steps)
    assert {*shapes} == {(128, 128)}


def test_fits_to_the_losses_of_the_last_view_are_expected_to_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 0.1)
    set_clock(monkeypatch, tuning, monotonic=lambda: next(seconds))
    monkeypatch.setattr(tuning, "_fitted", lambda *_: None)
    plane_s, view_s = tuning.fitting_s(1024, False), tuning.fitting_s(1024, True)
    assert plane_s == pytest.approx(5 * 18 * 0.1) and view_s == pytest.approx(5 * 30 * 0.1)


@pytest.mark.parametrize("last_view", [False, True])
def test_the_announcement_of_tuning_is_of_the_place_that_it_draws_in(
    last_view: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "fitting_s", lambda draws, in_last_view: 90.0 if in_last_view else 30.0)
    words = ("analyse", "tuning", "tiny", "--draws", 64, *(["--last-view"] if last_view else []))
    expected = "1 min 30 s" if last_view else "30 s"
    assert f"then about {expected} for the fits to the low tail." in announced(tmp_path, *words)
