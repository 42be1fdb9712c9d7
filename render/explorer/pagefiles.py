"""The files of the pages, read once, so that an address can only be a name in this list, and no request reads the disk.

They are sent from the event loop, which is also fast while JAX is being loaded, when every change of threads costs
milliseconds (25 files: 1.0 s from disk by way of threads, 0.2 s like this).
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "page"

# The folder of scripts that replace those which ask the server, on a published page.
_PUBLISHED = "published"

# The folder of the page on a film that is being made, and the files that it shares with the explorer's page.
_WATCH = "watch"
_SHARED = "icon.svg", "css/base.css", "js/api.js", "js/dom.js", "js/numbers.js", "js/place.js"

# As in guard.py for the explorer, without what a page cannot set in its HTML, and without a live connection.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)

_HINT = "loading; a page that is opened as a file cannot load its parts: serve the folder"

# Not from the machine's table, which may call a module plain text, so that browsers refuse it.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def routes() -> list[Route]:
    """Return a route for every file of the explorer's page except its HTML."""
    return [_route(path) for path in _served() if path.suffix != ".html"]


def index(token: str) -> str:
    """Return the page's HTML with the token, and with its modules listed so that they load in parallel."""
    modules = [_address(path) for path in _served() if path.parent.name == "js"]
    return _html(modules, f'<meta name="token" content="{token}">')


def watch_routes() -> list[Route]:
    """Return a route for every file of the page on a film that is being made, except its HTML."""
    return [_route(path) for path in _watched() if path.suffix != ".html"]


def watch(token: str) -> str:
    """Return the HTML of the page on a film that is being made, with the token."""
    modules = [_address(path) for path in _watched() if path.suffix == ".js"]
    return _html(modules, f'<meta name="token" content="{token}">', _FOLDER / _WATCH)


def published_files(scene: str, about: str) -> list[tuple[str, bytes]]:
    """Return the files of a published page, as (path below the site, content).

    scene: its name. about: a line that search engines and previews of links show.
    """
    files = {_address(path).lstrip("/"): path for path in _served() if path.suffix != ".html"}
    files |= {f"page/js/{path.name}": path for path in _files() if path.parent.name == _PUBLISHED}
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="referrer" content="no-referrer">',
        f'<meta name="scene" content="{html.escape(scene)}">',
        f'<meta name="description" content="{html.escape(about)}">',
    ]
    text = _html([name for name in files if name.startswith("page/js/")], "\n  ".join(head))
    for served, published in (
        ('"/page/', '"page/'),
        ("<title>render explore</title>", f"<title>{html.escape(scene)}</title>"),
        ("<body>", '<body class="published">'),
        (">connecting<", f">{_HINT}<"),
    ):
        assert served in text, served
        text = text.replace(served, published)
    return [("index.html", text.encode()), *((name, path.read_bytes()) for name, path in files.items())]


def _html(modules: Iterable[str], head: str, folder: Path = _FOLDER) -> str:
    preload = "\n  ".join(f'<link rel="modulepreload" href="{address}">' for address in modules)
    text = (folder / "index.html").read_text(encoding="utf-8")
    return text.replace("{{modules}}", preload).replace("{{head}}", head)


def _served() -> list[Path]:
    return [path for path in _files() if path.parent.name not in (_PUBLISHED, _WATCH)]


def _watched() -> list[Path]:
    return [path for path in _files() if path.parent.name == _WATCH] + [_FOLDER / name for name in _SHARED]


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
