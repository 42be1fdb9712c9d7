"""Suggested targets: places where much boundary is, with decades of structure below them."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from render.errors import RenderError
from render.explorer.planes import Plane
from render.explorer.wanted_tiles import Look
from render.geometry import patches
from render.geometry.patches import WHOLE
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Status
from render.storage import references
from render.train import tangent

# The width of a suggested view in samples of its tile: a quarter of the tile, two octaves deeper.
_ACROSS = SAMPLES / 4

# The most decades that a tangent can show: float64 resolves 1e-16 of a decade.
_MOST_DECADES = 16.0


class Target(NamedTuple):
    """A suggested place. x, y: unit coordinates of a sample. width: of a view around it, in units of the plane.

    density: share of neighbouring samples in its tile that lie on opposite sides of the boundary.
    decades: how much farther one can zoom there, by the parting of neighbouring runs and by float64; None past float64.
    """

    x: Fraction
    y: Fraction
    width: float
    density: float
    decades: float | None


def find(plane: Plane, look: Look, count: int, seed: int, *, place: Plane | None = None) -> list[Target]:
    """Return up to `count` targets among the stored samples of a view, best first. Trains `count` runs, in one batch.

    They are ranked by density times decades, and by density alone past float64, where nothing is trained. The finest
    stored tiles come first; another seed gives other places in them. place: to which the view's deep tiles belong, if
    there are any.
    """
    chosen = random.Random(seed)
    places: list[tuple[Tile, float, int, int]] = []
    for level in reversed(look.levels):
        side = place if plane.last_plain_level is not None and level > plane.last_plain_level else plane
        if side is None:
            continue
        # Of most tiles at a film's depth only the patches are stored that its views read.
        tiles = [t for t in look.view.cover(level).tiles() if t in side.stored or t in side.patches]
        chosen.shuffle(tiles)
        busiest = [busy for tile in tiles[:256] if (busy := _busiest(side, tile, chosen)) is not None]
        places += sorted(busiest, key=lambda busy: -busy[1])[: count - len(places)]
        if len(places) >= count or (places and side is place):
            break
    if not places:
        raise RenderError("No boundary in this view yet: wait for its samples, or look at another part of the plane.")
    if plane.is_deep(places[0][0]):
        deep = [_target(plane, busy, None) for busy in places]
        return sorted(deep, key=lambda t: -t.density)
    x, y = (np.array(v) for v in zip(*(_values(plane, tile, ix, iy) for tile, _, ix, iy in places), strict=True))
    parting = tangent.run(plane.problem, x, y).parting
    targets = [_target(plane, busy, float(p)) for busy, p in zip(places, parting, strict=True)]
    return sorted(targets, key=lambda t: -t.density * (t.decades or 0.0))


def _busiest(plane: Plane, tile: Tile, chosen: random.Random) -> tuple[Tile, float, int, int] | None:
    """Return a tile's density, and a converged sample of it that has a diverged neighbour on either axis, or None."""
    held = (WHOLE, plane.get(tile)) if tile in plane.stored else plane.some(tile)
    if held is None or held[1] is None:
        return None
    known, converged = patches.samples(held[0]), held[1].status == Status.CONVERGED
    beside, above = known[:, 1:] & known[:, :-1], known[1:] & known[:-1]  # pairs of known samples
    right = beside & (converged[:, 1:] != converged[:, :-1])
    up = above & (converged[1:] != converged[:-1])
    density = float(right.sum() + up.sum()) / float(beside.sum() + above.sum())
    edge = np.zeros_like(converged)
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge[1:] |= up
    edge[:-1] |= up
    rows, columns = np.nonzero(edge & converged)
    if rows.size == 0:
        return None
    i = chosen.randrange(rows.size)
    return tile, density, int(columns[i]), int(rows[i])


def _values(plane: Plane, tile: Tile, ix: int, iy: int) -> tuple[float, float]:
    point = references.points(plane.problem, tile, np.array([iy]), np.array([ix]))
    return float(point.x[0]), float(point.y[0])


def _target(plane: Plane, busy: tuple[Tile, float, int, int], parting: float | None) -> Target:
    tile, density, ix, iy = busy
    scale = SAMPLES << tile.level
    first_x, first_y = tile.first_sample
    width = _ACROSS / scale
    at = Fraction(first_x + ix, scale), Fraction(first_y + iy, scale)
    if parting is None:
        return Target(*at, width, density, None)
    # The decades down to the deepest level, and those that the parting of neighbours allows, both from this width on.
    left = (plane.deepest_level - tile.level) * math.log10(2)
    here = math.log10(max(width * float(plane.problem.x.span), 1e-300))
    promised = (
        here + min(math.log10(parting), _MOST_DECADES) if parting > 0 and math.isfinite(parting) else _MOST_DECADES
    )
    decades = max(0.0, min(left, promised))
    return Target(*at, width, density, decades)
