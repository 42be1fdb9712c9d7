"""The page's own files, read once: an address is a name out of this list, and no request touches the disk.

Read at start and sent from the event loop, they also come quickly while JAX is being loaded beside it, when every
change of threads costs milliseconds (25 files: 1.0 s from disk by way of threads, 0.2 s so).
"""

from __future__ import annotations

import functools
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "page"

# Not left to the machine's own table, which may call a module plain text, and browsers then refuse it.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def routes() -> list[Route]:
    """Return a route for every file of the page but its HTML."""
    return [_route(path) for path in _files() if path.suffix != ".html"]


def index(token: str) -> str:
    """Return the page's HTML, with the token, and with its modules named so that they load side by side."""
    modules = "\n  ".join(
        f'<link rel="modulepreload" href="{_address(path)}">' for path in _files() if path.parent.name == "js"
    )
    text = (_FOLDER / "index.html").read_text(encoding="utf-8")
    return text.replace("{{modules}}", modules).replace("{{token}}", token)


@functools.cache
def _files() -> list[Path]:
    return sorted(path for path in _FOLDER.rglob("*") if path.is_file())


def _address(path: Path) -> str:
    return f"/page/{path.relative_to(_FOLDER).as_posix()}"


def _route(path: Path) -> Route:
    content = path.read_bytes()
    kind = _TYPES.get(path.suffix, "text/plain")

    async def send(_: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(_address(path), send)
