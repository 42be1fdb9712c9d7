"""Bifurcation diagrams: against NumPy and known onsets; their scenes; films that go on; refusals."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render import api, scene
from render.cli import app
from render.errors import DepthError, RenderError, SceneError
from render.film import bifurcation, painter
from render.film.plan import Plan
from render.geometry.viewport import Viewport
from render.problem.catalogue import SYSTEMS
from render.scene import Scene
from render.train import orbits

SHIPPED = (scene.files.shipped() / "bifurcation_windows.toml").read_text(encoding="utf-8")
SMALL = (
    SHIPPED.replace("transient = 2000", "transient = 200")
    .replace("steps = 4000", "steps = 300")
    .replace("octaves_per_s = 0.667", "octaves_per_s = 8")
    .replace("hold_s = 2.5", "hold_s = 0")
    .replace("hold_s = 1.0", "hold_s = 0")
    .replace("width = 1.2e-5", "width = 1e-2")
    .replace("size = [1920, 1080]", "size = [96, 54]")
    .replace("fps = 30", "fps = 12")
)


def diagram(text: str = SMALL) -> Scene:
    return scene.parse(text, "small.toml", "small")


def step(u: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """Two equal factors: u <- u - lr (u^2 - 1) u."""
    return u - lr * (u * u - 1) * u


# ---- orbits and densities


def test_orbits_are_those_of_numpy_and_do_not_depend_on_their_neighbours() -> None:
    loaded = diagram()
    lr = np.linspace(0.9, 1.3, 700)  # order alone: chaos would amplify the last bit
    ours = orbits.visits(loaded.problem, lr, 0.3, 200)
    u, theirs = np.full(700, 0.3), []
    for t in range(300):
        u = step(u, lr)
        theirs += [u] if t >= 200 else []
    assert ours.shape == (100, 700)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_array_equal(orbits.visits(loaded.problem, lr[600:603], 0.3, 200), ours[:, 600:603])


def test_cyclic_rates_have_orbits_too() -> None:
    text = SMALL.replace('"product"', '"cyclic"').replace("starts = 1\n", 'order = "ab"\n')
    text = text.replace('"start_1"', '"start"').replace('name = "lr"', 'name = "lr_a"')
    loaded = diagram(text.replace("[problem.x]", "[problem.fixed]\nlr_b = 1.05\n\n[problem.x]"))
    lr = np.linspace(0.9, 1.0, 20)
    u = np.full(20, 0.3)
    for t in range(201):
        u = step(u, lr if t % 2 == 0 else np.full(20, 1.05))
    np.testing.assert_allclose(orbits.visits(loaded.problem, lr, 0.3, 200)[0], u, rtol=1e-9)


def test_a_pixel_is_as_bright_as_the_logarithm_of_its_share_of_visits() -> None:
    """Counted once more with numpy.histogram2d, on the whole plane."""
    loaded = diagram()
    view = loaded.path(loaded.output).viewport(0.0)
    shares = bifurcation.densities(loaded, view)
    assert shares.shape == (54, 96)
    x0, x1, y0, y1 = view.edges()
    places = [x0 + (x1 - x0) * Fraction(2 * i + 1, 192) for i in range(96)]
    lr = np.array([float(loaded.problem.x.value_from_unit(place)) for place in places])
    visited = orbits.visits(loaded.problem, lr, 0.3, 200)
    edges = -0.55 + 2.55 * np.linspace(float(y0), float(y1), 55)
    counts = np.histogram2d(visited.ravel(), np.tile(np.arange(96), 100), bins=[edges, np.arange(97) - 0.5])[0][::-1]
    np.testing.assert_allclose(shares, np.log1p(counts) / math.log(101), atol=1e-6)
    settled = lr < 0.97
    assert (shares[:, settled].max(axis=0) == 1.0).all()
    assert ((shares[:, settled] > 0).sum(axis=0) == 1).all()


def test_the_first_doubling_is_where_it_is_known_to_be() -> None:
    """The minimum u = 1 turns unstable at lr = 1: left of it a column has one bright pixel, right of it two."""
    loaded = diagram(
        SMALL.replace('centre = ["1.25", "0.725"]', 'centre = ["1", "1.003"]').replace("width = 0.7", "width = 0.2")
    )
    shares = bifurcation.densities(loaded, loaded.path(loaded.output).viewport(0.0))
    lr = 0.9 + 0.2 * (np.arange(96) + 0.5) / 96
    lit = (shares > 0.5).sum(axis=0)
    assert (lit[lr < 0.98] == 1).all()
    assert (lit[lr > 1.03] == 2).all()


def test_windows_nest_three_nine_and_twenty_seven() -> None:
    """At the film's target the run has period 27; where windows of 3 and 9 are superstable, 3 and 9."""
    for rate, period in ((1.4531555836457541, 3), (1.4705239946131305, 9), (1.4708289545761768, 27)):
        loaded = diagram(SMALL.replace("steps = 300", "steps = 20000"))
        visited = orbits.visits(loaded.problem, np.array([rate]), 0.3, 20_000 - 200)[:, 0]
        assert np.abs(visited[period:] - visited[:-period]).max() < 1e-7
        assert np.abs(visited[period // 3 :] - visited[: -(period // 3)]).max() > 1e-4
    path = scene.load("bifurcation_windows").path(scene.load("bifurcation_windows").output)
    last = path.view(path.length)
    assert abs(0.9 + 0.7 * float(last.x) - rate) < 0.7 * last.width / 2, "the film ends at the last of them"


def test_heights_narrow_to_a_power_of_the_widths() -> None:
    loaded = diagram()
    path = loaded.path(loaded.output)
    first, last = path.viewport(0.0), path.viewport(path.length)
    assert last.height / first.height == pytest.approx((last.width / first.width) ** 0.5552)
    assert first.height == pytest.approx(first.width * 54 / 96)
    y0, y1 = (float(v) for v in last.edges()[2:])
    assert y1 - y0 == pytest.approx(last.height)
    assert Viewport(last.x, last.y, last.width, 96, 54).stretch == 1.0


# ---- scenes


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('kind = "bifurcation"', "", 'bifurcation needs kind = "bifurcation" at the top of the file'),
        ('kind = "bifurcation"', 'kind = "bifurcations"', 'kind must be "bifurcation", not "bifurcations"'),
        ("transient = 200", "transient = 300", "bifurcation.transient must be below problem.steps = 300, not 300"),
        ("transient = 200", "", "bifurcation must have transient"),
        ("height_power = 0.5552", "height_power = 1.5", "bifurcation.height_power must be <= 1, not 1.5"),
        (
            'name = "start_1"',
            'name = "l2"',
            "problem.y.name must be the start of a number that a bifurcation diagram sho",
        ),
        (
            "[look]",
            '[look]\nchannel = "period"',
            "look.channel must be left out: colours of a bifurcation diagram are",
        ),
        ("[look]", "[look]\nboundary = 2.0", "look.boundary must be left out"),
        ("steps = 300", "steps = 300\nobserve.lyapunov = 9", "problem.observe must be left out"),
        ("width = 0.7", "width = 0.7\nsteps = 20", "camera.keyframes[0].steps must be left out"),
        ("width = 0.7", "width = 0.7\nset = {l2 = 0.1}", "camera.keyframes[0].set must be left out"),
    ],
)
def test_faults_of_a_diagrams_scene_are_located(old: str, new: str, fault: str) -> None:
    assert SMALL.count(old) >= 1
    with pytest.raises(SceneError, match=re.escape(fault)):
        diagram(SMALL.replace(old, new, 1))


