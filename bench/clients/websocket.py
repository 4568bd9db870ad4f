"""A WebSocket client that costs little: one protocol object a connection, no task, no queue.

What it leaves out of RFC 6455 (fragments, compression) neither server sends here.
"""

import asyncio
import base64
import os
from typing import Self, cast

from websockets.speedups import apply_mask

CONNECT_SECONDS = 30.0
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


class Socket(asyncio.Protocol):
    """One connection; a subclass is handed each text message in `received`."""

    path = "/"
    subprotocol = ""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._open = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mask = os.urandom(4)
        self.failure = ""

    async def connect(self, host: str, port: int) -> Self:
        """Connect, and return once `opened` and what it began have called `ready`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            await loop.create_connection(lambda: self, host, port)
            protocol = f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n" if self.subprotocol else ""
            key = base64.b64encode(os.urandom(16)).decode()
            self._write(
                f"GET {self.path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n{protocol}\r\n".encode()
            )
            await self._ready
        return self

    def opened(self) -> None:
        """The handshake is done."""

    def received(self, message: bytes) -> None:
        """A text message."""

    def ready(self) -> None:
        """Let connect() return."""
        if not self._ready.done():
            self._ready.set_result(None)

    def fail(self, why: str) -> None:
        """Remember the first thing that went wrong, and end the connection."""
        self.failure = self.failure or why
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(why))
        self.abort()

    def send(self, message: bytes, opcode: int = _TEXT) -> None:
        """Send a message, masked as a client must."""
        size = len(message)
        mask = self._mask  # random, though not anew for each message: the server's work is the same
        if size < 126:
            head = bytes((opcode, 0x80 | size))
        elif size < 65536:
            head = bytes((opcode, 0xFE)) + size.to_bytes(2)
        else:
            head = bytes((opcode, 0xFF)) + size.to_bytes(8)
        self._write(head + mask + apply_mask(message, mask))

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(self.failure or "closed by the server"))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        start = 0
        if not self._open:
            start = self._read_handshake(data)
            if not start:
                self._rest = data
                return
        end = len(data)
        while end - start >= 2:
            size = data[start + 1]
            body = start + 2
            if size > 125:
                body += 2 if size == 126 else 8
                if body > end:
                    break
                size = int.from_bytes(data[start + 2 : body])
            stop = body + size
            if stop > end:
                break
            if data[start] == _TEXT:
                self.received(data[body:stop])
            else:
                self._answer_control(data[start], data[body:stop])
            start = stop
        self._rest = data[start:]

    def _read_handshake(self, data: bytes) -> int:
        stop = data.find(b"\r\n\r\n") + 4
        if stop < 4:
            return 0
        if not data.startswith(b"HTTP/1.1 101 "):
            self.fail(f"no WebSocket: {data[:80]!r}")
            return len(data)
        self._open = True
        self.opened()
        return stop

    def _answer_control(self, opcode: int, body: bytes) -> None:
        if opcode == _PING:
            self.send(body, _PONG)
        elif opcode == _CLOSE:
            self.fail(f"closed by the server: {int.from_bytes(body[:2])} {body[2:]!r}")
        elif opcode != _PONG:
            self.fail(f"a frame with opcode {opcode:#x}")
