"""The levels at which a film switches to differences: measured at each of its targets, by two orders of summation.

A run amplifies rounding by its tangent norm: 1e17 at the target of `mean_lr`, 1e6 at that of `relu` (`render plan`). So
at one target plain runs are right wherever float64 can tell samples apart; at another they are grain decades before.
Two runs that add up the same numbers in opposite orders are the same run but for rounding, so that the values on which
they agree are decided.

From the narrowest view of a target on, view by view, both ways of training are compared with themselves. The film
switches above the widest view in which differences decide the picture and plain runs do not. Plain runs alone are
followed on to the view from which on they are right, so that a film can say what lies between: grain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from render.deep import reference_search, targets
from render.deep.reference_search import Point, ReportStep, for_target
from render.errors import RenderError
from render.geometry.camera import View
from render.problem import Problem
from render.scene import Scene
from render.storage import switches
from render.storage.references import Reference
from render.storage.switches import Agreement, Measured

# Samples in a view. A share of one half is good to 6 points then (one standard deviation).
_SAMPLES = 64

# Each view is so many times as wide as the one before.
_FACTOR = 10.0

# The picture counts as decided where at least this share of values agree to 0.1 % in both orders. Of the two orders,
# each is wrong about half as often: at one half, three quarters of what a film shows are right. At the target of
# `mean_lr` plain runs agree in 0 to 9 % from the end up to 1e-4 decades, differences in 89 % at the end, 73 % at 1e-6,
# 56 % at 1e-5 and 23 % at 1e-4; at that of `tanh` plain runs agree in 86 % at the end.
_DECIDED = 0.5

# Plain runs count as right from the view on in which at least this share of signs and of values agree.
RIGHT = 0.95

# Views wider than this, relative to the values, are always trained plainly: runs so far from their reference leave it
# within some dozen steps (32 at 1e-4 decades of `mean_lr`), and are plain runs from then on.
_WIDEST = 1e-3


def measured(scene: Scene, root: Path, report_step: ReportStep | None) -> Scene:
    """Return a scene with the switches of its targets, as far as they are known.

    report_step: called with the current step while a switch is measured. None: only stored switches are used.
    """
    if not targets.may_have(scene):
        return scene
    last_levels = []
    views = _narrowest_views(scene)
    for number, view in enumerate(views, start=1):
        name = targets.key_of(view)
        known = switches.load(root, scene.problem, name)
        if known is None and report_step is not None:
            known = _measure(scene.problem, view, root, for_target(report_step, number, len(views)))
            if known is not None:
                switches.save(known, root, scene.problem, name)
        if known is not None and known.last_plain_level is not None:
            last_levels.append((name, known.last_plain_level))
    return dataclasses.replace(scene, measured=tuple(last_levels))


def known(scene: Scene, root: Path) -> list[Measured]:
    """Return what the store knows of the switches of a scene's targets, the narrowest first."""
    kept = switches.load_all(root, scene.problem, [targets.key_of(view) for view in _narrowest_views(scene)])
    return list(kept.values())


def _narrowest_views(scene: Scene) -> list[View]:
    """Return the keyframes' views that are so narrow that they may switch, one for each place, the narrowest first."""
    narrowest: list[View] = []
    for view in sorted((key.view for key in scene.keyframes), key=lambda view: view.width):
        if _stretch(scene.problem, view) <= _WIDEST and not any(targets.is_near(other, view) for other in narrowest):
            narrowest.append(view)
    return narrowest


def _stretch(problem: Problem, view: View) -> float:
    """Return how far apart the corners of a view are, relative to the hyperparameters' values."""
    half = Fraction(view.width) / 2
    low, high = (reference_search.point_of(problem, view.x + a, view.y + a, view.width) for a in (-half, half))
    return reference_search.apart(low, high)


