"""Descending into the border: from a view ever further into a cell that both outcomes share, as deep as it goes.

Each step trains a grid of samples over a square view, takes a pair of neighbours that end differently, by chance with a
seed, and goes on with the view around the place between them, narrower by a constant factor. Below the widths where
float64 decides the picture, samples are followed by differences from a reference run, which is renewed on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from render import deep
from render.deep import Point
from render.fields import Field
from render.problem import Problem
from render.references import Reference

# Samples along a side of a view, and how much narrower the next view is: a cell of the grid is 1/16 of the view, so the
# next view shows two cells across. The published zooms choose by eye; a random border cell is as good a rule as any.
SIDE = 16
FACTOR = 8

# Views narrower than this, in positions (decades on a log10 axis), go by differences: plain float64 has all signs right
# down to 1e-10 on the published tanh condition, 93 to 96 % of them at 1e-12.
PLAIN_WIDTH = 1e-9

# A reference serves this many steps down, about seven decades: the lanes of a view far narrower than its distance from
# the reference would leave that together, long before they leave each other.
_STEPS_PER_REFERENCE = 8


@dataclass(frozen=True)
class View:
    """A square view on the way down. x, y: exact positions of its centre. width: in positions of the x axis.

    share: of its samples that converged. promotion_step: median step at which lanes left the reference; None if plain.
    """

    x: Fraction
    y: Fraction
    width: Fraction
    share: float
    promotion_step: float | None


def views(
    problem: Problem,
    centre: tuple[Fraction, Fraction],
    width: Fraction,
    narrowest: float,
    store: Path,
    *,
    seed: int = 0,
    tell: Callable[[View | str], None] = lambda news: None,
) -> list[View]:
    """Return the views from `width` down to `narrowest` (positions of the x axis), or as far as the border goes.

    store: where reference runs are kept. tell: told of every view as it is done, and in words what takes long.
    """
    rng, passed = np.random.default_rng(seed), []
    reference, since = None, 0
    x, y = centre
    while True:
        plain = width > PLAIN_WIDTH
        points = grid(problem, x, y, width)
        if not plain and (reference is None or since == _STEPS_PER_REFERENCE):
            reference, since = _renewed(problem, points, reference, narrowest, store, tell), 0
        field, promotion = _trained(problem, points, None if plain else reference)
        since += 1
        passed.append(View(x, y, width, float(np.mean(field.value < 0)), promotion))
        tell(passed[-1])
        places = _border(field)
        if width / FACTOR < narrowest * (1 - 1e-9) or not places:
            return passed
        row, column = places[int(rng.integers(len(places)))]
        cell = width / SIDE
        x += cell * (Fraction(column) - Fraction(SIDE - 1, 2))
        y += cell * (Fraction(row) - Fraction(SIDE - 1, 2)) * problem.y.span / problem.x.span
        width /= FACTOR


def grid(problem: Problem, x: Fraction, y: Fraction, width: Fraction) -> list[Point]:
    """Return the cell centres [SIDE * SIDE] of a square view, row by row from below."""
    offsets = [width * Fraction(2 * i + 1 - SIDE, 2 * SIDE) for i in range(SIDE)]
    stretch = problem.y.span / problem.x.span
    columns = [Fraction(problem.x.value_from_unit(problem.x.unit_from_position(x + a))) for a in offsets]
    rows = [Fraction(problem.y.value_from_unit(problem.y.unit_from_position(y + b * stretch))) for b in offsets]
    return [Point(column, row) for row in rows for column in columns]


def _renewed(
    problem: Problem,
    points: list[Point],
    last: Reference | None,
    narrowest: float,
    store: Path,
    tell: Callable[[View | str], None],
) -> Reference:
    """Return a reference in this view: at a sample that converges by what the last reference says."""
    spacing, reach = narrowest / SIDE, deep.REACH
    if last is not None:
        field, _ = _trained(problem, points, last)
        good = np.flatnonzero(field.value < 0)
        if not good.size:
            return last
        points, reach = [points[good[len(good) // 2]]], 0.0  # the last one itself would be in reach
    return deep.find_reference(problem, points, store, tell, spacing=spacing, reach=reach)


def _trained(problem: Problem, points: list[Point], reference: Reference | None) -> tuple[Field, float | None]:
    from render.train import deep as engines
    from render.train import engine

    x, y = deep.columns(points)
    if reference is None:
        return engine.Engine(problem).run(x, y), None
    followed = engines.DeepEngine(problem, reference).follow(x, y, *deep.differences(points, reference))
    left = np.where(followed.promotion_step < 0, problem.steps, followed.promotion_step)
    return followed.field, float(np.median(left))


def _border(field: Field) -> list[tuple[float, float]]:
    """Return the places (row, column) between neighbours that end differently."""
    mask = (field.value < 0).reshape(SIDE, SIDE)
    across = np.argwhere(mask[:, 1:] != mask[:, :-1])
    up = np.argwhere(mask[1:] != mask[:-1])
    return [(float(r), c + 0.5) for r, c in across] + [(r + 0.5, float(c)) for r, c in up]
