"""Training at arbitrary points: a table of hyperparameters in, a table of what happened out."""

from __future__ import annotations

import csv
import functools
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from render import backends
from render.backends import single_points
from render.deep import reference_search
from render.deep.reference_search import Point, ReportStep
from render.errors import RenderError
from render.files.atomic import write_whole
from render.geometry import axes
from render.problem import Problem
from render.samples import Field, Points, Status
from render.scene import Scene
from render.scene.tables import MOST_STEPS
from render.storage import exact_runs
from render.storage.store import check_store
from render.tools import probe_record, probe_summary

COLUMNS = ("x", "y", "value", "status", "final_loss", "escape_step")
TRACED = ("point", "step", "loss")

# A table is read whole; ten million points are days of training even on an accelerator.
_MOST_POINTS = 10_000_000

# A trace is written as a text, of about 30 bytes a loss.
_MOST_LOSSES = 10_000_000


# How numbers are kept in a run; "auto" is float64 but for points that float64 cannot hold as they are written, "exact"
# is every run by itself, in as many bits as it needs.
Precision = Literal["auto", "float64", "differences", "exact"]


_HERE = functools.partial(backends.make, "local")


class Table(NamedTuple):
    """Points to train. x, y: float64 [points]. exact: those that float64 does not hold as written, by their place.

    texts: how those were written. names: of the two columns, as a person gave them.
    """

    x: np.ndarray
    y: np.ndarray
    exact: dict[int, Point]
    texts: dict[int, tuple[str, str]]
    names: tuple[str, str] = ("x", "y")


def run(
    loaded: Scene,
    points: Path,
    out: Path,
    *,
    precision: Precision = "auto",
    steps: int | None = None,
    trace: Path | None = None,
    force: bool = False,
    make_backend: Callable[[Problem], backends.Backend] = _HERE,
    store: Path = Path("store"),
    report_step: ReportStep = lambda words: None,
    remark: Callable[[str], None] = lambda words: None,
) -> Field:
    """Train a scene's problem at the points of a CSV file and write a CSV with one row each, in the same order.

    Returns what was written, a field [point]. remark: called with a sentence about points that a person may not mean.

    steps: of every run, instead of the scene's. trace: a CSV to write besides, of the loss before every step. Beside
    each table a JSON file says how it was made. force: replace also a table of another request, and a file of a person.
    make_backend: returns the backend that trains; points that need differences or exact runs are always trained in
    this process. store: folder of reference runs and of the outcomes of exact runs. report_step: called with a
    message at each step that takes long.
    """
    problem = alone(loaded.problem, steps)
    table = read_points(points, problem)
    request = probe_record.asked(_written(table), problem.steps, precision)
    recorded = [path for path in (out, trace) if path and probe_record.check(path, loaded, request, force=force)]
    if trace is not None:
        _check_trace(problem, table, precision, trace)
    if words := probe_summary.outside(problem, table.x, table.y):
        remark(words)
    bits = None
    if precision == "exact":
        result, bits = _trained_exactly(problem, table, store, report_step)
    else:
        result = train(
            problem, table, precision=precision, make_backend=make_backend, store=store, report_step=report_step
        )
    for path in recorded:
        probe_record.write(path, loaded, request)
    _write(out, table, result, bits)
    if trace is not None:
        report_step("losses")
        _write_trace(trace, problem, table, result.escape_step)
    return result


def alone(problem: Problem, steps: int | None = None) -> Problem:
    """Return the problem of single runs: of so many steps, or its own, and without the values of shorter ones.

    Raises RenderError for a number of steps that no scene may have.
    """
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise RenderError(f"--steps must be 1 to {MOST_STEPS:,}, not {steps:,}.")
    return replace(problem, steps=problem.steps if steps is None else steps, prefixes=())


def _check_trace(problem: Problem, points: Table, precision: Precision, trace: Path) -> None:
    """Refuse a trace of runs that are not float64, or of more losses than a table holds."""
    if precision in ("differences", "exact") or (precision == "auto" and points.exact):
        raise RenderError(
            f"--trace {trace}: losses are those of runs in float64. Leave it out, or give --precision float64, which "
            "takes every point as the nearest number that float64 holds."
        )
    if (count := points.x.size * problem.steps) > _MOST_LOSSES:
        raise RenderError(f"--trace {trace}: at most {_MOST_LOSSES:,} losses, not {count:,}; take fewer points.")


