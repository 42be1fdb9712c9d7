"""What a person sees in the terminal: the plan with its estimate, one live progress line, where things were written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from render import backends, scene
from render.analyse import precision, tables
from render.backends import Backend
from render.cli.messages import err, is_live, result, show_table, speaks_json, tell, working
from render.errors import RenderError
from render.film import cost, qualities, rendering, training_rate
from render.film.plan import depth_warning
from render.film.rendering import Job
from render.geometry.tiles import Tile
from render.problem import Problem
from render.scene import Scene
from render.storage.store import DirectoryStore, check_store

# From here on down (decades) the plan says how deep the target's structure goes: a second's work, and of no use above.
_DEEP = 1e-4

# Where the output is no terminal, a line is printed this often instead of a live bar.
_LINE_S = 10.0

# The rate shown is the mean over about this long, so that it neither jumps nor lags.
_RATE_S = 20.0


def _here(problem: Problem) -> Backend:
    return backends.make("local", problem)


def prepare(
    loaded: Scene,
    quality: str,
    budget_min: float,
    store: Path,
    make: Callable[[Problem], Backend] = _here,
    *,
    whole_film: bool = True,
) -> Job:
    """Settle a scene's quality (measuring its backend where that needs it), and say what is to come."""
    job, rate = _settle(loaded, quality, budget_min, store, make)
    if whole_film:
        _announce(job, store, rate)
    return job


def prepare_stored(loaded: Scene, quality: str, store: Path) -> Job:
    """Return a job that trains nothing, and say what is to come."""
    job = rendering.prepare_stored(loaded, quality, store)
    tell("job", f"{job.scene.name} at quality {job.quality}: every sample is in {store}.", **_job_facts(job))
    return job


def _announce(job: Job, store: Path, rate: training_rate.Rate | None) -> None:
    samples = job.missing_samples()
    size = f"{job.scene.output.width_px} x {job.scene.output.height_px}"
    text = f"{job.scene.name}: {job.frame_count} frames of {size}"
    facts = _job_facts(job) | {"samples": job.plan.samples, "samples_to_do": samples}
    if not samples:
        tell("job", f"{text}, 0 training runs to do: every sample is in {store}.", **facts)
        return
    rate = rate or _measure(job)
    if job.seam is not None and job.seam.reference is not None:
        _warn_if(precision.past_budget(job.scene, precision.tangents(job.scene, job.seam.reference)))
    ahead, _ = _forecast(job, rate, samples)
    tell(
        "job",
        f"{text}, {samples:,} training runs to do of {job.plan.samples:,}, about {duration(ahead.total_s)}: "
        f"{duration(ahead.training_s)} of training at {rate.samples_per_s:,.0f} a second, and the pictures.",
        **facts,
        **asdict(ahead),
        samples_per_s=rate.samples_per_s,
    )


def _warn_if(message: str | None) -> None:
    if message is not None:
        tell("warning", f"warning: {message}", style="yellow")


def _forecast(job: Job, rate: training_rate.Rate, samples: int) -> tuple[cost.Forecast, bool]:
    """Return what training runs and pictures will take, and whether the pictures were measured for it."""
    pictures = cost.bound(job)
    known = job.scene.output.codec == "h264"
    measured = not (known and cost.is_small(pictures, job.frame_count, rate.time_s(samples)))
    if measured:
        with working("measuring this machine"):
            pictures = cost.measure(job)
    return cost.forecast(samples, rate, job.frame_count, pictures), measured


def _job_facts(job: Job) -> dict[str, Any]:
    output = job.scene.output
    return {
        "name": job.scene.name,
        "quality": job.quality,
        "frames": job.frame_count,
        "size_px": [output.width_px, output.height_px],
        "fps": output.fps,
    }


def _measure(job: Job) -> training_rate.Rate:
    with working("measuring this machine"):
        return training_rate.measure(job.plan, job.backend, job.seam.reference if job.seam else None)


def announce(what: str, problem: Problem, tiles: Sequence[Tile], samples: int, backend: Backend) -> None:
    """Say how many training runs something needs, and how long they will take, by a measurement on some tiles."""
    if not samples:
        tell("job", f"{what}: 0 training runs to do: every sample is in the store.")
        return
    with working("measuring this machine"):
        rate = training_rate.measure_tiles(problem, tiles, backend)
    tell(
        "job",
        f"{what}: {samples:,} training runs to do, about {duration(rate.time_s(samples))} "
        f"at {rate.samples_per_s:,.0f} a second.",
    )


