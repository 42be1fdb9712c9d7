"""One page's connection: its view comes in, tiles of it go out as they are there, and what the trainer is doing.

A page sends views; each replaces the one before. What goes out: every tile of the view that is stored or growing, in
the order of the wishes, and again whenever it has grown; the colour curve of the view; the state of the trainer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
import time
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from render.errors import RenderError
from render.explorer import colouring, dials, requests
from render.explorer.connection import Connection
from render.explorer.growing_tile import UNKNOWN, masks, stage_of
from render.explorer.planes import Plane, Planes
from render.explorer.reference_finder import Scout, Spot
from render.explorer.trainer import Trainer
from render.geometry.tiles import Tile
from render.samples import Field

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

# A tile on the wire: level, version, a byte of nothing, serial number of the view; then ix and iy, 56 bytes each, low
# ones first. The samples follow: signed sizes and last losses as float64, escape steps as int32, statuses as uint8,
# [iy, ix] each.
_HEADER = struct.Struct("<HBxI56s56s")

# The stage of a whole tile, after those of all that is less: see `GrowingTile.stage`.
_STORED = len(masks()) + 1.0

_clients = itertools.count()


@dataclass
class _Page:
    """The state of one page. sent: the stage of each tile that it has, of the plane and channel it looks at.

    generation: the plane's, when the page began to get tiles of it.
    spot: where it looks past float64; None above. place: what its deep levels belong to; None until there is one.
    """

    client: int = field(default_factory=lambda: next(_clients))
    view: requests.View | None = None
    plane: Plane | None = None
    tiles: list[Tile] = field(default_factory=list)
    sent: dict[Tile, float] = field(default_factory=dict)
    generation: int = 0
    spot: Spot | None = None
    place: Plane | None = None
    curve_due: bool = False
    curve_s: float = 0.0
    look_up_s: float = 0.0

    def side(self, tile: Tile) -> Plane | None:
        """Return the plane or place that a tile belongs to; None for a deep one that has no place yet."""
        return self.place if self.plane is not None and self.plane.is_deep(tile) else self.plane


class Live:
    """All pages' connections."""

    def __init__(self, planes: Planes, trainer: Trainer, scout: Scout) -> None:
        self._planes = planes
        self._trainer = trainer
        self._scout = scout
        self._wakes: dict[int, asyncio.Event] = {}

    def wake(self) -> None:
        """Let every connection look whether there is something to send. To be called in the event loop."""
        for event in self._wakes.values():
            event.set()

    async def serve(self, socket: WebSocket, subprotocol: str) -> None:
        """Serve a page until it goes."""
        page, wake = _Page(), asyncio.Event()
        if len(self._wakes) >= MOST_PAGES:
            await socket.accept(subprotocol)
            await socket.close(1013, "too many pages are open")
            return
        self._wakes[page.client] = wake  # before the page hears that it is accepted, and another one asks
        try:
            await socket.accept(subprotocol)
        except BaseException:
            del self._wakes[page.client]
            raise
        connection = Connection(socket)
        tasks = [
            asyncio.create_task(self._receive(connection, page, wake)),
            asyncio.create_task(self._send(connection, page, wake)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect):
                    task.result()
        except requests.AskError as error:
            with contextlib.suppress(WebSocketDisconnect):
                await connection.close(1008, str(error)[:120])
        finally:
            for task in tasks:
                task.cancel()
            del self._wakes[page.client]
            self._forget(page)
            # The other task may have ended by itself meanwhile, since its page is gone too. An exception that is never
            # looked at would be printed with its traceback.
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, (WebSocketDisconnect, requests.AskError)):
                    raise ended

    # ---- views in ----------------------------------------------------------------------------------------------

    async def _receive(self, connection: Connection, page: _Page, wake: asyncio.Event) -> None:
        while True:
            message = requests.table(await connection.receive())
            kind = message.get("type")
            if kind == "forget":  # the page had no room for all
                for tile in requests.tiles(message):
                    page.sent.pop(tile, None)
            elif kind == "view":
                await self._look(connection, page, message)
                wake.set()
            else:
                raise requests.AskError("type must be view or forget.")
            await asyncio.sleep(1 / _VIEWS_PER_S)

    async def _look(self, connection: Connection, page: _Page, message: dict[str, object]) -> None:
        name = requests.text(message, "scene")
        try:
            loaded = await run_in_threadpool(self._planes.load, name) if message.get("at") else None
            at = () if loaded is None else requests.dials_of(message, loaded)
            same = page.view is not None and (page.view.scene, page.view.at) == (name, at)
            plane = page.plane if same and page.plane else await run_in_threadpool(self._planes.open, name, dict(at))
        except RenderError as error:
            await connection.send(json.dumps({"type": "fault", "text": str(error)}))
            return
        view = requests.view(message, plane.problem, plane.deepest_level, at)
        if page.view is None or plane is not page.plane or (view.channel, at) != (page.view.channel, page.view.at):
            page.sent.clear()
            page.generation = plane.generation
        if plane is not page.plane:
            self._forget(page)
            page.place = None
        page.curve_s = 0.0
        page.view, page.plane = view, plane
        page.tiles = view.look.tiles()
        page.curve_due = True
        deep = plane.last_plain_level is not None and view.look.levels[-1] > plane.last_plain_level
        page.spot = await run_in_threadpool(Spot.of, plane.problem, view.look) if deep else None
        await self._refresh(page)

    def _forget(self, page: _Page) -> None:
        self._trainer.forget(page.client)
        self._trainer.forget((page.client, "deep"))
        self._scout.forget(page.client)

    async def _find_place(self, page: _Page) -> None:
        """Learn which place a deep view belongs to, and ask for one if there is none."""
        view, plane, spot = page.view, page.plane, page.spot
        assert view is not None and plane is not None
        place = None
        if spot is not None:
            place = await run_in_threadpool(self._scout.place, plane, spot, page.place)
            if page.spot is not spot:
                return
            if place is not page.place:
                page.place = place
                page.sent = {tile: stage for tile, stage in page.sent.items() if not plane.is_deep(tile)}
        if view.keep:
            return
        if spot is not None and place is None and view.train:
            self._scout.wish(page.client, plane, spot)
        else:
            self._scout.forget(page.client)

    async def _refresh(self, page: _Page) -> None:
        """Look up what is stored, and wish for the rest."""
        assert page.plane is not None and page.view is not None
        page.look_up_s = time.monotonic()
        view, plane = page.view, page.plane
        wanted = page.tiles
        if view.whole_plane:
            wanted = _plane_tiles() + wanted
        await self._wish(page, page.client, plane, [tile for tile in wanted if not plane.is_deep(tile)])
        await self._find_place(page)
        await self._wish(page, (page.client, "deep"), page.place, [tile for tile in wanted if plane.is_deep(tile)])

    async def _wish(self, page: _Page, client: Hashable, side: Plane | None, tiles: list[Tile]) -> None:
        """Look up which of a page's tiles are stored on one side of the switch, and wish for the rest."""
        view = page.view
        assert view is not None
        if side is not None:
            await run_in_threadpool(side.look_up, tiles)
        if page.view is not view or view.keep:
            return  # another came meanwhile, with wishes of its own; or this is a glance aside
        if side is None:
            self._trainer.forget(client)
        else:
            self._trainer.wish(client, side, tiles if view.train else [])

    # ---- tiles out ---------------------------------------------------------------------------------------------

    async def _send(self, connection: Connection, page: _Page, wake: asyncio.Event) -> None:
        status_s = 0.0
        while connection.is_open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), _STATUS_S)
            wake.clear()
            if page.plane is not None:
                if page.generation != page.plane.generation:
                    await self._reset(connection, page)
                await self._send_curve(connection, page)  # first: a view in the colours of the one before looks broken
                await self._send_tiles(connection, page)
                await self._send_curve(connection, page)
                lacks = page.spot is not None and page.place is None
                if time.monotonic() - page.look_up_s > (_STATUS_S if lacks else _LOOK_UP_S):
                    await self._refresh(page)
            if time.monotonic() - status_s >= _STATUS_S:
                status_s = time.monotonic()
                status = asdict(self._trainer.activity()) | {"reference": self._news_of_place(page)}
                await connection.send(json.dumps({"type": "status", **status}))

    def _news_of_place(self, page: _Page) -> dict[str, object] | None:
        """Return why a deep view has no samples yet; None if it has, or wants none."""
        view = page.view
        if page.plane is None or page.spot is None or page.place is not None or view is None:
            return None
        if view.keep or not view.train:
            return None
        return self._scout.news(page.plane, page.spot)._asdict()

    async def _reset(self, connection: Connection, page: _Page) -> None:
        """Make a page drop its tiles, which have other numerics than this machine's."""
        assert page.plane is not None
        page.generation = page.plane.generation
        page.sent.clear()
        await connection.send(json.dumps({"type": "reset"}))
        await self._refresh(page)

    async def _send_tiles(self, connection: Connection, page: _Page) -> None:
        view = page.view
        assert view is not None
        for tile in page.tiles:
            if page.view is not view:
                return  # another view: its own tiles first
            message = await run_in_threadpool(self._content, page, view, tile) if self._news(page, tile) else None
            if message is not None and page.view is view:
                stage, content = message
                page.sent[tile] = stage
                page.curve_due = True
                await connection.send(content)

    def _news(self, page: _Page, tile: Tile) -> bool:
        sent = page.sent.get(tile, 0.0)
        if sent >= _STORED:
            return False
        side = page.side(tile)
        if side is None:
            return False
        if tile in side.stored:
            return True
        growing = self._trainer.growing(side, tile)
        return max(growing.stage if growing is not None else 0.0, stage_of(side.patches.get(tile, 0))) > sent

    def _content(self, page: _Page, view: requests.View, tile: Tile) -> tuple[float, bytes] | None:
        """Return how far a tile is (see `GrowingTile.stage`; past that if it is stored), and its bytes on the wire."""
        plane = page.side(tile)
        if plane is None:
            return None
        samples = plane.get(tile) if tile in plane.stored else None
        stage, version = _STORED, len(masks()) + 1
        if samples is None:
            growing, some = self._trainer.growing(plane, tile), plane.some(tile)
            if growing is not None and growing.stage > 0.0:
                stage, version, samples = growing.stage, growing.version, growing.field
            if some is not None and stage_of(some[0]) > (0.0 if samples is None else stage):
                stage, version, samples = stage_of(some[0]), 0, some[1]
            if samples is None:
                return None
        samples = dials.shown(plane.problem, dict(view.at), samples, UNKNOWN)
        signed = colouring.channels(plane.problem)[view.channel].signed(samples)
        parts = (
            signed.astype("<f8"),
            samples.final_loss.astype("<f8"),
            samples.escape_step.astype("<i4"),
            samples.status,
        )
        address = (index.to_bytes(56, "little") for index in (tile.ix, tile.iy))
        header = _HEADER.pack(tile.level, version, view.serial & 0xFFFFFFFF, *address)
        return stage, header + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

    # ---- colours -----------------------------------------------------------------------------------------------

    async def _send_curve(self, connection: Connection, page: _Page) -> None:
        now = time.monotonic()
        if not page.curve_due or now - page.curve_s < _CURVE_S:
            return
        page.curve_due, page.curve_s = False, now
        curve = await run_in_threadpool(self._curve, page)
        if curve is not None:
            await connection.send(json.dumps({"type": "curve", **curve}))

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
            fields = [self._known(page.side(tile), tile) for tile in tiles]
            signed = colouring.channels(plane.problem)[view.channel].signed
            seen = [dials.shown(plane.problem, dict(view.at), f, UNKNOWN) for f in fields if f is not None]
            values = [signed(f)[f.status != UNKNOWN] for f in seen]
            known = sum(part.size for part in values)
            # A finer level replaces a coarser one as soon as it has more to say everywhere.
            if values and (not best or (all(f is not None for f in fields) and known > sum(b.size for b in best))):
                best = values
        return {"serial": view.serial, **colouring.curve(best, view.gap)} if best else None

    def _known(self, plane: Plane | None, tile: Tile) -> Field | None:
        if plane is None:
            return None
        growing = self._trainer.growing(plane, tile)
        if growing is not None and growing.stage:
            return growing.field
        if tile in plane.stored:
            return plane.get(tile)
        some = plane.some(tile)
        return None if some is None else some[1]


def _plane_tiles() -> list[Tile]:
    return [Tile(n, ix, iy) for n in range(_PLANE_LEVEL + 1) for iy in range(1 << n) for ix in range(1 << n)]
