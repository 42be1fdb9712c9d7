"""From a scene to a film: training goes on in the background, and frames are encoded once their tiles are stored.

`render.api` prepares jobs and calls these functions.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from render import backends, encode
from render import scene as scenes
from render.backends import Backend
from render.backends.refusing import RefusingBackend
from render.deep import switch_search
from render.deep.reference_search import ReportStep
from render.errors import EncodeError, SceneError, StoreError, WriteError
from render.files.atomic import check_target
from render.film import camera_table, frame_log, passing, qualities, segment_key, soundtrack, switch
from render.film.frame_log import FrameFacts, FrameLog
from render.film.job import Job, Kept, needed
from render.film.painter import FramePainter
from render.film.plan import Plan, Shown
from render.film.qualities import Choice
from render.geometry.tiles import Tile
from render.machine import sizes
from render.picture import flash
from render.picture.flash_limit import Passing
from render.problem import Problem
from render.samples import Field
from render.scene import Scene
from render.storage.store import DirectoryStore, MemoryStore, TileStore

# Seconds between reports of progress while a frame waits for its tiles.
_TICK_S = 0.5


@dataclass(frozen=True)
class Progress:
    """The progress of a render. Only samples that this render trains count; stored ones do not.

    repaired: warnings. notes: other remarks for the user.
    """

    frames_done: int
    frames_total: int
    samples_done: int
    samples_total: int
    repaired: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Report = Callable[[Progress], None]
Log = Callable[[FrameFacts], None]
Fetch = Callable[[Tile], Field]
T = TypeVar("T")
Make = Callable[[float, tuple[float, ...], Passing | None], T]


def ignore_progress(_: Progress) -> None:
    """Do nothing with a report of progress."""


def ignore_frame_facts(_: FrameFacts) -> None:
    """Do nothing with the facts of a frame."""


def ignore_step(_: str) -> None:
    """Do nothing with the message about a step."""


def check_film(scene: Scene) -> None:
    """Raise SceneError, before anything is trained, for a film whose codec does not take frames of its size."""
    output = scene.output
    if reason := encode.refusal(output.codec, (output.width_px, output.height_px)):
        raise SceneError(f"{scene.name}: {reason}")
    soundtrack.check(scene)


def prepare(
    choice: Choice,
    store_root: Path,
    *,
    backend: Backend | None = None,
    report_step: ReportStep | None = ignore_step,
    read_only: bool = False,
) -> Job:
    """Return a job for a scene at a chosen quality, with its tiles in a folder below store_root.

    report_step: called with a message at each step of the reference run that a film past float64 needs. None: no
    reference run is made, and the job can train deep levels only if the store holds one. read_only: whether the job is
    for a plan alone, and nothing is written.
    """
    backend = backend or backends.make("local", choice.plan.scene.problem)
    plan = choice.plan
    store, meeting = switch.prepare(
        plan.scene.problem, plan.targets, store_root, backend, report_step, read_only=read_only
    )
    others = []
    for problem in plan.slices.problems[1:]:
        moved = _like(backend, problem, plan.scene)
        others.append(Kept(moved, DirectoryStore(store_root, problem, moved.numerics, read_only=read_only)))
    known = tuple(switch_search.known(plan.scene, store_root))
    return Job(choice.name, plan, backend, store, meeting, known, tuple(others))


def _like(backend: Backend, problem: Problem, scene: Scene) -> Backend:
    """Return a backend like a given one, for the problem of a slice. Raises SceneError for a cluster."""
    from render.backends.local import LocalBackend

    if isinstance(backend, RefusingBackend):
        return backend
    if not isinstance(backend, LocalBackend):
        raise SceneError(
            f"{scene.name}: camera.keyframes[0].set is not possible on a cluster, since each slice of such a film is "
            "a problem of its own, which only this machine's devices train. Use --backend local, or take `set` out of "
            "the keyframes."
        )
    return backend.like(problem)


def prepare_stored(scene: Scene, quality: str, store_root: Path) -> Job:
    """Return a job whose samples are all in the store, with whichever numerics; it cannot train.

    quality: "auto" is the scene's own output if all of it is stored, or else the largest such preset. Raises
    StoreError.
    """
    scenes.check_quality(quality, "auto", "scene")
    scene = switch_search.measured(scene, store_root, None)
    stores = DirectoryStore.existing(store_root, scene.problem)
    names = [quality] if quality != "auto" else ["scene"] if scene.record else ["scene", *reversed(scenes.QUALITY)]
    fewest: tuple[int, Choice] | None = None
    for name in names:
        choice = qualities.named(scene, name)
        for store in stores:
            switched = switch.existing_store(choice.plan, store_root, store)
            refusing = RefusingBackend(store.numerics)
            others = tuple(Kept(refusing, stored_like(p, store_root, store)) for p in choice.plan.slices.problems[1:])
            job = Job(choice.name, choice.plan, refusing, switched, others=others)
            kept = (switched, *(one.store for one in others))
            orders, wanted = choice.plan.orders, choice.plan.patches
            missing = sum(len(one.missing(order, wanted)) for one, order in zip(kept, orders, strict=True))
            if missing == 0:
                return job
            if fewest is None or missing < fewest[0]:
                fewest = missing, choice
    if fewest is None:
        raise StoreError(
            f"{store_root} holds no samples of {scene.name}. Run `render video` first: this trains nothing."
        )
    missing, choice = fewest
    planned = sum(map(len, choice.plan.orders))
    name = choice.name
    which = f"at some quality, but even at {name}" if quality == "auto" else f"at quality {name}, but"
    raise StoreError(
        f"{store_root} must hold every sample of {scene.name} {which} {missing:,} of its {planned:,} tiles are "
        "missing. Run `render video` at that quality first: this trains nothing."
    )


def stored_like(problem: Problem, root: Path, like: DirectoryStore) -> TileStore:
    """Return the store of a problem with the numerics of a given one; an empty one if there is none."""
    stores = (store for store in DirectoryStore.existing(root, problem) if store.numerics == like.numerics)
    return next(stores, MemoryStore())


def video(
    job: Job,
    path: Path,
    report: Report = ignore_progress,
    log: Log = ignore_frame_facts,
    numbers: Sequence[int] | None = None,
    published: Callable[[str], None] | None = None,
) -> Path:
    """Train what is missing and write the film, or some frames of it, to path. For an early end see `made_of_frames`.

    The table of the camera's path is written beside it: see `path_table`.

    A film that was stopped is resumed from its finished segments. They are in a folder beside it until the film is
    complete and `published` has returned. Their frames are not made again, their tiles are not read again, and `log`
    receives the same facts as when they were made.

    published: as in `encode.VideoWriter`; it is not called if the film is a folder of pictures.
    """
    output = job.scene.output
    soundtrack.check(job.scene)
    numbers = range(job.frame_count) if numbers is None else numbers
    check_target(path_table(job, path))
    if output.codec == encode.SEQUENCE:
        return _sequence(job, path, numbers, report, log)
    meter = flash.Meter(float(output.fps))

    def finished(sha256: str) -> None:
        camera_table.write(job.plan, path_table(job, path), numbers)
        if published is not None:
            published(sha256)

    writer = encode.VideoWriter(
        path,
        (output.width_px, output.height_px),
        output.fps,
        codec=output.codec,
        crf=output.crf,
        metadata=job.provenance(),
        published=finished,
        key=segment_key.of(job.provenance(), numbers),
        frames_total=len(numbers),
        sound=soundtrack.of(job.scene, numbers),
    )
    rows: list[FrameFacts] = []  # rows of the segment that is being made

    def go_past() -> None:
        while (note := writer.pass_finished()) is not None:
            meter.restore(note)
            for row in frame_log.unpacked(note[_ROWS]):
                log(row)

    def logged(row: FrameFacts) -> None:
        log(row)
        rows.append(row)
        if writer.is_full:
            writer.finish_segment({_ROWS: frame_log.packed(rows), **meter.state()})
            rows.clear()
            go_past()

    with writer:
        kept = {place for places in writer.finished_frames() for place in places}
        todo = [number for place, number in enumerate(numbers) if place not in kept]
        notes = (_going_on(len(kept), len(numbers), writer.segments.size_bytes),) if kept else ()
        go_past()

        def report_all(now: Progress) -> None:
            report(replace(now, frames_done=now.frames_done + len(kept), frames_total=len(numbers), notes=notes))

        # After a whole film every sample of its plan is in the store, also those of frames in finished segments.
        orders = job.plan.orders if len(numbers) == job.frame_count else None
        pictures = frames(job, todo, report_all, bits=writer.bits, log=logged, orders=orders)
        with contextlib.closing(pictures):
            for _, picture in pictures:
                writer.write(picture)
                meter.add(picture)
    if output.flash != "off" and (warning := meter.warning()):
        count = job.frame_count
        report(Progress(count, count, 0, 0, (warning,)))
    return path


# The key of the log's rows in the note of a segment.
_ROWS = "rows"


def _going_on(kept: int, total: int, size_bytes: int) -> str:
    return f"The film goes on: {kept:,} of its {total:,} frames are finished already ({sizes.in_words(size_bytes)})."


def path_table(job: Job, path: Path) -> Path:
    """Return the path of the table of the camera's path, beside a film or a folder of its pictures."""
    base = path if job.scene.output.codec == encode.SEQUENCE else path.with_suffix("")
    return base.with_name(f"{base.name}.path.csv")


