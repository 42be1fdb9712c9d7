"""A page that goes ends both tasks of its connection, and neither leaves a traceback in the terminal."""

import asyncio
import gc
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from render.explorer.live import Live


class Gone(Live):
    """A connection whose page goes: both tasks notice, the one that sends only while it is being ended."""

    def __init__(self, ends_with: type[Exception]) -> None:
        self._wakes = {}
        self._ends_with = ends_with

    async def _receive(self, *_: object) -> None:
        raise WebSocketDisconnect

    async def _send(self, *_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise self._ends_with from None

    def _forget(self, page: object) -> None:
        pass


async def served(live: Live) -> list[dict[str, Any]]:
    """Serve one page until it has gone; return what the event loop had to report."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(_: object) -> None:
        pass

    try:
        await live.serve(WebSocket({"type": "websocket", "headers": []}, receive, send), "render")
    finally:
        gc.collect()
        await asyncio.sleep(0)
    return reported


def test_a_page_that_goes_is_no_error() -> None:
    assert asyncio.run(served(Gone(WebSocketDisconnect))) == []


@pytest.mark.parametrize("fault", [ZeroDivisionError, RuntimeError])
def test_a_fault_of_the_other_task_is_not_hidden(fault: type[Exception]) -> None:
    with pytest.raises(fault):
        asyncio.run(served(Gone(fault)))
