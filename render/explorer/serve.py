"""Starting and stopping the explorer's server: one process, loopback only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from render import scene
from render.explorer import app, guard, local_page
from render.explorer.planes import Planes
from render.machine import signals
from render.storage.store import check_store


def run(
    name: str,
    store: Path,
    folder: Path,
    port: int | None,
    *,
    browse: bool,
    announce: Callable[[str, str], None],
    note: Callable[[str], None],
) -> bool:
    """Serve until a signal ends it, then stop cleanly: no further batches are trained, and complete tiles are stored.

    Return whether every thread has ended. A thread that compiles, or runs a slow batch, cannot be stopped, and the end
    of the interpreter would crash it: then the process must leave at once (os._exit).

    name: of a scene, or "" to choose one in the page. folder: for saved scenes. port: None for the default one, or the
    next that is free. announce: called with the address to open, and the same without the token. note: called with
    other remarks.
    """
    given = scene.find(name) if name else None
    if given is not None:
        scene.load(given).check_plane("the explorer")  # reports every fault of the scene before a browser opens
    check_store(store)
    listener = local_page.listen(port)
    token = guard.new_token()
    settings = app.Settings(token, folder, store)
    place = local_page.place_of(listener)
    served = app.make(Planes(store, given), settings)
    announce(f"{place}?token={token}", place)
    if browse and local_page.can_browse():
        local_page.browse(f"{place}?token={token}", note)
    _Server(local_page.config(served, lifespan=True, shutdown_s=2)).run(sockets=[listener])
    return not any(worker.busy for worker in served.state.workers)


class _Server(local_page.Server):
    """A server that ends by the same signals as every command: uvicorn would also take a SIGINT that is ignored."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def end() -> None:
            self.should_exit = True

        signals.listen()
        with signals.stopping(end):
            yield
