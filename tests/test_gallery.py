"""The pictures of assets/gallery: one for each scene that ships, each made again by the command beside it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render.cli import app

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "assets" / "gallery"
# transformer_published takes an hour for the smallest picture, so it has none.
SCENES = sorted(path.stem for path in (ROOT / "scenes").glob("*.toml") if path.stem != "transformer_published")


def test_every_scene_has_a_picture_and_the_gallery_page_shows_it() -> None:
    page = (ROOT / "assets" / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in GALLERY.glob("*.png")) == SCENES
    assert [name for name in SCENES if f"](../gallery/{name}.png)" not in page] == []


def pixels_of(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> np.ndarray:
    """Run `render frame` with these words; return its picture [height, width, 3], as it is on the page."""
    app(["frame", *words, "--store", str(tmp_path / "store"), "--out", str(tmp_path)], exit_on_error=False)
    (path,) = capsys.readouterr().out.splitlines()
    return np.asarray(Image.open(path).convert("RGB"), np.float64)


def shown(name: str) -> np.ndarray:
    return np.asarray(Image.open(GALLERY / f"{name}.png").convert("RGB"), np.float64)


def test_a_picture_of_the_gallery_renders_itself_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the scene in it. Another jaxlib or processor changes pixels at the border: few of them in this scene."""
    copy = tmp_path / "picture.png"
    shutil.copyfile(GALLERY / "mandelbrot.png", copy)
    again = pixels_of([str(copy)], tmp_path, capsys)
    assert np.mean(np.abs(again - shown("mandelbrot")).max(axis=2) > 2) < 0.02


def test_a_picture_of_the_gallery_comes_from_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At half of the detail: the same regions in the same colours, a sample's width from the border."""
    words = ["newton", str(GALLERY / "small.toml"), "last", "--quality", "scene"]
    coarse = pixels_of([*words, "--set", "output.detail=0.16", "--set", "output.rest_detail=0.16"], tmp_path, capsys)
    fine = shown("newton")
    assert coarse.shape == fine.shape
    assert np.median(np.abs(coarse - fine)) < 4
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.8
