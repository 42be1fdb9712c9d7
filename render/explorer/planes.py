"""Open planes: a problem, the store of its samples, and the backend that trains more of them.

Past float64 a plane continues in places: the samples of a place follow one reference run, and are stored in a folder of
that run, as those of a film are. A place is a plane that begins below the last plain level.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from render import backends, scene
from render.backends import Backend
from render.errors import DamagedTile, SceneError
from render.explorer import dials
from render.explorer.growing_tile import GrowingTile
from render.geometry.axes import DEEPEST_LEVEL
from render.geometry.patches import WHOLE, Patches
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field, Points
from render.scene import Scene
from render.storage import numerics
from render.storage.references import Reference
from render.storage.store import DirectoryStore

# The most scenes from dropped stills that are kept.
_MOST_DROPPED = 8

# The most planes with other values of dials that stay open.
_MOST_MOVED = 12

# The most places of a plane that stay open; each has some megabytes of compiled code. Others are opened again.
_MOST_PLACES = 8


class Plane:
    """The plane of one problem, with its store and its backend. Scenes of one problem share it.

    Opening a plane does not load JAX, so that stored samples can be shown at once. Until the backend is loaded, and the
    numerics of this machine are known, samples come from the newest store of the problem, nearly always the right one.

    stored: whole tiles known to be in the store; a film that is made at the same time may add more.
    patches: known stored patches of other tiles.
    generation: it changes when all samples so far turn out to have other numerics, so that pages must drop them.
    last_plain_level: the last level that is trained plainly; None where the plane ends with float64.
    reference: the run that the samples of a place follow. top: the coarsest level of the plane or place.
    """

    def __init__(
        self,
        problem: Problem,
        store_root: Path,
        *,
        last_plain_level: int | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.problem = problem
        self.root = store_root
        self.last_plain_level = last_plain_level
        self.reference = reference
        self.top = 0 if reference is None or last_plain_level is None else last_plain_level + 1
        self.stored: set[Tile] = set()
        self.patches: dict[Tile, Patches] = {}
        self.generation = 0
        self._lost: set[Tile] = set()
        self._settling, self._changing = threading.Lock(), threading.Lock()
        self._backend: Backend | None = None
        self._proved = False  # whether the tiles in the store are known to have the bits of this backend
        key = None if reference is None else reference.key
        existing = DirectoryStore.existing(store_root, problem)
        self._at_hand = next((store for store in existing if store.numerics.get("reference") == key), None)
        self._places: OrderedDict[str, Plane] = OrderedDict()

    @property
    def deepest_level(self) -> int:
        """The deepest level that can be trained."""
        return self.problem.deepest_level if self.last_plain_level is None else DEEPEST_LEVEL

    def is_deep(self, tile: Tile) -> bool:
        """Return whether a tile belongs to a place past float64, and not to the plane itself."""
        return self.last_plain_level is not None and tile.level > self.last_plain_level

    def place(self, reference: Reference) -> Plane:
        """Return the place whose samples follow a reference run."""
        with self._changing:
            if reference.key not in self._places:
                self._places[reference.key] = Plane(
                    self.problem, self.root, last_plain_level=self.last_plain_level, reference=reference
                )
            self._places.move_to_end(reference.key)
            while len(self._places) > _MOST_PLACES:
                self._places.popitem(last=False)
            return self._places[reference.key]

    def points(self, growing: GrowingTile, part: int) -> Points:
        """Return the points of a part of a tile; in a place, with their differences from its reference run."""
        return growing.points(self.problem, part, self.reference)

    @property
    def backend(self) -> Backend:
        """The backend that trains here. The first one loads JAX, which takes a second or two."""
        with self._settling:
            if self._backend is None:
                backend = backends.make("local", self.problem)
                keys = () if self.reference is None else (self.reference.key,)
                self._settle(DirectoryStore(self.root, self.problem, numerics.following(backend.numerics, keys)))
                self._backend = backend
            return self._backend

    @property
    def has_store(self) -> bool:
        """Return whether there is a store to read from before the backend is loaded."""
        return self._at_hand is not None

    @property
    def store(self) -> DirectoryStore:
        """The store of this machine's numerics. Waits until the backend is loaded."""
        self.backend  # noqa: B018 -- settles it
        assert self._at_hand is not None
        return self._at_hand

    def _settle(self, store: DirectoryStore) -> None:
        with self._changing:
            if self._at_hand is None or self._at_hand.folder != store.folder:
                self.generation += self._at_hand is not None
                self.stored.clear()
                self.patches.clear()
                self._lost.clear()
            self._at_hand = store

    def look_up(self, tiles: list[Tile]) -> None:
        """Find out which of these tiles are stored by now."""
        store = self._at_hand
        if store is None:
            return
        unknown = [tile for tile in tiles if tile not in self.stored and tile not in self._lost]
        held = {tile: patches for tile, patches in zip(unknown, store.held(unknown), strict=True) if patches}
        with self._changing:
            if self._is(store):
                self.stored |= {tile for tile, patches in held.items() if patches == WHOLE}
                self.patches |= held
                for tile in self.stored.intersection(held):
                    del self.patches[tile]

    def put(self, tile: Tile, field: Field) -> None:
        """Store a tile. StoreError if the folder or the disk refuses."""
        if not self._proved:
            self.store.check_proof(self.backend.proof)
            self._proved = True
        self.store.put(tile, field)
        with self._changing:
            self._lost.discard(tile)
            self.stored.add(tile)
            self.patches.pop(tile, None)

    def get(self, tile: Tile) -> Field | None:
        """Return a stored tile; None if it is lost or damaged: then it will be trained again."""
        return self._read(tile, WHOLE)

    def some(self, tile: Tile) -> tuple[Patches, Field] | None:
        """Return the stored patches of an incomplete tile, with their field; None if there are no good ones."""
        patches = self.patches.get(tile, 0)
        field = self._read(tile, patches) if patches else None
        return None if field is None else (patches, field)

    def _read(self, tile: Tile, patches: Patches) -> Field | None:
        store = self._at_hand
        try:
            return store.get(tile, patches) if store is not None else None
        except (KeyError, DamagedTile):
            with self._changing:
                if self._is(store):
                    self._lost.add(tile)
                    self.stored.discard(tile)
                    self.patches.pop(tile, None)
            return None

    def _is(self, store: DirectoryStore | None) -> bool:
        return store is not None and self._at_hand is not None and store.folder == self._at_hand.folder


