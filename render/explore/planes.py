"""Open planes: a problem, the store of its samples, and the backend that trains more of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from render import backends, scene
from render.backends import Backend
from render.errors import DamagedTile, SceneError
from render.fields import Field
from render.problem import Problem
from render.scene import Scene
from render.store import DirectoryStore
from render.tiles import Tile

# Scenes that came out of a dropped still are kept by number, so many of them.
_MOST_DROPPED = 8


class Plane:
    """One problem's plane: what is stored of it, and what trains more. Scenes of one problem share it.

    stored: tiles known to be in the store; a film that runs beside the explorer may add more at any time.
    """

    def __init__(self, problem: Problem, store_root: Path) -> None:
        self.problem = problem
        self.backend: Backend = backends.make("local", problem)
        self.store = DirectoryStore(store_root, problem, self.backend.numerics)
        self.stored: set[Tile] = set()
        self._lost: set[Tile] = set()

    def look_up(self, tiles: list[Tile]) -> None:
        """Learn which of these tiles are stored by now."""
        unknown = [tile for tile in tiles if tile not in self.stored and tile not in self._lost]
        self.stored |= set(unknown) - set(self.store.missing(unknown))

    def put(self, tile: Tile, field: Field) -> None:
        """Store a tile. StoreError if the folder or the disk refuses."""
        self.store.put(tile, field)
        self._lost.discard(tile)
        self.stored.add(tile)

    def get(self, tile: Tile) -> Field | None:
        """Return a stored tile; None, and forgotten, if it was lost or damaged: it will be trained again."""
        try:
            return self.store.get(tile)
        except (KeyError, DamagedTile):
            self._lost.add(tile)
            self.stored.discard(tile)
            return None


class Planes:
    """The planes that pages look at, opened as they are asked for: scenes by name, and those out of stills."""

    def __init__(self, store_root: Path, given: Path | None) -> None:
        """given: the scene file of the command line, which need not lie where scenes are looked up by name."""
        self._store_root = store_root
        self._given = given
        self._lock = threading.Lock()
        self._open: dict[str, Plane] = {}
        self._dropped: OrderedDict[str, Scene] = OrderedDict()

    @property
    def first(self) -> str | None:
        """Name of the scene that the command line gave."""
        return self._given.stem if self._given else None

    def names(self) -> list[str]:
        """Return the names of the scenes that may be opened, the given one first."""
        own = [self._given.stem] if self._given else []
        return list(dict.fromkeys([*own, *scene.names(), *self._dropped]))

    def file(self, name: str) -> Path | None:
        """Return the file of a scene by name; None for one out of a still. SceneError if there is none."""
        if name in self._dropped:
            return None
        if self._given is not None and name == self._given.stem:
            return self._given
        if name not in scene.names():  # a name out of a list: no path of any kind is taken from a page
            raise SceneError(f"There is no scene {name[:60]!r} here.")
        return scene.find(name)

    def load(self, name: str) -> Scene:
        """Read a scene anew, as its file is now."""
        path = self.file(name)
        return self._dropped[name] if path is None else scene.load(path)

    def drop(self, opened: Scene) -> str:
        """Keep a scene that came out of a still, and return the name under which it can be opened."""
        with self._lock:
            name = f"{opened.name} (still {opened.problem.key[:6]})"
            self._dropped[name] = opened
            while len(self._dropped) > _MOST_DROPPED:
                self._dropped.popitem(last=False)
            return name

    def open(self, name: str) -> Plane:
        """Return the plane of a scene. The first one loads JAX, which takes a second or two."""
        problem = self.load(name).problem
        with self._lock:
            plane = self._open.get(problem.key)
            if plane is None:
                plane = self._open[problem.key] = Plane(problem, self._store_root)
            return plane
