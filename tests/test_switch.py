"""Films past float64: deep levels against 256 bits, the same film from every state of the store, and refusals."""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import scene
from render.analyse import dimension, precision, subject
from render.backends import Batch
from render.backends.refusing import RefusingBackend
from render.cli import app
from render.deep.targets import Target, Targets
from render.errors import DepthError, RenderError
from render.film import camera_table, deliver, qualities, rendering, switch, training_rate
from render.film.job import Job
from render.film.plan import Plan
from render.geometry import patches
from render.geometry.axes import Axis
from render.geometry.camera import Keyframe, View
from render.geometry.camera import Path as CameraPath
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field
from render.storage.references import Reference
from render.train.past_float64 import reference_run
from tests.helpers import exact, published
from tests.helpers.deep import CENTRE

STEPS = 200
SCENE = f"""
[problem]
width = 4
examples = 8
steps = {STEPS}
x = {{ name = "lr_input", scale = "log10", range = ["1e-3", "1e6"] }}
y = {{ name = "lr_output", scale = "log10", range = ["1e-3", "1e6"] }}

[camera]
octaves_per_s = 6
[[camera.keyframes]]
centre_log10 = ["{CENTRE[0]}", "{CENTRE[1]}"]
width_decades = 2e-10
[[camera.keyframes]]
centre_log10 = ["{CENTRE[0]}", "{CENTRE[1]}"]
width_decades = 1e-15

[output]
size = [64, 36]
fps = 4
detail = 0.25
rest_detail = 0.25
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> scene.Scene:
    path = tmp_path_factory.mktemp("scene") / "deep.toml"
    path.write_text(SCENE)
    return scene.load(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def job(loaded: scene.Scene, store: Path) -> Job:
    """The job of the film, with everything trained."""
    prepared = rendering.prepare(qualities.named(loaded, "scene"), store)
    deliver.whole_film(prepared, store / "film.mp4", poster=None)
    return prepared


@given(st.integers(41, 300), st.fractions(0, 1), st.integers(0, SAMPLES - 1))
def test_differences_are_exact_however_deep(level: int, place: Fraction, i: int) -> None:
    """Between the samples of a tile: 10**b - 10**a, in 400 digits of a decimal that knows nothing of contexts here."""
    from decimal import Decimal, localcontext

    axis = Axis("lr", "log10", Fraction(-3), Fraction(6))
    first = int(place * ((1 << level) - 1)) * SAMPLES
    with localcontext() as context:
        context.prec = 400
        positions = [axis.position_from_unit(Fraction(n, SAMPLES << level)) for n in (first, first + i)]
        a, b = (Decimal(10) ** (Decimal(p.numerator) / Decimal(p.denominator)) for p in positions)
        expected = float(b - a)
    difference = axis.differences(level, first, Fraction(a))[i]
    assert difference == pytest.approx(expected, rel=1e-15, abs=1e-16 * float(a) * 2.0**-level)


def test_the_path_beside_a_film_has_the_digits_of_its_depth(job: Job, tmp_path: Path) -> None:
    from decimal import Decimal, localcontext

    (tmp_path / "deeper.toml").write_text(SCENE.replace("1e-15", "1e-70"))
    deeper = dataclasses.replace(job, plan=Plan(scene.load(tmp_path / "deeper.toml")))
    camera_table.write(deeper.plan, tmp_path / "path.csv", [deeper.frame_count - 1])
    (row,) = csv.DictReader((tmp_path / "path.csv").read_text().splitlines())
    with localcontext() as context:
        context.prec = 400
        for name, centre in zip("xy", CENTRE, strict=True):
            true = Decimal(10) ** Decimal(centre)
            assert abs(Decimal(row[name]) / true - 1) < Decimal("1e-78")


def test_levels_after_the_switch_are_trained_by_differences_and_right(job: Job) -> None:
    assert job.switch is not None and job.switch.is_ready
    last_plain = job.plan.targets.last_plain_level
    assert last_plain is not None and min(job.plan.levels) <= last_plain < max(job.plan.levels)

    def planned(tile: Tile) -> np.ndarray:
        return job.store.get(tile, job.plan.patches[tile]).value[patches.samples(job.plan.patches[tile])]

    deepest = [tile for tile in job.plan.order if tile.level == max(job.plan.levels)]
    tile = next(t for t in deepest if 0 < np.mean(planned(t) < 0) < 1)
    field, problem = job.store.get(tile, job.plan.patches[tile]), job.scene.problem
    first = tile.first_sample
    draws, names = published.draws(width=4, examples=8, steps=STEPS), (problem.x.name, problem.y.name)
    random = np.random.default_rng(0)
    scale = SAMPLES << tile.level
    places = np.argwhere(patches.samples(job.plan.patches[tile]))
    for j, i in random.choice(places, 10):
        x, y = (
            Fraction(axis.value_from_unit(Fraction(start + int(n), scale), tile.level))
            for axis, start, n in ((problem.x, first[0], i), (problem.y, first[1], j))
        )
        truth = exact.run(draws, "tanh", STEPS, names, x, y)
        assert (field.value[j, i] < 0) == (truth < 0)
        if truth < 0:
            assert field.value[j, i] == pytest.approx(truth, rel=1e-3)


def test_both_engines_agree_on_the_samples_that_they_share(job: Job, store: Path) -> None:
    count, alike = switch.agreement(job.plan, job.store)
    first, above = (job.plan.levels[level].patches for level in (41, 40))
    shared = [patches.inherited(tile, above[tile.parent]) & held for tile, held in first.items()]
    assert count == 16 * sum(held.bit_count() for held in shared) >= 64
    assert alike > 0.9  # plain runs of this net are at the end of what they can tell
    record = json.loads((store / "film.mp4.json").read_text())
    assert record["switch"] == {
        "last_plain_level": 40,
        "shared_samples": count,
        "end_alike": round(alike, 4),
        "measured": [],
    }


def test_a_deep_frame_alone_is_that_frame_of_the_film(job: Job, loaded: scene.Scene, tmp_path: Path) -> None:
    number = job.frame_count - 2
    ((_, of_film),) = rendering.frames(job, [number])
    alone = rendering.prepare(qualities.named(loaded, "scene"), tmp_path)
    ((_, picture),) = rendering.frames(alone, [number])
    assert alone.switch is not None and job.switch is not None and job.switch.is_ready
    assert alone.switch.keys == job.switch.keys
    assert np.array_equal(picture, of_film)


def test_what_is_trained_is_found_again_at_any_quality_and_look(job: Job, loaded: scene.Scene, store: Path) -> None:
    assert rendering.prepare(qualities.named(loaded, "scene"), store).missing_samples() == 0
    other = dataclasses.replace(loaded, look=dataclasses.replace(loaded.look, palette="luma"))
    again = rendering.prepare_stored(other, "scene", store)
    assert isinstance(again.backend, RefusingBackend)
    assert len(list(rendering.frames(again, [again.frame_count - 1]))) == 1
    preview = rendering.prepare(qualities.named(loaded, "preview"), store)
    assert preview.numerics == job.numerics


def test_a_dimension_is_measured_past_float64_on_the_tiles_of_the_film(
    job: Job, loaded: scene.Scene, store: Path
) -> None:
    windows = dimension.windows(loaded, 64)
    assert windows[0].level <= loaded.problem.last_plain_level < windows[-1].level
    what = subject.prepare(loaded, store, level=windows[-1].level)
    assert job.switch is not None and what.switch is not None
    assert what.switch.keys == job.switch.keys
    result = dimension.run(what, 64, 2, lambda _: None)
    assert all(row.equal == row.again == 4 for row in result.levels), "alone, shared points have the same bits"
    assert len(result.trusted()) == 2, "differences are right where float64 is not"
    assert all(1 < row.estimates["box"].dimension < 2 for row in result.levels)  # type: ignore[union-attr]
    assert subject.missing_samples(what, dimension.tiles_of(windows[-2:])) == 0


def test_the_depth_of_a_target_past_float64_is_that_of_its_reference(
    job: Job, loaded: scene.Scene, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tangent norm is the slope to two neighbours that are trained in arbitrary precision."""
    assert job.switch is not None and job.switch.is_ready
    reference, problem = job.switch.references[0], loaded.problem
    assert reference is not None
    tangents = precision.tangents(loaded, reference)
    assert tangents.decades is not None and tangents.decades > 15
    step = Fraction(10.0 ** -(tangents.decades + 6))  # decades
    near = 1 + step * Fraction(math.log(10))
    beside = (reference.x * near, reference.y), (reference.x, reference.y * near)
    ends = [
        np.concatenate([leaf[-1].ravel() for leaf in reference_run.make(problem, *p, reference.bits).states])
        for p in beside
    ]
    end = np.concatenate([leaf[-1].ravel() for leaf in reference.states])
    slopes = [np.linalg.norm(other - end) / float(step) for other in ends]
    assert tangents.target == pytest.approx(math.hypot(*slopes) / np.linalg.norm(end), rel=1e-3)
    left = precision.leaving(loaded, reference)
    assert 0 < left.median_step <= left.steps == STEPS
    scene_path = store / "deep.toml"
    scene_path.write_text(SCENE)
    app(["plan", str(scene_path), "--quality", "preview", "--store", str(store)], exit_on_error=False)
    printed = capsys.readouterr()
    depth = re.search(r"worth views down to about (\S+) decades \(tangent norm of its", " ".join(printed.out.split()))
    assert depth is not None
    assert float(depth[1]) == pytest.approx(10.0**-tangents.decades, rel=0.1)
    assert ("nothing to see" in printed.err) == (precision.past_budget(loaded, tangents) is not None)


