"""Films in which hyperparameters or settings move: their slices, their training, and refusals."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from render import api, backends, scene
from render.errors import DepthError, RenderError, SceneError
from render.film import cost, deliver, qualities, rendering, training_rate
from render.film.frame_arrays import FrameArrays
from render.film.job import Job
from render.film.plan import Plan
from render.film.rendering import Progress
from render.film.slices import Slice
from render.geometry.tracks import Track
from render.picture import overlay
from render.picture.annotate import Annotator
from render.samples import Field
from render.scene import Scene
from render.storage.store import DirectoryStore

WIDE = 'centre_log10 = ["1.5", "1.5"], width_decades = 9.0'
NEAR = 'centre = ["353", "0.2314"], width_decades = 0.5'
RISE = f'{{{WIDE}, set = {{offset = "0"}}}}, {{{NEAR}, set = {{offset = "0.2"}}}}'
STILL = f'{{{WIDE}, set = {{offset = "0"}}}}, {{{WIDE}, set = {{offset = "0.2"}}}}'
GROW = f"{{{WIDE}, set = {{width = 2}}}}, {{{WIDE}, set = {{width = 5}}}}"


def rising(keyframes: str = RISE, *more: str) -> Scene:
    """The tiny scene, zooming while an offset rises, in four slices."""
    return scene.load("tiny", settings=[f"camera.keyframes=[{keyframes}]", "output.slices=4", *more])


def job_of(loaded: Scene, store: Path) -> Job:
    return rendering.prepare(qualities.named(loaded, "scene"), store)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds every sample of the film that zooms while an offset rises."""
    root = tmp_path_factory.mktemp("rise")
    job = job_of(rising(), root)
    assert job.missing_samples() == job.plan.samples
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    assert job.missing_samples() == 0
    return root


# ---- slices ---------------------------------------------------------------------------------------------------------


def test_slices_are_even_between_keyframes_and_keyframes_have_their_own() -> None:
    plan = Plan(rising(f'{RISE}, {{{NEAR}, set = {{offset = "0.3"}}}}', "output.slices=7"))
    offsets = [dict(problem.fixed)["offset"] for problem in plan.slices.problems]
    assert offsets == pytest.approx([0.0, 0.2 / 3, 0.4 / 3, 0.2, 0.7 / 3, 0.8 / 3, 0.3])
    assert len({problem.key for problem in plan.slices.problems}) == 7
    for i, s in enumerate(plan.path.marks):
        assert plan.slices.at(float(s)) == [(Slice(3 * i, 20), 1.0)]
    track = plan.path.tracks[0]
    for s in np.linspace(0, plan.path.length, 200):
        shown = plan.slices.at(float(s))
        assert sum(share for _, share in shown) == pytest.approx(1.0)
        mean = sum(share * offsets[each.problem] for each, share in shown)
        assert mean == pytest.approx(plan.path.value(track, float(s)), abs=1e-12)


def test_whole_settings_move_in_steps_evenly_in_the_logarithm() -> None:
    plan = Plan(rising(GROW.replace("width = 5", "width = 64"), "output.slices=6"))
    widths = [dict(problem.settings)["width"] for problem in plan.slices.problems]
    assert widths == [2, 4, 8, 16, 32, 64]
    few = Plan(rising(GROW, "output.slices=24"))
    assert [dict(problem.settings)["width"] for problem in few.slices.problems] == [2, 3, 4, 5], "no width twice"
    assert few.slices.at(0.0) == [(Slice(0, 20), 1.0)]
    assert few.slices.at(few.path.length) == [(Slice(3, 20), 1.0)]
    assert few.path.tracks[0].words(3.2) == "width 3"


def test_there_and_back_shows_the_same_slices_again() -> None:
    loop = Plan(rising(f'{STILL}, {{{WIDE}, set = {{offset = "0"}}}}', "output.slices=7"))
    assert [dict(problem.fixed)["offset"] for problem in loop.slices.problems] == pytest.approx(
        [0, 0.2 / 3, 0.4 / 3, 0.2]
    )
    assert loop.slices.at(0.0) == loop.slices.at(loop.path.length)


def test_a_number_that_moves_by_its_logarithm_has_octaves() -> None:
    track = Track("lr", True, (1.0, 8.0, 8.0))
    assert [track.length(0), track.length(1), track.between(0, 1 / 3)] == pytest.approx([3.0, 0.0, 2.0])


