"""The time that a film takes on this machine: its training, and its pictures and their encoding, each measured."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.files import places
from render.film import rendering
from render.film.job import Job, Kept
from render.film.painter import FramePainter
from render.film.plan import Plan
from render.film.training_rate import Rate
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import SAMPLES, Tile
from render.machine import cores
from render.picture import loops
from render.samples import Field, Status
from render.storage import tile_format

# The shares of the path at which pictures are measured; the most pixels, and the most frames, at each place in the
# first round; the least seconds by which the last round must take longer; and how many times as many frames each round
# has.
_PLACES = (0.3, 0.8)
_FIRST_PX, _FIRST_MOST = 10_000_000, 24
_ENOUGH_S, _GROWTH = 0.5, 4

# An upper bound of the processor seconds of a frame of an H.264 film, by its pixels: at 1080p frames took 0.3 to 0.6 s,
# those of a preview 0.015 to 0.025 s (Zen 3). Where all frames take less than this share of the training, they are not
# measured before the training begins.
_MOST_S, _MOST_PIXEL_S, _SMALL = 0.015, 3e-7, 0.05

# A film whose pictures take less time than this is made sooner than they are measured, which took 0.9 to 1.1 s for the
# first time in a process, at 64 x 36 and at 384 x 216 pixels (two cores of an AMD EPYC).
_SHORT_S = 1.0

# The extra time of a film that trains, whatever its length: the first tiles do not occupy all devices, and after the
# last frame the files beside the film are written. Without it, nine of ten previews of 3 to 35 s took 0.5 to 3.5 s more
# than predicted (2 cores, Zen 3).
ENDS_S = 1.0

# Which part of a made-up tile is noise. Six films of real samples (preview) took 0.84 to 1.08 times as long as films of
# such tiles, and 0.76 to 0.86 times as long as films of tiles that are noise all over.
_ROUGH = np.arange(SAMPLES) < SAMPLES // 4

# How many different made-up tiles there are. A frame at hd shows thousands, and drawing random numbers for each would
# take longer than the frame.
_TILES = 61


@dataclass(frozen=True)
class Pictures:
    """The cost of composing and encoding a frame. wall_s: seconds on an idle machine; cpu_s: of all its cores together.

    start_s: seconds that a film takes besides, whatever its length, such as ffmpeg's start and end. size_bytes: of a
    frame in the film; 0 where none was made to measure it.
    """

    wall_s: float
    cpu_s: float
    start_s: float = 0.0
    size_bytes: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """Seconds of a film: of training alone, of pictures alone, and of both together."""

    training_s: float
    pictures_s: float
    total_s: float


def forecast(samples: int, rate: Rate, frames: int, pictures: Pictures) -> Forecast:
    """Return how long training runs and frames take together.

    Pictures are made while samples train. The shorter of the two goes on beside the longer one as far as pictures leave
    cores free; the rest of it is added, and ENDS_S where there is training.
    """
    count = cores.count()
    training_s, pictures_s = rate.time_s(samples), frames * pictures.wall_s + pictures.start_s
    busy = min(1.0, pictures.cpu_s / (pictures.wall_s * count)) if pictures.wall_s else 1.0
    total_s = max(training_s, pictures_s) + busy * min(training_s, pictures_s)
    return Forecast(training_s, pictures_s, total_s + (ENDS_S if samples else 0.0))


def bound(job: Job) -> Pictures:
    """Return an upper bound of the cost of pictures, for films whose time is nearly all training."""
    output = job.scene.output
    cpu_s = _MOST_S + _MOST_PIXEL_S * output.width_px * output.height_px
    return Pictures(cpu_s / cores.count(), cpu_s)


def is_small(pictures: Pictures, frames: int, training_s: float) -> bool:
    """Return whether pictures take so little time beside training that an estimate need not know it exactly."""
    return frames * pictures.cpu_s / cores.count() < _SMALL * training_s


def is_short(pictures: Pictures, frames: int) -> bool:
    """Return whether all pictures of a film take less time than it takes to measure a few of them."""
    return frames * pictures.cpu_s / cores.count() < _SHORT_S


def measure(job: Job, beside: Path = Path()) -> Pictures:
    """Make a few frames of a job, at several places of its path, from random samples, just as `rendering.video` does.

    beside: a folder to write them in where there is no folder for temporary files.
    """
    noise = _Noise(job.scene.problem.channels)
    others = tuple(Kept(kept.backend, noise) for kept in job.others)
    noisy = dataclasses.replace(job, store=noise, switch=None, others=others)
    output, most = job.scene.output, job.frame_count // len(_PLACES)
    loops.make_all()
    FramePainter(job.plan, noise.fetch).picture(0.0)  # compiles and loads what pictures need
    few = _time(noisy, 1, beside)
    if most < 2:
        return Pictures(few.wall_s / few.frames, few.cpu_s / few.frames, size_bytes=few.size_bytes / few.frames)
    count = min(max(_FIRST_PX // (output.width_px * output.height_px), 3), _FIRST_MOST, most)
    while True:
        many = _time(noisy, count, beside)
        if many.wall_s - few.wall_s >= _ENOUGH_S or count == most:
            break
        # A short round says little about how long a larger one will take.
        count = min(count * _GROWTH, most)
    more = many.frames - few.frames
    wall_s, cpu_s = max(0.0, many.wall_s - few.wall_s) / more, max(0.0, many.cpu_s - few.cpu_s) / more
    size_bytes = max(0, many.size_bytes - few.size_bytes) / more
    return Pictures(wall_s, cpu_s, max(0.0, few.wall_s - few.frames * wall_s), size_bytes)


def disk_bytes(plan: Plan) -> int:
    """Return the bytes on disk that the patches of a plan's tiles take, with every channel of their system."""
    return sum(
        tile_format.room_bytes(problem.channels, plan.patches[tile])
        for order, problem in zip(plan.orders, plan.slices.problems, strict=True)
        for tile in order
    )


