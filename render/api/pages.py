"""The explorer's page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from render.api import output_names
from render.api.scene_argument import takes_whole_numbers
from render.explorer import serve


@takes_whole_numbers
def explore(
    scene: str | os.PathLike[str] = "",
    *,
    store: str | os.PathLike[str] = "store",
    folder: str | os.PathLike[str] = "scenes",
    port: int | None = None,
    browse: bool = True,
    announce: Callable[[str, str], None] = lambda address, place: print(address),
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Serve the explorer on this machine until Ctrl-C; return whether all of its threads have ended.

    scene: a scene file, or the name of one; without it, one is chosen in the page. folder: where saved scenes go.
    port: on 127.0.0.1; None is 8640, or the next that is free. browse: open the page in a browser, where there is a
    screen. announce: receives the address to open, and the same without its token. note: receives remarks.
    """
    scenes_folder = output_names.folder(
        folder, what="--folder", advice="Give a folder: the page asks for scenes' names."
    )
    return serve.run(os.fspath(scene), Path(store), scenes_folder, port, browse=browse, announce=announce, note=note)
