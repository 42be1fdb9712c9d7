"""How exact: outcomes by both ways of training against runs in as many bits as they need, by scene and depth.

    make bench ARGS=truth                         the shipped scenes of CASES, 24 samples at each width: hours of a core
    make bench ARGS="truth mean_lr 1e-8,1e-7"     some widths of one scene

The samples are drawn in square views about the place at which the scene's narrowest view lies. Differences follow the
reference run that the scene's film follows, through its rings. What was worked out in many bits is kept in the store,
and the same command goes on where it was stopped.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render import scene
from render.deep import reference_search
from render.deep.reference_search import Point
from render.errors import RenderError
from render.problem import Problem
from render.storage import exact_runs
from render.train.engine import Engine
from render.train.past_float64.difference_engine import DeepEngine
from render.train.past_float64.exact_run import ExactEngine

CASES = {
    "mean_lr": ("1.119773e-9", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4"),
    "tanh": ("1e-6", "1e-8", "1e-10"),
    "relu": ("1e-4", "1e-6", "1e-8"),
    "deep_tanh": ("1e-12", "1e-16", "1e-20", "1e-25", "3e-31"),
}
SAMPLES = 24
STORE = Path("store")
CORES = 2


class Row(NamedTuple):
    """One view: how many samples end as in many bits, and how many values of converged runs are right to 0.1 %."""

    scene: str
    width: str
    samples: int
    bits: int
    converged: int
    plain: tuple[int, int]
    followed: tuple[int, int]
    left: float

    def cells(self) -> list[str]:
        n = self.samples
        pairs = [f"{signs} of {n}, {values} of {self.converged}" for signs, values in (self.plain, self.followed)]
        return [self.scene, self.width, str(self.bits), *pairs, f"{self.left:.0f}"]


def drawn(problem: Problem, centre: tuple[Fraction, Fraction], width: str, count: int) -> list[Point]:
    """Return points of a square view, width in positions of the x axis, about a centre in units of the plane."""
    random = np.random.default_rng(0)
    wide = Fraction(width) / problem.x.span
    level = max(0, int(-np.log2(float(wide)))) + 20
    points = []
    for a, b in random.uniform(-0.5, 0.5, (count, 2)):
        x = problem.x.value_from_unit(centre[0] + Fraction(float(a)) * wide, level)
        y = problem.y.value_from_unit(centre[1] + Fraction(float(b)) * wide, level)
        points.append(Point(Fraction(x), Fraction(y)))
    return points


def _exact(job: tuple[Problem, Point, Path]) -> exact_runs.ExactRun:
    problem, point, store = job
    kept = exact_runs.load(store, problem, *point)
    if kept is None:
        kept = ExactEngine(problem).run(*point)
        exact_runs.save(kept, store, problem)
    return kept


def rows(name: str, widths: Sequence[str], store: Path, count: int = SAMPLES) -> Iterator[Row]:
    """Yield one row for each width."""
    loaded = scene.load(scene.find(name))
    problem, path = loaded.problem, loaded.path(loaded.output)
    narrowest = min((path.view(float(s)) for s in path.marks), key=lambda view: view.width)
    square = reference_search.points(problem, path)
    finest = float(reference_search.apart(square[0], square[-1]))
    reference = reference_search.find_reference(
        problem, square, store, lambda words: None, spacing=finest * 2.0**-16, reach=finest, diverging=False
    )
    plain, deep = Engine(problem), DeepEngine(problem, reference)
    for width in widths:
        points = drawn(problem, (narrowest.x, narrowest.y), width, count)
        with multiprocessing.get_context("spawn").Pool(CORES) as pool:
            truth = pool.map(_exact, [(problem, point, store) for point in points], chunksize=1)
        value = np.array([run.outcome["value"] for run in truth])
        at = reference_search.in_float64(points, reference)
        followed = deep.follow(at)
        left = np.where(followed.promotion_step < 0, problem.steps, followed.promotion_step)

        def right(values: np.ndarray, value: np.ndarray = value) -> tuple[int, int]:
            blue = value < 0
            close = np.abs(values - value)[blue] <= 1e-3 * np.abs(value[blue])
            return int(((values < 0) == blue).sum()), int(close.sum())

        most = max(run.bits for run in truth)
        blue = int((value < 0).sum())
        ways = right(plain.run(at.x, at.y).value), right(followed.field.value)
        yield Row(name, width, count, most, blue, *ways, float(np.median(left)))


def main(words: Sequence[str]) -> None:
    names = words[0].split(",") if words else list(CASES)
    if unknown := [name for name in names if name not in CASES and len(words) < 2]:
        raise RenderError(
            f"bench truth knows no widths for {', '.join(unknown)}, but for {', '.join(CASES)}. Name some, in decades: "
            f'make bench ARGS="truth {names[0]} 1e-6,1e-8".'
        )
    print("| scene | width, decades | bits | plain: signs, values | differences: signs, values | left after, median |")
    print("|---|---|---|---|---|---|")
    for name in names:
        for row in rows(name, words[1].split(",") if len(words) > 1 else CASES[name], STORE):
            print("| " + " | ".join(row.cells()) + " |", flush=True)
