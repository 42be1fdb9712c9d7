"""Plans, films, frames and contact sheets of scenes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render import encode
from render.api import display, output_names, preparation
from render.api.display import Stills
from render.api.listener import SILENT, Listener
from render.api.preparation import MakeBackend, Outlook, local_backend
from render.api.scene_argument import takes_scene
from render.film import climb, deliver, qualities, rendering, sheet, soundtrack
from render.film.depth import overhang_remark
from render.film.job import Job
from render.scene import Scene

StrPath = str | os.PathLike[str]

# Minutes of training that quality "auto" allows itself.
BUDGET_MIN = qualities.BUDGET_S / 60

# Of a contact sheet: frames, pictures in a row, and the width of each.
COUNT, COLUMNS, WIDTH_PX = 24, 6, 320


@dataclass(frozen=True)
class Film:
    """A film on disk. path: of the film. files: of the film and of everything beside it: record, log, poster.

    A notebook plays it.
    """

    path: Path
    files: tuple[Path, ...]

    def _repr_html_(self) -> str:
        return display.player(self.path)


@takes_scene
def plan(
    scene: Scene,
    *,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Outlook:
    """Return what a film would take on this machine: levels, tiles, samples, seconds, bytes.

    Nothing is trained but a measurement of about a second. Arguments and errors are those of `video`.
    """
    folder = Path(store)
    job, rate = preparation.prepare(
        scene, quality, budget_min, folder, make_backend, listener, read_only=True, film=True
    )
    if words := overhang_remark(job.scene):
        listener.note(words)
    return preparation.outlook(job, folder, rate, listener, full=True)


@takes_scene
def video(
    scene: Scene,
    *,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    out: StrPath = "out",
    store: StrPath = "store",
    poster: str = "last",
    force: bool = False,
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Film:
    """Train what the store lacks, and write the film of a scene with its record, log, poster and thumbnail.

    quality: "auto" (the best that this machine trains within budget_min minutes), "scene" (the scene's own output), or
    the name of a preset. Where "auto" takes longer than five minutes, films of lower quality are made before it from
    the same samples, each under its own name; `listener.film` hears of them. poster: the frame that poster and
    thumbnail show, as `frame` reads it. force: replace files of the same name that were made of another scene, or with
    other settings; without it they are an error, before anything is trained. make_backend: returns what trains a
    problem; by default the devices of this machine.
    Whatever ends this early keeps every tile that was trained, and every film that was finished, and the same call goes
    on.
    Raises RenderError, or one of its kinds, for whatever a person can put right.
    """
    folder = output_names.folder(out)
    steps, rate = preparation.prepare_climb(scene, quality, budget_min, Path(store), make_backend, listener)
    best = steps[-1]
    for job in climb.left(folder, steps):
        listener.outlook(preparation.outlook(job, Path(store), rate, listener))
        film = _film(job, folder, poster, force, listener)
        if job is not best:
            listener.film(film.path, job.quality)
    return film


@takes_scene
def recolour(
    scene: Scene,
    *,
    quality: str = "auto",
    out: StrPath = "out",
    store: StrPath = "store",
    poster: str = "last",
    force: bool = False,
    listener: Listener = SILENT,
) -> Film:
    """Write a film from stored samples alone; StoreError if a sample is missing.

    quality: "auto" is the best whose samples are all stored. force: as in `video`. What the scene's settings changed is
    in the film's name, so that the scene's own film stays.
    """
    folder = output_names.folder(out)
    job = rendering.prepare_stored(scene, quality, Path(store))
    preparation.remark(scene, listener)
    listener.outlook(Outlook(job, Path(store), 0))
    return _film(job, folder, poster, force, listener)


@takes_scene
def convert(
    scene: Scene,
    *frames: str | int,
    quality: str = "auto",
    out: StrPath = "out",
    store: StrPath = "store",
    force: bool = False,
    listener: Listener = SILENT,
) -> Film:
    """Write a film, or some of its frames, in the scene's format, from stored samples alone, with its record.

    force: as in `video`.
    """
    folder = output_names.folder(out)
    job = rendering.prepare_stored(scene, quality, Path(store))
    preparation.remark(scene, listener)
    listener.outlook(Outlook(job, Path(store), 0))
    numbers = job.frame_numbers(frames) if frames else None
    _say_changes(job, listener)
    with listener.rendering(job) as report:
        written = deliver.part_of_film(job, numbers, folder, report, force=force)
    return Film(written[0], tuple(written))


@takes_scene
def frame(
    scene: Scene,
    *frames: str | int,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    out: StrPath = "out",
    store: StrPath = "store",
    force: bool = False,
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Stills:
    """Write single frames as PNG, each with its record, and return their paths as a list; only what they need is
    trained. A notebook shows the pictures.

    frames: 120, "-1", "50%", "last", "t=12.5s", lists, ranges and steps ("1,5,9..20", "0..99:10"). Without any, the
    frame that a scene out of a picture was, else the last. Each has the bytes of that frame of the film. force: as in
    `video`.
    """
    folder = output_names.folder(out)
    job, numbers = _chosen(scene, frames, quality, budget_min, Path(store), make_backend, listener)
    _say_totals(job, numbers, listener)
    with listener.rendering(job) as report:
        return Stills(deliver.stills(job, numbers, folder, report, force=force))


@takes_scene
def pictures(
    scene: Scene,
    *frames: str | int,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> list[np.ndarray]:
    """Return single frames as arrays [height, width, 3], uint8, or uint16 where the scene's output has 16 bits.

    Arguments are those of `frame`; no file is written but samples to the store.
    """
    job, numbers = _chosen(scene, frames, quality, budget_min, Path(store), make_backend, listener)
    with listener.rendering(job) as report:
        return [picture for _, picture in rendering.frames(job, numbers, report, bits=job.scene.output.bits)]


@takes_scene
def contact_sheet(
    scene: Scene,
    *frames: str | int,
    count: int = COUNT,
    columns: int = COLUMNS,
    width_px: int = WIDTH_PX,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    out: StrPath = "out",
    store: StrPath = "store",
    force: bool = False,
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Path:
    """Write many frames of a film on one page, and return its path; only what they need is trained.

    frames: as in `frame`; without any, `count` frames evenly along the zoom. width_px: of each picture, at most.
    force: as in `video`.
    """
    folder = output_names.folder(out)
    job, _ = preparation.prepare(scene, quality, budget_min, Path(store), make_backend, listener)
    numbers = job.frame_numbers(frames) if frames else sheet.even_frames(job, count)
    shown = deliver.tag_of_frames(numbers) if frames else f"{count}" if count != COUNT else ""
    layout = f"{columns}x{width_px}px" if (columns, width_px) != (COLUMNS, WIDTH_PX) else ""
    _say_totals(job, numbers, listener)
    path = deliver.sheet_path(folder, job, "-".join(part for part in (shown, layout) if part))
    with listener.rendering(job) as report:
        sheet.write(job, numbers, path, columns=columns, width_px=width_px, report=report, force=force)
    return path


def _say_totals(job: Job, numbers: Sequence[int], listener: Listener) -> None:
    """Report how many frames there will be, and how many training runs they need that the store lacks."""
    output, samples = job.scene.output, job.missing_samples(numbers)
    frames = "1 frame" if len(numbers) == 1 else f"{len(numbers):,} frames"
    listener.note(
        f"{job.scene.name}, {job.quality}: {frames} of {output.width_px} x {output.height_px}, {samples:,} training "
        "runs to do."
    )


def _say_changes(job: Job, listener: Listener) -> None:
    """Report how a film differs from its frames, where its codec changes them."""
    codec = job.scene.output.codec
    if codec != encode.SEQUENCE and (changes := encode.CODECS[codec].changes):
        listener.note(f'With codec "{codec}" the film is {changes}.')
    if remark := soundtrack.remark(job.scene, job.frame_count):
        listener.note(remark)


def _film(job: Job, out: Path, poster: str, force: bool, listener: Listener) -> Film:
    _say_changes(job, listener)
    with listener.rendering(job) as report:
        written = deliver.whole_film(job, deliver.film_path(out, job), report, poster=poster, force=force)
    return Film(written[0], tuple(written))


def _chosen(
    scene: Scene,
    frames: Sequence[str | int],
    quality: str,
    budget_min: float,
    store: Path,
    make_backend: MakeBackend,
    listener: Listener,
) -> tuple[Job, list[int]]:
    job, _ = preparation.prepare(scene, quality, budget_min, store, make_backend, listener)
    if not frames and scene.record is not None and scene.record.frame is not None:
        frames = (str(scene.record.frame),)
    return job, job.frame_numbers(frames or ("last",))
