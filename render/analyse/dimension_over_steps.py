"""The dimension of the boundary after more and more steps of training, beside that of null models.

The windows and their samples are those of `dimension`: one run gives the value of the measure after any number of its
first steps. A null model has as many converged samples as the window has after the same number of steps, since what an
estimator says of a line or of noise depends on their share.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from render.analyse import dimension, estimators, null_models
from render.analyse.dimension import Spread
from render.analyse.estimators import ESTIMATORS
from render.analyse.subject import Subject, trained_tiles
from render.errors import RenderError
from render.film.rendering import Report
from render.geometry.tiles import Tile, TileRange
from render.problem.ladder import ladder
from render.samples import value_after
from render.scene import Scene

# Windows are measured after these multiples of every power of ten.
_STEPS = (1, 2, 5)

PUBLISHED_PROCEDURE = "published"


@dataclass(frozen=True)
class After:
    """The statistics of all windows after so many steps.

    windows: how many of them a boundary crosses. share: of all samples, those that converged. estimates: by name of
    ESTIMATORS, and "published" for the published procedure; None where no boundary crosses. null: model -> the same
    names -> median.
    """

    steps: int
    windows: int
    share: float
    estimates: dict[str, Spread | None]
    null: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Result:
    """A row for each number of steps. count: how many windows there are. widths: of the widest and of the narrowest."""

    scene: str
    problem: str
    side: int
    unit: str
    count: int
    widths: tuple[float, float]
    rows: tuple[After, ...]


def numbers_of_steps(steps: int) -> list[int]:
    """Return the numbers of steps after which windows are measured: 5, 10, 20, 50 and so on, and the whole run."""
    rungs = [digit * 10**power for power in range(7) for digit in _STEPS]
    return [count for count in rungs if 5 <= count < steps] + [steps]


def asking(scene: Scene) -> Scene:
    """Return the scene with the values of shorter runs kept. Raises RenderError where runs have none."""
    problem = scene.problem
    if reason := problem.row.no_prefixes(dict(problem.settings)):
        raise RenderError(f"{scene.name}: --over steps needs runs whose first steps are a shorter run, but {reason}.")
    return dataclasses.replace(scene, problem=dataclasses.replace(problem, prefixes=ladder(problem.steps)))


def run(subject: Subject, side: int, deepest: int | None, report: Report) -> Result:
    """Train the windows of a scene, or what the store lacks of them, and measure each after more and more steps."""
    areas = dimension.windows(subject.scene, side, deepest)
    steps = numbers_of_steps(subject.problem.steps)
    measured: dict[int, list[_Measured]] = {count: [] for count in steps}
    with trained_tiles(subject, dimension.tiles_of(areas), report) as fetch:
        for area in areas:
            tiles = [[fetch(Tile(area.level, ix, iy)) for ix in range(area.x0, area.x1)] for iy in _rows(area)]
            for count in steps:
                last = count == subject.problem.steps
                rows = [[tile.value if last else tile.more[value_after(count)] for tile in row] for row in tiles]
                measured[count].append(_measure(np.block(rows) < 0, area.level))
    x = subject.problem.x
    widths = [float(x.span) * dimension.across_unit(area) for area in areas]
    return Result(
        scene=subject.scene.name,
        problem=subject.problem.key,
        side=side,
        unit="decades" if x.scale == "log10" else "units",
        count=len(areas),
        widths=(widths[0], widths[-1]),
        rows=tuple(_after(count, windows) for count, windows in measured.items()),
    )


def measuring_s(side: int, count: int, steps: int) -> float:
    """Return about how many seconds it takes to measure so many windows after all numbers of steps, once trained."""
    noise = null_models.NULLS["noise"](side, 0.5, 0)
    _measure(noise, 0)  # loads SciPy's part of it
    start_s = time.perf_counter()
    _measure(noise, 0)
    return count * len(numbers_of_steps(steps)) * (time.perf_counter() - start_s)


def _rows(area: TileRange) -> range:
    return range(area.y0, area.y1)


@dataclass(frozen=True)
class _Measured:
    """One window after some steps. dimensions: by name; empty where no boundary crosses it. null: the same by model."""

    share: float
    dimensions: dict[str, float]
    null: dict[str, dict[str, float]]


def _measure(mask: np.ndarray, seed: int) -> _Measured:
    share, dimensions = float(mask.mean()), _dimensions(mask)
    nulls = {model: make(mask.shape[0], share, seed) for model, make in null_models.NULLS.items()} if dimensions else {}
    return _Measured(share, dimensions, {model: _dimensions(null) for model, null in nulls.items()})


def _dimensions(mask: np.ndarray) -> dict[str, float]:
    dimensions = {name: e.dimension for name in ESTIMATORS if (e := estimators.estimate(name, mask)) is not None}
    slopes = estimators.published_slopes(estimators.edges(mask))
    if dimensions and np.isfinite(slopes).any():
        dimensions[PUBLISHED_PROCEDURE] = float(np.nanmedian(slopes))
    return dimensions


def _after(steps: int, windows: list[_Measured]) -> After:
    names = (*ESTIMATORS, PUBLISHED_PROCEDURE)

    def median(model: str, name: str) -> float | None:
        values = [window.null[model][name] for window in windows if name in window.null.get(model, {})]
        return float(np.median(values)) if values else None

    return After(
        steps=steps,
        windows=sum("box" in window.dimensions for window in windows),
        share=float(np.mean([window.share for window in windows])),
        estimates={
            name: dimension.spread([w.dimensions[name] for w in windows if name in w.dimensions]) for name in names
        },
        null={model: {name: median(model, name) for name in names} for model in null_models.NULLS},
    )
