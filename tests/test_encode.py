"""Laws of encoded files: complete or absent, in the right colours, and with the same bytes for the same frames."""

from __future__ import annotations

import json
import os
import re
import stat
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from render import encode
from render.encode import (
    CODECS,
    SEQUENCE,
    Codec,
    CodecName,
    VideoWriter,
    missing_encoders,
    read_film_comment,
    read_png_metadata,
    write_png,
)
from render.errors import EncodeError, WriteError

SIZE = (256, 128)
COLOURS = np.random.default_rng(3).integers(0, 256, (4, 8, 3), dtype=np.uint8)
COLOURS[0] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [9, 9, 9], [99, 0, 99]]
# Flat squares of 32 pixels.
PATCHES = COLOURS.repeat(32, axis=0).repeat(32, axis=1)


# Films of whole frames as YCbCr in the two containers that share their atoms.
ATOMS = [name for name, codec in CODECS.items() if codec.suffix in (".mp4", ".mov")]


def deep(frame: np.ndarray, bits: int) -> np.ndarray:
    """Return an 8-bit frame as one of so many bits."""
    return frame * np.uint16(257) if bits == 16 else frame


def write_film(path: Path, frames: int = 12, fps: float = 24, **options: object) -> Path:
    with VideoWriter(path, SIZE, fps, **options) as film:  # type: ignore[arg-type]
        for i in range(frames):
            film.write(deep(np.roll(PATCHES, 32 * (i // 6), axis=1), film.bits))
    return path


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a film in pixels."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    words = subprocess.run(command, stderr=subprocess.PIPE, check=False).stderr.decode()
    match = re.search(r"Video: .*?, (\d+)x(\d+)", words)
    assert match, words
    return int(match[1]), int(match[2])


def decode(path: Path) -> np.ndarray:
    """Decode as a player of BT.709 does, whatever the tags say. -> uint8 [frames, height, width, 3]"""
    scale = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int"
    if path.suffix == ".mkv":  # RGB
        scale = "null"
    width, height = size_of(path)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vf", scale]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    frames = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
    if width == SIZE[0]:
        return frames
    blocks = frames.reshape(-1, SIZE[1], height // SIZE[1], SIZE[0], width // SIZE[0], 3)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)


def atoms(data: bytes) -> Iterator[tuple[str, bytes]]:
    while data:
        size = int.from_bytes(data[:4], "big")
        yield data[4:8].decode(), data[8:size]
        data = data[size:]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


METADATA = {"scene": "Łódź; a = 1\nb = 'x\\'", "version": "1"}


@pytest.fixture(scope="module", params=ATOMS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / f"film{CODECS[request.param].suffix}"
    return write_film(path, codec=request.param, metadata=METADATA)


def test_every_codec_has_a_name_that_a_scene_may_use() -> None:
    assert set(get_args(CodecName)) == {*CODECS, SEQUENCE}


def test_the_index_of_a_film_comes_before_its_pictures(film: Path) -> None:
    names = [name for name, _ in atoms(film.read_bytes())]
    assert names[0] == "ftyp"
    assert names.index("moov") < names.index("mdat")


def test_a_film_says_bt709_matrix_and_primaries_srgb_curve_and_limited_range(film: Path) -> None:
    data = film.read_bytes()
    at = data.index(b"colr") + 4
    assert data[at : at + 4] == (b"nclx" if film.suffix == ".mp4" else b"nclc")  # QuickTime's own has no range
    primaries, transfer, matrix = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (4, 6, 8))
    # ffmpeg 4.2 writes 2, "unknown", for the sRGB curve here and 13 in the stream.
    assert (primaries, matrix) == (1, 1) and transfer in (13, 2)
    assert film.suffix == ".mov" or data[at + 10] >> 7 == 0, "full range"


def test_flat_colours_come_back_within_three_of_255(film: Path) -> None:
    shown = decode(film)
    inside = np.s_[8:24, 8:24]
    for i, frame in enumerate(shown):
        written = np.roll(PATCHES, 32 * (i // 6), axis=1)
        blocks = [a.reshape(4, 32, 8, 32, 3).swapaxes(1, 2)[:, :, *inside].astype(int) for a in (frame, written)]
        assert np.abs(blocks[0] - blocks[1]).max() <= 3


@pytest.mark.parametrize("frames", [1, 2, 3, 25])
def test_a_film_keeps_every_frame(tmp_path: Path, frames: int) -> None:
    path = write_film(tmp_path / "film.mp4", frames)
    assert len(decode(path)) == frames
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == frames


def test_the_frame_rate_of_ntsc_is_exact(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 30, fps=30000 / 1001)
    timescale, duration = 30000, 30 * 1001
    media_header = path.read_bytes().partition(b"mdhd")[2]
    assert int.from_bytes(media_header[12:16], "big") % timescale == 0
    assert int.from_bytes(media_header[16:20], "big") * timescale == duration * int.from_bytes(
        media_header[12:16], "big"
    )


def test_the_comment_of_a_film_holds_its_metadata_as_json(film: Path) -> None:
    dump = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(film), "-f", "ffmetadata", "-"]
    text = subprocess.run(dump, stdout=subprocess.PIPE, check=True).stdout.decode()
    comment = next(line for line in text.splitlines() if line.startswith("comment="))
    kept = json.loads(comment.removeprefix("comment=").replace("\\=", "=").replace("\\;", ";").replace("\\\\", "\\"))
    assert kept == METADATA
    assert json.loads(read_film_comment(film)) == METADATA


def test_a_lossless_film_gives_back_every_pixel_and_its_metadata(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (3, SIZE[1], SIZE[0], 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "film.mkv", SIZE, 24, codec="ffv1", metadata=METADATA) as film:
        for frame in noise:
            film.write(frame)
    assert np.array_equal(decode(tmp_path / "film.mkv"), noise)
    assert json.loads(read_film_comment(tmp_path / "film.mkv")) == METADATA


def test_an_upload_is_twice_the_size_and_keeps_the_colour_of_single_pixels(tmp_path: Path) -> None:
    """Every pixel of another colour: in plain 4:2:0 they run together."""
    noise = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    error = {}
    for codec in ("h264", "upload"):
        path = tmp_path / f"{codec}.mp4"
        with VideoWriter(path, SIZE, 24, codec=codec, crf=1) as film:
            film.write(noise)
        error[codec] = np.square(decode(path)[0].astype(float) - noise).mean()
    assert size_of(tmp_path / "upload.mp4") == (512, 256)
    assert 8 * error["upload"] < error["h264"]  # 9 dB


@pytest.mark.parametrize("codec", ["webp", "gif"])
def test_a_film_for_messages_is_small_and_moves(tmp_path: Path, codec: str) -> None:
    with VideoWriter(tmp_path / codec, (640, 320), 25, codec=codec) as film:
        for i in range(50):
            film.write(np.full((320, 640, 3), 5 * i, np.uint8))
    with Image.open(tmp_path / codec) as image:
        assert image.size == (480, 240)
        assert image.n_frames == 25  # type: ignore[attr-defined]  # of two seconds
        assert image.info["loop"] == 0
        first = np.asarray(image.convert("RGB"))
        image.seek(24)
        assert np.asarray(image.convert("RGB")).mean() > first.mean() + 200


def test_an_encoder_that_this_ffmpeg_lacks_is_named_with_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODECS, "vp12", Codec("yuv420p", "-c:v libvpx-vp12"))
    with pytest.raises(EncodeError, match=r'codec "vp12" needs the encoder libvpx-vp12, .* one of h264, .*, png, or'):
        write_film(tmp_path / "film.mp4", codec="vp12")
    assert missing_encoders() == ["vp12"]
    assert files(tmp_path) == []


@pytest.mark.parametrize("codec", list(CODECS))
def test_two_runs_give_the_same_bytes(tmp_path: Path, codec: str) -> None:
    runs = [write_film(tmp_path / name, codec=codec, metadata={"a": "b"}).read_bytes() for name in ("1.mp4", "2.mp4")]
    assert runs[0] == runs[1]


def test_a_film_names_neither_a_time_nor_a_machine(film: Path) -> None:
    data = film.read_bytes()
    assert b"Lavf" not in data, "the version of ffmpeg"
    assert b"cpuid" not in data, "the processor that x265 found"
    assert data.partition(b"mvhd")[2][4:12] == bytes(8), "times of creation and change"


def test_a_film_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "film.mp4"
    write_film(path, 2)
    write_film(path, 5)
    assert len(decode(path)) == 5
    assert files(path.parent) == ["film.mp4"]


def test_a_name_with_blanks_percents_and_a_leading_hyphen_is_only_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_film(Path("-a %d: b.mp4"), 2)
    assert files(tmp_path) == ["-a %d: b.mp4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": (257, 128)}, "width and height must be even and at least 16, not 257x128."),
        ({"size_px": (256, 8)}, "width and height must be even and at least 16, not 256x8."),
        ({"fps": 0}, "fps must be from 0.1 to 1000, not 0."),
        ({"fps": float("nan")}, "fps must be from 0.1 to 1000, not nan."),
        ({"codec": "divx"}, f"codec must be one of {', '.join(CODECS)}, not 'divx'."),
        ({"crf": 0}, "crf must be from 1 to 51 for h264, not 0."),
        ({"codec": "av1", "crf": 64}, "crf must be from 1 to 63 for av1, not 64."),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    path = tmp_path / "film.mp4"
    with pytest.raises(EncodeError) as caught:
        VideoWriter(**({"path": path, "size_px": SIZE, "fps": 24} | options))  # type: ignore[arg-type]
    assert str(caught.value) == f"{path}: {message}"
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("frame", "given_as"),
    [
        (PATCHES.astype(np.float64), "float64 [128, 256, 3]"),
        (PATCHES[..., 0], "uint8 [128, 256]"),
        (PATCHES[1:], "uint8 [127, 256, 3]"),
        (PATCHES.swapaxes(0, 1), "uint8 [256, 128, 3]"),
    ],
)
def test_a_frame_of_another_shape_or_type_is_refused_and_leaves_no_film(
    tmp_path: Path, frame: np.ndarray, given_as: str
) -> None:
    path = tmp_path / "film.mp4"
    with pytest.raises(EncodeError) as caught, VideoWriter(path, SIZE, 24) as film:
        film.write(PATCHES)
        film.write(frame)
    assert str(caught.value) == f"{path}: a frame must be uint8 [128, 256, 3], not {given_as}."
    assert files(tmp_path) == []


@pytest.mark.parametrize("frame", [PATCHES[::-1, ::-1], np.asfortranarray(PATCHES), np.dstack([PATCHES] * 2)[..., 1:4]])
def test_the_memory_layout_of_a_frame_does_not_matter(tmp_path: Path, frame: np.ndarray) -> None:
    with VideoWriter(tmp_path / "film.mp4", SIZE, 24) as film:
        film.write(frame)
    shown = decode(tmp_path / "film.mp4")[0].astype(int)
    assert np.abs(shown[8:24, 8:24] - frame[8:24, 8:24]).max() <= 3


def test_an_exception_inside_the_block_leaves_no_film_and_ends_ffmpeg(tmp_path: Path) -> None:
    for error in (RuntimeError("mine"), KeyboardInterrupt()):
        writer = VideoWriter(tmp_path / "film.mp4", SIZE, 24)
        with pytest.raises(type(error)), writer:
            writer.write(PATCHES)
            encoder = writer._encoder
            raise error
        assert encoder is not None and encoder._process.returncode is not None
        assert files(tmp_path) == []


def test_an_exception_leaves_the_older_film_as_it_was(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), VideoWriter(path, SIZE, 24) as film:
        film.write(PATCHES)
        raise RuntimeError
    assert path.read_bytes() == before


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="a film must have at least one frame, but none was written"):
        write_film(tmp_path / "film.mp4", 0)
    assert files(tmp_path) == []


def test_a_bad_encoder_option_raises_with_the_words_of_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "bad", Codec("yuv420p", "-c:v libx264 -preset nonsense"))
    with pytest.raises(EncodeError, match=r"film\.mp4: ffmpeg must take every frame, but stopped .*nonsense"):
        write_film(tmp_path / "film.mp4", 300, codec="bad")
    assert files(tmp_path) == []


def fake_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "ffmpeg"
    asked = "if '-version' in sys.argv: sys.exit(print('ffmpeg version 9'))"
    program.write_text(f"#!{sys.executable}\nimport sys\n{asked}\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for ffmpeg is a script")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "sys.stdin.buffer.read(150_000); sys.exit('the disk\\nis full')",
            r"exit code 1 and said: the disk \| is full",
        ),
        ("sys.stdin.buffer.read(); sys.exit(3)", r"stopped after 12 with exit code 3 and said: nothing"),
        ("sys.stdin.buffer.read()", r"ffmpeg must keep all 12 frames, but kept 0"),
        ("sys.stderr.write('x' * 10**6); sys.stdin.buffer.read(); sys.exit(1)", r"with exit code 1 and said: x+ "),
    ],
)
def test_a_dying_ffmpeg_is_reported_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    fake_ffmpeg(tmp_path, monkeypatch, script)
    with pytest.raises(EncodeError, match=message):
        write_film(tmp_path / "out" / "film.mp4")
    assert files(tmp_path / "out") == []