# ---- what is trained ------------------------------------------------------------------------------------------------


def test_every_slice_is_trained_where_it_is_shown_and_nowhere_else() -> None:
    plan = Plan(rising())
    assert plan.samples < 4 * Plan(scene.load("tiny")).samples * 2
    for s in np.linspace(0, plan.path.length, 300):
        for number in plan.slices.shown(float(s)):
            assert set(plan.tiles_at(float(s))) <= set(plan.orders[number])
    assert len(plan.orders[-1]) < len(plan.order), "the last one needs no tiles of the beginning"
    still = Plan(rising(STILL))
    assert all(set(order) == set(still.order) for order in still.orders)
    assert cost.disk_bytes(still) == 4 * cost.disk_bytes(Plan(rising(f'{{{WIDE}, set = {{offset = "0.1"}}}}')))


def test_a_slice_is_the_problem_of_a_scene_of_its_own(store: Path) -> None:
    """Its samples are those that a scene with that offset finds in the store, and its picture that scene's."""
    job = job_of(rising(), store)
    camera = f"camera.keyframes=[{{{WIDE}}}, {{{NEAR}}}]"
    alone = job_of(scene.load("tiny", settings=[camera, "problem.fixed={offset = 0.0}"]), store)
    assert alone.scene.problem.key == job.plan.slices.problems[0].key
    seen: list[Progress] = []
    picture = next(rendering.frames(alone, [0], seen.append))[1]
    np.testing.assert_array_equal(picture, next(rendering.frames(job, [0]))[1])
    assert job.plan.path.length == alone.plan.path.length
    assert alone.missing_samples() < alone.plan.samples, "what the film trained, it finds"


def test_between_two_slices_a_frame_is_mixed_as_light(store: Path) -> None:
    job = job_of(rising(), store)
    number = next(
        number
        for number in range(job.frame_count)
        if len(job.plan.slices.at(job.plan.path.s_of_frame(number, job.scene.output.fps))) == 2
    )
    (_, _), (second, share) = job.plan.slices.at(job.plan.path.s_of_frame(number, job.scene.output.fps))
    assert second.problem == 1 and 0 < share < 1
    picture = next(rendering.frames(job, [number]))[1]
    tile = job.plan.tiles_at(0.0)[0]
    fields = [store.get(tile, job.plan.patches[tile]) for store in (job.store, job.others[0].store)]
    assert (fields[0].value != fields[1].value).any() and picture.std() > 0


