"""Training at arbitrary points: a table of hyperparameters in, a table of what happened out."""

from __future__ import annotations

import csv
import functools
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from render import backends
from render.backends import single_points
from render.deep import reference_search
from render.deep.reference_search import Point, Tell
from render.errors import RenderError
from render.files.atomic import check_target, write_whole
from render.geometry import axes
from render.problem import Problem
from render.samples import Field, Status
from render.scene import Scene
from render.storage.store import check_store

COLUMNS = ("x", "y", "value", "status", "final_loss", "escape_step")

# A table is read whole; ten million points are days of training even on an accelerator.
_MOST_POINTS = 10_000_000


# How numbers are kept in a run; "auto" is float64 but for points that float64 cannot hold as they are written.
Precision = Literal["auto", "float64", "differences"]


_HERE = functools.partial(backends.make, "local")


class Table(NamedTuple):
    """Points to train. x, y: float64 [points]. exact: those that float64 does not hold as written, by their place."""

    x: np.ndarray
    y: np.ndarray
    exact: dict[int, Point]
    texts: dict[int, tuple[str, str]]


def run(
    loaded: Scene,
    points: Path,
    out: Path,
    *,
    precision: Precision = "auto",
    make_backend: Callable[[Problem], backends.Backend] = _HERE,
    store: Path = Path("store"),
    tell: Tell = lambda words: None,
) -> None:
    """Train a scene's problem at the points of a CSV file and write a CSV with one row each, in the same order.

    make_backend: of where to train; points that need differences are trained here all the same. store: where reference
    runs are kept. tell: told what takes long.
    """
    table = read_points(points, loaded.problem)
    check_target(out)
    result = train(loaded.problem, table, precision=precision, make_backend=make_backend, store=store, tell=tell)
    _write(out, table, result)


def train(
    problem: Problem,
    points: Table,
    *,
    precision: Precision = "auto",
    make_backend: Callable[[Problem], backends.Backend] = _HERE,
    store: Path = Path("store"),
    tell: Tell = lambda words: None,
) -> Field:
    """Train a problem at the points of a table and return a field [point]; arguments as in `run`."""
    result = Field.empty(points.x.shape, problem.channels)
    backend = functools.partial(make_backend, problem)
    for places, field in _trained(problem, points, precision, backend, store, tell):
        for channel, values in zip(result, field, strict=True):
            channel[places] = values
    return result


def _trained(
    problem: Problem,
    table: Table,
    precision: Precision,
    plain_backend: Callable[[], backends.Backend],
    store: Path,
    tell: Tell,
) -> Iterator[tuple[np.ndarray, Field]]:
    """Yield (places of points, their field), each by the engine that it needs."""
    every = range(table.x.size)
    followed = {"auto": list(table.exact), "float64": [], "differences": list(every)}[precision]
    plain = np.setdiff1d(np.array(every), np.array(followed, dtype=int))
    if plain.size:
        for piece, field in single_points.train(plain_backend(), table.x[plain], table.y[plain]):
            yield plain[piece], field
    points = [table.exact.get(i) or Point(Fraction(table.x[i]), Fraction(table.y[i])) for i in followed]
    if points:
        check_store(store)
    groups = reference_search.groups(points)
    for number, group in enumerate(groups, start=1):
        own = [points[i] for i in group]
        if len(groups) > 1:
            tell(f"group {number} of {len(groups)}")
        reference = reference_search.find_reference(problem, own, store, tell)
        tell(f"{len(own):,} points by differences")
        backend, places = reference_search.backend(problem, reference), np.array(followed)[group]
        for piece, field in single_points.train(
            backend, *reference_search.columns(own), *reference_search.differences(own, reference)
        ):
            yield places[piece], field


def read_points(path: Path, problem: Problem) -> Table:
    """Return the points of a CSV with columns x and y; every fault is located by its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RenderError(f"{path}: the table of points cannot be read: {reason}.") from error
    rows = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in rows.fieldnames or []]
    if "x" not in names or "y" not in names:
        raise RenderError(f"{path}: line 1 must name columns x and y, not {', '.join(names) or 'nothing'}.")
    rows.fieldnames = names
    pairs: list[tuple[str, str]] = []
    lines: list[int] = []
    for row in rows:
        if len(pairs) == _MOST_POINTS:
            raise RenderError(f"{path}: at most {_MOST_POINTS:,} points; split the table.")
        pairs.append(((row["x"] or "").strip(), (row["y"] or "").strip()))
        lines.append(rows.line_num)
    if not pairs:
        raise RenderError(f"{path}: the table must hold at least one point.")
    return _table(problem, pairs, lambda i: f"{path}: line {lines[i]}")


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
    """Say whether float64 holds a number as written: no digit is lost when it is written again."""
    return len(text) <= sys.float_info.dig or Decimal(repr(value)) == Decimal(text)


def _write(path: Path, points: Table, field: Field) -> None:
    text = io.StringIO(newline="")
    _write_rows(text, points, field)
    write_whole(path, text.getvalue().encode())


def _write_rows(file: IO[str], points: Table, field: Field) -> None:
    table = csv.writer(file)
    table.writerow([*COLUMNS, *field.more])
    for i in range(points.x.size):
        status = Status(int(field.status[i])).name.lower().replace("_", "-")
        place = points.texts.get(i) or (repr(float(points.x[i])), repr(float(points.y[i])))
        ended = [status, repr(float(field.final_loss[i])), int(field.escape_step[i])]
        table.writerow(
            [*place, repr(float(field.value[i])), *ended, *(repr(float(more[i])) for more in field.more.values())]
        )
