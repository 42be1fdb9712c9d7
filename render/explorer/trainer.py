"""The queue of training: the tiles that all pages ask for, part by part, the most wanted first.

A page's list of tiles replaces its earlier one, so that tiles which left its view are not trained any more. Their
trained parts stay in memory for a while, and complete tiles are in the store. Batches are small, a fraction of a second
each, so that a new list is served at once.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from render.backends import Batch, trained
from render.explorer.growing_tile import GrowingTile
from render.explorer.planes import Plane
from render.explorer.serving_thread import Served
from render.geometry.tiles import Tile
from render.samples import Field, Points

# A batch has as many points as the backend trains in about this long. If batches took longer, the picture would lag
# behind the pointer; if much shorter, blocks would stay half empty. Before the rate is known, a batch is one part of a
# tile.
_BATCH_S = 0.6
_FIRST_POINTS = 64

# Rates are means over about this long.
_RATE_S = 5.0

# After this long the queue turns to another plane, if a page shows one.
_TURN_S = 4.0

# The most partly trained tiles that are kept in memory, 22 kB each.
_MOST_GROWING = 4096


class _Turn(NamedTuple):
    """One run of a backend. A late worker of an earlier run gets no further batch, since its result would be lost."""

    plane: Plane
    began_s: float


class _Part(NamedTuple):
    """A part of a tile in a batch: the tile, and the part's number there."""

    growing: GrowingTile
    number: int


@dataclass(frozen=True)
class Activity:
    """The state of the queue. state: idle, starting, training or failed. error: the message if it failed."""

    state: str
    samples_per_s: float
    tiles_waiting: int
    samples_done: int
    error: str


