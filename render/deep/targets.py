"""Deep targets: the places of a film about which runs are followed by differences, and from which level on.

Every tile belongs to the nearest target. Down to that target's last plain level it is trained plainly, and on deeper
levels it is followed from the target's reference run. This follows from the tile's address and the targets alone.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from render.geometry.camera import Path, View
from render.geometry.tiles import Tile
from render.geometry.tracks import STEPS
from render.scene import Scene

# How far a target may be from the middle of a deep view, in widths of that view: lanes farther away leave its reference
# run at once, and rounding shows again.
_AROUND = 2.0


@dataclass(frozen=True)
class Target:
    """The middle of a film's narrowest view at some place.

    x, y: units of the plane, exact. width: of the view, in units. last_plain_level: tiles of deeper levels are followed
    by differences from the target's reference run.
    """

    x: Fraction
    y: Fraction
    width: float
    last_plain_level: int

    @property
    def key(self) -> str:
        """16 hex digits that identify the view, whatever the last plain level is."""
        return key_of(View(self.x, self.y, self.width))

    @property
    def view(self) -> View:
        """The view whose middle this is."""
        return View(self.x, self.y, self.width)


def key_of(view: View) -> str:
    """Return 16 hex digits that identify a view."""
    return hashlib.sha256(f"{view.x} {view.y} {view.width!r}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Targets:
    """The deep targets of a film, the narrowest first; none where every tile is trained plainly."""

    places: tuple[Target, ...] = ()

    @functools.cached_property
    def last_plain_level(self) -> int | None:
        """The last level that is trained plainly everywhere; None if all are."""
        return min((target.last_plain_level for target in self.places), default=None)

    def of(self, tile: Tile) -> int | None:
        """Return the index of the target from whose reference run a tile is followed; None for a plain tile."""
        if self.last_plain_level is None or tile.level <= self.last_plain_level:
            return None
        nearest = 0
        if len(self.places) > 1:
            side = Fraction(1, 1 << tile.level)
            x, y = (tile.ix + Fraction(1, 2)) * side, (tile.iy + Fraction(1, 2)) * side
            nearest = min(range(len(self.places)), key=lambda i: _apart(self.places[i], x, y))
        return nearest if tile.level > self.places[nearest].last_plain_level else None

    def inherits(self, tile: Tile) -> bool:
        """Return whether a tile may take over its parent's samples: whether both are trained in the same way."""
        if self.last_plain_level is None or tile.level <= self.last_plain_level:
            return True
        return self.of(tile) == self.of(tile.parent)


def find(scene: Scene, path: Path, deepest: int) -> Targets:
    """Return the targets of a path in a scene.

    deepest: the deepest level that is needed in the narrowest view. A place whose views need no level below its last
    plain one is not a target. Between two targets the camera pulls back so far that every view has one of them within
    half its width of its middle (measured for distances of 1 to 10,000 widths), so that no view is far from all.
    """
    if not may_have(scene):
        return Targets()
    targets: list[Target] = []
    reach = deepest - max(path.viewport(s).level for s in _marks(path))
    for view in sorted(_deep_views(scene, path, reach), key=lambda view: view.width):
        if not any(is_near(target, view) for target in targets):
            targets.append(Target(view.x, view.y, view.width, last_plain_level(scene, view)))
    return Targets(tuple(targets))


def may_have(scene: Scene) -> bool:
    """Return whether runs of a scene may be followed by differences.

    Where they may not (see `obstacle`), every level is trained plainly.
    """
    return scene.output.precision != "float64" and obstacle(scene) is None


def obstacle(scene: Scene) -> str | None:
    """Return why runs of a scene cannot be followed by differences, as a sentence with what to do; None if they can."""
    if any(track.name != STEPS for track in scene.tracks):
        return (
            "hyperparameters and settings can only move where float64 reaches, since each of their values would need "
            "a reference run of its own. Widen the narrowest view, or leave `set` out of the keyframes."
        )
    if scene.bifurcation is not None:
        return "a bifurcation diagram ends where float64 ends. Widen the narrowest view."
    if scene.problem.observe:
        return (
            f"{' and '.join(dict(scene.problem.observe))} can only be observed where float64 reaches, since runs past "
            "it are followed by differences, which have no tangents of their own. Widen the narrowest view, or leave "
            "problem.observe out."
        )
    return None


def last_plain_level(scene: Scene, view: View) -> int:
    """Return the last plain level about a view: as measured for the scene, else as float64 allows."""
    return dict(scene.measured).get(key_of(view), scene.problem.last_plain_level)


def _marks(path: Path) -> list[float]:
    return [float(s) for s in path.marks]


def _deep_views(scene: Scene, path: Path, reach: float) -> Iterator[View]:
    """Yield the keyframes' views that show levels past their last plain one."""
    for s in _marks(path):
        view = path.view(s)
        if math.floor(path.viewport(s).level + reach + 1e-9) > last_plain_level(scene, view):
            yield view


def is_near(target: Target | View, view: View) -> bool:
    """Return whether a view shows a target, or has it just outside."""
    return _apart(target, view.x, view.y) <= Fraction(_AROUND * view.width)


def _apart(target: Target | View, x: Fraction, y: Fraction) -> Fraction:
    return max(abs(target.x - x), abs(target.y - y))
