"""Films past float64: a reference run for their deep levels, and both kinds of tiles as one store.

Levels down to the seam are trained plainly, and lie where every film of the problem finds them. The deeper ones are
followed by differences from one reference run at the camera's target; their tiles lie in a folder of that reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render import deep
from render.backends import Backend
from render.camera import View
from render.deep import Point, Tell
from render.errors import DepthError, RenderError
from render.fields import Field
from render.plan import Plan
from render.references import Reference
from render.schedule import Seam
from render.store import DirectoryStore, MemoryStore, TileStore
from render.tiles import Tile

# A reference is looked for among 16 x 16 points of the narrowest view, and serves samples down to 1/65,536 of its
# width: any quality's. So all of them share it, and with it their tiles.
_SIDE = 16
_FINEST = 2.0**-16

# How far the reference may stand from the middle of a deep view, in widths of it: farther away lanes leave it at once,
# and rounding shows again.
_AROUND = 2.0


class SeamStore:
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
    """What a film is made with. seam: None for a film that ends where float64 reaches."""

    plan: Plan
    backend: Backend
    store: TileStore
    seam: Seam | None


def prepare(plan: Plan, root: Path, backend: Backend, tell: Tell | None) -> Ready:
    """Return what trains and keeps a plan's tiles.

    tell: told how the reference run goes, if one has to be made; None: it is not made now, only found.
    Raises DepthError for deep views at several places, or where no run converges; RenderError for a system that cannot
    be followed.
    """
    problem = plan.scene.problem
    plain = DirectoryStore(root, problem, backend.numerics)
    if plan.seam is None:
        return Ready(plan, backend, plain, None)
    from render.backends.local import LocalBackend  # JAX comes with it

    if not isinstance(backend, LocalBackend):
        raise RenderError(
            f"{plan.scene.name} goes past float64 (level {max(plan.levels)} of {plan.seam}), which only this machine's "
            'own devices train: use --backend local, or output.precision = "float64" where its levels allow it.'
        )
    reference = _reference(plan, root, tell)
    if reference is None:
        return Ready(plan, backend, SeamStore(plan.seam, plain, MemoryStore()), Seam(plan.seam, None))
    _refuse_elsewhere(plan, reference)
    followed = deep.backend(problem, reference)
    below = DirectoryStore(root, problem, followed.numerics)
    return Ready(plan, followed, SeamStore(plan.seam, plain, below), Seam(plan.seam, reference))


def stored(plan: Plan, root: Path, plain: DirectoryStore) -> TileStore:
    """Return the store of a plan's tiles for a film that trains nothing, given that of its plain ones."""
    if plan.seam is None:
        return plain
    reference = _reference(plan, root, None)
    below: TileStore = MemoryStore()
    if reference is not None:
        for other in DirectoryStore.existing(root, plan.scene.problem):
            own = plain.numerics.items() <= other.numerics.items()
            if own and other.numerics.get("reference") == reference.key:
                below = other
    return SeamStore(plan.seam, plain, below)


def agreement(plan: Plan, store: TileStore) -> tuple[int, float]:
    """Return how many samples both engines trained, and the share of them that end alike.

    They are those of the first deep level that the level above has too.
    """
    if plan.seam is None:
        return 0, 1.0
    alike = count = 0
    for tile in plan.levels[plan.seam + 1].tiles if plan.seam + 1 in plan.levels else ():
        if store.has(tile) and store.has(tile.parent):
            below, above = store.get(tile).value[::2, ::2], store.get(tile.parent).value[tile.parent_quadrant]
            alike += int(np.sum((below < 0) == (above < 0)))
            count += below.size
    return count, alike / count if count else 1.0


def _reference(plan: Plan, root: Path, tell: Tell | None) -> Reference | None:
    """Return the reference of a plan's deep levels: one that the store keeps, or a new one; None without `tell`."""
    view = _narrowest(plan)
    problem = plan.scene.problem
    points = [_point(plan, x, y) for x, y in _grid(view)]
    width = max(float(deep.apart(points[0], points[-1])), np.finfo(float).tiny)
    spacing = width * _FINEST
    if tell is None:
        return deep.kept_reference(problem, points, root, spacing=spacing, reach=width, diverging=False)
    return deep.find_reference(problem, points, root, tell, spacing=spacing, reach=width, diverging=False)


def _narrowest(plan: Plan) -> View:
    return min((plan.path.view(float(s)) for s in plan.path.marks), key=lambda view: view.width)


def _grid(view: View) -> list[tuple[Fraction, Fraction]]:
    """Return unit coordinates of the points of a square inside a view, row by row."""
    steps = [Fraction(2 * i + 1 - _SIDE, 4 * _SIDE) for i in range(_SIDE)]  # the middle half: inside any shape of frame
    width = Fraction(view.width)
    return [(view.x + i * width, view.y + j * width) for j in steps for i in steps]


def _point(plan: Plan, x: Fraction, y: Fraction) -> Point:
    # To digits that follow from the film's depth alone, not from its quality: the same points for all.
    problem, level = plan.scene.problem, math.ceil(-math.log2(_narrowest(plan).width)) + 16
    return Point(Fraction(problem.x.value_from_unit(x, level)), Fraction(problem.y.value_from_unit(y, level)))


def _refuse_elsewhere(plan: Plan, reference: Reference) -> None:
    """Refuse a film whose deep views lie around more than one place."""
    assert plan.seam is not None
    target = Point(reference.x, reference.y)
    for s in plan.path.marks:
        view = plan.path.view(float(s))
        if math.floor(plan.path.viewport(float(s)).level) <= plan.seam:
            continue
        half = Fraction(view.width) / 2
        low, high = (_point(plan, view.x + side, view.y) for side in (-half, half))
        width = deep.apart(low, high)
        if deep.apart(_point(plan, view.x, view.y), target) > _AROUND * width:
            raise DepthError(
                f"{plan.scene.name}: views past float64 must lie around one target, but the film has several so deep. "
                "Make a film of each, or widen all but one of them."
            )
