"""The whole line on the tiny scene: plan, training, store, frames, film."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imageio_ffmpeg import count_frames_and_secs

from render import backends, scene
from render.backends.refusing import RefusingBackend
from render.errors import RenderError, StoreError
from render.film import qualities, rendering, training_rate
from render.film.compose import Compositor
from render.film.job import Job
from render.film.plan import Plan
from render.film.rendering import Progress
from render.film.schedule import Stopped, Training, Work
from render.geometry.patches import WHOLE
from render.geometry.tiles import Tile
from render.scene import Scene
from render.storage.store import DirectoryStore, MemoryStore
from tests.helpers import plans
from tests.helpers.waiting import held_after_batches, held_after_tiles, held_at_import

TINY = scene.load("tiny")


@pytest.fixture(scope="module")
def backend() -> backends.Backend:
    return backends.make("local", TINY.problem)


@pytest.fixture(scope="module")
def store_root(tmp_path_factory: pytest.TempPathFactory, backend: backends.Backend) -> Path:
    """A store that holds the whole tiny film."""
    root = tmp_path_factory.mktemp("store")
    job = rendering.prepare(qualities.named(TINY, "scene"), root, backend=backend)
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    return root


def changed(**output: Any) -> Scene:
    return dataclasses.replace(TINY, output=dataclasses.replace(TINY.output, **output))


def stored_job(root: Path, backend: backends.Backend, of: Scene = TINY) -> Job:
    """A job on a full store whose backend refuses to train."""
    plan = Plan(of)
    return Job("scene", plan, RefusingBackend(), DirectoryStore(root, of.problem, backend.numerics))


def pictures(job: Job, numbers: range | list[int] | None = None) -> list[np.ndarray]:
    return [picture for _, picture in rendering.frames(job, range(job.frame_count) if numbers is None else numbers)]


def test_a_film_whose_samples_are_all_stored_is_made_without_jax(store_root: Path, tmp_path: Path) -> None:
    words = ["video", "tiny", "--quality", "scene", "--store", str(store_root), "--out", str(tmp_path)]
    code = f"import sys; sys.modules['jax'] = None; from render.cli import app; app({words})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 training runs to do" in done.stderr
    assert (tmp_path / "tiny" / "tiny-scene.mp4").exists()


# ---- what is trained ------------------------------------------------------------------------------------------------


def test_the_plan_trains_nothing_and_its_count_is_what_is_then_trained(backend: backends.Backend) -> None:
    plan = Plan(TINY)
    store = MemoryStore()
    training = Training(TINY.problem, plan.order, store, backend, wanted=plan.patches)
    assert training.samples_total == plan.samples
    training.start()
    training.wait_for(len(plan.order))
    training.stop()
    assert training.samples_done == plan.samples
    assert store.missing(plan.order, plan.patches) == []


@pytest.mark.parametrize(
    "other",
    [
        changed(fps=24),
        changed(fps=7.5, crf=30, codec="hevc", overlay=True),
        dataclasses.replace(TINY, look=dataclasses.replace(TINY.look, palette="viridis", gap=0.1)),
        dataclasses.replace(TINY, look=dataclasses.replace(TINY.look, equalise="film", background="#ffffff")),
        dataclasses.replace(TINY, easing="linear"),
        dataclasses.replace(
            TINY,
            keyframes=tuple(dataclasses.replace(k, time_s=3 * k.time_s, hold_s=2 * k.hold_s) for k in TINY.keyframes),
        ),
    ],
    ids=["fps", "encoding", "palette", "equalisation", "easing", "retiming"],
)
def test_a_new_look_or_timing_trains_nothing(other: Scene, store_root: Path, backend: backends.Backend) -> None:
    job = stored_job(store_root, backend, other)
    assert job.missing_samples() == 0
    assert len(pictures(job)) == job.frame_count


def test_the_refusing_backend_refuses(tmp_path: Path, backend: backends.Backend) -> None:
    job = stored_job(tmp_path, backend)
    with pytest.raises(StoreError, match="this command trains nothing"):
        pictures(job)


def test_a_sample_that_was_damaged_since_ends_what_trains_nothing_with_a_word(
    tmp_path: Path, backend: backends.Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every tile is there when the command begins; one of them cannot be read."""
    job = rendering.prepare(qualities.named(TINY, "scene"), tmp_path, backend=backend)
    list(rendering.frames(job, [0]))
    damaged = next(tile for tile in job.plan.tiles_at(0.0))
    path = job.store.path(damaged, job.plan.patches[damaged])  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:200])
    refusing = dataclasses.replace(job, backend=RefusingBackend(backend.numerics))
    with pytest.raises(StoreError, match="Run `render video` at the same quality, which repairs the store"):
        list(rendering.frames(refusing, [0]))


