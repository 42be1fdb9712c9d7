"""Films in which training goes on or a hyperparameter rises: those that ship do not flash; one that does says so."""

from pathlib import Path

import pytest

from render import scene
from render.film import qualities, rendering
from render.film.rendering import Progress
from render.picture import flash

SMALL = ("output.size=[64, 36]", "output.detail=0.25", "output.rest_detail=0.25", "output.fps=12", "output.slices=4")
SHORT = {
    "unfold": ("problem.steps=60", "camera.keyframes[1].steps=60"),
    "unfold_relu": ("problem.steps=60", "camera.keyframes[1].steps=60"),
    "momentum_rise": ("problem.steps=40",),
}


@pytest.mark.parametrize("name", SHORT)
def test_films_that_ship_do_not_flash_by_the_meter_of_the_film(name: str, tmp_path: Path) -> None:
    loaded = scene.load(name, settings=[*SMALL, *SHORT[name]])
    job = rendering.prepare(qualities.named(loaded, "scene"), tmp_path)
    meter = flash.Meter(float(loaded.output.fps))
    for _, picture in rendering.frames(job, range(job.frame_count)):
        meter.add(picture)
    assert job.frame_count > 60 and meter.stretches() == []


def test_a_film_whose_steps_go_back_and_forth_too_fast_says_that_it_flashes(tmp_path: Path) -> None:
    wide = 'centre_log10 = ["1.5", "1.5"], width_decades = 9.0'
    views = ", ".join(f"{{{wide}, steps = {1 if i % 2 else 20}}}" for i in range(25))
    # From 1 step to 20 are 4.3 octaves: eight such ways a second.
    settings = f"camera.keyframes=[{views}]", "camera.easing=linear", "camera.octaves_per_s=35", "output.fps=24"
    loaded = scene.load("tiny", settings=[*SMALL, *settings])
    job = rendering.prepare(qualities.named(loaded, "scene"), tmp_path)
    seen: list[Progress] = []
    rendering.video(job, tmp_path / "film.mp4", seen.append)
    assert any("flashes more than three times a second" in text for now in seen for text in now.repaired)
