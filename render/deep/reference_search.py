"""Training at points that float64 cannot tell apart, or where its rounding would decide: by differences.

Points close to one another share a reference run. It is taken from the store if one stands near, else made: in
arbitrary precision, at a point of theirs whose run converges, and kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.errors import DepthError
from render.geometry.camera import Path as CameraPath
from render.geometry.camera import View
from render.problem import Problem
from render.samples import Field, Points
from render.storage import references, unfinished_runs
from render.storage.references import Reference

# Points within this relative distance share a reference. Following a run costs nothing in exactness; but a lane that
# starts further away is promoted earlier, and what plain rounding is amplified by after that is the ratio of the
# distance to the promotion threshold (1e-2): 1e-9 leaves it seven decades of growth less than a plain run has.
REACH = 1e-9

# Places tried for one group, the most promising by plain float64 first, then by chance: where float64 is noise, so is
# what it promises. With a quarter of the samples converging, twelve tries miss in 3 % of cases. A run that diverges is
# a poor reference: it leaves float64 before its last step, and from there on every lane is on its own.
_TRIES = 12


# A reference is looked for among 16 x 16 points of the narrowest view, and serves samples down to 1/65,536 of its
# width: any quality's. So all of them share it, and with it their tiles.
_SIDE = 16
_FINEST = 2.0**-16


class Point(NamedTuple):
    """Hyperparameter values on the two axes, exact."""

    x: Fraction
    y: Fraction


# Called with the current step of a long computation, in words.
ReportStep = Callable[[str], None]


def for_target(report_step: ReportStep, number: int, count: int) -> ReportStep:
    """Return a function that reports the steps about one of several targets, from 1 on, and says about which."""
    return report_step if count == 1 else lambda words: report_step(f"target {number} of {count}: {words}")


# And within this many times the least distance between them. Lanes that start a distance d from the reference leave it
# at 1e-2 of the state; of two that start d / 1e8 apart, 1e-10 is left between them then, six digits above rounding.
_STRETCH = 1e8


def groups(points: Sequence[Point], reach: float = REACH) -> list[list[int]]:
    """Return the places of points that can share a reference, group by group, in order of their first points."""
    grouped = []
    for places in _near(points, reach):
        near = [points[i] for i in places]
        fine = _STRETCH * _spacing(near)
        narrow = fine < max(apart(near[0], point) for point in near)
        grouped += [[places[i] for i in part] for part in groups(near, fine)] if narrow else [places]
    return sorted(grouped)


def _near(points: Sequence[Point], reach: float) -> list[list[int]]:
    """Return the places of points in reach of the first of their group, group by group."""
    circles: list[tuple[Point, list[int]]] = []
    cells: dict[tuple[int, int], list[int]] = {}
    for i, point in enumerate(points):
        cell = _cell(point, points[0], reach)
        near = (number for a in (-1, 0, 1) for b in (-1, 0, 1) for number in cells.get((cell[0] + a, cell[1] + b), ()))
        mine = next((number for number in near if apart(circles[number][0], point) <= reach), None)
        if mine is None:
            cells.setdefault(cell, []).append(len(circles))
            circles.append((point, [i]))
        else:
            circles[mine][1].append(i)
    return [places for _, places in circles]


def _cell(point: Point, origin: Point, reach: float) -> tuple[int, int]:
    """Return whole numbers that differ by at most one between points in reach of each other.

    origin: another of the points; all of them are near it where reach is less than REACH.
    """

    def along(value: Fraction, start: Fraction) -> int:
        if reach < REACH:  # exact: float64 could not tell them apart
            return (value - start) // (abs(start) * Fraction(2 * reach)) if start else 0
        size = float(value)
        return math.floor(math.copysign(math.log(abs(size)), 1.0) / (2 * reach)) if size else 0

    return along(point.x, origin.x), along(point.y, origin.y)


def apart(a: Point, b: Point) -> float:
    """Return how far apart two points are, relative to their values."""
    distances = (abs(p - q) / max(abs(p), abs(q)) if p != q else Fraction(0) for p, q in zip(a, b, strict=True))
    return float(max(distances))


def reach_of(spacing: float) -> float:
    """Return how far from a reference samples may stand that are `spacing` apart; both relative to their values."""
    return min(REACH, _STRETCH * spacing)


def find_reference(
    problem: Problem,
    points: Sequence[Point],
    root: Path,
    report_step: ReportStep,
    *,
    spacing: float | None = None,
    reach: float | None = None,
    diverging: bool = True,
) -> Reference:
    """Return a reference for points near one another: one that the store keeps, or a new one, kept from now on.

    spacing: the least relative distance of points that it shall serve; None for that of these. reach: how near one of
    the store must stand; None for what the spacing allows. diverging: whether a run that diverges will do where no
    other is found; else DepthError.
    """
    spacing = _spacing(points) if spacing is None else spacing
    reach = reach_of(spacing) if reach is None else reach
    kept = kept_reference(problem, points, root, spacing=spacing, reach=reach, diverging=diverging)
    return kept or new_reference(problem, points, references.bits_for(spacing), root, report_step, diverging=diverging)


def kept_reference(
    problem: Problem, points: Sequence[Point], root: Path, *, spacing: float, reach: float, diverging: bool
) -> Reference | None:
    """Return the reference for points near one another that the store keeps, or None."""
    middle, bits = points[len(points) // 2], references.bits_for(spacing)
    fitting = [kept for kept in references.load_all(root, problem) if kept.bits >= bits]
    here = set(points)
    # One that diverges is the best there was at its place; elsewhere a better one may be found.
    near = [kept for kept in fitting if kept.converged and apart(_place(kept), middle) <= reach]
    near = near or [kept for kept in fitting if diverging and _place(kept) in here]
    return min(near, key=lambda kept: (not kept.converged, apart(_place(kept), middle)), default=None)


def _place(reference: Reference) -> Point:
    return Point(reference.x, reference.y)


def new_reference(
    problem: Problem,
    points: Sequence[Point],
    bits: int,
    root: Path,
    report_step: ReportStep,
    *,
    diverging: bool,
    guide: Reference | None = None,
) -> Reference:
    """Return a new reference at one of some points, whatever the store keeps, and keep it. diverging: as above.

    guide: another reference, not too far away, that tells which points converge: only those are tried then.
    """
    from render.train import engine
    from render.train.past_float64 import difference_engine as engines
    from render.train.past_float64 import reference_run

    plain = engine.Engine(problem)
    step = -(-len(points) // plain.capacity())
    sample = list(points[::step])
    others = [int(i) for i in np.random.default_rng(0).permutation(len(sample))]
    if guide is None:
        first = _promising(plain.train(in_float64(sample)), sample)[0]
        order = [first, *(i for i in others if i != first)][:_TRIES]
    else:
        field = engines.DeepEngine(problem, guide, rings=False).follow(in_float64(sample, guide)).field
        first = _promising(field, sample)[0]
        order = [i for i in [first, *(i for i in others if i != first)] if field.value[i] < 0][:_TRIES]
    reference: Reference | None = None

    def report_as(what: str) -> Callable[[int, int], None]:
        return lambda done, total: report_step(f"{what}, {bits} bits: {100 * done // total} %")

    for tried, chosen in enumerate(order, start=1):
        report = report_as(f"reference run, try {tried} of at most {len(order)}")
        reference = reference_run.make_converged(problem, *sample[chosen], bits, report, root=root)
        if reference is not None:
            break
    if reference is None and not diverging:
        raise DepthError(
            f"Past float64 there must be a run near the target that converges, to follow the others from, but none of "
            f"the {len(order)} tried does. Choose another target (`render descend` finds some)."
        )
    if reference is None:
        report = report_as("reference run, which diverges as all tries do")
        reference = reference_run.make(problem, *sample[first], bits, report, root=root)
    stored = references.save(reference, root, problem)
    unfinished_runs.remove([sample[i] for i in {*order, first}], root, problem)
    return stored


def _promising(field: Field, points: Sequence[Point]) -> list[int]:
    """Return the places of points, first those that converge, nearest the middle; then those that last longest."""
    middle = points[len(points) // 2]
    last = np.where(field.escape_step < 0, np.iinfo(np.int32).max, field.escape_step)
    return sorted(range(len(points)), key=lambda i: (field.value[i] >= 0, -int(last[i]), apart(points[i], middle)))


def _spacing(points: Sequence[Point]) -> float:
    """Return the least relative distance of points that are neighbours in order; that of float64 if there are none."""
    ordered = sorted(points)
    gaps = [gap for a, b in itertools.pairwise(ordered) if (gap := apart(a, b)) > 0]
    return min(gaps, default=2.0**-53)


def in_float64(points: Sequence[Point], reference: Reference | None = None) -> Points:
    """Return exact points as engines take them; with a reference, with their differences from it."""
    x, y = np.array([float(p.x) for p in points]), np.array([float(p.y) for p in points])
    if reference is None:
        return Points(x, y)
    dx = np.array([float(p.x - reference.x) for p in points])
    return Points(x, y, dx, np.array([float(p.y - reference.y) for p in points]))


def points(problem: Problem, path: CameraPath) -> list[Point]:
    """Return the points of a square inside the narrowest view of a path, row by row."""
    return points_in(problem, min((path.view(float(s)) for s in path.marks), key=lambda view: view.width))


def points_in(problem: Problem, view: View) -> list[Point]:
    """Return the points of a square inside a view, row by row: where its reference run is looked for."""
    steps = [Fraction(2 * i + 1 - _SIDE, 4 * _SIDE) for i in range(_SIDE)]  # the middle half: inside any shape of frame
    width = Fraction(view.width)
    return [point_of(problem, view.x + i * width, view.y + j * width, view.width) for j in steps for i in steps]


def point_of(problem: Problem, x: Fraction, y: Fraction, width: float) -> Point:
    """Return the hyperparameter values at unit coordinates, to the digits that a view so wide needs at any quality."""
    level = max(0, math.ceil(-math.log2(width))) + 16
    return Point(Fraction(problem.x.value_from_unit(x, level)), Fraction(problem.y.value_from_unit(y, level)))


def reference_at(problem: Problem, view: View, root: Path, report_step: ReportStep | None) -> Reference | None:
    """Return the reference run of a target: one that the store keeps, or a new one; None without `report_step`."""
    here = points_in(problem, view)
    width = max(float(apart(here[0], here[-1])), np.finfo(float).tiny)
    spacing = width * _FINEST
    if report_step is None:
        return kept_reference(problem, here, root, spacing=spacing, reach=width, diverging=False)
    return find_reference(problem, here, root, report_step, spacing=spacing, reach=width, diverging=False)