class Planes:
    """The planes that pages show, opened when they are asked for: of scenes by name, and of scenes from stills."""

    def __init__(self, store_root: Path, given: Path | None) -> None:
        """given: the scene file of the command line, which may be in any folder."""
        self._store_root = store_root
        self._given = given
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int | None], Plane] = {}
        self._moved: OrderedDict[tuple[str, int | None], Plane] = OrderedDict()
        self._dropped: OrderedDict[str, Scene] = OrderedDict()

    @property
    def first(self) -> str | None:
        """The name of the scene that the command line gave."""
        return scene.name_of(self._given.stem) if self._given else None

    def names(self) -> list[str]:
        """Return the names of the scenes that may be opened, the given one first."""
        first = [self.first] if self.first else []
        return list(dict.fromkeys([*first, *scene.names(), *self._dropped]))

    def file(self, name: str) -> Path | None:
        """Return the file of a scene by name; None for a scene from a still. SceneError for an unknown name."""
        if name in self._dropped:
            return None
        if self._given is not None and name == self.first:
            return self._given
        if name not in scene.names():  # the name must be in the list, so that a page cannot give a path
            raise SceneError(f"There is no scene {name[:60]!r} here.")
        return scene.find(name)

    def load(self, name: str) -> Scene:
        """Read a scene again, as its file is now."""
        path = self.file(name)
        loaded = self._dropped[name] if path is None else scene.load(path)
        loaded.check_plane("the explorer")
        return loaded

    def drop(self, opened: Scene) -> str:
        """Keep a scene from a still, and return the name by which it can be opened."""
        with self._lock:
            name = f"{opened.name} (still {opened.problem.key[:6]})"
            self._dropped[name] = opened
            while len(self._dropped) > _MOST_DROPPED:
                self._dropped.popitem(last=False)
            return name

    def open(self, name: str, values: dials.Values | None = None) -> Plane:
        """Return the plane of a scene, with some values of its dials."""
        loaded = self.load(name)
        problem, last_plain_level = loaded.problem, loaded.last_plain_level(DEEPEST_LEVEL)
        moved = dials.problem_at(problem, values or {})
        key = moved.key, last_plain_level
        with self._lock:
            plane = self._open.get(key) or self._moved.get(key)
            if plane is None:
                plane = Plane(moved, self._store_root, last_plain_level=last_plain_level)
                (self._open if moved == problem else self._moved)[key] = plane
            if key in self._moved:
                self._moved.move_to_end(key)
            while len(self._moved) > _MOST_MOVED:
                self._moved.popitem(last=False)
            return plane