def _write_trace(path: Path, problem: Problem, points: Table, escape_step: np.ndarray) -> None:
    """Write the loss before every step, the escape step's included: a row for each point, by its row, and step."""
    from render.train.engine import Engine

    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(TRACED)
    # What is nan after an infinite loss, or none, is no loss: the run has been left alone.
    for number, losses in enumerate(Engine(problem).losses(points.x, points.y)):
        count = losses.size if escape_step[number] < 0 else escape_step[number] + 1
        table.writerows((number, t, repr(float(loss))) for t, loss in enumerate(losses[:count]))
    write_whole(path, text.getvalue().encode())


def train(
    problem: Problem,
    points: Table,
    *,
    precision: Precision = "auto",
    make_backend: Callable[[Problem], backends.Backend] = _HERE,
    store: Path = Path("store"),
    report_step: ReportStep = lambda words: None,
) -> Field:
    """Train a problem at the points of a table and return a field [point]; arguments as in `run`."""
    if precision == "exact":
        return _trained_exactly(problem, points, store, report_step)[0]
    result = Field.empty(points.x.shape, problem.channels)
    backend_of = functools.partial(make_backend, problem)
    for places, field in _trained(problem, points, precision, backend_of, store, report_step):
        for channel, values in zip(result, field, strict=True):
            channel[places] = values
    return result


def _trained(
    problem: Problem,
    table: Table,
    precision: Precision,
    make_backend: Callable[[], backends.Backend],
    store: Path,
    report_step: ReportStep,
) -> Iterator[tuple[np.ndarray, Field]]:
    """Yield (places of points, their field), each by the engine that it needs."""
    every = range(table.x.size)
    followed = {"auto": list(table.exact), "float64": [], "differences": list(every)}[precision]
    plain = np.setdiff1d(np.array(every), np.array(followed, dtype=int))
    backend = make_backend()
    if plain.size:
        for piece, field in single_points.train(backend, Points(table.x[plain], table.y[plain])):
            yield plain[piece], field
    points = [_point(table, i) for i in followed]
    if points:
        check_store(store)
    groups = reference_search.groups(points)
    for number, group in enumerate(groups, start=1):
        near = [points[i] for i in group]
        if len(groups) > 1:
            report_step(f"group {number} of {len(groups)}")
        reference = reference_search.find_reference(problem, near, store, report_step)
        report_step(f"{len(near):,} points by differences")
        places = np.array(followed)[group]
        for piece, field in single_points.train(backend, reference_search.in_float64(near, reference), reference):
            yield places[piece], field


def _point(table: Table, place: int) -> Point:
    """Return a point as written, or the float64 numbers nearest to it where these are written again as it was."""
    return table.exact.get(place) or Point(Fraction(table.x[place]), Fraction(table.y[place]))


def _trained_exactly(problem: Problem, table: Table, store: Path, report_step: ReportStep) -> tuple[Field, np.ndarray]:
    """Return the field of all points and the bits int [points] of each run. Every outcome is kept as soon as known."""
    from render.train.past_float64.exact_run import ExactEngine

    check_store(store)
    engine = ExactEngine(problem)
    result, bits_of = Field.empty(table.x.shape, problem.channels), np.zeros(table.x.size, dtype=int)
    for place in range(table.x.size):

        def report(bits: int, done: int, total: int, place: int = place) -> None:
            report_step(f"exact run {place + 1:,} of {table.x.size:,}, {bits} bits: {100 * done // total} %")

        point = _point(table, place)
        run = exact_runs.load(store, problem, *point)
        if run is None:
            run = engine.run(*point, report)
            exact_runs.save(run, store, problem)
        bits_of[place] = run.bits
        for name, channel in result.channels().items():
            channel[place] = run.outcome[name]
    return result, bits_of


