"""The reference run that the samples of a deep view follow: a stored one that is near enough, or a new one.

A run with a hundred digits or more takes seconds to minutes, so a separate thread makes these runs, one at a time, and
reports its progress to the pages. A finished run is stored as those of films are, and serves the views around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from render.deep import reference_search
from render.deep.reference_search import Point, point_of, points_in
from render.errors import DepthError
from render.explorer.planes import Plane
from render.explorer.serving_thread import Served
from render.explorer.wanted_tiles import Look
from render.geometry.camera import View
from render.geometry.tiles import SAMPLES
from render.problem import Problem
from render.storage import references

# A new reference has the bits for samples that are closer by this factor than those of its view. It is up to a thousand
# samples away from the place where the user zooms in. At that distance it serves until samples are 1e-5 as far apart,
# and guides until they are 1e-9 as far apart.
ROOM = 1e-9

# Where float64 is noise, only another reference shows which runs converge, and so can be references. It can guide from
# farther away than it can serve: lanes that leave it together are then 1e-14 of the state apart, two digits above
# rounding. Down to _PLAIN_WIDTH plain runs show it (93 to 96 % of the signs are right at 1e-12 decades).
_GUIDES = 1e12
_PLAIN_WIDTH = 1e-10

# On the way down to a view that has no guide, each reference is for a view this many times narrower than the last.
_STEP = 1e8

# A reference is searched within this many widths of the middle of a view.
_WITHIN = 0.5

_BARREN = "no run converges here, and past float64 there must be one to follow others from"

# How many views without a converged run are remembered, so that a small move does not start another long search.
_MOST_BARREN = 64


class _ElsewhereError(Exception):
    """Raised when no page shows a view any more that the reference would serve."""


class News(NamedTuple):
    """The message that a page shows instead of the samples of a deep view. coming: whether it is worth waiting."""

    text: str
    coming: bool


@dataclass(frozen=True)
class Spot:
    """A deep view. middle: hyperparameter values. width, spacing (of its finest samples): relative to these values."""

    view: View
    middle: Point
    width: float
    spacing: float

    @staticmethod
    def of(problem: Problem, look: Look) -> Spot:
        """Return the spot of a view."""
        view = View(look.view.x, look.view.y, look.view.width)
        step = Fraction(1, SAMPLES << look.levels[-1])
        middle, sample, edge = (
            point_of(problem, view.x + aside, view.y + aside, view.width)
            for aside in (Fraction(0), step, Fraction(view.width))
        )
        return Spot(view, middle, reference_search.apart(middle, edge), reference_search.apart(middle, sample))

    @property
    def reach(self) -> float:
        """The distance from its middle within which a reference may be: as for `render probe`, or the view's width."""
        return max(reference_search.reach_of(self.spacing), self.width)

    def accepts(self, reference: references.Reference) -> bool:
        """Return whether a reference serves this view."""
        near = reference_search.apart(Point(reference.x, reference.y), self.middle) <= self.reach
        return near and reference.converged and reference.bits >= references.bits_for(self.spacing)

    def serves(self, other: Spot) -> bool:
        """Return whether a reference that is made for this view will serve another one."""
        away = reference_search.apart(self.middle, other.middle) + _WITHIN * self.width
        return away <= other.reach and other.spacing >= ROOM * self.spacing

    def wider(self) -> Spot:
        """Return the spot of a wider view about the same place, whose reference can guide to this one."""
        by = min(_STEP, 2 * _PLAIN_WIDTH / self.width)
        view = View(self.view.x, self.view.y, self.view.width * by)
        return Spot(view, self.middle, self.width * by, self.spacing * by)

    def like(self, other: Spot) -> bool:
        """Return whether both views show nearly the same runs, so that both have converged ones, or neither."""
        aside = reference_search.apart(self.middle, other.middle)
        return 0.6 < other.width / self.width < 1.6 and aside < 0.2 * self.width


