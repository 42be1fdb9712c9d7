"""The cost of pictures: a trained film against ffmpeg alone, the share of the training time, memory, and the start.

Everything runs as a user runs it, as a command of its own; ffmpeg alone gets the very same frames from memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from render.backends import make
from render.encode import VideoWriter
from render.film import qualities, rendering, training_rate
from render.film.job import Job
from render.samples import Points
from render.scene import load

# A small net, so that a 1080p film is trained in a minute; the cost of pictures does not depend on it.
_SCENE = """
[problem]
width = 4
examples = 8
steps = 20
x = { name = "lr_input", scale = "log10", range = ["1e-3", "1e6"] }
y = { name = "lr_output", scale = "log10", range = ["1e-3", "1e6"] }

[camera]
keyframes = [
    { centre_log10 = ["1.5", "1.5"], width_decades = 9.0, time_s = 0 },
    { centre = ["353", "0.2314"], width_decades = 0.140625, time_s = SECONDS },
]

[output]
size = [WIDTH, HEIGHT]
fps = 30
detail = 0.2
rest_detail = 0.2
"""

# A film of a published condition, with the usual number of training runs to a picture; and how many of them are timed.
_PUBLISHED = "mean_lr"
_RUNS = 16, 16 + 2048

# How many times more the trained film and ffmpeg alone take turns.
_MORE = 2


class Run(NamedTuple):
    """The cost of a command: wall-clock and processor seconds, and the peak memory of it and of its ffmpeg."""

    time_s: float
    cpu_s: float
    peak_mb: float
    ffmpeg_mb: float


def command(*words: str | Path) -> Run:
    """Run `render` with these words and measure it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "from render.cli import main; main()", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak_mb = ffmpeg_mb = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak_mb = max(peak_mb, _most_mb(process.pid))
        ffmpeg_mb = max([ffmpeg_mb, *map(_most_mb, _children(process.pid))])
        time.sleep(0.02)
    _, status, used = ended
    if status:
        raise RuntimeError(f"render {words} ended with {status}")
    return Run(time.perf_counter() - began, used.ru_utime + used.ru_stime, peak_mb, ffmpeg_mb)


def _most_mb(pid: int) -> float:
    """Return the most memory that a process has held so far, in MB (Linux; 0 elsewhere, or when it is gone)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return max([int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")], default=0.0)


def _children(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def scene(folder: Path, size: tuple[int, int], seconds: float) -> Path:
    """Write the scene of this benchmark and return its path."""
    path = folder / "bench.toml"
    text = _SCENE.replace("WIDTH", str(size[0])).replace("HEIGHT", str(size[1])).replace("SECONDS", str(seconds))
    path.write_text(text, encoding="utf-8")
    return path


def measured(size: tuple[int, int] = (1920, 1080), seconds: float = 6.0) -> Iterator[tuple[str, str]]:
    """Yield what is measured as (name, figure with unit)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = ("--out", folder / "out", "--store", folder / "store")
        words = (scene(folder, size, seconds), "--quality", "scene", *here)
        helped = command("--help")
        yield "render --help", f"{helped.time_s:.2f} s"
        planned = command("plan", words[0], "--quality", "scene", "--store", folder / "store")
        yield "render plan", f"{planned.time_s:.2f} s"
        first = command("frame", words[0], "0", "--quality", "preview", *here)
        yield "first frame from nothing trained, preview", f"{first.time_s:.2f} s"
        from_nothing = command("video", *words)
        trained = command("video", *words)
        yield "film from nothing trained", f"{from_nothing.time_s:.1f} s"
        yield "film with everything trained", f"{trained.time_s:.1f} s ({trained.cpu_s:.1f} s of processor)"
        yield "most memory, training", f"{from_nothing.peak_mb:.0f} MB"
        yield "most memory, trained", f"{trained.peak_mb:.0f} MB, and ffmpeg {trained.ffmpeg_mb:.0f} MB"
        job = _trained(words[0], folder)
        frames, composing_s = _composed(job, folder / "frames")
        count = len(frames)
        yield "frames composed", f"{count / composing_s:.1f} a second, {count} frames"
        pairs = [(trained, _ffmpeg_alone(job, frames, folder / "alone.mp4"))]
        pairs += [(command("video", *words), _ffmpeg_alone(job, frames, folder / "alone.mp4")) for _ in range(_MORE)]
        alone_s = median(alone.time_s for _, alone in pairs)
        yield "ffmpeg alone, the same frames", f"{alone_s:.1f} s ({count / alone_s:.1f} frames a second)"
        begun = command("frame", words[0], "0", *words[1:])
        for what, times in ((f"{seconds:.0f} s", 1.0), ("a minute, by the same figures", 60 / seconds)):
            in_time, in_cpu = (
                median(
                    (start + times * (getattr(full, clock) - start)) / (times * getattr(alone, clock))
                    for full, alone in pairs
                )
                for clock, start in (("time_s", begun.time_s), ("cpu_s", begun.cpu_s))
            )
            ratios = f"{in_time:.2f} in time, {in_cpu:.2f} in processor time ({len(pairs)} pairs in turn)"
            yield f"trained film of {what}, against ffmpeg alone", ratios
        longer = command("video", scene(folder, size, 2 * seconds), "--quality", "scene", *here)
        memory = f"{longer.peak_mb:.0f} MB, and ffmpeg {longer.ffmpeg_mb:.0f} MB"
        yield "most memory, trained film twice as long", memory
        yield "pictures beside training, preview of a published condition", _beside_training(folder)