def _measure(problem: Problem, view: View, root: Path, report_step: ReportStep) -> Measured | None:
    """Compare both ways of training about a target; None where they cannot be, and the problem's own level holds."""
    from render.train import reversed_sums
    from render.train.engine import Engine
    from render.train.past_float64.difference_engine import DeepEngine

    if reversed_sums.sums(problem) == 0:
        return None
    report_step("where plain runs are right")
    plain = Engine(problem), Engine(problem, backwards=True)
    views: list[Agreement] = []
    reference: Reference | None = None
    widest: View | None = None
    narrow = True  # whether every view so far is one that plain runs do not decide, and differences do
    for wide in _views(problem, view):
        points = _drawn(problem, wide)
        rounded = reference_search.in_float64(points)
        seen = _agreement(wide.width * float(problem.x.span), *(engine.train(rounded).value for engine in plain))
        narrow = narrow and seen.plain_values < _DECIDED and _stretch(problem, wide) <= _WIDEST
        if narrow and reference is None:
            try:
                reference = reference_search.reference_at(problem, view, root, report_step)
                assert reference is not None
                deep = [DeepEngine(problem, reference, rings=False, backwards=back) for back in (False, True)]
            except RenderError:  # a system that has no differences, or a target at which no run converges
                narrow = False
        if narrow and reference is not None:
            report_step(f"where differences are right: {seen.width:.0e} wide")
            apart = reference_search.in_float64(points, reference)
            signs, values = _alike(*(engine.follow(apart).field.value for engine in deep))
            seen = dataclasses.replace(seen, signs=signs, values=values)
            narrow = values >= _DECIDED
            widest = wide if narrow else widest
        views.append(seen)
        if not narrow and is_right(seen):
            break
    level = None if widest is None else min(problem.last_plain_level, max(0, math.floor(-math.log2(widest.width))))
    return Measured(level, tuple(views), _SAMPLES, reference.key if reference is not None else "")


def _views(problem: Problem, view: View) -> Iterator[View]:
    """Yield views about a target's, each wider than the one before, from where float64 tells samples apart to all."""
    width = max(view.width, 2.0**-problem.last_plain_level)
    while width < 1.0:
        yield View(view.x, view.y, width)
        width *= _FACTOR


def is_right(seen: Agreement) -> bool:
    """Return whether plain runs are right in a view: nearly all signs and values agree."""
    return min(seen.plain_signs, seen.plain_values) >= RIGHT


def words(measured: Measured, unit: str) -> str:
    """Return what was measured at a target as some sentences. unit: of the x axis, such as "decades"."""
    right = [seen.width for seen in measured.views if is_right(seen)]
    end = measured.views[0]
    plain = (
        f"Plain runs are right about this target in views wider than {right[0]:.0e} {unit}"
        if right
        else "Plain runs are right to 0.1 % in no view about this target"
    )
    sentences = [
        f"{plain}: {end.width:.0e} wide, two orders of summation agree in {end.plain_signs:.0%} of outcomes and in "
        f"{end.plain_values:.0%} of values."
    ]
    followed = [seen for seen in measured.views if seen.signs is not None and (seen.values or 0.0) >= _DECIDED]
    if measured.last_plain_level is not None and followed:
        last = followed[-1]
        sentences.append(
            f"After level {measured.last_plain_level} runs are followed by differences: "
            f"{end.signs:.0%} and {end.values:.0%} agree there, {last.signs:.0%} and {last.values:.0%} in a view "
            f"{last.width:.0e} wide."
        )
    if not right:
        sentences.append("What float64 does not decide is grain: each sample is one possible rounding of its run.")
    return " ".join(sentences)


def _drawn(problem: Problem, view: View) -> list[Point]:
    """Return random points of a square view: the same whenever it is asked for."""
    offsets = np.random.default_rng(0).uniform(-0.5, 0.5, (_SAMPLES, 2)) * view.width
    return [
        reference_search.point_of(problem, view.x + Fraction(float(a)), view.y + Fraction(float(b)), view.width)
        for a, b in offsets
    ]


def _agreement(width: float, forward: np.ndarray, backward: np.ndarray) -> Agreement:
    return Agreement(width, *_alike(forward, backward))


def _alike(forward: np.ndarray, backward: np.ndarray) -> tuple[float, float]:
    """Return the shares of signs, and of values to 0.1 %, on which two orders of summation agree."""
    with np.errstate(invalid="ignore"):
        close = (np.abs(forward - backward) <= 1e-3 * np.abs(forward)) | (forward == backward)
    return float(np.mean((forward < 0) == (backward < 0))), float(np.mean(close))
