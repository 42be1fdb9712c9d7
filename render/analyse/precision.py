"""Measures where float64 ends for a target: two orders of summation, view by view, and how fast runs diverge.

Two runs that add the same numbers in opposite orders are the same run but for rounding. Where their outcomes agree, the
picture is that of the exact runs; where they agree only as often as by chance, rounding decides it. The tangent norm
says how deep there is structure at all: runs at a distance du end about du times the norm apart (relative to the
weights), so that runs closer than one over the norm are one run, and a deeper view is a single colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from render.analyse.subject import Subject, missing_points, time_points, train_points
from render.backends import Backend
from render.deep import reference_search
from render.errors import RenderError
from render.film.rendering import Progress, Report
from render.film.training_rate import Rate
from render.geometry.camera import View
from render.problem import Problem
from render.samples import Field
from render.scene import Scene
from render.storage.references import Reference

# Samples along a side of the square that is compared in every view. The standard error of a share of 144 signs is at
# most four percentage points.
SIDE = 12

# How often each sample is trained: see `run`.
_TRAININGS = 4

# Below the film's last view, each further view is narrower by this factor, about a place where neighbours end
# differently.
_FACTOR = 8

# Signs agree in at least this share where the picture is right; chance is about one half.
_TRUSTED = 0.95

# Below this share the signs of both orders are nearly unrelated, and narrower views would show nothing new.
_CHANCE = 0.70

# Points at which the tangent norm is taken: the target, and others around it in the film's last view.
_TANGENTS = 16

# So many decades below its depth budget a target shows one straight border. Seen at two, in `tanh` and `mean_lr`:
# stripes still at the budget, 1e-31.0 and 1e-19.8 decades; a line wherever looked at from 4.2 and 3.2 decades below it.
_BLANK = 3.0


@dataclass(frozen=True)
class Agreement:
    """One view. width: in positions (decades). signs, values: shares of samples that agree in both orders of summation,
    values to 0.1 %. share: of the samples, those that converged.

    last_place: share of the samples that end differently, converged or not, where either hyperparameter is one unit in
    the last place larger. Where it is not 0, rounding of the hyperparameters decides some samples of the picture.
    """

    width: float
    signs: float
    values: float
    share: float
    last_place: float

    @property
    def mixed(self) -> bool:
        """Return whether the view holds both outcomes, without which agreement says nothing."""
        return 0 < self.share < 1


@dataclass(frozen=True)
class Tangents:
    """Tangent norms |dW/du| / |W| of runs in the last view, and how one of them grew.

    norms: [run], at the end of those that stay finite, rising. growth: [steps], of the run with the median norm.
    target: the norm of the run at the target itself; None if it escapes. runs: how many were followed.
    """

    norms: tuple[float, ...]
    growth: tuple[float, ...]
    target: float | None
    runs: int

    @property
    def decades(self) -> float | None:
        """Depth budget: log10 of the median norm. The narrowest view worth rendering is 10 to the minus this."""
        return math.log10(float(np.median(self.norms))) if self.norms else None


@dataclass(frozen=True)
class Leaving:
    """The steps at which runs of the last view of a film past float64 leave its reference run.

    median_step: the median of those steps. steps: of a whole run. stay: share of the `runs` that never leave, and so
    end as the reference run does.
    """

    median_step: float
    steps: int
    stay: float
    runs: int


@dataclass(frozen=True)
class Result:
    """Views from wide to narrow, and the tangents at the target. sums: how many sums of a step were reversed.

    Widths are in units of `unit`: decades on log10 axes. span: of the x axis. last_width: of the film's last view.
    leaving: None unless the film goes past float64.
    """

    scene: str
    problem: str
    unit: str
    span: float
    last_width: float
    sums: int
    views: tuple[Agreement, ...]
    tangents: Tangents
    leaving: Leaving | None = None

    @property
    def float64_ends(self) -> float | None:
        """Width of view below which fewer than 95 % of signs agree, between two views; None if there is none."""
        before: Agreement | None = None
        for view in (v for v in self.views if v.mixed):
            if view.signs < _TRUSTED:
                if before is None:
                    return view.width
                share = (before.signs - _TRUSTED) / (before.signs - view.signs)
                return float(before.width * (view.width / before.width) ** share)
            before = view
        return None


def run(subject: Subject, report: Report) -> Result:
    """Train 144 points four times in each view: along the film by decades, then below its last view until float64 ends.

    The four are: as in a film, with all sums backwards, and with either hyperparameter one unit in the last place
    larger.
    """
    from render.train import reversed_sums

    scene, problem = subject.scene, subject.problem
    backends = _backends(subject)
    expected, done = expected_runs(scene), 0

    def trained(view: View) -> list[Field]:
        nonlocal done
        fields = []
        for backend, points in zip(backends, _points(problem, view), strict=True):

            def so_far(now: Progress, start: int = done) -> None:
                report(Progress(0, 0, start + now.samples_done, expected))

            fields.append(train_points(subject, *points, so_far, backend=backend))
            done += SIDE * SIDE
        return fields

    views = _compared(scene, trained)
    report(Progress(0, 0, expected, expected))
    unit = "decades" if problem.x.scale == "log10" else "units"
    last_width = _last_view(scene).width * float(problem.x.span)
    reference = subject.switch.references[0] if subject.switch else None
    left = None if reference is None else leaving(scene, reference)
    bounds, sums = tangents(scene, reference), reversed_sums.sums(problem)
    return Result(scene.name, problem.key, unit, float(problem.x.span), last_width, sums, views, bounds, left)


def outlook(subject: Subject) -> tuple[int, Callable[[], Rate]]:
    """Return the most runs that `run` has yet to train, and what measures their rate.

    The rate is that of the first view that is not stored, trained in both orders of summation: backward sums take
    longer, and single views fill blocks less well than a film does.
    """
    backends = _backends(subject)
    walked = 0

    def kept(view: View) -> list[Field]:
        nonlocal walked
        quads = list(zip(backends, _points(subject.problem, view), strict=True))
        if lacking := sum(missing_points(subject, *points, backend=backend) for backend, points in quads):
            raise _Lacking(view, lacking)
        walked += 1
        return [train_points(subject, *points, lambda _: None, backend=backend) for backend, points in quads]

    try:
        _compared(subject.scene, kept)
    except _Lacking as first:
        view = first.view
        grid = _grid(subject.problem, view)

        def measure() -> Rate:
            forwards_s, backwards_s = (time_points(backend, *grid) for backend in backends[:2])
            return Rate(_TRAININGS * SIDE * SIDE / ((_TRAININGS - 1) * forwards_s + backwards_s))

        return expected_runs(subject.scene) - (walked + 1) * _TRAININGS * SIDE * SIDE + first.runs, measure
    return 0, lambda: Rate(math.inf)


class _Lacking(Exception):
    """Raised for the first view of which some runs are not stored; runs: how many."""

    def __init__(self, view: View, runs: int) -> None:
        super().__init__()
        self.view, self.runs = view, runs


def _backends(subject: Subject) -> tuple[Backend, ...]:
    """Return what trains each of the four fields of a view. Raises RenderError for a step that adds nothing up."""
    from render.backends.local import LocalBackend
    from render.train import reversed_sums

    if reversed_sums.sums(subject.problem) == 0:
        raise RenderError(
            f"{subject.scene.name}: a step of system {subject.problem.system!r} adds nothing up: there is no order of "
            "sums to change. Its depth is in `render plan`."
        )
    return subject.backend, LocalBackend(subject.problem, backwards=True), subject.backend, subject.backend


def _points(problem: Problem, view: View) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the x, y of each of the four fields of a view, in the order of `_backends`."""
    x, y = _grid(problem, view)
    return [(x, y), (x, y), (np.nextafter(x, np.inf), y), (x, np.nextafter(y, np.inf))]


