"""The explorer's routes: the page, requests with one answer (a scene, a palette, a cost), and the live connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from render.errors import RenderError
from render.explorer import colouring, descriptions, film_preview, keyframes, pagefiles, requests, stills
from render.explorer.guard import SUBPROTOCOL, Guard
from render.explorer.live import Live
from render.explorer.planes import Plane, Planes
from render.explorer.reference_finder import Scout, Spot
from render.explorer.trainer import Trainer
from render.geometry.camera import View
from render.geometry.tiles import SAMPLES
from render.scene import Scene

# Slow requests of one kind run one at a time; if more than this wait, further ones are refused.
_MOST_WAITING = 8

_MOST_TARGETS = 12


@dataclass(frozen=True)
class Settings:
    """token: that requests must carry. folder: for saved scenes. store: of the samples."""

    token: str
    folder: Path
    store: Path


def make(planes: Planes, settings: Settings) -> Starlette:
    """Return the application. Its lifespan starts and stops its threads, which are its `state.workers`."""
    desk = _Desk(planes, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        desk.start(asyncio.get_running_loop())
        yield
        await run_in_threadpool(desk.scout.stop, 1.0)
        # A batch that takes longer is not worth waiting for: complete tiles are stored already.
        await run_in_threadpool(desk.trainer.stop, 3.0)

    routes = [
        Route("/", desk.page),
        *(Route(f"/api/{name}", answer, methods=[method]) for name, (method, answer) in desk.answers().items()),
        WebSocketRoute("/api/live", desk.live),
        *pagefiles.routes(),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={RenderError: _fault})
    app.state.workers = desk.trainer, desk.scout
    app.add_middleware(Guard, token=settings.token)
    return app


async def _fault(_: Request, error: Exception) -> Response:
    return JSONResponse({"fault": str(error)}, 429 if isinstance(error, requests.BusyError) else 400)


class _Desk:
    """Answers requests."""

    def __init__(self, planes: Planes, settings: Settings) -> None:
        self.planes = planes
        self.settings = settings
        self.trainer = Trainer(self._notify)
        self.scout = Scout(self._notify)
        self._live = Live(planes, self.trainer, self.scout)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.trainer.start()
        self.scout.start()
        if self.planes.first:
            loop.run_in_executor(None, self._open_first)

    def _open_first(self) -> None:
        """Load JAX while the browser starts, unless stored samples can be shown first."""
        with contextlib.suppress(RenderError):  # the page shows the error when it asks
            plane = self.planes.open(self.planes.first or "")
            if not plane.has_store:
                plane.backend  # noqa: B018 -- made and kept

    def _notify(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no page is connected any more
                self._loop.call_soon_threadsafe(self._live.wake)

    def answers(self) -> dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]]:
        """Return the API: name -> (method, function)."""
        return {
            "start": ("GET", self.start_up),
            "scene": ("GET", self.scene),
            "palette": ("GET", self.palette),
            "where": ("POST", self.where),
            "trace": ("POST", self.trace),
            "targets": ("POST", self.targets),
            "path": ("POST", self.path),
            "depth": ("POST", self.depth),
            "costs": ("POST", self.costs),
            "save": ("POST", self.save),
            "still": ("POST", self.still),
        }

    # ---- the page ----------------------------------------------------------------------------------------------

    async def page(self, _: Request) -> Response:
        return HTMLResponse(pagefiles.index(self.settings.token))

    async def live(self, socket: WebSocket) -> None:
        await self._live.serve(socket, SUBPROTOCOL)

    async def start_up(self, _: Request) -> Response:
        return JSONResponse(
            descriptions.start(
                await run_in_threadpool(self.planes.names), self.planes.first, folder=str(self.settings.folder)
            )
        )

    async def scene(self, request: Request) -> Response:
        loaded = await run_in_threadpool(self.planes.load, request.query_params.get("name", "")[:200])
        return JSONResponse(descriptions.scene(loaded))

    async def palette(self, request: Request) -> Response:
        name = request.query_params.get("name", "")[: requests.MOST_PALETTE]
        try:
            colours = await run_in_threadpool(colouring.palette, name)
            return JSONResponse({"colours": colours, "remark": colouring.remark(name)})
        except ValueError as error:
            raise requests.AskError(str(error)) from None

    async def _plane(self, raw: dict[str, Any]) -> tuple[Plane, tuple[tuple[str, float], ...]]:
        """Return the plane of a request, and the values of dials in it."""
        name = requests.text(raw, "scene")
        at = requests.dials_of(raw, await run_in_threadpool(self.planes.load, name))
        return await run_in_threadpool(self.planes.open, name, dict(at)), at

    # ---- one place ---------------------------------------------------------------------------------------------

    async def where(self, request: Request) -> Response:
        raw = requests.table(await request.body())
        loaded = await run_in_threadpool(self.planes.load, requests.text(raw, "scene"))
        x, y = requests.point(raw)
        step = Decimal(requests.number(raw, "width", requests.LEAST_WIDTH, 16)) * Decimal("1e-7")
        return JSONResponse(
            [_digits(axis, unit, step) for axis, unit in ((loaded.problem.x, x), (loaded.problem.y, y))]
        )

    async def trace(self, request: Request) -> Response:
        """Train one sample again and return its losses."""
        raw = requests.table(await request.body())
        plane, _ = await self._plane(raw)
        # Past float64 only the difference of a run from a reference run is known.
        level = requests.integer(
            raw, "level", 0, plane.problem.deepest_level if plane.last_plain_level is None else plane.last_plain_level
        )
        ix, iy = (requests.integer(raw, name, 0, (SAMPLES << level) - 1) for name in ("ix", "iy"))

        def train() -> dict[str, Any]:
            from render.train import tangent

            x = plane.problem.x.values(level, ix // SAMPLES * SAMPLES)[ix % SAMPLES]
            y = plane.problem.y.values(level, iy // SAMPLES * SAMPLES)[iy % SAMPLES]
            tangents = tangent.run(plane.problem, np.array([x]), np.array([y]))
            losses = [requests.finite(float(loss)) for loss in tangents.losses[:, 0]]
            return {
                "x": repr(float(x)),
                "y": repr(float(y)),
                "losses": losses,
                "parting": requests.finite(tangents.parting[0]),
            }

        async with self._one("trace"):
            return JSONResponse(await run_in_threadpool(train))

    async def targets(self, request: Request) -> Response:
        """Rank places on the boundary in a view."""
        raw = requests.table(await request.body())
        plane, at = await self._plane(raw)
        view = requests.view(raw, plane.problem, plane.deepest_level, at)
        seed = requests.integer(raw, "seed", 0, 2**53)

        def find() -> list[dict[str, Any]]:
            from render.explorer import targets

            deep = plane.last_plain_level is not None and view.look.levels[-1] > plane.last_plain_level
            place = self.scout.place(plane, Spot.of(plane.problem, view.look), None) if deep else None
            suggestions = targets.find(plane, view.look, _MOST_TARGETS, seed, place=place)
            return [t._asdict() | keyframes.place(View(t.x, t.y, t.width)) for t in suggestions]

        async with self._one("targets"):
            return JSONResponse(await run_in_threadpool(find))

    async def still(self, request: Request) -> Response:
        """Return the scene and the view of a dropped still; a scene that is not listed here is opened."""
        content = await request.body()

        def locate() -> dict[str, Any]:
            origin, view = stills.origin(content)
            name = next((n for n in self.planes.names() if self._is(n, origin)), None) or self.planes.drop(origin)
            return {"scene": name, **keyframes.place(view)}

        async with self._one("still"):
            return JSONResponse(await run_in_threadpool(locate))

    def _is(self, name: str, other: Scene) -> bool:
        try:
            return name == other.name and self.planes.load(name).problem.key == other.problem.key
        except RenderError:
            return False

    # ---- the film ----------------------------------------------------------------------------------------------

    async def _edited(self, request: Request) -> tuple[dict[str, Any], Scene, keyframes.Edit]:
        raw = requests.table(await request.body())
        loaded = await run_in_threadpool(self.planes.load, requests.text(raw, "scene"))
        return raw, loaded, keyframes.edit(raw, loaded)

    async def path(self, request: Request) -> Response:
        _, loaded, edit = await self._edited(request)
        async with self._one("path"):
            return JSONResponse(await run_in_threadpool(lambda: film_preview.path(film_preview.edited(loaded, edit))))

    async def depth(self, request: Request) -> Response:
        """Return why a film cannot be made or will blur, if so. `path` does not wait for this second of planning."""
        _, loaded, edit = await self._edited(request)
        async with self._one("depth"):
            store = self.settings.store
            warning = await run_in_threadpool(
                lambda: film_preview.depth_warning_of(film_preview.edited(loaded, edit), store)
            )
            return JSONResponse({"warning": warning})

    async def costs(self, request: Request) -> Response:
        """Stream the cost of each quality, one JSON object per line."""
        _, loaded, edit = await self._edited(request)
        plane = await run_in_threadpool(self.planes.open, loaded.name)
        edited = await run_in_threadpool(film_preview.edited, loaded, edit)

        def lines() -> Iterator[str]:
            for row in film_preview.costs(edited, plane, self.trainer.rate(plane)):
                yield json.dumps(row) + "\n"

        async def send() -> AsyncIterator[str]:
            async with self._one("costs"):
                async for line in iterate_in_threadpool(lines()):
                    yield line

        return StreamingResponse(send(), media_type="application/x-ndjson")

    async def save(self, request: Request) -> Response:
        raw, loaded, edit = await self._edited(request)
        replacing = requests.text(raw, "replacing", 64) if raw.get("replacing") is not None else None
        name, folder = requests.text(raw, "name", 64), self.settings.folder
        async with self._one("save"):
            try:
                append = raw.get("append") is True
                saved = await run_in_threadpool(
                    film_preview.save, loaded, edit, name, folder, replacing=replacing, append=append
                )
            except film_preview.Clash as clash:
                return JSONResponse({"fault": str(clash), "text": clash.text, "seen": clash.seen}, 409)
        names = await run_in_threadpool(self.planes.names)
        command = film_preview.film_command(saved.path, self.settings.store)
        answer = {"name": saved.name, "path": str(saved.path), "text": saved.text, "command": command, "scenes": names}
        return JSONResponse(answer)

    @contextlib.asynccontextmanager
    async def _one(self, kind: str) -> AsyncIterator[None]:
        """Let one request of a kind run at a time, and some others wait."""
        if self._waiting.get(kind, 0) >= _MOST_WAITING:
            raise requests.BusyError("too many requests of this kind are waiting; try again in a moment.")
        self._waiting[kind] = self._waiting.get(kind, 0) + 1
        try:
            async with self._locks.setdefault(kind, asyncio.Lock()):
                yield
        finally:
            self._waiting[kind] -= 1


def _digits(axis: Any, unit: Fraction, step: Decimal) -> dict[str, str | None]:
    """Return a coordinate with all digits that a view can show, as its position (log10) and as its value."""
    step *= Decimal(float(axis.span))
    position = keyframes.decimals(axis.position_from_unit(unit), step)
    if axis.scale == "linear":
        return {"value": position, "log10": None}
    level = max(0, -math.floor(math.log2(step))) + 16
    value = axis.value_from_unit(unit, level)
    return {"value": keyframes.rounded(value, value * step), "log10": position}
