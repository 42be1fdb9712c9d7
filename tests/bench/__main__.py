"""Speed, as ratios measured side by side in one run; and the whole comparison with the published figure.

    make bench                       one table: kernel, ways, plan, film
    make bench ARGS=kernel           one part of it
    make bench ARGS=explorer         the time until the explorer shows colour, in a real browser
    make bench ARGS=coding           error of codecs and palettes on a real film
    make bench ARGS=published        six windows of 96 x 96 samples against the published panels
    make bench ARGS=crossings        trivial non-convexity: the published exponents of the border along one axis
    make bench ARGS=onset            whether nets train fastest at the onset of chaos, over the learning rate (minutes)
    make bench ARGS=riddled          how little precision of the initial weights helps in a riddled basin
    make bench ARGS=rings            the time that rings save past float64
    make bench ARGS=switched         the cost of a film's levels after the switch, in both ways of training
    make bench ARGS=flashes          whether films that ship flash: those that train in a minute each, or as said
    make bench ARGS=gpu              both kernels on an NVIDIA device, in under ten minutes (not run on a card yet)
    make bench ARGS=truth            outcomes and values against runs in as many bits as they need (hours)

Ways are run in turn, several rounds, and medians are shown: machines drift. Printouts with machine and date are
kept in tests/bench/results.md.
"""

from __future__ import annotations

import inspect
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from render.errors import RenderError
from render.scene.wording import nearest, quoted

Row = tuple[str, str]

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


# How the published notebook trains, and the same with the steps in lax.scan, at these numbers of lanes.
_BATCHES = {"loop": (64, 256, 1024, 4096, 16384), "scan": (16, 64, 256, 1024)}


def kernels() -> Iterator[Row]:
    """Yield the time of a step by condition, its share of the machine's rates, and the work that escapes save."""
    from tests.bench import kernel

    ways, floors = kernel.conditions(), []
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        floors.append(kernel.floor())
        for name, way in ways.items():
            seen[name].append(way())
    for name, values in seen.items():
        yield f"{name}, step and sample", f"{median(values):.2f} us"
    tanh_us = median(seen["tanh"])
    products = median(floor.gflop_per_s for floor in floors)
    tanhs = median(floor.gtanh_per_s for floor in floors)
    floor_us = kernel.Floor(products, tanhs).step_us
    yield "machine's large product, tanh alone", f"{products:.0f} GFLOP/s, {tanhs:.2f} billion tanh/s"
    yield "tanh condition reaches", f"{kernel.FLOP / tanh_us / 1e3:.0f} GFLOP/s and {kernel.TANH / tanh_us / 1e3:.2f}"
    shares = [floor.step_us / value for floor, value in zip(floors, seen["tanh"], strict=True)]
    yield "floor by these two rates", f"{floor_us:.2f} us; the kernel is at {median(shares):.0%} of it"
    work, time_share = kernel.escape()
    yield "with escape, published tanh window", f"{work:.2f} of the work, {time_share:.2f} of the time"


