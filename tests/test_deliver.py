"""What is left in the output folder and makes itself again; what the store keeps, and what is wrong with it."""

import csv
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from render import backends, encode, scene
from render.backends import Batch
from render.errors import RenderError, StoreError
from render.files.atomic import WholeFile
from render.film import cost, deliver, qualities, rendering, sheet, training_rate
from render.film.cost import Pictures
from render.film.frame_log import boundary_density
from render.film.job import Job
from render.film.replacing import record_path
from render.film.training_rate import Rate
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field
from render.storage.store import DirectoryStore
from render.tools import inventory

TINY = scene.load("tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deliver")


@pytest.fixture(scope="module")
def film_files(root: Path) -> list[Path]:
    """The tiny film and what lies beside it, from an empty store."""
    job = rendering.prepare(qualities.named(TINY, "scene"), root / "store")
    return deliver.whole_film(job, deliver.film_path(root / "out", job))


def stored(root: Path, *settings: str, of: str | Path = "tiny") -> Job:
    """A job that cannot train."""
    return rendering.prepare_stored(scene.load(of, settings=settings), "auto", root / "store")


def kept_of(job: Job, tile: Tile) -> tuple[Tile, Field, int]:
    """What a store is given of a tile."""
    patches = job.plan.patches[tile]
    return tile, job.store.get(tile, patches), patches


def path_of(store: DirectoryStore, job: Job, tile: Tile) -> Path:
    return store.path(tile, job.plan.patches[tile])


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- films and stills -----------------------------------------------------------------------------------------------


def test_the_record_beside_a_film_makes_it_again_byte_for_byte(film_files: list[Path], root: Path) -> None:
    record = json.loads(film_files[1].read_text())
    assert record["sha256"] == checksum(film_files[0])
    assert (record["frames"], record["size_px"], record["problem"]) == (30, [64, 36], TINY.problem.key)
    for source in (film_files[0], film_files[1]):  # the film's own comment, and the file beside it
        job = stored(root, of=source)
        again = root / "again" / source.suffix[1:] / "film.mp4"
        rendering.video(job, again)
        assert checksum(again) == record["sha256"]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_still_rendered_from_its_own_metadata_is_identical(film_files: list[Path], root: Path, bits: int) -> None:
    job = stored(root, f"output.bits={bits}", "look.palette=viridis", "output.overlay=true", "output.size=[320, 180]",
                 "output.detail=0.1", "output.rest_detail=0.1")  # fmt: skip
    (still,) = deliver.stills(job, [17], root / f"stills{bits}")
    loaded = scene.load(still)
    assert loaded.record is not None and loaded.record.frame == 17
    (again,) = deliver.stills(stored(root, of=still), [17], root / "again")
    assert again.read_bytes() == still.read_bytes()
    (from_record,) = deliver.stills(stored(root, of=record_path(still)), [17], root / "record")
    assert from_record.read_bytes() == still.read_bytes()


def test_sixteen_bits_refine_eight(film_files: list[Path], root: Path) -> None:
    settings = ("output.overlay=true", "output.size=[320, 180]", "output.detail=0.1", "output.rest_detail=0.1")
    job = stored(root, *settings)
    ((_, coarse),) = rendering.frames(job, [12])
    ((_, fine),) = rendering.frames(job, [12], bits=16)
    assert fine.dtype == np.uint16
    assert np.abs(fine / 257 - coarse).max() < 0.56
    assert len(np.unique(fine)) > 2 * len(np.unique(coarse))


@pytest.mark.usefixtures("film_files")
@pytest.mark.parametrize("codec", ["h264", "png", "gif"])
def test_the_list_of_a_films_files_leaves_none_out(root: Path, tmp_path: Path, codec: str) -> None:
    """With a film, and with some frames of it; a folder of pictures counts as one."""
    job = stored(root, f"output.codec={codec}")
    listed = deliver.whole_film(job, deliver.film_path(tmp_path, job))
    assert {*listed} == {*(tmp_path / "tiny").iterdir()}
    listed += deliver.part_of_film(job, [3, 4], tmp_path)
    assert {*listed} == {*(tmp_path / "tiny").iterdir()}
    table = next(path for path in listed if path.name.endswith(".path.csv"))
    assert len(table.read_text().splitlines()) == 1 + job.frame_count


