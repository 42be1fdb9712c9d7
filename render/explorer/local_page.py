"""Pages that a process serves to its own machine: the socket, the server, and the browser that opens them."""

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

# The same port after every start, so that addresses of views stay valid; if it is in use, the next ones are tried.
PORT = 8640
_PORTS_TRIED = 20

# The most connections at a time: 16 pages with a few requests each.
_MOST_CONNECTIONS = 96

# The largest message of a page is a list of dropped tiles; a view has half a kilobyte.
_MOST_MESSAGE_BYTES = 262_144

_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def place_of(listener: socket.socket) -> str:
    """Return the address of a listening socket, without a token."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def config(app: ASGIApp, *, lifespan: bool, shutdown_s: int) -> uvicorn.Config:
    """Return the configuration of a server. shutdown_s: how long it waits for requests under way when it ends."""
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=_MOST_MESSAGE_BYTES,
        # A page that paints for a long time reads nothing, and pings would close its connection. On one machine both
        # sides notice when a connection is lost.
        ws_ping_interval=None,
        ws_per_message_deflate=False,  # on the loopback device compressing costs more than sending
        log_level="error",  # requests that are not HTTP, or too many, are refused without a message
        access_log=False,
        server_header=False,
        lifespan="on" if lifespan else "off",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=shutdown_s,
    )


class Server(uvicorn.Server):
    """A server that ends without messages."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. An answer that is cut off by this, such as a long plan, is not reported as an error."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on this machine alone. port: None for the default one, or the next that is free.

    Raises RenderError if the port cannot be used.
    """
    if port is not None and not 0 <= port < 65536:
        raise RenderError(f"--port must be a number from 0 to 65535, not {port}.")
    for candidate in [port] if port is not None else [*range(PORT, PORT + _PORTS_TRIED), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows this would share a port that is in use
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
    """Return whether there is a screen, or BROWSER names a program that opens pages, as remote editors set it."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def browse(address: str, note: Callable[[str], None]) -> None:
    """Open an address in a browser, in a thread: some browsers do not return, and the server must not wait for them."""

    def open_it() -> None:
        # BROWSER may be set to anything: not a program, unbalanced quotes, only blanks. The process has no streams,
        # since what a browser prints is not output of this command, and a browser that stays open would hold a pipe.
        opened = subprocess.run(
            [sys.executable, "-P", "-c", _OPEN, address],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if opened.returncode != 0:
            note("A browser could not be started, or it ended with an error: open the address above yourself.")

    threading.Thread(target=open_it, name="browser", daemon=True).start()
