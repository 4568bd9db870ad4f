"""Writing to the client of one WebSocket, and closing the connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from schema.execution.batches import BatchResults, Results
from schema.transports import protocol
from schema.transports.protocol import CloseCode

logger = logging.getLogger("parley.graphql")

# RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code.
MAX_REASON_BYTES = 123
# How long a close frame may wait for a client that does not read.
CLOSE_SECONDS = 5


class SocketWriter:
    """Sends messages to a client until either side closes the connection.

    `write` never waits, and takes no more than the server's buffers do; `send` waits. Once it is
    `leaving`, the client is sent no more events.
    """

    __slots__ = ("_direct", "_put", "_websocket", "_writable", "blocked_since", "closed", "leaving")

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        # Our server's extension of ASGI (server/protocols/websocket.py).
        self._direct: dict[str, Any] = websocket.scope["extensions"]["parley.write"]
        self._put: Callable[..., None] = self._direct["write"]
        self._writable: Callable[[], bool] = self._direct["writable"]
        self.closed = False
        self.leaving = False
        self.blocked_since: float | None = None  # the loop's time since which a message waits

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection, once."""
        if self.closed:
            return
        self.closed = True
        cut = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, cut)
        except TimeoutError:
            self.abort()  # the client reads nothing, not even the close frame
        except (WebSocketDisconnect, RuntimeError, OSError):
            logger.debug("The client was gone before the close")

    def abort(self) -> None:
        """End the connection now, without a close frame."""
        self.closed = True
        self._websocket.scope["extensions"]["parley.abort"]["abort"]()

    def write(self, *parts: bytes) -> bool:
        """Send a message, encoded, in parts; False when that cannot be done without waiting."""
        if self.closed or not self._writable():
            return False
        self._put(*parts)
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises WebSocketDisconnect when the client is gone."""
        if self.closed:
            return
        encoded = protocol.encode(message)
        if not self.write(encoded):
            sent = {"type": "websocket.send", "text": encoded.decode()}
            await self._blocked(self._websocket.send(sent))

    async def send_results(self, id_: str, head: bytes, results: Results) -> None:
        """Send results of one subscription; wait until the client has read. `head` begins each.

        What comes meanwhile can still be replaced. Raises WebSocketDisconnect.
        """
        await self._wait_until_writable()
        if self.closed or self.leaving:
            return
        if isinstance(results, BatchResults):
            written_id = msgspec.json.encode(id_)[1:-1]
            pieces = results.pieces(len(written_id), self._direct["head"])
            self._direct["write_frames"](written_id.join(pieces))
        else:
            for result in results:
                self._put(head, result, b"}")
        await self._wait_until_writable()

    async def _wait_until_writable(self) -> None:
        if not self._writable():
            await self._blocked(self._direct["wait"]())

    async def _blocked(self, waiting: Awaitable[None]) -> None:
        if self.blocked_since is None:
            self.blocked_since = asyncio.get_running_loop().time()
        try:
            await waiting
        finally:
            self.blocked_since = None

    async def ping(self, patience: float) -> None:
        """Ask the client whether it lives; end the connection when that cannot be sent in time."""
        try:
            async with asyncio.timeout(patience):
                await self.send({"type": "ping"})
        except TimeoutError:
            self.abort()
        except WebSocketDisconnect:
            self.closed = True
