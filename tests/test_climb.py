"""Quality `auto` climbs: soon a whole film, then better ones, and a stop leaves the best finished one."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

import render
from render import api, backends
from render.api.preparation import Outlook
from render.backends import Backend
from render.film import climb, qualities, rendering, training_rate
from render.film.job import Job
from render.film.rendering import Progress, Report
from render.film.training_rate import Rate
from render.problem import Problem
from render.scene import Scene


# A film of Mandelbrot's set trains in a second at the smallest qualities.
def small(*settings: str) -> Scene:
    small = ("camera.keyframes[1].width=0.8", "output.size=[64,64]", "output.fps=6", "output.overlay=false")
    loaded = render.load("mandelbrot", settings=[*small, *settings])
    return dataclasses.replace(loaded, output=dataclasses.replace(loaded.output, detail=4.0, rest_detail=4.0))


SCENE = small()
LOWER = {"preview": 0.2, "soft": 0.4, "draft": 0.8, "fine": 1.6}


@pytest.fixture(autouse=True)
def small_qualities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qualities that keep the size and the frame rate, so that tests are fast: the detail alone rises."""
    from render import scene as scenes
    from render.scene import values

    row = dataclasses.replace(values.QUALITY["preview"], side_px=64, fps=6)
    table = {name: dataclasses.replace(row, detail=d, rest_detail=d) for name, d in LOWER.items()}
    for place in (values, scenes, qualities, climb):
        monkeypatch.setattr(place, "QUALITY", table)


def slow(monkeypatch: pytest.MonkeyPatch, top: str, first_s: float = 300.0) -> None:
    """Pretend that this machine trains the film of a quality in four times FIRST_S, which is within the budget."""
    samples = qualities.named(SCENE, top).plan.samples
    monkeypatch.setattr(training_rate, "measure", lambda *_: Rate(samples / (4 * first_s)))


class Heard(api.Listener):
    """Keeps what it receives, and may stop a film in its third frame."""

    def __init__(self, stop_in: str = "") -> None:
        self.films: list[tuple[Path, str]] = []
        self.outlooks: list[Outlook] = []
        self.stop_in = stop_in

    def outlook(self, outlook: Outlook) -> None:
        self.outlooks.append(outlook)

    def film(self, path: Path, quality: str) -> None:
        assert json.loads(path.with_name(path.name + ".json").read_text())["quality"] == quality
        self.films.append((path, quality))

    def rendering(self, job: Job):  # type: ignore[no-untyped-def]
        import contextlib

        def report(now: Progress) -> None:
            if job.quality == self.stop_in and now.frames_done == 3:
                raise KeyboardInterrupt

        reporter: Report = report
        return contextlib.nullcontext(reporter)


def quality_at(path: Path) -> str:
    """The quality of the film at a path, whose record must be that of the very file."""
    record = json.loads(path.with_name(path.name + ".json").read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    return str(record["quality"])


def test_a_first_film_is_there_before_the_best_one_and_both_are_what_they_are_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, "fine")
    heard = Heard()
    film = render.video(SCENE, budget_min=21, out=tmp_path / "out", store=tmp_path / "store", listener=heard)
    qualities_made = [quality for _, quality in heard.films]
    assert qualities_made
    assert [o.job.quality for o in heard.outlooks] == [*qualities_made, "fine"]
    for path, quality in heard.films:
        assert quality_at(path) == quality
        assert path.name == f"{film.path.name.replace('-fine', f'-{quality}')}"
    assert quality_at(film.path) == "fine"
    alone = render.video(SCENE, quality="fine", out=tmp_path / "alone", store=tmp_path / "store")
    assert alone.path.read_bytes() == film.path.read_bytes()


def test_a_stop_leaves_the_best_finished_film_and_the_same_call_goes_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, "fine")
    folders: dict[str, Any] = {"out": tmp_path / "out", "store": tmp_path / "store"}
    stopped = Heard(stop_in="fine")
    with pytest.raises(KeyboardInterrupt):
        render.video(SCENE, budget_min=21, **folders, listener=stopped)
    path, best = stopped.films[-1]
    assert quality_at(path) == best
    before = path.read_bytes()
    again = Heard(stop_in="fine")
    # The store is lost, but not the film: nothing worse is put in its place.
    folders["store"] = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        render.video(SCENE, budget_min=21, **folders, listener=again)
    assert again.films == []
    assert path.read_bytes() == before
    film = render.video(SCENE, budget_min=21, **folders, listener=(last := Heard()))
    assert (last.films, quality_at(film.path), quality_at(path)) == ([], "fine", best)


@pytest.mark.parametrize("damage", ["film", "record", "palette", "none"])
def test_only_a_film_that_is_this_one_counts_as_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    slow(monkeypatch, "fine")
    folders: dict[str, Any] = {"out": tmp_path / "out", "store": tmp_path / "store"}
    with pytest.raises(KeyboardInterrupt):
        render.video(SCENE, budget_min=21, **folders, listener=(heard := Heard(stop_in="fine")))
    path, _ = heard.films[-1]
    scene = SCENE
    if damage == "film":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "record":
        path.with_name(path.name + ".json").write_text("{")
    elif damage == "palette":
        scene = small("look.palette=vik")
    job = rendering.prepare(qualities.named(scene, heard.films[-1][1]), tmp_path / "store")
    assert climb.stands(path, job) == (damage == "none")


def backend_of(problem: Problem) -> Backend:
    return backends.make("local", problem)


@pytest.mark.parametrize(
    ("fine_s", "expected"),
    [
        (200.0, []),  # soon enough by itself
        (400.0, ["draft"]),
        (1_000.0, ["draft"]),
        (2_000.0, ["soft", "draft"]),
        (100_000.0, ["preview", "soft", "draft"]),  # the first one comes late, but it comes
    ],
)
def test_the_first_film_trains_in_five_minutes_and_each_needs_twice_the_one_before(
    tmp_path: Path, fine_s: float, expected: list[str]
) -> None:
    backend = backend_of(SCENE.problem)
    *lower, top = (rendering.prepare(qualities.named(SCENE, name), tmp_path, backend=backend) for name in LOWER)
    rungs = climb.rungs(top, lower, Rate(top.missing_samples() / fine_s))
    took_s = [job.missing_samples() / top.missing_samples() * fine_s for job in [*rungs, top]]
    assert all(b >= 2 * a for a, b in itertools.pairwise(took_s)) or took_s[-1] <= 2 * climb.FIRST_S
    assert not rungs or took_s[0] <= climb.FIRST_S or rungs[0] is lower[0]
    assert [job.quality for job in rungs] == expected
    pictures = dataclasses.replace(SCENE, output=dataclasses.replace(SCENE.output, codec="png"))
    folder = rendering.prepare(qualities.named(pictures, "fine"), tmp_path, backend=backend)
    assert climb.rungs(folder, lower, Rate(1e-9)) == []


def test_the_terminal_says_what_is_there_to_watch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from render.cli import messages, terminal

    listener = terminal.TerminalListener()
    listener.film(tmp_path / "film.mp4", "preview")
    job = rendering.prepare(qualities.named(SCENE, "preview"), tmp_path)
    messages.LINE_S, usual = 0.0, messages.LINE_S
    try:
        with listener.rendering(job) as report:
            report(Progress(1, 2, 0, 0))
    finally:
        messages.LINE_S = usual
    printed = capsys.readouterr().err
    assert 'film at quality "preview", to watch' in printed
    assert f"to watch: {tmp_path / 'film.mp4'} (preview)" in printed