def ways() -> Iterator[Row]:
    """Yield the rates of the ways without this project, and their ratios to ours, in turn in one run."""
    from tests.bench import kernel

    ours = kernel.Steady(kernel.tanh())
    others = {(way, n): baseline(way, n, max(8, 60_000 // n)) for way, batches in _BATCHES.items() for n in batches}
    ours_us: list[float] = []
    ratios: dict[tuple[str, int], list[float]] = {name: [] for name in others}
    for _ in range(ROUNDS):
        for name, run in others.items():
            # Machines drift within minutes: each ratio is taken against our own time just before and just after.
            before, other, after = ours(), run(), ours()
            ours_us += [before, after]
            ratios[name].append(other * 2 / (before + after))
    yield "this project, step and sample", f"{median(ours_us):.2f} us"
    for (way, lanes), values in ratios.items():
        yield f"{way}, {lanes:,} lanes", f"{median(values):.1f} times ours"
    for way in _BATCHES:
        best = min(median(values) for (other, _), values in ratios.items() if other == way)
        yield f"{way} at its best batch", f"{best:.1f} times ours"


def plans() -> Iterator[Row]:
    """Yield training runs per doubling of the zoom, in units of a frame's pixels."""
    from tests.bench import counts

    return counts.measured()


def picture_side() -> Iterator[Row]:
    """Yield the cost of everything except training."""
    from tests.bench import filmside

    return filmside.measured()


def explorer_start() -> Iterator[Row]:
    """Yield the time until the explorer's page shows colour."""
    from tests.bench import start

    return start.measured()


def coding() -> Iterator[Row]:
    """Yield size and error of codecs, and of palettes at one rate."""
    from tests.bench import coding

    return coding.measured()


def rings_side() -> Iterator[Row]:
    """Yield the time that rings save past float64."""
    from tests.bench import rings

    return rings.measured()


# Parts of the table by name: `make bench ARGS=kernel` is one of them.
def switched_side() -> Iterator[Row]:
    """Yield the cost of the levels after a film's switch."""
    from tests.bench import switched

    return switched.measured()


TABLE: dict[str, Callable[[], Iterator[Row]]] = {
    "kernel": kernels,
    "ways": ways,
    "plan": plans,
    "film": picture_side,
}
PARTS = TABLE | {"coding": coding, "explorer": explorer_start, "rings": rings_side, "switched": switched_side}


def speed(*names: str) -> None:
    from importlib.metadata import version

    from render.train import engine

    console.print(f"{date.today()}, {machine()}, jaxlib {version('jaxlib')}, {len(engine.devices())} devices")
    table = Table("what", "figure")
    for name in names:
        table.add_section()
        for what, figure in PARTS[name]():
            console.print(f"  {name}: {what}: {figure}")  # as it comes: the whole takes minutes
            table.add_row(what, figure)
    console.print(table)


def figure() -> None:
    from scipy.stats import spearmanr

    from render import backends
    from render.backends import single_points
    from render.samples import Field
    from tests.helpers import published

    console.print(machine())
    table = Table(title="96 x 96 samples of each published window")
    for column in ("condition", "converged", "mask agreement", "rank correlation", "seconds"):
        table.add_column(column, justify="left" if column == "condition" else "right")
    for name, condition in published.CONDITIONS.items():
        x, y = (grid.ravel() for grid in np.meshgrid(*condition.values()))
        result = Field.empty(x.shape)
        began = time.perf_counter()
        for piece, field in single_points.train(backends.make("local", published.problem_of(condition)), x, y):
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
    table = Table(title="Quadratic with a cosine: exponent of the border on one axis, 1,000 steps")
    for column in ("cosine", "epsilon", "intervals", "crossings", "exponent", "published", "seconds"):
        table.add_column(column, justify="left" if column == "cosine" else "right")
    for case in crossings.CASES:
        began = time.perf_counter()
        problem = crossings.problem(case.shape, epsilon=case.epsilon, wavelength=0.1, start=1.0)
        counts = crossings.counts(problem, crossings.WHOLE_LOG2)
        if case.stretch is not None:
            finer = crossings.counts(problem, crossings.FINEST_LOG2, crossings.STRETCH_LOG2, *case.stretch)
            known = crossings.WHOLE_LOG2 - crossings.STRETCH_LOG2
            console.print(f"{case.shape}: {counts[-1]:,} crossings on the line, {finer[known]:,} in the stretch")
            counts += finer[known + 1 :]
        numbers = f"{counts[-1]:,}", f"{crossings.exponent(counts):.3f}", f"{case.published}"
        table.add_row(
            case.shape, f"{case.epsilon:.3g}", f"2^{len(counts)}", *numbers, f"{time.perf_counter() - began:.0f}"
        )
        console.print(f"{case.shape}, {case.epsilon:.3g}: N(k) = {counts}")
    console.print(table)


def onset_of_chaos(width: str = "8") -> None:
    from tests.bench import onset

    if not width.isdecimal() or not int(width):
        raise RenderError(f"bench onset takes a width of its nets, a whole number from 1 on, not {quoted(width)}.")

    console.print(f"{date.today()}, {machine()}")
    table = Table(title=f"Eight tanh nets of width {width}: first step with a loss below {onset.THRESHOLD}")
    for column in ("learning rate", "arrive", "escape", "median steps", "median exponent a step"):
        table.add_column(column, justify="right")
    for row in onset.measured(int(width)):
        rates = f"{row.low:.2g} to {row.high:.2g}"
        table.add_row(rates, f"{row.arrive:.0%}", f"{row.escape:.0%}", f"{row.steps:.0f}", f"{row.exponent:.4f}")
    console.print(table)


def riddled_basin() -> None:
    from tests.bench import riddled

    console.print(f"{date.today()}, {machine()}")
    powers = (-2, -3, -4, -6, -8, -10, -12, -14)
    for power, share in zip(powers, riddled.shares(powers), strict=True):
        console.print(f"  pairs 1e{power} apart that end differently: {share:.1%}")
    for rate in (0.27, 0.273, 0.2735, 0.274):
        across, along, diffusion = riddled.exponents(rate)
        expected = riddled.predicted(across, along, diffusion)
        console.print(
            f"  learning rate {rate}: exponents across {across:.4f} and along the line {along:.3f}, diffusion "
            f"{diffusion:.3f}; expected uncertainty exponent {expected:.4f}"
        )


def flashing_films(*words: str) -> None:
    """Print whether films flash; exit code 1 if one of them does."""
    from tests.bench import flashes

    console.print(f"{date.today()}, {machine()}")
    table = Table(title="Flashes of films that ship")
    for column in ("scene", "frames", "runs", "training, min", "flashes"):
        table.add_column(column, justify="left" if column == "scene" else "right")
    flagged = []
    for row in flashes.measured(words):
        parts = [f"{part.first_s:.1f} to {part.last_s:.1f} s ({part.kind})" for part in row.stretches or []]
        outcome = "not made" if row.stretches is None else ", ".join(parts) or "none"
        console.print(f"  {row.name}: {outcome}; {row.frames:,} frames, made in {row.elapsed_s:.0f} s")
        table.add_row(row.name, f"{row.frames:,}", f"{row.runs:,}", f"{row.training_s / 60:.1f}", outcome)
        flagged += [row.name] if row.stretches else []
    console.print(table)
    sys.exit(1 if flagged else 0)


def on_a_card() -> None:
    """Print what the kernels do on an NVIDIA device; without one, or without Warp, a sentence, and exit code 2."""
    import importlib.util

    from render.backends import kernels
    from render.train import engine

    card, lacking = kernels.card(), None
    if card is None:
        lacking = "an NVIDIA device that JAX can use, and there is none here"
    elif importlib.util.find_spec("warp") is None:
        lacking = "NVIDIA Warp, the extra gpu-fused, and it is not installed"
    if card is None or lacking:
        print(f"bench gpu needs {lacking} (make bench GPU=cuda13 ARGS=gpu).", file=sys.stderr)
        sys.exit(2)
    from tests.bench import gpu

    console.print(f"{date.today()}, {machine()}")
    for what, figure in gpu.rows(card, engine.devices()[0]):
        console.print(f"  {what}: {figure}")


def against_truth(*words: str) -> None:
    from tests.bench import truth

    truth.main(words)


# What is printed by itself; further words are its own.
ALONE: dict[str, Callable[..., None]] = {
    "published": figure,
    "crossings": border_on_a_line,
    "riddled": riddled_basin,
    "gpu": on_a_card,
    "flashes": flashing_films,
    "onset": onset_of_chaos,
    "truth": against_truth,
}


def bench(words: Sequence[str]) -> None:
    """Print what some words ask for. Raises RenderError for words that ask for nothing."""
    name, *more = words or [""]
    if name in ALONE:
        try:
            inspect.signature(ALONE[name]).bind(*more)
        except TypeError:
            raise RenderError(f"bench {name} takes no such words: {' '.join(more)}.") from None
        ALONE[name](*more)
        return
    for word in words:
        if word in ALONE:
            raise RenderError(f"bench {word} is printed by itself: make bench ARGS={word}.")
        if word not in PARTS:
            known = ", ".join([*PARTS, *ALONE])
            raise RenderError(
                f"bench has no part {quoted(word)}{nearest(word, [*PARTS, *ALONE])} Its parts are {known}."
            )
    speed(*(words or TABLE))


if __name__ == "__main__":
    try:
        bench(sys.argv[1:])
    except RenderError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