def _settle(
    loaded: Scene,
    quality: str,
    budget_min: float,
    store: Path,
    make: Callable[[Problem], Backend],
    *,
    trains: bool = True,
) -> tuple[Job, training_rate.Rate | None]:
    if not budget_min > 0:
        raise RenderError(f"--budget must be > 0 minutes, not {budget_min:g}.")
    if quality not in ("auto", "scene"):
        scene.with_quality(loaded, quality)  # refuse a misspelt one before anything slow begins
    check_store(store)
    with working("measuring this machine"):
        backend = make(loaded.problem)
        choice, rate = qualities.settle(loaded, quality, backend, store, budget_min * 60)
    with reference_run() as show_words:
        job = rendering.prepare(choice, store, backend=backend, tell=show_words if trains else None)
    if quality == "auto" and loaded.made is None and job.quality != "scene":
        _explain_auto(job, rate, budget_min)
    if loaded.made is not None and json.loads(loaded.made.numerics or "{}") not in ({}, dict(job.backend.numerics)):
        tell(
            "warning",
            "This was made with another kernel, jaxlib or processor, whose samples differ in their last bits: the same "
            "picture comes out with other grains.",
        )
    if isinstance(job.store, DirectoryStore) and job.store.other_numerics and job.store.missing(job.plan.order[:1]):
        tell(
            "note",
            "Samples of this problem from another kernel, jaxlib or processor are in the store. They differ in their "
            "last bits, so they are kept apart, and this render trains its own. (`render store ls` shows them.)",
        )
    _warn_if(depth_warning(job.plan))
    # The quality was chosen before there was a reference run, by the rate of plain runs.
    return job, rate if job.seam is None or job.seam.reference is None else None


@contextlib.contextmanager
def reference_run() -> Iterator[Callable[[str], None]]:
    """Give what shows how a reference run goes, if one is made."""
    with working("a reference run, for the levels past float64") as show_words:
        yield _once_aloud(show_words)


def _once_aloud(show_words: Callable[[str], None]) -> Callable[[str], None]:
    """Return what shows words as they come, and says beforehand, once and in any log, what they are about."""
    said: list[str] = []

    def told(words: str) -> None:
        if not said:
            said.append(words)
            tell(
                "note",
                "This goes past float64: a reference run is made first, in some hundred digits (once; minutes).",
            )
        show_words(words)

    return told


def _explain_auto(job: Job, rate: training_rate.Rate | None, budget_min: float) -> None:
    if rate is None:
        why = "as chosen before for this film"
    elif rate.time_s(job.plan.samples) <= budget_min * 60:
        why = f"the best that this machine trains in {budget_min:g} minutes"
    else:
        why = f"the smallest, although this machine needs more than {budget_min:g} minutes for it"
    tell("note", f'Quality "{job.quality}": {why}. For the scene\'s own output: --quality scene (make: QUALITY=scene).')


def show_plan(
    loaded: Scene, quality: str, budget_min: float, store: Path, make: Callable[[Problem], Backend] = _here
) -> None:
    """Print what a film of a scene would cost: levels, tiles, samples, time, disk."""
    job, rate = _settle(loaded, quality, budget_min, store, make, trains=False)
    rate = rate or _measure(job)
    plan, missing = job.plan, job.missing_samples()
    ahead, measured = _forecast(job, rate, missing)
    output, axis = job.scene.output, job.scene.problem.x
    reference = job.seam.reference if job.seam else None
    unmade = job.seam is not None and reference is None
    unit = "decades" if axis.scale == "log10" else "units"
    widths = [plan.path.view(s).width * float(axis.span) for s in (0.0, plan.path.length)]
    disk_bytes = cost.disk_bytes(plan)
    if speaks_json():
        facts = _job_facts(job) | {
            "duration_s": plan.path.duration_s,
            "octaves": plan.path.length,
            "widths": widths,
            "levels": [min(plan.levels), max(plan.levels)],
            "tiles": len(plan.order),
            "samples": plan.samples,
            "samples_to_do": missing,
            **asdict(ahead),
            "samples_per_s": rate.samples_per_s,
            "disk_bytes": disk_bytes,
            "problem": job.scene.problem.key,
        }
        result("plan", "", **facts)
        return
    rows = {
        "film": f"{job.frame_count} frames, {output.width_px} x {output.height_px} at {output.fps:g} a second, "
        f"{plan.path.duration_s:.1f} s",
        "zoom": f"{widths[0]:.3g} to {widths[1]:.3g} {unit} wide, {plan.path.length:.1f} octaves of path",
        "quality": f"{job.quality}: detail {output.detail:g} samples per pixel or more, {output.rest_detail:g} at rest",
        "levels": f"{min(plan.levels)} to {max(plan.levels)}; "
        + ("float64 reaches {}" if plan.seam is None else "after {}, by differences from a reference run").format(
            job.scene.problem.deepest_level if plan.seam is None else plan.seam
        ),
        "tiles": f"{len(plan.order):,}",
        "samples": f"{plan.samples:,} training runs of {job.scene.problem.steps} steps, {missing:,} of them to do",
        "time": f"about {duration(ahead.total_s)}; training {duration(ahead.training_s)} at {rate.samples_per_s:,.0f} "
        f"a second, pictures {duration(ahead.pictures_s)}{'' if measured else ' or less'}"
        + ("; a reference run before" if unmade else ""),
        "disk": f"about {disk_bytes / 1e6:,.0f} MB in {store}",
        "problem": job.scene.problem.key,
    }
    if axis.scale == "log10" and widths[1] < _DEEP:
        if unmade:
            rows["target"] = "known when there is a reference run: the film, or `render analyse precision`, makes it"
        else:
            found = precision.tangents(job.scene, reference)
            rows["target"] = tables.budget(found)
            _warn_if(precision.past_budget(job.scene, found) if reference else None)
    show_table(rows.items())


