"""Finished frames: pictures composed from samples, with the text that is written on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from render.film import sliced
from render.film.plan import Plan
from render.geometry.tiles import Tile
from render.picture import overlay
from render.picture.annotate import Annotator
from render.picture.flash_limit import Passing
from render.samples import Field


class FramePainter:
    """Makes the frames of one plan. A frame is a function of its place on the path alone.

    fetch: returns the field of a finished tile; it is called only for tiles of plan.tiles_at(s).
    Not thread-safe: coded samples, colour curves and drawn words are kept between frames.
    """

    def __init__(self, plan: Plan, fetch: Callable[[Tile], Field]) -> None:
        self._compositor = sliced.compositor(plan, fetch)
        self._annotator = _annotator(plan)

    def picture(
        self, s: float, bits: int = 8, moments: tuple[float, ...] = (), passing: Passing | None = None
    ) -> np.ndarray:
        """Return the finished picture at path length s: uint8, or uint16 for 16 bits, [height, width, 3].

        moments: the path lengths that the picture averages; s alone if there are none. passing: how the camera moves
        there, to limit flashes; None for no limit.
        """
        places = moments or (s,)
        picture = self._compositor.frame(*places, bits=bits, passing=passing)
        if self._annotator is None:
            return picture
        if bits == 8:
            self._annotator.draw(picture, s)
            return picture
        # Text is drawn on the picture in 8 bits; pixels that it changes are copied.
        eight = self._compositor.frame(*places, passing=passing)
        self._annotator.draw(drawn := eight.copy(), s)
        deep: np.ndarray = np.where((drawn != eight).any(axis=-1, keepdims=True), drawn * np.uint16(257), picture)
        return deep


def _annotator(plan: Plan) -> Annotator | None:
    """Return the annotator of the frames, or None if nothing is written on them."""
    output, problem = plan.scene.output, plan.scene.problem
    parts = overlay.PARTS if output.overlay is True else output.overlay or ()
    labels = problem.labels
    if plan.scene.bifurcation is not None:  # brightness is a density, and y is the present value, not the start
        parts = tuple(part for part in parts if part != "legend")
        labels = labels[0], labels[1].removeprefix("start of ").removeprefix("the ")
    if not parts and not output.caption:
        return None
    return Annotator(plan.path, (problem.x, problem.y), labels, plan.scene.look, parts, output.caption, output.font)
