"""The output of films and plans in the terminal: estimates, one live line of progress, paths of results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from render import backends, encode
from render.analyse import tables
from render.api.listener import Listener
from render.api.posters import PosterPlan
from render.api.preparation import Outlook
from render.backends import Backend
from render.backends.refusing import RefusingBackend
from render.cli import messages
from render.cli.messages import emit, err, is_live, result, show_table, speaks_json, working
from render.deep import switch_search
from render.film import depth, rendering, training_rate
from render.film.job import Job
from render.film.pace import Pace
from render.film.plan import Plan
from render.film.rendering import Report
from render.film.training_rate import Rate
from render.geometry.tiles import Tile
from render.geometry.tracks import STEPS, Track
from render.machine import signals, sizes
from render.problem import Problem
from render.scene import Scene


class TerminalListener(Listener):
    """Prints what a render reports: sentences on stderr, progress as one live line, or everything as JSON."""

    def __init__(self) -> None:
        self._watchable = ""
        self._scene = ""

    def note(self, text: str) -> None:
        """Print a sentence."""
        emit("note", text)

    def warning(self, text: str) -> None:
        """Print a warning in yellow."""
        emit("warning", f"warning: {text}", style="yellow")

    def working(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Show that a step is under way."""
        return working(what)

    def rendering(self, job: Job) -> AbstractContextManager[Report]:
        """Show one live line."""
        if self._scene not in ("", job.scene.name):  # the next one of several films
            self._watchable = ""
        self._scene = job.scene.name
        return progress(job, self._watchable)

    def film(self, path: Path, quality: str) -> None:
        """Print the path of a film that can be watched already, and show it beside the progress from now on."""
        self._watchable = f"; to watch: {path} ({quality})"
        emit(
            "film",
            f'{path}: a film at quality "{quality}", to watch while a better one is made from the same samples.',
            path=str(path),
            quality=quality,
        )

    @contextlib.contextmanager
    def training(self, scene: Scene, tiles: Sequence[Tile], samples: int, backend: Backend) -> Iterator[Report]:
        """Print how many training runs are needed and how long they take, and show one live line."""
        announce(scene.name, samples, lambda: training_rate.measure_tiles(scene.problem, tiles, backend))
        with progress() as report:
            yield report

    def outlook(self, outlook: Outlook) -> None:
        """Print the cost of a film."""
        job, ahead = outlook.job, outlook.forecast
        output, facts = job.scene.output, outlook.film_facts()
        frames = f"{job.frame_count} frame{'' if job.frame_count == 1 else 's'}"
        text = f"{job.scene.name}: {frames} of {output.width_px} x {output.height_px}"
        if isinstance(job.backend, RefusingBackend):
            text = f"{job.scene.name} at quality {job.quality}: every sample is in {outlook.store}."
            emit("job", text, **facts)
        elif job.scene.bifurcation is not None:
            emit("job", f"{text}, each computed as it is shown.", **facts)
        elif ahead is None or outlook.rate is None:
            emit("job", f"{text}, 0 training runs to do: every sample is in {outlook.store}.", **facts)
        else:
            rate = outlook.rate.samples_per_s
            emit(
                "job",
                f"{text}, {outlook.samples_to_do:,} training runs to do of {job.plan.samples:,}, about "
                f"{duration(ahead.total_s)}: {duration(ahead.training_s)} of training at {rate_in_words(rate)}, and "
                "the pictures.",
                **facts,
                **asdict(ahead),
                samples_per_s=rate,
            )


LISTENER = TerminalListener()


def announce(
    what: str, samples: int, measure: Callable[[], Rate], then: Callable[[], tuple[float, str]] = lambda: (0.0, "")
) -> None:
    """Report how many training runs are needed, and how long they will take by a measurement.

    then: returns what is done after the training: the seconds that it takes, and its name.
    """
    with working("measuring this machine"):
        rate = measure() if samples else None
        further_s, further = then()
    later = f"about {duration(further_s)} for {further}" if further_s >= 0.5 else ""
    if rate is None:
        text = f"{what}: 0 training runs to do: every sample is in the store{later and f'; {later}'}."
        training_s = 0.0
    else:
        training_s = rate.time_s(samples)
        text = (
            f"{what}: {samples:,} training runs to do, about {duration(training_s)} at "
            f"{rate_in_words(rate.samples_per_s)}{later and f', then {later}'}."
        )
    emit("job", text, message=text, samples=samples, training_s=training_s, further_s=further_s)