@contextlib.contextmanager
def progress(job: Job | None = None) -> Iterator[rendering.Report]:
    """Show one live line while a job runs: frames, samples a second, time left by the training that is left."""
    live = is_live()
    state = _Rate()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), _Note(),
        console=err, transient=True, disable=not live,
    )  # fmt: skip
    task = bar.add_task("training")
    told: set[str] = set()
    last_line_s = time.monotonic()

    def report(now: rendering.Progress) -> None:
        nonlocal last_line_s
        for message in now.repaired:
            if message not in told:
                told.add(message)
                tell("warning", f"warning: {message}", style="yellow")
        note = state.note(now)
        training = now.samples_done < now.samples_total
        # Training is nearly all the time, so it is what the bar measures; then frames.
        done, total = (now.samples_done, now.samples_total) if training else (now.frames_done, now.frames_total)
        bar.update(task, description=_stage(now), completed=done, total=total, note=note)
        if not live and time.monotonic() - last_line_s >= _LINE_S:
            last_line_s = time.monotonic()
            tell("progress", note, **asdict(now))

    with _gentle_interrupt(), bar:
        yield report


def _stage(now: rendering.Progress) -> str:
    if now.samples_done < now.samples_total:
        return "training"
    return "frames" if now.frames_total else "measuring"


@contextlib.contextmanager
def _gentle_interrupt() -> Iterator[None]:
    """First Ctrl-C: say that batches under way are being finished, and unwind. Second: leave at once."""
    before = signal.getsignal(signal.SIGINT)
    pressed = False

    def stop(*_: object) -> None:
        nonlocal pressed
        if pressed:
            os._exit(130)
        pressed = True
        tell("note", "stopping: the batches under way are being finished (Ctrl-C again: leave now, without them)")
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Note(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields.get("note", ""))


class _Rate:
    """Samples per second over the last while, and the line that says it."""

    def __init__(self) -> None:
        self._seen = [(time.monotonic(), 0)]
        self._frames: list[tuple[float, int]] = []

    def _frames_left(self, now: rendering.Progress) -> str:
        """Return the pace and the time left of making pictures, once nothing is left to train."""
        self._frames.append((time.monotonic(), now.frames_done))
        (t0, n0), (t1, n1) = self._frames[0], self._frames[-1]
        if t1 - t0 < 1 or n1 == n0:
            return ""
        rate = (n1 - n0) / (t1 - t0)
        return f", {rate:,.0f} a second, {duration((now.frames_total - n1) / rate)} left"

    def note(self, now: rendering.Progress) -> str:
        self._seen.append((time.monotonic(), now.samples_done))
        # Back to where something was done since, however long ago: no film starts anew because a batch takes long.
        while self._seen[-1][0] - self._seen[1][0] > _RATE_S and self._seen[1][1] < now.samples_done:
            self._seen.pop(0)
        (t0, n0), (t1, n1) = self._seen[0], self._seen[-1]
        rate = (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0
        frames = f"frame {now.frames_done:,} of {now.frames_total:,}"
        if now.samples_done >= now.samples_total:
            return frames + self._frames_left(now) if now.frames_total else "measuring"
        left = duration((now.samples_total - now.samples_done) / rate) + " left" if rate > 0 else "starting"
        runs = f"{now.samples_done:,} of {now.samples_total:,} training runs, {rate:,.0f} a second, {left}"
        return f"{runs}; {frames}" if now.frames_total else runs


def show_jobscript(cluster: backends.Cluster) -> None:
    """Print the script of a SLURM job."""
    print(backends.job_script(cluster), end="")


def duration(seconds: float) -> str:
    """Return a duration in words of two units at most: "none", "45 s", "1 min 40 s", "14 min", "2 h 05 min"."""
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
