"""Dials: what a page can set besides the view. They are the steps after which runs are shown, and hyperparameters that
are on no axis.

Each dial is a slider of the page, and keyframes contain the values of the sliders.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from render.geometry.tracks import STEPS
from render.problem import Problem
from render.problem.ladder import ladder
from render.samples import Field
from render.scene import Scene

Values = Mapping[str, float]

# The factor by which a hyperparameter that no keyframe moves can be set above or below the scene's value.
_FACTOR = 100.0


class Dial(NamedTuple):
    """One slider. value: in the scene. moves: whether the scene's keyframes set it.

    log: whether the slider is logarithmic. integer: whether the value must be an integer. stops: the only values that
    it can have, rising; empty if it can have any value from low to high.
    """

    name: str
    label: str
    low: float
    high: float
    value: float
    log: bool
    moves: bool
    integer: bool = False
    stops: tuple[int, ...] = ()


def of(scene: Scene) -> list[Dial]:
    """Return the dials of a scene."""
    problem, row = scene.problem, scene.problem.row
    settings = dict(problem.settings)
    moved = {track.name: track for track in scene.tracks}
    dials = []
    if not row.no_prefixes(settings):
        stops = (*ladder(problem.steps), problem.steps)
        last = float(problem.steps)
        dials.append(Dial(STEPS, "steps", 1.0, last, last, True, STEPS in moved, True, stops))
    for track in scene.tracks:
        if track.name != STEPS:
            low, high = min(track.values), max(track.values)
            dials.append(
                Dial(track.name, track.label, low, high, track.values[0], track.logarithmic, True, track.integer)
            )
    for name, value in problem.fixed:
        about = row.hyperparameters[name]
        if name in moved or (about.scale == "log10" and value <= 0):
            continue
        if about.scale == "log10":
            high = value * _FACTOR
            # A default beyond the setting that it is about means all of it, such as every example of a minibatch.
            limit = settings.get(about.when.setting) if about.when is not None and value == about.default else None
            if isinstance(limit, int) and value > limit:
                value = high = float(limit)
            dials.append(Dial(name, about.label, value / _FACTOR, high, value, True, False))
        else:
            reach = max(1.0, 2 * abs(value))
            dials.append(Dial(name, about.label, min(0.0, -reach if value < 0 else 0.0), reach, value, False, False))
    return [dial for dial in dials if dial.low < dial.high]


def described(scene: Scene) -> list[dict[str, Any]]:
    """Return the dials of a scene as a page takes them."""
    return [{**dial._asdict(), "stops": list(dial.stops)} for dial in of(scene)]


def snapped(scene: Scene, values: Values) -> dict[str, float]:
    """Return values of dials rounded to possible ones: integers, stops, within bounds. KeyError for an unknown dial."""
    dials = {dial.name: dial for dial in of(scene)}
    snapped_values = {}
    for name, given in values.items():
        dial = dials[name]
        value = min(max(given, dial.low), dial.high)
        if dial.stops:
            above = min(bisect.bisect_left(dial.stops, value), len(dial.stops) - 1)
            value = float(min(dial.stops[max(above - 1, 0) : above + 1], key=lambda stop: abs(stop - value)))
        snapped_values[name] = float(round(value)) if dial.integer else float(f"{value:.6g}")
    return snapped_values


def problem_at(problem: Problem, values: Values) -> Problem:
    """Return the problem with values of dials. If steps are among them, it also has the values of shorter runs."""
    moved = problem.moved({name: value for name, value in values.items() if name != STEPS})
    asks = STEPS in values and not moved.prefixes
    return dataclasses.replace(moved, prefixes=ladder(moved.steps)) if asks else moved


def shown(problem: Problem, values: Values, samples: Field, unknown: int) -> Field:
    """Return the samples of a problem after the steps of the dial. unknown: the status of samples not yet trained."""
    steps = round(values.get(STEPS, problem.steps))
    if steps >= problem.steps:
        return samples
    field = samples.after(steps)
    field.status[samples.status == unknown] = unknown
    return field


def values_of_scene(scene: Scene, names: Iterable[str]) -> dict[str, float]:
    """Return the values of some dials in the scene, by name."""
    values = {dial.name: dial.value for dial in of(scene)}
    return {name: values[name] for name in names}


def of_keyframe(scene: Scene, number: int) -> dict[str, float]:
    """Return the values of dials that a keyframe of a scene sets."""
    return {track.name: track.values[number] for track in scene.tracks}
