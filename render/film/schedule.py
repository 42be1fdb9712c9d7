"""Trains the tiles of a plan that the store lacks, in order of first use: resume, progress, a clean stop."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from render.backends import Backend, Batch, Failed
from render.deep.targets import Targets
from render.errors import DamagedTile, StoreError, TrainingError
from render.geometry import patches
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem
from render.samples import Field, Points
from render.storage import references
from render.storage.references import Reference
from render.storage.store import TileStore

# Losing a tile more often than this is no accident: the disk or another program destroys what is written.
_MOST_LOSSES = 3

# If more tiles than this cannot be trained, the fault lies elsewhere, and training the rest would waste time.
_MOST_FAILURES = 16


class Stopped(Exception):
    """Training was asked to stop before it was done. Everything finished is in the store."""


class Work(NamedTuple):
    """The work on a tile.

    patches: those to train, which are wanted and lacking. parent: the tile that has the even samples of some of them
    already, or will have; None if there is none. taken_over: the patches that take them over from it.
    """

    patches: Patches
    parent: Tile | None = None
    taken_over: Patches = 0

    @property
    def mask(self) -> np.ndarray:
        """Which samples are to be trained: bool [SAMPLES, SAMPLES]."""
        return patches.new_samples(self.patches, self.taken_over)

    @property
    def samples(self) -> int:
        """How many samples are to be trained."""
        return patches.new_sample_count(self.patches, self.taken_over)


def points_of(problem: Problem, tile: Tile, work: Work, reference: Reference | None = None) -> Points:
    """Return the points of the samples of a tile that are to be trained."""
    rows, columns = np.nonzero(work.mask)
    return references.points(problem, tile, rows, columns, reference)


@dataclass(frozen=True)
class Switch:
    """The transition from float64 to differences from reference runs: the targets of a film, and the run of each.

    references: None for one that is yet to be made; nothing that follows it can be trained then.
    """

    targets: Targets
    references: tuple[Reference | None, ...]

    @property
    def is_ready(self) -> bool:
        """Return whether every reference run is there."""
        return None not in self.references

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the reference runs that are there."""
        return tuple(reference.key for reference in self.references if reference is not None)

    def reference_of(self, tile: Tile) -> Reference | None:
        """Return the run that a tile is followed from; None for a plain tile. RuntimeError if it is missing."""
        number = self.targets.of(tile)
        if number is None:
            return None
        reference = self.references[number]
        if reference is None:
            raise RuntimeError("levels after the switch need a reference run")
        return reference


def assemble(tile: Tile, work: Work, trained: Field, parent: Field | None) -> Field:
    """Return the patches of a tile that were trained, with the samples that they take over from its parent.

    What lies beside them is unset.
    """
    even = patches.samples(work.taken_over)[::2, ::2]
    channels = {}
    for name, values in trained.channels().items():
        channels[name] = np.empty((SAMPLES, SAMPLES), values.dtype)
        channels[name][work.mask] = values
        if parent is not None:
            channels[name][::2, ::2][even] = parent.channels()[name][tile.parent_quadrant][even]
    return Field.from_channels(channels)


