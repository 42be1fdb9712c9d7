"""The dimension over training: at any number of steps that of a problem with so many, and null models beside it."""

import dataclasses
import json
from pathlib import Path

import pytest

from render import scene
from render.analyse import dimension, dimension_over_steps, subject
from render.errors import RenderError
from render.scene import Scene
from tests.helpers.command import refused, run_here

TINY = scene.load("tiny", settings=["problem.steps=60"])


def ignore(_: object) -> None:
    """Take no report."""


def of(loaded: Scene, store: Path, deepest: int | None) -> dimension_over_steps.Result:
    return dimension_over_steps.run(subject.prepare(dimension_over_steps.asking(loaded), store), 64, deepest, ignore)


def test_numbers_of_steps_are_round_and_end_with_the_whole_run() -> None:
    assert dimension_over_steps.numbers_of_steps(1000) == [5, 10, 20, 50, 100, 200, 500, 1000]
    assert dimension_over_steps.numbers_of_steps(60) == [5, 10, 20, 50, 60]
    assert dimension_over_steps.numbers_of_steps(3) == [3]


def test_each_row_is_what_the_analysis_of_a_shorter_problem_says(tmp_path: Path) -> None:
    result = of(TINY, tmp_path, None)
    assert [row.steps for row in result.rows] == [5, 10, 20, 50, 60]
    for row in result.rows:
        if row.steps not in (20, 60):
            continue
        shorter = dataclasses.replace(TINY, problem=dataclasses.replace(TINY.problem, steps=row.steps))
        alone = dimension.run(subject.prepare(shorter, tmp_path), 64, None, ignore)
        crossed = [level for level in alone.levels if level.has_boundary]
        assert row.windows == len(crossed) > 0
        spread = dimension.spread([level.estimates["box"].dimension for level in crossed])  # type: ignore[union-attr]
        assert row.estimates["box"] == spread
        assert row.share == pytest.approx(sum(level.share for level in alone.levels) / len(alone.levels))
        assert row.null["smooth"]["box"] == pytest.approx(1.0, abs=0.12)
        assert row.null["noise"]["box"] == pytest.approx(2.0, abs=0.12)


def test_the_command_writes_a_table_a_file_and_a_plot(tmp_path: Path) -> None:
    words = ["analyse", "dimension", "tiny", "--over", "steps", "--deepest", "2", "--store", tmp_path / "store"]
    done = run_here(*words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "tiny" / "tiny-dimension-over-steps-deepest2.json"
    content = json.loads(path.read_text())
    assert [row["steps"] for row in content["rows"]] == [5, 10, 20]
    assert path.with_suffix(".png").exists()


def test_runs_without_prefixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="--over steps needs runs whose first steps are a shorter run, but the publi"):
        of(scene.load("minibatch"), tmp_path, 1)
    assert "another one for every number of steps" in refused(
        "analyse", "dimension", "minibatch", "--over", "steps", "--store", tmp_path / "store", "--out", tmp_path
    )
    errors = refused(
        "analyse", "dimension", "tiny", "--over", "width", "--store", tmp_path / "store", "--out", tmp_path
    )
    assert '"steps"' in errors
