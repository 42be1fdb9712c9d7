"""render analyse: windows, what is trained and kept, precision and tuning against known answers, the commands."""

import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.analyse import dimension, estimators, null_models, plots, precision, subject, tables, tuning
from render.analyse.dimension import Spread
from render.cli import app, messages
from render.errors import RenderError
from render.film.rendering import Progress
from render.geometry.camera import Keyframe, View
from render.geometry.patches import WHOLE, Patches
from render.geometry.tiles import Tile
from render.samples import Field
from render.storage.store import DirectoryStore
from render.train import reversed_sums, systems, tangent

ROOT = Path(__file__).parents[1]
TINY = scene.load("tiny")
SIX = ("linear", "relu", "single", "minibatch", "tanh", "mean_lr")


def quiet(_: Progress) -> None:
    pass


# ---- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "side"), [*((name, 64) for name in (*SIX, "tiny")), ("tanh", 256)])
def test_windows_follow_the_camera_nest_and_lie_in_the_plane(name: str, side: int) -> None:
    loaded = scene.load(name)
    windows = dimension.windows(loaded, side)
    assert len({w.level for w in windows}) == len(windows)
    path, aspect = loaded.path(loaded.output), loaded.output.height_px / loaded.output.width_px
    last = path.view(path.length)
    assert 0.7 < dimension.across_unit(windows[-1]) / (last.width * aspect) < 1.42
    for window in windows:
        assert window.shape == (side // 32, side // 32)
        assert 0 <= window.x0 < window.x1 <= 1 << window.level
        assert 0 <= window.y0 < window.y1 <= 1 << window.level
    if name == "tiny":  # its camera moves all the way down
        return
    for window in windows[2:]:  # straight down onto the target: it is never further from the middle than half a tile
        for centre, first, end in ((last.x, window.x0, window.x1), (last.y, window.y0, window.y1)):
            place = float(centre * (1 << window.level))
            assert abs(place - (first + end) / 2) <= max(0.5, abs(place - (1 << window.level)))
    for above, below in itertools.pairwise(windows[1:]):
        parents = {tile.parent for tile in below.tiles()}
        assert parents <= set(above.tiles())


def test_only_the_deepest_windows_and_only_sides_there_are() -> None:
    assert dimension.windows(TINY, 64, 2) == dimension.windows(TINY, 64)[-2:]
    with pytest.raises(RenderError, match="64, 128"):
        dimension.windows(TINY, 100)
    with pytest.raises(RenderError, match="at least 1"):
        dimension.windows(TINY, 64, 0)
    deep = dataclasses.replace(TINY, keyframes=(Keyframe(View(Fraction(1, 2), Fraction(1, 2), 1e-15), 0.0),))
    assert dimension.windows(deep, 64)[-1].level > TINY.problem.deepest_level
    deep = dataclasses.replace(deep, output=dataclasses.replace(deep.output, precision="float64"))
    with pytest.raises(RenderError, match="smaller --side"):
        dimension.windows(deep, 1024)


def test_published_numbers_belong_to_the_shipped_scenes() -> None:
    """1.17, 1.20, 1.41, 1.55, 1.66, 1.98: the panel titles of the published figure."""
    dimensions = {name: dimension.PUBLISHED.get(scene.load(name).problem.key) for name in SIX}
    assert dimensions == {"linear": 1.17, "relu": 1.2, "single": 1.41, "minibatch": 1.55, "tanh": 1.66, "mean_lr": 1.98}
    assert len(dimension.PUBLISHED) == 6
    assert TINY.problem.key not in dimension.PUBLISHED


# ---- dimension ------------------------------------------------------------------------------------------------------


Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of unit coordinates x, y: bool


class _Drawn:
    """A store whose samples are signs of a mask over the plane, for any tile of any level."""

    def __init__(self, inside: Mask, folder: Path) -> None:
        self.inside, self.folder = inside, folder

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        scale = 32 << tile.level
        u = (tile.ix * 32 + np.arange(32)) / scale
        v = (tile.iy * 32 + np.arange(32)) / scale
        field = Field.empty((32, 32))
        field.value[:] = np.where(self.inside(*np.meshgrid(u, v)), -1.0, 1.0)
        return field

    def has(self, tile: Tile) -> bool:
        return True

    def held(self, tiles: Sequence[Tile]) -> list[Patches]:
        return [WHOLE for _ in tiles]


def measured(
    inside: Mask, keyframes: tuple[Keyframe, ...], monkeypatch: pytest.MonkeyPatch, side: int = 256
) -> dimension.Result:
    drawn = dataclasses.replace(TINY, keyframes=keyframes)
    monkeypatch.setattr(dimension, "_trained_again", lambda _, areas, __: [4] * len(areas))
    monkeypatch.setattr(dimension, "_nudged", lambda _, areas, __: [(0, 0)] * len(areas))
    what = subject.Subject(drawn, None, _Drawn(inside, Path()), Path())  # type: ignore[arg-type]
    return dimension.run(what, side, None, quiet)


def given(spread: Spread | None) -> Spread:
    assert spread is not None
    return spread


def down_to(x: str, y: str, width: float) -> tuple[Keyframe, ...]:
    centre = Fraction(x), Fraction(y)
    return Keyframe(View(*centre, 0.5), 0.0), Keyframe(View(*centre, width), 4.0)


def test_a_zoom_into_a_smooth_border_measures_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circle of radius 0.3: down to 1e-4, its border has dimension 1 at every octave, like the null beside it."""
    result = measured(lambda u, v: np.hypot(u - 0.5, v - 0.5) < 0.3, down_to("0.7", "0.7236067977", 1e-4), monkeypatch)
    assert len(result.levels) == 13
    for name in estimators.ESTIMATORS:
        assert given(result.dimension(name)).median == pytest.approx(1.0, abs=0.03)
        assert given(result.null("smooth", name)).median == pytest.approx(1.0, abs=0.03)
        assert given(result.null("noise", name)).median > 1.9
    assert result.by_side("published")[256].median == pytest.approx(1.0, abs=0.1)
    assert all(abs(row.new_detail) < 0.02 for row in result.levels)


def test_a_zoom_into_the_mandelbrot_border_measures_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its border has dimension 2 (Shishikura 1998), but at 256 samples and 200 iterations only the finest windows near
    the seahorse valley say more than 1.3; what is tested is that they do, and that every estimator sees it."""

    def inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        c = (u * 3 - 2.25) + 1j * (v * 3 - 1.5)
        z = np.zeros_like(c)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(200):
                z = z * z + c
            return np.abs(z) < 2

    result = measured(inside, down_to("0.50148126", "0.54394", 0.02), monkeypatch)
    for name in ("box", "sausage"):
        assert 1.15 < given(result.dimension(name)).high < 2.0
        assert given(result.dimension(name)).high > given(result.null("smooth", name)).high + 0.1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def test_a_dimension_is_measured_on_stored_tiles_and_shared_points_have_their_bits(store: Path) -> None:
    what = subject.prepare(TINY, store)
    seen: list[Progress] = []
    result = dimension.run(what, 64, 3, seen.append)
    assert len(result.levels) == 3
    assert all(row.equal == row.again == 4 for row in result.levels)
    assert any(row.has_boundary for row in result.levels)
    tiles = dimension.tiles_of(dimension.windows(TINY, 64, 3))
    assert subject.missing_samples(what, tiles) == 0
    assert isinstance(what.store, DirectoryStore)
    assert what.store.missing(tiles) == []
    # A second run finds everything and comes to the same numbers.
    assert dimension.run(what, 64, 3, quiet) == result
    # So does one that finds a damaged tile: it is said, and the tile trained again.
    path = what.store.path(tiles[-1])
    path.write_bytes(path.read_bytes()[:-1])
    reports: list[Progress] = []
    assert dimension.run(what, 64, 3, reports.append) == result
    assert any("is damaged" in repair for now in reports for repair in now.repaired)
    assert list(what.store.get(tiles[-1]).value.shape) == [32, 32]


def test_new_detail_counts_what_the_coarse_lattice_did_not_say() -> None:
    mask = np.zeros((64, 64), bool)
    mask[::2, ::2] = True  # every new sample is unlike its coarse one
    assert dimension._new_detail(mask) == 1.0
    assert dimension._new_detail(np.ones((64, 64), bool)) == 0.0
    assert dimension._new_detail(null_models.noise(512, 0.5, 1)) == pytest.approx(0.5, abs=0.01)


# ---- points ---------------------------------------------------------------------------------------------------------


def test_points_are_trained_once_and_a_damaged_file_again(tmp_path: Path) -> None:
    what = subject.prepare(TINY, tmp_path)
    x, y = 10.0 ** np.random.default_rng(0).uniform(-3, 3, (2, 300))
    assert subject.missing_points(what, x, y) == 300
    runs: list[int] = []
    first = subject.train_points(what, x, y, lambda now: runs.append(now.samples_done))
    assert max(runs) == 300
    assert subject.missing_points(what, x, y) == 0
    more = np.append(x, 1.0), np.append(y, 1.0)
    assert subject.missing_points(what, *more) == 301 - 4 * 72  # the last piece has grown
    runs.clear()
    again = subject.train_points(what, x, y, lambda now: runs.append(now.samples_done))
    assert runs == []
    np.testing.assert_array_equal(first.value, again.value)
    assert isinstance(what.store, DirectoryStore)
    damaged = sorted((what.store.folder / "points").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    third = subject.train_points(what, x, y, lambda now: runs.append(now.samples_done))
    assert runs
    np.testing.assert_array_equal(first.value, third.value)


def test_a_stop_keeps_every_finished_piece(tmp_path: Path) -> None:
    what = subject.prepare(TINY, tmp_path)
    x, y = 10.0 ** np.random.default_rng(1).uniform(-3, 3, (2, 300))

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subject.train_points(what, x, y, stop)
    left = subject.missing_points(what, x, y)
    assert left in (300 - 72, 300 - 12)  # one piece was reported, and it is kept
    runs: list[int] = []
    subject.train_points(what, x, y, lambda now: runs.append(now.samples_total))
    assert set(runs) == {left}


# ---- precision ------------------------------------------------------------------------------------------------------


def test_backwards_is_the_same_step_but_for_rounding() -> None:
    import jax
    import jax.numpy as jnp

    system = systems.make(TINY.problem)
    assert reversed_sums.sums(TINY.problem) >= 4
    hyper = {TINY.problem.x.name: jnp.array([10.0, 353.0]), TINY.problem.y.name: jnp.array([1.0, 0.2314])}
    one, two = system.start(hyper), system.start(hyper)
    step, other = jax.jit(system.step), jax.jit(reversed_sums.backwards(system).step)
    for t in range(6):
        (one, loss), (two, loss_two) = step(one, hyper, jnp.int32(t)), other(two, hyper, jnp.int32(t))
        np.testing.assert_allclose(loss, loss_two, rtol=1e-11)
    assert any(not np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_the_tangent_is_the_slope_between_two_runs() -> None:
    """Against a central difference of the trained weights, where both are well conditioned."""
    import jax.numpy as jnp

    problem = TINY.problem
    x, y = np.array([5.0, 20.0, 1.0]), np.array([0.5, 0.1, 2.0])
    system, h = systems.make(problem), 1e-6

    def trained(dx: float, dy: float) -> np.ndarray:
        hyper = {problem.x.name: jnp.asarray(x * 10.0**dx), problem.y.name: jnp.asarray(y * 10.0**dy)}
        state = system.start(hyper)
        for t in range(problem.steps):
            state, _ = system.step(state, hyper, jnp.int32(t))
        return np.concatenate([np.asarray(w).reshape(x.size, -1) for w in state], axis=1)

    right = np.linalg.norm(trained(h, 0) - trained(-h, 0), axis=1) / (2 * h)
    up = np.linalg.norm(trained(0, h) - trained(0, -h), axis=1) / (2 * h)
    expected = np.hypot(right, up) / np.linalg.norm(trained(0, 0), axis=1)
    growth = tangent.run(problem, x, y).growth
    assert growth.shape == (problem.steps, 3)
    np.testing.assert_allclose(growth[-1], expected, rtol=1e-4)


def test_where_float64_ends_lies_between_two_views() -> None:
    def view(width: float, signs: float, share: float = 0.5) -> precision.Agreement:
        return precision.Agreement(width, signs, 0.5, share, 0.0)

    none = precision.Tangents((), (), None, 16)
    base = precision.Result("s", "k", "decades", 9.0, 1e-9, 6, (), none)
    views = (view(1e-9, 1.0), view(1e-10, 1.0, share=0.0), view(1e-11, 1.0), view(1e-13, 0.9), view(1e-14, 0.6))
    assert dataclasses.replace(base, views=views).float64_ends == pytest.approx(1e-12)
    assert dataclasses.replace(base, views=views[:3]).float64_ends is None
    assert none.decades is None
    assert "escapes" in tables.budget(none)


def test_precision_descends_into_the_border_until_float64_ends(store: Path) -> None:
    result = precision.run(subject.prepare(TINY, store), quiet)
    widths = [v.width for v in result.views]
    assert widths == sorted(widths, reverse=True)
    assert min(widths) < result.last_width / 1000
    assert all(v.mixed for v in result.views[3:])
    assert result.views[0].signs == 1.0
    assert result.tangents.decades is not None
    assert precision.expected_runs(TINY) >= 4 * 144 * len(result.views)
    assert result.views[0].last_place == 0.0
    assert max(view.last_place for view in result.views) > 0


def test_a_system_without_sums_is_refused_and_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="adds nothing up"):
        precision.run(subject.prepare(scene.load("mandelbrot"), tmp_path), quiet)


# ---- tuning ---------------------------------------------------------------------------------------------------------


def bowl(draws: int, dimensions: int, noise: float, seed: int) -> np.ndarray:
    """Losses of random search in a bowl of known depth 0.3: a loss 0.3 + |z|^2 + noise at uniform z,
    whose lowest losses follow the noisy quadratic with c = dimensions."""
    rng = np.random.default_rng(seed)
    return 0.3 + (rng.uniform(-1, 1, (draws, dimensions)) ** 2).sum(1) + rng.normal(0, noise, draws)


@pytest.mark.parametrize("dimensions", [2])
def test_a_bowl_has_its_known_depth_noise_and_number_of_hyperparameters(dimensions: int) -> None:
    (fit,) = tuning.fits(bowl(256, dimensions, 0.01, seed=dimensions), (0.3,))
    assert fit.c == dimensions
    assert fit.a == pytest.approx(0.3, abs=0.02)
    assert fit.o < 0.03
    assert fit.count == pytest.approx(0.3 * 256, abs=2)


def test_the_bands_of_a_tuning_curve_hold_the_true_curve() -> None:
    """The median best of n draws is where the distribution of one draw reaches 1 - 0.5^(1/n)."""
    truth = np.sort(bowl(200_000, 2, 0.01, seed=9))
    curve = tuning.curve(np.append(bowl(400, 2, 0.01, seed=5), [math.inf] * 20))
    inflated = 420 / 400
    for n, low, point, high in zip(curve.ns, curve.low, curve.point, curve.high, strict=True):
        quantile = (1 - 0.5 ** (1 / n)) * inflated
        true = truth[int(quantile * truth.size)]
        assert low <= true <= high
        assert low <= point <= high


def test_losses_that_escaped_make_no_fit() -> None:
    assert tuning.fits(np.full(200, math.inf), (0.1, 0.5)) == ()


def test_draws_go_on_from_fewer_and_stay_in_their_window() -> None:
    few, many = (tuning.points(TINY, n, 3, last_view=False) for n in (64, 128))
    np.testing.assert_array_equal(few[0], many[0][:64])
    x, y = tuning.points(TINY, 64, 3, last_view=True)
    view = TINY.path(TINY.output).view(99.0)
    assert np.ptp(np.log10(x)) <= view.width * 9
    assert np.ptp(np.log10(y)) <= view.width * 9 * 9 / 16
    with pytest.raises(RenderError, match="at least 64"):
        tuning.points(TINY, 10, 0, last_view=False)


# ---- commands -------------------------------------------------------------------------------------------------------


def command_line(*arguments: object) -> None:
    """Run a command in this process, which has JAX and its compiled kernels already."""
    app(["analyse", *map(str, arguments)], exit_on_error=False, print_error=False)


def documented() -> list[str]:
    lines = (ROOT / "assets/docs/analysis.md").read_text().splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("    render ")]


def test_each_analysis_is_documented_here_and_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("dimension", "precision", "tuning"):
        assert any(line.startswith(f"render analyse {kind} ") for line in documented())
        command_line(kind, "-h")
        assert f"render analyse {kind} " in capsys.readouterr().out


def in_small() -> list[list[str]]:
    """The documented commands on the tiny scene and as few samples as they take, each once."""
    smaller = {"--side": "64", "--draws": "128"}
    commands = {}
    for line in documented():
        if "--over" in line:  # see test_dimension_over_steps
            continue
        words = ["tiny" if word.endswith(".toml") else word for word in line.split()[2:]]
        words = [smaller.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        words += ["--draws", "128"] if words[0] == "tuning" and "--draws" not in words else []
        commands[" ".join(sorted(words))] = words
    # The table of all scenes trains for hours, and has tests of its own (test_every_scene).
    return [words for words in commands.values() if words[0] != "all"]


@pytest.mark.parametrize("words", in_small(), ids=" ".join)
def test_every_documented_command_prints_a_table_and_writes_its_json_and_plot(
    words: list[str],
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "QUANTILES", ())  # a fit takes seconds, and has a test of its own
    command_line(*words, "--store", store, "--out", tmp_path)
    out = capsys.readouterr().out
    assert "tiny" in out.splitlines()[0]
    written = [Path(line) for line in out.splitlines() if line.startswith(str(tmp_path))]
    assert [path.suffix for path in written] == [".json", ".png"]
    content = json.loads(written[0].read_text())
    assert content["scene"] == "tiny"
    assert content["problem"] == TINY.problem.key
    assert content["numerics"]["kernel"] >= 1
    assert written[1].read_bytes().startswith(b"\x89PNG")


def test_an_analysis_in_json_is_one_line_with_what_its_file_holds(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_json", True)  # what main() does where it sees --json
    command_line("dimension", "tiny", "--deepest", "1", "--json", "--store", store, "--out", tmp_path)
    result, *wrote = map(json.loads, capsys.readouterr().out.splitlines())
    assert [Path(line["path"]).suffix for line in wrote] == [".json", ".png"]
    assert result.pop("event") == "dimension"
    assert result == json.loads(Path(wrote[0]["path"]).read_text())
    assert result["levels"][0]["again"] == 4


def test_a_mistake_is_reported_before_anything_is_trained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for arguments, says in (
        (("dimension", "tiny", "--side", "65"), "--side must be one of 64"),
        (("dimension", "tiny", "--deepest", "0"), "at least 1"),
        (("tuning", "tiny", "--draws", "3"), "at least 64"),
        (("tuning", "tiny", "--seed", "-1"), "--seed must be"),
        (("precision", "mandelbrot"), "adds nothing up"),
        (("dimension", "no_such"), "no scene"),
    ):
        with pytest.raises(RenderError, match=says):
            command_line(*arguments, "--store", tmp_path / "store", "--out", tmp_path)
    with pytest.raises(RenderError, match="cannot be written"):
        command_line("dimension", "tiny", "--store", tmp_path / "store", "--out", blocked)
    assert not list(tmp_path.rglob("*.npz"))


def test_without_matplotlib_there_is_no_plot_but_everything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert plots.draw(object(), tmp_path / "p.png") is None
    monkeypatch.setitem(sys.modules, "opda.parametric", None)
    with pytest.raises(RenderError, match="pip install opda"):
        tuning.need_opda()


def test_the_plan_of_a_deep_film_says_how_deep_its_target_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "deep.toml"
    deep.write_text(TINY.text.replace("width_decades = 0.140625", "width_decades = 1e-6"))
    for path, says in ((deep, True), ("tiny", False)):
        app(["plan", str(path), "--quality", "scene", "--store", str(tmp_path)], exit_on_error=False)
        assert ("worth views down to about " in capsys.readouterr().out) == says
