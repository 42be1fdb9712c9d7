"""A real browser, driven over its own debugging protocol through a pipe: no driver, no port, nothing to install.

Chromium reads commands from file descriptor 3 and writes answers and events to 4, as JSON ended by a NUL
(`--remote-debugging-pipe`; https://chromedevtools.github.io/devtools-protocol/).
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --no-default-browser-check "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions --mute-audio "
    "--disable-dev-shm-usage --remote-debugging-pipe"
)


def find() -> str | None:
    """Return the path of a Chromium on this machine; $RENDER_BROWSER goes before the usual names."""
    names = [os.environ["RENDER_BROWSER"]] if os.environ.get("RENDER_BROWSER") else NAMES
    return next((path for name in names if (path := shutil.which(name))), None)


# Keys by which a browser moves the focus and presses buttons: it goes by the codes of Windows.
_CODES = {"Tab": 9, "Enter": 13, " ": 32, "+": 187}


class Refused(AssertionError):
    """A command that the browser did not carry out."""


# What Chromium says of an expression whose page is being left, by a link or a reload.
_LEAVING = "navigated or closed", "context was destroyed", "Cannot find", "Promise was collected"


class Page:
    """One tab. errors: what its console and its scripts complained about. browser: whose tab it is."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser = browser
        self._session = session
        self.errors: list[str] = []
        self.requests: list[str] = []
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)  # of several tabs, each is in front

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result."""
        return self.browser.send(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=url)

    def close(self) -> None:
        """Close the tab."""
        self.browser.pages.pop(self._session, None)
        self.send("Page.close")

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size of the window, in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip

    def js(self, expression: str) -> Any:
        """Return the value of an expression, awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true, and return its value; it is not while one page gives way to the next."""

        def value() -> Any:
            try:
                return self.js(expression)
            except Refused as refused:
                if not any(phrase in str(refused) for phrase in _LEAVING):
                    raise
                return None

        return until(value, 0.05)

    def settled(self, expression: str, still_s: float) -> Any:
        """Wait until an expression has had one value for so long, and return it."""
        last = self.js(expression)
        while True:
            time.sleep(still_s)
            if (value := self.js(expression)) == last:
                return value
            last = value

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: mousePressed, mouseReleased, mouseMoved, mouseWheel."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        x, y = self.middle(selector)
        self.click_at(x, y)

    def click_at(self, x: float, y: float) -> None:
        """Click a place."""
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", buttons=1, clickCount=1)

    def middle(self, selector: str) -> tuple[float, float]:
        """Return the middle of an element, scrolled into view, once it stays where it is."""
        place = self.settled(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()",
            0.05,
        )
        return place[0], place[1]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the left button, over the middle of the way."""
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, button="left", buttons=1)
        self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def drop(self, file: Path, x: float, y: float) -> None:
        """Drop a file on a place, as from a folder's window."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def key(self, key: str) -> None:
        """Press a key: a character, or one that has a name, such as ArrowLeft, Tab or Enter."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        code = {"windowsVirtualKeyCode": _CODES[key]} if key in _CODES else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "", **code)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def picture(self, path: Path) -> Path:
        """Write a screenshot."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
        return path

    def heard(self, event: dict[str, Any]) -> None:
        """Note an event."""
        method, params = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params)))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            if "willReadFrequently" in params["entry"]["text"]:
                return  # tests read canvases back, the page does not
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


class Browser:
    """A headless Chromium with a profile of its own."""

    def __init__(self, path: str, profile: Path) -> None:
        self.pages: dict[str, Page] = {}
        self._numbers = itertools.count(1)
        self._rest = b""
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()

        # Chromium wants the descriptors 3 and 4: a shell puts them there.
        command = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, path, *_FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, from_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events that come meanwhile go to their pages."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            page = self.pages.get(answer.get("sessionId", ""))
            if page is not None and "method" in answer:
                page.heard(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser has gone"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def page(self, *, stranger: bool = False) -> Page:
        """Open a tab. stranger: without the cookies of the others, as in another profile."""
        context = self.send("Target.createBrowserContext") if stranger else {}
        target = self.send("Target.createTarget", url="about:blank", **context)["targetId"]
        return Page(self, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(AssertionError, OSError):
            self.send("Browser.close")
        os.close(self._to)
        os.close(self._from)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(path: str, profile: Path) -> Iterator[Browser]:
    """Run a browser for a while."""
    browser = Browser(path, profile)
    try:
        yield browser
    finally:
        browser.close()