class _Timed(NamedTuple):
    """A short film: its frames, the seconds that it took, by the clock and of all cores together, and its size."""

    frames: int
    wall_s: float
    cpu_s: float
    size_bytes: int


def _time(job: Job, at_a_place: int, beside: Path) -> _Timed:
    """Make a film of so many successive frames at each place, and time it."""
    firsts = [round(place * (job.frame_count - at_a_place)) for place in _PLACES]
    numbers = sorted({first + i for first in firsts for i in range(at_a_place)})
    with places.scratch_folder(beside) as folder:
        before, started_s = os.times(), time.perf_counter()
        rendering.video(job, Path(folder, "film"), numbers=numbers)
        took_s, after = time.perf_counter() - started_s, os.times()
        film = Path(folder, "film")
        size_bytes = sum(file.stat().st_size for file in (film.iterdir() if film.is_dir() else [film]))
    return _Timed(len(numbers), took_s, sum(after[:4]) - sum(before[:4]), size_bytes)  # of this process, and of ffmpeg


class _Noise:
    """A store that holds every tile. A part of each is noise, as at the boundary, and the rest is smooth."""

    def __init__(self, channels: Mapping[str, np.dtype]) -> None:
        drawn = np.random.default_rng(0)
        self._tiles = [Field.empty((SAMPLES, SAMPLES), channels) for _ in range(_TILES)]
        slope = np.linspace(0.5, 1.5, SAMPLES)
        for field in self._tiles:
            for channel in (field.value, field.final_loss, *field.more.values()):
                channel[...] = np.where(_ROUGH, drawn.standard_normal(channel.shape), slope)
            field.status[...] = np.where(field.value < 0, Status.CONVERGED, Status.ESCAPED)
            field.escape_step[...] = drawn.integers(1, 500, field.escape_step.shape)

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        """Return a tile's field."""
        return self._tiles[hash(tile) % _TILES]

    def fetch(self, tile: Tile, problem: int = 0) -> Field:
        """Return a tile's field, of any problem."""
        return self.get(tile)

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        """Refuse: there is nothing to train."""
        raise RuntimeError(f"{tile} was trained although it is there")

    def has(self, tile: Tile) -> bool:
        """Return True: every tile is present."""
        return True

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return all patches of each tile."""
        return [WHOLE for _ in tiles]

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return no tile."""
        return []

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Check nothing: nothing is trained."""
