"""Tiles as files that any web server can serve: squares of 4 x 4 tiles of one level, compressed.

A pack holds numbers, which the page colours. They are rounded to 12 bits, nearly four digits, and their bytes are
sorted by significance, which makes the files smaller. `page/published/packs.js` reads them.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from render.encode.arrays import in_float32
from render.geometry.tiles import Tile, TileRange
from render.picture.channels import Channel
from render.samples import Field

# Tiles along a side. A screen then needs a few dozen packs of about 60 kB, like the tiles of a web map.
SIDE = 4

# Bits of a 32-bit float that are rounded away: 11 of the 23 bits of its fraction stay.
_EMPTY_BITS = 12

# An upper estimate of the bytes of a tile in a pack, for numbers that hardly compress (a few exponents, 11 random
# bits). A tile of `mandelbrot` at draft, most of which is smooth, takes 1.8 kB with one channel and 2.6 kB with three.
_TILE_BYTES, _CHANNEL_BYTES = 1_900, 2_100


def packed(tiles: Sequence[tuple[Tile, Field]], channels: Iterable[Channel]) -> bytes:
    """Return the content of a pack. tiles: of one square. channels: their signed sizes are written, in this order."""
    places = bytes([len(tiles), *(at for tile, _ in tiles for at in (tile.ix % SIDE, tile.iy % SIDE))])
    fields = [field for _, field in tiles]
    numbers = [
        np.concatenate([field.escape_step.ravel() for field in fields]).astype("<i4"),
        _rounded(np.concatenate([field.final_loss.ravel() for field in fields])),
        *(_rounded(np.concatenate([channel.signed(field).ravel() for field in fields])) for channel in channels),
    ]
    status = np.concatenate([field.status.ravel() for field in fields]).tobytes()
    # The header has no time, so that the same samples give the same bytes.
    return gzip.compress(places + status + b"".join(_by_significance(values) for values in numbers), 9, mtime=0)


def by_pack(tiles: Iterable[Tile]) -> dict[Tile, list[Tile]]:
    """Return tiles by pack, given as (level, column, row) of packs; those of each pack are sorted."""
    packs: dict[Tile, list[Tile]] = {}
    for tile in tiles:
        packs.setdefault(Tile(tile.level, tile.ix // SIDE, tile.iy // SIDE), []).append(tile)
    return {pack: sorted(packs[pack]) for pack in sorted(packs)}


def areas(packs: Iterable[Tile]) -> dict[int, list[TileRange]]:
    """Return rectangles that cover exactly some packs, by level."""
    rows: dict[tuple[int, int], list[int]] = {}
    for level, ix, iy in packs:
        rows.setdefault((level, iy), []).append(ix)
    areas_by_level: dict[int, list[TileRange]] = {}
    for (level, iy), columns in sorted(rows.items()):
        for x0, x1 in _runs(sorted(columns)):
            above = areas_by_level.setdefault(level, [])
            joins = next((i for i, r in enumerate(above) if (r.x0, r.x1, r.y1) == (x0, x1, iy)), None)
            if joins is None:
                above.append(TileRange(level, x0, x1, iy, iy + 1))
            else:
                above[joins] = above[joins]._replace(y1=iy + 1)
    return areas_by_level


def estimated_bytes(tiles: int, channels: int) -> int:
    """Return about the size of so many tiles in packs."""
    return tiles * (_TILE_BYTES + channels * _CHANNEL_BYTES)


def write_all(
    tiles: Iterable[Tile],
    fetch: Callable[[Tile], Field],
    channels: Mapping[str, Channel],
    put: Callable[[str, bytes], None],
) -> dict[int, list[TileRange]]:
    """Pack tiles, call `put` with each pack's path below the site and its content, and return the areas of packs."""
    packs = by_pack(tiles)
    for pack, inside in packs.items():
        content = packed([(tile, fetch(tile)) for tile in inside], channels.values())
        put(f"tiles/{pack.level}/{pack.ix}/{pack.iy}.tiles", content)
    return areas(packs)


def _runs(rising: list[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive integers as (first, last + 1)."""
    breaks = [0, *(i for i in range(1, len(rising)) if rising[i] != rising[i - 1] + 1), len(rising)]
    return [(rising[a], rising[b - 1] + 1) for a, b in itertools.pairwise(breaks)]


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return float64 values as float32 with empty low bits, rounded to nearest; signs, inf and nan stay."""
    narrow = in_float32(values)
    bits = narrow.view(np.uint32)
    half = np.uint32(1 << (_EMPTY_BITS - 1))
    rounded = ((bits + half) >> np.uint32(_EMPTY_BITS) << np.uint32(_EMPTY_BITS)).view(np.float32)
    return np.where(np.isfinite(narrow), rounded, narrow).astype("<f4")


def _by_significance(values: np.ndarray) -> bytes:
    """Return the bytes of 32-bit numbers, all first ones before all second ones."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, 4).T).tobytes()
