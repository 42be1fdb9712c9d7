"""Films with sound: as long as their pictures, with the same bytes whenever they are made."""

from __future__ import annotations

import itertools
import re
import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import encode, scene
from render.encode import CODECS
from render.encode.ffmpeg import frame_times, stream_end_s
from render.encode.sound import Sound, length_s, takes_sound
from render.errors import SceneError
from render.film import deliver, frame_log, qualities, rendering, soundtrack
from render.film.frame_log import FrameFacts
from render.film.job import Job
from render.geometry import camera

RATE = 44_100
WITH_SOUND = [name for name in CODECS if takes_sound(name)]


def tone(path: Path, seconds: float, hertz: float = 440.0) -> Path:
    """Write a tone as WAV."""
    samples = (0.5 * 32767 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def film(path: Path, codec: str, sound: Sound | None, frames: int = 60, fps: float = 30) -> Path:
    with encode.VideoWriter(path, (64, 36), fps, codec=codec, sound=sound) as writer:
        for number in range(frames):
            frame = np.full((36, 64, 3), 4 * number % 256, np.uint8)
            writer.write(frame if writer.bits == 8 else frame * np.uint16(257))
    return path


def heard(path: Path) -> np.ndarray:
    """Return a film's sound as it is decoded: float [samples], mono at RATE."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a", "-ac", "1", "-ar", str(RATE),
         "-f", "s16le", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    return np.frombuffer(done.stdout, "<i2") / 32767


def loudness(samples: np.ndarray, first_s: float, last_s: float) -> float:
    return float(np.sqrt(np.mean(samples[round(first_s * RATE) : round(last_s * RATE)] ** 2)))


@pytest.mark.parametrize("codec", WITH_SOUND)
@pytest.mark.parametrize("seconds", [0.8, 5.0])
def test_a_film_s_sound_is_as_long_as_its_pictures(tmp_path: Path, codec: str, seconds: float) -> None:
    music = tone(tmp_path / "music.wav", seconds)
    path = film(tmp_path / f"film{CODECS[codec].suffix}", codec, Sound(music, fade_s=0.5))
    assert stream_end_s(path, "0:a:0") == pytest.approx(2.0, abs=0.15)
    _, times = frame_times(path)
    assert len(times) == 60 and times[0] == 0, "sound moves no picture"
    samples = heard(path)
    assert samples.size / RATE == pytest.approx(2.0, abs=0.15)
    assert loudness(samples, 0.2, 0.6) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    if seconds < 2:
        assert loudness(samples, 1.0, 1.9) < 0.01
    else:
        assert loudness(samples, 1.0, 1.4) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
        assert loudness(samples, 1.9, 1.98) < 0.1
    words = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True, check=False
    ).stderr
    assert re.search(r"Duration: 00:00:0(2\.[01]|1\.9)", words), words
    assert words.count("Stream #") == 2


@pytest.mark.parametrize("codec", WITH_SOUND)
def test_sound_changes_no_byte_of_the_pictures_and_has_the_same_bytes_again(tmp_path: Path, codec: str) -> None:
    music = tone(tmp_path / "music.wav", 3.0)
    suffix = CODECS[codec].suffix
    silent = film(tmp_path / f"silent{suffix}", codec, None)
    one, two = (film(tmp_path / f"{name}{suffix}", codec, Sound(music, fade_s=1.0)) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()

    def pictures(path: Path) -> list[str]:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v", "-c", "copy"]
        done = subprocess.run([*command, "-f", "framecrc", "-"], capture_output=True, text=True, check=True)
        return [line.split(",")[-1] for line in done.stdout.splitlines() if line[0] != "#"]

    assert pictures(one) == pictures(silent)


def test_a_part_of_a_film_has_its_part_of_the_sound(tmp_path: Path) -> None:
    with wave.open(str(tone(tmp_path / "low.wav", 2.0, 200.0)), "rb") as low:
        content = low.readframes(low.getnframes())
    tone(tmp_path / "music.wav", 2.0, 3000.0)
    with wave.open(str(tmp_path / "music.wav"), "rb") as high:
        content += high.readframes(high.getnframes())
    with wave.open(str(tmp_path / "both.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(content)
    samples = heard(film(tmp_path / "film.mp4", "h264", Sound(tmp_path / "both.wav", start_s=2.0), frames=30))
    spectrum = np.abs(np.fft.rfft(samples[: RATE // 2]))
    assert np.argmax(spectrum) * 2 == pytest.approx(3000, abs=50)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound") / "store"


def job(store: Path, *settings: str) -> Job:
    return rendering.prepare(qualities.named(scene.load("tiny", settings=list(settings)), "scene"), store)


def test_a_film_that_was_stopped_has_the_bytes_of_one_that_was_not(store: Path, tmp_path: Path) -> None:
    music = tone(tmp_path / "music.wav", 1.5)
    sounding = job(store, f'output.audio="{music}"', "output.fps=10", "output.frames=150")
    path = deliver.film_path(tmp_path / "one", sounding)
    rendering.video(sounding, path)
    assert stream_end_s(path, "0:a:0") == pytest.approx(15.0, abs=0.15)

    class Enough(Exception):
        pass

    def stop(row: object) -> None:
        if getattr(row, "frame", 0) == 120:
            raise Enough

    other = deliver.film_path(tmp_path / "two", sounding)
    with pytest.raises(Enough):
        rendering.video(sounding, other, log=stop)
    assert not other.exists()
    rendering.video(sounding, other)
    assert other.read_bytes() == path.read_bytes()


def test_provenance_names_the_sound_and_a_remark_says_what_fits(store: Path, tmp_path: Path) -> None:
    music = tone(tmp_path / "music.wav", 8.0)
    sounding = job(store, f'output.audio="{music}"')
    assert sounding.provenance()["audio"].startswith("music.wav ")
    assert "audio" not in sounding.provenance(3), "a picture has no sound"
    remark = soundtrack.remark(sounding.scene, sounding.frame_count)
    assert remark is not None and "lasts 8.0 s, the film 6.0 s: it is cut" in remark and "output.frames = 40" in remark
    fitted = job(store, f'output.audio="{music}"', "output.frames=40")
    assert soundtrack.remark(fitted.scene, fitted.frame_count) is None
    mute = job(store, f'output.audio="{music}"', 'output.codec="gif"')
    assert "has no sound" in (soundtrack.remark(mute.scene, mute.frame_count) or "")
    assert soundtrack.of(mute.scene, range(30)) is None
    assert soundtrack.of(sounding.scene, [0, 5, 9]) is None
    part = soundtrack.of(sounding.scene, range(10, 20))
    assert part is not None and part.start_s == pytest.approx(2.0)


def test_sound_that_cannot_be_played_is_refused_before_any_training(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    refused = {"none.wav": "is not there, or cannot be read", "text.wav": "has no sound that", "": "is no plain file"}
    for name, message in refused.items():
        audio = tmp_path / name
        with pytest.raises(SceneError, match=message):
            rendering.check_film(scene.load("tiny", settings=[f'output.audio="{audio}"']))
    assert length_s(tmp_path / "text.wav") == 0
    assert length_s(tone(tmp_path / "music.wav", 1.5)) == pytest.approx(1.5, abs=0.01)


def test_the_log_has_the_brightness_of_every_frame(store: Path) -> None:
    assert frame_log.mean_luminance(np.full((80, 90, 3), 255, np.uint8)) == pytest.approx(1.0)
    assert frame_log.mean_luminance(np.zeros((80, 90, 3), np.uint16)) == 0
    grey = np.full((80, 90, 3), 188, np.uint8)  # half of the light: sRGB's 187.5
    assert frame_log.mean_luminance(grey) == pytest.approx(0.5, abs=0.01)
    rows: list[FrameFacts] = []
    filmed = job(store)
    pictures = [picture for _, picture in rendering.frames(filmed, range(30), log=rows.append)]
    assert [row.mean_luminance for row in rows] == [frame_log.mean_luminance(picture) for picture in pictures]
    assert len({row.mean_luminance for row in rows}) > 5
    assert frame_log.read(frame_log.table(rows))[7].mean_luminance == pytest.approx(rows[7].mean_luminance, rel=1e-5)


# ---- beats -----------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0.001, 60), st.one_of(st.just(0.0), st.floats(0.001, 20))), min_size=1, max_size=12),
    st.floats(10, 1000),
)
def test_keyframes_stand_on_beats_and_stay_in_their_order(legs: list[tuple[float, float]], bpm: float) -> None:
    times, now = [], 0.0
    for i, (leg, hold) in enumerate(legs):
        now += leg if i else 0.0
        times.append(now)
        now += hold
    holds = [hold for _, hold in legs]
    arrivals, rests = camera.on_beats(times, holds, bpm)
    beats = [time_s * bpm / 60 for time_s in (*arrivals, *rests)]
    assert beats == pytest.approx([round(beat) for beat in beats], abs=1e-6)
    assert arrivals[0] == 0
    for i, (rest, hold) in enumerate(zip(rests, holds, strict=True)):
        assert (rest == 0) == (hold == 0)
        if i:
            assert arrivals[i] >= arrivals[i - 1] + rests[i - 1] + 60 / bpm * 0.999
    if all(later - earlier >= 180 / bpm for earlier, later in itertools.pairwise(times)) and not any(holds):
        assert np.abs(np.subtract(arrivals, times)).max() <= 30.001 / bpm, "the nearest beat, where there is room"


def test_a_scene_on_beats_arrives_on_them_and_refuses_to_be_stretched() -> None:
    plain = scene.load("tiny")
    timed = scene.load("tiny", settings=["camera.bpm=90"])
    assert [key.time_s for key in timed.keyframes] != [key.time_s for key in plain.keyframes]
    for key in timed.keyframes:
        for moment in (key.time_s, key.time_s + key.hold_s):
            assert moment * 90 / 60 == pytest.approx(round(moment * 90 / 60), abs=1e-9)
    with pytest.raises(SceneError, match="leave one of them out"):
        scene.load("tiny", settings=["camera.bpm=90", "output.frames=100"])
    with pytest.raises(SceneError, match="camera.bpm must be"):
        scene.load("tiny", settings=["camera.bpm=0"])