class Trainer(Served):
    """Trains the tiles that pages ask for, in a thread that drives one backend at a time."""

    def __init__(self, notify: Callable[[], None]) -> None:
        """notify: called from the trainer's thread whenever a part is trained."""
        super().__init__("trainer")
        self._notify = notify
        self._wishes: dict[Hashable, tuple[Plane, list[Tile]]] = {}
        self._wanted: dict[Plane, set[Tile]] = {}
        self._growing: OrderedDict[tuple[Plane, Tile], GrowingTile] = OrderedDict()
        self._under_way: set[tuple[Plane, Tile, int]] = set()
        self._handed: dict[tuple[object, ...], tuple[list[_Part], float]] = {}
        self._turn: _Turn | None = None
        self._last: Plane | None = None
        self._finished: deque[tuple[float, int]] = deque()
        # Weak references, since places past float64 are closed when many others have been opened.
        self._seen: WeakSet[Plane] = WeakSet()  # planes of which a batch is finished
        self._batch_rate: WeakKeyDictionary[Plane, float] = WeakKeyDictionary()  # points of a batch over its time
        self._rate: WeakKeyDictionary[Plane, float] = WeakKeyDictionary()  # points of all batches over the time
        self._samples_done = 0
        self._error = ""

    # ---- for pages ---------------------------------------------------------------------------------------------

    def wish(self, client: Hashable, plane: Plane, tiles: list[Tile]) -> None:
        """Replace the tiles that a client asks for, the most wanted first. Stored tiles may be among them."""
        with self._changed:
            self._wishes[client] = plane, [tile for tile in tiles if tile not in plane.stored]
            self._renew()

    def forget(self, client: Hashable) -> None:
        """Drop a client's wishes."""
        with self._changed:
            self._wishes.pop(client, None)
            self._renew()

    def growing(self, plane: Plane, tile: Tile) -> GrowingTile | None:
        """Return a partly trained tile. Read its version before its samples."""
        return self._growing.get((plane, tile))

    def activity(self) -> Activity:
        """Return what the queue is doing now."""
        with self._changed:
            now = time.monotonic()
            while self._finished and now - self._finished[0][0] > _RATE_S:
                self._finished.popleft()
            waiting = sum(len(wanted - plane.stored) for plane, wanted in self._wanted.items())
            samples = sum(count for _, count in self._finished)
            span = min(_RATE_S, now - self._finished[0][0] + _BATCH_S) if self._finished else 1.0
            state = "failed" if self._error else "idle" if not waiting else "training" if samples else "starting"
            return Activity(state, samples / span, waiting, self._samples_done, self._error)

    def rate(self, plane: Plane) -> float | None:
        """Return the training runs a second of all workers so far; None before anything was trained."""
        return self._rate.get(plane)

    # ---- the trainer's thread ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop or (not self._error and self._next_plane() is not None))
                plane = self._next_plane()
                if self._stop or plane is None:
                    return
                turn = self._turn = _Turn(plane, time.monotonic())
                self._last = plane
            self._notify()
            try:
                results = plane.backend.run(lambda turn=turn: self._next_batch(turn))  # type: ignore[misc]
                for batch, field in trained(results):
                    self._keep(plane, batch, field)
            except Exception as error:  # shown in the page; the next wish tries again
                with self._changed:
                    self._error = str(error) or type(error).__name__
                    self._turn = None
                    self._changed.notify_all()
                    self._handed.clear()
                    self._under_way.clear()
            self._notify()

    def _next_plane(self) -> Plane | None:
        """Return the plane whose turn it is: of those with wanted tiles, the one after the last."""
        planes = [plane for plane, wanted in self._wanted.items() if wanted - plane.stored]
        if not planes:
            return None
        last = self._last
        return planes[(planes.index(last) + 1) % len(planes)] if last in planes else planes[0]

    def _is_over(self, turn: _Turn) -> bool:
        if self._stop or self._error or self._turn is not turn:
            return True
        if self._next_plane() in (None, turn.plane):
            return False
        idle = not self._wanted.get(turn.plane, set()) - turn.plane.stored
        return idle or time.monotonic() - turn.began_s > _TURN_S

    def _next_batch(self, turn: _Turn) -> Batch | None:
        """Hand out the most wanted parts, about _BATCH_S of training; wait while there is nothing to do."""
        with self._changed:
            while not self._is_over(turn):
                parts = [] if self._awaits_first(turn.plane) else self._take(turn.plane)
                if parts:
                    return self._batch(turn.plane, parts)
                self._changed.wait()
            if self._turn is turn:
                self._turn = None
            self._changed.notify_all()
            return None

    def _awaits_first(self, plane: Plane) -> bool:
        """Return whether a plane's first batch is under way. Until it is finished, no other core compiles too."""
        return plane not in self._seen and bool(self._handed)

    def _take(self, plane: Plane) -> list[_Part]:
        parts: list[_Part] = []
        rate = self._batch_rate.get(plane)
        room = min(plane.backend.capacity, max(_FIRST_POINTS, int(rate * _BATCH_S)) if rate else _FIRST_POINTS)
        for tile in self._most_wanted(plane):
            growing = self._grow(plane, tile)
            if growing is None:
                continue
            for number in growing.left():
                if (plane, tile, number) in self._under_way:
                    continue
                size = int(growing.mask(number).sum())
                if size > room and parts:
                    return parts
                room -= size
                parts.append(_Part(growing, number))
                self._under_way.add((plane, tile, number))
            if room <= 0:
                break
        return parts

    def _most_wanted(self, plane: Plane) -> Iterator[Tile]:
        """Yield the tiles that the clients of a plane ask for, in turn."""
        lists = [tiles for wished, tiles in self._wishes.values() if wished is plane]
        for row in itertools.zip_longest(*lists):
            for tile in row:
                if tile is not None and tile not in plane.stored:
                    yield tile

    def _grow(self, plane: Plane, tile: Tile) -> GrowingTile | None:
        """Return a wanted tile with its trained parts; None while its parent, whose samples it will get, is trained."""
        known = self._growing.get((plane, tile))
        if known is not None:
            self._growing.move_to_end((plane, tile))
            return known
        parent = None
        if tile.level > plane.top:
            if tile.parent in plane.stored:
                parent = plane.get(tile.parent)
            elif tile.parent in self._wanted.get(plane, ()):
                return None
        growing = self._growing[plane, tile] = GrowingTile(plane.problem, tile, parent, plane.some(tile))
        while len(self._growing) > _MOST_GROWING:
            self._growing.popitem(last=False)
        return growing

    def _batch(self, plane: Plane, parts: list[_Part]) -> Batch:
        points = [plane.points(part.growing, part.number) for part in parts]
        batch = Batch(tuple(part.growing.tile for part in parts), Points.join(points), plane.reference)
        self._handed[_name(batch)] = parts, time.monotonic()
        return batch

    def _keep(self, plane: Plane, batch: Batch, field: Field) -> None:
        with self._changed:
            parts, started = self._handed.pop(_name(batch), ([], 0.0))
            start = 0
            complete = []
            for growing, number in parts:
                stop = start + int(growing.mask(number).sum())
                growing.add(number, field.at(slice(start, stop)))
                start = stop
                self._under_way.discard((plane, growing.tile, number))
                if growing.is_whole:
                    complete.append(growing)
            now = time.monotonic()
            self._seen.add(plane)
            self._changed.notify_all()
            if self._finished:  # the very first batch is mostly compilation
                seen = start / max(now - started, 1e-3)
                before = self._batch_rate.get(plane, seen)
                self._batch_rate[plane] = before + 0.3 * (seen - before)
            self._finished.append((now, start))
            lately = [row for row in self._finished if now - row[0] < _RATE_S]
            if len(lately) > 2:
                self._rate[plane] = sum(count for _, count in lately[1:]) / (now - lately[0][0])
            self._samples_done += start
        for growing in complete:
            try:
                plane.put(growing.tile, growing.field)
            except BaseException:
                growing.done.discard(max(growing.done))  # one part is trained again, and then the tile is stored
                raise
        with self._changed:
            for growing in complete:
                self._growing.pop((plane, growing.tile), None)
            self._changed.notify_all()
        self._notify()

    def _renew(self) -> None:
        self._error = ""
        self._wanted = {}
        for plane, tiles in self._wishes.values():
            self._wanted.setdefault(plane, set()).update(tiles)
        self._changed.notify_all()


def _name(batch: Batch) -> tuple[object, ...]:
    """Return what identifies a batch under way, also if it was copied to another process and back."""
    return batch.tiles, *(float(column[0]) for column in batch.points.columns)
