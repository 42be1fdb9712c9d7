"""Films along training time of a user's own model: values of shorter runs to the bit, or a refusal with its line."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.errors import SceneError
from render.problem import Problem
from render.scene import own_files
from render.train import engine
from tests.helpers.own import NET, SCENE

VIEW = 'centre = ["1", "0.5"]\nwidth_decades = 5\n'
FILM = SCENE.replace(f"[[camera.keyframes]]\n{VIEW}", "".join(f"[[camera.keyframes]]\n{VIEW}{{{i}}}\n" for i in (0, 1)))
ASKING = NET.replace("def data(seed):", "def data(seed, steps):")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from render.storage import trust

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)


def written(text: str, *keyframes: str) -> scene.Scene:
    Path("net.py").write_text(text)
    Path("net.toml").write_text(FILM.format(*keyframes))
    own_files.trusted("net.py")
    return scene.load("net.toml")


@pytest.mark.parametrize("batch", ["full", 4])
def test_a_prefix_has_the_bits_of_a_run_of_so_many_steps(batch: int | str) -> None:
    loaded = written(NET, "steps = 1", "steps = 12").problem
    settings = {**dict(loaded.settings), "batch": None if batch == "full" else batch}
    longest: Problem = dataclasses.replace(loaded, settings=tuple(settings.items()))
    assert longest.prefixes == tuple(range(1, 12))
    rng = np.random.default_rng(1)
    x, y = 10 ** rng.uniform(-2, 2, 100), rng.uniform(0, 1, 100)
    field = engine.Engine(longest).run(x, y)
    for steps in (3, 8):
        alone = engine.Engine(dataclasses.replace(longest, steps=steps, prefixes=())).run(x, y)
        np.testing.assert_array_equal(field.after(steps).value, alone.value)
        np.testing.assert_array_equal(field.after(steps).status, alone.status)


def test_a_file_that_asks_how_many_steps_there_will_be_has_no_prefixes() -> None:
    with pytest.raises(SceneError, match=r"keyframes\[0\].steps needs runs .* net.py asks for steps \(line 15\)"):
        written(ASKING, "steps = 1", "steps = 12")
    written(ASKING, "", "")  # no film along training time


def test_a_hyperparameter_of_its_own_moves_on_its_own_scale() -> None:
    third = NET.replace('"decay": {', '"gain": {"label": "gain", "default": 1.0}, "decay": {')
    tracks = written(third, 'set = {{ gain = "0.5" }}'.format(), 'set = {{ gain = "2" }}'.format()).tracks
    assert [(track.name, track.logarithmic, track.label) for track in tracks] == [("gain", True, "gain")]
