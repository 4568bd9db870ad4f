"""Connections that say exactly the bytes they are told, and read strictly what comes back."""

import asyncio
import contextlib
from typing import NamedTuple

ANSWER_SECONDS = 30.0  # a poll with nothing to say is answered by the next ping, after 25
MAX_HEAD = 64 * 1024
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GRAPHQL_WS = "/graphql"
SOCKETIO_WS = "/socket.io/?EIO=4&transport=websocket"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Ended(Exception):
    """The server ended the connection."""


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Frame(NamedTuple):
    """A WebSocket frame of the server's."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """A close frame's code; 1005 for one without."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005


class Wire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, source: str | None = None) -> "Wire":
        """Connect to 127.0.0.1, from any address of the loopback."""
        local = None if source is None else (source, 0)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=local, limit=MAX_HEAD
        )
        return cls(reader, writer)

    async def send(self, data: bytes) -> None:
        """Send, and wait while the server takes no more. Raises Ended."""
        self.writer.write(data)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.writer.drain()
        except (ConnectionError, TimeoutError) as error:
            raise Ended(repr(error)) from error

    async def take(self, size: int) -> bytes:
        """Read so much. Raises Ended, TimeoutError."""
        try:
            return await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Ended(repr(error)) from error

    async def answer(self, method: str = "GET") -> Answer:
        """Read one HTTP answer. Raises Ended, TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise Ended(repr(error)) from error
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            status = int(first.split()[1])
            if method == "HEAD" or status in {204, 304} or status < 200:
                body = b""
            elif headers.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self.take(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self._line()).strip(), 16)
            body += await self.take(size)
            await self.take(2)
            if size == 0:
                return body

    async def _line(self) -> bytes:
        try:
            return await self.reader.readuntil(b"\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Ended(repr(error)) from error

    async def frame(self) -> Frame:
        """Read one WebSocket frame; a server's is whole and plain. Raises Ended, TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            first, second = await self.take(2)
            assert first & 0xF0 == 0x80, f"not a final, plain frame: {first:#x}"
            assert second < 0x80, "a server's frame is not masked"
            size = second
            if size == 126:
                size = int.from_bytes(await self.take(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.take(8), "big")
            return Frame(first & 0x0F, await self.take(size))

    async def rest(self, seconds: float = ANSWER_SECONDS) -> bytes:
        """Read to the end of the connection. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            got = b""
            while True:
                try:
                    part = await self.reader.read(65536)
                except ConnectionError:
                    return got
                if not part:
                    return got
                got += part

    def abort(self) -> None:
        """Cut it without a word."""
        with contextlib.suppress(OSError):
            self.writer.transport.abort()


def handshake(path: str, headers: str = "") -> bytes:
    """Return a WebSocket's opening request; GraphQL's names its subprotocol."""
    if path.startswith("/graphql") and "Protocol" not in headers:
        headers += "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    ).encode()


async def websocket(port: int, path: str, headers: str = "", *, source: str | None = None) -> Wire:
    """Connect and upgrade. Raises Ended with the status when it is refused."""
    wire = await Wire.open(port, source=source)
    await wire.send(handshake(path, headers))
    answer = await wire.answer()
    if answer.status != 101:
        wire.abort()
        raise Ended(f"the handshake was answered {answer.status}")
    return wire


def client_frame(
    payload: bytes,
    opcode: int = TEXT,
    *,
    first: int | None = None,
    mask: bytes = bytes(4),
    masked: bool = True,
    size_bytes: int | None = None,
    announced: int | None = None,
) -> bytes:
    """Return a frame; `first` (flags and opcode), the mask bit and the length can be made wrong."""
    size = len(payload) if announced is None else announced
    if size_bytes is None:
        size_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    bit = 0x80 if masked else 0
    if size_bytes == 0:
        head = bytes((bit | size,))
    else:
        head = bytes((bit | (126 if size_bytes == 2 else 127),)) + size.to_bytes(size_bytes, "big")
    if masked:
        keys = int.from_bytes(mask * (len(payload) // 4 + 1), "big")
        shift = 8 * (4 * (len(payload) // 4 + 1) - len(payload))
        plain = int.from_bytes(payload, "big") ^ (keys >> shift)
        payload = mask + plain.to_bytes(len(payload), "big")
    return bytes((0x80 | opcode if first is None else first,)) + head + payload


def http_request(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    """Return a well-framed request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}"
    if body or method not in {"GET", "HEAD"}:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode("utf-8", "surrogatepass") + b"\r\n" + body