def test_a_system_without_a_number_to_show_is_refused() -> None:
    text = (scene.files.shipped() / "tiny.toml").read_text(encoding="utf-8")
    text = f'kind = "bifurcation"\nbifurcation = {{start = 0.3, transient = 3}}\n{text}'
    with pytest.raises(
        SceneError, match='problem.system must be one of "product", "cyclic", "committee", whose .*, not "mlp"'
    ):
        scene.parse(text, "t.toml", "t")


def test_rows_name_numbers_that_their_kernels_give() -> None:
    for row in SYSTEMS.values():
        assert set(row.visited) <= set(row.hyperparameters)


def test_views_that_float64_cannot_tell_apart_are_refused_before_anything() -> None:
    with pytest.raises(DepthError, match="float64 tells its pixels apart down to"):
        Plan(diagram(SMALL.replace("width = 1e-2", "width = 1e-13")))


# ---- films


def test_a_film_has_its_record_and_goes_on_and_every_frame_is_that_of_a_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = diagram()
    computed: list[float] = []
    densities = bifurcation.densities

    def counted(of: Scene, view: Viewport) -> np.ndarray:
        computed.append(view.width)
        return densities(of, view)

    monkeypatch.setattr(bifurcation, "densities", counted)
    film = api.video(loaded, quality="scene", out=tmp_path / "out", store=tmp_path / "store")
    frames = json.loads(film.path.with_name(film.path.name + ".json").read_text())["frames"]
    assert len(set(computed)) == frames >= 4, "every frame is computed for its own view, and none twice in the film"
    assert all(path.exists() for path in film.files)
    stills = api.frame(loaded, "4", quality="scene", out=tmp_path / "out", store=tmp_path / "store")
    picture = np.asarray(Image.open(stills[0]).convert("RGB"))
    again = api.pictures(scene.load(stills[0]), store=tmp_path / "store")
    np.testing.assert_array_equal(again[0], picture)
    assert picture.std() > 5
    assert not list((tmp_path / "store").rglob("*.npz")), "nothing is stored"


def test_a_plan_of_a_diagram_says_what_is_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    app(["plan", str(path), "--quality", "scene", "--store", str(tmp_path / "store")], exit_on_error=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "96 of 300 steps in every frame, computed as it is shown; none is stored" in printed


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["export", "--out", "m.zarr"], "an export"),
        (["poster", "--cm", "10x10"], "a print"),
        (["publish", "site"], "a map on a page"),
        (["descend"], "a descent"),
        (["explore", "--no-open"], "the explorer"),
        (["analyse", "dimension"], "an analysis"),
        (["analyse", "tuning"], "an analysis"),
        (["analyse", "all"], "an analysis"),
    ],
)
def test_what_needs_a_plane_of_samples_is_refused(
    words: list[str], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    command = 2 if words[0] == "analyse" else 1
    with pytest.raises(RenderError, match=f"has no plane of samples for {wanted}"):
        app([*words[:command], str(path), *words[command:]], exit_on_error=False, print_error=False)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_diagram_is_labelled_by_what_is_visited_and_has_no_legend() -> None:
    annotator = painter._annotator(Plan(diagram()))
    assert annotator is not None
    assert annotator._labels == ("learning rate", "first factor")
    assert "legend" not in annotator._parts