class Scout(Served):
    """Finds places for deep views, and makes those that are missing."""

    def __init__(self, notify: Callable[[], None]) -> None:
        """notify: called from the scout's thread when there may be a new place."""
        super().__init__("scout")
        self._notify = notify
        self._wishes: dict[Hashable, tuple[Plane, Spot]] = {}
        self._barren: deque[tuple[Plane, Spot, str]] = deque(maxlen=_MOST_BARREN)
        self._making: tuple[Plane, Spot] | None = None
        self._progress = self._step = ""

    # ---- for pages ---------------------------------------------------------------------------------------------

    def place(self, plane: Plane, spot: Spot, last: Plane | None) -> Plane | None:
        """Return the place to which a view belongs; None if there is none yet. last: its place before."""
        if last is not None and last.reference is not None and spot.accepts(last.reference):
            return last
        reference = _kept(plane, spot, spot.reach)
        return None if reference is None else plane.place(reference)

    def wish(self, client: Hashable, plane: Plane, spot: Spot) -> None:
        """Ask for a reference for a view, instead of the one that the client asked for before."""
        with self._changed:
            self._wishes[client] = plane, spot
            self._changed.notify_all()

    def forget(self, client: Hashable) -> None:
        """Drop a client's wish."""
        with self._changed:
            self._wishes.pop(client, None)

    def news(self, plane: Plane, spot: Spot) -> News:
        """Return the message about the reference that a view lacks."""
        with self._changed:
            why = self._why_barren(plane, spot)
            if why:
                return News(why, False)
            making = self._making is not None and self._making[0] is plane and self._making[1].serves(spot)
            return News(self._progress if making else "waiting for a reference run", True)

    # ---- the scout's thread ------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop or self._next() is not None)
                self._making = self._next()
                self._progress = "looking for a run that converges"
                if self._stop or self._making is None:
                    return
                plane, spot = self._making
            try:
                self._make(plane, spot)
            except _ElsewhereError:
                pass
            except DepthError:
                self._give_up(plane, spot, _BARREN)
            except Exception as error:  # the page shows the error; another view tries again
                self._give_up(plane, spot, str(error) or type(error).__name__)
            with self._changed:
                self._making = None
                for client, (wished, place) in list(self._wishes.items()):
                    if wished is plane and (spot.serves(place) or self._why_barren(plane, place)):
                        del self._wishes[client]
            self._notify()

    def _make(self, plane: Plane, spot: Spot) -> None:
        """Make a reference for a view, and before it those of wider views that show which runs converge."""
        way = [spot]
        while way[0].width < _PLAIN_WIDTH and self._guide(plane, way[0]) is None:
            way.insert(0, way[0].wider())
        for number, step in enumerate(way, start=1):
            self._step = f"{number} of {len(way)} on the way down, " if len(way) > 1 else ""
            reference = reference_search.new_reference(
                plane.problem,
                points_in(plane.problem, step.view),
                references.bits_for(ROOM * step.spacing),
                plane.root,
                self._tell,
                diverging=False,
                guide=self._guide(plane, step),
            )
            if spot.accepts(reference):
                return

    def _guide(self, plane: Plane, spot: Spot) -> references.Reference | None:
        return _kept(plane, spot, _GUIDES * spot.spacing)

    def _next(self) -> tuple[Plane, Spot] | None:
        return next((wish for wish in self._wishes.values() if not self._why_barren(*wish)), None)

    def _why_barren(self, plane: Plane, spot: Spot) -> str:
        return next((why for where, other, why in self._barren if where is plane and other.like(spot)), "")

    def _give_up(self, plane: Plane, spot: Spot, why: str) -> None:
        with self._changed:
            self._barren.append((plane, spot, why))

    def _tell(self, words: str) -> None:
        """Take note of the progress of a run; end it if it is not wanted any more."""
        with self._changed:
            assert self._making is not None
            plane, spot = self._making
            self._progress = self._step + words
            if self._stop or not any(wished is plane and spot.serves(place) for wished, place in self._wishes.values()):
                raise _ElsewhereError


def _kept(plane: Plane, spot: Spot, reach: float) -> references.Reference | None:
    """Return the nearest stored reference within reach that converges and has enough bits for a view, or None."""
    return reference_search.kept_reference(
        plane.problem, [spot.middle], plane.root, spacing=spot.spacing, reach=reach, diverging=False
    )
