"""Descending into the border: from a view ever further into a cell that both outcomes share, as deep as it goes.

Each step trains a grid of samples over a square view, takes a pair of neighbours that end differently, by chance with a
seed, and goes on with the view around the place between them, narrower by a constant factor. Below the widths where
float64 decides the picture, samples are followed by differences from a reference run, which is renewed on the way.
Whenever it is, samples are trained again in full precision: what is found does not rest on differences alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.deep import reference_search
from render.deep.reference_search import Point
from render.errors import DepthError
from render.problem import Problem
from render.samples import Field
from render.storage import references, unfinished_runs
from render.storage.references import Reference

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

# What differences say of a converged sample and what its own run in full precision does may be this far apart,
# relative. Seen on the published tanh condition: at most 6e-6, mostly below 1e-8.
_AGREE = 1e-3


@dataclass(frozen=True)
class View:
    """A square view on the way down. x, y: exact positions of its centre. width: in positions of the x axis.

    share: of its samples that converged. promotion_step: median step at which lanes left the reference; None if plain.
    checked: whether samples of it were trained again in full precision, and ended alike.
    """

    x: Fraction
    y: Fraction
    width: Fraction
    share: float
    promotion_step: float | None
    checked: bool = False


# Called with every view once it is done, and with a message for every step that takes long.
ReportDescent = Callable[[View | str], None]


def views(
    problem: Problem,
    centre: tuple[Fraction, Fraction],
    width: Fraction,
    narrowest: float,
    store: Path,
    *,
    seed: int = 0,
    report_step: ReportDescent = lambda news: None,
) -> list[View]:
    """Return the views from `width` down to `narrowest` (positions of the x axis), or as far as the border goes.

    In the last view that a reference serves, two samples are trained in full precision: one that converged, which is
    the next reference, and one that diverged. Where either outcome contradicts the differences, the stretch is
    repeated from a new reference, and half as long. store: where reference runs are kept. Raises DepthError where even
    single views come out wrong.
    """
    rng = np.random.default_rng(seed)
    passed: list[View] = []
    reference: Reference | None = None
    spacing = narrowest / SIDE
    serves, first = _STEPS_PER_REFERENCE, 0
    x, y = centre
    while True:
        points = grid(problem, x, y, width)
        plain = width > PLAIN_WIDTH
        if not plain and reference is None:
            first = len(passed)
            reference = _first_reference(
                problem, points, spacing, store, report_step, search_again=serves < _STEPS_PER_REFERENCE
            )
        field, promotion = _trained(problem, points, reference)
        passed.append(View(x, y, width, float(np.mean(field.value < 0)), promotion))
        places = _border(field)
        last = width / FACTOR < narrowest * (1 - 1e-9) or not places
        if reference is not None and (last or len(passed) - first == serves):
            renewed = _confirmed(problem, points, field, reference, spacing, store, report_step)
            if renewed is None:
                start = passed[first]
                if serves == 1:
                    raise DepthError(
                        f"Samples followed by differences must end as they do in full precision, but in a view "
                        f"{float(width):.1e} wide they do not, not even from a reference inside it. Try another seed."
                    )
                report_step(f"differences went wrong at {float(width):.1e}: back to {float(start.width):.1e}")
                (x, y, width), reference, serves = (start.x, start.y, start.width), None, serves // 2
                del passed[first:]
                continue
            passed[-1] = dataclasses.replace(passed[-1], checked=True)
            reference, first = renewed, len(passed)
        report_step(passed[-1])
        if last:
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
    level = max(0, math.ceil(math.log2(problem.x.span / width)))
    columns = [Fraction(problem.x.value_from_unit(problem.x.unit_from_position(x + a), level)) for a in offsets]
    rows = [Fraction(problem.y.value_from_unit(problem.y.unit_from_position(y + b * stretch), level)) for b in offsets]
    return [Point(column, row) for row in rows for column in columns]


def _first_reference(
    problem: Problem,
    points: list[Point],
    spacing: float,
    store: Path,
    report_step: ReportDescent,
    *,
    search_again: bool,
) -> Reference:
    """Return a reference in this view, or one that the store keeps within its width. search_again: none of those."""
    if search_again:
        return reference_search.new_reference(
            problem, points, references.bits_for(spacing), store, report_step, diverging=False
        )
    width = reference_search.apart(points[0], points[-1])
    return reference_search.find_reference(
        problem, points, store, report_step, spacing=spacing, reach=width, diverging=False
    )


def _confirmed(
    problem: Problem,
    points: list[Point],
    field: Field,
    reference: Reference,
    spacing: float,
    store: Path,
    report_step: ReportDescent,
) -> Reference | None:
    """Return the next reference if samples of this view end in full precision as in `field`, else None.

    It stands at the converged sample nearest the middle; where none converged, the last one stays.
    """
    from render.train.past_float64 import reference_run as runs

    good, bad = (_nearest_middle(np.flatnonzero(kind)) for kind in (field.value < 0, field.value >= 0))
    if bad is not None:
        bits = references.bits_for(spacing)
        final_value = runs.value(
            problem, *points[bad], bits, lambda t, total: report_step(f"check: {100 * t // total} %"), root=store
        )
        if final_value < 0:
            return None
    if good is None:
        return reference
    confirmed = reference_search.find_reference(problem, [points[good]], store, report_step, spacing=spacing, reach=0.0)
    if bad is not None:  # the check is of no more use, now that the reference after it is stored
        unfinished_runs.remove([points[bad]], store, problem)
    right = abs(confirmed.value - float(field.value[good])) <= _AGREE * abs(confirmed.value)
    return confirmed if right else None


def _nearest_middle(places: np.ndarray) -> int | None:
    """Return the one of some places of a view that is nearest its middle; None of none."""
    rows, columns = np.divmod(places, SIDE)
    middle = (SIDE - 1) / 2
    return int(places[np.argmin(np.hypot(rows - middle, columns - middle))]) if places.size else None


def _trained(problem: Problem, points: list[Point], reference: Reference | None) -> tuple[Field, float | None]:
    from render.train import engine
    from render.train.past_float64 import difference_engine as engines

    at = reference_search.in_float64(points, reference)
    if reference is None:
        return engine.Engine(problem).train(at), None
    followed = engines.DeepEngine(problem, reference, rings=False).follow(at)
    left = np.where(followed.promotion_step < 0, problem.steps, followed.promotion_step)
    return followed.field, float(np.median(left))


def _border(field: Field) -> list[tuple[float, float]]:
    """Return the places (row, column) between neighbours that end differently."""
    mask = (field.value < 0).reshape(SIDE, SIDE)
    across = np.argwhere(mask[:, 1:] != mask[:, :-1])
    up = np.argwhere(mask[1:] != mask[:-1])
    return [(float(r), c + 0.5) for r, c in across] + [(r + 0.5, float(c)) for r, c in up]
