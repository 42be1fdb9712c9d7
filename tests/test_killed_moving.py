"""Films that zoom while training goes on and a hyperparameter rises: killed, they go on and have the same bytes."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from render import scene
from render.encode import video
from render.film import deliver, qualities, rendering
from render.film.job import Job
from render.film.rendering import Progress
from tests.helpers.waiting import held_after_tiles

ROOT = Path(__file__).parents[1]

# The plane after one step and without an offset; then a view of the border after all steps and with one.
SETTINGS = (
    'camera.keyframes=[{centre_log10 = ["1.5", "1.5"], width_decades = 9.0, steps = 1, set = {offset = "0"}}, '
    '{centre = ["353", "0.2314"], width_decades = 0.5, steps = 20, set = {offset = "0.2"}, hold_s = 0.2}]',
    "output.slices=3",
    "output.size=[96, 54]",
)


def job_of(root: Path, store: str = "store") -> Job:
    """A job for the scene file of a folder, with its samples in the same folder."""
    return rendering.prepare(qualities.named(scene.load(root / "moving.toml"), "scene"), root / store)


def written(root: Path) -> Path:
    """A folder with the file of a scene that moves in three ways."""
    (root / "moving.toml").write_text(scene.resolved(scene.load("tiny", settings=SETTINGS)))
    return root


def film_in(root: Path) -> Path:
    return root / "out" / "moving" / "moving-scene.mp4"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store and the film of a render that was never stopped."""
    root = written(tmp_path_factory.mktemp("whole"))
    job = job_of(root)
    assert len(job.plan.slices.problems) == 3 and len(job.plan.levels) > 2
    assert {track.name for track in job.plan.path.tracks} == {"steps", "offset"}
    assert deliver.film_path(root / "out", job) == film_in(root)
    deliver.whole_film(job, film_in(root))
    return root


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_film_that_was_killed_while_it_trains_has_the_same_bytes_and_trains_nothing_twice(
    uninterrupted: Path, tmp_path: Path
) -> None:
    file = written(tmp_path) / "moving.toml"
    folders = "--out", tmp_path / "out", "--store", tmp_path / "store"
    process = held_after_tiles(12, "video", file, "--quality", "scene", *folders)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not film_in(tmp_path).exists()
    job = job_of(tmp_path)
    kept = len(list((tmp_path / "store").rglob("*.npz")))
    assert 12 <= kept < sum(map(len, job.plan.orders))
    left, seen = job.missing_samples(), list[Progress]()
    assert left < job.plan.samples
    deliver.whole_film(job, film_in(tmp_path), seen.append)
    assert max(now.samples_total for now in seen) == left
    assert film_in(tmp_path).read_bytes() == film_in(uninterrupted).read_bytes()


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from render.film import deliver, rendering
    from render.encode import video
    from tests.test_killed_moving import job_of

    video._SEGMENT_FRAMES = 1
    job = job_of(Path(sys.argv[1]))

    def report(now):
        if now.frames_done >= float(sys.argv[3]) * job.frame_count:
            os.kill(os.getpid(), signal.SIGKILL)

    deliver.whole_film(job, deliver.film_path(Path(sys.argv[2]), job), report)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_film_that_was_killed_twice_while_its_pictures_are_made_goes_on(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_SEGMENT_FRAMES", 1)
    for share in (0.4, 0.8):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(uninterrupted), str(tmp_path / "out"), str(share)]
        assert subprocess.run(command, check=False, cwd=ROOT).returncode == -signal.SIGKILL
    job, seen = job_of(uninterrupted), list[Progress]()
    deliver.whole_film(job, film_in(tmp_path), seen.append)
    assert seen[0].frames_done >= 0.4 * job.frame_count, "finished segments were not made again"
    alone = rendering.video(job, tmp_path / "alone.mp4")
    assert film_in(tmp_path).read_bytes() == alone.read_bytes()
    assert [left.name for left in film_in(tmp_path).parent.iterdir() if left.name.startswith(".")] == []


def test_a_single_frame_has_the_bytes_of_that_frame_of_the_film(uninterrupted: Path, tmp_path: Path) -> None:
    job = job_of(uninterrupted)
    film = dict(rendering.frames(job, range(job.frame_count)))
    for number in (7, job.frame_count - 1):
        alone = job_of(written(tmp_path), f"store{number}")
        (path,) = rendering.stills(alone, [number], lambda n: tmp_path / f"{n}.png")
        np.testing.assert_array_equal(iio.imread(path), film[number])
