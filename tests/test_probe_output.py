"""`render probe` replaces its own tables, and no file of a person's without being told to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import refused, run_here


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the scene and a table of points."""
    (tmp_path / "tiny.toml").write_text((Path(__file__).parents[1] / "scenes/tiny.toml").read_text())
    (tmp_path / "points.csv").write_text("x,y\n1,1\n2,0.1\n")
    return tmp_path


def probe(*more: str) -> list[str]:
    return ["probe", "tiny", "--points", "points.csv", *more]


@pytest.mark.parametrize(
    "content", ["x,y\n1,1\n", "notes of a month\n", "a,b\n1,2", "\x00\xff", "x,y,value,status\n1,1,2,converged\n"]
)
@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_a_file_that_is_no_such_table_stays(place: Path, content: str, option: str) -> None:
    mine = place / "mine.csv"
    mine.write_text(content, encoding="latin-1")
    before = mine.read_bytes()
    words = probe("--out", "mine.csv") if option == "--out" else probe("--out", "v.csv", "--trace", "mine.csv")
    printed = refused(*words, cwd=place)
    assert "mine.csv does not say that render made it" in printed and "--force" in printed
    assert mine.read_bytes() == before
    assert not (place / "v.csv").exists()
    done = run_here(*words, "--force", cwd=place)
    assert done.returncode == 0, done.stderr
    assert mine.read_bytes() != before


def test_points_are_not_replaced_by_what_became_of_them(place: Path) -> None:
    assert "may be a file of your own" in refused(*probe("--out", "points.csv"), cwd=place)
    assert (place / "points.csv").read_text() == "x,y\n1,1\n2,0.1\n"


OTHER_REQUESTS = {
    "steps": ["--steps", "10"],
    "precision": ["--precision", "float64"],
    "points": ["--points", "other.csv"],
    "problem": ["--set", "problem.fixed.offset=0.1"],
}


@pytest.mark.parametrize("request_of", OTHER_REQUESTS)
@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_a_table_of_another_request_stays(place: Path, request_of: str, option: str) -> None:
    (place / "other.csv").write_text("x,y\n1,1\n2,0.2\n")
    names = ["--out", "v.csv"] if option == "--out" else ["--out", "w.csv", "--trace", "v.csv"]
    assert run_here(*probe(*names), cwd=place).returncode == 0
    before = (place / "v.csv").read_bytes(), (place / "v.csv.json").read_bytes()
    (place / "w.csv").unlink(missing_ok=True)
    other = ["probe", "tiny", "--points", "points.csv", *names, *OTHER_REQUESTS[request_of]]
    if request_of == "points":
        del other[2:4]
    errors = refused(*other, cwd=place)
    assert "v.csv was made" in errors and f"differs from it in {request_of}" in errors and "--force" in errors
    assert ((place / "v.csv").read_bytes(), (place / "v.csv.json").read_bytes()) == before
    assert not (place / "w.csv").exists(), "nothing was trained for it"
    assert run_here(*other, "--force", cwd=place).returncode == 0
    assert ((place / "v.csv").read_bytes(), (place / "v.csv.json").read_bytes()) != before
    assert run_here(*other, cwd=place).returncode == 0, "it is that request's own now"


def test_its_own_tables_are_replaced_and_so_is_an_empty_file(place: Path) -> None:
    (place / "v.csv").touch()
    for _ in range(2):
        done = run_here(*probe("--out", "v.csv", "--trace", "t.csv"), cwd=place)
        assert done.returncode == 0, done.stderr
    (place / "v.csv").unlink()  # what was removed can be made of anything
    assert run_here(*probe("--out", "v.csv", "--steps", "10"), cwd=place).returncode == 0
    assert run_here("show", "v.csv.json", cwd=place).returncode == 0, "the record carries the scene"
    assert (place / "v.csv").read_text().startswith("x,y,value,status,final_loss,escape_step")
    assert (place / "t.csv").read_text().startswith("point,step,loss")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout here")
def test_what_is_appended_to_through_standard_output_is_not_replaced(place: Path) -> None:
    (place / "all.csv").write_text("mine\n")
    with (place / "all.csv").open("a") as log:
        words = [sys.executable, "-m", "render.cli", *probe("--out", "/dev/stdout")]
        subprocess.run(words, cwd=place, stdout=log, stderr=subprocess.PIPE, check=True)
    assert (place / "all.csv").read_text().startswith("mine\nx,y,value,status")
