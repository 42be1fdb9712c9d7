"""Training at arbitrary points: a table of hyperparameters in, a table of what happened out."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import math
import os
from pathlib import Path

import numpy as np

from render import backends, fields, film
from render.errors import RenderError
from render.fields import Status
from render.problem import Problem
from render.scene import Scene

COLUMNS = ("x", "y", "value", "status", "final_loss", "escape_step")

# A table is read whole; ten million points are days of training even on an accelerator.
_MOST_POINTS = 10_000_000


def run(loaded: Scene, points: Path, out: Path) -> None:
    """Train a scene's problem at the points of a CSV file and write a CSV with one row each, in the same order."""
    x, y = read_points(points, loaded.problem)
    _check_writable(out)
    result = fields.empty(x.shape, loaded.problem.channels)
    for piece, field in film.probe(backends.make("local", loaded.problem), x, y):
        for channel, values in zip(result, field, strict=True):
            channel[piece] = values
    _write(out, x, y, result)


def read_points(path: Path, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 x, y [points] of a CSV with columns x and y; every fault is located by its line."""
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
    points: list[tuple[float, float]] = []
    for row in rows:
        if len(points) == _MOST_POINTS:
            raise RenderError(f"{path}: at most {_MOST_POINTS:,} points; split the table.")
        points.append(
            (_number(path, rows.line_num, row, "x", problem), _number(path, rows.line_num, row, "y", problem))
        )
    if not points:
        raise RenderError(f"{path}: the table must hold at least one point.")
    x, y = np.array(points, dtype=np.float64).T
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def _number(path: Path, line: int, row: dict[str, str | None], column: str, problem: Problem) -> float:
    text = (row[column] or "").strip()
    axis = problem.x if column == "x" else problem.y
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RenderError(f"{path}: line {line}: {column} must be a finite number ({axis.name}), not {text!r}.")
    return value


def _check_writable(path: Path) -> None:
    """Refuse an output that cannot be written before training for it; leave nothing behind."""
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def _unwritable(path: Path, error: OSError) -> RenderError:
    return RenderError(f"{path}: cannot be written: {error.strerror}. Choose another --out.")


def _write(path: Path, x: np.ndarray, y: np.ndarray, field: fields.Field) -> None:
    partial = _partial(path)
    try:
        _write_rows(partial, x, y, field)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise _unwritable(path, error) from error


def _write_rows(path: Path, x: np.ndarray, y: np.ndarray, field: fields.Field) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, *field.more])
        for i in range(x.size):
            status = Status(int(field.status[i])).name.lower().replace("_", "-")
            numbers = (float(v) for v in (x[i], y[i], field.value[i]))
            ended = [status, repr(float(field.final_loss[i])), int(field.escape_step[i])]
            table.writerow([*map(repr, numbers), *ended, *(repr(float(more[i])) for more in field.more.values())])
