"""`render analyse all`: one table of many scenes, planned before, and resumed; and how much of a border is rounding."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from render import scene
from render.analyse import dimension, every_scene, subject, tables
from render.cli import app
from render.errors import RenderError
from render.samples import Field
from render.storage import references

SMALL = ["tiny", "product_ellipse", "--deepest", "2"]


def run(*words: object, at: Path) -> None:
    """Run the command in this process."""
    words = ("analyse", "all", *words, "--store", at / "store", "--out", at / "out")
    app([*map(str, words)], exit_on_error=False, print_error=False)


def rows(at: Path) -> list[dict[str, object]]:
    """Return the rows of the table's file, without how long they took."""
    content = json.loads((at / "out" / "dimension-deepest2-all.json").read_text())["rows"]
    return [{name: value for name, value in row.items() if name != "took_s"} for row in content]


def test_the_scenes_of_the_table_ship_and_hold_every_published_condition() -> None:
    keys = {scene.load(name).problem.key for name in every_scene.SCENES}
    assert set(dimension.PUBLISHED) <= keys


def test_a_plan_says_what_is_to_be_trained_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*SMALL, "--plan", at=tmp_path)
    printed = capsys.readouterr()
    counted = {line.split()[0]: int(line.split()[2].replace(",", "")) for line in printed.out.splitlines()[2:]}
    assert counted["all"] == counted["tiny"] + counted["product_ellipse"] > 4_000
    assert f"2 scenes, {counted['all']:,} training runs to do: about " in printed.err
    assert not list(tmp_path.rglob("*.npz"))
    assert not (tmp_path / "out").exists()


def test_a_table_that_was_stopped_goes_on_and_is_that_of_each_scene_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, started = dimension.run, []

    def stopped_at_the_second(what: subject.Subject, *rest: object) -> dimension.Result:
        started.append(what.scene.name)
        if len(started) == 2:
            raise KeyboardInterrupt
        return measured(what, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(dimension, "run", stopped_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            run(*SMALL, at=tmp_path)
    assert started == ["tiny", "product_ellipse"]
    alone = json.loads((tmp_path / "out" / "tiny" / "tiny-dimension-deepest2.json").read_text())
    assert not list((tmp_path / "out").glob("*.json"))
    capsys.readouterr()
    run(*SMALL, at=tmp_path)
    printed = capsys.readouterr().out
    assert next(line.split()[3] for line in printed.splitlines() if line.split()[:1] == ["tiny"]) == "0"
    tiny, ellipse = rows(tmp_path)
    assert (tiny["scene"], ellipse["scene"]) == ("tiny", "product_ellipse")
    assert tiny["problem"] == alone["problem"]
    widths = [level["width"] for level in alone["levels"]]
    assert (tiny["widest"], tiny["narrowest"]) == (max(widths), min(widths))
    boxes = [level["estimates"]["box"]["dimension"] for level in alone["levels"]]
    assert tiny["estimates"]["box"]["median"] == pytest.approx(np.median(boxes))  # type: ignore[index]
    assert tiny["equal"] == tiny["again"] == 8
    assert tiny["nudged"] == sum(level["nudged"] for level in alone["levels"]) == 32
    assert 0.9 < ellipse["estimates"]["box"]["median"] < 1.1  # type: ignore[index]
    assert (tmp_path / "out" / "product_ellipse" / "product_ellipse-dimension-deepest2.png").exists()
    before = rows(tmp_path)
    run(*SMALL, at=tmp_path)
    assert rows(tmp_path) == before


def test_a_mistake_in_any_scene_costs_nothing(tmp_path: Path) -> None:
    for words, says in (
        (("tiny", "no_such"), "no scene"),
        (("tiny", "--side", "65"), "--side must be one of 64"),
    ):
        with pytest.raises(RenderError, match=says):
            run(*words, at=tmp_path)
    theirs = tmp_path / "out" / "tiny" / "tiny-dimension-deepest2.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("a person's own notes")
    with pytest.raises(RenderError, match="--force"):
        run("product_ellipse", "tiny", "--deepest", "2", at=tmp_path)
    assert theirs.read_text() == "a person's own notes"
    summary = tmp_path / "out" / "dimension-deepest2-all.json"
    summary.write_text("a person's own notes")
    with pytest.raises(RenderError, match="--force"):
        run("product_ellipse", "--deepest", "2", at=tmp_path)
    assert summary.read_text() == "a person's own notes"
    assert not list(tmp_path.rglob("*.npz"))


# ---- rounding at a border of which it is known ----------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 5])
def test_rounding_counts_the_samples_that_one_unit_in_the_last_place_flips(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs converge left of a border that lies so many units in the last place right of a column of samples."""
    what = subject.prepare(scene.load("tiny"), tmp_path)
    areas = dimension.windows(what.scene, 64, 2)
    borders, values = [], []
    for area in areas:
        first = next(iter(area.tiles()))
        border = references.points(what.problem, first, np.zeros(32, int), np.arange(32)).x[20]
        for _ in range(steps):
            border = np.nextafter(border, np.inf)
        borders.append(border)
        values.append(np.where(np.arange(64) <= 20, -1.0, 1.0) * np.ones((64, 1)))

    def train(what: subject.Subject, x: np.ndarray, y: np.ndarray, report: object) -> Field:
        near = np.array(borders)[np.abs(x[:, None] - np.array(borders)).argmin(axis=1)]
        field = Field.empty(x.shape)
        field.value[:] = np.where(x < near, -1.0, 1.0)
        return field

    monkeypatch.setattr(dimension, "train_points", train)
    assert dimension._nudged(what, areas, values) == [(16 if steps == 1 else 0, 16)] * 2


def test_both_tables_fit_80_columns_whatever_their_numbers() -> None:
    spread = dimension.Spread(1.23, 1.11, 1.99, 32)
    row = every_scene.Row(
        "a_scene_of_a_long_name", "k", "decades", 136, 1.2e-10, 1.2e-31,
        dict.fromkeys(("box", "sausage", "uncertainty"), spread), spread, 1.66, 1.23, spread, spread,
        16, 16, 544, 544, 12_345_678, 99_999.0,
    )  # fmt: skip
    outlook = every_scene.Outlook("a_scene_of_a_long_name", 136, 12_345_678, 12_345_678, 1e7)
    for table in (tables.of_every_scene(every_scene.Result(1024, (row, row))), tables.of_outlooks([outlook])):
        out = io.StringIO()
        Console(file=out, width=80).print(table)
        assert max(map(len, out.getvalue().splitlines())) <= 80
        assert "\u2026" not in out.getvalue(), "nothing is cut off"
