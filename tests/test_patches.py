"""Patches of tiles: what is planned, trained and stored of a tile of which a film needs no more.

The laws of the store hold for them as for whole tiles: they are there whole or not at all, checked byte by byte, of the
same bits however they came, and never lost to another process that adds some at the same time.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render import backends, scene
from render.errors import DamagedTile
from render.film import frame_arrays, qualities, rendering
from render.film.job import Job
from render.film.plan import Plan
from render.film.schedule import Training
from render.geometry import patches
from render.geometry.patches import PER_TILE, SIDE, WHOLE, PatchRange
from render.geometry.tiles import SAMPLES, Tile, TileRange
from render.problem import Problem
from render.samples import NO_SAMPLE, Field
from render.scene import Scene
from render.storage.store import DirectoryStore, MemoryStore, TileStore
from render.tools import inventory, merging

TINY = scene.load("tiny")
PROBLEM: Problem = TINY.problem
NUMERICS = {"lanes": 16}
TILE = Tile(3, 5, 2)

some_patches = st.integers(1, WHOLE)
quadrants = st.builds(Tile, st.just(4), st.integers(0, 15), st.integers(0, 15))


@functools.cache
def field() -> Field:
    """Different numbers at every sample of a tile, and of every channel."""
    numbers = np.arange(SAMPLES * SAMPLES, dtype=float).reshape(SAMPLES, SAMPLES) - 500.5
    channels = {name: (numbers % 100 if dtype == np.uint8 else numbers) for name, dtype in PROBLEM.channels.items()}
    return Field.from_channels({name: channels[name].astype(dtype) for name, dtype in PROBLEM.channels.items()})


def same(one: Field, other: Field) -> None:
    for name, channel in one.channels().items():
        np.testing.assert_array_equal(channel, other.channels()[name], err_msg=name)


def check(stored: Field, wanted: int) -> None:
    """What was asked for is there, bit for bit, and nothing beside it."""
    inside = patches.samples(wanted)
    for name, channel in stored.channels().items():
        np.testing.assert_array_equal(channel[inside], field().channels()[name][inside])
    assert (stored.status[~inside] == NO_SAMPLE).all() and np.isnan(stored.value[~inside]).all()


def directory(root: Path) -> DirectoryStore:
    return DirectoryStore(root, PROBLEM, NUMERICS)


def files(store: DirectoryStore) -> list[str]:
    return sorted(path.name for path in store.path(TILE).parent.glob("*"))


# ---- their places


@given(quadrants, some_patches)
def test_a_patch_takes_over_from_its_parent_where_that_has_its_even_samples(tile: Tile, parent: int) -> None:
    known = np.zeros((2 * SAMPLES, 2 * SAMPLES), dtype=bool)  # the four children of the parent, side by side
    known[::2, ::2] = patches.samples(parent)
    in_quadrant = known[SAMPLES * (tile.iy & 1) :, SAMPLES * (tile.ix & 1) :][:SAMPLES, :SAMPLES]
    for number in range(PER_TILE**2):
        even = in_quadrant[patches.samples(1 << number)].reshape(SIDE, SIDE)[::2, ::2]
        assert even.all() == even.any() == bool(patches.inherited(tile, parent) >> number & 1)


@given(quadrants, some_patches)
def test_what_a_tile_asks_of_its_parent_is_the_least_that_it_can_take_over_all_from(tile: Tile, wanted: int) -> None:
    asked = patches.in_parent(tile, wanted)
    assert wanted & ~patches.inherited(tile, asked) == 0
    assert all(wanted & ~patches.inherited(tile, asked & ~(1 << number)) for number in patches.numbers(asked))


@given(some_patches, some_patches)
def test_the_count_of_new_samples_is_theirs(wanted: int, above: int) -> None:
    taken_over = wanted & above
    mask = patches.new_samples(wanted, taken_over)
    assert mask.sum() == patches.new_sample_count(wanted, taken_over)
    assert not (mask & ~patches.samples(wanted)).any()


@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 30), st.integers(1, 12))
def test_a_rectangle_of_patches_is_laid_onto_its_tiles(x: int, columns: int, y: int, rows: int) -> None:
    area = PatchRange(5, x, x + columns, y, y + rows)
    wanted = {Tile(5, x // PER_TILE, y // PER_TILE): 1 << 15}
    area.add_to(wanted)
    around = area.tile_range
    assert set(wanted) == set(around.tiles())
    for tile, of_tile in wanted.items():
        for number in range(PER_TILE**2):
            row, column = divmod(number, PER_TILE)
            inside = x <= PER_TILE * tile.ix + column < x + columns and y <= PER_TILE * tile.iy + row < y + rows
            added = tile == Tile(5, x // PER_TILE, y // PER_TILE) and number == 15
            assert bool(of_tile >> number & 1) == (inside or added)
    assert PatchRange.of(around).contains(area)
    assert PatchRange.of(TileRange(5, 1, 2, 3, 5)) == PatchRange(5, 4, 8, 12, 20)


# ---- in a store


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TileStore:
    return MemoryStore() if request.param == "memory" else directory(tmp_path)


@settings(max_examples=40, deadline=None)
@given(st.lists(some_patches, min_size=1, max_size=5), some_patches, st.booleans())
def test_a_store_holds_all_patches_that_were_put_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, put: list[int], wanted: int, in_memory: bool
) -> None:
    store: TileStore = MemoryStore() if in_memory else directory(tmp_path_factory.mktemp("store"))
    held = 0
    for some in put:
        store.put(TILE, field(), some)
        held |= some
        assert store.held([TILE, Tile(3, 0, 0)]) == [held, 0]
        assert store.has(TILE) == (held == WHOLE)
        check(store.get(TILE, held), held)
    assert store.missing([TILE], {TILE: wanted}) == ([TILE] if wanted & ~held else [])
    if wanted & ~held:
        with pytest.raises(KeyError):
            store.get(TILE, wanted)
    else:
        check(store.get(TILE, wanted), wanted)
    if isinstance(store, DirectoryStore):
        assert files(store) == [store.path(TILE, held).name]
        assert store.address_of(store.path(TILE, held)) == (TILE, held)


def test_a_tile_that_grew_to_all_its_patches_is_the_file_of_one_that_was_whole_at_once(tmp_path: Path) -> None:
    grown, at_once = directory(tmp_path / "grown"), directory(tmp_path / "whole")
    for some in (0x0033, 0x00CC, 0xFF00):
        grown.put(TILE, field(), some)
    at_once.put(TILE, field())
    assert files(grown) == files(at_once) == ["2.npz"]
    assert grown.path(TILE).read_bytes() == at_once.path(TILE).read_bytes()
    grown.put(TILE, field(), 0x0001)  # one that has all already
    assert grown.path(TILE).read_bytes() == at_once.path(TILE).read_bytes()


def test_numpy_opens_the_file_of_some_patches(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(TILE, field(), 0x8001)
    with np.load(store.path(TILE, 0x8001)) as opened:
        assert opened["field"].shape == (2, SIDE, SIDE)
        np.testing.assert_array_equal(opened["field"]["value"][0], field().value[:SIDE, :SIDE])
        np.testing.assert_array_equal(opened["field"]["value"][1], field().value[-SIDE:, -SIDE:])
        assert '"patches": "8001"' in str(opened["meta"])


def test_patches_that_two_processes_add_at_the_same_time_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one writes after this one has looked what is there, and before it writes."""
    from render.files import atomic

    one, other = directory(tmp_path), directory(tmp_path)
    one.put(TILE, field(), 0x0001)
    write = atomic.store_whole

    def interrupted(*arguments: object, **options: object) -> None:
        monkeypatch.setattr(atomic, "store_whole", write)
        other.put(TILE, field(), 0x0010)
        write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic, "store_whole", interrupted)
    one.put(TILE, field(), 0x0100)
    assert files(one) == ["2.0011.npz", "2.0101.npz"]
    assert one.held([TILE]) == [0x0111]
    check(one.get(TILE, 0x0111), 0x0111)
    one.put(TILE, field(), 0x1000)
    assert files(one) == ["2.1111.npz"]


