"""Scenes made of a few views, and where to look along their films."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from render.film.plan import Plan
from render.geometry import camera
from render.geometry.axes import Axis
from render.geometry.camera import Keyframe, View
from render.picture.colour import Look
from render.problem import Problem
from render.scene import Output, Scene

WHOLE = View(Fraction(1, 2), Fraction(1, 2), 1.0)
TARGET = View(Fraction("0.2547103387356784512345678901"), Fraction("0.51014978221508577"), 0.003)
JOURNEY = (WHOLE, View(Fraction("0.3"), Fraction("0.2"), 0.05), View(Fraction("0.7"), Fraction("0.65"), 0.02))
PLANE = Problem(
    Axis("lr_input", "log10", Fraction(-3), Fraction(6)), Axis("lr_output", "log10", Fraction(-3), Fraction(6))
)


def scene_of(
    *views: View,
    size: tuple[int, int] = (64, 36),
    detail: float = 0.71,
    rest_detail: float | None = None,
    hold_s: float = 1.0,
    problem: Problem = PLANE,
    precision: Literal["auto", "float64"] = "auto",
    **look: Any,
) -> Scene:
    """A scene through some views, with a hold at each of them."""
    times = camera.times_from_speed(list(views), size, [hold_s] * len(views), 1.0)
    keyframes = tuple(Keyframe(view, time_s, hold_s) for view, time_s in zip(views, times, strict=True))
    output = Output(*size, detail=detail, rest_detail=max(rest_detail or 1.0, detail), precision=precision)
    return Scene("synthetic", problem, keyframes, "smooth", Look(**look), output)


def zoomed(octaves: float, **options: Any) -> Plan:
    """The plan of a zoom into TARGET that begins with the whole plane."""
    return Plan(scene_of(WHOLE, dataclasses.replace(TARGET, width=2.0**-octaves), **options))


def places(planned: Plan, seed: int, count: int = 6) -> list[float]:
    """Places on a path: some at random, and all those where something changes."""
    random = np.random.default_rng(seed).uniform(0, planned.path.length, count)
    ends = [s for level in planned.levels.values() for stretch in level.complete for s in stretch]
    return [*map(float, random), *map(float, planned.path.marks), *planned.anchors, *ends]
