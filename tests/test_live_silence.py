"""A page that does not read for a while keeps its connection; one that is closed meanwhile leaves no traceback."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.websockets import WebSocket
from websockets.client import ClientProtocol
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from render.explorer import app, local_page
from render.explorer.live import Live
from render.explorer.planes import Planes
from tests.helpers.waiting import until

TOKEN = "a" * 32


class Silent:
    """A page that opens the live connection, sends one view, and then neither reads nor answers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._protocol = ClientProtocol(
            parse_uri(f"ws://127.0.0.1:{port}/api/live"), origin=Origin(f"http://127.0.0.1:{port}"),
            subprotocols=[Subprotocol("render"), Subprotocol(TOKEN)],
        )  # fmt: skip
        self._protocol.send_request(self._protocol.connect())
        self._send()
        while not self._protocol.handshake_exc and self._protocol.state.name != "OPEN":
            self._protocol.receive_data(self._socket.recv(65536))
        assert self._protocol.handshake_exc is None
        self._protocol.send_text(
            json.dumps({
                "type": "view", "serial": 1, "scene": "tiny", "x": "0.5", "y": "0.5", "width": 1, "width_px": 64,
                "height_px": 64, "detail": 0.125, "channel": "value", "gap": 0.25, "train": False, "pointer": None,
                "whole_plane": False, "keep": False,
            }).encode()
        )  # fmt: skip
        self._send()

    def _send(self) -> None:
        for piece in self._protocol.data_to_send():
            self._socket.sendall(piece)

    def read_to_the_end(self) -> None:
        """Read until the server closes the connection, and close it."""
        with contextlib.suppress(OSError), self._socket:
            while self._socket.recv(65536):
                pass


@contextlib.contextmanager
def serving(folder: Path, handler: logging.Handler, **changes: float | None) -> Iterator[tuple[int, local_page.Server]]:
    """Serve an explorer in a thread, with changes to how it is served; yield its port, and the server.

    handler: receives what the server reports.
    """
    listener = local_page.listen(0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    config = local_page.config(
        app.make(Planes(folder, None), app.Settings(TOKEN, folder, folder)), lifespan=True, shutdown_s=1
    )
    for name, value in changes.items():
        assert hasattr(config, name)
        setattr(config, name, value)
    logging.getLogger("uvicorn.error").addHandler(handler)
    server = local_page.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        logging.getLogger("uvicorn.error").removeHandler(handler)


def test_a_connection_that_was_closed_while_its_page_did_not_read_leaves_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pings of uvicorn. What is to be sent waits until the page reads again, and finds no connection."""
    reports, ended = itertools.count(1), threading.Event()
    waiting = threading.Event()

    def long_report(*_: object) -> dict[str, object]:
        if next(reports) == 2:
            waiting.set()
        return {"text": 200_000 * "x", "coming": False}

    real = Live.serve

    async def serve(self: Live, socket: WebSocket, subprotocol: str) -> None:
        try:
            await real(self, socket, subprotocol)
        finally:
            ended.set()

    monkeypatch.setattr(Live, "_news_of_place", long_report)
    monkeypatch.setattr(Live, "serve", serve)
    with serving(tmp_path, caplog.handler, ws_ping_interval=0.1, ws_ping_timeout=0.1) as (port, server):
        page = Silent(port)
        until(lambda: any(getattr(one, "close_sent", False) for one in [*server.server_state.connections]))
        waiting.wait()
        page.read_to_the_end()
        ended.wait()
        assert [record.getMessage() + str(record.exc_info) for record in caplog.records] == []


def test_a_page_that_is_busy_is_not_given_up(tmp_path: Path) -> None:
    """A page that paints for long does not read meanwhile, and answers no pings; on one machine none are needed."""
    settings = app.Settings(TOKEN, tmp_path, tmp_path)
    config = local_page.config(app.make(Planes(tmp_path, None), settings), lifespan=True, shutdown_s=1)
    assert config.ws_ping_interval is None
