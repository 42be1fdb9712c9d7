"""Tables of points: columns by the axes' names, a summary of what happened, remarks on points outside the plane."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from render import cli, scene
from render.cli import messages
from render.errors import RenderError
from render.samples import Status
from render.tools import probe, probe_summary

TINY = scene.load("tiny")


def table(folder: Path, *lines: str) -> Path:
    path = folder / "points.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("x,y", ["x", "y"]),
        ("lr_input,lr_output", ["lr_input", "lr_output"]),
        ("x,lr_output", ["x", "lr_output"]),
        (" lr_input , y ", ["lr_input", "y"]),
    ],
)
def test_columns_have_the_names_that_a_person_gave_them(tmp_path: Path, header: str, named: list[str]) -> None:
    points = table(tmp_path, f"{header},note", "1,2,a", "30,0.5,b")
    probe.run(TINY, points, tmp_path / "out.csv")
    written = rows(tmp_path / "out.csv")
    assert list(written[0])[:3] == [*named, "value"]
    assert [[float(row[name]) for name in named] for row in written] == [[1, 2], [30, 0.5]]


def test_the_order_of_columns_does_not_matter_where_they_have_names(tmp_path: Path) -> None:
    probe.run(TINY, table(tmp_path, "lr_output,lr_input", "2,1"), tmp_path / "out.csv")
    probe.run(TINY, table(tmp_path, "x,y", "1,2"), tmp_path / "other.csv")
    assert [*rows(tmp_path / "out.csv")[0].values()] == [*rows(tmp_path / "other.csv")[0].values()]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("lr_input,learning", "must name columns x and y, or lr_input and lr_output, not lr_input, learning"),
        ("x,lr_input,y", "must name the column lr_input or x, not both"),
        ("", "must name columns x and y, or lr_input and lr_output, not nothing"),
    ],
)
def test_a_table_without_the_columns_is_refused_with_their_names(tmp_path: Path, header: str, says: str) -> None:
    with pytest.raises(RenderError, match=says):
        probe.run(TINY, table(tmp_path, header, "1,2,3"), tmp_path / "out.csv")


def test_points_outside_the_plane_are_remarked_on_and_trained(tmp_path: Path) -> None:
    remarks: list[str] = []
    inside = table(tmp_path, "x,y", "1e-3,1e6", "1,1")  # both corners belong to the plane
    probe.run(TINY, inside, tmp_path / "out.csv", remark=remarks.append)
    assert remarks == []
    beyond = table(tmp_path, "x,y", "1,1", "1e7,2", "3,1e-4")
    field = probe.run(TINY, beyond, tmp_path / "out.csv", remark=remarks.append, force=True)
    assert remarks == [
        "2 of 3 points lie outside the scene's plane, lr_input 0.001 to 1e+06 and lr_output 0.001 to 1e+06; the first "
        "is point 2, 1e+07 and 2. All are trained."
    ]
    assert len(rows(tmp_path / "out.csv")) == field.value.size == 3


def test_the_summary_counts_every_point_once(tmp_path: Path) -> None:
    drawn = 10.0 ** np.random.default_rng(1).uniform(-3, 6, (200, 2))
    points = table(tmp_path, "x,y", *(f"{x!r},{y!r}" for x, y in drawn.tolist()))
    field = probe.run(TINY, points, tmp_path / "out.csv")
    written = rows(tmp_path / "out.csv")
    ended = probe_summary.counts(field)
    assert sum(ended.values()) == 200 and len(ended) > 1
    for name, count in ended.items():
        assert count == sum(row["status"] == name for row in written)
    summary = probe_summary.sentence(field)
    assert summary.startswith("200 points: ") and summary.endswith(f"V{probe_summary.VALUE[1:]}")
    # What is said of `value` holds.
    assert all((row["status"] == "converged") == (float(row["value"]) < 0) for row in written)
    slow = np.abs(field.value[field.status == Status.CONVERGED])
    last = field.final_loss[field.status == Status.CONVERGED]
    assert np.corrcoef(np.argsort(np.argsort(slow)), np.argsort(np.argsort(last)))[0, 1] > 0.5


@pytest.mark.parametrize("json_lines", [False, True])
def test_the_command_says_what_happened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, json_lines: bool
) -> None:
    monkeypatch.setattr(messages, "_json", json_lines)
    points = table(tmp_path, "lr_input,lr_output", "1,1", "2,1e7")
    words = ["probe", "tiny", "--points", str(points), "--out", str(tmp_path / "out.csv")]
    cli.app(words, exit_on_error=False, print_error=False)
    printed = capsys.readouterr()
    assert str(tmp_path / "out.csv") in printed.out
    if json_lines:
        events = [json.loads(line) for line in printed.err.splitlines()]
        assert events[-1] == {"event": "probed", "runs": {"converged": 1, "escaped": 1}}
    else:
        assert "1 of 2 points lies outside the scene's plane" in " ".join(printed.err.split())
        assert "2 points: 1 converged (50%), 1 escaped (50%); value" in printed.err
