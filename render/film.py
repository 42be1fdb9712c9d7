"""The whole line, scene to film: training in the background, frames made and encoded as soon as their tiles are there.

This is the Python API; the command line is a thin skin over it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import render
from render import backends, encode, estimate, overlay
from render.backends import Backend
from render.compose import Compositor
from render.errors import RenderError, StoreError
from render.estimate import Choice
from render.fields import Field
from render.plan import Plan
from render.scene import Scene
from render.schedule import Training
from render.store import DirectoryStore, TileStore
from render.tiles import Tile

# How often a waiting render looks up to report progress.
_TICK_S = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a render is. Samples count this render's own training only; what was stored costs nothing."""

    frames_done: int
    frames_total: int
    samples_done: int
    samples_total: int
    repaired: tuple[str, ...] = ()


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Job:
    """A planned render: what to train, with what, and where it is kept. Made by `prepare`."""

    quality: str
    plan: Plan
    backend: Backend
    store: TileStore

    @property
    def scene(self) -> Scene:
        """The scene at the job's quality."""
        return self.plan.scene

    @property
    def frame_count(self) -> int:
        """Number of frames of the whole film."""
        return self.plan.path.frame_count(self.scene.output.fps)

    def missing_samples(self) -> int:
        """Return the training runs that the store does not hold yet."""
        return Training(self.scene.problem, self.plan.order, self.store, self.backend).samples_total

    def provenance(self) -> dict[str, str]:
        """Return what a person needs to make the output again, as short texts."""
        output = dataclasses.asdict(self.scene.output)
        return {
            "scene": self.scene.text,
            "name": self.scene.name,
            "quality": self.quality,
            "output": json.dumps(output, sort_keys=True),
            "problem": self.scene.problem.key,
            "numerics": json.dumps(self.backend.numerics, sort_keys=True),
            "render": render.__version__,
        }


def prepare(choice: Choice, store_root: Path, *, backend: Backend | None = None) -> Job:
    """Return a job for a scene at a chosen quality, with its tiles in a folder below store_root."""
    problem = choice.plan.scene.problem
    backend = backend or backends.make("local", problem)
    return Job(choice.name, choice.plan, backend, DirectoryStore(store_root, problem, backend.numerics))


