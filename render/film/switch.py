"""Films past float64: a reference run for their deep levels, and both kinds of tiles as one store.

Levels down to the switch are trained plainly, and lie where every film of the problem finds them. The deeper ones are
followed by differences from one reference run at the camera's target; their tiles lie in a folder of that reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.backends import Backend
from render.deep import reference_search
from render.deep.reference_search import Point, Tell
from render.errors import DepthError, RenderError
from render.film.plan import Plan
from render.film.schedule import Switch
from render.geometry.camera import Path as CameraPath
from render.geometry.camera import View
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field
from render.scene import Scene
from render.storage import numerics
from render.storage.references import Reference
from render.storage.store import DirectoryStore, MemoryStore, TileStore

# A reference is looked for among 16 x 16 points of the narrowest view, and serves samples down to 1/65,536 of its
# width: any quality's. So all of them share it, and with it their tiles.
_SIDE = 16
_FINEST = 2.0**-16

# How far the reference may stand from the middle of a deep view, in widths of it: farther away lanes leave it at once,
# and rounding shows again.
_AROUND = 2.0


class SwitchedStore:
    """Tiles down to a level in one store, the deeper ones in another."""

    def __init__(self, level: int, plain: TileStore, below: TileStore) -> None:
        self.level, self.plain, self.below = level, plain, below

    def _of(self, tile: Tile) -> TileStore:
        return self.plain if tile.level <= self.level else self.below

    def get(self, tile: Tile) -> Field:
        """Return a tile's field; KeyError if absent, DamagedTile if its bytes are wrong."""
        return self._of(tile).get(tile)

    def put(self, tile: Tile, field: Field) -> None:
        """Keep a tile's field."""
        self._of(tile).put(tile, field)

    def has(self, tile: Tile) -> bool:
        """Say whether a tile was put."""
        return self._of(tile).has(tile)

    def missing(self, tiles: Iterable[Tile]) -> list[Tile]:
        """Return the tiles that are not there, in the order given."""
        tiles = list(tiles)
        absent = {
            tile
            for store, own in (
                (self.plain, [t for t in tiles if t.level <= self.level]),
                (self.below, [t for t in tiles if t.level > self.level]),
            )
            for tile in store.missing(own)
        }
        return [tile for tile in tiles if tile in absent]


class Ready(NamedTuple):
    """What trains and keeps tiles. switch: None where float64 reaches all of them."""

    backend: Backend
    store: TileStore
    switch: Switch | None


def prepare(scene: Scene, level: int, root: Path, backend: Backend, tell: Tell | None) -> Ready:
    """Return what trains and keeps the tiles of a scene down to a level.

    tell: called with the progress of the reference run, if one has to be made. None: a stored one is used, or none.
    Raises DepthError for deep views at several places, or where no run converges; RenderError for a system that cannot
    be followed.
    """
    problem = scene.problem
    plain = DirectoryStore(root, problem, backend.numerics)
    last_plain = scene.last_plain_level(level)
    if last_plain is None:
        return Ready(backend, plain, None)
    from render.backends.local import LocalBackend

    if not isinstance(backend, LocalBackend):
        raise RenderError(
            f"{scene.name} goes past float64 (level {level} of {last_plain}), which only this machine's "
            'own devices train: use --backend local, or output.precision = "float64" where its levels allow it.'
        )
    path = scene.path(scene.output)
    reference = _reference(problem, path, root, tell)
    if reference is None:
        return Ready(backend, SwitchedStore(last_plain, plain, MemoryStore()), Switch(last_plain, None))
    _refuse_elsewhere(scene, path, last_plain, reference)
    followed = reference_search.backend(problem, reference)
    below = DirectoryStore(root, problem, followed.numerics)
    return Ready(followed, SwitchedStore(last_plain, plain, below), Switch(last_plain, reference))


def stored(plan: Plan, root: Path, plain: DirectoryStore) -> TileStore:
    """Return the store of a plan's tiles for a film that trains nothing, given that of its plain ones."""
    if plan.last_plain_level is None:
        return plain
    reference = _reference(plan.scene.problem, plan.path, root, None)
    below: TileStore = MemoryStore()
    if reference is not None:
        for other in DirectoryStore.existing(root, plan.scene.problem):
            wanted = {"differences": numerics.DIFFERENCES_VERSION, "reference": reference.key}
            if (plain.numerics | wanted).items() <= other.numerics.items():
                below = other
    return SwitchedStore(plan.last_plain_level, plain, below)


def agreement(plan: Plan, store: TileStore) -> tuple[int, float]:
    """Return how many samples both engines trained, and the share of them that end alike.

    They are those of the first deep level that the level above has too.
    """
    if plan.last_plain_level is None:
        return 0, 1.0
    alike = count = 0
    for tile in plan.levels[plan.last_plain_level + 1].tiles if plan.last_plain_level + 1 in plan.levels else ():
        if store.has(tile) and store.has(tile.parent):
            below, above = store.get(tile).value[::2, ::2], store.get(tile.parent).value[tile.parent_quadrant]
            alike += int(np.sum((below < 0) == (above < 0)))
            count += below.size
    return count, alike / count if count else 1.0


def points(problem: Problem, path: CameraPath) -> list[Point]:
    """Return the points of a square inside the narrowest view of a path, row by row."""
    return points_in(problem, _narrowest(path))


def points_in(problem: Problem, view: View) -> list[Point]:
    """Return the points of a square inside a view, row by row: where its reference run is looked for."""
    steps = [Fraction(2 * i + 1 - _SIDE, 4 * _SIDE) for i in range(_SIDE)]  # the middle half: inside any shape of frame
    width = Fraction(view.width)
    return [point_of(problem, view.x + i * width, view.y + j * width, view.width) for j in steps for i in steps]


def point_of(problem: Problem, x: Fraction, y: Fraction, width: float) -> Point:
    """Return the hyperparameter values at unit coordinates, to the digits that a view so wide needs at any quality."""
    level = max(0, math.ceil(-math.log2(width))) + 16
    return Point(Fraction(problem.x.value_from_unit(x, level)), Fraction(problem.y.value_from_unit(y, level)))


def _reference(problem: Problem, path: CameraPath, root: Path, tell: Tell | None) -> Reference | None:
    """Return the reference of a path's deep levels: one that the store keeps, or a new one; None without `tell`."""
    here = points(problem, path)
    width = max(float(reference_search.apart(here[0], here[-1])), np.finfo(float).tiny)
    spacing = width * _FINEST
    if tell is None:
        return reference_search.kept_reference(problem, here, root, spacing=spacing, reach=width, diverging=False)
    return reference_search.find_reference(problem, here, root, tell, spacing=spacing, reach=width, diverging=False)


def _narrowest(path: CameraPath) -> View:
    return min((path.view(float(s)) for s in path.marks), key=lambda view: view.width)


def _refuse_elsewhere(scene: Scene, path: CameraPath, last_plain: int, reference: Reference) -> None:
    """Refuse a film whose deep views lie around more than one place."""
    problem, target, finest = scene.problem, Point(reference.x, reference.y), _narrowest(path).width
    for s in path.marks:
        view = path.view(float(s))
        if math.floor(path.viewport(float(s)).level) <= last_plain:
            continue
        half = Fraction(view.width) / 2
        low, middle, high = (point_of(problem, view.x + side, view.y, finest) for side in (-half, 0, half))
        width = reference_search.apart(low, high)
        if reference_search.apart(middle, target) > _AROUND * width:
            raise DepthError(
                f"{scene.name}: views past float64 must lie around one target, but the film has several so deep. "
                "Make a film of each, or widen all but one of them."
            )