def training_time_s(problem: Problem, tiles: Sequence[Tile], samples: int, backend: Backend) -> float:
    """Return how many seconds so many training runs take, by a measurement on some tiles; 0 if there are none."""
    if not samples:
        return 0.0
    with working("measuring this machine"):
        return training_rate.measure_tiles(problem, tiles, backend).time_s(samples)


def show_plan(outlook: Outlook) -> None:
    """Print the cost of a film: levels, tiles, samples, time, disk."""
    if speaks_json():
        result("plan", "", **outlook.facts())
        return
    job, ahead, rate = outlook.job, outlook.forecast, outlook.rate
    assert ahead is not None  # a plan measures everything
    plan, output, problem = job.plan, job.scene.output, job.scene.problem
    unit = "decades" if problem.x.scale == "log10" else "units"
    first, last = outlook.widths
    last_plain = plan.targets.last_plain_level
    totals = {
        "film": f"{job.frame_count} frames, {output.width_px} x {output.height_px} at {float(output.fps):g} a second, "
        f"{plan.path.duration_s:.1f} s",
        "zoom": f"{first:.3g} to {last:.3g} {unit} wide, {plan.path.length:.1f} octaves of path",
    }
    if rate is None:  # a bifurcation diagram
        runs = output.width_px * depth.runs_per_pixel(job.scene)
        show_table(
            {
                **totals,
                "runs": f"{runs:,} of {problem.steps} steps in every frame, computed as it is shown; none is stored",
                "time": f"about {duration(ahead.total_s)}",
                "problem": problem.key,
            }.items()
        )
        return
    rows = {
        **totals,
        **({"moving": "; ".join(_moving(track, problem) for track in plan.path.tracks)} if plan.path.tracks else {}),
        **({"slices": _slices(plan)} if len(plan.slices.problems) > 1 else {}),
        "quality": f"{job.quality}: detail {output.detail:g} samples per pixel or more, {output.rest_detail:g} at rest",
        "levels": f"{min(plan.levels)} to {max(plan.levels)}; "
        + (
            f"float64 reaches {problem.deepest_level}"
            if last_plain is None
            else f"after {last_plain}, by differences from a reference run"
        ),
        **({"precision": " ".join(switch_search.words(m, unit) for m in job.measured)} if job.measured else {}),
        "tiles": f"{sum(map(len, plan.orders)):,}",
        "samples": f"{plan.samples:,} training runs of {problem.steps} steps, {outlook.samples_to_do:,} of them to do",
        "time": f"about {duration(ahead.total_s)}; training {duration(ahead.training_s)} at "
        f"{rate_in_words(rate.samples_per_s)}, "
        f"pictures {duration(ahead.pictures_s)}{'' if outlook.pictures_measured else ' or less'}"
        + ("; a reference run before" if outlook.lacks_reference else ""),
        "disk": f"about {sizes.in_words(outlook.disk_bytes)} in {outlook.store}",
        **outlook.device_remarks,
        **_film_room(outlook),
        "problem": problem.key,
    }
    if (code := outlook.code()) is not None:
        parts = [code["file"], *code["beside"], *code["data"]]
        versions = ", ".join(f"{name} {version}" for name, version in code["versions"].items())
        rows["code"] = f"runs {', '.join(parts)}, which you trust; {versions}"
    if laid_over := job.scene.laid_over():
        rows["changed"] = "; ".join(f"{path} by {source}" for path, source in laid_over.items())
    if outlook.is_deep and outlook.target is None:
        rows["target"] = "unknown until there is a reference run: the film, or `render analyse precision`, makes it"
    elif outlook.is_deep and outlook.target is not None:
        rows["target"] = tables.budget(outlook.target)
    show_table(rows.items())


def _film_room(outlook: Outlook) -> dict[str, str]:
    """Return the row on the disk space of a film, if frames were made to measure it."""
    codec, size = outlook.job.scene.output.codec, sizes.in_words(outlook.film_bytes)
    if not outlook.film_bytes:
        return {}
    if codec == encode.SEQUENCE:
        return {"room": f"about {size} for the film"}
    more = "more than that" if encode.CODECS[codec].at_once else "as much again"
    return {"room": f"about {size} for the film, and {more} for its segments until it is whole"}