def test_a_film_far_below_its_depth_budget_is_warned_of(loaded: scene.Scene) -> None:
    high = 1e-15 * 36 / 64

    def warning(norm: float) -> str | None:
        return precision.past_budget(loaded, precision.Tangents((norm,), (norm,), norm, 1))

    assert warning(1 / high) is None
    assert warning(1.01e-3 / high) is None
    assert "views below about 1e-12 show one straight border" in str(warning(0.99e-3 / high))
    assert precision.past_budget(loaded, precision.Tangents((), (), None, 1)) is None


def test_a_plan_makes_no_reference_run(loaded: scene.Scene, tmp_path: Path) -> None:
    prepared = rendering.prepare(qualities.named(loaded, "scene"), tmp_path, report_step=None)
    assert prepared.missing_samples() == prepared.plan.samples
    assert not list(tmp_path.rglob("references/*"))


class Clock:
    """A backend whose clock shows what runs cost: those followed by differences three times a plain one."""

    workers, capacity, now_s = 1, 256, 0.0
    numerics: dict[str, str | int] = {"lanes": 1}
    proof: dict[str, str] = {}
    step_time_s = 0.0

    def __init__(self, followed: Reference) -> None:
        self.followed = followed

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        while (batch := next_batch()) is not None:
            points = batch.points
            self.now_s += len(points) * (1e-3 if points.is_plain else 3e-3)
            if not points.is_plain:
                dx, dy = points.differences
                assert np.allclose(points.x, float(self.followed.x) + dx, rtol=1e-14, atol=0)
                assert np.allclose(points.y, float(self.followed.y) + dy, rtol=1e-14, atol=0)
            field = Field.empty((len(points),))
            field.escape_step[:] = -1
            yield batch, field


