"""The pictures of assets/stills: each is what its view's file says, as dense as the page says, and renders again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render import api, scene
from render.film.plan import Plan

ROOT = Path(__file__).parents[1]
STILLS = ROOT / "assets" / "stills"
NAMES = sorted(path.stem for path in STILLS.glob("*.png"))


def command(name: str) -> list[str]:
    """Return the scene files of the command in the first line of a view's file."""
    words = (STILLS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0].split()
    assert words[:3] == ["#", "render", "frame"] and words[-2:] == ["--quality", "scene"]
    files = words[3:-2]
    assert files[1:] == ["assets/stills/form.toml", f"assets/stills/{name}.toml"]
    return [files[0], *(str(ROOT / file) for file in files[1:])]


def test_there_are_twelve_and_two_pages_show_them() -> None:
    assert len(NAMES) == 12
    assert sorted(path.stem for path in STILLS.glob("*.toml") if path.stem != "form") == NAMES
    for page in (ROOT / "README.md", ROOT / "assets/docs/gallery.md"):
        shown = re.findall(r"stills/(\w+)\.png\)", page.read_text(encoding="utf-8"))
        assert sorted(shown) == NAMES
    assets = sum(path.stat().st_size for path in (ROOT / "assets").rglob("*") if path.is_file())
    assert assets < 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_still_is_of_its_command_and_has_two_samples_a_pixel(name: str) -> None:
    """By what the picture carries: the problem, view and look of its command, and the level that covers it."""
    carried, asked = scene.load(STILLS / f"{name}.png"), scene.load(*command(name))
    assert carried.problem.key == asked.problem.key
    assert (carried.keyframes, carried.look) == (asked.keyframes, asked.look)
    with Image.open(STILLS / f"{name}.png") as picture:
        assert picture.size == (512, 512)
    plan = Plan(carried)
    view = plan.path.viewport(0.0)
    assert (view.width_px, view.height_px) == (512, 512)
    assert plan.levels[plan.base_level(0.0)].distance(0.0) == 0.0
    assert 2.0 ** (plan.base_level(0.0) - view.level) >= 2.0


def test_a_still_renders_again_at_a_quarter_of_its_density(tmp_path: Path) -> None:
    coarse = scene.load(*command("julia"), settings=["output.detail=0.5", "output.rest_detail=0.5"])
    (picture,) = api.pictures(coarse, "last", quality="scene", store=tmp_path)
    with Image.open(STILLS / "julia.png") as still:
        kept = np.asarray(still.convert("RGB"), np.float64)
    assert picture.shape == kept.shape
    assert np.corrcoef(picture.ravel().astype(np.float64), kept.ravel())[0, 1] > 0.95
