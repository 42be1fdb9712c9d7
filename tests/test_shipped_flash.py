"""Films that ship do not flash: their cameras move no faster than the limit can follow, and the fastest is metered.

`make bench ARGS=flashes` puts the films of all of them through the meter, which takes hours of training.
"""

from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.film import qualities, rendering
from render.scene import Scene
from tests.bench import flashes

# Octaves of path within a second. test_flash_limit shows that a zoom as fast as this can be limited.
MOST_OCTAVES_PER_S = 2.0

# Opposing changes within a second that are no more than three flashes, by WCAG 2.3.1.
MOST_CHANGES_PER_S = 6

# The starts of the seconds that are looked at. Cameras change their speed over two seconds.
STARTS_PER_S = 8


def fastest(loaded: Scene) -> float:
    """Return the most octaves of its path that a scene passes within a second."""
    path = loaded.path(loaded.output)
    places = [path.s_at(start / STARTS_PER_S) for start in range(int(path.duration_s * STARTS_PER_S) + STARTS_PER_S)]
    return float(np.abs(np.subtract(places[STARTS_PER_S:], places[:-STARTS_PER_S])).max())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shipped")


def test_no_camera_that_ships_is_faster_than_the_limit_can_follow() -> None:
    speeds = {name: fastest(scene.load(name)) for name in scene.names()}
    assert {name: speed for name, speed in speeds.items() if speed > MOST_OCTAVES_PER_S + 1e-9} == {}
    assert max(speeds, key=speeds.__getitem__) == "tiny"  # which is metered below
    assert fastest(scene.load("tiny", settings=["camera.octaves_per_s=2.5"])) > 1.5 * MOST_OCTAVES_PER_S


def test_the_window_that_unfolds_shows_few_numbers_of_steps_a_second() -> None:
    """All of its runs may turn from one half of the palette to the other from one of these to the next: one change."""
    plan = qualities.named(scene.load("unfold_window"), "scene").plan
    rate = 60
    starts = range(int(plan.path.duration_s * rate))
    shown = [{seen for seen, _ in plan.slices.at(plan.path.s_of_frame(number, rate))} for number in starts]
    for start in starts:
        assert len(set().union(*shown[start : start + rate])) - 1 <= MOST_CHANGES_PER_S


@pytest.mark.parametrize("quality", ["preview", "scene"])
def test_the_fastest_film_that_ships_does_not_flash(quality: str, store: Path) -> None:
    job = rendering.prepare(qualities.named(scene.load("tiny"), quality), store)
    assert flashes.flashes(job) == []


def test_the_same_film_five_times_as_fast_flashes(store: Path) -> None:
    loaded = scene.load("tiny", settings=["camera.octaves_per_s=6", "camera.easing=linear"])
    assert flashes.flashes(rendering.prepare(qualities.named(loaded, "preview"), store))