def test_the_rate_of_a_deep_film_is_that_of_both_kinds_of_levels(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.switch is not None and job.switch.is_ready
    (reference,) = job.switch.references
    assert reference is not None
    backend = Clock(reference)
    monkeypatch.setattr("render.film.training_rate.time.perf_counter", lambda: backend.now_s)
    tiles = job.plan.order
    deep = [tile for tile in tiles if job.switch.targets.of(tile) is not None]
    assert 0 < len(deep) < len(tiles)
    samples, below = (sum(64 * job.plan.patches[tile].bit_count() for tile in some) for some in (tiles, deep))
    rings = len({tile.level for tile in deep}) * 96  # runs: so many for each level
    rate = training_rate.measure(job.plan, backend, job.switch)
    assert rate.samples_per_s == pytest.approx(1e3 * samples / (samples + 2 * below + 3 * rings))


def test_plain_float64_refuses_what_it_cannot_tell_apart(loaded: scene.Scene) -> None:
    plain = dataclasses.replace(loaded, output=dataclasses.replace(loaded.output, precision="float64"))
    with pytest.raises(DepthError, match=r'float64.*or set output.precision = "auto"'):
        qualities.named(plain, "scene")


def around(loaded: scene.Scene, away: Fraction, widest: float) -> scene.Scene:
    """Return the scene with a second target beside its own, and a view of both on the way there."""
    last = loaded.keyframes[-1]
    view = dataclasses.replace(last.view, x=last.view.x + away, width=last.view.width * 2)
    both = dataclasses.replace(last.view, x=last.view.x + away / 2, width=widest)
    keys = [dataclasses.replace(last, view=v, time_s=last.time_s + t) for v, t in ((both, 9.0), (view, 18.0))]
    return dataclasses.replace(loaded, keyframes=(*loaded.keyframes, *keys))


def test_every_deep_target_of_a_film_has_a_reference_run_of_its_own(
    job: Job, loaded: scene.Scene, store: Path, tmp_path: Path
) -> None:
    width = loaded.keyframes[-1].view.width
    wide = around(loaded, Fraction(20 * width), 100 * width)
    two = rendering.prepare(qualities.named(wide, "scene"), store)
    assert two.switch is not None and job.switch is not None
    assert len(set(two.switch.keys)) == 2 and job.switch.keys[0] in two.switch.keys
    number = two.switch.keys.index(job.switch.keys[0])
    of_own = [tile for tile in job.plan.order if two.plan.targets.of(tile) == number]
    missing = two.store.missing(of_own, job.plan.patches)
    assert of_own and missing == [], "the samples about one target are those of a film to it alone"
    deliver.whole_film(two, tmp_path / "two.mp4", poster=None)
    assert json.loads((tmp_path / "two.mp4.json").read_text())["numerics"]["reference"] == "+".join(two.switch.keys)
    # A film to the other target alone makes the same samples in a store of its own.
    last = dataclasses.replace(wide, keyframes=wide.keyframes[3:])
    alone = rendering.prepare(qualities.named(last, "scene"), tmp_path / "alone")
    list(rendering.frames(alone, [0]))
    order = alone.plan.order
    held = zip(order, two.store.held(order), alone.store.held(order), strict=True)
    deep = [(tile, a & b) for tile, a, b in held if two.plan.targets.of(tile) not in (None, number) and a & b]
    assert deep
    for tile, shared in deep:
        one, other = (store.get(tile, shared).value[patches.samples(shared)] for store in (alone.store, two.store))
        assert np.array_equal(one, other)


@given(st.floats(1.0, 1e5), st.floats(0.1, 10.0))
def test_between_two_targets_the_camera_is_near_one_of_them(distance: float, ratio: float) -> None:
    first = View(Fraction(1, 2), Fraction(1, 2), 1e-15)
    second = View(first.x + Fraction(distance * 1e-15), first.y, 1e-15 * ratio)
    path = CameraPath((Keyframe(first, 0.0), Keyframe(second, 9.0)), (64, 36), "smooth")
    for i in range(101):
        view = path.view(path.length * i / 100)
        assert min(abs(view.x - end.x) for end in (first, second)) <= Fraction(0.75 * view.width)


@given(st.integers(0, 90), st.fractions(0, 1), st.fractions(0, 1))
def test_a_tile_belongs_to_the_nearest_target_and_its_parent_to_the_same_or_is_not_inherited(
    level: int, x: Fraction, y: Fraction
) -> None:
    third = Fraction(1, 3)
    places = Targets((Target(third, third, 1e-14, 44), Target(Fraction(1, 2), third, 1e-12, 40)))
    side = 1 << level
    tile = Tile(level, min(int(x * side), side - 1), min(int(y * side), side - 1))
    middle = (tile.ix + Fraction(1, 2)) / side, (tile.iy + Fraction(1, 2)) / side
    distances = [max(abs(t.x - middle[0]), abs(t.y - middle[1])) for t in places.places]
    number = places.of(tile)
    nearest = distances.index(min(distances))
    assert number == (nearest if level > places.places[nearest].last_plain_level else None)
    if level > 0:
        assert places.inherits(tile) == (places.of(tile.parent) == number)


def test_descend_writes_the_scene_of_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = tmp_path / "given.toml", tmp_path / "found.toml"
    head = "#:schema ./scene.schema.json\n"
    given.write_text(head + SCENE.replace("1e-15", "1e-8").replace("2e-10", "1e-6"))
    words = ["descend", str(given), "--decades", "11", "--out", str(out), "--store", str(tmp_path / "store")]
    app(words, exit_on_error=False)
    assert capsys.readouterr().out.split() == [str(out)]
    loaded = scene.load(out)
    assert loaded.text.startswith("#:schema file://")  # there is none beside it
    assert len(loaded.keyframes) == 2
    assert 1e-11 <= loaded.keyframes[-1].view.width * 9 < 8e-11
    for place in qualities.named(loaded, "scene").plan.path.marks:
        assert place >= 0
    with pytest.raises(RenderError, match="must not exist"):
        app(words, exit_on_error=False)
    with pytest.raises(RenderError, match="--decades must be more than 8.0"):
        app([*words[:3], "3", "--out", str(tmp_path / "no.toml")], exit_on_error=False)


def test_descend_says_where_structure_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thirty steps do not grow by twelve decades: the border is there, and is a line."""
    given = tmp_path / "short.toml"
    given.write_text(SCENE.replace(f"steps = {STEPS}", "steps = 30").replace("1e-15", "4.0").replace("2e-10", "9.0"))
    words = ["descend", str(given), "--decades", "12", "--out", str(tmp_path / "x.toml"), "--store", str(tmp_path)]
    app(words, exit_on_error=False)
    assert "there is one straight border, and a film shows nothing new" in capsys.readouterr().err


def test_a_target_where_nothing_converges_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "red.toml"
    path.write_text(SCENE.replace(CENTRE[0], "5.5").replace(CENTRE[1], "5.25"))
    with pytest.raises(DepthError, match="none of the 12 tried does"):
        rendering.prepare(qualities.named(scene.load(path), "scene"), tmp_path / "store")
    assert not list(tmp_path.rglob("references/*"))
