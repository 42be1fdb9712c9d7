"""The published tanh condition past float64, against programs that know nothing of differences: `deep.md`'s table.

    python -m tests.deep_table store/                     # all of it: about an hour of a core, gone on with
    python -m tests.deep_table store/ 1e-12,1e-20 0:4     # of these widths, the first four parts

The views lie on the way to the target of scenes/deep_tanh.toml. Down to 1e-15 decades the truth is
tests/helpers/oracle.py in 80-bit long double, 400 samples each; below, tests/helpers/exact.py in 256 bits, 24 samples
each. What is compared is what a film shows: samples followed from the one reference run of the film. What was worked
out is kept in store/deep_table.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from render import scene
from render.deep import reference_search
from render.deep.reference_search import Point
from render.problem import Problem
from render.train import engine
from render.train.past_float64 import difference_engine as engines
from tests.helpers import exact, oracle, published

LONG = ("1e-12", "1e-13", "1e-14", "1e-15")
EXACT = ("1e-16", "1e-20", "1e-25", "1e-30")
SIDE = 20
DRAWN = 24
AT_ONCE = 8  # lanes of long double: they fit a core's cache
NAMES = ("lr_input", "lr_output")


# log10 of the learning rates: the middle of a view of 5.7e-31 decades on the way down to the scene's target.
CENTRE = "1.123844193853485050345280280890006827347", "2.301807613058540087922280169647537230763"


def square(problem: Problem, width: str) -> list[Point]:
    """Return the samples of a square view about the centre, row by row."""
    level = 20 - int(np.log2(float(width)))
    offsets = [Fraction(width) * Fraction(2 * i + 1 - SIDE, 2 * SIDE) for i in range(SIDE)]
    x, y = (
        [
            Fraction(axis.value_from_unit(axis.unit_from_position(Fraction(middle) + offset), level))
            for offset in offsets
        ]
        for axis, middle in zip((problem.x, problem.y), CENTRE, strict=True)
    )
    return [Point(a, b) for b in y for a in x]


def drawn(problem: Problem, width: str) -> list[Point]:
    """Return those of them that are compared: all, or as many as 256 bits allow."""
    points = square(problem, width)
    chosen = np.random.default_rng(0).permutation(len(points))[:DRAWN]
    return [points[i] for i in chosen] if width in EXACT else points


def in_long_double(points: list[Point]) -> np.ndarray:
    """Return values of some runs in 80-bit arithmetic, or what this machine's long double has."""
    x, y = (np.array([_long(v) for v in column]) for column in zip(*points, strict=True))
    run = oracle.run(*published.draws(), activation="tanh", steps=500, names=NAMES, x=x, y=y)
    return np.asarray(run.value, np.float64)


def _long(value: Fraction) -> np.longdouble:
    nearest = np.longdouble(float(value))
    return nearest + np.longdouble(float(value - Fraction(float(value))))


def in_256_bits(points: list[Point]) -> np.ndarray:
    """Return values of some runs in 256 bits."""
    return np.array([exact.run(published.draws(), "tanh", 500, NAMES, *point) for point in points])


def kept(folder: Path, name: str, make, points: list[Point]) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return the truth of some points, from the folder if it was worked out before."""
    path = folder / f"{name}.npy"
    if not path.exists():
        start = time.perf_counter()
        values = make(points)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
        print(f"  {name}: {(time.perf_counter() - start) / len(points):.1f} s a run", file=sys.stderr, flush=True)
    return np.asarray(np.load(path))


def main(store: Path, widths: list[str], parts: slice) -> None:
    """Work out the truth that is not there yet, then print the table of all that is."""
    deepest = scene.load("deep_tanh")
    path = deepest.path(deepest.output)
    reference = reference_search.find_reference(
        deepest.problem, reference_search.points(deepest.problem, path), store, lambda words: None
    )
    plain, followed = engine.Engine(deepest.problem), engines.DeepEngine(deepest.problem, reference)
    print("| width of view, decades | samples | converged | signs | values to 0.1 % | left at | plain float64: signs |")
    print("|---|---|---|---|---|---|---|")
    for width in widths or [*LONG, *EXACT]:
        points = drawn(deepest.problem, width)
        size, make = (1, in_256_bits) if width in EXACT else (AT_ONCE, in_long_double)
        chunks = list(range(0, len(points), size))[parts]
        truth = np.concatenate(
            [kept(store / "deep_table" / width, f"{at:03d}", make, points[at : at + size]) for at in chunks]
        )
        points = [point for at in chunks for point in points[at : at + size]]
        at = reference_search.in_float64(points, reference)
        followed_runs = followed.follow(at)
        value, steps = (
            followed_runs.field.value,
            np.where(followed_runs.promotion_step < 0, 500, followed_runs.promotion_step),
        )
        signs, blue = (value < 0) == (truth < 0), truth < 0
        close = np.abs(value - truth)[blue] <= 1e-3 * np.abs(truth[blue])
        alone = (plain.run(at.x, at.y).value < 0) == (truth < 0)
        print(
            f"| {width} | {len(points)} | {blue.mean():.0%} | {signs.mean():.1%} | {close.mean():.1%} "
            f"| {np.median(steps):.0f} | {alone.mean():.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    first, last = (int(n) for n in sys.argv[3].split(":")) if len(sys.argv) > 3 else (0, None)
    main(Path(sys.argv[1]), [w for w in sys.argv[2].split(",") if w] if len(sys.argv) > 2 else [], slice(first, last))
