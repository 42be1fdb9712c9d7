"""An explorer as a process, and requests as its page would send them, or nearly."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.helpers import ROOT, browser


@contextlib.contextmanager
def in_browser(
    chromium: str, folder: Path, *arguments: str, size_px: tuple[int, int]
) -> Iterator[tuple[browser.Page, Server]]:
    """Yield the page of an explorer in a browser, once it shows its first samples, and the explorer."""
    server = Server(folder, *arguments)
    try:
        with browser.running(chromium, folder / "profile") as running:
            page = running.page()
            page.size(*size_px)
            page.open(server.url)
            page.until("globalThis.explorer?.ready && explorer.cache.tiles.size > 0")
            yield page, server
    finally:
        if server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder / "profile", ignore_errors=True)


class Server:
    """A real explorer, as a process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "render.cli", "explore", *arguments, "--store", str(folder / "store"), "--folder",
             str(folder / "scenes"), "--port", "0", "--no-open"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "RENDER_CPU_DEVICES": "2"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.process.communicate()
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.token = self.url.split("token=")[1]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        raw: bytes | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """Send one request as a page would, but for the headers given; return its status and its answer."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Origin": f"http://127.0.0.1:{self.port}"}
        if token is not None:
            sent["X-Render-Token"] = token or self.token
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.putrequest(method, path, skip_host=True)
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else b""
        for name, value in {"Content-Length": str(len(content)), **sent}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        with contextlib.suppress(OSError):  # refused before all of it was sent
            connection.send(content)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, {"text": text.decode(errors="replace"), "headers": dict(answer.getheaders())}

    def socket(self, **changes: Any) -> Any:
        """Open the live connection as a page would, but for the changes."""
        options: dict[str, Any] = {"origin": f"http://127.0.0.1:{self.port}", "subprotocols": ["render", self.token]}
        # No limit on how long a busy machine takes to answer.
        options |= {"proxy": None, "open_timeout": None, "ping_interval": None, "close_timeout": None}
        # Nor on what waits to be read: with one, closing a connection that has not been read to its end waits for ever.
        options["max_queue"] = None
        return connect(f"ws://127.0.0.1:{self.port}/api/live", **(options | changes))

    def stop(self, how: signal.Signals = signal.SIGINT) -> str:
        """Stop it, and return what it said."""
        self.process.send_signal(how)
        errors = self.process.communicate()[1]
        assert self.process.returncode == (0 if how == signal.SIGINT else 128 + how), errors
        return errors
