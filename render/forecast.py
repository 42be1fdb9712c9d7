"""How long a film takes on this machine: its training, and its pictures and their encoding, each measured."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render import encode, fields, film
from render.compose import Compositor
from render.estimate import Rate
from render.fields import Field, Status
from render.film import Job
from render.picture import loops
from render.tiles import SAMPLES

# Where on a path pictures are measured, and how many there at most: a person waits for it. At hd a frame takes ffmpeg
# some 0.2 s of processor time.
_PLACES = (0.3, 0.8)
_FRAMES_AT_A_PLACE = 4
_MEASURE_S = 1.0

# Small pictures are encoded several times over, up to so many pixels, or ffmpeg's start would be most of what is timed.
_PIXELS, _MOST_TIMES = 20_000_000, 8

# Processor seconds of a frame that no H.264 film took: at 1080p it is 0.3 s, a preview's 0.014 s (Zen 3). Where that is
# less than this share of the training, nobody needs to wait for a measurement before the first tile.
_MOST_S, _MOST_PIXEL_S, _SMALL = 0.02, 5e-7, 0.05

# Different tiles of noise. A frame at hd shows thousands: to draw each anew would take longer than the frame.
_TILES = 61


@dataclass(frozen=True)
class Pictures:
    """What a frame costs to compose and to encode. wall_s: on an idle machine; cpu_s: on all its cores together.

    start_s: what a film costs besides, whatever its length: ffmpeg's start and end.
    """

    wall_s: float
    cpu_s: float
    start_s: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """Seconds of a film: of training alone, of pictures alone, and of both together."""

    training_s: float
    pictures_s: float
    total_s: float


def forecast(samples: int, rate: Rate, frames: int, pictures: Pictures) -> Forecast:
    """Return what training runs and frames take together.

    Pictures are made while samples train, on the same cores, so what they take of those is added to the training;
    and no film is done sooner than its pictures take by themselves.
    """
    training_s, alone_s = rate.time_s(samples), frames * pictures.wall_s + pictures.start_s
    together_s = training_s + frames * pictures.cpu_s / (os.cpu_count() or 1) + pictures.start_s
    return Forecast(training_s, alone_s, max(together_s, alone_s))


def bound(job: Job) -> Pictures:
    """Return more than pictures cost on any machine of today: enough where training is nearly all of the time."""
    output = job.scene.output
    cpu_s = _MOST_S + _MOST_PIXEL_S * output.width_px * output.height_px
    return Pictures(cpu_s / (os.cpu_count() or 1), cpu_s)


def is_small(pictures: Pictures, frames: int, training_s: float) -> bool:
    """Say whether pictures are so little beside training that an estimate need not know them exactly."""
    return frames * pictures.cpu_s / (os.cpu_count() or 1) < _SMALL * training_s


def measure(job: Job) -> Pictures:
    """Compose and encode a few frames of a job, at several places of its path, of random samples."""
    output, plan = job.scene.output, job.plan
    bits = output.bits if output.codec == encode.SEQUENCE else encode.CODECS[output.codec].bits
    noise = _noise(job.scene.problem.channels)
    compositor = Compositor(plan, lambda tile: noise[hash(tile) % _TILES])
    wall_s = cpu_s = 0.0
    pictures = []
    loops.make_all()
    for place in _PLACES:
        first = min(round(place * job.frame_count), max(0, job.frame_count - _FRAMES_AT_A_PLACE - 1))
        numbers = range(first, min(first + _FRAMES_AT_A_PLACE, job.frame_count))
        places = [plan.path.s_of_frame(number, output.fps) for number in numbers]
        film.picture_at(plan, compositor, places[0], bits)  # reads and colours tiles that the frames after it use again
        started_s, started_cpu = time.perf_counter(), time.process_time()
        for s in places:
            pictures.append(film.picture_at(plan, compositor, s, bits))
            if time.perf_counter() - started_s > _MEASURE_S / len(_PLACES):
                break
        wall_s += time.perf_counter() - started_s
        cpu_s += time.process_time() - started_cpu
    compose_wall, compose_cpu = wall_s / len(pictures), cpu_s / len(pictures)
    pictures *= min(max(_PIXELS // (len(pictures) * output.width_px * output.height_px), 1), _MOST_TIMES)
    start_wall, start_cpu = _encoding(job, pictures[:1])
    whole_wall, whole_cpu = _encoding(job, pictures)
    encode_wall, encode_cpu = whole_wall, whole_cpu
    if more := len(pictures) - 1:
        encode_wall, encode_cpu = max(0.0, whole_wall - start_wall) / more, max(0.0, whole_cpu - start_cpu) / more
    # ffmpeg encodes one frame while the next is composed.
    wall_s, cpu_s = max(compose_wall, encode_wall), compose_cpu + encode_cpu
    return Pictures(wall_s, cpu_s, max(0.0, start_wall - encode_wall))


def _encoding(job: Job, pictures: list[np.ndarray]) -> tuple[float, float]:
    """Return the seconds, and those of all cores together, that encoding some pictures takes."""
    output = job.scene.output
    before, started_s = os.times(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if output.codec == encode.SEQUENCE:
            for i, picture in enumerate(pictures):
                encode.write_png(Path(folder, f"{i}.png"), picture, {})
        else:
            size_px = output.width_px, output.height_px
            with encode.VideoWriter(
                Path(folder, "film"), size_px, output.fps, codec=output.codec, crf=output.crf
            ) as writer:
                for picture in pictures:
                    writer.write(picture)
    after = os.times()
    cpu_s = sum(after[:4]) - sum(before[:4])  # of this process and of ffmpeg, which has ended
    return time.perf_counter() - started_s, cpu_s


def _noise(channels: Mapping[str, np.dtype]) -> list[Field]:
    """Return some tiles of noise: at the boundary, which is where cameras go, pictures are hardly smoother."""
    drawn = np.random.default_rng(0)
    made = [fields.empty((SAMPLES, SAMPLES), channels) for _ in range(_TILES)]
    for field in made:
        for channel in (field.value, field.final_loss, *field.more.values()):
            channel[...] = drawn.standard_normal(channel.shape)
        field.status[...] = np.where(field.value < 0, Status.CONVERGED, Status.ESCAPED)
        field.escape_step[...] = drawn.integers(1, 500, field.escape_step.shape)
    return made
