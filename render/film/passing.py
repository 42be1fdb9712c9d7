"""The motion of the picture across the screen around a frame, from which `picture.flash_limit` finds flashes."""

from __future__ import annotations

import numpy as np

from render.film.plan import Plan
from render.picture.flash_limit import Passing

# Seconds before and after a frame, and steps a second: every frame of a film of 24 frames a second.
_REACH_S, _STEPS_PER_S = 1.0, 24


def around(plan: Plan, number: int) -> Passing | None:
    """Return how the camera moves around a frame of a film; None if its output does not limit flashes.

    It follows from the path and its timing alone, without any samples.
    """
    output, path = plan.scene.output, plan.path
    if output.flash != "limit":
        return None
    step = max(1, round(float(output.fps) / _STEPS_PER_S))
    rate = float(output.fps) / step
    count = max(1, round(_REACH_S * rate))
    views = [path.viewport(path.s_of_frame(number + k * step, output.fps)) for k in range(-count, count + 1)]
    here = views[count]
    moves = [
        (view.width / here.width, float(view.x - here.x) / here.width, float(view.y - here.y) / here.width)
        for view in views
    ]
    return Passing(np.array(moves), rate)
