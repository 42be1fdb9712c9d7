"""Accidents of the store of a long render: it is full, read-only, deleted, shared, or the clock jumps. The film is the
same, or there is a message and everything finished is kept."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from render import scene
from render.backends.local import LocalBackend
from render.errors import EncodeError, StoreError
from render.film import qualities, rendering
from render.film.job import Job
from render.film.rendering import Progress
from render.storage.store import DirectoryStore, check_store

TINY = scene.load("tiny")


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    return LocalBackend(TINY.problem)


def job_on(store: Path, backend: LocalBackend) -> Job:
    return rendering.prepare(qualities.named(TINY, "scene"), store, backend=backend)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, backend: LocalBackend) -> bytes:
    folder = tmp_path_factory.mktemp("reference")
    return rendering.video(job_on(folder / "store", backend), folder / "film.mp4").read_bytes()


def tile_count(store: Path) -> int:
    return sum(1 for path in store.rglob("*.npz") if not path.name.startswith("."))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte: some twenty tiles."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_the_film_and_room_lets_it_go_on(
    small_disk: Path, tmp_path: Path, backend: LocalBackend, reference: bytes
) -> None:
    path = tmp_path / "film.mp4"
    with pytest.raises(StoreError, match="No space left on device. Free some space, or use another --store"):
        rendering.video(job_on(small_disk, backend), path)
    assert not path.exists()
    kept = tile_count(small_disk)
    assert kept > 5
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    job = job_on(small_disk, backend)
    assert len(job.plan.order) - len(job.store.missing(job.plan.order, job.plan.patches)) == kept
    assert rendering.video(job, path).read_bytes() == reference


def test_a_store_that_turns_read_only_stops_the_film_with_its_message(
    small_disk: Path, tmp_path: Path, backend: LocalBackend
) -> None:
    job = job_on(small_disk, backend)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match="Read-only file system. Make it writable, or use another --store"):
        rendering.video(job, tmp_path / "film.mp4")
    with pytest.raises(StoreError, match="the store must be a writable folder"):
        check_store(small_disk)
    assert not (tmp_path / "film.mp4").exists()


def test_a_store_deleted_under_way_is_trained_again(tmp_path: Path, backend: LocalBackend, reference: bytes) -> None:
    store = tmp_path / "store"
    job = job_on(store, backend)
    deleted: list[int] = []

    def report(now: Progress) -> None:
        if now.frames_done == 12 and not deleted:
            deleted.append(tile_count(store))
            shutil.rmtree(store, ignore_errors=True)

    assert rendering.video(job, tmp_path / "film.mp4", report).read_bytes() == reference
    assert deleted and deleted[0] > 10


def test_two_renders_and_a_reader_share_one_store(tmp_path: Path, backend: LocalBackend, reference: bytes) -> None:
    store = tmp_path / "store"
    faults: list[BaseException] = []

    def render(name: str) -> None:
        try:
            rendering.video(job_on(store, LocalBackend(TINY.problem)), tmp_path / name)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=render, args=(f"{number}.mp4",)) for number in range(2)]
    for thread in threads:
        thread.start()
    watched = job_on(store, backend)
    while any(thread.is_alive() for thread in threads):  # as the explorer does: whatever is there
        for tile, patches in watched.plan.patches.items():
            if not watched.store.missing([tile], {tile: patches}):
                watched.store.get(tile, patches)
        time.sleep(0.01)
    assert faults == []
    assert [(tmp_path / f"{number}.mp4").read_bytes() for number in range(2)] == [reference] * 2


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, backend: LocalBackend, reference: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backwards by fifty years at one half of the film, forwards by as many at the other; then files of both times."""
    store = tmp_path / "store"
    clock, fifty_years_s = time.time, 50 * 365.25 * 86400
    job = job_on(store, backend)

    def report(now: Progress) -> None:
        jump_s = -fifty_years_s if now.frames_done < now.frames_total // 2 else fifty_years_s
        monkeypatch.setattr(time, "time", lambda: clock() + jump_s)

    assert rendering.video(job, tmp_path / "film.mp4", report).read_bytes() == reference
    monkeypatch.undo()
    for number, path in enumerate(sorted(store.rglob("*.npz"))):
        os.utime(path, (0, 0) if number % 2 else (4e9, 4e9))
    again = job_on(store, backend)
    assert again.missing_samples() == 0
    assert rendering.video(again, tmp_path / "again.mp4").read_bytes() == reference


def test_with_fsync_every_tile_and_its_folder_reach_the_disk_before_they_count(
    tmp_path: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENDER_FSYNC", "1")
    synced: list[int] = []
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_mode)
        plain(descriptor)

    job = job_on(tmp_path / "store", backend)
    monkeypatch.setattr(os, "fsync", fsync)
    for _ in rendering.frames(job, [0]):
        pass
    assert len(synced) == 2 * tile_count(tmp_path / "store") > 0
    monkeypatch.delenv("RENDER_FSYNC")
    assert not DirectoryStore(tmp_path / "store", TINY.problem, backend.numerics).fsync


def test_a_folder_that_vanishes_under_the_film_is_a_message_and_no_half_film(
    tmp_path: Path, backend: LocalBackend
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    job = job_on(tmp_path / "store", backend)

    def report(now: Progress) -> None:
        if now.frames_done == 5:
            shutil.rmtree(out, ignore_errors=True)

    with pytest.raises(EncodeError, match="film.mp4"):
        rendering.video(job, out / "film.mp4", report)
    assert not (out / "film.mp4").exists()
    assert job_on(tmp_path / "store", backend).missing_samples() < job.plan.samples
