"""Values of training runs as arrays: all samples of a window, or single points."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.analyse import subject
from render.api import display, preparation
from render.api.listener import SILENT, Listener
from render.api.preparation import MakeBackend, local_backend
from render.api.scene_argument import takes_scene
from render.errors import RenderError
from render.film import selection
from render.film.slices import Slices
from render.geometry import axes, camera
from render.geometry.axes import Axis
from render.geometry.tiles import SAMPLES, TileRange
from render.samples import Field
from render.scene import Scene
from render.tools import probe as probing
from render.tools.probe import Precision

# A window of more samples would not fit into the memory of a small machine, and would take days to train.
_MOST_SAMPLES = 100_000_000


@dataclass(frozen=True, eq=False)
class Window:
    """All samples of one level in a rectangle of the plane.

    x: float64 [columns], y: float64 [rows], both rising: hyperparameter values of the samples. level: of the lattice.
    field: every channel, [rows, columns]; `field.value` is negative where a run converged. columns, rows: indices of
    the samples on the level's lattice, which has 32 * 2**level samples along each side of the plane.
    """

    x: np.ndarray
    y: np.ndarray
    level: int
    field: Field
    columns: range
    rows: range

    def __repr__(self) -> str:
        return display.sentence(self)

    def _repr_html_(self) -> str:
        return display.window(self)


@takes_scene
def field(
    scene: Scene,
    at: str | int = "last",
    *,
    window: Sequence[str | float] | None = None,
    samples: int = 256,
    store: str | os.PathLike[str] = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Window:
    """Return the values of a frame's view, or of a window, as arrays. What the store lacks is trained and stored.

    at: the frame, as `frame` reads it. window: instead, (x_low, x_high, y_low, y_high) in hyperparameter units, as
    numbers, or as texts of any number of digits. samples: along x, at least; the coarsest level that has as many is
    taken, so that films of the scene share these samples. Where steps, hyperparameters or settings move between
    keyframes, the values are those of the slice that the frame shows most of.
    Raises RenderError for a window that is empty, lies outside the plane, or holds more than 100 million samples.
    """
    scene.check_plane("arrays")
    return trained(asked(scene, at, window, samples), Path(store), make_backend, listener)[0]


@dataclass(frozen=True)
class Asked:
    """A window that was asked for: which samples of which problem it holds. Nothing is trained yet.

    scene: with the problem of the slice that is shown. steps: of that slice. columns, rows: as in `Window`.
    """

    scene: Scene
    slices: Slices
    steps: int
    level: int
    columns: range
    rows: range

    @property
    def area(self) -> TileRange:
        """All tiles that the window lies in."""
        return TileRange(
            self.level,
            self.columns.start // SAMPLES,
            -(-self.columns.stop // SAMPLES),
            self.rows.start // SAMPLES,
            -(-self.rows.stop // SAMPLES),
        )

    @property
    def facts(self) -> dict[str, str | int]:
        """The facts that identify these samples, as short values."""
        return {
            "level": self.level,
            "first_column": str(self.columns.start),
            "first_row": str(self.rows.start),
            "columns": len(self.columns),
            "rows": len(self.rows),
            "samples_of": self.scene.problem.key,
            "samples_after": self.steps,
        }


def asked(scene: Scene, at: str | int, window: Sequence[str | float] | None, samples: int) -> Asked:
    """Return which samples `field` would return. Raises RenderError as `field` does."""
    if samples < 2:
        raise RenderError(f"samples must be at least 2, not {samples}.")
    path, s = _place(scene, at)
    x0, x1, y0, y1 = path.viewport(s).edges() if window is None else _window_edges(scene, window)
    slices = Slices(scene.problem, path, scene.output.slices)
    shown = slices.nearest(s)
    level = max(0, math.ceil(math.log2(samples / (SAMPLES * float(x1 - x0)))))
    columns, rows = _indices(x0, x1, level), _indices(y0, y1, level)
    width, height = columns.stop - columns.start, rows.stop - rows.start  # len() fails for ranges this long
    if width <= 0 or height <= 0:
        raise RenderError(f"{scene.name}: the window holds no sample of the plane. Choose another one.")
    if width * height > _MOST_SAMPLES:
        raise RenderError(
            f"{scene.name}: the window would hold {width * height:,} samples, more than {_MOST_SAMPLES:,}. "
            "Ask for fewer samples."
        )
    shown_scene = replace(scene, problem=slices.problems[shown.problem])
    return Asked(shown_scene, slices, shown.steps, level, columns, rows)


def trained(
    asked: Asked, store: Path, make_backend: MakeBackend, listener: Listener
) -> tuple[Window, dict[str, str | int]]:
    """Return a window, trained where the store lacks it, and the numerics of its samples."""
    level, columns, rows, area = asked.level, asked.columns, asked.rows, asked.area
    with preparation.reference_run(listener) as report_step:
        prepared = subject.prepare(asked.scene, store, make_backend, level=level, report_step=report_step)
    tiles = area.tiles()
    missing = subject.missing_samples(prepared, tiles)
    with (
        listener.training(asked.scene, tiles, missing, prepared.backend) as report,
        subject.trained_tiles(prepared, tiles, report) as fetch,
    ):
        field = asked.slices.field(asked.steps, subject.field_of(fetch, area))
    first_x, first_y = area.x0 * SAMPLES, area.y0 * SAMPLES
    inside = (
        slice(rows.start - first_y, rows.stop - first_y),
        slice(columns.start - first_x, columns.stop - first_x),
    )
    problem = asked.scene.problem
    window = Window(
        _axis_values(problem.x, level, columns),
        _axis_values(problem.y, level, rows),
        level,
        field.at(inside),
        columns,
        rows,
    )
    return window, dict(prepared.numerics)


@takes_scene
def probe(
    scene: Scene,
    x: Sequence[float | str] | np.ndarray,
    y: Sequence[float | str] | np.ndarray,
    *,
    precision: Precision = "auto",
    steps: int | None = None,
    store: str | os.PathLike[str] = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Field:
    """Train at arbitrary points and return a field [point]: value, status, final loss, escape step, other channels.

    x, y: hyperparameter values, as numbers, or as texts of any number of digits. precision: "auto" follows points that
    float64 cannot hold by their differences from a reference run; "float64" and "differences" insist on one of them.
    "exact" trains each point by itself in as many bits as it needs, seconds to minutes each. steps: of every run,
    instead of the scene's.
    Only exact outcomes are stored. Raises RenderError.
    """
    if len(x) != len(y) or not len(x):
        raise RenderError(f"x and y must have the same number of points, at least one, not {len(x)} and {len(y)}.")
    problem = probing.alone(scene.problem, steps)
    with preparation.reference_run(listener) as report_step:
        return probing.train(
            problem,
            probing.table(problem, [str(v) for v in x], [str(v) for v in y]),
            precision=precision,
            make_backend=make_backend,
            store=Path(store),
            report_step=report_step,
        )


def _place(scene: Scene, at: str | int) -> tuple[camera.Path, float]:
    """Return the camera's path, and the path length of a frame."""
    path, fps = scene.path(scene.output), scene.output.fps
    numbers = selection.numbers([at], path.frame_count(fps), path.duration_s)
    if len(numbers) != 1:
        raise RenderError(f"at must select one frame, not {len(numbers)}: {at!r}.")
    return path, path.s_of_frame(numbers[0], fps)