def _sequence(job: Job, folder: Path, numbers: Sequence[int], report: Report, log: Log) -> Path:
    """Write frames as PNGs into a folder; existing ones of the same scene stay."""
    path_of = {number: folder / f"{number:05d}.png" for number in numbers}
    for path in path_of.values():
        if path.exists() and not path.is_file():
            raise WriteError(path, "the pictures of a film are read again, and must be plain files")
    todo = [number for number, path in path_of.items() if not _is_written(path, job.provenance(number))]
    stills(job, todo, path_of.__getitem__, report, log)
    for path in folder.glob("[0-9]" * 5 + ".png"):
        if path not in path_of.values():  # a frame of another film that was here before
            path.unlink()
    camera_table.write(job.plan, path_table(job, folder), numbers)
    return folder


def _is_written(path: Path, metadata: dict[str, str]) -> bool:
    try:
        return path.is_file() and encode.read_png_metadata(path) == metadata
    except EncodeError:
        return False


def stills(
    job: Job,
    numbers: Sequence[int],
    path_of: Callable[[int], Path],
    report: Report = ignore_progress,
    log: Log = ignore_frame_facts,
    published: Callable[[int, str], None] = lambda number, sha256: None,
) -> list[Path]:
    """Write single frames as PNG, training only what they need. Each has the same pixels as that frame of the film.

    published: called with each frame's number and SHA-256, as in `encode.write_png`.
    """
    for number in numbers:
        check_target(path_of(number))
    written = []
    with contextlib.closing(frames(job, numbers, report, bits=job.scene.output.bits, log=log)) as pictures:
        for number, picture in pictures:
            record = functools.partial(published, number)
            encode.write_png(path_of(number), picture, job.provenance(number), published=record)
            written.append(path_of(number))
    return written