def test_the_log_counts_every_sample_once_and_every_frame(film_files: list[Path]) -> None:
    with open(film_files[2], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(30))
    assert sum(int(row["samples_trained"]) for row in rows) == 19_200
    assert all(row["tiles_stored"] == "0" for row in rows)
    assert all(float(row["seconds"]) >= 0 for row in rows)
    assert float(rows[0]["width"]) == 9 and float(rows[-1]["width"]) == 0.140625
    assert all(0 < float(row["boundary_density"]) < 1 for row in rows)


def test_boundary_density_is_the_share_of_differing_neighbours() -> None:
    known = np.ones((4, 4), bool)
    assert boundary_density(np.ones((4, 5), bool), np.ones((4, 5), bool)) == 0
    assert boundary_density(np.indices((4, 4)).sum(0) % 2 == 0, known) == 1
    half = np.zeros((4, 4), bool)
    half[:2] = True
    assert boundary_density(half, known) == 4 / 24
    known[:, 0] = False  # one column is not there: 3 of 9 pairs differ upwards, and none of 8 sideways
    assert boundary_density(half, known) == 3 / 17
    assert boundary_density(half, np.zeros((4, 4), bool)) == 0


def test_the_poster_is_a_frame_of_the_film_and_the_thumbnail_shows_it(film_files: list[Path], root: Path) -> None:
    (still,) = deliver.stills(stored(root, of=film_files[0]), [29], root / "still")
    assert film_files[3].read_bytes() == still.read_bytes()
    thumbnail, poster = (iio.imread(path).astype(float) for path in (film_files[4], film_files[3]))
    assert np.abs(thumbnail - poster).mean() < 12


def test_a_poster_is_one_frame(root: Path, film_files: list[Path]) -> None:
    job = stored(root)
    with pytest.raises(RenderError, match="a poster must be one frame, not 3"):
        deliver.whole_film(job, root / "none.mp4", poster="0..2")
    assert not (root / "none.mp4").exists()


def test_a_sequence_is_every_frame_and_goes_on_where_it_stopped(film_files: list[Path], root: Path) -> None:
    job = stored(root, "output.codec=png")
    path = deliver.film_path(root / "sequence", job)
    deliver.whole_film(job, path)
    files = sorted(path.iterdir())
    assert [file.name for file in files] == [f"{n:05d}.png" for n in range(30)]
    before = {file: file.stat().st_mtime_ns for file in files}
    files[3].unlink()
    files[5].write_bytes(files[6].read_bytes())  # whole, but another frame
    (path / "00030.png").write_bytes(b"of a longer film")
    deliver.whole_film(job, path)
    changed = [file.name for file in sorted(path.iterdir()) if before[file] != file.stat().st_mtime_ns]
    assert changed == ["00003.png", "00005.png"]


def test_recolouring_and_encoding_train_nothing_and_keep_the_old_film(film_files: list[Path], root: Path) -> None:
    before = checksum(film_files[0])
    job = stored(root, "look.palette=viridis", of=film_files[0])
    path = deliver.film_path(root / "out", job)
    assert path.name == "tiny-scene-viridis.mp4"
    deliver.whole_film(job, path)
    assert checksum(path) != before
    part = deliver.part_of_film(stored(root, "output.codec=ffv1"), [3, 4, 5], root / "out")
    name = "tiny-scene-00003-00005-ffv1"
    assert [p.name for p in part] == [f"{name}.mkv", f"{name}.mkv.json", f"{name}.path.csv"]
    record = json.loads(part[1].read_text())
    assert record["selected"] == [3, 4, 5]
    assert record["again"] == "render encode tiny-scene-00003-00005-ffv1.mkv.json 3..5 --codec ffv1"
    assert checksum(film_files[0]) == before


def test_parts_with_the_same_ends_do_not_replace_each_other(film_files: list[Path], root: Path) -> None:
    job = stored(root, "output.codec=ffv1")
    parts = {deliver.part_of_film(job, numbers, root / "out")[0]: numbers for numbers in ([3, 5], [3, 4, 5], [5, 3])}
    assert len(parts) == 3
    for path, numbers in parts.items():
        assert json.loads(record_path(path).read_text())["selected"] == numbers
    apart = next(path for path, numbers in parts.items() if numbers == [3, 5])
    again = json.loads(record_path(apart).read_text())["again"]
    assert again == f"render encode {apart.name}.json 3,5 --codec ffv1"


