"""Checks of how deep and how wide a film goes: what is refused before anything is trained, and what is noted."""

from __future__ import annotations

import math

from render.deep import targets
from render.errors import DepthError
from render.geometry.axes import DEEPEST_LEVEL
from render.geometry.camera import Path
from render.geometry.tiles import SAMPLES
from render.problem import Problem
from render.scene import Scene


def refuse_too_deep(scene: Scene, level: int, path: Path) -> None:
    """Raise DepthError for a film whose path in a scene needs a level that is deeper than its precision allows."""
    problem: Problem = scene.problem
    plainly = scene.output.precision == "float64"
    if not plainly and (obstacle := targets.obstacle(scene)) and level > problem.last_plain_level:
        raise DepthError(f"{scene.name}: {obstacle}")
    limit = problem.deepest_level if plainly else DEEPEST_LEVEL
    if level <= limit:
        return
    axis = min((problem.x, problem.y), key=lambda a: a.deepest_level)
    narrowest = min(path.view(float(s)).width for s in path.marks) * float(problem.x.span)
    possible = narrowest * 2.0 ** (level - limit)
    unit = "decades" if problem.x.scale == "log10" else "units"
    raise DepthError(
        f"{scene.name}: the film needs level {level}, but "
        + (f"axis {axis.name!r} separates neighbouring samples only to level {limit} (float64). " if plainly else "")
        + (f"no level is deeper than {limit}. " if not plainly else "")
        + f"Its narrowest view is {narrowest:.2g} {unit} wide; at this size and detail it must be at least "
        f"{possible:.2g}. Widen the last keyframe, or lower output.size or output.detail"
        + (', or set output.precision = "auto".' if plainly else ".")
    )


def refuse_too_deep_diagram(scene: Scene, path: Path) -> None:
    """Raise DepthError for a diagram in which float64 cannot tell the columns or the rows of a view apart."""
    for axis, name in ((scene.problem.x, "width"), (scene.problem.y, "height")):
        views = [path.viewport(float(s)) for s in path.marks]
        extents = [
            (v.width, v.width_px * runs_per_pixel(scene)) if name == "width" else (v.height, v.height_px) for v in views
        ]
        narrowest, count = min(extents)
        least = count / (SAMPLES * 2.0**axis.deepest_level)
        if narrowest < least:
            raise DepthError(
                f"{scene.name}: a view is {narrowest * float(axis.span):.2g} in {name} along axis {axis.name!r}, and "
                f"float64 tells its pixels apart down to {least * float(axis.span):.2g}. Widen the narrowest keyframe, "
                "or lower output.size or output.detail."
            )


def runs_per_pixel(scene: Scene) -> int:
    """Return how many runs a column of pixels shows."""
    return max(1, math.ceil(scene.output.detail))


# A view gets a remark if at least this share of the frame is beyond the plane.
_LEAST_OVERHANG = 0.02


def overhang_remark(scene: Scene) -> str:
    """Return a sentence on the views of a scene that hang over an edge of the plane; "" if there are none.

    A view that shows an axis from end to end does not hang over its ends.
    """
    output, overhanging = scene.output, []
    for i, key in enumerate(scene.keyframes):
        width, height = key.view.width, key.view.width * output.height_px / output.width_px
        inside = 1.0
        for centre, extent in ((key.view.x, width), (key.view.y, height)):
            low, high = float(centre) - extent / 2, float(centre) + extent / 2
            if low > 0 or high < 1:
                inside *= (min(high, 1.0) - max(low, 0.0)) / extent
        if 1 - inside > _LEAST_OVERHANG:
            overhanging.append(f"camera.keyframes[{i}] ({1 - inside:.0%} of the frame)")
    if not overhanging:
        return ""
    views = "A view hangs" if len(overhanging) == 1 else "Views hang"
    return f"{views} over the edge of the plane, where nothing is trained: {', '.join(overhanging)}."
