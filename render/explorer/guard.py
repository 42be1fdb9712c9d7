"""Access control: requests are served only if they come from the explorer's page in a browser that has its token.

Another page in the same browser can send requests here, an attacker can make a name point here (DNS rebinding), and
other users of this machine can connect, too. So the Host must name this machine, the Origin must be that of the page,
and everything except the page's static files needs a token that is shown in the terminal only.
"""

from __future__ import annotations

import hmac
import html
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOSTS = {"127.0.0.1", "localhost", "::1"}
_TOKEN_HEADER = "x-render-token"
SUBPROTOCOL = "render"

# The largest bodies of requests: a dropped still in 4K is about 25 MB, and everything else is text.
_MOST_BYTES = {"/api/still": 64_000_000}
_MOST_BYTES_ELSE = 1_000_000

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}

_REFUSAL = "<!doctype html><meta charset=utf-8><title>render</title><p>This page does not open here: {}</p>\n"


class Refused(Exception):
    """A request that is refused. status: the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


class Guard:
    """Refuses requests that do not come from the explorer's page, before any other code sees them."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if _opens_page(scope, headers):
                cookie = self._enter(scope, headers)
                await self._app(scope, _bounded(receive, 0), _with_headers(send, cookie))
                return
            self._check(scope, headers)
            most = _MOST_BYTES.get(scope["path"], _MOST_BYTES_ELSE)
            if int(headers.get("content-length") or 0) > most:
                raise Refused(413, "the request is too large.")
            await self._app(scope, _bounded(receive, most), _with_headers(send))
        except (Refused, ValueError) as refusal:
            status = refusal.status if isinstance(refusal, Refused) else 400
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)})
            else:
                answer: Response = JSONResponse({"fault": f"{refusal}"}, status)
                if scope["path"] == "/":  # the user sees this one
                    answer = HTMLResponse(_REFUSAL.format(html.escape(str(refusal))), status)
                await answer(scope, receive, _with_headers(send))

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = _host(headers)
        origin = _single(headers, "origin")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (origin is not None and origin != f"http://{host}") or (changes and origin is None):
            raise Refused(403, "requests must come from this server's own page.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "requests must come from this server's own page.")
        if scope["path"] == "/" or scope["path"].startswith("/api/"):
            self._check_token(_tokens(scope, headers))

    def _check_token(self, tokens: Iterable[str]) -> None:
        if not any(hmac.compare_digest(token.encode(), self._token.encode()) for token in tokens):
            raise Refused(
                403,
                "open the address that `render explore`, or a command with --watch, has printed: it carries the token.",
            )

    def _enter(self, scope: Scope, headers: Headers) -> str | None:
        """Check the token, in the address or in a cookie, of a request for the page; return the cookie that keeps it.

        The page that led here does not matter: it may be a link in another page, a mail or a PDF. The page is answered
        at once, since browsers would still count a redirected request as one of the other page.
        """
        host = _host(headers)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        self._check_token([*given, *_tokens(scope, headers)])
        if not given:
            return None
        # Lax, so that links in other pages to the address without the token work, too. Requests that change anything
        # need a header, which other pages cannot set, and the cookie does not help them.
        return f"{_cookie(host)}={self._token}; HttpOnly; Path=/; SameSite=lax"


def _opens_page(scope: Scope, headers: Headers) -> bool:
    """Return whether a request opens the page in a window of its own, not in a frame and not by a script."""
    if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
        return False
    mode = headers.get("sec-fetch-mode")
    if mode is None:  # not a current browser: the origin must be that of the page, or unknown
        return _single(headers, "origin") in (None, "null", f"http://{_host(headers)}")
    return mode == "navigate" and headers.get("sec-fetch-dest", "document") == "document"


def _host(headers: Headers) -> str:
    host = _single(headers, "host") or ""
    try:
        name = urlsplit(f"//{host}").hostname
        urlsplit(f"//{host}").port  # noqa: B018 -- raises if it is not a number
    except ValueError:
        name = None
    if name not in _HOSTS or "@" in host or "/" in host:
        raise Refused(421, "this page can be opened on its own machine only, as 127.0.0.1 or localhost.")
    return host


def _single(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:
        raise Refused(400, f"a request must have one {name}.")
    return values[0] if values else None


def _cookie(host: str) -> str:
    """Return the cookie's name. It contains the port, since browsers share cookies between ports."""
    return f"render-explore-{urlsplit(f'//{host}').port or 80}"


def _tokens(scope: Scope, headers: Headers) -> list[str]:
    """Return the tokens of a request: in a header for the API, a subprotocol for sockets, a cookie for pages."""
    if scope["type"] == "websocket":
        return [protocol for protocol in scope.get("subprotocols", []) if protocol != SUBPROTOCOL]
    if scope["path"] == "/":
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie(_host(headers)))
        except CookieError:
            cookie = None
        return [cookie.value] if cookie else []
    return headers.getlist(_TOKEN_HEADER)


def _bounded(receive: Receive, most: int) -> Receive:
    """Return a receive that refuses a body of more than so many bytes, whatever length was announced."""
    seen = 0

    async def receive_some() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                raise Refused(413, "the request is too large.")
        return message

    return receive_some


def _with_headers(send: Send, cookie: str | None = None) -> Send:
    async def send_all(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if cookie is not None:
                headers.append("set-cookie", cookie)
        await send(message)

    return send_all
