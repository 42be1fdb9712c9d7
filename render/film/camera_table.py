"""The position of the camera in every frame, as a table beside the film."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from render.files.atomic import write_whole
from render.film.plan import Plan


def write(plan: Plan, file: Path, numbers: Sequence[int]) -> None:
    """Write the camera's place in some frames as CSV: second in the film, octaves of path so far, centre, width.

    The centre is in hyperparameter values. Each track that keyframes move besides the camera has a column.
    """
    path, problem = plan.path, plan.scene.problem
    fps = plan.scene.output.fps
    lines = [
        "frame,time_s,octaves,x,y,width_decades" if problem.x.scale == "log10" else "frame,time_s,octaves,x,y,width"
    ]
    lines[0] += "".join(f",{track.name}" for track in path.tracks)
    for number in numbers:
        view = path.viewport(s := path.s_of_frame(number, fps))
        level = max(0, math.ceil(view.level))
        centre = (axis.value_from_unit(unit, level) for axis, unit in ((problem.x, view.x), (problem.y, view.y)))
        # A pixel's place is written to a ten-billionth of its width or better.
        digits = 20 + math.ceil(max(0.0, -math.log10(view.width)))
        x, y = (f"{value:.{digits}g}" for value in centre)
        width = f"{view.width * float(problem.x.span):.17g}"
        moved = "".join(f",{path.value(track, s):.12g}" for track in path.tracks)
        lines.append(f"{number},{float(number / fps):.6f},{s:.12g},{x},{y},{width}{moved}")
    write_whole(file, ("\n".join(lines) + "\n").encode())