def test_a_lower_quality_finds_its_samples_in_the_store_of_a_higher_one(
    store_root: Path, backend: backends.Backend
) -> None:
    """A quarter of the detail: levels of the same pyramid; only the coarsest, below the old first one, is new."""
    fine, coarse = Plan(TINY), Plan(changed(detail=0.125, rest_detail=0.125))
    store = DirectoryStore(store_root, TINY.problem, backend.numerics)
    missing = store.missing(coarse.order, coarse.patches)
    assert all(tile.level < fine.first_level for tile in missing)
    assert len(missing) < len(coarse.order) / 10


# ---- frames ---------------------------------------------------------------------------------------------------------


def test_a_frame_alone_equals_that_frame_of_the_film(
    store_root: Path, tmp_path: Path, backend: backends.Backend
) -> None:
    """Bit for bit, whether the store is empty, full, or fuller than the film needs."""
    film = pictures(stored_job(store_root, backend))
    for number in (0, len(film) // 3, len(film) // 2, len(film) - 1):
        fresh = rendering.prepare(qualities.named(TINY, "scene"), tmp_path / str(number), backend=backend)
        (alone,) = pictures(fresh, [number])
        np.testing.assert_array_equal(alone, film[number])
        assert fresh.missing_samples() > 0, "a frame alone must not train the whole film"
    fuller = rendering.prepare(
        qualities.Choice("finer", Plan(changed(detail=1.0, rest_detail=1.0))), store_root, backend=backend
    )
    pictures(fuller)
    for one, two in zip(pictures(stored_job(store_root, backend)), film, strict=True):
        np.testing.assert_array_equal(one, two)


def test_neighbouring_frames_differ_little_and_levels_end_without_a_pop(
    store_root: Path, backend: backends.Backend
) -> None:
    """Across every change of base level, the picture moves no more than it moves elsewhere."""
    job = stored_job(store_root, backend)
    plan, compositor = job.plan, None
    training = Training(TINY.problem, plan.order, job.store, job.backend, wanted=plan.patches)
    compositor = Compositor(plan, training.fetch)
    places = np.linspace(0.0, plan.path.length, 4001)
    bases = np.array([plan.base_level(float(s)) for s in places])
    changes = np.flatnonzero(np.diff(bases))
    assert changes.size >= 5
    jumps = [step(compositor, places[i], places[i + 1]) for i in changes]
    usual = [step(compositor, places[i], places[i + 1]) for i in range(137, 4000, 331)]
    assert max(jumps) <= 2 * max(usual) + 0.5


def step(compositor: Compositor, a: float, b: float) -> float:
    one, two = (compositor.frame(float(s)).astype(float) for s in (a, b))
    return float(np.abs(one - two).mean())


def test_frames_are_selected_as_people_write_them(store_root: Path, backend: backends.Backend) -> None:
    job = stored_job(store_root, backend)
    last = job.frame_count - 1

    def select(*texts: str) -> list[int]:
        return job.frame_numbers(texts)

    assert select("3") == [3]
    assert select("last") == [last]
    assert select("0%", "50%", "100%") == [0, round(last / 2), last]
    assert select("1,5,9..12") == [1, 5, 9, 10, 11, 12]
    assert select("2", "2", "1..3") == [2, 1, 3]
    assert select("t=0s") == [0]
    assert select(f"t={job.plan.path.duration_s}s") == [last]
    for bad in ("x", str(-last - 2), str(last + 1), "200%", "t=99s", "5..2", "", "nan%", "t=inf"):
        with pytest.raises(RenderError, match="frame"):
            select(bad)


# ---- the film -------------------------------------------------------------------------------------------------------


def test_a_film_has_its_frames_and_says_where_it_comes_from(
    store_root: Path, tmp_path: Path, backend: backends.Backend
) -> None:
    job = stored_job(store_root, backend)
    seen: list[Progress] = []
    path = rendering.video(job, tmp_path / "film.mp4", seen.append)
    assert count_frames_and_secs(str(path))[0] == job.frame_count
    content = path.read_bytes()
    assert TINY.problem.key.encode() in content
    assert b"lr_input" in content
    assert [p.frames_done for p in seen] == sorted(p.frames_done for p in seen)
    assert seen[-1].frames_done == job.frame_count
    again = rendering.video(stored_job(store_root, backend), tmp_path / "again.mp4")
    assert again.read_bytes() == content


COMMAND = [sys.executable, "-m", "render.cli", "video", "tiny", "--quality", "scene"]


def run_video(folder: Path, **options: object) -> subprocess.Popen[bytes]:
    arguments = [*COMMAND, "--out", str(folder / "out"), "--store", str(folder / "store")]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def output_of(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Wait for the end of a command, and return what it printed on stdout and stderr. None outlives its test."""
    try:
        return process.communicate()
    finally:
        process.kill()


def tile_count(folder: Path) -> int:
    return len(list((folder / "store").rglob("*.npz")))


def interrupt_when_under_way(folder: Path, how: int) -> tuple[int, str]:
    """Stop a render that has stored four tiles and stores no more before the signal is sent."""
    process = held_after_tiles(4, *COMMAND[3:], "--out", folder / "out", "--store", folder / "store")
    process.send_signal(how)
    _, errors = process.communicate()
    return process.returncode, errors


def test_a_killed_render_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    code, _ = interrupt_when_under_way(tmp_path / "killed", signal.SIGKILL)
    assert code == -signal.SIGKILL
    kept = tile_count(tmp_path / "killed")
    assert kept >= 4
    assert not (tmp_path / "killed/out/tiny/tiny-scene.mp4").exists()
    process = run_video(tmp_path / "killed")
    output_of(process)
    assert process.returncode == 0
    uninterrupted = rendering.prepare(qualities.named(TINY, "scene"), tmp_path / "uninterrupted")
    rendering.video(uninterrupted, tmp_path / "uninterrupted.mp4")
    assert (tmp_path / "killed/out/tiny/tiny-scene.mp4").read_bytes() == (tmp_path / "uninterrupted.mp4").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    code, errors = interrupt_when_under_way(tmp_path, signal.SIGINT)
    assert code == 130
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    assert tile_count(tmp_path) >= 4
    assert not list((tmp_path / "out").rglob("*.mp4*"))


# ---- a store that loses things --------------------------------------------------------------------------------------


def test_a_damaged_or_deleted_tile_is_trained_again_and_the_film_is_the_same(
    tmp_path: Path, backend: backends.Backend
) -> None:
    job = rendering.prepare(qualities.named(TINY, "scene"), tmp_path, backend=backend)
    film = pictures(job)
    store = job.store
    assert isinstance(store, DirectoryStore)
    used: list[Tile] = job.plan.tiles_at(job.plan.path.length)
    paths = [store.path(tile, job.plan.patches[tile]) for tile in used]
    paths[0].write_bytes(b"not a tile")
    content = bytearray(paths[1].read_bytes())
    content[len(content) // 2] ^= 1
    paths[1].write_bytes(content)
    paths[2].unlink()
    seen: list[Progress] = []
    again = [picture for _, picture in rendering.frames(job, range(job.frame_count), seen.append)]
    for one, two in zip(again, film, strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(seen[-1].repaired) >= 2
    assert all("trained again" in message for message in seen[-1].repaired)
    lost = f"The store has lost {used[2]}: its file was removed."
    assert any(message.startswith(lost) for message in seen[-1].repaired) or len(seen[-1].repaired) == 2
    assert job.missing_samples() == 0


def test_a_store_that_fails_while_training_stops_the_film_with_its_message(
    tmp_path: Path, backend: backends.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from render.errors import StoreError

    job = rendering.prepare(qualities.named(TINY, "scene"), tmp_path, backend=backend)

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(job.store, "put", full)
    with pytest.raises(StoreError, match="the disk is full"):
        rendering.video(job, tmp_path / "film.mp4")
    assert not list(tmp_path.glob("film*"))


# ---- quality --------------------------------------------------------------------------------------------------------


def test_auto_takes_the_scenes_own_output_if_it_fits_and_the_smallest_preset_if_nothing_does() -> None:
    large = plans.scene_of(plans.WHOLE, plans.TARGET, size=(1280, 720), detail=2.0)
    assert qualities.choose(large, training_rate.Rate(1e12)).name == "scene"
    assert qualities.choose(large, training_rate.Rate(1e-3)).name == qualities.SMALLEST
    samples = Plan(large).samples
    just_too_slow = training_rate.Rate(samples / 900.0 * 0.999)
    choice = qualities.choose(large, just_too_slow, 900.0)
    assert choice.name in scene.QUALITY
    assert choice.plan.samples / just_too_slow.samples_per_s <= 900.0


def test_what_auto_chose_is_remembered_for_the_same_scene_output_and_budget(
    tmp_path: Path, backend: backends.Backend
) -> None:
    first, _ = qualities.resolve(TINY, "auto", backend, tmp_path, 900.0)
    assert first.name == "scene"
    (written,) = tmp_path.rglob("auto.json")
    written.write_text(written.read_text().replace('"scene"', '"soft"'))
    assert qualities.resolve(TINY, "auto", backend, tmp_path, 900.0)[0].name == "soft"
    assert qualities.resolve(TINY, "auto", backend, tmp_path, 901.0)[0].name == "scene"
    assert qualities.resolve(changed(detail=0.25), "auto", backend, tmp_path, 900.0)[0].name == "scene"
    written.write_text("damaged")
    assert qualities.resolve(TINY, "auto", backend, tmp_path, 900.0)[0].name == "scene"


def test_a_measured_rate_is_in_samples_per_second_of_real_training(backend: backends.Backend) -> None:
    rate = training_rate.measure(Plan(TINY), backend)
    assert rate.samples_per_s > 0
    assert rate.time_s(100) == pytest.approx(100 / rate.samples_per_s)


# ---- cameras that pull back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["zoom out", "travel"])
def test_a_film_that_needs_coarse_tiles_late_is_trained_to_the_end(
    way: str, tmp_path: Path, backend: backends.Backend
) -> None:
    """Parents of the first tiles are first shown much later; a tile must never wait for one that is not trained."""
    a, b = TINY.keyframes
    deep = dataclasses.replace(b, time_s=0.0)
    if way == "zoom out":
        keyframes = (deep, dataclasses.replace(a, time_s=3.0))
    else:
        away = dataclasses.replace(b.view, x=b.view.x + Fraction(1, 4))
        keyframes = (deep, dataclasses.replace(b, view=away, time_s=3.0))
    film_scene = dataclasses.replace(changed(width_px=256, height_px=144), keyframes=keyframes)
    plan = Plan(film_scene)
    assert len(plan.order) > 256
    position = {tile: i for i, tile in enumerate(plan.order)}
    assert all(position[t.parent] < position[t] for t in plan.order if t.level and t.parent in position)
    training = Training(TINY.problem, plan.order, MemoryStore(), backend, wanted=plan.patches)
    training.start()
    training.wait_for(len(plan.order))
    training.stop()
    assert training.samples_done == plan.samples


def test_an_order_that_cannot_be_trained_is_an_error_not_a_silence(backend: backends.Backend) -> None:
    tile = Tile(3, 1, 1)
    training = Training(TINY.problem, [tile, tile.parent], MemoryStore(), backend)
    training._work[tile.parent] = Work(WHOLE, tile)  # a circle
    training.start()
    with pytest.raises(RuntimeError, match="wait for parents"):
        training.wait_for(2)


def test_waiting_after_a_stop_ends(tmp_path: Path, backend: backends.Backend) -> None:
    training = Training(TINY.problem, Plan(TINY).order, MemoryStore(), backend)
    training.stop()
    with pytest.raises(Stopped):
        training.wait_for(1)


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("moment", ["importing", "training"])
def test_ctrl_c_ends_with_its_code_wherever_it_comes(tmp_path: Path, moment: str, presses: int) -> None:
    points = tmp_path / "points.csv"
    points.write_text("x,y\n" + "1,2\n" * 500_000)
    command = ["probe", "mean_lr", "--points", points, "--out", tmp_path / "v.csv"]
    process = held_at_import("jax", *command) if moment == "importing" else held_after_batches(2, *command)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # so that they do not count as one; nothing depends on how long it really takes
    _, errors = process.communicate()
    assert process.returncode in (130, -signal.SIGINT), errors
    assert "terminate called" not in errors
    assert "are kept" not in errors, "a probe keeps nothing, and must not say so"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.csv"]
