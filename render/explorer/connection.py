"""The live connection of a page. However it is closed, the same error is raised."""

from __future__ import annotations

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

# The code of a connection that ended without a closing message (RFC 6455, 7.4.1).
_GONE = 1006


class Connection:
    """A WebSocket that raises WebSocketDisconnect if it is closed, by the page or by the server.

    If the server has closed it while a message waited to be sent (since the page did not read for a long time, or the
    command ended), Starlette raises RuntimeError instead.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    @property
    def is_open(self) -> bool:
        """Return whether the page has not closed it yet."""
        return self._socket.client_state is WebSocketState.CONNECTED

    async def receive(self) -> str:
        """Return the next message of the page."""
        try:
            return await self._socket.receive_text()
        except RuntimeError:
            raise WebSocketDisconnect(_GONE) from None

    async def send(self, message: str | bytes) -> None:
        """Send a message to the page."""
        try:
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
        except RuntimeError:
            raise WebSocketDisconnect(_GONE) from None

    async def close(self, code: int, reason: str) -> None:
        """Close it, if it is not closed yet."""
        try:
            await self._socket.close(code, reason)
        except RuntimeError:
            raise WebSocketDisconnect(_GONE) from None
