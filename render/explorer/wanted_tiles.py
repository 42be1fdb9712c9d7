"""The tiles that a view needs, in the order of training: coarse ones first, and fine ones near the pointer first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from render.geometry.tiles import Tile, TileRange
from render.geometry.viewport import Viewport

# A view is first shown at this many levels above one sample per pixel: a few tiles, 32 pixels from sample to sample.
_COARSE = 5

# The first levels of a view are trained evenly, since a rough picture of the whole view helps to find the way.
_EVEN = 2

# On finer levels, a tile that is farther from the pointer by this share of the view's height is trained as if it were
# one level finer. With 0.35 the tiles under the pointer are two levels ahead of those at the edge of the screen.
_LEVEL_SHARE = 0.35

# The most tiles that one view may ask for: a 4K screen at one sample per pixel has 11,000 on all its levels.
MOST_TILES = 16_384


@dataclass(frozen=True)
class Look:
    """The view that a page shows. focus: unit coordinates of the pointer, or of the view's centre.

    detail: samples per pixel (linear) at which a view is sharp enough: 1, 1/2, 1/4, 1/8.
    """

    view: Viewport
    focus: tuple[Fraction, Fraction]
    detail: float
    deepest_level: int

    @property
    def levels(self) -> range:
        """The levels that the view shows, coarse to fine; at least one."""
        # Half a level early, since the zoom steps of the page are rounded.
        finest = math.floor(self.view.level + math.log2(self.detail) + 0.5)
        finest = min(max(finest, 0), self.deepest_level)
        coarsest = min(max(math.floor(self.view.level) - _COARSE, 0), finest)
        return range(coarsest, finest + 1)

    def tiles(self) -> list[Tile]:
        """Return every tile that the view needs, in the order of training."""
        ranked: list[tuple[float, Tile]] = []
        for level in self.levels:
            cover = self.view.cover(level)
            rows, columns = cover.shape
            if len(ranked) + rows * columns > MOST_TILES:
                break
            ranked += self._ranked(cover)
        return [tile for _, tile in sorted(ranked)]

    def _ranked(self, cover: TileRange) -> list[tuple[float, Tile]]:
        rank = cover.level - self.levels.start
        side = 1 << cover.level
        # In tiles of this level, counted from the corner of the cover, so that floats suffice at any depth.
        x, y = float(self.focus[0] * side - cover.x0), float(self.focus[1] * side - cover.y0)
        height = self.view.height * side
        ranked = []
        for tile in cover.tiles():
            ix, iy = tile.ix - cover.x0, tile.iy - cover.y0
            far = math.hypot(max(ix - x, 0.0, x - ix - 1), max(iy - y, 0.0, y - iy - 1)) / height
            # A parent contains its children, so it is never farther away, and always comes first.
            ranked.append((rank + (far / _LEVEL_SHARE if rank > _EVEN else 0.0), tile))
        return ranked