def _beside_training(folder: Path) -> str:
    """Return what pictures and their encoding add to the processor time of training, in a preview of a long film.

    A run's time is that of runs spread over all that the film trains. A picture's is that of a film as large of other
    samples, which are trained in a moment: pictures cannot tell. How many runs there are to a picture is the plan's to
    say. Start-up counts for neither.
    """
    plan = qualities.named(load(_PUBLISHED), "preview").plan
    output, problem = plan.scene.output, plan.scene.problem
    draws = training_rate.Draws(problem, plan.order, plan.patches)
    few, many = (_probe(folder, draws.batch(count, 0).points) for count in _RUNS)
    run_s = (many.cpu_s - few.cpu_s) / (_RUNS[1] - _RUNS[0])

    small = scene(folder, (output.width_px, output.height_px), 12.0)
    here = ("--quality", "scene", "--out", folder / "out", "--store", folder / "small")
    command("video", small, *here)
    pictures, start = command("video", small, *here), command("frame", small, "0", *here)
    frames = rendering.prepare(qualities.named(load(small), "scene"), folder / "small").frame_count
    picture_s = (pictures.cpu_s - start.cpu_s) / frames
    runs = plan.samples / plan.path.frame_count(output.fps)
    return (
        f"{picture_s / (runs * run_s):.1%} ({picture_s * 1e3:.1f} ms of processor a picture, {runs:.0f} runs a picture "
        f"of {run_s * 1e3:.1f} ms each)"
    )


def _probe(folder: Path, points: Points) -> Run:
    """Return what training at some points takes."""
    table = folder / "points.csv"
    rows = (f"{float(x)!r},{float(y)!r}" for x, y in zip(points.x, points.y, strict=True))
    table.write_text("\n".join(["x,y", *rows]) + "\n", encoding="ascii")
    return command("probe", _PUBLISHED, "--points", table, "--out", folder / "values.csv", "--precision", "float64")


def _trained(path: Path, folder: Path) -> Job:
    """Return the job of the benchmark's film."""
    loaded = load(path)
    return rendering.prepare(qualities.named(loaded, "scene"), folder / "store", backend=make("local", loaded.problem))


def _composed(job: Job, file: Path) -> tuple[np.ndarray, float]:
    """Return all frames of a trained film, in a file, and the seconds that composing them took."""
    output = job.scene.output
    frames = np.memmap(file, np.uint8, "w+", shape=(job.frame_count, output.height_px, output.width_px, 3))
    began = time.perf_counter()
    for number, picture in rendering.frames(job, range(job.frame_count)):
        frames[number] = picture
    return frames, time.perf_counter() - began


class Alone(NamedTuple):
    """What ffmpeg took by itself: seconds by the clock, and of processors."""

    time_s: float
    cpu_s: float


def _ffmpeg_alone(job: Job, frames: np.ndarray, path: Path) -> Alone:
    """Encode frames as the film is encoded."""
    output = job.scene.output
    size = output.width_px, output.height_px
    began, before = time.perf_counter(), os.times()
    with VideoWriter(path, size, output.fps, codec=output.codec, crf=output.crf) as writer:
        for picture in frames:
            writer.write(picture)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Alone(time.perf_counter() - began, cpu_s)
