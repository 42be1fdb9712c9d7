"""Films along training time: what their frames show, what keyframes may say, and that they go on where they stopped."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from render import api, scene
from render.errors import SceneError
from render.film import deliver, qualities, rendering, sheet
from render.film.job import Job
from render.film.rendering import Progress
from render.film.slices import Slice
from render.picture import overlay
from render.picture.annotate import Annotator
from render.problem.ladder import ladder
from render.scene import Scene

KEYFRAME = '{centre_log10 = ["1.5", "1.5"], width_decades = 9.0, steps = %d}'
NEAR = '{centre = ["353", "0.2314"], width_decades = 0.5, steps = %d, hold_s = 0.3}'


def unfolding(*more: str, keyframes: str = f"[{KEYFRAME % 1}, {NEAR % 130}]") -> Scene:
    """The tiny scene, with runs of 130 steps, that zooms while it unfolds."""
    return scene.load("tiny", settings=["problem.steps=130", f"camera.keyframes={keyframes}", *more])


def job_of(loaded: Scene, store: Path) -> Job:
    return rendering.prepare(qualities.named(loaded, "scene"), store)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds every sample of the film."""
    root = tmp_path_factory.mktemp("unfold")
    job = job_of(unfolding(), root)
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    assert job.missing_samples() == 0
    return root


# ---- the ladder -----------------------------------------------------------------------------------------------------


def test_rungs_are_round_close_together_and_the_same_for_runs_of_any_length() -> None:
    for steps in (1, 2, 50, 130, 1000, 12_345, 1_000_000):
        rungs = [*ladder(steps), steps]
        assert rungs == sorted(set(rungs)) and rungs[0] == 1
        assert all(b <= max(a + 1, 1.13 * a) for a, b in itertools.pairwise(rungs))
        assert set(ladder(steps)) == {rung for rung in ladder(10**6) if rung < steps}
    assert len(ladder(1_000_000)) < 400


def test_only_scenes_that_ask_have_prefixes_and_another_key() -> None:
    plain, asking = scene.load("tiny", settings=["problem.steps=130"]), unfolding()
    assert plain.problem.prefixes == () and "prefixes" not in plain.problem.describe()
    assert asking.problem.prefixes == ladder(130)
    assert asking.problem.key != plain.problem.key
    again = scene.load("tiny", settings=["problem.steps=130", f"camera.keyframes=[{KEYFRAME % 5}, {KEYFRAME % 20}]"])
    assert again.problem.key == asking.problem.key, "another path through the steps trains nothing"


# ---- what frames show -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 64, 105])
def test_a_frame_on_a_rung_is_the_picture_of_runs_of_so_many_steps(steps: int, tmp_path: Path) -> None:
    still = [f"camera.keyframes=[{KEYFRAME.replace(', steps = %d', '')}]", f"problem.steps={steps}"]
    plain = job_of(scene.load("tiny", settings=still), tmp_path)
    keyframes = f"[{KEYFRAME % steps}, {KEYFRAME % 130}]"
    film = job_of(unfolding("camera.octaves_per_s=0.1", keyframes=keyframes), tmp_path)
    assert film.plan.slices.at(0.0) == [(Slice(0, steps), 1.0)]
    alone, shown = (next(rendering.frames(job, [0]))[1] for job in (plain, film))
    np.testing.assert_array_equal(alone, shown)


def test_moments_before_the_first_frame_of_a_film_of_one_frame_are_that_frame() -> None:
    path = scene.load("tiny", settings=[f"camera.keyframes=[{KEYFRAME.replace(', steps = %d', '')}]"])
    camera = path.path(path.output)
    assert camera.frame_count(10) == 1
    assert [camera.s_of_frame(number, 10) for number in (-3, -0.5, 0, 2)] == [0.0] * 4


def test_between_two_rungs_a_frame_is_their_mean_as_light(store: Path) -> None:
    film = job_of(unfolding(), store)
    path, slices = film.plan.path, film.plan.slices
    for s in np.linspace(0, path.length, 301):
        shown, steps = slices.at(float(s)), path.value(path.tracks[0], float(s))
        assert sum(share for _, share in shown) == pytest.approx(1.0)
        mean = sum(share * np.log(rung.steps) for rung, share in shown)
        assert mean == pytest.approx(np.log(steps), abs=1e-6)
    before = slices.at(0.0)
    for s in np.linspace(0, path.length, 3001)[1:]:  # shares move little: no step is seen
        now = dict(slices.at(float(s)))
        assert sum(abs(now.get(rung, 0.0) - dict(before).get(rung, 0.0)) for rung in {*now, *dict(before)}) < 0.5
        before = list(now.items())


def test_a_frame_alone_equals_that_frame_of_the_film(store: Path) -> None:
    job = job_of(unfolding(), store)
    film = dict(rendering.frames(job, range(job.frame_count)))
    assert len({picture.tobytes() for picture in film.values()}) > 20
    for number in (0, 3, 11, job.frame_count - 1):
        np.testing.assert_array_equal(next(rendering.frames(job, [number]))[1], film[number])


class Stop(Exception):
    """What stops a film in these tests."""


def stopping(after: int):  # type: ignore[no-untyped-def]
    def report(now: Progress) -> None:
        if now.frames_done == after:
            raise Stop

    return report


