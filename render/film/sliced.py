"""Frames of films in which more than the camera moves: pictures of slices, mixed as light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from render.film.bifurcation import BifurcationCompositor
from render.film.compose import Compositor, mixed
from render.film.plan import Plan
from render.film.slices import Shelf, Slice
from render.picture.flash_limit import Passing
from render.samples import Field

# The memory for fields, since every slice reads the same tiles. A tile of a film over 1,000 steps takes 1.3 MB, and a
# frame of 640 x 360 at a sample per pixel needs 600 of them.
_SHELF_BYTES = 1_000_000_000


class SlicedCompositor:
    """Makes the frames of a plan with tracks; used as `compose.Compositor` is.

    Each slice is composed like a film, with colour curves of its own values. Only the slices of the last frame are kept
    in memory.
    """

    def __init__(self, plan: Plan, fetch: Callable[..., Field]) -> None:
        """fetch: reads finished tiles, as `Slices.reader` takes it."""
        self._plan = plan
        self._shelf = Shelf(fetch, _SHELF_BYTES)
        self._compositors: dict[Slice, Compositor] = {}

    def frame(self, *places: float, bits: int = 8, passing: Passing | None = None) -> np.ndarray:
        """Return the picture at a path length, as `Compositor.frame` does."""
        shown = [(place, each, share) for place in places for each, share in self._plan.slices.at(place)]
        wanted = dict.fromkeys(each for _, each, _ in shown)
        self._compositors = {each: self._compositors.get(each) or self._compositor_of(each) for each in wanted}
        view = self._plan.path.viewport(places[0])
        parts = [(self._compositors[each].bands(place), share) for place, each, share in shown]
        return mixed(parts, (view.height_px, view.width_px), bits, passing)

    def _compositor_of(self, shown: Slice) -> Compositor:
        self._shelf.begin_slice()
        return Compositor(self._plan, self._plan.slices.reader(shown, self._shelf))


def compositor(plan: Plan, fetch: Callable[..., Field]) -> Compositor | SlicedCompositor | BifurcationCompositor:
    """Return the compositor of a plan."""
    if plan.scene.bifurcation is not None:
        return BifurcationCompositor(plan.scene, plan.path)
    return SlicedCompositor(plan, fetch) if plan.path.tracks else Compositor(plan, fetch)