def test_without_ffmpeg_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(EncodeError, match=r"could not be started from .*none \(No such file or directory\)\. Install"):
        write_film(tmp_path / "film.mp4")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(EncodeError, match=r"No ffmpeg binary was found\. Install imageio-ffmpeg"):
        write_film(tmp_path / "film.mp4")
    assert files(tmp_path) == []


def unwritable_paths(folder: Path) -> Iterator[tuple[Path, str]]:
    (folder / "file").touch()
    (folder / "folder").mkdir()
    yield folder / "file" / "film", "Not a directory|is not a folder"
    yield folder / "folder", "Is a directory"
    yield folder / ("n" * 300), "File name too long"
    if os.name == "posix" and os.geteuid() != 0:  # root may write anywhere
        (folder / "folder").chmod(0o500)
        yield folder / "folder" / "film", "Permission denied"


def test_an_unwritable_path_is_refused_with_the_reason(tmp_path: Path) -> None:
    for path, reason in unwritable_paths(tmp_path):
        message = f"cannot be written: .*({reason}).*[Cc]hoose another path"
        with pytest.raises(WriteError, match=message):
            write_film(path)
        with pytest.raises(WriteError, match=message):
            write_png(path, PATCHES, {})
    assert files(tmp_path) == ["file", "folder"]


