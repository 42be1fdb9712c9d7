"""Laws of sizes: ffmpeg takes the frames that a codec's row allows, and others are refused before training."""

from __future__ import annotations

import json
import re
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from render import api, encode, scene
from render.api import preparation
from render.backends import Backend
from render.encode import CODECS, VideoWriter, pictures, read_film_comment, read_png_metadata, refusal
from render.encode.ffmpeg import comment_file
from render.errors import EncodeError, SceneError
from render.scene.values import SIZE_PX

Size = tuple[int, int]


def write(folder: Path, codec: str, size_px: Size, frames: int = 1, fps: float = 30, **options: object) -> Path:
    path = folder / f"film{CODECS[codec].suffix}"
    frame = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    frame[: size_px[1] // 2] = 200
    with VideoWriter(path, size_px, fps, codec=codec, **options) as film:  # type: ignore[arg-type]
        for _ in range(frames):
            film.write(frame * np.uint16(257) if film.bits == 16 else frame)
    return path


def shown_size(path: Path) -> Size:
    """Decode the first picture and return its width and height."""
    if path.suffix in (".webp", ".gif"):
        with Image.open(path) as image:
            image.load()
            return image.size
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "info", "-i", str(path), "-frames:v", "1", "-f", "null", "-"]
    words = subprocess.run(command, stderr=subprocess.PIPE, check=True, text=True).stderr
    match = re.search(r"Video: rawvideo.*? (\d+)x(\d+)|Video: wrapped_avframe.*?, (\d+)x(\d+)", words)
    assert match, words
    width, height = (int(side) for side in match.groups() if side)
    return width, height


