"""A reference run that is cut goes on where it was: with the bits that it would have had at once, and nothing twice."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.cli import messages
from render.deep import reference_search
from render.errors import DepthError
from render.problem import Problem
from render.storage import unfinished_runs
from render.train.past_float64 import arbitrary_precision, reference_run, resumed_run
from tests.helpers.command import run_here
from tests.helpers.deep import small, square
from tests.test_switch import SCENE


class Cut(Exception):
    """What a test ends a run with, as a signal or a page that is closed would."""


def cut_at(step: int) -> Callable[[int], None]:
    """Return a function that ends a run after so many steps."""

    def report(steps: int) -> None:
        if steps == step:
            raise Cut

    return report


def steps_of(problem: Problem, root: Path) -> list[int]:
    """Run a problem in 192 bits, up to its end, and return the steps that it reported."""
    steps: list[int] = []
    resumed_run.states(problem, *POINT, 192, steps.append, root)
    return steps


POINT = Fraction(11, 7), Fraction(1, 3)

# A plain net; batches, in an order of their own; a state of several leaves with momentum; a map.
PROBLEMS = ["tanh", "relu", "minibatch", "momentum", "product_basin"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_run_that_is_cut_twice_has_the_bits_of_one_that_is_not(name: str, tmp_path: Path) -> None:
    problem = small(name, steps=12)
    at_once = resumed_run.states(problem, *POINT, 192, lambda steps: None, None)
    for step in (3, 8):
        with pytest.raises(Cut):
            resumed_run.states(problem, *POINT, 192, cut_at(step), tmp_path)
    reported: list[int] = []
    resumed = resumed_run.states(problem, *POINT, 192, reported.append, tmp_path)
    assert reported == [*range(8, 13)], "what was done is not done again"
    assert [leaf.tobytes() for leaf in resumed] == [leaf.tobytes() for leaf in at_once]
    assert [(leaf.dtype, leaf.shape) for leaf in resumed] == [(leaf.dtype, leaf.shape) for leaf in at_once]
    assert steps_of(problem, tmp_path) == [], "a run that is at its end is not made again"


def test_a_state_is_stored_in_all_its_digits(tmp_path: Path) -> None:
    problem = small("tanh", steps=6)
    moments = list(arbitrary_precision.run(problem, *POINT, 512))
    stored = arbitrary_precision.encoded(moments[4].exact)
    one, other = moments[4].exact, arbitrary_precision.decoded(stored)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    again = list(arbitrary_precision.run(problem, *POINT, 512, (4, other)))
    assert [a.loss for a in again[:-1]] == [a.loss for a in moments[4:-1]]
    assert all(
        (a == b).all()
        for one, other in zip(again, moments[4:], strict=True)
        for a, b in zip(one.exact, other.exact, strict=True)
    )


def test_a_run_that_leaves_float64_ends_where_it_would_have(tmp_path: Path) -> None:
    """Its states end before the last step; cut or not, they end at the same one."""
    problem = small("linear", steps=40)
    away = Fraction(10**5), Fraction(10**5)
    at_once = resumed_run.states(problem, *away, 192, lambda steps: None, None)
    assert 3 < len(at_once[0]) < 41
    with pytest.raises(Cut):
        resumed_run.states(problem, *away, 192, cut_at(2), tmp_path)
    resumed = resumed_run.states(problem, *away, 192, lambda steps: None, tmp_path)
    assert [leaf.tobytes() for leaf in resumed] == [leaf.tobytes() for leaf in at_once]


def test_progress_that_is_damaged_or_of_another_computation_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = small("tanh", steps=6)

    def cut_once() -> Path:
        with pytest.raises(Cut):
            resumed_run.states(problem, *POINT, 192, cut_at(3), tmp_path)
        (path,) = tmp_path.rglob("unfinished/*.npz")
        return path

    path = cut_once()
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], bytes([*content[:900], content[900] ^ 1, *content[901:]])):
        path.write_bytes(damaged)
        assert steps_of(problem, tmp_path) == [*range(7)]
        path.unlink()
        assert cut_once() == path and path.read_bytes() == content
    monkeypatch.setattr(unfinished_runs, "_VERSION", unfinished_runs._VERSION + 1)
    assert steps_of(problem, tmp_path) == [*range(7)]
    monkeypatch.undo()
    path.write_bytes(content)
    monkeypatch.setattr(arbitrary_precision, "computation", lambda problem: "another")
    assert steps_of(problem, tmp_path) == [*range(7)]


def test_the_computation_is_that_of_a_step_and_its_constants() -> None:
    problem = small("tanh", steps=6)
    assert arbitrary_precision.computation(problem) == arbitrary_precision.computation(problem)
    others = [small("tanh", steps=6, examples=7), small("relu", steps=6), small("tanh", steps=6, seed=1)]
    assert len({arbitrary_precision.computation(other) for other in (problem, *others)}) == 4


def test_a_search_goes_on_with_the_check_and_leaves_the_reference_that_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, points = small(steps=20), square("1e-12", 3)
    # Judging a run compiles an engine for it, which is no part of this.
    monkeypatch.setattr(reference_run, "_value", lambda *_: -1.0)

    def search(root: Path, report: Callable[[str], None]) -> None:
        reference_search.find_reference(problem, points, root, report)

    def cut(words: str) -> None:
        if words.endswith(" 75 %"):
            raise Cut

    search(tmp_path / "whole", lambda words: None)
    with pytest.raises(Cut):
        search(tmp_path / "cut", cut)
    assert not list((tmp_path / "cut").rglob("references/*")) and list((tmp_path / "cut").rglob("unfinished/*"))
    words: list[str] = []
    search(tmp_path / "cut", words.append)
    assert all(word.startswith("reference run, try 1 of at most 9, 192 bits: ") for word in words)
    assert min(int(word.split()[-2]) for word in words) == 75, "the first run, and half of the check, are kept"
    one, other = ([*(tmp_path / store).rglob("*.npz")] for store in ("whole", "cut"))
    assert [path.name for path in one] == [path.name for path in other]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    assert not list(tmp_path.rglob("unfinished")), "what is of no more use is removed"


def test_tries_that_did_not_converge_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, points = small(steps=20), square("1e-12", 2)
    monkeypatch.setattr(reference_run, "_value", lambda *_: 1.0)
    words: list[str] = []
    for _ in range(2):
        with pytest.raises(DepthError, match="none of the 4 tried does"):
            reference_search.find_reference(problem, points, tmp_path, words.append, diverging=False)
    assert len(words) == 4 * 21, "the second search knows all four"
    kept = [*tmp_path.rglob("unfinished/*")]
    assert len(kept) == 4 and all(path.stat().st_size < 2000 for path in kept), "their states are of no use"


def test_a_stop_says_how_far_a_reference_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, table = tmp_path / "deep.toml", tmp_path / "points.csv"
    file.write_text(SCENE)
    table.write_text("x,y\n" + "".join(f"{float(p.x)!r},{float(p.y)!r}\n" for p in square("1e-3", 1)))
    usual = arbitrary_precision.run

    def stopped(*arguments: Any) -> Iterator[arbitrary_precision.Moment]:
        for step, moment in enumerate(usual(*arguments)):
            if step == 20:
                raise KeyboardInterrupt
            yield moment

    monkeypatch.setattr(arbitrary_precision, "run", stopped)
    done = run_here(
        *("probe", file, "--points", table, "--out", tmp_path / "out.csv", "--precision", "differences"),
        *("--store", tmp_path / "store"),
    )
    assert "stopped. The reference run is kept up to step 19 of 200, as trained tiles are; the same" in done.stderr
    assert done.returncode == 130 and not (tmp_path / "out.csv").exists()
    (kept,) = tmp_path.rglob("unfinished/*.npz")
    monkeypatch.undo()
    with np.load(kept) as content:
        assert len(content["state_0"]) == 20


def test_work_prints_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr("render.cli.messages.time.monotonic", lambda: now_s[0])
    with messages.working("a reference run") as tell:
        for percent in range(100):
            now_s[0] += 0.5
            tell(f"{percent} %")
    assert capsys.readouterr().err.splitlines() == [f"a reference run: {percent} %" for percent in (19, 39, 59, 79, 99)]