def read_points(path: Path, problem: Problem) -> Table:
    """Return the points of a CSV with columns x and y, or of the axes' names; every fault is located by its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RenderError(f"{path}: the table of points cannot be read: {reason}.") from error
    rows = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in rows.fieldnames or []]
    axes_of = problem.x.name, problem.y.name
    columns = [long if long in names else short for long, short in zip(axes_of, "xy", strict=True)]
    doubled = [(long, short) for long, short in zip(axes_of, "xy", strict=True) if long in names and short in names]
    if doubled and doubled[0][0] != doubled[0][1]:
        raise RenderError(f"{path}: line 1 must name the column {' or '.join(doubled[0])}, not both.")
    if not {*columns} <= {*names}:
        raise RenderError(
            f"{path}: line 1 must name columns x and y, or {axes_of[0]} and {axes_of[1]}, not "
            f"{', '.join(names) or 'nothing'}."
        )
    rows.fieldnames = names
    pairs: list[tuple[str, str]] = []
    lines: list[int] = []
    for row in rows:
        if len(pairs) == _MOST_POINTS:
            raise RenderError(f"{path}: at most {_MOST_POINTS:,} points; split the table.")
        pairs.append(((row[columns[0]] or "").strip(), (row[columns[1]] or "").strip()))
        lines.append(rows.line_num)
    if not pairs:
        raise RenderError(f"{path}: the table must hold at least one point.")
    return _table(problem, pairs, lambda i: f"{path}: line {lines[i]}")._replace(names=(columns[0], columns[1]))


def table(problem: Problem, x: Sequence[str], y: Sequence[str]) -> Table:
    """Return points given as texts of any number of digits; every fault is located by its place, counted from 0."""
    return _table(problem, list(zip(x, y, strict=True)), lambda i: f"point {i}")


def _table(problem: Problem, pairs: Sequence[tuple[str, str]], place: Callable[[int], str]) -> Table:
    """Return points given as pairs of texts. place: says in words where the pair of a number was given."""
    values = np.empty((2, len(pairs)))
    exact: dict[int, Point] = {}
    for i, pair in enumerate(pairs):
        where = place(i)
        x, y = (_number(where, word, name, problem) for word, name in zip(pair, "xy", strict=True))
        if not (_holds(x, pair[0]) and _holds(y, pair[1])):
            exact[i] = Point(*(_exact(where, word, name) for word, name in zip(pair, "xy", strict=True)))
        values[:, i] = x, y
    return Table(values[0], values[1], exact, {i: pairs[i] for i in exact})


def _number(where: str, text: str, column: str, problem: Problem) -> float:
    axis = problem.x if column == "x" else problem.y
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RenderError(f"{where}: {column} must be a finite number ({axis.name}), not {text!r}.")
    return value


def _exact(where: str, text: str, column: str) -> Fraction:
    try:
        return axes.exact(text)
    except ValueError as error:
        raise RenderError(f"{where}: {column} {error}.") from None


def _holds(value: float, text: str) -> bool:
    """Return whether float64 holds a number as written: no digit is lost when it is written again."""
    return len(text) <= sys.float_info.dig or Decimal(repr(value)) == Decimal(text)


def _write(path: Path, points: Table, field: Field, bits: np.ndarray | None = None) -> None:
    """Write the table. bits: int [points] of exact runs, for a column of their own."""
    text = io.StringIO(newline="")
    _write_rows(text, points, field, bits)
    write_whole(path, text.getvalue().encode())


def _written(points: Table) -> Iterator[tuple[str, str]]:
    """Yield the coordinates of all points, as the table that is written has them."""
    for i in range(points.x.size):
        yield points.texts.get(i) or (repr(float(points.x[i])), repr(float(points.y[i])))


def _write_rows(file: IO[str], points: Table, field: Field, bits: np.ndarray | None) -> None:
    table = csv.writer(file)
    table.writerow([*points.names, *COLUMNS[2:], *field.more, *([] if bits is None else ["bits"])])
    for i, place in enumerate(_written(points)):
        status = Status(int(field.status[i])).name.lower().replace("_", "-")
        ended = [status, repr(float(field.final_loss[i])), int(field.escape_step[i])]
        further = [repr(float(more[i])) for more in field.more.values()]
        own_bits = [] if bits is None else [int(bits[i])]
        table.writerow([*place, repr(float(field.value[i])), *ended, *further, *own_bits])
