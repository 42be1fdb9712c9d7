"""A stored tile with any one byte changed must be told from a sound one."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render import scene
from render.errors import DamagedTile
from render.geometry.tiles import SAMPLES, Tile
from render.samples import Field
from render.storage.store import DirectoryStore

PROBLEM = scene.load("tiny").problem
TILE = Tile(5, 17, 9)


class Flips(NamedTuple):
    """How many bytes a tile has, how many changes were tried, how many of them were noticed."""

    size_bytes: int
    tried: int
    noticed: int

    def __str__(self) -> str:
        return f"{self.noticed:,} of {self.tried:,} changes noticed, over all {self.size_bytes:,} bytes of a tile"


def some_field(seed: int) -> Field:
    random = np.random.default_rng(seed)
    field = Field.empty((SAMPLES, SAMPLES))
    for channel in field:
        channel[...] = random.integers(0, 4, channel.shape)
    field.value[...] = random.normal(size=field.value.shape)
    return field


def run(step: int = 1) -> Flips:
    """Change every step-th byte: one bit of it, and all bits of it."""
    random = np.random.default_rng(step)
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder), PROBLEM, {"kernel": 0})
        store.put(TILE, some_field(0))
        path = store.path(TILE)
        content = path.read_bytes()
        noticed = tried = 0
        for place in range(0, len(content), step):
            for mask in (1 << int(random.integers(8)), 0xFF):
                path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
                tried += 1
                try:
                    store.get(TILE)
                except DamagedTile as fault:
                    noticed += str(path) in str(fault)
        path.write_bytes(content)
        store.get(TILE)
    return Flips(len(content), tried, noticed)
