"""Values that keyframes set besides their views: checked, and turned into tracks of the camera's path."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from typing import Any

from render.geometry.tracks import STEPS, Track
from render.picture.colour import Look
from render.problem import Problem
from render.problem.ladder import ladder
from render.scene.tables import MOST_KEYFRAMES, KeyframeTable, good_fields, of_system
from render.scene.wording import listed, quoted, shown

# Where the first keyframe says what moves: faults of the problem that it makes are found there.
PLACE = "camera.keyframes[0].set"

# What is known of a run after any number of its steps.
_CHANNELS = ("value", "escape_time", "status")


@dataclass(frozen=True)
class Moves:
    """The tracks of a scene, in the order in which its keyframes name them first."""

    tracks: tuple[Track, ...] = ()

    def problem(self, problem: Problem) -> Problem:
        """Return what is trained: with the values of shorter runs where keyframes say after how many steps to look."""
        timed = any(track.name == STEPS for track in self.tracks)
        return replace(problem, prefixes=ladder(problem.steps)) if timed else problem


def first(raw: object, system: str) -> dict[str, float]:
    """Return what the first keyframe of a camera's table sets, as far as it is valid by itself."""
    keyframes = _listed(raw)
    return _set(keyframes[0], system) if keyframes else {}


def moves(raw: object, problem: Problem | None, look: Look | None, faults: list[str]) -> Moves:
    """Return what the keyframes of a camera's table move, adding to faults what is wrong with it."""
    keyframes, before = _listed(raw), len(faults)
    tracks = [_steps(keyframes, problem, look, faults), *_sets(keyframes, problem, look, faults)]
    if problem is None or len(faults) > before:
        return Moves()
    return Moves(tuple(track for track in tracks if track is not None))


def _listed(raw: object) -> list[dict[str, Any]]:
    if not isinstance(raw, dict) or not isinstance(raw.get("keyframes"), list):
        return []
    return [key for key in raw["keyframes"][:MOST_KEYFRAMES] if isinstance(key, dict)]


def _set(keyframe: dict[str, Any], system: str) -> dict[str, float]:
    return {name: float(value) for name, value in good_fields(of_system(system).moved, keyframe.get("set", {})).items()}


def _sets(
    keyframes: list[dict[str, Any]], problem: Problem | None, look: Look | None, faults: list[str]
) -> list[Track]:
    """Return the tracks of hyperparameters and settings; none if no keyframe sets any, or where they are at fault."""
    every = [set(key["set"]) if isinstance(key.get("set"), dict) else set() for key in keyframes]
    if problem is not None:  # what the first keyframe sets was compared with the axes before
        axes = {"x": problem.x.name, "y": problem.y.name}
        faults += [
            f"camera.keyframes[{i}].set.{name} must not move the {which} axis; remove it"
            for i, given in enumerate(every)
            for which, name in axes.items()
            if i > 0 and name in given
        ]
    # A name that is refused where it stands is not asked of the other keyframes.
    names = [
        *dict.fromkeys(
            name
            for i, key in enumerate(keyframes)
            if isinstance(key.get("set"), dict)
            for name in key["set"]
            if not _is_refused(i, name, faults)
        )
    ]
    for i, given in enumerate(every):
        faults += [
            f"camera.keyframes[{i}].set must have {name}, as other keyframes have it"
            for name in names
            if name not in given and isinstance(keyframes[i].get("set", {}), dict)
        ]
    if not names:
        return []
    if look is not None and look.equalise == "film":
        faults.append(
            'look.equalise must be "octave", "fixed" or "log" where keyframes set hyperparameters, not "film": their '
            "planes have no ranks in common"
        )
    if problem is None or any(given != set(names) for given in every):
        return []
    values = [_set(key, problem.system) for key in keyframes]
    if any(len(given) < len(names) for given in values):
        return []  # reported already, field by field
    tracks = [_track(name, [given[name] for given in values], problem, faults) for name in names]
    return [track for track in tracks if track is not None]


def _is_refused(i: int, name: str, faults: list[str]) -> bool:
    """Return whether a name that a keyframe sets was reported already, as one that no keyframe may set."""
    where = f"camera.keyframes[{i}].set"
    return any(
        fault.startswith((f"{where} has no field {quoted(name)}", f"{where}.{name} must not")) for fault in faults
    )


def _track(name: str, values: list[float], problem: Problem, faults: list[str]) -> Track | None:
    """Return the track of a hyperparameter, or of a whole setting of the problem."""
    row = problem.row
    if name in row.hyperparameters:
        about = row.hyperparameters[name]
        logarithmic = about.scale == "log10"
        for i, value in enumerate(values):
            if logarithmic and value <= 0:
                moves = f"{name} moves evenly in its logarithm"
                faults.append(f"camera.keyframes[{i}].set.{name} must be > 0, since {moves}, not {shown(value)}")
        return Track(name, logarithmic, tuple(values), about.label)
    asked = {h.when.setting for h in row.hyperparameters.values() if h.when} | {
        w.setting for w in row.optional.values()
    }
    if name in asked:
        faults.append(
            f"{PLACE}.{name} must not move, since there are hyperparameters that only some of its values have; make a "
            "scene of each value"
        )
        return None
    for value in range(int(min(values)), int(max(values)) + 1):
        if broken := row.rule(dict(problem.moved({name: value}).settings)):
            faults.append(f"{PLACE}.{name} goes from {min(values):g} to {max(values):g}, but {broken}")
            return None
    return Track(name, min(values) > 0, tuple(values), name.replace("_", " "), integer=True)


def _steps(
    keyframes: list[dict[str, Any]], problem: Problem | None, look: Look | None, faults: list[str]
) -> Track | None:
    """Return the track of the steps; None if no keyframe sets them, or where they are at fault."""
    having = [i for i, key in enumerate(keyframes) if STEPS in key]
    if not having:
        return None
    for i in range(len(keyframes)):
        if i not in having:
            faults.append(f"camera.keyframes[{i}] must have steps, as other keyframes have it")
    first = f"camera.keyframes[{having[0]}].steps"
    if look is not None and look.channel not in _CHANNELS:
        faults.append(
            f"look.channel must be {listed(_CHANNELS)} where keyframes set steps, not {quoted(look.channel)}, which is "
            "known of the last state of a run alone; or leave the keyframes' steps out"
        )
    if look is not None and look.equalise == "film":
        faults.append(
            'look.equalise must be "octave", "fixed" or "log" where keyframes set steps, not "film": the values of '
            "short runs and of long ones have no ranks in common"
        )
    if problem is None:
        return None
    if reason := problem.row.no_prefixes(dict(problem.settings)):
        faults.append(f"{first} needs runs whose first steps are a shorter run, but {reason}")
        return None
    good = [good_fields(KeyframeTable, key).get(STEPS) for key in keyframes]
    rungs = [*ladder(problem.steps), problem.steps]
    for i, count in enumerate(good):
        if count is None:
            continue
        if count > problem.steps:
            faults.append(f"camera.keyframes[{i}].steps must be at most problem.steps = {problem.steps}, not {count}")
        elif count not in rungs:
            above = bisect.bisect_left(rungs, count)
            near = f"{rungs[above - 1]} or {rungs[above]}"
            faults.append(f"camera.keyframes[{i}].steps must be one of the lengths that are kept, {near}, not {count}")
    values = tuple(float(count) for count in good if count is not None)
    return Track(STEPS, True, values) if len(values) == len(keyframes) else None