def test_a_file_that_another_process_joins_while_it_is_read_is_read_from_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = directory(tmp_path), directory(tmp_path)
    store.put(TILE, field(), 0x0003)
    look = store._files

    def late(tile: Tile) -> list[int]:
        listed = look(tile)
        monkeypatch.setattr(store, "_files", look)
        other.put(TILE, field(), 0x0030)
        return listed

    monkeypatch.setattr(store, "_files", late)
    check(store.get(TILE, 0x0001), 0x0001)
    assert files(store) == ["2.0033.npz"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_in_a_file_of_patches_is_noticed_and_never_counts_as_a_sample(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = directory(tmp_path_factory.mktemp("store"))
    store.put(TILE, field(), 0x00F1)
    path = store.path(TILE, 0x00F1)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    for wanted in (0x00F1, 0x0001):
        with pytest.raises(DamagedTile, match="It will be trained again"):
            store.get(TILE, wanted)
    # Whoever adds a patch takes nothing over from it, and what it held counts as absent.
    store.put(TILE, field(), 0x0002)
    assert store.held([TILE]) == [0x0002]
    check(store.get(TILE, 0x0002), 0x0002)


@pytest.mark.parametrize("some", [0x00F1, WHOLE])
def test_a_damaged_file_is_replaced_by_what_is_trained_again(tmp_path: Path, some: int) -> None:
    store = directory(tmp_path)
    store.put(TILE, field(), some)
    path = store.path(TILE, some)
    path.write_bytes(path.read_bytes()[:100])
    store.put(TILE, field(), 0x0011)
    assert files(store) == ["2.0011.npz"]
    store.put(TILE, field(), some)
    check(store.get(TILE, some), some)


def test_a_file_under_the_name_of_other_patches_is_damaged(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(TILE, field(), 0x0011)
    for name in ("2.0101.npz", "2.0111.npz", "2.npz"):
        store.path(TILE).with_name(name).write_bytes(store.path(TILE, 0x0011).read_bytes())
    for wanted in (0x0101, 0x0111, WHOLE):
        with pytest.raises(DamagedTile):
            store.get(TILE, wanted)
    check(store.get(TILE, 0x0011), 0x0011)


def test_a_file_that_only_looks_like_one_of_patches_is_none(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(TILE, field(), 0x0011)
    for name in ("2.0000.npz", "2.ffff.npz", "2.11.npz", "2.00gg.npz", "2.0F00.npz", "22.0100.npz", "x.npz"):
        store.path(TILE).with_name(name).write_bytes(b"")
    assert store.held([TILE]) == [0x0011]
    check(store.get(TILE, 0x0010), 0x0010)
    with pytest.raises(KeyError):
        store.get(TILE, 0x0200)


def test_a_link_that_leads_nowhere_is_a_lost_file_and_not_waited_for(tmp_path: Path) -> None:
    store = directory(tmp_path)
    store.put(TILE, field(), 0x0011)
    store.path(TILE, 0x0300).symlink_to(tmp_path / "nowhere")
    check(store.get(TILE, 0x0011), 0x0011)
    for wanted in (0x0100, 0x0301, WHOLE):
        with pytest.raises(KeyError):
            store.get(TILE, wanted)


def test_what_is_kept_is_listed_verified_and_merged_patch_by_patch(tmp_path: Path) -> None:
    here, elsewhere = directory(tmp_path / "here"), directory(tmp_path / "there")
    here.put(TILE, field(), 0x0003)
    elsewhere.put(TILE, field(), 0x0006)
    elsewhere.put(Tile(3, 0, 0), field(), 0x8000)
    (kept,) = inventory.listed(tmp_path / "there", [TINY], lambda _: NUMERICS)
    assert (kept.tiles, kept.samples) == (2, 3 * SIDE**2)
    assert list(inventory.verify(kept)) == [None, None]
    merged = merging.merge(tmp_path / "there", tmp_path / "here")
    assert (merged.added, merged.known, merged.faults) == (2, 0, [])
    assert here.held([TILE, Tile(3, 0, 0)]) == [0x0007, 0x8000]
    check(here.get(TILE, 0x0007), 0x0007)
    merged = merging.merge(tmp_path / "there", tmp_path / "here")
    assert (merged.added, merged.known, merged.faults) == (0, 2, [])
    other = dataclasses.replace(field(), value=field().value + 1)
    elsewhere.put(TILE, other, 0x0002)
    merged = merging.merge(tmp_path / "there", tmp_path / "here")
    assert (merged.added, merged.known) == (0, 1) and "has other samples" in merged.faults[0]
    path = elsewhere.path(TILE, 0x0006)
    path.write_bytes(path.read_bytes()[:-1])
    verdicts = list(inventory.verify(kept, remove=True))
    assert sum(fault is not None for fault in verdicts) == 1 and elsewhere.held([TILE]) == [0]


# ---- in a film


def small(**output: Any) -> Scene:
    size: dict[str, Any] = {"width_px": 96, "height_px": 54, "fps": 4, "detail": 0.2, "rest_detail": 0.2}
    return dataclasses.replace(TINY, output=dataclasses.replace(TINY.output, **(size | output)))


@pytest.fixture(scope="module")
def backend() -> backends.Backend:
    return backends.make("local", PROBLEM)


def job_of(of: Scene, root: Path, backend: backends.Backend) -> Job:
    return rendering.prepare(qualities.named(of, "scene"), root, backend=backend)


def pictures(job: Job) -> list[np.ndarray]:
    return [picture for _, picture in rendering.frames(job, range(job.frame_count))]


def train(plan: Plan, store: TileStore, backend: backends.Backend, wanted: dict[Tile, int]) -> int:
    training = Training(PROBLEM, plan.order, store, backend, wanted=wanted)
    training.start()
    training.wait_for(len(plan.order))
    training.stop()
    assert training.samples_done == training.samples_total
    return training.samples_done


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, backend: backends.Backend) -> tuple[Job, list[np.ndarray]]:
    job = job_of(small(), tmp_path_factory.mktemp("patches"), backend)
    return job, pictures(job)


def test_a_film_trains_the_patches_of_its_plan_and_no_more(filmed: tuple[Job, list[np.ndarray]]) -> None:
    job, _ = filmed
    assert job.store.held(job.plan.order) == [job.plan.patches[tile] for tile in job.plan.order]
    assert any(planned != WHOLE for planned in job.plan.patches.values())
    assert job.missing_samples() == 0 and job.trainings(job.plan.orders).samples_total == 0
    (kept,) = inventory.listed(job.store.folder.parents[1], [TINY], lambda _: NUMERICS)  # type: ignore[attr-defined]
    assert kept.tiles == len(job.plan.order), "a tile is one file"


def test_a_film_of_whole_tiles_has_the_same_samples_and_the_same_frames(
    filmed: tuple[Job, list[np.ndarray]], tmp_path: Path, backend: backends.Backend
) -> None:
    """A store of before, or one in which the explorer was used, holds more of every tile than this film reads."""
    job, frames = filmed
    of_whole_tiles = job_of(small(), tmp_path, backend)
    more = train(of_whole_tiles.plan, of_whole_tiles.store, backend, {})
    assert more > 1.3 * job.plan.samples
    assert of_whole_tiles.missing_samples() == 0
    for tile, planned in job.plan.patches.items():
        same(job.store.get(tile, planned), of_whole_tiles.store.get(tile, planned))
    for one, two in zip(pictures(of_whole_tiles), frames, strict=True):
        np.testing.assert_array_equal(one, two)
    for s in (0.0, 0.4 * job.plan.path.length, job.plan.path.length):
        arrays = [
            frame_arrays.FrameArrays(planned.plan, planned.trainings(planned.plan.orders).fetch).channels(s)
            for planned in (job, of_whole_tiles)
        ]
        for name, channel in arrays[0].items():
            np.testing.assert_array_equal(channel, arrays[1][name], err_msg=name)
            assert name != "status" or (channel != NO_SAMPLE).all()


def test_a_better_film_trains_what_is_new_and_its_tiles_are_those_of_whole_ones(
    tmp_path: Path, backend: backends.Backend
) -> None:
    fine, coarse = small(width_px=128, height_px=72), small()
    grown, at_once = (job_of(fine, tmp_path / name, backend) for name in ("grown", "at once"))
    first = train(Plan(coarse), grown.store, backend, Plan(coarse).patches)
    more = train(grown.plan, grown.store, backend, grown.plan.patches)
    assert 0 < more < grown.plan.samples == train(at_once.plan, at_once.store, backend, at_once.plan.patches)
    assert first + more < 1.2 * grown.plan.samples, "few samples of the coarse film have no use in the fine one"
    # Whoever asks for whole tiles completes them, and leaves files as they were before there were patches.
    rest = train(grown.plan, grown.store, backend, {})
    store_of_whole_tiles = MemoryStore()
    assert rest > 0 and train(grown.plan, store_of_whole_tiles, backend, {}) > rest
    reference = DirectoryStore(tmp_path / "whole", PROBLEM, backend.numerics)
    for tile in grown.plan.order:
        reference.put(tile, store_of_whole_tiles.get(tile))
        assert reference.path(tile).read_bytes() == grown.store.path(tile).read_bytes()  # type: ignore[attr-defined]


def test_patches_that_were_damaged_or_lost_are_trained_again_and_the_film_is_the_same(
    filmed: tuple[Job, list[np.ndarray]], tmp_path: Path, backend: backends.Backend
) -> None:
    job, frames = filmed
    again = job_of(small(), tmp_path, backend)
    for tile, planned in job.plan.patches.items():
        again.store.put(tile, job.store.get(tile, planned), planned)
    shown = [tile for tile in again.plan.order if again.plan.patches[tile] != WHOLE][-3:]
    paths = [again.store.path(tile, again.plan.patches[tile]) for tile in shown]  # type: ignore[attr-defined]
    content = bytearray(paths[0].read_bytes())
    content[len(content) // 2] ^= 1
    paths[0].write_bytes(content)
    fewer = shown[1], again.plan.patches[shown[1]] & (again.plan.patches[shown[1]] - 1)
    paths[1].unlink()
    again.store.put(fewer[0], job.store.get(shown[1], fewer[1]), fewer[1])
    paths[2].unlink()
    assert again.missing_samples() > 0
    for one, two in zip(pictures(again), frames, strict=True):
        np.testing.assert_array_equal(one, two)
    assert again.missing_samples() == 0


@pytest.mark.parametrize("name", ["mean_lr", "tanh", "single", "relu"])
def test_a_preview_trains_at_most_1_4_times_the_samples_that_its_frames_read(name: str) -> None:
    """`need`: the samples of the windows of all views, between the examined places too, on the levels they complete."""
    planned = qualities.named(scene.load(name), "preview").plan
    need = 0
    above: set[tuple[int, int]] = set()
    for level in sorted(planned.levels):
        read: set[tuple[int, int]] = set()
        for a, b in planned.levels[level].complete:
            places = [a, *(float(s) for s in planned._places if a < s < b), b]
            for s in places:
                window = planned.path.viewport(s).window(level)
                last = SAMPLES << level
                rows = range(max(window.y0, 0), min(window.y1, last))
                columns = range(max(window.x0, 0), min(window.x1, last))
                read.update((x, y) for y in rows for x in columns)
        need += sum(not (x % 2 == 0 and y % 2 == 0 and (x // 2, y // 2) in above) for x, y in read)
        above = read
    assert 1.0 <= planned.samples / need < 1.4
