"""A film that is stopped while its pictures are made goes on from its finished segments, and has the same bytes."""

import contextlib
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from render import scene
from render.encode import CODECS, VideoWriter, video
from render.encode.segments import abandoned
from render.errors import EncodeError
from render.film import compose, deliver, qualities, rendering, segment_key
from render.film.job import Job
from render.film.rendering import Progress
from render.geometry.patches import Patches
from render.geometry.tiles import Tile
from render.picture.flash import Meter
from render.samples import Field
from render.storage.store import DirectoryStore
from render.tools import inventory

SIZE = (128, 32)
BITS = 8  # of a frame's number, which its picture shows as columns of black and white
JOINED = [name for name, codec in CODECS.items() if not codec.at_once]
AT_ONCE = [name for name, codec in CODECS.items() if codec.at_once]
TINY = scene.load("tiny")


class Stop(Exception):
    """What stops a film in these tests."""


def picture(number: int, bits: int) -> np.ndarray:
    """A frame that shows its number, over a pattern that moves."""
    row = np.arange(SIZE[0])
    grey = 96 + 32 * np.sin((row[None] + 3 * number) / 9 + np.arange(SIZE[1])[:, None] / 5)
    columns = (number >> (row * BITS // SIZE[0])) & 1
    grey[8:24] = np.where(columns, 255, 0)
    frame = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    return frame * np.uint16(257) if bits == 16 else frame


def number_of(frame: np.ndarray) -> int:
    """Read the number of a frame."""
    width = frame.shape[1] // BITS
    height = frame.shape[0]
    middle = frame[3 * height // 8 : 5 * height // 8].mean(axis=(0, 2))
    return sum(
        int(middle[i * width + width // 4 : (i + 1) * width - width // 4].mean() > 127) << i for i in range(BITS)
    )


@contextlib.contextmanager
def short_segments() -> Iterator[None]:
    """Let segments be single groups of pictures."""
    before, video._SEGMENT_FRAMES = video._SEGMENT_FRAMES, 1
    try:
        yield
    finally:
        video._SEGMENT_FRAMES = before


@pytest.fixture(autouse=True)
def _short() -> Iterator[None]:
    with short_segments():
        yield


def write(path: Path, frames: int, *, stop_after: int | None = None, key: str = "k", **options: Any) -> list[int]:
    """Write a film as `film.video` does; return the numbers of the frames that were made, not those gone past."""
    composed = []
    with VideoWriter(path, SIZE, key=key, frames_total=frames, **({"fps": 24} | options)) as writer:
        while writer.frames < frames:
            if writer.pass_finished() is not None:
                continue
            number = writer.frames
            writer.write(picture(number, writer.bits))
            composed.append(number)
            if writer.is_full:
                writer.finish_segment({"last": np.array(number)})
            if len(composed) == stop_after:
                raise Stop
    return composed


def stopped(path: Path, frames: int, after: int, **options: Any) -> None:
    with pytest.raises(Stop):
        write(path, frames, stop_after=after, **options)
    assert not path.exists()


def decoded(path: Path, *before: str) -> list[int]:
    """Return the numbers of a film's frames as they are decoded. before: ffmpeg's options of the input."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", *before, "-i", str(path)]
    command += [
        "-vf",
        f"scale={SIZE[0]}:{SIZE[1]}:flags=area",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-fps_mode",
        "passthrough",
        "-",
    ]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return [number_of(frame) for frame in np.frombuffer(data, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)]


def times_s(path: Path) -> list[float]:
    """Return when a film's frames are shown, by its decoder."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path), "-vf", "showinfo", "-f", "null", "-"]
    words = subprocess.run(command, stderr=subprocess.PIPE, check=True, encoding="utf-8").stderr
    return [float(match) for match in re.findall(r" pts_time:(\S+)", words)]


def folders_of_segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.segments"))


# ---- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_a_film_that_was_stopped_twice_has_the_bytes_of_one_that_never_was(tmp_path: Path, codec: str) -> None:
    write(tmp_path / "whole", 40, codec=codec)
    path = tmp_path / "stopped"
    stopped(path, 40, 14, codec=codec)
    stopped(path, 40, 11, codec=codec)  # in another segment: one of 12 frames was finished
    composed = write(path, 40, codec=codec)
    assert composed == [*range(12, 40)]
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(left.name for left in tmp_path.iterdir()) == ["stopped", "whole"]


@pytest.mark.parametrize("after", [1, 11, 12, 13, 24, 39, 40])
def test_wherever_a_film_is_stopped_only_what_is_unfinished_is_made_again(tmp_path: Path, after: int) -> None:
    path = tmp_path / "film.mp4"
    stopped(path, 40, after)
    first = 40 if after == 40 else after // 12 * 12
    assert write(path, 40) == [*range(first, 40)]
    assert decoded(path) == [*range(40)]


@pytest.mark.parametrize("codec", JOINED)
@pytest.mark.parametrize("fps", [30000 / 1001, 7])
def test_a_joined_film_shows_every_frame_once_at_its_time_and_can_be_entered_anywhere(
    tmp_path: Path, codec: str, fps: float
) -> None:
    path = tmp_path / f"film{CODECS[codec].suffix}"
    write(path, 53, codec=codec, fps=fps)
    assert decoded(path) == [*range(53)]
    tick_s = 0.00051 if path.suffix in (".mkv", ".webm") else 1e-5
    np.testing.assert_allclose(times_s(path), np.arange(53) / fps, atol=tick_s)
    for number in (12, 23, 24, 25, 36, 52):
        assert decoded(path, "-ss", f"{(number - 0.4) / fps:.4f}")[0] == number


def test_the_times_in_the_index_of_a_joined_film_are_one_step(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4", 53, fps=30000 / 1001)
    table = (tmp_path / "film.mp4").read_bytes().partition(b"stts")[2]
    entries, count, delta = (int.from_bytes(table[at : at + 4], "big") for at in (4, 8, 12))
    assert (entries, count, delta) == (1, 53, 1001)


def test_a_joined_lossless_film_has_every_pixel(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    stopped(path, 40, 30, codec="ffv1")
    write(path, 40, codec="ffv1")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    np.testing.assert_array_equal(
        np.frombuffer(data, np.uint8).reshape(40, SIZE[1], SIZE[0], 3), [picture(n, 8) for n in range(40)]
    )


@pytest.mark.parametrize("codec", AT_ONCE)
@pytest.mark.parametrize("fps", [24, 30])
def test_a_film_for_messages_takes_the_frames_that_one_encoding_takes(tmp_path: Path, codec: str, fps: int) -> None:
    """Against all frames through ffmpeg at once, with the filters of both steps in one."""
    write(tmp_path / codec, 50, codec=codec, fps=fps)
    row = CODECS[codec]
    filters = f"{row.filters},{row.at_once}"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{SIZE[0]}x{SIZE[1]}",
    ]
    command += [
        "-r",
        str(fps),
        "-i",
        "-",
        "-vf",
        filters,
        *row.encoder.split(),
        "-pix_fmt",
        row.pixels,
        *row.container.split(),
    ]
    frames = b"".join(picture(n, 8).tobytes() for n in range(50))
    subprocess.run([*command, str(tmp_path / "once")], input=frames, check=True)
    with Image.open(tmp_path / codec) as ours, Image.open(tmp_path / "once") as once:
        assert ours.n_frames == once.n_frames  # type: ignore[attr-defined]
        for number in range(ours.n_frames):  # type: ignore[attr-defined]
            ours.seek(number)
            once.seek(number)
            shown = [np.asarray(image.convert("RGB"), dtype=int) for image in (ours, once)]
            assert number_of(shown[0]) == number_of(shown[1])
            assert np.abs(shown[0] - shown[1]).mean() < 1
            assert ours.info["duration"] == once.info["duration"]


# ---- which segments are used -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"key": "another scene"}, {"crf": 20}, {"fps": 25}, {"codec": "ffv1"}, {"frames": 41}, {"key": ""}]
)
def test_segments_of_another_film_are_not_used_and_are_removed(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "film"
    stopped(path, 40, 30)
    options: dict[str, Any] = {"frames": 40} | change
    frames = int(str(options.pop("frames")))
    if "frames" in change:  # the number of frames is the key's
        options["key"] = "of 41"
    assert write(path, frames, **options) == [*range(frames)]
    assert len(folders_of_segments(tmp_path)) == (1 if options.get("key") == "" else 0)


def test_segments_of_another_ffmpeg_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.mp4"
    stopped(path, 40, 30)
    other = tmp_path / "other" / "ffmpeg"
    other.parent.mkdir()
    shutil.copy(imageio_ffmpeg.get_ffmpeg_exe(), other)  # has another date
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(other))
    assert write(path, 40) == [*range(40)]


@pytest.mark.parametrize("part", ["segment", "note", "key"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_segment_is_made_again_and_the_film_is_the_same(tmp_path: Path, part: str, how: str) -> None:
    write(tmp_path / "whole.mp4", 40)
    path = tmp_path / "film.mp4"
    stopped(path, 40, 38)
    (folder,) = folders_of_segments(tmp_path)
    file = folder / (part if part == "key" else f"00001.{part}")
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 16
        file.write_bytes(content)
    composed = write(path, 40)
    assert composed == ([*range(40)] if part == "key" else [*range(12, 24), *range(36, 40)])
    assert path.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_two_writers_of_one_film_do_not_share_segments_and_clean_leaves_the_living_alone(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with VideoWriter(path, SIZE, 24, key="k", frames_total=40) as first:
        for number in range(30):
            first.write(picture(number, 8))
        assert write(path, 40) == [*range(40)]  # the second one, whole
        assert len(folders_of_segments(tmp_path)) == 1
        assert inventory.left_behind(tmp_path, tmp_path / "store") == []
        for number in range(30, 40):
            first.write(picture(number, 8))
        written = path.read_bytes()
    assert path.read_bytes() == written
    assert folders_of_segments(tmp_path) == []


def test_clean_removes_the_segments_of_a_film_that_no_process_makes(tmp_path: Path) -> None:
    stopped(tmp_path / "film.mp4", 40, 30)
    (folder,) = folders_of_segments(tmp_path)
    assert abandoned(folder)
    left = inventory.left_behind(tmp_path, tmp_path / "store")
    assert left == [folder]
    assert inventory.delete(left) > 1000
    assert list(tmp_path.iterdir()) == []


def test_long_names_and_names_of_bytes_keep_their_segments_apart(tmp_path: Path) -> None:
    names = [
        "x" * 225 + "a.mp4",
        "x" * 225 + "b.mp4",
        os.fsdecode(b"caf\xe9.mp4"),
        "ü" * 100 + "1.mp4",
        "ü" * 100 + "2.mp4",
    ]
    for name in names:
        stopped(tmp_path / name, 40, 14)
    assert len(folders_of_segments(tmp_path)) == len(names)
    for name in names:
        assert write(tmp_path / name, 40) == [*range(12, 40)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()  # the lossless film of the test has 160 kB
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "none", disk], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_a_film_with_a_message_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    write(tmp_path / "whole.mkv", 240, codec="ffv1")
    path = small_disk / "film.mkv"
    with pytest.raises(EncodeError, match=r"disk: [\d.]+ (bytes|kB|MB) free"):
        write(path, 240, codec="ffv1")
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    composed = write(path, 240, codec="ffv1")
    assert 12 <= composed[0] <= 228
    assert path.read_bytes() == (tmp_path / "whole.mkv").read_bytes()


# ---- the film of a scene -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds every sample of the tiny film."""
    root = tmp_path_factory.mktemp("resume")
    for _ in rendering.frames(job := rendering.prepare(qualities.named(TINY, "scene"), root), range(30)):
        pass
    assert job.missing_samples() == 0
    return root


def tiny(store: Path, *settings: str) -> Job:
    return rendering.prepare_stored(scene.load("tiny", settings=settings), "scene", store)


def stopping(after: int) -> Callable[[Progress], None]:
    def report(now: Progress) -> None:
        if now.frames_done == after:
            raise Stop

    return report


def test_frames_in_finished_segments_are_not_composed_and_no_tile_is_read_for_them(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tiny(store)
    assert job.frame_count == 30 and job.scene.output.fps == 5
    content = rendering.video(job, tmp_path / "whole.mp4").read_bytes()
    with pytest.raises(Stop):
        rendering.video(job, tmp_path / "film.mp4", stopping(27))
    composed, fetched = [], set()
    compose_frame, get = compose.Compositor.frame, DirectoryStore.get

    def frame(self: compose.Compositor, *places: float, bits: int = 8, passing: Any = None) -> np.ndarray:
        composed.append(places)
        return compose_frame(self, *places, bits=bits)

    def getting(self: DirectoryStore, tile: Tile, wanted: Patches) -> Field:
        fetched.add(tile)
        return get(self, tile, wanted)

    monkeypatch.setattr(compose.Compositor, "frame", frame)
    monkeypatch.setattr(DirectoryStore, "get", getting)
    seen: list[Progress] = []
    rendering.video(job, tmp_path / "film.mp4", seen.append)
    assert (tmp_path / "film.mp4").read_bytes() == content
    places = [job.plan.path.s_of_frame(number, 5) for number in range(26, 30)]
    assert [s for s, *_ in composed] == places[: len(composed)] and len(composed) <= 4
    assert fetched <= {tile for s in places for tile in job.plan.tiles_at(s)} != set(job.plan.order)
    assert [now.frames_done for now in seen] == [*range(27, 31)]
    assert {now.frames_total for now in seen} == {30}
    assert re.fullmatch(
        r"The film goes on: 26 of its 30 frames are finished already \(\S+ (kB|MB)\)\.", seen[0].notes[0]
    )


def test_the_log_of_a_film_that_went_on_is_whole(store: Path, tmp_path: Path) -> None:
    job = tiny(store)
    paths = [deliver.film_path(tmp_path / name, job) for name in ("whole", "stopped")]
    deliver.whole_film(job, paths[0])
    with pytest.raises(Stop):
        deliver.whole_film(job, paths[1], stopping(14))
    deliver.whole_film(job, paths[1])
    tables = []
    for path in paths:
        with path.with_suffix(".frames.csv").open(newline="") as file:
            tables.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 30
    for suffix in (".mp4", ".path.csv", ".mp4.json"):
        assert paths[0].with_suffix(suffix).read_bytes() == paths[1].with_suffix(suffix).read_bytes()
    assert folders_of_segments(paths[1].parent) == []


def test_the_log_of_a_sequence_that_went_on_is_whole(store: Path, tmp_path: Path) -> None:
    job = tiny(store, "output.codec=png")
    path = deliver.film_path(tmp_path, job)
    with pytest.raises(Stop):
        deliver.whole_film(job, path, stopping(14))
    deliver.whole_film(job, path)
    deliver.whole_film(job, path)  # nothing to do: the log stays
    with path.with_name(f"{path.name}.frames.csv").open(newline="") as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == [*range(30)]


def test_what_fails_after_the_film_is_whole_costs_no_frame(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tiny(store)

    def fail(sha256: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        rendering.video(job, tmp_path / "film.mp4", published=fail)
    monkeypatch.setattr(compose.Compositor, "frame", lambda *_, **__: pytest.fail("a frame was made again"))
    sums: list[str] = []
    rendering.video(job, tmp_path / "film.mp4", published=sums.append)
    assert len(sums) == 1 and folders_of_segments(tmp_path) == []


@pytest.mark.parametrize("settings", [["look.palette=viridis"], ["output.crf=30"], ["output.shutter=0.5"]])
def test_another_look_or_quality_begins_again(store: Path, tmp_path: Path, settings: list[str]) -> None:
    with pytest.raises(Stop):
        rendering.video(tiny(store), tmp_path / "film.mp4", stopping(27))
    seen: list[Progress] = []
    rendering.video(tiny(store, *settings), tmp_path / "film.mp4", seen.append)
    assert seen[0].frames_done == 1 and not seen[0].notes
    alone = rendering.video(tiny(store, *settings), tmp_path / "alone.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == alone.read_bytes()


def test_everything_that_decides_pictures_is_part_of_the_key(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provenance = tiny(store).provenance()
    keys = [segment_key.of(provenance, range(30)), segment_key.of(provenance, range(29))]
    keys += [segment_key.of(provenance | {name: "another"}, range(30)) for name in provenance]
    monkeypatch.setattr(segment_key, "code", lambda: "other code")
    keys.append(segment_key.of(provenance, range(30)))
    monkeypatch.undo()
    monkeypatch.setattr(metadata, "version", lambda name: "0")
    keys.append(segment_key.of(provenance, range(30)))
    assert len({*keys}) == len(keys) == 4 + len(provenance)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from render.film import deliver; from render.film import rendering as film; from render import scene
    from render.encode import video

    video._SEGMENT_FRAMES = 1
    job = film.prepare_stored(scene.load("tiny"), "scene", Path(sys.argv[1]))

    def report(now):
        if now.frames_done == 21:  # ten segments of two frames; the last may still be encoded
            os.kill(os.getpid(), signal.SIGKILL)

    deliver.whole_film(job, deliver.film_path(Path(sys.argv[2]), job), report)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_film_that_was_killed_goes_on(store: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(store), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    job = tiny(store)
    path = deliver.film_path(tmp_path / "out", job)
    seen: list[Progress] = []
    deliver.whole_film(job, path, seen.append)
    assert seen[0].frames_done in (19, 21)
    assert path.read_bytes() == rendering.video(job, tmp_path / "whole.mp4").read_bytes()
    assert [left.name for left in path.parent.iterdir() if left.name.startswith(".")] == []


# What belongs to a film, in the order in which it is written once the film has its name: where a kill may come.
AFTER_THE_FILM = {
    "record": "deliver._record",
    "log": "deliver._write_log",
    "poster": "deliver.rendering.stills",
    "thumbnail": "deliver.encode.write_thumbnail",
}
KILLED_LATER = """
    import os, signal, sys
    from pathlib import Path
    from render.film import deliver; from render.film import rendering as film; from render import scene
    from render.encode import video

    video._SEGMENT_FRAMES = 1
    job = film.prepare_stored(scene.load("tiny"), "scene", Path(sys.argv[1]))
    {place} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    deliver.whole_film(job, deliver.film_path(Path(sys.argv[2]), job))
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.parametrize("what", AFTER_THE_FILM)
def test_a_kill_between_a_film_and_what_belongs_to_it_costs_no_frame(
    store: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = textwrap.dedent(KILLED_LATER).replace("{place}", AFTER_THE_FILM[what])
    command = [sys.executable, "-c", code, str(store), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    job = tiny(store)
    path = deliver.film_path(tmp_path / "out", job)
    assert path.exists()
    before = path.read_bytes()
    monkeypatch.setattr(VideoWriter, "write", lambda *_: pytest.fail("a frame was encoded again"))
    written = deliver.whole_film(job, path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    again = deliver.whole_film(job, deliver.film_path(tmp_path / "whole", job))
    for one, other in zip(written, again, strict=True):
        if one.suffix != ".csv":  # the log has the cost of frames in seconds
            assert one.read_bytes() == other.read_bytes()
    assert [left.name for left in path.parent.iterdir() if left.name.startswith(".")] == []


# ---- what goes over frames ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_meter_of_flashes_goes_on_from_its_state(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    frames = [np.full((36, 64, 3), 255 * (i // 2 % 2), np.uint8) for i in range(30)]
    frames += [np.full((36, 64, 3), (255, 0, 0) if i % 4 < 2 else (0, 0, 0), np.uint8) for i in range(30)]
    frames += [drawn.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(10)]
    uninterrupted = Meter(12)
    for frame in frames:
        uninterrupted.add(frame)
    assert uninterrupted.stretches()
    for stop in (0, 1, 11, 12, 13, 40, 70):
        first, second = Meter(12), Meter(12)
        for frame in frames[:stop]:
            first.add(frame)
        second.restore(first.state())
        for frame in frames[stop:]:
            second.add(frame)
        assert second.stretches() == uninterrupted.stretches()
