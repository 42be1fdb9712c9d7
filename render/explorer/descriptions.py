"""Descriptions of the program and of a scene, which a page needs before it shows anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import render
from render.explorer import colouring, dials, keyframes
from render.geometry.axes import DEEPEST_LEVEL
from render.geometry.tiles import SAMPLES
from render.picture import palettes
from render.samples import Status
from render.scene import Scene

# At zoom z samples of level z are 8 pixels apart, so that half a sample per pixel is two levels deeper.
_SHARPER_LEVELS = 2


def start(
    names: Sequence[str], first: str | None, offered: Sequence[str] = colouring.PALETTES, folder: str = ""
) -> dict[str, Any]:
    """Return the description of the program.

    first: the scene to open. offered: palettes. folder: where saved scenes go.
    """
    return {
        "version": render.__version__,
        "scenes": list(names),
        "first": first,
        "palettes": list(offered),
        "statuses": [status.name.lower().replace("_", "-") for status in Status],
        "samples": SAMPLES,
        "folder": folder,
    }


def scene(of: Scene) -> dict[str, Any]:
    """Return the description of a scene."""
    problem, last_plain_level = of.problem, of.last_plain_level(DEEPEST_LEVEL)
    deepest_level = problem.deepest_level if last_plain_level is None else DEEPEST_LEVEL
    lines = [line[1:].strip() for line in of.text.split("\n") if line.startswith("#") and not line.startswith("#:")]
    return {
        "name": of.name,
        "about": " ".join(lines),
        "key": problem.key,
        "steps": problem.steps,
        "axes": [
            {
                "name": axis.name,
                "label": label,
                "scale": axis.scale,
                "lo": float(axis.lo),
                "span": float(axis.span),
                "exact": {"lo": str(axis.lo), "span": str(axis.span)},
            }
            for axis, label in zip((problem.x, problem.y), problem.labels, strict=True)
        ],
        "channels": {
            name: {
                "name": row.name,
                "converged": row.converged,
                "diverged": row.diverged,
                "sides": row.sides,
                "means": row.means,
            }
            for name, row in colouring.channels(problem).items()
        },
        "deepest_level": deepest_level,
        "deepest_zoom": deepest_level - _SHARPER_LEVELS,
        "last_plain_level": last_plain_level,
        "look": {
            "palette": palettes.written(of.look.palette),
            "gap": of.look.gap,
            "background": of.look.background,
        },
        "dials": dials.described(of),
        "film": keyframes.described(of),
    }
