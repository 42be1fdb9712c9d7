"""The time from the start of the command until the explorer's page shows colour, in a browser that is open already.

make bench ARGS=explorer        tanh: nothing trained nor compiled; nothing trained; the plane trained
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.helpers import browser
from tests.helpers.explorer import Server

ROUNDS = 3
SCENE = "tanh"
_WARM_TILES = 1  # of 1,024 samples: the whole plane, coarsely

# Colour on the map: any pixel of a coarse grid that is not the empty plane's grey.
_PAINTED = """[...document.querySelectorAll('.plane-tile')].some((tile) => {
  const { data } = tile.getContext('2d').getImageData(0, 127, 257, 1);
  return data.some((v, i) => i % 4 === 0 && Math.abs(v - data[i + 2]) > 12);
})"""


def _first_colour(chromium: browser.Browser, folder: Path, *, tiles: int = 0) -> tuple[float, float]:
    """Start an explorer with its store in a folder; return seconds to its address, and to colour in the page.

    tiles: how many to wait for in the store, before the explorer is stopped.
    """
    page = chromium.page()
    page.size(1366, 768)
    began_s = time.perf_counter()
    server = Server(folder, SCENE)
    try:
        address_s = time.perf_counter() - began_s
        page.open(server.url)
        page.until(_PAINTED)
        colour_s = time.perf_counter() - began_s
        while len(list(folder.rglob("*.npz"))) < tiles:
            time.sleep(0.2)
        return address_s, colour_s
    finally:
        page.close()
        server.stop()


def measured() -> Iterator[tuple[str, str]]:
    """Yield the seconds until the address is printed and until there is colour: median, and all of them."""
    program = browser.find()
    if program is None:
        raise SystemExit("No Chromium on this machine: install one, or set RENDER_BROWSER.")
    usual = os.environ.get("XDG_CACHE_HOME")
    try:
        with tempfile.TemporaryDirectory() as name, browser.running(program, Path(name) / "profile") as chromium:
            for what, folder, tiles in (
                ("nothing trained, nothing compiled", "bare", 0),
                ("nothing trained", "cold", _WARM_TILES),
                ("the plane trained", "cold", 0),
            ):
                seen = []
                for n in range(ROUNDS):
                    os.environ["XDG_CACHE_HOME"] = f"{name}/cache{n}"
                    seen.append(_first_colour(chromium, Path(name) / f"{folder}{n}", tiles=tiles))
                yield f"{SCENE}, {what}: address", f"{median(address_s for address_s, _ in seen):.1f} s"
                colours = ", ".join(f"{colour_s:.1f}" for _, colour_s in seen)
                yield f"{SCENE}, {what}: colour", f"{median(colour_s for _, colour_s in seen):.1f} s ({colours})"
    finally:
        os.environ.pop("XDG_CACHE_HOME", None)
        if usual is not None:
            os.environ["XDG_CACHE_HOME"] = usual
