"""A tile that grows: its samples in five parts, coarse to fine, so that a first picture needs 64 runs and not 1,024.

A film asks for the patches of a tile that its views read, and the store keeps whole tiles and patches of them. In the
explorer a coarse picture everywhere is better than a sharp one in some places, and the training must follow the pointer
within a second. So the explorer trains a tile part by part, shows every part, and stores the tile when it is complete.
Patches that a film has stored are used from the beginning.
"""

from __future__ import annotations

import functools

import numpy as np

from render.geometry import patches
from render.geometry.patches import Patches
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.samples import Field, Points
from render.storage import references
from render.storage.references import Reference

# In a growing field, the status of a sample that is not trained yet. It is not one of `samples.Status`.
UNKNOWN = 255


@functools.cache
def masks() -> tuple[np.ndarray, ...]:
    """Return the parts as disjoint masks, bool [SAMPLES, SAMPLES] each, in the order in which they are trained.

    They are: every fourth sample along both axes; the rest of every second one (a stored parent has both of these
    parts); the centres between those; then each half of the others. They have 64, 192 and three times 256 samples.
    """
    iy, ix = np.indices((SAMPLES, SAMPLES))
    quarter = (iy % 4 == 0) & (ix % 4 == 0)
    even = (iy % 2 == 0) & (ix % 2 == 0)
    odd = (iy % 2 == 1) & (ix % 2 == 1)
    return quarter, even & ~quarter, odd, (iy % 2 == 0) & (ix % 2 == 1), (iy % 2 == 1) & (ix % 2 == 0)


def stage_of(stored: Patches) -> float:
    """Return the stage that some patches of a tile are worth: less than one part."""
    return stored.bit_count() / patches.WHOLE.bit_count()


# How many of the parts come from a parent.
_INHERITED = 2


class GrowingTile:
    """A tile of which some parts are trained."""

    def __init__(
        self, problem: Problem, tile: Tile, parent: Field | None, stored: tuple[Patches, Field] | None = None
    ) -> None:
        """parent: the field of the tile's parent, if it is stored. stored: its stored patches, with their field."""
        self.tile = tile
        self.field = Field.empty((SAMPLES, SAMPLES), problem.channels)
        for channel in self.field:
            channel.fill(0)
        self.field.status.fill(UNKNOWN)
        self.done: set[int] = set()
        if parent is not None:
            inherited = parent.channels()
            for name, channel in self.field.channels().items():
                channel[::2, ::2] = inherited[name][tile.parent_quadrant]
            self.done |= set(range(_INHERITED))
        self.patches = 0
        self._known = np.zeros((SAMPLES, SAMPLES), dtype=bool)
        if stored is not None:
            self.patches, field = stored
            self._known |= patches.samples(self.patches)
            for name, channel in self.field.channels().items():
                channel[self._known] = field.channels()[name][self._known]

    @property
    def stage(self) -> float:
        """How much of the tile can be shown, 0 for nothing: one for each part, and a fraction for patches."""
        return self.version + stage_of(self.patches)

    @property
    def version(self) -> int:
        """The number of trained parts; the tile is complete at len(masks())."""
        return len(self.done)

    @property
    def is_whole(self) -> bool:
        """Return whether every part is trained."""
        return self.version == len(masks())

    def left(self) -> list[int]:
        """Return the missing parts, in the order of training."""
        return [part for part in range(len(masks())) if part not in self.done]

    def mask(self, part: int) -> np.ndarray:
        """Return which samples have to be trained for a part: bool [SAMPLES, SAMPLES]."""
        mask: np.ndarray = masks()[part] & ~self._known
        return mask

    def points(self, problem: Problem, part: int, reference: Reference | None = None) -> Points:
        """Return the points of a part, row by row."""
        rows, columns = np.nonzero(self.mask(part))
        return references.points(problem, self.tile, rows, columns, reference)

    def add(self, part: int, trained: Field) -> None:
        """Take over a part's samples, field [points]."""
        values = trained.channels()
        for name, channel in self.field.channels().items():
            channel[self.mask(part)] = values[name]
        self.done.add(part)
