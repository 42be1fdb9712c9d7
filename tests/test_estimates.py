"""The estimates of an analysis before it starts: the runs that are left, and the rate at which it trains them."""

from __future__ import annotations

from pathlib import Path

import pytest

from render import scene
from render.analyse import precision, subject
from render.film import training_rate
from render.film.training_rate import Rate
from render.geometry.tiles import Tile
from tests.helpers.command import run_here

TINY = scene.load("tiny")
A_VIEW = 4 * precision.SIDE**2


def quiet(_: object) -> None:
    """Take a report of progress, and say nothing."""


@pytest.fixture
def what(tmp_path: Path) -> subject.Subject:
    return subject.prepare(TINY, tmp_path)


def test_precision_announces_the_runs_that_are_not_kept(what: subject.Subject) -> None:
    most = precision.expected_runs(TINY)
    assert precision.outlook(what)[0] == most
    result = precision.run(what, quiet)
    assert precision.outlook(what)[0] == 0, "all is kept: the same command trains nothing"
    files = sorted(what.folder.parent.glob("points*/*.npz"))
    assert len(files) == len(result.views) * A_VIEW // 72
    for number in (0, len(files) // 2, len(files) - 1):
        content = files[number].read_bytes()
        files[number].unlink()
        left, measure = precision.outlook(what)
        # Which views lie below the one that lacks some depends on its runs: as many as there may be are announced.
        assert 72 <= left <= most and left % A_VIEW == 72
        assert 0 < measure().samples_per_s < 1e9
        files[number].write_bytes(content)
    assert precision.outlook(what)[0] == 0


def test_the_rate_of_precision_is_that_of_both_orders_of_summation(
    what: subject.Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[bool] = []

    def time_points(backend: object, x: object, y: object) -> float:
        timed.append(backend is what.backend)
        return 2.0 if backend is what.backend else 5.0

    monkeypatch.setattr(precision, "time_points", time_points)
    runs, measure = precision.outlook(what)
    assert measure().time_s(runs) == pytest.approx(runs / A_VIEW * (3 * 2.0 + 5.0))
    assert timed == [True, False]


def test_timing_points_keeps_nothing(what: subject.Subject) -> None:
    x, y = precision._grid(TINY.problem, precision._film_views(TINY)[0])
    assert subject.time_points(what.backend, x, y) > 0
    assert subject.missing_points(what, x, y) == x.size


@pytest.mark.parametrize("last_view", [False, True])
def test_draws_are_timed_where_they_are_drawn(last_view: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the whole plane may diverge, and be done, far sooner than those of the last view."""
    measured: list[Tile] = []

    def measure(problem: object, tiles: list[Tile], backend: object) -> Rate:
        measured.extend(tiles)
        return Rate(1e6)

    monkeypatch.setattr(training_rate, "measure_tiles", measure)
    words = ["analyse", "tuning", "tiny", "--draws", "64", *(["--last-view"] if last_view else [])]
    done = run_here(*words, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    if not last_view:
        assert measured == [Tile(0, 0, 0)]
        return
    view = min((key.view for key in TINY.keyframes), key=lambda view: view.width)
    for tile in measured:
        middle = (tile.ix + 0.5) / 2**tile.level, (tile.iy + 0.5) / 2**tile.level
        assert abs(middle[0] - float(view.x)) < float(view.width)
        assert abs(middle[1] - float(view.y)) < float(view.width)
