"""One page's connection: its view comes in, tiles of it go out as they are there, and what the trainer is doing.

A page sends views; each replaces the one before. What goes out: every tile of the view that is stored or growing, in
the order of the wishes, anew when it has grown; the colour curve of the view; the state of the trainer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
import time
from dataclasses import asdict, dataclass, field

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from render.errors import RenderError
from render.explore import asked, look
from render.explore.parts import UNKNOWN, masks
from render.explore.planes import Plane, Planes
from render.explore.trainer import Trainer
from render.fields import Field
from render.tiles import Tile

# Pages at a time: two tabs and two screens are four.
MOST_PAGES = 16

# The trainer's state is sent this often, and a curve at most this often.
_STATUS_S = 0.5
_CURVE_S = 0.35

# A page that sends more views than this a second is slowed down to it; each replaces the one before anyway.
_VIEWS_PER_S = 30.0

# Tiles that other programs store are looked up this often while a view stands still.
_LOOK_UP_S = 3.0

# Rows of samples that a view's colour curve is taken from, as in a film.
_CURVE_ROWS = 64

# Levels of the whole plane that its own curve is taken from: 128 samples a side.
_PLANE_LEVEL = 2

# A tile on the wire: level, version, two bytes of nothing, serial number of the channel; then ix and iy. The samples
# follow: signed sizes and last losses as float64, escape steps as int32, statuses as uint8, [iy, ix] each.
_HEADER = struct.Struct("<BBxxIdd8x")

_clients = itertools.count()


@dataclass
class _Page:
    """What is known of one page. sent: the version of each tile that it has, of the plane and channel it looks at.

    generation: the plane's, when the page began to get tiles of it.
    """

    client: int = field(default_factory=lambda: next(_clients))
    view: asked.View | None = None
    plane: Plane | None = None
    tiles: list[Tile] = field(default_factory=list)
    sent: dict[Tile, int] = field(default_factory=dict)
    generation: int = 0
    curve_due: bool = False
    curve_s: float = 0.0
    look_up_s: float = 0.0


class Live:
    """All pages' connections."""

    def __init__(self, planes: Planes, trainer: Trainer) -> None:
        self._planes = planes
        self._trainer = trainer
        self._wakes: dict[int, asyncio.Event] = {}

    def wake(self) -> None:
        """Let every connection look whether there is something to send. To be called in the event loop."""
        for event in self._wakes.values():
            event.set()

    async def serve(self, socket: WebSocket, subprotocol: str) -> None:
        """Serve a page until it goes."""
        await socket.accept(subprotocol)
        if len(self._wakes) >= MOST_PAGES:
            await socket.close(1013, "too many pages are open")
            return
        page, wake = _Page(), asyncio.Event()
        self._wakes[page.client] = wake
        tasks = [
            asyncio.create_task(self._receive(socket, page, wake)),
            asyncio.create_task(self._send(socket, page, wake)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect):
                    task.result()
        except asked.AskError as error:
            with contextlib.suppress(RuntimeError):
                await socket.close(1008, str(error)[:120])
        finally:
            for task in tasks:
                task.cancel()
            del self._wakes[page.client]
            self._trainer.forget(page.client)

    # ---- views in ----------------------------------------------------------------------------------------------

    async def _receive(self, socket: WebSocket, page: _Page, wake: asyncio.Event) -> None:
        while True:
            message = asked.table(await socket.receive_text())
            kind = message.get("type")
            if kind == "forget":  # the page had no room for all
                for tile in asked.tiles(message):
                    page.sent.pop(tile, None)
            elif kind == "view":
                await self._look(socket, page, message)
                wake.set()
            else:
                raise asked.AskError("type must be view or forget.")
            await asyncio.sleep(1 / _VIEWS_PER_S)

    async def _look(self, socket: WebSocket, page: _Page, message: dict[str, object]) -> None:
        name = asked.text(message, "scene")
        try:
            same = page.view is not None and page.view.scene == name
            plane = page.plane if same and page.plane else await run_in_threadpool(self._planes.open, name)
        except RenderError as error:
            await socket.send_text(json.dumps({"type": "fault", "text": str(error)}))
            return
        view = asked.view(message, plane.problem)
        if page.view is None or plane is not page.plane or view.channel != page.view.channel:
            page.sent.clear()
            page.generation = plane.generation
        page.curve_s = 0.0
        page.view, page.plane = view, plane
        page.tiles = view.look.tiles()
        page.curve_due = True
        await self._refresh(page)

    async def _refresh(self, page: _Page) -> None:
        """Look up what is stored, and wish for the rest."""
        assert page.plane is not None and page.view is not None
        page.look_up_s = time.monotonic()
        wanted = page.tiles
        if page.view.whole_plane:
            wanted = _plane_tiles() + wanted
        await run_in_threadpool(page.plane.look_up, wanted)
        if not page.view.keep:
            self._trainer.wish(page.client, page.plane, wanted if page.view.train else [])

    # ---- tiles out ---------------------------------------------------------------------------------------------

    async def _send(self, socket: WebSocket, page: _Page, wake: asyncio.Event) -> None:
        status_s = 0.0
        while socket.client_state is WebSocketState.CONNECTED:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), _STATUS_S)
            wake.clear()
            if page.plane is not None:
                if page.generation != page.plane.generation:
                    await self._begin_anew(socket, page)
                await self._send_curve(socket, page)  # first: a view in the colours of the one before looks broken
                await self._send_tiles(socket, page)
                await self._send_curve(socket, page)
                if time.monotonic() - page.look_up_s > _LOOK_UP_S:
                    await self._refresh(page)
            if time.monotonic() - status_s >= _STATUS_S:
                status_s = time.monotonic()
                await socket.send_text(json.dumps({"type": "status", **asdict(self._trainer.activity())}))

    async def _begin_anew(self, socket: WebSocket, page: _Page) -> None:
        """Let a page forget what it has: it was of other numerics than this machine's."""
        assert page.plane is not None
        page.generation = page.plane.generation
        page.sent.clear()
        await socket.send_text(json.dumps({"type": "anew"}))
        await self._refresh(page)

    async def _send_tiles(self, socket: WebSocket, page: _Page) -> None:
        view, plane = page.view, page.plane
        assert view is not None and plane is not None
        for tile in page.tiles:
            if page.view is not view:
                return  # another view: its own tiles first
            found = await run_in_threadpool(self._content, page, plane, view, tile) if self._news(page, tile) else None
            if found is not None and page.view is view:
                version, content = found
                page.sent[tile] = version
                page.curve_due = True
                await socket.send_bytes(content)

    def _news(self, page: _Page, tile: Tile) -> bool:
        sent = page.sent.get(tile, 0)
        if sent > len(masks()):
            return False
        assert page.plane is not None
        if tile in page.plane.stored:
            return True
        growing = self._trainer.growing(page.plane, tile)
        return growing is not None and growing.version > sent

    def _content(self, page: _Page, plane: Plane, view: asked.View, tile: Tile) -> tuple[int, bytes] | None:
        """Return a tile's version, one past the last part if it is stored, and its bytes on the wire."""
        samples = plane.get(tile) if tile in plane.stored else None
        version = len(masks()) + 1
        if samples is None:
            growing = self._trainer.growing(plane, tile)
            if growing is None or growing.version == 0:
                return None
            version, samples = growing.version, growing.field
        signed = look.channels(plane.problem)[view.channel].signed(samples)
        parts = (
            signed.astype("<f8"),
            samples.final_loss.astype("<f8"),
            samples.escape_step.astype("<i4"),
            samples.status,
        )
        header = _HEADER.pack(tile.level, version, view.serial & 0xFFFFFFFF, tile.ix, tile.iy)
        return version, header + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

    # ---- colours -----------------------------------------------------------------------------------------------

    async def _send_curve(self, socket: WebSocket, page: _Page) -> None:
        now = time.monotonic()
        if not page.curve_due or now - page.curve_s < _CURVE_S:
            return
        page.curve_due, page.curve_s = False, now
        made = await run_in_threadpool(self._curve, page)
        if made is not None:
            await socket.send_text(json.dumps({"type": "curve", **made}))

    def _curve(self, page: _Page) -> dict[str, object] | None:
        """Return the colour curve of a page's view, from the finest level that is there and not finer than needed."""
        view, plane = page.view, page.plane
        assert view is not None and plane is not None
        if view.whole_plane:
            candidates = [[tile for tile in _plane_tiles() if tile.level == level] for level in range(_PLANE_LEVEL + 1)]
        else:
            viewport, levels = view.look.view, view.look.levels
            enough = np.ceil(viewport.level + np.log2(_CURVE_ROWS / viewport.height_px))
            candidates = [viewport.cover(level).tiles() for level in levels if level <= max(enough, levels[0])]
        best: list[np.ndarray] = []
        for tiles in candidates:
            fields = [self._known(plane, tile) for tile in tiles]
            signed = look.channels(plane.problem)[view.channel].signed
            values = [signed(f)[f.status != UNKNOWN] for f in fields if f is not None]
            known = sum(part.size for part in values)
            # A finer level replaces a coarser one as soon as it has more to say everywhere.
            if values and (not best or (all(f is not None for f in fields) and known > sum(b.size for b in best))):
                best = values
        return {"serial": view.serial, **look.curve(best, view.gap)} if best else None

    def _known(self, plane: Plane, tile: Tile) -> Field | None:
        growing = self._trainer.growing(plane, tile)
        if growing is not None and growing.version:
            return growing.field
        return plane.get(tile) if tile in plane.stored else None


def _plane_tiles() -> list[Tile]:
    return [Tile(n, ix, iy) for n in range(_PLANE_LEVEL + 1) for iy in range(1 << n) for ix in range(1 << n)]
