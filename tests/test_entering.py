"""Ways into the explorer's page: a link in another page or program opens it, and nothing else is let in by that."""

import os
import shutil
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from render.explorer import guard, local_page
from tests.helpers import waiting

HOST = "127.0.0.1:8640"
TOKEN = "right"


async def answer(
    scope_headers: dict[str, str], method: str = "GET", path: str = "/", query: str = ""
) -> tuple[int, str, dict[str, str]]:
    """Send one request through the guard; return status, text and headers."""

    async def page(_: Request) -> Response:
        return PlainTextResponse("the page")

    app = Starlette(routes=[Route("/", page), Route("/api/save", page, methods=["POST", "GET"])])
    app.add_middleware(guard.Guard, token=TOKEN)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = {"host": HOST} | {name.lower(): value for name, value in scope_headers.items()}
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await app(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0]["status"], text, {k.decode(): v.decode() for k, v in sent[0]["headers"]}


def ask(headers: dict[str, str], **more: str) -> tuple[int, str, dict[str, str]]:
    import asyncio

    return asyncio.run(answer(headers, **more))


COOKIE = {"Cookie": f"render-explore-8640={TOKEN}"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
FROM = [
    {"Sec-Fetch-Site": site} | more
    for site in ("cross-site", "same-site", "same-origin", "none")
    for more in ({}, {"Origin": "null"}, {"Referer": "http://other.example/"}, {"Sec-Purpose": "prefetch"})
]


@pytest.mark.parametrize("came", FROM, ids=str)
def test_a_link_from_anywhere_opens_the_page(came: dict[str, str]) -> None:
    status, text, headers = ask(NAVIGATION | came, query=f"token={TOKEN}")
    assert (status, text) == (200, "the page")
    assert "samesite=lax" in headers["set-cookie"].lower() and "httponly" in headers["set-cookie"].lower()
    assert ask(NAVIGATION | came | COOKIE)[:2] == (200, "the page")
    assert ask(NAVIGATION | came | COOKIE, query="token=of-an-earlier-run")[:2] == (200, "the page")
    status, text, headers = ask(NAVIGATION | came, query="token=wrong")
    assert status == 403 and headers["content-type"].startswith("text/html") and "render explore" in text
    assert ask(NAVIGATION | came)[0] == 403
    assert ask(NAVIGATION | came | {"Host": "evil.example"}, query=f"token={TOKEN}")[0] == 421


@pytest.mark.parametrize("came", FROM, ids=str)
def test_writing_needs_more_than_a_link(came: dict[str, str]) -> None:
    for sent in (NAVIGATION | came | COOKIE, came | COOKIE | {"Sec-Fetch-Mode": "cors"}):
        assert ask(sent, method="POST", path="/api/save", query=f"token={TOKEN}")[0] == 403
        assert ask(sent, method="GET", path="/api/save", query=f"token={TOKEN}")[0] == 403
        assert ask(sent, method="POST", query=f"token={TOKEN}")[0] in (403, 405)
    if came["Sec-Fetch-Site"] in ("cross-site", "same-site"):
        assert (
            ask(came | {"X-Render-Token": TOKEN, "Origin": f"http://{HOST}"}, method="POST", path="/api/save")[0] == 403
        )


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object"])
def test_no_other_page_frames_it(dest: str) -> None:
    sent = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest, "Sec-Fetch-Site": "cross-site"}
    assert ask(sent | COOKIE)[0] == 403


# ---- the browser ----------------------------------------------------------------------------------------------------


def test_a_browser_in_the_foreground_holds_up_nothing_and_its_words_go_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the server nor a pipe that the command writes to."""
    opened = tmp_path / "opened"
    os.mkfifo(closed := tmp_path / "closed")
    program = tmp_path / "browser"
    program.write_text(
        f"#!/bin/sh\necho words; echo words >&2\necho $1 > {opened}.new\nmv {opened}.new {opened}\ncat {closed}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    notes: list[str] = []
    local_page.browse("http://127.0.0.1:1/", notes.append)  # returns while the browser is open
    waiting.until(opened.exists)
    assert opened.read_text() == "http://127.0.0.1:1/\n" and notes == []
    closed.write_bytes(b"")  # the browser ends
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("browser", ["/nowhere/at-all", "'unbalanced %s", " ", "false"])
def test_a_browser_that_cannot_be_started_is_reported(
    browser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BROWSER", browser)
    program = tmp_path / "false"  # the only program there is
    program.symlink_to(shutil.which("false") or "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local_page.can_browse()
    reported = threading.Event()
    local_page.browse("http://127.0.0.1:1/", lambda _: reported.set())
    assert reported.wait(60)


def test_without_a_screen_or_a_named_browser_none_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not local_page.can_browse()
