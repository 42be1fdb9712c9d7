"""The table [bifurcation] of a scene file: checked together with what a bifurcation diagram cannot be."""

from __future__ import annotations

from typing import Any

from render.picture.colour import Look
from render.problem import Problem
from render.scene import other_systems
from render.scene.tables import BifurcationTable, good_fields
from render.scene.values import Bifurcation
from render.scene.wording import listed, quoted, shown


def bifurcation(
    raw: dict[str, Any], problem: Problem | None, look: Look | None, faults: list[str]
) -> Bifurcation | None:
    """Return what a scene's bifurcation diagram shows, adding to faults what is wrong; None for a plane of samples."""
    kind, table = raw.get("kind"), raw.get("bifurcation")
    if kind != "bifurcation":
        if table is not None and kind is None:
            faults.append('bifurcation needs kind = "bifurcation" at the top of the file')
        return None
    if not isinstance(table, dict):
        faults.append('kind = "bifurcation" needs a table [bifurcation], with start and transient')
        return None
    good = good_fields(BifurcationTable, table)
    if problem is not None:
        _check_problem(problem, good, table, faults)
    if look is not None:
        _check_look(look, faults)
    faults += [
        f"camera.keyframes[{i}].{name} must be left out: what a bifurcation diagram shows is of one problem, after its "
        "transient"
        for i, key in enumerate(_keyframes(raw))
        for name in ("set", "steps")
        if name in key
    ]
    if not {"start", "transient", "height_power"} <= good.keys():
        return None
    return Bifurcation(float(good["start"]), good["transient"], good["height_power"])


def _check_problem(problem: Problem, good: dict[str, Any], table: dict[str, Any], faults: list[str]) -> None:
    visited = [name for name in problem.row.visited if problem.row.lacking(name, dict(problem.settings)) is None]
    if not visited:
        faults.append(
            f"problem.system must be one of {listed(other_systems.with_visited())}, whose steps move a number that a "
            f"bifurcation diagram can show, not {quoted(problem.system)}"
        )
    elif problem.y.name not in visited:
        faults.append(
            f"problem.y.name must be the start of a number that a bifurcation diagram shows, {listed(visited)}, not "
            f"{quoted(problem.y.name)}"
        )
    if problem.x.name in visited:
        faults.append(f"problem.x.name must not be a start, whose runs forget it, as {quoted(problem.x.name)} is")
    if problem.observe:
        faults.append("problem.observe must be left out: a bifurcation diagram shows no samples that could have it")
    if problem.y.scale != "linear":
        faults.append('problem.y.scale must be "linear" in a bifurcation diagram')
    if good.get("transient", 0) >= problem.steps:
        given = shown(table["transient"])
        faults.append(f"bifurcation.transient must be below problem.steps = {problem.steps}, not {given}")


def _check_look(look: Look, faults: list[str]) -> None:
    for name in ("channel", "equalise", "boundary", "shading"):
        if (value := getattr(look, name)) != getattr(Look, name):
            given = quoted(value) if isinstance(value, str) else f"{value:g}"
            faults.append(
                f"look.{name} must be left out: colours of a bifurcation diagram are densities, and cannot be {given}"
            )


def _keyframes(raw: dict[str, Any]) -> list[dict[str, Any]]:
    camera = raw.get("camera")
    listed_keys = camera.get("keyframes") if isinstance(camera, dict) else None
    return [key for key in listed_keys if isinstance(key, dict)] if isinstance(listed_keys, list) else []
