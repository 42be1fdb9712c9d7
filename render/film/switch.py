"""Films past float64: reference runs for their deep levels, and both kinds of tiles as one store.

Levels down to the switch are trained plainly, and lie where every film of the problem finds them. The deeper ones are
followed by differences from a reference run at their target; their tiles lie in a folder of that reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.backends import Backend
from render.deep import reference_search
from render.deep.reference_search import ReportStep, for_target
from render.deep.targets import Targets
from render.film.plan import Plan
from render.film.schedule import Switch
from render.geometry import patches
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field
from render.storage import numerics
from render.storage.references import Reference
from render.storage.store import DirectoryStore, MemoryStore, TileStore, lacking


class SwitchedStore:
    """Tiles that are trained plainly in one store, those of every target in another."""

    def __init__(self, places: Targets, plain: TileStore, below: Sequence[TileStore]) -> None:
        self.targets, self.plain, self.below = places, plain, tuple(below)

    def _of(self, tile: Tile) -> TileStore:
        number = self.targets.of(tile)
        return self.plain if number is None else self.below[number]

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        """Return the wanted patches of a tile; KeyError if one is absent, DamagedTile if its bytes are wrong."""
        return self._of(tile).get(tile, wanted)

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        """Keep some patches of a tile."""
        self._of(tile).put(tile, field, patches)

    def has(self, tile: Tile) -> bool:
        """Return whether a whole tile is there."""
        return self._of(tile).has(tile)

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        """Return which patches of each tile are there."""
        tiles = list(tiles)
        parts: dict[int | None, list[Tile]] = {}
        for tile in tiles:
            parts.setdefault(self.targets.of(tile), []).append(tile)
        kept = {
            tile: patches_held
            for number, part in parts.items()
            for tile, patches_held in zip(
                part, (self.plain if number is None else self.below[number]).held(part), strict=True
            )
        }
        return [kept[tile] for tile in tiles]

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        """Return the tiles of which not all wanted patches are there, in the order given."""
        return lacking(self, tiles, wanted)

    def check_proof(self, proof: Mapping[str, str]) -> None:
        """Raise StoreError if what a backend trains has other bits than what is stored."""
        for store in (self.plain, *self.below):
            store.check_proof(proof)


class Ready(NamedTuple):
    """The store of the tiles, and the references of the deep ones. switch: None where float64 reaches all of them."""

    store: TileStore
    switch: Switch | None


def prepare(
    problem: Problem,
    places: Targets,
    root: Path,
    backend: Backend,
    report_step: ReportStep | None,
    *,
    read_only: bool = False,
) -> Ready:
    """Return what keeps the tiles of a problem's film, and the reference runs that its targets need.

    places: the deep targets, as a plan has them, so that plan and training never differ about a tile. report_step:
    called with the progress of the reference runs that have to be made. None: only stored ones are used. read_only:
    whether the stores only tell what they hold.
    Raises DepthError where no run converges; RenderError for a system that cannot be followed.
    """
    plain = DirectoryStore(root, problem, backend.numerics, read_only=read_only)
    if not places.places:
        return Ready(plain, None)
    references = tuple(
        reference_search.reference_at(
            problem, target.view, root, report_step and for_target(report_step, number, len(places.places))
        )
        for number, target in enumerate(places.places, start=1)
    )
    below = [_store_of(reference, problem, root, backend.numerics, read_only) for reference in references]
    return Ready(SwitchedStore(places, plain, below), Switch(places, references))


def _store_of(
    reference: Reference | None, problem: Problem, root: Path, plain: numerics.Numerics, read_only: bool
) -> TileStore:
    """Return the store of the tiles that follow a reference run; one that holds nothing where there is none yet."""
    if reference is None:
        return MemoryStore()
    return DirectoryStore(root, problem, numerics.following(plain, [reference.key]), read_only=read_only)


def existing_store(plan: Plan, root: Path, plain: DirectoryStore) -> TileStore:
    """Return the store of a plan's tiles for a film that trains nothing, given that of its plain ones."""
    if not plan.targets.places:
        return plain
    problem = plan.scene.problem
    existing = DirectoryStore.existing(root, problem)
    below: list[TileStore] = []
    for target in plan.targets.places:
        reference = reference_search.reference_at(problem, target.view, root, None)
        wanted = {} if reference is None else numerics.following(plain.numerics, [reference.key])
        kept = [other for other in existing if reference is not None and other.numerics == wanted]
        below.append(kept[0] if kept else MemoryStore())
    return SwitchedStore(plan.targets, plain, below)


def agreement(plan: Plan, store: TileStore) -> tuple[int, float]:
    """Return how many samples both ways of training have, and the share of them that end alike.

    They are those of the first deep level about each target that the level above has too.
    """
    alike = count = 0
    for number, target in enumerate(plan.targets.places):
        level = target.last_plain_level + 1
        for tile in plan.levels[level].tiles if level in plan.levels else ():
            held, parents = store.held([tile, tile.parent])
            shared = patches.inherited(tile, parents) & held
            if plan.targets.of(tile) == number and shared:
                both = patches.samples(shared)[::2, ::2]
                below = store.get(tile, shared).value[::2, ::2][both]
                parent = store.get(tile.parent, patches.in_parent(tile, shared))
                above = parent.value[tile.parent_quadrant][both]
                alike += int(np.sum((below < 0) == (above < 0)))
                count += below.size
    return count, alike / count if count else 1.0