def test_a_film_that_was_stopped_has_the_bytes_of_one_that_never_was(store: Path, tmp_path: Path) -> None:
    job = job_of(unfolding(), store)
    paths = [deliver.film_path(tmp_path / name, job) for name in ("whole", "stopped")]
    deliver.whole_film(job, paths[0])
    with pytest.raises(Stop):
        deliver.whole_film(job, paths[1], stopping(job.frame_count - 3))
    deliver.whole_film(job, paths[1])
    tables = []
    for path in paths:
        with path.with_suffix(".frames.csv").open(newline="") as file:
            tables.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert len({row["boundary_density"] for row in tables[0]}) >= 8, "it follows the steps"
    for suffix in (".mp4", ".path.csv", ".mp4.json"):
        assert paths[0].with_suffix(suffix).read_bytes() == paths[1].with_suffix(suffix).read_bytes()
    with paths[0].with_suffix(".path.csv").open(newline="") as file:
        steps = [float(row["steps"]) for row in csv.DictReader(file)]
    assert steps[0] == 1.0 and steps[-1] == 130.0 and (np.diff(steps) >= 0).all()
    assert json.loads(paths[0].with_suffix(".mp4.json").read_text())["moved"] == {"steps": [1.0, 130.0]}


def test_a_tile_that_was_lost_is_trained_again_with_all_its_prefixes(store: Path) -> None:
    job = job_of(unfolding(), store)
    number = job.frame_count // 2
    before = next(rendering.frames(job, [number]))[1]
    tile = job.plan.tiles_at(job.plan.path.s_of_frame(number, job.scene.output.fps))[0]
    job.store.path(tile, job.plan.patches[tile]).unlink()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(next(rendering.frames(job, [number]))[1], before)


def test_frames_and_sheets_say_after_how_many_steps(store: Path) -> None:
    job = job_of(unfolding(), store)
    path, problem = job.plan.path, job.scene.problem
    words = [path.tracks[0].words(path.value(path.tracks[0], s)) for s in (0.0, path.length)]
    assert words == ["after 1 step", "after 130 steps"]
    assert "after 130 steps" in sheet._words(job, job.frame_count - 1)[0]
    axes = problem.x, problem.y
    frame = np.full((216, 384, 3), 128, np.uint8)
    Annotator(path, axes, problem.labels, job.scene.look, ("values",)).draw(frame, 0.0)
    written = np.argwhere((frame != 128).any(axis=2))
    size = overlay.font_of(384, 216).size
    assert written[:, 0].max() < 3 * size and written[:, 1].min() > 384 - 12 * size, "in the upper right corner"


# ---- what keyframes may say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([f"camera.keyframes=[{KEYFRAME % 1}, {NEAR.replace('steps = %d, ', '')}]"],
         r"camera.keyframes\[1\] must have steps, as other keyframes have it"),
        ([f"camera.keyframes=[{KEYFRAME % 1}, {NEAR % 131}]"],
         r"camera.keyframes\[1\].steps must be at most problem.steps = 130, not 131"),
        ([f"camera.keyframes=[{KEYFRAME % 1}, {NEAR % 123}]"],
         r"camera.keyframes\[1\].steps must be one of the lengths that are kept, 120 or 125, not 123"),
        ([f"camera.keyframes=[{KEYFRAME % 0}, {NEAR % 130}]"], r"camera.keyframes\[0\].steps must be >= 1, not 0"),
        (["look.channel=final_loss"], r'look.channel must be "value", "escape_time", "status" where keyframes set'),
        (["look.equalise=film"], r'look.equalise must be "octave", "fixed" or "log" where keyframes set steps'),
        (["problem.batch=4"], r"camera.keyframes\[0\].steps needs runs whose first steps are a shorter run, but the"),
        (["problem.system=network", "problem.schedule=cosine"],
         r'camera.keyframes\[0\].steps needs runs .* with schedule = "cosine" the rates depend on the number of steps'),
        (["problem.system=network", "look.channel=probe"], r'look.channel must be .* not "probe", which is known of'),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_where_it_stands(settings: list[str], words: str) -> None:
    with pytest.raises(SceneError, match=words):
        unfolding(*settings)


def test_a_resolved_scene_is_the_same_scene() -> None:
    loaded = unfolding()
    again = scene.parse(scene.resolved(loaded), "again", loaded.name)
    assert again.tracks == loaded.tracks and again.problem == loaded.problem


@pytest.mark.parametrize("name", ["unfold", "unfold_relu", "unfold_window", "unfold_zoom"])
def test_scenes_along_training_time_are_whole(name: str) -> None:
    loaded = scene.load(name)
    first = 100.0 if name == "unfold_window" else 1.0
    assert loaded.problem.prefixes and {first, 1000.0} <= set(loaded.tracks[0].values)


def test_values_of_a_frame_as_arrays_are_those_after_its_steps(store: Path) -> None:
    loaded = unfolding()
    first, last = (api.field(loaded, at, samples=8, store=store) for at in ("0", "last"))
    assert set(np.unique(np.abs(first.field.value))) == {1.0}, "after one step every run has a value of 1"
    assert not any(name.startswith("value_after") for name in first.field.more)
    assert len(np.unique(last.field.value)) > 10
    middle = api.field(loaded, "50%", samples=8, store=store)
    assert len(np.unique(middle.field.value)) > 3
