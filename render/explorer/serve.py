"""Starting and stopping the explorer's server: one process, loopback only."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from render import scene
from render.errors import RenderError
from render.explorer import app, guard
from render.explorer.planes import Planes
from render.machine import signals
from render.storage.store import check_store

# Where the explorer is found again after a restart, so that an address of a view stays good; if it is taken, the next.
PORT = 8640
_PORTS_TRIED = 20

# Connections at a time: 16 pages with a few requests each.
_MOST_CONNECTIONS = 96

# A view is half a kilobyte; nothing that a page sends through its socket is larger than a list of forgotten tiles.
_MOST_MESSAGE_BYTES = 262_144


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
    """Serve until a signal ends it, then stop cleanly: nothing more is trained, whole tiles are stored.

    Return whether every thread has ended. One that compiles, or runs a slow batch, cannot be stopped, and the
    interpreter's own end would tear it apart: then the process must leave at once (os._exit).

    name: of a scene, or "" to choose in the page. folder: where saved scenes go. port: None for the usual one, or the
    next that is free. announce: gets the address to open, and the same without the token.
    note: gets what else a person should know.
    """
    given = scene.find(name) if name else None
    if given is not None:
        scene.load(given).check_plane("the explorer")  # every fault of the scene, before a browser opens
    check_store(store)
    listener = _listen(port)
    token = guard.new_token()
    settings = app.Settings(token, folder, store)
    place = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    served = app.make(Planes(store, given), settings)
    config = uvicorn.Config(
        served,
        ws="websockets-sansio",
        ws_max_size=_MOST_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # loopback: compressing costs more than sending
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    announce(f"{place}?token={token}", place)
    if browse and _can_browse():
        _browse(f"{place}?token={token}", note)
    _Server(config).run(sockets=[listener])
    return not any(worker.busy for worker in served.state.workers)


class _Server(uvicorn.Server):
    """A server that ends by the signals that end every command: uvicorn would take SIGINT where it is ignored."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def end() -> None:
            self.should_exit = True

        signals.listen()
        with signals.stopping(end):
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; an answer that this cuts off (a long plan, say) is no fault to be reported."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _listen(port: int | None) -> socket.socket:
    if port is not None and not 0 <= port < 65536:
        raise RenderError(f"--port must be a number from 0 to 65535, not {port}.")
    for candidate in [port] if port is not None else [*range(PORT, PORT + _PORTS_TRIED), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere this would share a port that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or port is not None:
                raise RenderError(
                    f"Port {candidate} cannot be used: {error.strerror}. Choose another --port."
                ) from None
            continue
        listener.listen(128)
        return listener
    raise RenderError("No port is free.")


def _can_browse() -> bool:
    """Return whether there is a screen, or BROWSER names a program that opens pages (remote editors set it)."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _browse(address: str, note: Callable[[str], None]) -> None:
    """Open an address in a browser, beside the server: a program that stays in the foreground must not hold it up."""

    def open_it() -> None:
        try:
            opened = webbrowser.open(address)
        # What BROWSER holds is a person's: no program, unbalanced quotes, or blanks alone.
        except (webbrowser.Error, OSError, ValueError, IndexError):
            opened = False
        if not opened:
            note("A browser could not be started, or it ended with an error: open the address above yourself.")

    threading.Thread(target=open_it, name="browser", daemon=True).start()