def test_the_path_of_a_part_is_its_frames_at_the_seconds_of_the_film(film_files: list[Path], root: Path) -> None:
    def rows(file: Path) -> list[dict[str, str]]:
        return list(csv.DictReader(file.read_text().splitlines()))

    all_rows, logged = rows(film_files[0].with_suffix(".path.csv")), rows(film_files[0].with_suffix(".frames.csv"))
    assert (
        [float(row["time_s"]) for row in all_rows]
        == [float(row["time_s"]) for row in logged]
        == [n / 5 for n in range(30)]
    )
    part = deliver.part_of_film(stored(root, "output.codec=ffv1"), [7, 9], root / "out")[0]
    assert rows(part.with_suffix(".path.csv")) == [all_rows[7], all_rows[9]]


def test_what_is_not_stored_is_refused_with_what_is_missing(tmp_path: Path, film_files: list[Path], root: Path) -> None:
    with pytest.raises(StoreError, match="holds no samples of tiny. Run `render video` first"):
        rendering.prepare_stored(TINY, "auto", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match=r"at quality hd, but [\d,]+ of its [\d,]+ tiles are missing"):
        rendering.prepare_stored(TINY, "hd", root / "store")


def test_a_sheet_shows_each_frame_in_its_place(film_files: list[Path], root: Path) -> None:
    job = stored(root)
    numbers = sheet.even_frames(job, 7)
    assert numbers[0] <= 3 and numbers[-1] == min(n for n in range(30) if job.plan.path.s_of_frame(n, 5) == 6)
    places = [job.plan.path.s_of_frame(n, 5) for n in numbers]
    assert np.abs(np.diff(places) - 1).max() < 0.6  # an octave apart, to the nearest frame
    sheet.write(job, numbers, root / "sheet.png", columns=3)
    page = iio.imread(root / "sheet.png")
    assert page.shape[1] == 9 + 3 * (64 + 9)
    frames = [picture for _, picture in rendering.frames(job, numbers)]
    for i, picture in enumerate(frames):
        top, left = 9 + i // 3 * (36 + 18 + 9), 9 + i % 3 * (64 + 9)
        assert np.array_equal(page[top : top + 36, left : left + 64], picture)
    for i in range(7):  # words end before the picture's edge
        top, left = 9 + i // 3 * (36 + 18 + 9) + 36, 9 + i % 3 * (64 + 9)
        words = page[top : top + 18, left : left + 64].max((0, 2)) > 40
        assert words.any() and not words[-1]
    assert scene.load(root / "sheet.png").record is not None
    with pytest.raises(RenderError, match="at most 200 million"):
        sheet.write(stored(root, of=film_files[0]), list(range(30)) * 200_000, root / "x.png", columns=2)


# ---- how long it takes ----------------------------------------------------------------------------------------------


def test_a_forecast_adds_what_pictures_and_training_take_of_the_same_cores() -> None:
    cores = os.cpu_count() or 1
    half = Pictures(wall_s=0.1, cpu_s=0.05 * cores, start_s=0.5)  # a picture keeps half of the cores busy
    ahead = cost.forecast(1000, Rate(10.0), 100, half)
    assert [ahead.training_s, ahead.pictures_s] == pytest.approx([100, 10.5])
    ends_s = cost.ENDS_S  # of a film that trains
    assert ahead.total_s == pytest.approx(100 + 10.5 / 2 + ends_s)
    assert cost.forecast(10, Rate(10.0), 100, half).total_s == pytest.approx(10.5 + 1 / 2 + ends_s)
    assert cost.forecast(0, Rate(10.0), 100, half).total_s == pytest.approx(10.5)
    for cpu_s in (0.1 * cores, 0.2 * cores):  # all of them, and the clock read badly
        forecast = cost.forecast(1000, Rate(10.0), 100, Pictures(0.1, cpu_s))
        assert forecast.total_s == pytest.approx(110 + ends_s)


def test_pictures_need_no_measurement_where_training_is_nearly_all(film_files: list[Path], root: Path) -> None:
    job = stored(root)
    most = cost.bound(job)
    assert most.cpu_s > cost.measure(job).cpu_s
    together_s = job.frame_count * most.cpu_s / (os.cpu_count() or 1)
    assert cost.is_small(most, job.frame_count, 21 * together_s)
    assert not cost.is_small(most, job.frame_count, 19 * together_s)


