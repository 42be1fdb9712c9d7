"""The losses that `render probe --trace` writes are those of the runs whose values it writes."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.errors import RenderError
from render.samples import Status
from render.tools import probe
from render.train import engine, measures
from tests.helpers.command import refused

TINY = scene.load("tiny")
POINTS = [(10.0 ** float(x), 10.0 ** float(y)) for x in np.linspace(-3, 6, 5) for y in np.linspace(-3, 6, 5)]


def written(path: Path, pairs: list[tuple[float, float]]) -> Path:
    path.write_text("x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in pairs))
    return path


def test_the_losses_are_those_of_the_very_runs_that_are_judged(tmp_path: Path) -> None:
    points, out, trace = (tmp_path / name for name in ("points.csv", "values.csv", "losses.csv"))
    probe.run(TINY, written(points, POINTS), out, steps=60, trace=trace)
    with out.open(newline="") as file:
        values = list(csv.DictReader(file))
    with trace.open(newline="") as file:
        losses: dict[int, list[float]] = {}
        for row in csv.DictReader(file):
            losses.setdefault(int(row["point"]), []).append(float(row["loss"]))
            assert int(row["step"]) == len(losses[int(row["point"])]) - 1
    assert {row["status"] for row in values} >= {"converged", "escaped"}
    for number, row in enumerate(values):
        losses_of_run, escape_step = losses[number], int(row["escape_step"])
        assert len(losses_of_run) == (60 if escape_step < 0 else escape_step + 1)
        if escape_step < 0:
            assert losses_of_run[-1] == float(row["final_loss"])
            v = [min(loss / losses_of_run[0], measures.CAP) for loss in losses_of_run]
            converged = sum(v[-20:]) / 20 < 1
            assert float(row["value"]) == pytest.approx(-sum(v) if converged else sum(1 / one for one in v), rel=1e-14)


def test_a_trace_is_the_same_in_any_company() -> None:
    trainer = engine.Engine(dataclasses.replace(TINY.problem, steps=50))
    x, y = (np.array(column) for column in zip(*POINTS, strict=True))
    together = trainer.losses(x, y)
    np.testing.assert_array_equal(trainer.losses(x[7:9], y[7:9]), together[7:9])
    field = trainer.run(x, y)
    stayed = np.isin(field.status, (Status.CONVERGED, Status.DIVERGED))
    np.testing.assert_array_equal(together[stayed, -1], field.final_loss[stayed])


def test_what_no_trace_can_be_written_of_is_refused(tmp_path: Path) -> None:
    points, out, trace = (tmp_path / name for name in ("points.csv", "values.csv", "losses.csv"))
    written(points, POINTS)
    for precision in ("differences", "exact"):
        with pytest.raises(RenderError, match="losses are those of runs in float64"):
            probe.run(TINY, points, out, precision=precision, trace=trace)
    with pytest.raises(RenderError, match="at most 10,000,000 losses, not 25,000,000"):
        probe.run(TINY, points, out, steps=1_000_000, trace=trace)
    with pytest.raises(RenderError, match="--steps must be 1 to 1,000,000, not 0"):
        probe.run(TINY, points, out, steps=0)
    words = ["probe", "tiny", "--points", str(points), "--out", str(out), "--steps", "0"]
    assert "--steps must be 1 to 1,000,000, not 0" in refused(*words)
    assert not out.exists() and not trace.exists()


def test_a_scene_along_training_time_is_probed_without_its_prefixes(tmp_path: Path) -> None:
    points, out = written(tmp_path / "points.csv", POINTS[:2]), tmp_path / "values.csv"
    view = 'centre_log10 = ["1.5", "1.5"], width_decades = 9.0'
    keyframes = f"camera.keyframes=[{{{view}, steps = 1}}, {{{view}, steps = 20}}]"
    probe.run(scene.load("tiny", settings=[keyframes]), points, out)
    assert out.read_text().splitlines()[0] == "x,y,value,status,final_loss,escape_step"