def frames(
    job: Job,
    numbers: Sequence[int],
    report: Report = ignore_progress,
    *,
    bits: int = 8,
    log: Log = ignore_frame_facts,
    orders: Sequence[Sequence[Tile]] | None = None,
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield (frame number, picture [height, width, 3]), each as soon as its tiles are trained.

    bits: 8 for uint8 pictures, 16 for uint16. The rest is as in `made_of_frames`.
    """

    def painter(plan: Plan, fetch: Fetch) -> Make[np.ndarray]:
        painter = FramePainter(plan, fetch)
        return lambda s, moments, moves: painter.picture(s, bits, moments, moves)

    return made_of_frames(job, numbers, painter, report, log=log, orders=orders)


def made_of_frames(
    job: Job,
    numbers: Sequence[int],
    maker: Callable[[Plan, Fetch], Make[T]],
    report: Report = ignore_progress,
    *,
    log: Log = ignore_frame_facts,
    orders: Sequence[Sequence[Tile]] | None = None,
) -> Generator[tuple[int, T], None, None]:
    """Yield (frame number, result), each as soon as the tiles of the frame are trained.

    maker: called with the plan and the function that reads a finished tile. It returns the function that makes a frame
    from its place on the path, the places that it averages, and how the camera moves around it.
    log: called with the cost of each frame once the caller has taken it.
    orders: the tiles to train of each problem, in order of first use; None for those that the frames need (for the
    whole film: the plan's).

    However this ends early (by an exception, Ctrl-C, or closing the generator), batches that are under way are finished
    and stored, so that the same call goes on where it stopped.
    """
    plan, output = job.plan, job.scene.output

    def moments(number: int) -> tuple[float, ...]:
        return plan.path.moments(number, output.fps, output.shutter)

    if orders is None and len(numbers) == job.frame_count:
        orders = plan.orders
    elif orders is None:
        orders = needed(plan, (s for n in numbers for s in moments(n)))
    training = job.trainings(orders)
    facts = FrameLog(plan, training)
    make = maker(plan, training.fetch)

    def progress(done: int) -> Progress:
        return Progress(done, len(numbers), training.samples_done, training.samples_total, tuple(training.repaired))

    training.go_on()
    try:
        last: tuple[tuple[float, ...], bytes | None] | None = None
        results: list[T] = []
        shown, light = Shown([], []), 0.0
        for done, number in enumerate(numbers):
            places, moves = moments(number), passing.around(plan, number)
            # Frames of a rest are the same picture, except those just before and after it, where flashes may be
            # limited.
            if (key := (places, None if moves is None else moves.moves.tobytes())) != last:
                shown = plan.shown_at(*places)
                if training.samples_done < training.samples_total:
                    wanted = dict.fromkeys(plan.slices.shown(*places), shown.tiles())
                    while not training.wait_for(wanted, _TICK_S):
                        report(progress(done))
                s = plan.path.s_of_frame(number, output.fps)
                last, results = key, [make(s, places, moves)]
                light = frame_log.mean_luminance(results[0])
            yield number, results[0]
            log(facts.row(number, plan.path.s_of_frame(number, output.fps), shown, light))
            report(progress(done + 1))
    finally:
        training.stop()
