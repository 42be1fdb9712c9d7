"""Training runs that a film needs for each doubling of the zoom, in units of its frame's pixels. Trains nothing.

At `detail` d (least samples per pixel, linear) a level's widest frame holds 4 d^2 frames' worth of samples, and a
quarter of them are its parent's: 3 d^2 a doubling. One sample per pixel everywhere with no pyramid needs 2 ln 2, or
1.39, on a frame of any shape. What is above 3 d^2 are tiles cut by the frame's edge, and samples for colour curves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from render import scene as scenes
from render.film.plan import Plan
from render.geometry.tiles import SAMPLES

_SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
_DETAILS = (0.25, 0.5, 0.71, 1.0)


def measured() -> Iterator[tuple[str, str]]:
    """Yield (size and detail, runs per doubling in frames, with the bound and the waste) of the mean_lr film."""
    loaded = scenes.load(scenes.find("mean_lr.toml"))
    for width_px, height_px in _SIZES:
        for detail in _DETAILS:
            output = dataclasses.replace(
                loaded.output, width_px=width_px, height_px=height_px, detail=detail, rest_detail=detail
            )
            plan = Plan(dataclasses.replace(loaded, output=output))
            pixels = width_px * height_px
            needed = plan.samples / plan.path.length / pixels
            across = min(width_px, height_px) * detail / SAMPLES
            yield (
                f"{width_px} x {height_px} at detail {detail}",
                f"{needed:.3f}; 3 d^2 = {3 * detail**2:.3f}, {needed / (3 * detail**2) - 1:+.0%} "
                f"({across:.0f} to {2 * across:.0f} tiles from top to bottom)",
            )