def test_writing_outside_the_block_is_a_bug_not_a_film(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside the with-block"):
        VideoWriter(tmp_path / "film.mp4", SIZE, 24).write(PATCHES)


names = st.text(string.ascii_letters + string.digits + "_ .-", min_size=1, max_size=79).filter(lambda s: s == s.strip())
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(deadline=None)
@given(st.dictionaries(names, texts, max_size=4))
def test_a_png_gives_back_its_metadata_and_pixels(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.png"
    write_png(path, PATCHES, metadata)
    assert read_png_metadata(path) == metadata
    assert np.array_equal(iio.imread(path), PATCHES)


def test_a_deep_png_gives_back_sixteen_bits_a_channel_and_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    frame = np.random.default_rng(2).integers(0, 65536, (33, 51, 3), dtype=np.uint16)
    write_png(path, frame, METADATA)
    assert read_png_metadata(path) == METADATA
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb48le",
        "-",
    ]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert np.array_equal(np.frombuffer(data, "<u2").reshape(frame.shape), frame)


def test_a_png_has_the_same_bytes_whatever_the_order_of_its_metadata(tmp_path: Path) -> None:
    write_png(tmp_path / "1.png", PATCHES, {"a": "1", "b": "α"})
    write_png(tmp_path / "2.png", PATCHES, {"b": "α", "a": "1"})
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    assert files(tmp_path) == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("frame", "metadata", "message"),
    [
        (PATCHES, {"": "x"}, "a metadata name must be 1 to 79 printable ASCII characters, not ''"),
        (PATCHES, {"ł": "x"}, "a metadata name must be 1 to 79 printable ASCII characters, not 'ł'"),
        (PATCHES, {"scene": "a\0b"}, "metadata 'scene' must not hold the character NUL"),
        (PATCHES / 255, {}, r"a frame must be uint8 \[height, width, 3\], not float64 \[128, 256, 3\]"),
    ],
)
def test_a_png_that_cannot_be_written_leaves_no_file(
    tmp_path: Path, frame: np.ndarray, metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(EncodeError, match=message):
        write_png(tmp_path / "frame.png", frame, metadata)
    assert files(tmp_path) == []


@pytest.mark.parametrize("deep", [False, True])
def test_a_full_disk_is_reported_and_leaves_no_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool) -> None:
    def write_bytes(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(WriteError, match=r"No space left on device\. Free some space, or choose another path"):
        write_png(tmp_path / "frame.png", PATCHES.astype(np.uint16) if deep else PATCHES, {})
    assert files(tmp_path) == []


def test_what_is_not_a_png_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no")
    for name in ("no.png", "absent.png"):
        with pytest.raises(EncodeError, match=rf"{name} must be a readable PNG"):
            read_png_metadata(tmp_path / name)


def test_importing_the_module_loads_neither_pillow_nor_ffmpeg() -> None:
    check = "import sys, render.encode, render.picture.overlay; assert not {'PIL', 'imageio_ffmpeg'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", check], cwd=Path(encode.__file__).parents[1], check=True)
