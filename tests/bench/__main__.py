"""Speed, as ratios measured side by side in one run; and the whole comparison with the published figure.

    make bench                       the table of speeds
    make bench ARGS=published        six windows of 96 x 96 samples against the published panels
    make bench ARGS=crossings        trivial non-convexity: the published exponents of the border along one axis

Ways are run in turn, several rounds, and medians are shown: machines drift. Printouts with machine and date are
kept in tests/bench/results.md.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

ROUNDS = 3
console = Console(highlight=False, soft_wrap=True)


def machine() -> str:
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def baseline(way: str, lanes: int, steps: int) -> Callable[[], float]:
    def run() -> float:
        command = [sys.executable, "-m", "tests.bench.baselines", way, str(lanes), str(steps)]
        environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS",)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return float(done.stdout)

    return run


def on_all_devices(trainer, x: np.ndarray, y: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    """Return the seconds in which every device trains these points once."""
    from render.train import engine

    threads = [threading.Thread(target=trainer.run, args=(x, y, device)) for device in engine.devices()]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def speed() -> None:
    import jaxlib.version

    from render.axes import Axis
    from render.problem import Problem
    from render.train import engine

    x_axis, y_axis = (Axis(name, "log10", Fraction(-3), Fraction(6)) for name in ("lr_input", "lr_output"))
    problem = Problem(x_axis, y_axis)
    devices = len(engine.devices())
    trainer = engine.Engine(problem)
    points = trainer.capacity() // 2
    steady = np.full(points, 0.1)  # converges: every step of every lane is done

    def ours() -> float:
        return on_all_devices(trainer, steady, steady) / points / devices / problem.steps * 1e6

    def window(size: int) -> tuple[np.ndarray, np.ndarray]:
        import published

        grid = np.meshgrid(*published.CONDITIONS["tanh"].values(size))
        return grid[0].ravel(), grid[1].ravel()

    wx, wy = window(int(points**0.5))
    escape_step = trainer.run(wx, wy).escape_step
    work_left = float(np.mean(np.where(escape_step >= 0, escape_step, problem.steps))) / problem.steps

    ways: dict[str, Callable[[], float]] = {
        "this project": ours,
        **{f"loop, {n:,} lanes": baseline("loop", n, max(8, 60_000 // n)) for n in (64, 256, 1024, 4096, 16384)},
        **{f"scan, {n:,} lanes": baseline("scan", n, max(8, 60_000 // n)) for n in (16, 64, 256, 1024)},
    }
    seen: dict[str, list[float]] = {name: [] for name in ways}
    escape: list[float] = []
    on_all_devices(trainer, steady, steady)  # compile
    for _ in range(ROUNDS):
        for name, run in ways.items():
            seen[name].append(run())
        for _ in range(3):  # the same number of points, all of them run to the end
            whole = on_all_devices(trainer, steady[: wx.size], steady[: wx.size])
            escape.append(on_all_devices(trainer, wx, wy) / whole)
    ours_us = median(seen["this project"])
    table = Table(title=f"{machine()}, jaxlib {jaxlib.version.__version__}, {devices} devices")
    for column in ("way (width 16, 272 examples, float64)", "us per step and sample", "ratio"):
        table.add_column(column, justify="left" if column.startswith("way") else "right")
    for name, values in seen.items():
        table.add_row(name, f"{median(values):.2f}", f"{median(values) / ours_us:.1f}")
    console.print(table)
    for way in ("loop", "scan"):
        best = min(median(values) for name, values in seen.items() if name.startswith(way))
        console.print(f"{way} at its best batch: {best / ours_us:.1f} times the time of this project")
    console.print(f"escape, published tanh window: {work_left:.2f} of the work, {median(escape):.2f} of the time")


def figure() -> None:
    import published
    from scipy.stats import spearmanr
    from test_windows import problem_of

    from render import backends, fields, film

    console.print(machine())
    table = Table(title="96 x 96 samples of each published window")
    for column in ("condition", "converged", "mask agreement", "rank correlation", "seconds"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    for name, condition in published.CONDITIONS.items():
        x, y = (grid.ravel() for grid in np.meshgrid(*condition.values()))
        result = fields.empty(x.shape)
        began = time.perf_counter()
        for piece, field in film.probe(backends.make("local", problem_of(condition)), x, y):
            result.value[piece] = field.value
        index = published.panel(name).ravel()
        table.add_row(
            name,
            f"{np.mean(result.value < 0):.1%}",
            f"{np.mean((result.value < 0) == (index > 127)):.1%}",
            f"{spearmanr(-result.value, index).statistic:.3f}",
            f"{time.perf_counter() - began:.0f}",
        )
    console.print(table)


def border_on_a_line() -> None:
    from tests.bench import crossings

    console.print(machine())
    table = Table(title="Quadratic with a cosine: exponent of the border on one axis, 2^22 intervals, 1,000 steps")
    for column in ("cosine", "crossings", "exponent", "published", "seconds"):
        table.add_column(column, justify="left" if column == "cosine" else "right")
    for shape, published_exponent in crossings.PUBLISHED.items():
        began = time.perf_counter()
        found = crossings.counts(crossings.problem(shape, epsilon=0.2, wavelength=0.1, start=1.0), 22)
        numbers = f"{found[-1]:,}", f"{crossings.exponent(found):.3f}", f"{published_exponent}"
        table.add_row(shape, *numbers, f"{time.perf_counter() - began:.0f}")
        console.print(f"{shape}: N(k) = {found}")
    console.print(table)


if __name__ == "__main__":
    {(): speed, ("published",): figure, ("crossings",): border_on_a_line}[tuple(sys.argv[1:])]()
