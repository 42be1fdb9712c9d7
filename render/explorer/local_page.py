"""Pages that one process serves to its own machine: the socket, the server, and the browser that opens them."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from render.errors import RenderError

# Where the explorer is found again after a restart, so that an address of a view stays good; if it is taken, the next.
PORT = 8640
_PORTS_TRIED = 20

# Connections at a time: 16 pages with a few requests each.
_MOST_CONNECTIONS = 96

# A view is half a kilobyte; nothing that a page sends through its socket is larger than a list of forgotten tiles.
_MOST_MESSAGE_BYTES = 262_144

_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def place_of(listener: socket.socket) -> str:
    """Return the address of what listens there, without a token."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def config(app: ASGIApp, *, lifespan: bool, shutdown_s: int) -> uvicorn.Config:
    """Return how an application is served. shutdown_s: how long requests under way may hold up its end."""
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=_MOST_MESSAGE_BYTES,
        # A page that paints for long reads nothing meanwhile, and would be given up; on one machine nothing is lost
        # without either side hearing of it.
        ws_ping_interval=None,
        ws_per_message_deflate=False,  # loopback: compressing costs more than sending
        log_level="error",  # what is no HTTP, or comes when too many are connected, is refused without a word here
        access_log=False,
        server_header=False,
        lifespan="on" if lifespan else "off",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=shutdown_s,
    )


class Server(uvicorn.Server):
    """A server whose end is quiet."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; an answer that this cuts off (a long plan, say) is no fault to be reported."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on this machine alone. port: None for the usual one, or the next that is free.

    Raises RenderError where that cannot be.
    """
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


def can_browse() -> bool:
    """Return whether there is a screen, or BROWSER names a program that opens pages (remote editors set it)."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def browse(address: str, note: Callable[[str], None]) -> None:
    """Open an address in a browser, beside the server: a program that stays in the foreground must not hold it up."""

    def open_it() -> None:
        # What BROWSER holds is a person's: no program, unbalanced quotes, or blanks alone. In a process with streams of
        # its own, since what a browser prints is not this command's output, and one that stays open would hold a pipe.
        opened = subprocess.run(
            [sys.executable, "-P", "-c", _OPEN, address],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if opened.returncode != 0:
            note("A browser could not be started, or it ended with an error: open the address above yourself.")

    threading.Thread(target=open_it, name="browser", daemon=True).start()
