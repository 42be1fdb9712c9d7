"""Several films in one command, and stores that take over other stores."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from render import scene
from render.cli import batches
from render.cli.options import Changes
from render.errors import RenderError, StoreError
from render.film import qualities, rendering
from render.storage.store import DirectoryStore
from render.tools import merging
from tests.helpers import ROOT
from tests.helpers.command import refused, run_here

TINY = (ROOT / "scenes/tiny.toml").read_text()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all tiles of `tiny`."""
    root = tmp_path_factory.mktemp("batches") / "store"
    job = rendering.prepare(qualities.named(scene.load("tiny"), "scene"), root)
    for _ in rendering.frames(job, range(job.frame_count)):
        pass
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.npz")}


# ---- films -------------------------------------------------------------------------------------------------------


def test_every_film_is_made_and_what_fails_is_reported_at_the_end(stored: Path, tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    for name in names:
        (tmp_path / f"{name}.toml").write_text(TINY)
    out = tmp_path / "out"
    (out / "two").mkdir(parents=True)
    (out / "two" / "two-scene.mp4").mkdir()  # a folder stands where the film should be
    done = run_here(
        "video", *(tmp_path / f"{name}.toml" for name in names), "--each", "--quality", "scene", "--store", stored,
        "--out", out, "--json",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    (batch,) = [event for event in events if event["event"] == "batch"]
    assert (batch["made"], batch["films"], batch["failed"]) == (2, 3, ["two"])
    assert [event["name"] for event in events if event["event"] == "film"] == names
    assert events[-1]["event"] == "failed" and "two-scene.mp4" in events[-1]["fault"]
    written = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert [path for path in written if path.endswith(".mp4")] == [f"{out}/{n}/{n}-scene.mp4" for n in ("one", "three")]


def test_the_name_of_a_scene_that_failed_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(TINY)

    def film(loaded: scene.Scene) -> list[Path]:
        raise RenderError(f"{loaded.name}: it ends too deep." if loaded.name == "one" else "no disk.")

    scenes = batches.load([tmp_path / "one.toml", tmp_path / "two.toml"], Changes())
    assert not batches.each(scenes, film)
    printed = capsys.readouterr().err
    assert printed.count("one: it ends too deep.") == printed.count("two: no disk.") == 2
    assert "one: one" not in printed


def test_a_fault_in_any_scene_ends_it_before_the_first_film(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(TINY)
    (tmp_path / "bad.toml").write_text(TINY.replace("[look]", "[lock]"))
    place = ("--store", tmp_path / "store", "--out", tmp_path / "out")
    errors = refused("video", tmp_path / "good.toml", tmp_path / "bad.toml", "--each", *place)
    assert "lock" in errors
    errors = refused("video", tmp_path / "good.toml", tmp_path / "good.toml", "--each", *place)
    assert "every scene must have a name of its own" in errors and "good" in errors
    errors = refused("preview", tmp_path / "good.toml", "tiny", "--each", "--name", "same", *place)
    assert "every scene must have a name of its own" in errors
    assert not (tmp_path / "store").exists() and not (tmp_path / "out").exists()


# ---- stores ------------------------------------------------------------------------------------------------------


def test_a_merged_store_has_the_tiles_of_both(stored: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    first = merging.merge(stored, ours)
    assert first.faults == []
    assert files(ours) == files(stored)
    again = merging.merge(stored, ours)
    assert (again.added, again.known) == (0, first.added)
    some = sorted(ours.rglob("*.npz"))[:3]
    for path in some:
        path.unlink()
    assert merging.merge(stored, ours).added == 3
    assert files(ours) == files(stored)
    job = rendering.prepare_stored(scene.load("tiny"), "scene", ours)
    assert job.quality == "scene"


def test_a_damaged_tile_is_left_out_and_one_here_is_replaced(stored: Path, tmp_path: Path) -> None:
    other, ours = tmp_path / "other", tmp_path / "ours"
    shutil.copytree(stored, other)
    shutil.copytree(stored, ours)
    theirs = sorted(other.rglob("*.npz"))
    flip(theirs[0])
    (ours / theirs[0].relative_to(other)).unlink()
    flip(ours / theirs[1].relative_to(other))
    merged = merging.merge(other, ours)
    assert (merged.added, merged.repaired) == (0, 1)
    (fault,) = merged.faults
    assert str(theirs[0]) in fault and "is damaged" in fault
    assert not (ours / theirs[0].relative_to(other)).exists()
    assert (ours / theirs[1].relative_to(other)).read_bytes() == theirs[1].read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_what_stands_in_a_tiles_place_and_is_no_file_stops_nothing(stored: Path, tmp_path: Path) -> None:
    """Whoever opens a pipe to read it waits until another program opens it to write."""
    other, ours = tmp_path / "other", tmp_path / "ours"
    shutil.copytree(stored, other)
    theirs = sorted(other.rglob("*.npz"))
    theirs[0].unlink()
    os.mkfifo(theirs[0])
    (ours / theirs[1].relative_to(other)).mkdir(parents=True)
    merged = merging.merge(other, ours)
    assert merged.added == len(theirs) - 2
    assert len(merged.faults) == 2
    (fifo,) = (fault for fault in merged.faults if str(theirs[0]) in fault)
    (folder,) = (fault for fault in merged.faults if str(theirs[1]) in fault)
    assert "it has 0 bytes" in fifo and "it is a folder" in folder


def test_two_sound_tiles_that_differ_are_reported_and_ours_stays(stored: Path, tmp_path: Path) -> None:
    other, ours = tmp_path / "other", tmp_path / "ours"
    shutil.copytree(stored, other)
    merging.merge(stored, ours)
    (store,) = DirectoryStore.existing(other, scene.load("tiny").problem)
    tile, patches = store.address_of(sorted(other.rglob("*.npz"))[0])
    changed = store.get(tile, patches)
    channels = {name: channel.copy() for name, channel in changed.channels().items()}
    channels["value"] += 1.0
    store.put(tile, changed.from_channels(channels), patches)
    before = files(ours)
    merged = merging.merge(other, ours)
    assert len(merged.faults) == 1 and "has other samples" in merged.faults[0]
    assert files(ours) == before


def test_what_is_no_store_is_refused(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        merging.merge(tmp_path / "nothing", tmp_path / "ours")
    with pytest.raises(StoreError, match="is the store itself"):
        merging.merge(stored, stored)
    inner = tmp_path / "stores" / "inner"
    shutil.copytree(stored, inner)
    shutil.copytree(stored, tmp_path / "stores", dirs_exist_ok=True)
    (tmp_path / "link").symlink_to(inner)
    before = files(tmp_path / "stores")
    for other, ours in ((inner, tmp_path / "stores"), (tmp_path / "stores", inner), (tmp_path / "link", inner.parent)):
        with pytest.raises(StoreError, match="must not lie inside of"):
            merging.merge(other, ours)
    with pytest.raises(StoreError, match="must not lie inside of"):
        merging.merge(stored, stored / "not" / "there")
    assert files(tmp_path / "stores") == before and not (stored / "not").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no samples"):
        merging.merge(tmp_path / "empty", tmp_path / "ours")
    other = tmp_path / "other"
    shutil.copytree(stored, other)
    (folder,) = (path for path in other.iterdir() if path.is_dir())
    folder.rename(other / "0123456789abcdef")
    merged = merging.merge(other, tmp_path / "ours")
    assert merged.added == 0 and "its problem.toml describes" in merged.faults[0]


def test_the_command_merges_and_says_what_was_left_out(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(stored, other)
    done = run_here("store", "merge", other, "--store", tmp_path / "ours")
    assert done.returncode == 0, done.stderr
    assert "tiles added" in done.stderr
    flip(sorted(other.rglob("*.npz"))[0])
    shutil.rmtree(tmp_path / "ours")
    done = run_here("store", "merge", other, "--store", tmp_path / "ours")
    assert done.returncode == 1 and "is damaged" in done.stdout


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
