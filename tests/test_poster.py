"""Laws of prints: bands are parts of one picture, the file says how large it is, and size costs no memory."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import render
from render import api
from render.analyse import subject
from render.api.listener import Listener
from render.backends import Backend
from render.encode import tiff
from render.encode.tiff import Print
from render.errors import DepthError, EncodeError, RenderError
from render.film import qualities
from render.film.poster import Poster, Sheet, srgb_bands
from render.film.rendering import Progress, Report
from render.geometry.tiles import Tile
from render.picture import colour
from render.samples import Field
from render.scene import Scene
from tests.helpers.command import refused, run_here

# Of 10 x 8 cm at 100 pixels an inch: 394 x 315, two bands.
SMALL: dict[str, Any] = {"cm": (10.0, 8.0), "dpi": 100.0, "detail": 0.25}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("poster") / "store"


def poster(store: Path, *settings: str, sheet: Sheet | None = None) -> tuple[Poster, dict[Tile, Field]]:
    """Return a poster of the last frame of `tiny`, and all of its tiles, trained."""
    scene = render.load("tiny", settings=list(settings))
    plan = qualities.named(scene, "scene").plan
    drawn = Poster(plan, plan.path.length, sheet or Sheet((10.0, 8.0), 100.0, detail=0.25))
    prepared = subject.prepare(scene, store, level=drawn.level)
    wanted = list(dict.fromkeys([*drawn.curve_tiles(), *drawn.area().tiles()]))
    with subject.trained_tiles(prepared, wanted, lambda _: None) as fetch:
        return drawn, {tile: fetch(tile) for tile in wanted}


@pytest.mark.parametrize("settings", [(), ("look.boundary=3", "look.shading=0.5")])
def test_bands_are_parts_of_one_picture(store: Path, settings: tuple[str, ...]) -> None:
    drawn, fields = poster(store, *settings)
    colours = drawn.colours(fields.__getitem__)
    assert len(drawn.bands) == 2
    assert sum(rows.stop - rows.start for rows in drawn.bands) == drawn.view.height_px
    for rows in drawn.bands:
        assert {*drawn.tiles(rows)} <= {*drawn.area().tiles()}
    picture = drawn.picture(slice(0, drawn.view.height_px), fields.__getitem__, colours)
    parts = np.concatenate([drawn.picture(rows, fields.__getitem__, colours) for rows in drawn.bands], axis=1)
    assert np.abs(picture - parts).max() < 1e-5


def test_a_print_of_the_frame_s_own_shape_is_the_film_s_frame(store: Path) -> None:
    scene = render.load("tiny", settings=["output.overlay=false"])
    output = scene.output
    (frame,) = render.pictures(scene, "last", quality="scene", store=store)
    plan = qualities.named(scene, "scene").plan
    # The film rests there at the level that the print is asked for.
    (finest, _) = plan.mix(plan.path.length)[-1]
    view = plan.path.viewport(plan.path.length)
    sheet = Sheet((output.width_px * 2.54, output.height_px * 2.54), 1.0, detail=2.0 ** (finest - view.level - 0.01))
    drawn, fields = poster(store, "output.overlay=false", sheet=sheet)
    assert (drawn.view.width_px, drawn.view.height_px) == (output.width_px, output.height_px)
    assert drawn.level == finest
    picture = drawn.picture(slice(0, output.height_px), fields.__getitem__, drawn.colours(fields.__getitem__))
    ours = np.moveaxis(colour.srgb8_from_linear(picture), 0, -1).astype(int)
    assert np.abs(ours - frame.astype(int)).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_the_file_has_its_size_resolution_and_profile(store: Path, tmp_path: Path, bits: int) -> None:
    path = render.poster(render.load("tiny"), tmp_path / "a.tif", bits=bits, store=store, **SMALL)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.shape == (315, 394, 3)
        assert page.dtype == np.dtype(f"uint{bits}")
        assert page.is_tiled and not file.is_bigtiff
        assert page.tags["XResolution"].value == page.tags["YResolution"].value == (100, 1)
        assert page.tags["ResolutionUnit"].value == 2
        assert json.loads(page.description)["render_name"] == "tiny"
        assert page.iccprofile is not None
        profile = ImageCms.ImageCmsProfile(io.BytesIO(page.iccprofile))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
    drawn, fields = poster(store)
    bands = srgb_bands(
        drawn,
        drawn.colours(fields.__getitem__),
        Print((394, 315), bits, 100),
        lambda _: nullcontext(fields.__getitem__),
    )
    assert np.array_equal(tifffile.imread(path), np.concatenate(list(bands)))
    if bits == 8:
        with Image.open(path) as image:
            assert image.size == (394, 315)
            assert image.info["dpi"] == (100, 100)
    again = render.poster(render.load("tiny"), tmp_path / "b.tif", bits=bits, store=store, **SMALL)
    assert again.read_bytes() == path.read_bytes()


def test_bleed_is_more_picture_around_the_same_one(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    trimmed = tifffile.imread(render.poster(scene, tmp_path / "a.tif", store=store, **SMALL)).astype(int)
    with_bleed = tifffile.imread(render.poster(scene, tmp_path / "b.tif", store=store, bleed_mm=5, **SMALL)).astype(int)
    bleed = round(5 / 25.4 * 100)
    assert with_bleed.shape == (trimmed.shape[0] + 2 * bleed, trimmed.shape[1] + 2 * bleed, 3)
    assert np.abs(with_bleed[bleed:-bleed, bleed:-bleed] - trimmed).max() <= 1


def test_a_caption_stands_inside_of_the_trimmed_picture(store: Path, tmp_path: Path) -> None:
    plain = tifffile.imread(render.poster(render.load("tiny"), tmp_path / "a.tif", store=store, bleed_mm=5, **SMALL))
    for bits in (8, 16):
        scene = render.load("tiny", settings=['output.caption="a caption\\nof two lines"'])
        written = tifffile.imread(
            render.poster(scene, tmp_path / f"{bits}.tif", store=store, bleed_mm=5, bits=bits, **SMALL)
        )
        eight = written if bits == 8 else (written.astype(float) / 257).round()
        rows, columns = np.nonzero(np.abs(eight.astype(int) - plain.astype(int)).max(axis=-1) > 1)
        assert rows.size > 100
        assert rows.min() > 20 and columns.min() > 20
        assert rows.max() < plain.shape[0] / 2


def test_a_caption_between_two_bands_is_whole(store: Path) -> None:
    drawn, fields = poster(store, 'output.caption="one\\ntwo\\nthree\\nfour"')
    colours = drawn.colours(fields.__getitem__)
    drawn.bands[:] = [slice(0, 30), slice(30, drawn.view.height_px)]
    file = Print(drawn.sheet.size_px, 8, 100)
    cut = np.concatenate(list(srgb_bands(drawn, colours, file, lambda _: nullcontext(fields.__getitem__))))
    drawn.bands[:] = [slice(0, drawn.view.height_px)]
    (at_once,) = srgb_bands(drawn, colours, file, lambda _: nullcontext(fields.__getitem__))
    assert np.abs(cut.astype(int) - at_once.astype(int)).max() <= 1


class Counted(Listener):
    """Takes down the numbers of training runs that a print announces and reports."""

    def __init__(self) -> None:
        self.announced, self.most = 0, 0
        self.totals: set[int] = set()

    @contextmanager
    def training(self, scene: Scene, tiles: Sequence[Tile], samples: int, backend: Backend) -> Iterator[Report]:
        self.announced = samples

        def report(now: Progress) -> None:
            self.totals.add(now.samples_total)
            self.most = max(self.most, now.samples_done)

        yield report


# The finest colours lie above the print's level, in it, or far above it: tiles take samples over, or are the same.
@pytest.mark.parametrize("asked", [SMALL, {"cm": (2.0, 1.0), "dpi": 100.0}, {"cm": (9.0, 4.0), "dpi": 99.0}])
def test_the_plan_and_the_progress_count_the_runs_that_are_trained(asked: dict[str, Any], tmp_path: Path) -> None:
    scene, counted = render.load("tiny"), Counted()
    planned = api.plan_poster(scene, store=tmp_path / "store", **asked)
    render.poster(scene, tmp_path / "a.tif", store=tmp_path / "store", listener=counted, **asked)
    assert planned.samples == planned.samples_to_do == counted.announced == counted.most
    assert counted.totals == {planned.samples}


def test_the_plan_counts_what_is_missing_and_a_print_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, new_store = render.load("tiny"), tmp_path / "store"
    before = api.plan_poster(scene, store=new_store, **SMALL)
    assert before.size_px == (394, 315)
    assert before.samples_to_do == before.samples > 0
    assert before.training_s > 0
    written = tiff._tiles

    def stopped(*arguments: object) -> object:
        for i, tile in enumerate(written(*arguments)):  # type: ignore[arg-type]
            if i == 2:
                raise KeyboardInterrupt
            yield tile

    with monkeypatch.context() as patch:
        patch.setattr(tiff, "_tiles", stopped)
        with pytest.raises(KeyboardInterrupt):
            render.poster(scene, tmp_path / "a.tif", store=new_store, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    half = api.plan_poster(scene, store=new_store, **SMALL)
    assert half.samples_to_do < before.samples_to_do == half.samples
    counted = Counted()
    render.poster(scene, tmp_path / "a.tif", store=new_store, listener=counted, **SMALL)
    assert counted.announced == half.samples_to_do and counted.totals == {half.samples_to_do}
    assert counted.most == half.samples_to_do, "what is announced is what is trained"
    assert api.plan_poster(scene, store=new_store, **SMALL).samples_to_do == 0


def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    """A print of eight times the height needs no more memory: what bands need, and the file's table of tiles."""

    def bands(height: int):  # type: ignore[no-untyped-def]
        for top in range(0, height, tiff.TILE_PX):
            yield np.random.default_rng(top).integers(0, 255, (min(tiff.TILE_PX, height - top), 2048, 3), np.uint8)

    peaks = []
    for height in (1024, 8192):
        tracemalloc.start()
        tiff.write(tmp_path / "a.tif", Print((2048, height), 8, 300), bands(height), {})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.pages.first.shape == (height, 2048, 3)
    assert peaks[1] - peaks[0] < 2_000_000  # of 44 MB more


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "picture", "message"),
    [
        ("a.png", Print((100, 100), 8, 300), "must end in .tif, or in .btf"),
        ("a.tif", Print((100, 100), 12, 300), "8 or 16 bits"),
        ("a.tif", Print((10, 100), 8, 300), "16 to 300,000 pixels"),
        ("a.tif", Print((300_001, 100), 8, 300), "16 to 300,000 pixels"),
        ("a.tif", Print((40_000, 36_000), 8, 300), r"4\.3 GB, and a TIFF must end at 4\.2 GB"),
        ("a.tif", Print((40_000, 20_000), 16, 300), r"\.btf: BigTIFF"),
    ],
)
def test_a_print_that_its_file_cannot_hold_is_refused(tmp_path: Path, name: str, picture: Print, message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        tiff.check(tmp_path / name, picture)
    tiff.check(tmp_path / "a.btf", Print((40_000, 36_000), 16, 300))


def test_a_print_is_refused_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, new_store = render.load("tiny"), tmp_path / "store"
    for changes, message in (
        ({"cm": (-1.0, 5.0)}, "sides of up to 10,000 cm"),
        ({"dpi": 0.0}, "1 to 10,000 dpi"),
        ({"bleed_mm": -3.0}, "--bleed must be from 0 to 100"),
        ({"detail": 0.0}, "--detail must be"),
        ({"at": "0,1"}, "shows one frame, not 2"),
        ({"cm": (1000.0, 1000.0)}, "a TIFF must end at"),
    ):
        with pytest.raises(RenderError, match=message):
            render.poster(scene, tmp_path / "a.tif", store=new_store, **{**SMALL, **changes})
    for bits in (0, 12, -8):
        with pytest.raises(EncodeError, match=f"must have 8 or 16 bits a channel, not {bits}"):
            render.plan_poster(scene, store=new_store, **{**SMALL, "bits": bits})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tifffile", None)
        with pytest.raises(EncodeError, match="needs the extra `export`"):
            render.poster(scene, tmp_path / "a.tif", store=new_store, **SMALL)
    plain = render.load("tiny", settings=['output.precision="float64"'])
    with pytest.raises(DepthError, match="none may be deeper than"):
        plan = qualities.named(plain, "scene").plan
        Poster(plan, plan.path.length, Sheet((10.0, 8.0), 10.0, detail=2.0**50))
    assert not new_store.exists()


def test_the_command_plans_prints_and_refuses(store: Path, tmp_path: Path) -> None:
    asked = ["poster", "tiny", "--cm", "10x8", "--dpi", 100, "--detail", 0.25, "--store", store]
    planned = run_here(*asked, "--plan")
    assert planned.returncode == 0, planned.stderr
    assert "394 x 315 pixels" in planned.stdout and "training runs up to level 8, " in planned.stdout
    done = run_here(*asked, "--caption", "a caption", "--out", tmp_path / "a.tif")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/a.tif\n"
    assert "--cm must be width x height" in refused("poster", "tiny", "--cm", "75", "--store", store)
    assert "shows one frame" in refused("poster", "tiny", "0", "1", "--cm", "75x50", "--store", store)
