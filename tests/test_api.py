"""The public names of `render`: they are lazy, and what they return agrees with tiles, films and single points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import render
from render import api
from render.backends import Backend
from render.errors import RenderError
from render.film.job import Job
from render.film.rendering import Report
from render.geometry.tiles import SAMPLES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api") / "store"


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    code = "import sys, render; print([name for name in sys.modules if name.startswith('render.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in render.__all__:
        assert getattr(render, name) is getattr(api, name)
        assert getattr(render, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'films'"):
        _ = render.films


def test_the_page_of_the_public_names_is_what_their_docstrings_say(tmp_path: Path) -> None:
    page = tmp_path / "api.md"
    subprocess.run([sys.executable, ".ci/api.py", page], cwd=ROOT, check=True)
    assert (ROOT / "assets/docs/api.md").read_text() == page.read_text(), "make api writes it again"
    for name in render.__all__:
        assert f"`render.api.{name}`" in page.read_text()


def test_a_window_has_the_values_of_its_samples_as_single_points(store: Path) -> None:
    scene = render.load("tiny")
    window = render.field(scene, window=(0.5, 20, "0.5", "30"), samples=24, store=store)
    assert window.field.value.shape == (window.y.size, window.x.size)
    assert window.x.size >= 24
    assert 0.5 <= window.x[0] < window.x[-1] <= 20
    assert (np.diff(window.x) > 0).all()
    assert (np.diff(window.y) > 0).all()
    rows, columns = np.meshgrid(np.arange(window.y.size), np.arange(window.x.size), indexing="ij")
    probed = render.probe(scene, window.x[columns.ravel()], window.y[rows.ravel()], store=store)
    for ours, theirs in zip(window.field, probed, strict=True):
        assert np.array_equal(ours.ravel(), theirs, equal_nan=True)


def test_a_window_of_a_frame_is_that_of_its_view_and_is_kept(store: Path) -> None:
    scene = render.load("tiny")
    window = render.field(scene, "last", samples=SAMPLES, store=store)
    path = scene.path(scene.output)
    x0, x1, *_ = path.viewport(path.length).edges()
    low, high = (float(scene.problem.x.value_from_unit(edge)) for edge in (x0, x1))
    assert low <= window.x[0] < window.x[-1] <= high
    assert window.x.size >= SAMPLES
    refusing = api.Listener()

    def none(problem: object) -> Backend:
        from render.backends.refusing import RefusingBackend
        from render.storage import numerics

        described = numerics.of_processor(scene.problem)
        assert described is not None
        return RefusingBackend(described)

    again = render.field(scene, "last", samples=SAMPLES, store=store, make_backend=none, listener=refusing)
    assert np.array_equal(again.field.value, window.field.value)


@pytest.mark.parametrize(
    ("window", "samples", "message"),
    [
        ((1, 2, 3), 10, "x_low, x_high, y_low, y_high"),
        ((2, 1, 1, 2), 10, "must rise"),
        ((-1, 1, 1, 2), 10, "must be > 0"),
        ((1e7, 1e8, 1, 2), 10, "no sample of the plane"),
        (("1", "2", "nan", "2"), 10, "must be finite"),
        ((1, 2, 1, 2), 1, "at least 2"),
        ((1e-3, 1e3, 1e-3, 1e3), 200_000, "Ask for fewer samples"),
    ],
)
def test_windows_that_cannot_be_trained_are_refused(
    store: Path, window: tuple[float | str, ...], samples: int, message: str
) -> None:
    with pytest.raises(RenderError, match=message):
        render.field(render.load("tiny"), window=window, samples=samples, store=store)


def test_points_must_pair_up() -> None:
    with pytest.raises(RenderError, match="same number of points"):
        render.probe(render.load("tiny"), [1.0], [1.0, 2.0])
    with pytest.raises(RenderError, match="point 1: y must be a finite number"):
        render.probe(render.load("tiny"), [1.0, 2.0], [1.0, "many"])


class Recorder(api.Listener):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.outlooks: list[api.Outlook] = []
        self.jobs: list[Job] = []

    def outlook(self, outlook: api.Outlook) -> None:
        self.outlooks.append(outlook)

    def rendering(self, job: Job):  # type: ignore[no-untyped-def]
        self.jobs.append(job)
        return super().rendering(job)


def test_a_film_announces_itself_and_its_frames_are_its_pictures(store: Path, tmp_path: Path) -> None:
    scene, heard = render.load("tiny"), Recorder()
    film = render.video(scene, quality="scene", store=store, out=tmp_path, listener=heard)
    assert film.path.stat().st_size > 0
    assert all(path.exists() for path in film.files)
    assert [job.quality for job in heard.jobs] == ["scene"]
    assert heard.outlooks[0].facts()["frames"] == 30
    assert render.plan(scene, quality="scene", store=store).samples_to_do == 0
    (path,) = render.frame(scene, "last", quality="scene", store=store, out=tmp_path)
    (picture,) = render.pictures(scene, "last", quality="scene", store=store)

    assert np.array_equal(iio.imread(path), picture)


def test_a_listener_that_overrides_nothing_is_silent(capfd: pytest.CaptureFixture[str], store: Path) -> None:
    report: Report
    with api.SILENT.rendering(None) as report, api.SILENT.working("something") as tell:  # type: ignore[arg-type]
        report(None)  # type: ignore[arg-type]
        tell("more")
    render.plan(render.load("tiny"), quality="scene", store=store)
    assert capfd.readouterr() == ("", "")
