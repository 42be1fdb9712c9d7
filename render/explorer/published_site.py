"""A folder that any web server can serve: the explorer's page without its server, over the tiles of one film.

<site>/index.html, page/     the explorer's page, with other scripts in place of those that ask a server
(page/published) <site>/site.json             the scene, its path, palettes, and which packs there are
<site>/tiles/L/X/Y.tiles     packs of tiles: see packs.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.errors import RenderError
from render.explorer import colouring, descriptions, film_preview, packs, pagefiles
from render.files.folders import Layout, whole_folder
from render.geometry.tiles import Tile, TileRange
from render.machine import sizes
from render.picture.channels import Channel
from render.samples import Field
from render.scene import Scene, other_systems, records
from render.scene.wording import nearest, quoted

MARK = "site.json"

# How a folder that this module wrote is recognised.
LAYOUT = Layout(MARK, b'"packs"', r"index\.html|site\.json|page/.+|tiles/\d+/\d+/\d+\.tiles")


@dataclass(frozen=True)
class Published:
    """A site on disk. size_bytes: of all of its files; tiles: how many it shows."""

    folder: Path
    size_bytes: int
    tiles: int
    files: int


def page_bytes() -> int:
    """Return about the size of everything except the tiles: the page, palettes, and the path."""
    return sum(len(content) for _, content in pagefiles.published_files("", "")) + 400_000


def shown_channels(scene: Scene, names: Sequence[str]) -> dict[str, Channel]:
    """Return the channels by which a page can colour: that of the scene, then the named ones. Raises RenderError."""
    known = colouring.channels(scene.problem)
    first = scene.look.channel if scene.look.channel in known else "value"
    for name in names:
        if name not in known:
            hint = other_systems.hint(("look", "channel"), name, scene.problem.system) or nearest(name, known)
            end = "" if hint.endswith("?") else "."
            raise RenderError(f"--channels must be some of {', '.join(known)}, not {quoted(name)}{hint}{end}")
    return {name: known[name] for name in dict.fromkeys([first, *names])}


def plane_tiles(deepest: int) -> list[Tile]:
    """Return all tiles of the plane down to a level, coarse ones first."""
    return [tile for level in range(deepest + 1) for tile in TileRange(level, 0, 1 << level, 0, 1 << level).tiles()]


def write(
    scene: Scene,
    tiles: Iterable[Tile],
    fetch: Callable[[Tile], Field],
    channels: dict[str, Channel],
    folder: Path,
    *,
    most_bytes: int,
    made_of: Mapping[str, str],
    report: Callable[[int], None] = lambda size_bytes: None,
) -> Published:
    """Write a site, completely or not at all.

    fetch: returns the field of a tile. made_of: facts from which the site can be made again. most_bytes: the most that
    all files together may have; a larger site is not written. Raises RenderError, WriteError.
    """
    size = count = 0
    tiles = sorted(set(tiles))

    with whole_folder(folder, layout=LAYOUT) as root:

        def put(name: str, content: bytes) -> None:
            nonlocal size, count
            size += len(content)
            count += 1
            if size > most_bytes:
                raise RenderError(
                    f"{folder}: the site would have more than {sizes.in_words(most_bytes)}, and was not written. "
                    "Choose a smaller --quality, a lower --plane-level, or a larger --max."
                )
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            report(size)

        for name, content in pagefiles.published_files(scene.name, _about(scene)):
            put(name, content)
        digest = hashlib.sha256()

        def put_pack(name: str, content: bytes) -> None:
            digest.update(content)
            put(name, content)

        areas = packs.write_all(tiles, fetch, channels, put_pack)
        site = _site(scene, channels, areas, digest.hexdigest()[:12]) | {records.MADE_OF: dict(made_of)}
        put(MARK, json.dumps(site, separators=(",", ":")).encode())
    return Published(folder, size, len(tiles), count)


def _about(scene: Scene) -> str:
    return f"{scene.name}: {scene.problem.labels[0]} to the right, {scene.problem.labels[1]} upwards"


def _site(
    scene: Scene, channels: dict[str, Channel], areas: dict[int, list[TileRange]], version: str
) -> dict[str, Any]:
    deepest = max(areas)
    described = descriptions.scene(scene)
    palettes = list(dict.fromkeys([described["look"]["palette"], *colouring.PALETTES]))
    return {
        "start": descriptions.start([scene.name], scene.name, palettes),
        "scene": described
        | {
            "channels": {name: described["channels"][name] for name in channels},
            "deepest_level": deepest,
            "deepest_zoom": deepest,
            "dials": [],  # there are tiles only for the values in the scene
        },
        "path": film_preview.path(scene),
        "palettes": {name: {"colours": colouring.palette(name), "remark": colouring.remark(name)} for name in palettes},
        "packs": {
            "version": version,
            "channels": list(channels),
            # As texts, since columns of deep levels have more digits than numbers in JavaScript.
            "levels": {
                level: [[str(at) for at in (r.x0, r.x1, r.y0, r.y1)] for r in rectangles]
                for level, rectangles in areas.items()
            },
        },
    }
