"""A page on a film that is being made, served beside the making by the process that makes it.

What ends that process ends the server, which is never waited for longer than seconds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from render.errors import RenderError
from render.explorer import guard, local_page, pagefiles
from render.explorer.guard import Guard
from render.explorer.watched_film import WatchedFilm
from render.machine import signals

# Seconds for which the end of a command may wait: for a page that is open to hear of it (one asks every second) and to
# get the last pictures, for requests under way, and for a picture that is being made.
_PAGE_S, _SERVER_S, _PICTURE_S = 3.0, 3.0, 5.0


def make(film: WatchedFilm, token: str) -> Starlette:
    """Return the application: the page, its state, and its pictures."""

    async def page(_: Request) -> Response:
        return HTMLResponse(pagefiles.watch(token))

    async def state(request: Request) -> Response:
        return JSONResponse(film.state(_frame(request)))

    async def picture(request: Request) -> Response:
        number = _frame(request)
        large = request.query_params.get("large") == "1"
        content = None if number is None else await run_in_threadpool(film.picture, number, large=large)
        if content is None:
            return JSONResponse({"fault": "there is no picture of that frame yet."}, 404)
        return Response(content, media_type="image/jpeg")

    routes = [
        Route("/", page),
        Route("/api/film", state),
        Route("/api/picture", picture),
        *pagefiles.watch_routes(),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Guard, token=token)
    return app


def _frame(request: Request) -> int | None:
    """Return the number of a frame that a request names; None where it names none."""
    text = request.query_params.get("frame", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@contextlib.contextmanager
def serving(
    film: WatchedFilm,
    port: int | None,
    *,
    browse: bool,
    announce: Callable[[str, str], None],
    note: Callable[[str], None],
) -> Iterator[None]:
    """Serve a page on a film in threads while the with-block makes it; the rest is as in `serve.run`."""
    listener = local_page.listen(port)
    token = guard.new_token()
    server = local_page.Server(local_page.config(make(film, token), lifespan=False, shutdown_s=1))
    thread = threading.Thread(target=server.run, args=([listener],), name="watch page", daemon=True)
    place = local_page.place_of(listener)
    film.start()
    thread.start()
    try:
        announce(f"{place}?token={token}", place)
        if browse and local_page.can_browse():
            local_page.browse(f"{place}?token={token}", note)
        try:
            yield
        except KeyboardInterrupt as stop:
            film.end("stopped", f"Stopped. {signals.kept_after(stop)}")
            raise
        except RenderError as error:
            film.end("failed", str(error))
            raise
        except SystemExit:
            film.end("failed", "Not every film could be made: the terminal shows why.")
            raise
        except BaseException as error:
            film.end("failed", f"{type(error).__name__}: {error}")
            raise
        film.end("finished", "")
    finally:
        film.wait_for_page(_PAGE_S)
        server.should_exit = True
        thread.join(_SERVER_S)
        listener.close()
        film.stop(_PICTURE_S)
