"""What keyframes set besides their views: checked, and turned into tracks of the camera's path."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from typing import Any

from render.geometry.tracks import STEPS, Track
from render.picture.colour import Look
from render.problem import Problem
from render.problem.ladder import ladder
from render.scene.tables import MOST_KEYFRAMES, KeyframeTable, good_fields
from render.scene.wording import listed, quoted

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


def found(raw: object, problem: Problem | None, look: Look | None, faults: list[str]) -> Moves:
    """Return what the keyframes of a camera's table move, adding to faults what is wrong with it."""
    if not isinstance(raw, dict) or not isinstance(raw.get("keyframes"), list):
        return Moves()
    keyframes = [key for key in raw["keyframes"][:MOST_KEYFRAMES] if isinstance(key, dict)]
    before = len(faults)
    tracks = [_steps(keyframes, problem, look, faults)]
    if problem is None or len(faults) > before:
        return Moves()
    return Moves(tuple(track for track in tracks if track is not None))


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