def check_store(root: Path) -> None:
    """Refuse a store that cannot be written to, before anything is trained for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise StoreError(
            f"{root}: the store must be a writable folder: {error.strerror}. Use another --store."
        ) from error


def choose(
    scene: Scene, quality: str, backend: Backend, store_root: Path, budget_s: float = estimate.BUDGET_S
) -> tuple[Choice, estimate.Rate | None]:
    """Resolve a quality: "scene", a preset, or "auto", by a short measured run; return also the rate if measured.

    What auto settled on is remembered beside the tiles: a render that was stopped goes on at the same quality,
    however busy the machine is by then.
    """
    if quality != "auto":
        return estimate.named(scene, quality), None
    memory = estimate.Memory(DirectoryStore(store_root, scene.problem, backend.numerics).folder / "auto.json")
    earlier = memory.recall(scene, budget_s)
    if earlier is not None:
        return estimate.named(scene, earlier), None
    # The rate hardly depends on the quality: measure on the smallest plan, then compare.
    rate = estimate.measure(estimate.named(scene, estimate.SMALLEST).plan, backend)
    choice = estimate.choose(scene, rate, budget_s)
    memory.remember(scene, budget_s, choice.name)
    return choice, rate


def video(job: Job, path: Path, report: Report = lambda _: None) -> Path:
    """Train what is missing and write the film to path. Stops cleanly: see `frames`."""
    output = job.scene.output
    writer = encode.VideoWriter(
        path,
        (output.width_px, output.height_px),
        output.fps,
        codec=output.codec,
        crf=output.crf,
        metadata=job.provenance(),
    )
    with writer, contextlib.closing(frames(job, range(job.frame_count), report)) as made:
        for _, picture in made:
            writer.write(picture)
    return path


def stills(
    job: Job, numbers: Sequence[int], path_of: Callable[[int], Path], report: Report = lambda _: None
) -> list[Path]:
    """Write single frames as PNG, training only what they need; each has the bytes of that frame of the film."""
    written = []
    with contextlib.closing(frames(job, numbers, report)) as made:
        for number, picture in made:
            encode.write_png(path_of(number), picture, job.provenance() | {"frame": str(number)})
            written.append(path_of(number))
    return written


def frame_numbers(selections: Iterable[str], job: Job) -> list[int]:
    """Return the frames that texts like "120", "50%", "last", "t=12.5s" and "1,5,9..20" select, in order, once each."""
    count, path = job.frame_count, job.plan.path
    chosen: dict[int, None] = {}
    for text in (part.strip() for selection in selections for part in selection.split(",")):
        first, dots, last = text.partition("..")
        a = _frame_number(first, count, path.duration_s)
        b = _frame_number(last, count, path.duration_s) if dots else a
        if b < a:
            raise RenderError(f"frames must run upwards, not {text!r}.")
        chosen.update(dict.fromkeys(range(a, b + 1)))
    return list(chosen)


def _frame_number(text: str, count: int, duration_s: float) -> int:
    try:
        if text == "last":
            number = count - 1
        elif text.endswith("%"):
            number = round(float(text[:-1]) / 100 * (count - 1))
        elif text.startswith("t="):
            number = round(float(text[2:].removesuffix("s")) / max(duration_s, 1e-9) * (count - 1))
        else:
            number = int(text)
    except (ValueError, OverflowError):
        raise RenderError(f"a frame must be a number, 50%, last, t=12.5s or a range 9..20, not {text!r}.") from None
    if not 0 <= number < count:
        raise RenderError(
            f"frame {text} must lie within the film: 0 to {count - 1} (0% to 100%, t=0s to {duration_s:g}s)."
        )
    return number


def frames(
    job: Job, numbers: Sequence[int], report: Report = lambda _: None
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield (frame number, picture uint8 [height, width, 3]), each as soon as its tiles are trained.

    Whatever ends this early (an exception, Ctrl-C, closing the generator), batches under way are finished and
    stored, so the same call goes on where it stopped.
    """
    plan, output = job.plan, job.scene.output
    places = [plan.path.s_of_frame(n, output.fps) for n in numbers]
    order = plan.order if len(numbers) == job.frame_count else _needed(plan, places)
    training = Training(job.scene.problem, order, job.store, job.backend)
    compositor = Compositor(plan, training.fetch)

    def progress(done: int) -> Progress:
        return Progress(done, len(numbers), training.samples_done, training.samples_total, tuple(training.repaired))

    training.start()
    try:
        last_s, picture = None, None
        for done, (number, s) in enumerate(zip(numbers, places, strict=True)):
            if s != last_s or picture is None:
                count = training.count_for(plan.tiles_at(s))
                while not training.wait_for(count, _TICK_S):
                    report(progress(done))
                last_s, picture = s, _picture(plan, compositor, s)
            yield number, picture
            report(progress(done + 1))
    finally:
        training.stop()


def _needed(plan: Plan, places: Iterable[float]) -> list[Tile]:
    """Return the tiles of the frames at some places, in the plan's order."""
    wanted = {tile for s in set(places) for tile in plan.tiles_at(s)}
    return [tile for tile in plan.order if tile in wanted]


def _picture(plan: Plan, compositor: Compositor, s: float) -> np.ndarray:
    picture = compositor.frame(s)
    if not plan.scene.output.overlay:
        return picture
    problem = plan.scene.problem
    return overlay.draw(picture, plan.path.viewport(s), problem.x, problem.y, labels=problem.labels)


def probe(backend: Backend, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, Field]]:
    """Train at arbitrary hyperparameter values and yield (slice of the points, field), in batches as they finish.

    x, y: float64 [points], in hyperparameter units of the backend's problem. Nothing is stored.
    """
    starts = iter(range(0, x.size, backend.capacity))
    pieces: dict[int, slice] = {}

    def next_batch() -> backends.Batch | None:
        start = next(starts, None)
        if start is None:
            return None
        piece = slice(start, start + backend.capacity)
        batch = backends.Batch((), x[piece], y[piece])
        pieces[id(batch)] = piece
        return batch

    for batch, field in backend.run(next_batch):
        yield pieces[id(batch)], field