def accepted(codec: str) -> list[Size]:
    """Sizes at the edge of what a row takes that cost little: as long as can be, and thin."""
    row = CODECS[codec]
    widest, highest = (side // row.scale for side in row.largest_px)
    thin = min(row.most_thin_px, min(widest, highest))
    return [
        (widest, max(32, -(-widest // row.most_aspect // 2) * 2)),
        (32, highest),
        (min(thin // 2 * 2, 16 * row.most_aspect), 16),
        (16, thin // 2 * 2),
        (16, 16),
        (66, 18),
    ]


@pytest.mark.parametrize(("codec", "size_px"), [(codec, size) for codec in CODECS for size in accepted(codec)])
def test_a_codec_takes_the_sizes_that_its_row_allows(tmp_path: Path, codec: str, size_px: Size) -> None:
    assert refusal(codec, size_px) is None
    width, height = shown_size(write(tmp_path, codec, size_px))
    if codec in ("webp", "gif"):
        assert (width, height) == (
            min(480, size_px[0]),
            max(2, 2 * round(min(480, size_px[0]) * size_px[1] / size_px[0] / 2)),
        )
    else:
        assert (width, height) == (size_px[0] * CODECS[codec].scale, size_px[1] * CODECS[codec].scale)


# Sizes just above an edge that ffmpeg refuses before it encodes anything.
REFUSED = [
    ("upload", (8194, 16)),
    ("upload", (16, 8194)),
    ("hevc", (4224, 16)),
    ("hevc", (30, 4224)),
    ("av1", (16, 8706)),
    ("webp", (16, 16384)),
    ("webp", (16384, 16)),
    ("gif", (16384, 16)),
    ("h264", (16256, 16256)),  # its pixels, as of every codec
]


@pytest.mark.parametrize(("codec", "size_px"), REFUSED)
def test_a_codec_refuses_what_its_row_does_not_allow_and_names_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, size_px: Size
) -> None:
    reason = refusal(codec, size_px)
    assert reason is not None
    assert reason.startswith(f'with codec "{codec}" a frame must be at most ')
    assert f"not {size_px[0]} x {size_px[1]}. Choose a smaller output.size, or output.codec = " in reason
    others = re.findall(r'"(\w+)"', reason.partition("output.codec")[2])
    assert others[-1] == "png" and codec not in others
    with pytest.raises(EncodeError, match=re.escape(reason)):
        VideoWriter(tmp_path / "film", size_px, 30, codec=codec)
    # And the row is not stricter than ffmpeg is: without it, ffmpeg refuses.
    if size_px[0] * size_px[1] > 10**8:
        refused_pixels = subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
             "-s", f"{size_px[0]}x{size_px[1]}", "-i", "-", "-f", "null", "-"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        assert b"Picture size 16256x16256 is invalid" in refused_pixels.stderr
        return
    monkeypatch.setattr("render.encode.video.refusal", lambda *_: None)
    with pytest.raises(EncodeError, match="ffmpeg must take every frame, but stopped"):
        write(tmp_path, codec, size_px)


def test_the_largest_frame_has_as_many_pixels_as_ffmpeg_takes() -> None:
    side = max(side for side in range(16, 16386, 2) if CODECS["h264"].takes((side, side)))
    assert side == 16254  # 16,256 is refused above
    for codec, row in CODECS.items():
        assert row.takes((64, 36)) and row.takes((1920, 1080)) and row.takes((3840, 2160)), codec
        assert row.takes((7680, 4320)), codec
    assert not CODECS["upload"].takes((15360, 8640))  # twice 8K, doubled once more
    assert not CODECS["av1"].takes((15360, 8640))
    assert CODECS["av1"].takes((16384, 5460)) and not CODECS["av1"].takes((16384, 5462))  # as measured


@pytest.mark.parametrize(
    ("size_px", "slices"),
    [((64, 36), 4), ((3840, 2160), 4), ((5120, 2880), 4), ((4460, 4458), 4), ((4462, 4462), 9), ((7680, 4320), 9)],
)
def test_lossless_frames_have_four_slices_and_more_only_where_the_encoder_wants_more(
    size_px: Size, slices: int
) -> None:
    options = CODECS["ffv1"].segment_encoder(size_px).split()
    assert options[options.index("-slices") + 1] == str(slices)
    largest = SIZE_PX[1]
    assert f"-slices {64}" in CODECS["ffv1"].segment_encoder((16254, 16254))
    assert "{" not in CODECS["ffv1"].segment_encoder((largest, largest))


def test_a_lossless_film_of_8k_is_made(tmp_path: Path) -> None:
    assert shown_size(write(tmp_path, "ffv1", (7680, 4320))) == (7680, 4320)


@pytest.mark.parametrize("quality", ["scene", "uhd"])
def test_a_size_that_the_codec_lacks_is_refused_before_anything_is_measured_or_trained(
    tmp_path: Path, quality: str
) -> None:
    def no_backend(_: object) -> Backend:
        raise AssertionError("a backend was started")

    # At uhd's shorter side of 2,160 pixels the frame is 16,200 wide.
    wide = scene.load("tiny", settings=["output.codec=upload", "output.size=[15000, 2000]"])
    for make in (api.video, api.plan):
        with pytest.raises(SceneError, match=r'tiny: with codec "upload" a frame must be at most 8192 x 8192'):
            make(wide, quality=quality, store=tmp_path / "store", make_backend=no_backend)
    assert not any(tmp_path.rglob("*.npz"))
    # Single pictures of it are no film.
    with pytest.raises(AssertionError, match="a backend was started"):
        preparation.prepare(wide, quality, 15, tmp_path / "store", no_backend, api.listener.SILENT)


# ---- stills and short films for messages ----------------------------------------------------------------------------


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("fps", [0.1, 12.5, 24, 25, 30000 / 1001, 30, 50, 60, 240])
def test_a_film_of_one_frame_is_a_picture_at_every_rate(tmp_path: Path, codec: str, fps: float) -> None:
    if codec not in ("webp", "gif") and fps not in (24, 240):
        return  # these have the film's own rate, which others test
    assert shown_size(write(tmp_path, codec, (64, 36), fps=fps))[0] in (64, 128)


@pytest.mark.parametrize("codec", ["webp", "gif"])
def test_a_film_in_which_nothing_moves_is_made(tmp_path: Path, codec: str) -> None:
    assert shown_size(write(tmp_path, codec, (64, 36), frames=100)) == (64, 36)


@pytest.mark.parametrize("codec", ["webp", "gif"])
@pytest.mark.parametrize("fps", [30, 60])
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 30, 61])
def test_a_film_for_messages_lasts_as_long_as_the_film(tmp_path: Path, codec: str, fps: int, frames: int) -> None:
    path = tmp_path / codec
    with VideoWriter(path, (64, 64), fps, codec=codec) as film:
        for i in range(frames):
            film.write(np.full((64, 64, 3), 255 if i == frames - 1 else 4 * i % 200, np.uint8))
    shown_ms = 0.0
    with Image.open(path) as image:
        if codec == "webp" and not image.is_animated:  # type: ignore[attr-defined]
            assert 1000 * frames / fps <= 80  # a single picture has no duration
            return
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            if codec == "gif":
                assert image.info["duration"] == 80  # whole hundredths of a second, which is what a GIF can say
            shown_ms += image.info["duration"]
    # In pictures of 80 ms: all of the film, and less than one more.
    assert 1000 * frames / fps - 1 <= shown_ms < 1000 * frames / fps + 80


def test_a_film_for_messages_says_in_what_it_differs_from_its_frames(tmp_path: Path) -> None:
    remarks: list[str] = []

    class Heard(api.listener.Listener):
        def note(self, text: str) -> None:
            remarks.append(text)

    loaded = scene.load("tiny", settings=["output.codec=gif", "output.frames=2", "output.fps=60"])
    film = api.video(loaded, quality="scene", store=tmp_path / "store", out=tmp_path, listener=Heard())
    assert remarks == [
        'With codec "gif" the film is at most 480 pixels wide, with 12.5 frames a second (a GIF counts hundredths of a '
        "second)."
    ]
    record = json.loads(film.files[1].read_text())
    assert record["encoded"].startswith("at most 480 pixels wide, with 12.5 frames a second")


# ---- metadata -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [name for name, row in CODECS.items() if not row.at_once])
def test_a_film_carries_a_scene_of_two_hundred_keyframes_of_many_digits(tmp_path: Path, codec: str) -> None:
    """150 kB are more than one argument of a command may have on Linux (128 kB), and than 16 bits count (64 kB)."""
    digits = "0." + "123456789" * 42
    metadata = {"scene": f'centre = ["{digits}", "{digits}"] # ; \\ =\n' * 200, "name": "Łódź"}
    path = write(tmp_path, codec, (64, 36), metadata=metadata)
    assert json.loads(read_film_comment(path)) == metadata
    assert shown_size(path)[0] in (64, 128)


def test_a_scene_of_two_hundred_keyframes_is_filmed_and_read_back_from_its_film(tmp_path: Path) -> None:
    head, _, tail = (Path(scene.find("tiny")).read_text()).partition("[[camera.keyframes]]")
    rest = tail[tail.index("[output]") :] if "[output]" in tail else ""
    fraction = "5" + "0" * 376 + "1"
    keyframes = "\n".join(
        f'[[camera.keyframes]]\ncentre_log10 = ["0.{fraction}", "0.{fraction}"]\nwidth_decades = {1 - i / 1000}\n'
        for i in range(200)
    )
    file = tmp_path / "many.toml"
    file.write_text(f"{head}{keyframes}\n{rest}")
    loaded = scene.load(file, settings=["output.frames=2", "output.codec=h264"])
    assert len(scene.resolved(loaded)) > 150_000
    path = tmp_path / "many.mp4"
    with VideoWriter(path, (64, 36), 30, metadata={"scene": scene.resolved(loaded)}) as film:
        film.write(np.zeros((36, 64, 3), np.uint8))
    assert json.loads(read_film_comment(path))["scene"] == scene.resolved(loaded)


def test_a_comment_in_a_file_is_escaped_as_ffmpeg_reads_it() -> None:
    assert comment_file("a=b;c#d\\e\nf") == b";FFMETADATA1\ncomment=a\\=b\\;c\\#d\\\\e\\\nf\n"


# ---- large pictures -------------------------------------------------------------------------------------------------


def test_a_picture_above_the_limit_of_pillow_is_read_and_shown_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered instead of writing 179 million pixels; the law is that it does not count here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = tmp_path / "large.png"
    encode.write_png(path, np.full((200, 300, 3), 90, np.uint8), {"scene": "x"})
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert read_png_metadata(path) == {"scene": "x"}
    encode.write_thumbnail(tmp_path / "small.jpg", path, 30)
    monkeypatch.undo()
    with Image.open(tmp_path / "small.jpg") as small:
        assert small.size == (30, 20)


def test_the_largest_frame_is_read_and_more_is_refused_without_its_memory(tmp_path: Path) -> None:
    assert pictures._MOST_PIXELS == SIZE_PX[1] ** 2 > 2 * (Image.MAX_IMAGE_PIXELS or 0) > 0
    bomb = tmp_path / "bomb.png"
    encode.write_png(bomb, np.zeros((16, 16, 3), np.uint8), {})
    data = bytearray(bomb.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    bomb.write_bytes(bytes(data))
    tracemalloc.start()
    with pytest.raises(EncodeError, match=r"60000 x 60000 pixels, and must have at most 268,435,456"):
        read_png_metadata(bomb)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