class Training:
    """Trains the missing tiles of a plan in the background, in order, while other threads use those that are there.

    missing: the tiles that the store lacked at the start.
    samples_total, samples_done: training runs that this render needs and has finished; stored ones count nothing.
    repaired: messages about tiles that were lost or damaged and are trained again.
    observers: are called with every tile that `fetch` returns, and its field.
    """

    def __init__(
        self,
        problem: Problem,
        order: Sequence[Tile],
        store: TileStore,
        backend: Backend,
        switch: Switch | None = None,
        wanted: Mapping[Tile, Patches] = ALL_WHOLE,
    ) -> None:
        """Look up what the store lacks of the tiles, in order of first use. Nothing is trained before start().

        wanted: which patches of them; whole tiles where it names none.
        """
        self._problem, self._store, self._backend = problem, store, backend
        self._switch = switch
        self._position = {tile: i for i, tile in enumerate(order)}
        self._wanted = {tile: wanted.get(tile, WHOLE) for tile in order}
        lacking = zip(order, store.held(order), strict=True)
        todo = {tile: absent_patches for tile, held in lacking if (absent_patches := self._wanted[tile] & ~held)}
        self._pending = deque(todo)
        self.missing = absent = frozenset(todo)
        self._done = [tile not in absent for tile in order]
        self._work = self._divided(todo)
        self._prefix = 0
        self._proved = False
        self._changed = threading.Condition()
        self._stop = False
        self._under_way = 0  # tiles handed out and not yet stored
        self._losses: Counter[Tile] = Counter()
        self._alone: set[Tile] = set()  # tiles of batches that could not be trained
        self._failed: dict[Tile, str] = {}
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.repaired: list[str] = []
        self.observers: list[Callable[[Tile, Field], None]] = []
        self.samples_total = sum(work.samples for work in self._work.values())
        self.samples_done = 0
        self._advance_prefix()

    # ---- for other threads -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin training what is missing; return at once."""
        with self._changed:
            if self._thread is None and self._pending and not self._stop:
                self._thread = threading.Thread(target=self._train, name="training", daemon=True)
                self._thread.start()

    @property
    def is_running(self) -> bool:
        """Return whether something is being trained."""
        return self._thread is not None

    def count_for(self, tiles: Iterable[Tile]) -> int:
        """Return how many tiles, in order, must be there before all the given ones are."""
        return 1 + max(self._position[tile] for tile in tiles)

    def wait_for(self, count: int, timeout_s: float | None = None) -> bool:
        """Wait until the first `count` tiles are in the store; False after timeout_s seconds.

        Raises what training raised, or Stopped if it was stopped before it got that far.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._prefix >= count or self._error or self._ended, timeout_s)
            if self._prefix < count and (self._error or self._ended):
                raise self._error or Stopped()
            return self._prefix >= count

    def fetch(self, tile: Tile) -> Field:
        """Return a finished tile from the store; one that was lost or damaged there is trained again first."""
        while True:
            try:
                field = self._store.get(tile, self._wanted.get(tile, WHOLE))
            except (DamagedTile, KeyError) as fault:
                self._again(tile, fault)
                self.start()
                self.wait_for(self._position[tile] + 1)
                continue
            for observe in self.observers:
                observe(tile, field)
            return field

    def stop(self) -> None:
        """Finish and store the batches that are running, start no more, and wait for that."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    # ---- the training thread -----------------------------------------------------------------------------------

    def _train(self) -> None:
        try:
            while True:
                for batch, result in self._backend.run(self._next_batch):
                    self._keep(batch, result)
                with self._changed:  # decided under the lock, or a tile put back just now would wait for ever
                    if self._stop or not self._pending:
                        self._leave(Stopped() if self._pending else self._failure())
                        return
        except BaseException as error:  # handed to the thread that waits
            with self._changed:
                self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        self._error = error
        self._stop = self._stop or error is not None
        self._thread = None
        self._changed.notify_all()

    def _next_batch(self) -> Batch | None:
        """Hand out the next tiles whose parents are stored; wait while only others are left."""
        with self._changed:
            while not self._stop and self._pending:
                chosen = self._take_ready()
                if chosen:
                    self._under_way += len(chosen)
                    return self._batch(chosen)
                if self._under_way == 0:
                    raise RuntimeError(f"{len(self._pending)} tiles wait for parents that are not being trained")
                self._changed.wait()
            return None

    def _take_ready(self) -> list[Tile]:
        chosen: list[Tile] = []
        skipped: list[Tile] = []
        points = 0
        # Looking far past tiles that wait for a parent would train what is needed much later: a few are enough.
        capacity = self._backend.capacity
        while self._pending and len(skipped) < 256:
            tile = self._pending[0]
            points += self._work[tile].samples
            if points > capacity or (chosen and not self._go_together(chosen[0], tile)):
                break
            self._pending.popleft()
            if self._is_done(self._work[tile].parent):
                chosen.append(tile)
            else:
                skipped.append(tile)
                points -= self._work[tile].samples
        self._pending.extendleft(reversed(skipped))
        return chosen

    def _go_together(self, first: Tile, other: Tile) -> bool:
        """Return whether two tiles may share a batch: neither has to be tried alone, and one engine trains both."""
        return not self._alone.intersection((first, other)) and self._target_of(first) == self._target_of(other)

    def _target_of(self, tile: Tile) -> int | None:
        return None if self._switch is None else self._switch.targets.of(tile)

    def _batch(self, chosen: list[Tile]) -> Batch:
        reference = None if self._switch is None else self._switch.reference_of(chosen[0])
        points = [points_of(self._problem, tile, self._work[tile], reference) for tile in chosen]
        return Batch(tuple(chosen), Points.join(points), reference)

    def _keep(self, batch: Batch, result: Field | Failed) -> None:
        try:
            if isinstance(result, Failed):
                self._give_up(batch, result.why)
            else:
                self._store_tiles(batch, result)
        finally:
            with self._changed:
                self._under_way -= len(batch.tiles)
                self._changed.notify_all()

    def _store_tiles(self, batch: Batch, field: Field) -> None:
        if not self._proved:  # now, since the first batch has compiled what this takes
            self._store.check_proof(self._backend.proof)
            self._proved = True
        start = 0
        for tile in batch.tiles:
            work = self._work[tile]
            trained = field.at(slice(start, start + work.samples))
            start += work.samples
            parent = work.parent
            try:
                above = self._store.get(parent, patches.in_parent(tile, work.taken_over)) if parent else None
            except (DamagedTile, KeyError) as fault:
                assert parent is not None
                with self._changed:
                    self._pending.appendleft(tile)
                self._again(parent, fault)
                continue
            self._store.put(tile, assemble(tile, work, trained, above), work.patches)
            with self._changed:
                self._done[self._position[tile]] = True
                self.samples_done += work.samples
                self._advance_prefix()
                self._changed.notify_all()

    def _give_up(self, batch: Batch, why: str) -> None:
        """Queue the tiles of a failed batch again, to be tried one by one; give up a tile that was tried alone."""
        with self._changed:
            if len(batch.tiles) > 1:
                self._alone.update(batch.tiles)
                self._pending.extendleft(reversed(batch.tiles))
                return
            (tile,) = batch.tiles
            self._failed[tile] = why
            self.repaired.append(f"Could not train {tile}: {why}. The others go on.")
            if len(self._failed) > _MOST_FAILURES:
                raise self._failure() or AssertionError
            for child in self._pending:  # its children train the samples that they would have inherited
                if self._work[child].parent == tile:
                    self._set_work(child, Work(self._work[child].patches))

    def _failure(self) -> TrainingError | None:
        """Return the error about the tiles that could not be trained; None if there are none."""
        if not self._failed:
            return None
        named = "; ".join(f"{tile}: {why}" for tile, why in list(self._failed.items())[:_MOST_FAILURES])
        return TrainingError(
            f"{len(self._failed)} of {len(self._done)} tiles could not be trained ({named}). All other trained "
            "tiles are kept: once the cause is fixed, the same command trains only what is missing."
        )

    def _again(self, tile: Tile, fault: Exception) -> None:
        """Put a tile that the store lost at the head of the queue."""
        lost = (
            f"The store has lost {tile}: its file was removed. It will be trained again; nothing needs to be done, but "
            "while a film is made no other program must remove files of its store."
        )
        why = str(fault) if isinstance(fault, DamagedTile) else lost
        with self._changed:
            if not self._is_done(tile):
                return
            self._losses[tile] += 1
            if self._losses[tile] > _MOST_LOSSES:
                raise StoreError(
                    f"{why} It was lost {_MOST_LOSSES} times already: check the disk, or use another --store."
                )
            self.repaired.append(why)
            if tile not in self._position:  # a parent that only the store knew
                self._position[tile] = len(self._done)
                self._done.append(False)
            position = self._position[tile]
            self._done[position] = False
            self._prefix = min(self._prefix, position)
            # Every sample of them is trained: the tile's own parent may be lost too.
            self._work[tile] = Work(self._wanted.get(tile, WHOLE))
            self._pending.appendleft(tile)
            self.samples_total += self._work[tile].samples
            self._changed.notify_all()

    def _divided(self, todo: Mapping[Tile, Patches]) -> dict[Tile, Work]:
        """Return what is to be trained of tiles, and what of it comes from parents: of this job, or already stored."""
        related = [tile for tile in todo if tile.level > 0 and self._inherits(tile)]
        outside = dict.fromkeys(tile.parent for tile in related if tile.parent not in self._position)
        held = dict(zip(outside, self._store.held(outside), strict=True))
        work = {tile: Work(lacking) for tile, lacking in todo.items()}
        for tile in related:
            parent = tile.parent
            above = held[parent] if parent in held else self._wanted[parent]
            if taken_over := patches.inherited(tile, above) & todo[tile]:
                work[tile] = Work(todo[tile], parent, taken_over)
                if parent in held:  # if it turns out to be damaged, this much of it is trained again
                    self._wanted[parent] = self._wanted.get(parent, 0) | patches.in_parent(tile, taken_over)
        return work

    def _inherits(self, tile: Tile) -> bool:
        """Return whether a tile has samples of its parent: by differences a run has other last bits, and past float64
        other digits."""
        return self._switch is None or self._switch.targets.inherits(tile)

    def _set_work(self, tile: Tile, work: Work) -> None:
        self.samples_total += work.samples - self._work[tile].samples
        self._work[tile] = work

    def _is_done(self, tile: Tile | None) -> bool:
        return tile is None or tile not in self._position or self._done[self._position[tile]]

    @property
    def _ended(self) -> bool:
        return self._stop and self._thread is None

    def _advance_prefix(self) -> None:
        while self._prefix < len(self._done) and self._done[self._prefix]:
            self._prefix += 1