def _window_edges(scene: Scene, window: Sequence[str | float]) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return the unit coordinates of a window's edges, given as hyperparameter values."""
    if len(window) != 4:
        raise RenderError(f"window must be (x_low, x_high, y_low, y_high), not {len(window)} values.")
    low_high = [_unit(axis, value) for axis, value in zip(_axes(scene), window, strict=True)]
    x0, x1, y0, y1 = low_high
    if not (x0 < x1 and y0 < y1):
        raise RenderError(f"window must rise along both axes, not be {tuple(window)!r}.")
    return x0, x1, y0, y1


def _axes(scene: Scene) -> tuple[Axis, Axis, Axis, Axis]:
    x, y = scene.problem.x, scene.problem.y
    return x, x, y, y


def _unit(axis: Axis, value: str | float) -> Fraction:
    try:
        exact = axes.exact(value) if isinstance(value, str) else Fraction(value)
        return axis.unit_from_position(axis.position_from_value(exact))
    except (ValueError, OverflowError) as error:
        raise RenderError(f"window: {axis.name} {error}.") from None


def _indices(low: Fraction, high: Fraction, level: int) -> range:
    """Return the lattice indices of a level in [low, high] that lie in the plane."""
    count = SAMPLES << level
    return range(max(0, math.ceil(low * count)), min(count, math.floor(high * count) + 1))


def _axis_values(axis: Axis, level: int, indices: range) -> np.ndarray:
    """Return the hyperparameter values of lattice indices, float64, as they are trained."""
    first, last = indices.start // SAMPLES, (indices.stop - 1) // SAMPLES
    values = np.concatenate([axis.values(level, tile * SAMPLES) for tile in range(first, last + 1)])
    return values[indices.start - first * SAMPLES : indices.stop - first * SAMPLES]
