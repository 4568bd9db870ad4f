"""The client at the other end of one WebSocket: what it is sent, and how it is sent away."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from resolvers.context import Context
from schema.execution.together import Results
from schema.transports import wire
from schema.transports.heartbeat import Beside, Heartbeat
from schema.transports.wire import CloseCode

logger = logging.getLogger("parley.graphql")

# RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code.
MAX_REASON_BYTES = 123
# How long a close frame may wait for a peer that does not read.
CLOSE_SECONDS = 5


class Peer:
    """Is sent messages until the connection is closed, by either side; `heartbeat` looks after it.

    `write` never waits, and takes no more than the server's buffers do; `send` waits. Once it is
    `leaving`, it is shown no more events.
    """

    __slots__ = ("_direct", "_put", "_websocket", "_writable", "closed", "heartbeat", "leaving")

    def __init__(self, websocket: WebSocket, ctx: Context, beside: Beside) -> None:
        self._websocket = websocket
        self._writable: Callable[[], bool] | None = None
        if (direct := websocket.scope.get("extensions", {}).get("parley.write")) is not None:
            self._put: Callable[..., None] = direct["write"]
            self._writable = direct["writable"]
        self._direct: dict[str, Any] | None = direct
        self.closed = False
        self.leaving = False
        self.heartbeat = Heartbeat(ctx, self, beside)

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
            self.abort()  # the peer reads nothing, not even the close frame
        except (WebSocketDisconnect, RuntimeError, OSError):
            logger.debug("The peer was gone before the close")

    def abort(self) -> None:
        """End the connection now, without a close frame."""
        self.closed = True
        extension = self._websocket.scope.get("extensions", {}).get("parley.abort")
        if extension is not None:
            extension["abort"]()

    def write(self, *parts: bytes) -> bool:
        """Send a message, encoded, in parts; False when that cannot be done without waiting."""
        if self.closed or self._writable is None or not self._writable():
            return False
        self._put(*parts)
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises WebSocketDisconnect when the peer is gone."""
        if self.closed:
            return
        encoded = wire.encode(message)
        if self.write(encoded):
            return
        self.heartbeat.wait()
        try:
            await self._websocket.send({"type": "websocket.send", "text": encoded.decode()})
        finally:
            self.heartbeat.sending_since = None

    async def send_results(self, id_: str, results: Results) -> None:
        """Send several results of one subscription as one piece; wait until the peer has read.

        What comes meanwhile can still be replaced. Raises WebSocketDisconnect.
        """
        if self._direct is None:
            for result in results:
                payload = msgspec.Raw(result)
                await self.send({"id": id_, "type": "next", "payload": payload})
            return
        await self._wait_for_room(self._direct)
        if self.closed or self.leaving:
            return
        written_id = msgspec.json.encode(id_)[1:-1]
        pieces = results.pieces(len(written_id), self._direct["head"])
        self._direct["write_frames"](written_id.join(pieces))
        await self._wait_for_room(self._direct)

    async def _wait_for_room(self, direct: dict[str, Any]) -> None:
        if direct["writable"]():
            return
        self.heartbeat.wait()
        try:
            await direct["wait"]()
        finally:
            self.heartbeat.sending_since = None

    async def ping(self, patience: float) -> None:
        """Ask the peer whether it lives; end the connection when that cannot be sent in time."""
        try:
            async with asyncio.timeout(patience):
                await self.send({"type": "ping"})
        except TimeoutError:
            self.abort()
        except WebSocketDisconnect:
            self.closed = True
