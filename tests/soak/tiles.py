"""Long renders by simulation: the real schedule hands out and takes in a million tiles; only training is too fast.

A backend that answers at once, and a store that remembers addresses only, leave the schedule as all that is measured.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import psutil

from render import scene
from render.backends import Batch
from render.film.schedule import Training
from render.geometry.patches import ALL_WHOLE, WHOLE, Patches
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field
from render.storage.store import lacking

PROBLEM = scene.load("mean_lr").problem


class FastBackend:
    """Answers every batch at once with the same values."""

    capacity = 8 * SAMPLES**2
    workers = 1
    numerics: dict[str, str | int] = {}
    proof: dict[str, str] = {}
    step_time_s = 0.0

    def run(self, next_batch: Callable[[], Batch | None]) -> Iterator[tuple[Batch, Field]]:
        capacity_field = Field.empty((self.capacity,))
        for channel in capacity_field:
            channel[...] = 0
        while (batch := next_batch()) is not None:
            yield batch, capacity_field.at(slice(0, len(batch.points)))


class AddressStore:
    """Remembers which tiles were put; all have the samples of the last one."""

    def __init__(self) -> None:
        self.tiles: set[Tile] = set()
        self.last: Field | None = None

    def get(self, tile: Tile, wanted: Patches = WHOLE) -> Field:
        if tile not in self.tiles or self.last is None:
            raise KeyError(tile)
        return self.last

    def put(self, tile: Tile, field: Field, patches: Patches = WHOLE) -> None:
        assert field.value.shape == (SAMPLES, SAMPLES)
        self.tiles.add(tile)
        self.last = field

    def has(self, tile: Tile) -> bool:
        return tile in self.tiles

    def held(self, tiles: Iterable[Tile]) -> list[Patches]:
        return [WHOLE if tile in self.tiles else 0 for tile in tiles]

    def missing(self, tiles: Iterable[Tile], wanted: Mapping[Tile, Patches] = ALL_WHOLE) -> list[Tile]:
        return lacking(self, tiles, wanted)

    def check_proof(self, proof: Mapping[str, str]) -> None:
        assert proof == {}


class Soak(NamedTuple):
    """Tiles a second in each tenth of a run, and resident memory in MB before the first and after each."""

    tiles: int
    rates: list[float]
    memory_mb: list[float]

    def __str__(self) -> str:
        rates, memory = np.array(self.rates), self.memory_mb
        return (
            f"{self.tiles:,} tiles, {rates.mean():,.0f} a second (slowest tenth {rates.min():,.0f}, fastest "
            f"{rates.max():,.0f}); memory {memory[0]:,.0f} MB planned, {memory[1]:,.0f} after a tenth, "
            f"{memory[-1]:,.0f} at the end"
        )


def zoom(count: int) -> list[Tile]:
    """Return tiles of a zoom, level by level: a window of 40 tiles a side, parents first."""
    order: list[Tile] = []
    level = 0
    while len(order) < count:
        side = min(40, 1 << level)
        first = ((1 << level) - side) // 2
        order += [Tile(level, first + i, first + j) for i in range(side) for j in range(side)]
        level = level + 1 if level < 30 else 6
        if level == 6:
            return _far(order, count)
    return order[:count]


def _far(order: list[Tile], count: int) -> list[Tile]:
    """Fill up with the tiles of one deep level, column by column."""
    start = 1 << 20
    for i in range(count):
        if len(order) >= count:
            break
        order += [Tile(30, start + i, start + j) for j in range(min(1000, count - len(order)))]
    return order


def run(count: int = 1_000_000) -> Soak:
    """Send that many tiles through the schedule."""
    order = zoom(count)
    store = AddressStore()
    store.tiles = set()
    training = Training(PROBLEM, order, store, FastBackend())
    gc.collect()
    process = psutil.Process()
    memory, rates = [process.memory_info().rss / 1e6], []
    training.start()
    for tenth in range(1, 11):
        started, done = time.perf_counter(), len(store.tiles)
        training.wait_for(count * tenth // 10)
        rates.append((len(store.tiles) - done) / max(time.perf_counter() - started, 1e-9))
        memory.append(process.memory_info().rss / 1e6)
    training.stop()
    assert len(store.tiles) == count
    assert training.samples_done == training.samples_total
    return Soak(count, rates, memory)