def _compared(scene: Scene, fields_of: Callable[[View], list[Field]]) -> tuple[Agreement, ...]:
    """Compare views from wide to narrow, until signs agree as if by chance. fields_of: a view's four fields."""
    span = float(scene.problem.x.span)
    views: list[Agreement] = []

    def compared(view: View) -> Field:
        """Add a view to the result, and return its field as a film has it."""
        fields = fields_of(view)
        views.append(_agreement(view.width * span, *fields))
        return fields[0]

    for view in _film_views(scene):
        forward = compared(view)
        if views[-1].signs < _CHANCE:
            break
    for _ in range(_steps_below(scene) if views[-1].signs >= _CHANCE else 0):
        narrower = _descend(view, forward)
        if narrower is None:
            break
        view = narrower
        forward = compared(view)
        if views[-1].signs < _CHANCE:
            break
    return tuple(views)


def expected_runs(scene: Scene) -> int:
    """Return the most training runs that `run` needs."""
    return (len(_film_views(scene)) + _steps_below(scene)) * _TRAININGS * SIDE * SIDE


def leaving(scene: Scene, reference: Reference) -> Leaving:
    """Follow 256 runs of a deep scene's narrowest view by their differences from its reference."""
    from render.train.past_float64.difference_engine import DeepEngine

    points = reference_search.points(scene.problem, scene.path(scene.output))
    followed = DeepEngine(scene.problem, reference, rings=False).follow(reference_search.in_float64(points, reference))
    steps = followed.promotion_step
    left = np.where(steps < 0, scene.problem.steps, steps)
    return Leaving(float(np.median(left)), scene.problem.steps, float(np.mean(steps < 0)), steps.size)