def test_a_frame_alone_equals_that_frame_of_the_film(store: Path) -> None:
    job = job_of(rising(), store)
    film = dict(rendering.frames(job, range(job.frame_count)))
    for number in (0, 5, job.frame_count // 2, job.frame_count - 1):
        np.testing.assert_array_equal(next(rendering.frames(job, [number]))[1], film[number])


def test_a_single_frame_trains_its_own_slices_alone(tmp_path: Path) -> None:
    job = job_of(rising(STILL), tmp_path)
    seen: list[Progress] = []
    list(rendering.frames(job, [job.frame_count - 1], seen.append))
    assert seen[-1].samples_total == seen[-1].samples_done == job.plan.samples // 4
    assert job.missing_samples() == job.plan.samples - job.plan.samples // 4


class Stop(Exception):
    """What stops a film in these tests."""


def test_a_film_that_was_stopped_while_it_trained_goes_on_and_has_the_same_bytes(store: Path, tmp_path: Path) -> None:
    film = deliver.film_path(tmp_path / "whole", job := job_of(rising(), store))
    deliver.whole_film(job, film)
    stopped = job_of(rising(), tmp_path / "store")

    def stop(now: Progress) -> None:
        if now.frames_done == 6:
            raise Stop

    path = deliver.film_path(tmp_path / "stopped", stopped)
    with pytest.raises(Stop):
        deliver.whole_film(stopped, path, stop)
    done = stopped.plan.samples - stopped.missing_samples()
    assert done > 0, "what was trained is kept"
    again = job_of(rising(), tmp_path / "store")
    deliver.whole_film(again, path)
    for suffix in (".mp4", ".path.csv", ".mp4.json"):
        assert film.with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()
    with film.with_suffix(".path.csv").open(newline="") as file:
        offsets = [float(row["offset"]) for row in csv.DictReader(file)]
    assert (offsets[0], offsets[-1]) == (0.0, 0.2)
    with film.with_suffix(".frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == job.frame_count
    assert all(row["tiles"] == row["tiles_stored"] for row in rows)


def test_a_film_of_stored_slices_is_made_without_training(store: Path) -> None:
    job = rendering.prepare_stored(rising(), "scene", store)
    assert job.missing_samples() == 0
    pictures = dict(rendering.frames(job, [0, job.frame_count - 1]))
    assert len(pictures) == 2
    tile, kept = job.plan.orders[1][0], DirectoryStore.existing(store, job.plan.slices.problems[1])[0]
    kept.path(tile, job.plan.patches[tile]).unlink()
    with pytest.raises(RenderError, match="but 1 of its"):
        rendering.prepare_stored(rising(), "scene", store)
    again = job_of(rising(), store)
    for _ in rendering.frames(again, range(again.frame_count)):
        pass


def test_values_of_frames_are_those_of_the_slice_that_is_shown_most(store: Path) -> None:
    job = job_of(rising(), store)
    training = job.trainings(job.plan.orders)
    channels = FrameArrays(job.plan, training.fetch).channels(job.plan.path.length)
    tile = job.plan.tiles_at(job.plan.path.length)[0]
    alone = job.others[-1].store.get(tile, job.plan.patches[tile])
    assert set(channels) >= {"value", "final_loss", "status", "R"}
    assert np.isin(channels["value"], alone.value).any()


def test_a_rate_is_measured_over_the_slices() -> None:
    plan = Plan(rising(GROW.replace("width = 5", "width = 40"), "problem.steps=5"))
    assert training_rate.measure(plan, backends.make("local", plan.scene.problem)).samples_per_s > 0


# ---- what keyframes may say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyframes", "more", "words"),
    [
        (f'{{{WIDE}, set = {{offset = "0"}}}}, {{{NEAR}}}', [],
         r"camera.keyframes\[1\].set must have offset, as other keyframes have it"),
        (f"{{{WIDE}, set = {{offset = 0.5}}}}", [],
         r'camera.keyframes\[0\].set.offset must be a quoted decimal such as "0.5", not 0.5'),
        (f'{{{WIDE}, set = {{ofset = "0.5"}}}}', [],
         r'camera.keyframes\[0\].set has no field "ofset"; did you mean "offset"\?'),
        (f'{{{WIDE}, set = {{lr_input = "0.5"}}}}', [],
         r"camera.keyframes\[0\].set.lr_input must not move the x axis; remove it"),
        (f'{{{WIDE}, set = {{lr = "0.5"}}}}', [], "problem must set the input layer's learning rate once"),
        (f"{{{WIDE}, set = {{width = 0}}}}", [], r"camera.keyframes\[0\].set.width must be >= 1, not 0"),
        (f'{{{WIDE}, set = {{momentum = "0.5"}}}}', ["problem.system=network"],
         r'camera.keyframes\[0\].set.momentum: "momentum" only has an effect with optimiser'),
        (f'{{{WIDE}, set = {{weight_decay = "0"}}}}', ["problem.system=network"],
         r"camera.keyframes\[0\].set.weight_decay must be > 0, since weight_decay moves evenly in its logarithm, not"),
        (f"{{{WIDE}, set = {{batch = 4}}}}", ["problem.system=network"],
         r"camera.keyframes\[0\].set.batch must not move, since there are hyperparameters that only some"),
        (RISE, ["look.equalise=film"], r'look.equalise must be "octave", "fixed" or "log" where keyframes set hyper'),
        (f'{{{WIDE}, set = {{width = 4}}}}, {{{NEAR}, set = {{offset = "0.1"}}}}', [],
         r"camera.keyframes\[0\].set must have offset"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_where_it_stands(keyframes: str, more: list[str], words: str) -> None:
    with pytest.raises(SceneError, match=words):
        rising(keyframes, *more)


def test_a_rule_between_settings_holds_on_all_of_the_way() -> None:
    view = 'centre = ["0.01", "0.01"], width_decades = 1.0'
    keyframes = f"{{{view}, set = {{heads = 1}}}}, {{{view}, set = {{heads = 4}}}}"
    with pytest.raises(
        SceneError, match=r"set.heads goes from 1 to 4, but problem.heads must divide problem.model = 8"
    ):
        scene.load("transformer", settings=[f"camera.keyframes=[{keyframes}]", "camera.octaves_per_s=1"])


def test_past_float64_nothing_moves_but_the_camera() -> None:
    deep = NEAR.replace("0.5", "1e-20")
    with pytest.raises(DepthError, match="hyperparameters and settings can only move where float64 reaches"):
        Plan(rising(f'{{{WIDE}, set = {{offset = "0"}}}}, {{{deep}, set = {{offset = "0.2"}}}}'))


def test_steps_and_hyperparameters_move_together(tmp_path: Path) -> None:
    keyframes = f'{{{WIDE}, steps = 1, set = {{offset = "0"}}}}, {{{WIDE}, steps = 20, set = {{offset = "0.2"}}}}'
    job = job_of(rising(keyframes), tmp_path)
    assert {track.name for track in job.plan.path.tracks} == {"steps", "offset"}
    s = 0.4 * job.plan.path.length
    assert len(job.plan.slices.at(s)) == 4
    assert sum(share for _, share in job.plan.slices.at(s)) == pytest.approx(1.0)
    numbers = [0, job.frame_count // 3, job.frame_count - 1]
    together = dict(rendering.frames(job, numbers))
    assert len({picture.tobytes() for picture in together.values()}) == 3
    np.testing.assert_array_equal(next(rendering.frames(job, numbers[1:2]))[1], together[numbers[1]])


def test_a_resolved_scene_is_the_same_scene() -> None:
    loaded = rising(GROW)
    again = scene.parse(scene.resolved(loaded), "again", loaded.name)
    assert again.tracks == loaded.tracks and again.problem == loaded.problem


@pytest.mark.parametrize("name", ["momentum_rise", "offset_rise", "width_rise"])
def test_scenes_in_which_something_rises_are_whole(name: str) -> None:
    loaded = scene.with_quality(scene.load(name), "preview")
    assert 10 <= len(Plan(loaded).slices.problems) <= 12, "at most as many as the quality affords"


def test_values_of_a_frame_as_arrays_are_those_of_its_slice(tmp_path: Path) -> None:
    loaded = rising(STILL)
    first, last = (api.field(loaded, at, samples=32, store=tmp_path) for at in ("0", "last"))
    plain = scene.load("tiny", settings=["problem.fixed={offset = 0.2}"])
    np.testing.assert_array_equal(last.field.value, api.field(plain, "0", samples=32, store=tmp_path).field.value)
    assert (first.field.value != last.field.value).any()


@pytest.mark.parametrize(
    ("size", "words"), [((192, 108), "offset 0.2"), ((1920, 1080), "weight offset added at every step 0.2")]
)
def test_a_value_whose_label_finds_no_room_is_shown_by_its_name(size: tuple[int, int], words: str) -> None:
    loaded = rising(RISE, f"output.size=[{size[0]}, {size[1]}]")
    path, problem = loaded.path(loaded.output), loaded.problem
    frame = np.full((size[1], size[0], 3), 128, np.uint8)
    Annotator(path, (problem.x, problem.y), problem.labels, loaded.look, ("values",)).draw(frame, path.length)
    columns = np.flatnonzero((frame != 128).any(axis=(0, 2)))
    assert columns[-1] - columns[0] + 1 == overlay.pill_width(overlay.font_of(*size), words) < size[0] / 2


def test_on_a_cluster_slices_are_refused_with_the_field_that_makes_them(tmp_path: Path) -> None:
    loaded = rising()
    local = backends.make("local", loaded.problem)

    class Elsewhere:
        """A backend that is not this machine's, as far as it is asked for before any training."""

        capacity, workers, numerics = 16, 1, local.numerics

        def run(self, next_batch: Callable[[], backends.Batch | None]) -> Iterator[tuple[backends.Batch, Field]]:
            """Train nothing: it must not come to that."""
            raise AssertionError(next_batch)

    with pytest.raises(SceneError, match=r"tiny: camera\.keyframes\[0\]\.set is not possible on a cluster, since"):
        rendering.prepare(qualities.named(loaded, "scene"), tmp_path, backend=Elsewhere())  # type: ignore[arg-type]