def show_poster_plan(plan: PosterPlan) -> None:
    """Print the cost of a print: pixels, training runs, time, size."""
    if speaks_json():
        result("plan", "", **asdict(plan))
        return
    width, height = plan.size_px
    show_table(
        [
            ("picture", f"{width:,} x {height:,} pixels, {sizes.in_words(plan.size_bytes)} before compression"),
            (
                "samples",
                f"{plan.samples:,} training runs up to level {plan.level}, {plan.samples_to_do:,} of them to do",
            ),
            ("time", f"about {duration(plan.training_s)} of training"),
        ]
    )


def _moving(track: Track, problem: Problem) -> str:
    """Return what a track changes, and what it adds to the film's cost."""
    first, last = min(track.values), max(track.values)
    if track.name == STEPS:
        kept = len(problem.prefixes)
        return (
            f"after {first:,.0f} to {last:,.0f} steps: no further training runs; values after {kept} numbers of steps "
            f"are kept, {8 * kept:,} bytes more a sample"
        )
    return f"{track.label or track.name} from {first:g} to {last:g}"


def _slices(plan: Plan) -> str:
    """Return what slices add to a film's cost."""
    count = len(plan.slices.problems)
    return f"{count:,} problems, each trained where it is shown: {plan.samples / count:,.0f} training runs on average"


@contextlib.contextmanager
def progress(job: Job | None = None, watchable: str = "") -> Iterator[rendering.Report]:
    """Show one live line while a job runs: what is done, the rate, and the time that is left.

    watchable: the end of the line, about a film that is finished already.
    """
    live = is_live()
    pace = Pace()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), _Note(),
        console=err, transient=True, disable=not live,
    )  # fmt: skip
    task = bar.add_task("training")
    reported: set[str] = set()
    last_line_s = time.monotonic()

    def report(now: rendering.Progress) -> None:
        nonlocal last_line_s
        for message in now.repaired:
            if message not in reported:
                reported.add(message)
                emit("warning", f"warning: {message}", style="yellow")
        for message in now.notes:
            if message not in reported:
                reported.add(message)
                emit("note", message)
        pace.add(now)
        note = _words(now, pace) + watchable
        training = now.samples_done < now.samples_total
        # The bar shows training, which takes nearly all of the time, and then frames.
        done, total = (now.samples_done, now.samples_total) if training else (now.frames_done, now.frames_total)
        bar.update(task, description=_stage(now), completed=done, total=total, note=note)
        if not live and time.monotonic() - last_line_s >= messages.LINE_S:
            last_line_s = time.monotonic()
            emit("progress", note, **asdict(now))

    with signals.announcing(_stopping), bar:
        yield report


def _stage(now: rendering.Progress) -> str:
    if now.samples_done < now.samples_total:
        return "training"
    return "frames" if now.frames_total else "measuring"


def _stopping() -> None:
    emit("note", "stopping: the batches under way are being finished (Ctrl-C again: leave now, without them)")


class _Note(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields.get("note", ""))


def _words(now: rendering.Progress, pace: Pace) -> str:
    """Return the text of the progress line: what is done of how much, how fast, and how long the rest takes."""
    rate, left_s = pace.per_s, pace.left_s
    frames = f"frame {now.frames_done:,} of {now.frames_total:,}"
    if now.samples_done >= now.samples_total:
        if not now.frames_total:
            return "measuring"
        return frames if left_s is None else f"{frames}, {rate_in_words(rate)}, {duration(left_s)} left"
    left = "starting" if left_s is None else f"{duration(left_s)} left"
    runs = f"{now.samples_done:,} of {now.samples_total:,} training runs, {rate_in_words(rate)}, {left}"
    return f"{runs}; {frames}" if now.frames_total else runs


def show_jobscript(cluster: backends.Cluster) -> None:
    """Print the script of a SLURM job."""
    print(backends.job_script(cluster), end="")


def rate_in_words(per_s: float) -> str:
    """Return a rate in words: "1,200 a second", "1.5 a second", "one in 3 min"."""
    if per_s <= 0 or per_s >= 9.5:
        return f"{per_s:,.0f} a second"
    return f"{per_s:.1f} a second" if per_s >= 0.95 else f"one in {duration(1 / per_s)}"


def duration(seconds: float) -> str:
    """Return a duration in words, with at most two units: "none", "45 s", "1 min 40 s", "14 min", "2 h 05 min"."""
    if seconds <= 0:
        return "none"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 595:
        minutes, tens = divmod(round(seconds / 10), 6)
        return f"{minutes} min {10 * tens} s" if tens else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