def tangents(scene: Scene, reference: Reference | None = None) -> Tangents:
    """Follow the tangents of some runs in a scene's last view. This takes a second or two, and nothing is stored.

    reference: for a view past float64; then the tangent of this run alone is followed, since no other one is known.
    """
    from render.train import tangent

    problem, view = scene.problem, _last_view(scene)
    if reference is not None:
        place = np.array([float(reference.x)]), np.array([float(reference.y)])
        along = tangent.run(problem, *place, states=reference.states).growth[:, 0]
        return Tangents((float(along[-1]),), tuple(float(v) for v in along), float(along[-1]), 1)
    chosen = np.random.default_rng(0).uniform(-0.5, 0.5, (_TANGENTS, 2)) * (view.width, view.width)
    chosen[0] = 0.0
    x = np.array([float(problem.x.value_from_unit(view.x + Fraction(float(a)))) for a, _ in chosen])
    y = np.array([float(problem.y.value_from_unit(view.y + Fraction(float(b)))) for _, b in chosen])
    with np.errstate(all="ignore"):
        growth = tangent.run(problem, x, y).growth
    final = growth[-1]
    finite = np.flatnonzero(np.isfinite(final) & (final > 0))
    order = finite[np.argsort(final[finite])]
    middle = growth[:, order[(len(order) - 1) // 2]] if len(order) else np.array([])
    return Tangents(
        tuple(float(v) for v in final[order]),
        tuple(float(v) for v in middle),
        float(final[0]) if np.isfinite(final[0]) and final[0] > 0 else None,
        _TANGENTS,
    )


def past_budget(scene: Scene, bounds: Tangents) -> str | None:
    """Return a warning if a film goes on where its target has no more to show, else None."""
    narrowest = _last_view(scene).width * float(scene.problem.x.span)
    if bounds.decades is None or narrowest >= 10.0 ** -(bounds.decades + _BLANK):
        return None
    return (
        f"The last view is {narrowest:.1g} decades high, but nearby runs at its target part so little that views below "
        f"about 1e-{bounds.decades:.0f} show one straight border. End the film there, or choose another target."
    )


def _last_view(scene: Scene) -> View:
    """Return the film's last view as a square of its height."""
    path = scene.path(scene.output)
    view = path.view(path.length)
    return View(view.x, view.y, view.width * scene.output.height_px / scene.output.width_px)


def _film_views(scene: Scene) -> list[View]:
    """Return square views on the film's path, each about a decade narrower, to where float64 separates no samples."""
    path, aspect = scene.path(scene.output), scene.output.height_px / scene.output.width_px
    count = max(1, round(path.length / math.log2(10)))
    views = [path.view(path.length * i / count) for i in range(count + 1)]
    return [view for v in views if (view := View(v.x, v.y, v.width * aspect)).width >= _narrowest(scene)]


def _steps_below(scene: Scene) -> int:
    """Return how many views fit between the film's last view and the narrowest whose samples float64 can tell apart."""
    return max(0, math.floor(math.log(_last_view(scene).width / _narrowest(scene), _FACTOR)))


def _narrowest(scene: Scene) -> float:
    """Return the width of the narrowest view whose samples float64 can tell apart, in units of the plane."""
    return float(SIDE / (32 * 2.0**scene.problem.deepest_level))


def _unit(centre: Fraction, width: float) -> list[Fraction]:
    return [centre + Fraction(width) * Fraction(2 * i + 1 - SIDE, 2 * SIDE) for i in range(SIDE)]


def _grid(problem: Problem, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return x, y [SIDE * SIDE] of the cell centres of a square view, row by row from the lowest."""
    x = np.array([float(problem.x.value_from_unit(u)) for u in _unit(view.x, view.width)])
    y = np.array([float(problem.y.value_from_unit(u)) for u in _unit(view.y, view.width)])
    return np.tile(x, SIDE), np.repeat(y, SIDE)


def _descend(view: View, field: Field) -> View | None:
    """Return the view _FACTOR times narrower about the place nearest the centre where neighbours end differently."""
    mask = (field.value < 0).reshape(SIDE, SIDE)
    pairs = [((r, c), (r, c + 1)) for r in range(SIDE) for c in range(SIDE - 1)]
    pairs += [((r, c), (r + 1, c)) for r in range(SIDE - 1) for c in range(SIDE)]
    places = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairs if mask[a] != mask[b]]
    if not places:
        return None
    row, column = min(places, key=lambda p: math.hypot(p[0] - (SIDE - 1) / 2, p[1] - (SIDE - 1) / 2))
    cell = Fraction(view.width) / SIDE
    x = view.x + cell * (Fraction(column) - Fraction(SIDE - 1, 2))
    y = view.y + cell * (Fraction(row) - Fraction(SIDE - 1, 2))
    return View(x, y, view.width / _FACTOR)


def _agreement(width: float, forward: Field, backward: Field, right: Field, up: Field) -> Agreement:
    """Compare a view's fields. right, up: those with x, or y, one unit in the last place larger."""
    one, two = forward.value, backward.value
    close = np.abs(one - two) <= 1e-3 * np.abs(one)
    signs = one < 0
    changed = (signs != (right.value < 0)) | (signs != (up.value < 0))
    return Agreement(width, *(float(np.mean(v)) for v in (signs == (two < 0), close, signs, changed)))
