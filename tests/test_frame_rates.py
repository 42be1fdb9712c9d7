"""Laws of frame rates: exact from the scene to the film, and those of television by their decimals too."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import scene
from render.encode import CODECS, VideoWriter
from render.errors import SceneError
from render.film import deliver, qualities, rendering
from render.film.job import Job
from render.geometry.frame_rates import exact, plain
from render.scene import Output

# The rates of television and film (SMPTE ST 12-1, ITU-R BT.2020), and what they are called.
TELEVISION = {
    23.976: Fraction(24000, 1001),
    23.98: Fraction(24000, 1001),
    29.97: Fraction(30000, 1001),
    47.952: Fraction(48000, 1001),
    59.94: Fraction(60000, 1001),
    119.88: Fraction(120000, 1001),
}


@pytest.mark.parametrize("decimal", TELEVISION)
def test_decimals_of_television_mean_its_ratios_however_they_are_given(decimal: float) -> None:
    ratio = TELEVISION[decimal]
    assert abs(float(ratio) - decimal) < 0.006
    for given_as in (decimal, str(decimal), f"{ratio.numerator}/{ratio.denominator}", float(ratio), ratio):
        assert exact(given_as) == ratio
    assert scene.load("tiny", settings=[f"output.fps={decimal}"]).output.fps == ratio
    named = scene.load("tiny", settings=[f"output.fps={ratio.numerator}/{ratio.denominator}"])
    assert named.output.fps == ratio
    assert f'fps = "{ratio.numerator}/1001"' in scene.resolved(named)


@given(st.integers(1, 240_000), st.integers(1, 1001))
def test_what_files_keep_of_a_rate_means_exactly_that_rate(numerator: int, denominator: int) -> None:
    fps = Fraction(numerator, denominator)
    kept = plain(fps)
    assert exact(json.loads(json.dumps(kept))) == fps
    assert (type(kept) is int) == (fps.denominator == 1)


@pytest.mark.parametrize(("fps", "kept"), [(30, 30), (24.0, 24), (12.5, 12.5), (7.5, 7.5), (29.97, "30000/1001")])
def test_whole_and_decimal_rates_are_kept_as_such(fps: float, kept: object) -> None:
    assert plain(exact(fps)) == kept
    assert Output(fps=fps).fps == exact(fps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fps", "fault"),
    [
        ('"30000/0"', "output.fps must not have the denominator 0"),
        ('"30/1003"', "output.fps must be a ratio whose denominator is at most 1001, not 30/1003"),
        ('"fast"', "output.fps must be a number or a ratio such as \"30000/1001\", not 'fast'"),
        ('"1/1000"', 'output.fps must be >= 0.1, not "1/1000"'),
        ("0.05", "output.fps must be >= 0.1, not 0.05"),
        ("0", "output.fps must be > 0, not 0"),
        ("-30", "output.fps must be > 0, not -30"),
        ('"-30/1"', "output.fps must be a number or a ratio"),
        ("241", "output.fps must be <= 240, not 241"),
        ('"240001/1000"', 'output.fps must be <= 240, not "240001/1000"'),
        ("nan", "output.fps must be finite, not nan"),
        ("inf", "output.fps must be finite, not inf"),
        ('"inf"', "output.fps must be finite, not inf"),
        ("true", "output.fps must be a number or a ratio"),
        ("[30]", "output.fps must be a number or a ratio"),
    ],
)
def test_what_is_no_rate_is_refused_at_its_key(fps: str, fault: str) -> None:
    with pytest.raises(SceneError, match=re.escape(fault)):
        scene.load("tiny", settings=[f"output.fps={fps}"])


@pytest.mark.parametrize("codec", [name for name, row in CODECS.items() if not row.at_once])
@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)])
def test_a_film_shows_every_frame_at_its_exact_time(tmp_path: Path, codec: str, fps: Fraction) -> None:
    path = tmp_path / f"film{CODECS[codec].suffix}"
    with VideoWriter(path, (64, 32), fps, codec=codec) as film:
        for i in range(40):
            film.write(np.full((32, 64, 3), 5 * i, f"uint{film.bits}"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-c", "copy", "-f", "framecrc", "-"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    match = re.search(r"^#tb 0: (\d+/\d+)$", listed, re.MULTILINE)
    assert match
    clock = Fraction(match[1])
    ticks = sorted(int(line.split(",")[2]) for line in listed.splitlines() if line[0] != "#")
    if path.suffix in (".mkv", ".webm"):  # their clock has milliseconds
        assert clock == Fraction(1, 1000)
        assert all(abs(tick * clock - n / fps) <= clock / 2 for n, tick in enumerate(ticks))
    else:
        assert [(tick - ticks[0]) * clock for tick in ticks] == [n / fps for n in range(40)]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    root = tmp_path_factory.mktemp("rates")
    return rendering.prepare(qualities.named(scene.load("tiny", settings=["output.fps=29.97"]), "scene"), root)


def test_record_log_path_and_film_of_a_scene_say_the_exact_rate(job: Job, tmp_path: Path) -> None:
    written = deliver.whole_film(job, deliver.film_path(tmp_path, job))
    record = json.loads(written[1].read_text())
    assert record["fps"] == "30000/1001"
    assert record["frames"] == job.frame_count == 180  # six seconds are 179.82 frames
    assert scene.load(written[0]).output.fps == scene.load(written[1]).output.fps == Fraction(30000, 1001)
    with open(written[2], newline="") as file:
        seconds = [float(row["time_s"]) for row in csv.DictReader(file)]
    exact_s = [n * 1001 / 30000 for n in range(180)]
    assert seconds == pytest.approx(exact_s, rel=5e-6)
    with open(written[0].with_suffix(".path.csv"), newline="") as file:
        assert [row["time_s"] for row in csv.DictReader(file)] == [f"{s:.6f}" for s in exact_s]


@pytest.mark.parametrize("frames", [1, 2, 99, 1000])
@pytest.mark.parametrize("fps", ["24000/1001", "30000/1001", "60000/1001", "25"])
def test_a_film_of_a_given_number_of_frames_has_them_at_every_rate(frames: int, fps: str) -> None:
    loaded = scene.load("tiny", settings=[f"output.frames={frames}", f"output.fps={fps}"])
    path = loaded.path(loaded.output)
    assert path.frame_count(loaded.output.fps) == frames
    assert path.duration_s == pytest.approx(frames / float(exact(fps)))
