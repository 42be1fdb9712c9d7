"""Exports as other programs read them, with their readers: NumPy, xarray, tifffile, OpenEXR."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile
import xarray

import render
from render import api
from render.api import exports
from render.encode import arrays
from render.encode.arrays import Arrays
from render.errors import EncodeError, RenderError, WriteError
from render.geometry import patches
from render.geometry.tiles import SAMPLES, Tile
from render.picture import colour
from render.samples import NO_SAMPLE, Field, Status
from render.storage.store import DirectoryStore
from tests.helpers.command import refused

Read = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "store"


def read_npz(path: Path) -> Read:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "facts"}


def read_zarr(path: Path) -> Read:
    with xarray.open_zarr(path) as data:
        return {str(name): data[name].values for name in (*data.data_vars, *data.coords)}


def read_tiff(path: Path) -> Read:
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
        assert len(pages) == len(file.pages)
        return {str(page.tags["PageName"].value): np.flipud(page.asarray()) for page in pages}


def read_exr(path: Path) -> Read:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: np.flipud(channel.pixels) for name, channel in file.channels().items()}


READERS: dict[str, Callable[[Path], Read]] = {
    ".npz": read_npz,
    ".zarr": read_zarr,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".exr": read_exr,
}


def test_every_format_has_a_reader_here() -> None:
    assert READERS.keys() == arrays.FORMATS.keys()


@pytest.mark.parametrize("name", ["tiny", "product_basin"])  # the second measures channels of its own
@pytest.mark.parametrize("suffix", READERS)
def test_a_format_s_own_reader_finds_every_channel_of_the_window(
    name: str, suffix: str, store: Path, tmp_path: Path
) -> None:
    scene = render.load(name)
    window = render.field(scene, "last", samples=40, store=store)
    path = render.export(scene, tmp_path / f"made{suffix}", samples=40, store=store)
    channels = READERS[suffix](path)
    for channel, values in window.field.channels().items():
        wanted = values if suffix != ".exr" else values.astype(np.uint32 if channel == "status" else np.float32)
        assert channels[channel].dtype == wanted.dtype
        assert np.array_equal(channels[channel], wanted, equal_nan=wanted.dtype.kind == "f"), channel
    if suffix in (".npz", ".zarr"):
        assert np.array_equal(channels["x"], window.x)
        assert np.array_equal(channels["y"], window.y)


def test_xarray_selects_by_hyperparameter_values_and_knows_what_they_are(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    window = render.field(scene, window=("0.5", "20", "0.5", "30"), samples=24, store=store)
    path = render.export(scene, tmp_path / "w.zarr", window=("0.5", "20", "0.5", "30"), samples=24, store=store)
    with xarray.open_zarr(path) as data:
        assert dict(data.sizes) == {"y": window.y.size, "x": window.x.size}
        nearest = data["value"].sel(x=3.0, y=4.0, method="nearest")
        row, column = np.abs(window.y - 4.0).argmin(), np.abs(window.x - 3.0).argmin()
        assert float(nearest) == window.field.value[row, column]
        assert data["x"].attrs["hyperparameter"] == scene.problem.x.name
        assert data["x"].attrs["long_name"] == scene.problem.labels[0]
        assert json.loads(data["status"].attrs["statuses"])["2"] == "escaped"
        assert int(data.attrs["first_column"]) == window.columns.start
        again = tmp_path / "again.toml"
        again.write_text(data.attrs["render_scene"])
        assert render.load(again).problem.key == data.attrs["render_problem"] == scene.problem.key


@pytest.mark.parametrize("suffix", [".npz", ".tif", ".exr"])
def test_a_file_says_what_its_samples_are(suffix: str, store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    path = render.export(scene, tmp_path / f"made{suffix}", samples=40, store=store)
    if suffix == ".npz":
        with np.load(path) as file:
            facts = json.loads(str(file["facts"]))
    elif suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            facts = json.loads(file.pages.first.description)
            assert facts["channel"] == "value"
    else:
        facts = arrays.read_exr_facts(path)
    assert facts["render_problem"] == scene.problem.key
    assert "[problem]" in facts["render_scene"]


def test_offsets_tell_samples_apart_where_float64_values_are_all_equal() -> None:
    scene = render.load("tanh")
    level, shape = 90, (3, 5)
    columns, rows = (range(first, first + n) for first, n in zip((2**94 + 77, 2**93 - 3), shape[::-1], strict=True))
    unit = [Fraction(i, SAMPLES << level) for i in columns]
    exact = [scene.problem.x.value_from_unit(u, level) for u in unit]
    x, y = np.array([float(v) for v in exact]), np.linspace(1.0, 2.0, 3)
    assert len(set(x)) == 1
    exported = exports.as_arrays(scene, api.Window(x, y, level, Field.empty(shape), columns, rows), {})
    offsets, origin = exported.coordinates["x_offset"], Decimal(str(exported.about["x_offset"]["origin"]))
    assert (np.diff(offsets) > 0).all()
    for offset, value in zip(offsets, exact, strict=True):
        assert float(offset) == pytest.approx(float(Fraction(value) - Fraction(origin)), rel=1e-9, abs=1e-40)


def test_values_keep_their_sign_in_32_bits(tmp_path: Path) -> None:
    values = np.array([[-1e-300, 1e-300, 0.0, -0.0], [-1e300, 1e300, np.nan, -np.inf]])
    arrays.write(tmp_path / "a.exr", Arrays({"value": values}, {}, {}))
    pixels = read_exr(tmp_path / "a.exr")["value"]
    assert np.array_equal(np.sign(pixels), np.sign(values), equal_nan=True)
    assert np.array_equal(np.signbit(pixels[0]), np.signbit(values[0]))
    assert list(pixels[1, :2]) == [-math.inf, math.inf]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files may be any bytes on Linux")
@pytest.mark.parametrize("suffix", READERS)
def test_a_file_may_have_a_name_that_is_no_text(suffix: str, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    path = render.export(render.load("tiny"), folder / f"made{suffix}", samples=16, store=store)
    assert arrays.read_facts(path)["render_name"] == "tiny"
    assert render.export(render.load("tiny"), path, samples=16, store=store) == path


@pytest.mark.skipif(sys.platform != "linux", reason="names of files may be any bytes on Linux")
def test_frames_may_lie_in_a_folder_whose_name_is_no_text(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    first, _ = render.export_frames(render.load("tiny"), folder, "3", quality="scene", store=store)
    written = first.stat().st_mtime_ns
    render.export_frames(render.load("tiny"), folder, "3", quality="scene", store=store)
    assert first.stat().st_mtime_ns == written


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "package"), [(".zarr", "xarray"), (".tif", "tifffile"), (".exr", "OpenEXR"), (".zarr", "zarr")]
)
def test_a_missing_library_is_named_with_what_installs_it(
    suffix: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EncodeError, match=rf"needs the extra `export` \({package}.*pip install '\.\[export\]'"):
        render.export(render.load("tiny"), tmp_path / f"a{suffix}", store=tmp_path / "store")
    assert not (tmp_path / "store").exists(), "nothing may be trained that cannot be written"


def test_a_name_without_a_format_is_refused_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match=r"must end in one of \.npz \(NumPy\), \.zarr"):
        render.export(render.load("tiny"), tmp_path / "a.csv", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    place = tmp_path / "mine.zarr"
    place.mkdir()
    (place / "thesis.txt").write_text("years")
    with pytest.raises(WriteError, match="holds something else"):
        render.export(render.load("tiny"), place, store=tmp_path / "store")
    assert (place / "thesis.txt").read_text() == "years"
    (tmp_path / "file.zarr").write_text("a file")
    with pytest.raises(WriteError, match="must become a folder"):
        render.export(render.load("tiny"), tmp_path / "file.zarr", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_earlier_export_is_replaced_whole_or_stays(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, path = render.load("tiny"), tmp_path / "made.zarr"
    render.export(scene, path, samples=40, store=store)
    before = read_zarr(path)
    with monkeypatch.context() as patch:
        patch.setattr(xarray.Dataset, "to_zarr", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(WriteError, match="No space left.* Free some space"):
            render.export(scene, path, samples=80, store=store, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["made.zarr"]
    assert np.array_equal(read_zarr(path)["x"], before["x"])
    render.export(scene, path, samples=80, store=store, force=True)
    assert read_zarr(path)["x"].size > before["x"].size
    assert [p.name for p in tmp_path.iterdir()] == ["made.zarr"]


def test_the_command_refuses_what_it_cannot_mean(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "a.npz", "--store", tmp_path / "store")
    assert "name one frame" in refused("export", "tiny", "0", "last", *out)
    assert "name one frame" in refused("export", "tiny", "0", "--window", 1, 2, 1, 2, *out)
    assert "--window is for samples" in refused("export", "tiny", "--film", "--window", 1, 2, 1, 2, *out)
    assert "must rise" in refused("export", "tiny", "--window", 2, 1, 1, 2, *out)


# ---- films -----------------------------------------------------------------------------------------------------------


def test_every_pixel_of_a_frame_has_its_nearest_sample_and_the_frame_s_light(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    written = render.export_frames(scene, tmp_path, "0", "last", quality="scene", store=store)
    assert [path.name for path in written] == ["00000.exr", "00029.exr", "camera.csv"]
    job = api.preparation.prepare(scene, "scene", 15, store, api.preparation.local_backend, api.SILENT)[0]
    kept = job.store
    assert isinstance(kept, DirectoryStore)
    for path, number in zip(written, (0, 29), strict=False):
        with OpenEXR.File(str(path), separate_channels=True) as file:
            pixels = {name: channel.pixels for name, channel in file.channels().items()}
        s = job.plan.path.s_of_frame(number, scene.output.fps)
        view = job.plan.path.viewport(s)
        x0, x1, y0, y1 = view.edges()
        for row in range(0, view.height_px, 5):
            for column in range(0, view.width_px, 7):
                x = x0 + (x1 - x0) * Fraction(2 * column + 1, 2 * view.width_px)
                y = y1 - (y1 - y0) * Fraction(2 * row + 1, 2 * view.height_px)
                wanted = None
                for level, _ in job.plan.mix(s):
                    count = SAMPLES << level
                    i, j = (min(count - 1, math.floor(at * count + Fraction(1, 2))) for at in (x, y))
                    tile = Tile(level, i // SAMPLES, j // SAMPLES)
                    at = j % SAMPLES, i % SAMPLES
                    planned = job.plan.patches.get(tile, 0)
                    if 0 <= x < 1 and 0 <= y < 1 and patches.samples(planned)[at]:
                        wanted = kept.get(tile, planned).at(at)
                if wanted is None:
                    assert pixels["status"][row, column] == NO_SAMPLE
                    assert math.isnan(pixels["value"][row, column])
                    assert not (0 < x < 1 and 0 < y < 1)
                else:
                    for name, value in wanted.channels().items():
                        assert pixels[name][row, column] == pytest.approx(float(value), rel=1e-6, nan_ok=True), name
        light = np.stack([pixels[name].astype(np.float32) for name in "RGB"], axis=-1)
        plain = scene.output.__class__(**{**scene.output.__dict__, "overlay": False})
        bare = render.pictures(
            scene.__class__(**{**scene.__dict__, "output": plain}), str(number), quality="scene", store=store
        )[0]
        # Half floats have 11 bits: of the 255 steps of sRGB, a tenth of one.
        assert np.abs(colour.srgb8_from_linear(light).astype(int) - bare).max() <= 1
    with written[-1].open() as table:
        rows = list(csv.DictReader(table))
    assert [row["frame"] for row in rows] == ["0", "29"]


def test_a_film_of_arrays_goes_on_from_the_frames_that_are_whole(store: Path, tmp_path: Path) -> None:
    scene = render.load("tiny")
    folder = tmp_path / "frames"
    first, second, _ = render.export_frames(scene, folder, "3,4", quality="scene", store=store)
    content = first.read_bytes()
    second.unlink()
    first_time = first.stat().st_mtime_ns
    render.export_frames(scene, folder, "3,4", quality="scene", store=store)
    assert first.stat().st_mtime_ns == first_time
    assert set(read_exr(second)) >= {"R", "G", "B", "value", "status", "escape_step", "final_loss"}
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    other = render.load("tiny", settings=["look.palette=viridis"])
    for frames in ("3", "7"):  # in its place, or beside it
        with pytest.raises(WriteError, match="it is a frame of another film, or damaged: move it away"):
            render.export_frames(other, folder, frames, quality="scene", store=store)
    assert first.read_bytes() == content and not (folder / "00007.exr").exists()
    second.write_bytes(content[:99])
    with pytest.raises(WriteError, match="it is a frame of another film, or damaged: move it away"):
        render.export_frames(scene, folder, "3,4", quality="scene", store=store)


@pytest.mark.parametrize("samples", [10**20])
def test_more_samples_than_any_memory_holds_are_refused(samples: int, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="more than 100,000,000"):
        render.field(render.load("tiny"), samples=samples, store=tmp_path)
    with pytest.raises(RenderError, match="more than 100,000,000"):
        render.field(render.load("tiny"), window=("1", "1." + "0" * 30 + "1", "1", "2"), samples=16, store=tmp_path)


def test_statuses_leave_room_for_the_pixels_outside() -> None:
    assert NO_SAMPLE not in [int(status) for status in Status]


def test_frames_are_refused_where_one_cannot_be_written(store: Path, tmp_path: Path) -> None:
    (tmp_path / "00003.exr").mkdir()
    with pytest.raises(RenderError, match="plain files"):
        render.export_frames(render.load("tiny"), tmp_path, "3", quality="scene", store=store)