def test_pictures_need_no_measurement_that_would_take_longer_than_they_do() -> None:
    cores = os.cpu_count() or 1
    assert cost.is_short(Pictures(wall_s=0.02, cpu_s=0.019 * cores), 50)
    assert not cost.is_short(Pictures(wall_s=0.02, cpu_s=0.021 * cores), 50)


class Blocks:
    """A backend whose clock shows what blocks cost: every second run ends at once, and a block is as slow as a run."""

    workers, now_s = 1, 0.0
    proof: dict[str, str] = {}
    step_time_s = 0.0

    def __init__(self, lanes: int, capacity: int, block_s: float) -> None:
        self.numerics: dict[str, str | int] = {"lanes": lanes}
        self.capacity, self._block_s = capacity, block_s

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        while (batch := next_batch()) is not None:
            field = Field.empty((len(batch.points),))
            field.escape_step[:] = np.where(np.arange(len(batch.points)) % 2, 0, -1)
            alive = np.count_nonzero(field.escape_step < 0)
            self.now_s += self._block_s * -(-alive // int(self.numerics["lanes"]))
            yield batch, field


@pytest.mark.parametrize("lanes", [16, 512, 4096])
@pytest.mark.parametrize("block_s", [1e-5, 1e-2, 3.0])
def test_a_rate_is_that_of_full_blocks_however_few_runs_were_measured(
    lanes: int, block_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Blocks(lanes, 4 * lanes, block_s)
    monkeypatch.setattr("render.film.training_rate.time.perf_counter", lambda: backend.now_s)
    rate = training_rate.measure(qualities.named(TINY, "scene").plan, backend)
    assert rate.samples_per_s == pytest.approx(2 * lanes / block_s, rel=0.06)


@pytest.mark.parametrize("codec", ["h264", "png", "av1"])
def test_pictures_are_measured_whatever_the_format(film_files: list[Path], root: Path, codec: str) -> None:
    pictures = cost.measure(stored(root, f"output.codec={codec}"))
    # On a busy machine the few frames may take as long as the many: then all of their time counts as the start.
    assert min(pictures.wall_s, pictures.cpu_s, pictures.start_s) >= 0
    assert pictures.wall_s + pictures.start_s > 0


# ---- what is kept ---------------------------------------------------------------------------------------------------


def numerics_of(problem: Problem) -> dict[str, str | int]:
    return backends.make("local", problem).numerics


def test_the_list_of_a_store_counts_what_lies_there(film_files: list[Path], root: Path) -> None:
    (kept,) = inventory.listed(root / "store", [TINY], numerics_of)
    assert (kept.scenes, kept.problem, kept.differs) == (("tiny",), TINY.problem.key, "")
    files = list((root / "store").rglob("*.npz"))
    assert (kept.tiles, kept.size_bytes) == (len(files), sum(file.stat().st_size for file in files))
    assert kept.levels == (1, 7)
    with pytest.raises(StoreError, match="must be a store, but there is no such folder"):
        inventory.listed(root / "nowhere", [TINY], numerics_of)


def test_samples_of_an_older_kernel_are_reported_and_pruned_alone(
    tmp_path: Path, film_files: list[Path], root: Path
) -> None:
    now = numerics_of(TINY.problem)
    job = stored(root)
    tile = job.plan.order[0]
    for numerics in (now, now | {"kernel": 0}):
        DirectoryStore(tmp_path, TINY.problem, numerics).put(*kept_of(job, tile))
    other = replace(TINY, problem=replace(TINY.problem, seed=5))
    DirectoryStore(tmp_path, other.problem, now | {"kernel": 0}).put(*kept_of(job, tile))
    old = [kept for kept in inventory.listed(tmp_path, [TINY], numerics_of) if kept.differs]
    assert [kept.differs for kept in old] == [f"kernel 0, now {now['kernel']}"] * 2
    for kept in old:
        inventory.remove(kept)
    assert DirectoryStore(tmp_path, TINY.problem, now).missing([tile], job.plan.patches) == []
    assert [kept.differs for kept in inventory.listed(tmp_path, [TINY], numerics_of)] == [""]
    assert not (tmp_path / other.problem.key).exists()


@pytest.mark.parametrize("system", ["julia", "mlp"])
def test_samples_of_a_problem_that_no_scene_has_are_held_against_its_own_numerics(system: str, tmp_path: Path) -> None:
    one, other = (scene.load(name).problem for name in ("julia", "tanh"))
    mine = replace(one if system == "julia" else other, seed=5)
    now = numerics_of(mine)
    assert numerics_of(one)["lanes"] != numerics_of(other)["lanes"]
    DirectoryStore(tmp_path, mine, now)
    for known in ([scene.load("tanh")], [scene.load("julia")], []):
        (kept,) = inventory.listed(tmp_path, known, numerics_of)
        assert (kept.scenes, kept.differs) == ((), "")


def test_a_problem_that_this_version_does_not_know_is_reported(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, TINY.problem, numerics_of(TINY.problem))
    toml = store.folder.parent / "problem.toml"
    toml.write_text(toml.read_text().replace('"mlp"', '"lamp"'))
    (kept,) = inventory.listed(tmp_path, [TINY], numerics_of)
    assert kept.differs == "a problem of system 'lamp' that this version does not know"


def test_points_of_an_analysis_are_no_tiles_and_count_as_kept(
    tmp_path: Path, film_files: list[Path], root: Path
) -> None:
    job = stored(root)
    store = DirectoryStore(tmp_path, TINY.problem, numerics_of(TINY.problem))
    store.put(*kept_of(job, job.plan.order[0]))
    points = store.folder / "points" / "0123456789abcdef.npz"
    points.parent.mkdir()
    points.write_bytes(b"x" * 1000)
    (kept,) = inventory.listed(tmp_path, [TINY], numerics_of)
    tile_bytes = path_of(store, job, job.plan.order[0]).stat().st_size
    assert (kept.tiles, kept.size_bytes, kept.levels) == (1, tile_bytes + 1000, (1, 1))
    assert list(inventory.verify(kept, remove=True)) == [None]
    assert points.exists()


def test_verifying_finds_what_is_damaged_and_repairing_removes_that_alone(
    tmp_path: Path, film_files: list[Path], root: Path
) -> None:
    job = stored(root)
    store = DirectoryStore(tmp_path, TINY.problem, {"kernel": 1})
    for tile in job.plan.order[:4]:
        store.put(*kept_of(job, tile))
    damaged, strange = path_of(store, job, job.plan.order[1]), store.path(Tile(0, 0, 0)).with_name("x.npz")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    strange.parent.mkdir(parents=True, exist_ok=True)
    strange.write_bytes(b"")
    (kept,) = inventory.listed(tmp_path, [TINY], numerics_of)
    faults = [fault for fault in inventory.verify(kept) if fault]
    assert len(faults) == 2 and any("do not match their checksum" in fault for fault in faults)
    assert damaged.exists()
    assert len([fault for fault in inventory.verify(kept, remove=True) if fault]) == 2
    assert not damaged.exists() and not strange.exists()
    assert list(inventory.verify(kept)) == [None] * 3


def test_only_what_killed_processes_left_is_cleaned(tmp_path: Path) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    old_s = time.time() - 25 * 3600
    keep = [
        out / "film.mp4",
        out / "film.mp4.host.1.partial",  # of an old version, today
        store / "k/n/03/1/2.npz",
        out / "film.mp4.1.partial.txt",
        out / "thesis.partial",
    ]
    left = [
        out / ".film.mp4.0123456789abcdef.partial",
        out / "film.mp4.host.2.partial",
        store / "k/n/03/1/.2.npz.fedcba9876543210.partial",
        store / "k/n/03/1/.2.npz.host.7.ab.tmp",
    ]
    for path in keep + left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
        if path != keep[1]:
            os.utime(path, (old_s, old_s))
    with WholeFile(out / "other.mp4") as living:
        os.utime(living, (0, 0))
        left_behind = inventory.left_behind(out, store)
        assert sorted(left_behind) == sorted(left)
        assert inventory.delete([*left_behind, living]) == 16
        assert living.exists()
    assert all(path.exists() for path in keep) and not any(path.exists() for path in left)
    assert inventory.left_behind(tmp_path / "none", tmp_path / "none") == []


def test_every_library_of_a_record_is_installed() -> None:
    assert set(deliver.made_with()) >= {"python", "jaxlib", "numpy", "ffmpeg"}
    assert encode.version() in deliver.made_with().values()
