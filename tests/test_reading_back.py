"""Every kind of film, and stills, are read back by imageio, as other programs would read them."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from render import encode
from render.encode.codecs import CODECS
from render.errors import EncodeError
from render.film import deliver

SHADES = range(0, 240, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("read")


def film(folder: Path, codec: str) -> Path:
    """A film whose frames are of one grey each."""
    row, path = CODECS[codec], folder / f"{codec}{CODECS[codec].suffix}"
    deep = row.bits == 16
    with encode.VideoWriter(path, (64, 36), 12.5, codec=codec) as writer:
        for shade in SHADES:
            writer.write(np.full((36, 64, 3), shade * (257 if deep else 1), np.uint16 if deep else np.uint8))
    return path


@pytest.mark.parametrize("codec", CODECS)
def test_a_film_is_read_back_frame_by_frame(folder: Path, codec: str) -> None:
    frames = encode.read_film(film(folder, codec))
    assert len(frames) == len(SHADES)
    row = CODECS[codec]
    for frame, shade in zip(frames, SHADES, strict=True):
        assert frame.dtype == np.uint8
        assert frame.shape == (36 * row.scale, 64 * row.scale, 3)
        most = {"ffv1": 0, "gif": 8}.get(codec, 4)  # a GIF mixes two of its colours
        assert np.abs(frame.astype(int) - shade).max() <= most


@pytest.mark.parametrize("content", [b"", b"no film", None])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".gif", ".webp"])
def test_what_is_no_film_is_refused_with_its_name(folder: Path, suffix: str, content: bytes | None) -> None:
    path = folder / f"broken{suffix}"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EncodeError, match=rf"broken\{suffix} must be a readable film"):
        encode.read_film(path)


def test_stills_and_thumbnails_are_read_back(folder: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)
    encode.write_png(folder / "still.png", drawn, {"scene": "a"})
    np.testing.assert_array_equal(iio.imread(folder / "still.png"), drawn)
    assert iio.immeta(folder / "still.png")["scene"] == "a"
    encode.write_png(folder / "deep.png", drawn.astype(np.uint16) * 257, {"scene": "a"})
    np.testing.assert_array_equal(iio.imread(folder / "deep.png"), drawn)  # to eight bits, as imageio reads it
    even = np.repeat(np.repeat(drawn[:9, :16], 40, axis=0), 40, axis=1)
    encode.write_png(folder / "large.png", even, {})
    encode.write_thumbnail(folder / "small.jpg", folder / "large.png", 160)
    small = iio.imread(folder / "small.jpg")
    assert small.shape == (90, 160, 3)
    assert np.abs(small[5::10, 5::10].astype(int) - drawn[:9, :16]).mean() < 12


def test_records_name_what_writes_pictures_and_films() -> None:
    assert {"imageio", "imageio-ffmpeg", "pillow"} <= deliver.made_with().keys()
