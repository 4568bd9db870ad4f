"""WebSocket frames, what websockets' own parser makes of them, and what ours does."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from server.protocols.unfinished import Unfinished
from server.protocols.websocket import DirectWebSocket
from tests.server.test_handshake import SOUND, Wire, request_of
from tests.server.unbounded import unbounded_http

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = 0x80
INVALID_DATA = 1007
MOST = 66_000  # the largest message of these tests

Message = str | bytes


class Heard(NamedTuple):
    """What came of some frames."""

    messages: list[Message]
    pongs: list[bytes]
    code: int | None  # that the connection was closed with; None: it is open


def frame(
    payload: bytes,
    first: int = FINAL | TEXT,
    *,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    size: int | None = None,
    form: int = 0,
) -> bytes:
    """Return a client's frame; `form` is a length of 126 or 127 where a shorter one would do."""
    size = len(payload) if size is None else size
    form = max(form, 126 if size > 125 else 0, 127 if size > 65_535 else 0)
    masked = 0 if mask is None else 0x80
    head = bytes((first, masked | (form or size)))
    if form:
        head += size.to_bytes(2 if form == 126 else 8, "big")
    if mask is None:
        return head + payload
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + mixed.to_bytes(len(payload), "big")


def library_hears(frames: Sequence[bytes], most: int = MOST) -> Heard:
    """What websockets' own parser makes of the frames, one after the other."""
    connection = Protocol(Side.SERVER, max_size=most)
    messages: list[Message] = []
    parts: list[bytes] = []
    kind = Opcode.TEXT
    for each in frames:
        connection.receive_data(each)
        for event in connection.events_received():
            assert not hasattr(event, "status_code")
            if event.opcode in {Opcode.TEXT, Opcode.BINARY}:  # type: ignore[union-attr]  # frames only
                kind, parts = event.opcode, []  # type: ignore[union-attr]  # as above
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:  # type: ignore[union-attr]  # as above
                parts.append(bytes(event.data))  # type: ignore[union-attr]  # as above
                if not event.fin:  # type: ignore[union-attr]  # as above
                    continue
                whole = b"".join(parts)
                if kind is Opcode.BINARY:
                    messages.append(whole)
                    continue
                try:
                    messages.append(whole.decode())
                except UnicodeDecodeError:  # which is left to whoever uses the parser
                    return Heard(messages, _written(connection)[0], INVALID_DATA)
        if connection.close_sent is not None:
            break
    pongs, code = _written(connection)
    return Heard(messages, pongs, code)


def _written(connection: Protocol) -> tuple[list[bytes], int | None]:
    return read_written(b"".join(connection.data_to_send()))[1:]


def read_written(written: bytes) -> tuple[list[Message], list[bytes], int | None]:
    """What websockets reads, as a client, of what a server wrote: messages, pongs, a close."""
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(written)
    assert client.parser_exc is None
    messages: list[Message] = []
    pongs: list[bytes] = []
    code = None
    for event in client.events_received():
        assert event.fin  # type: ignore[union-attr]  # frames only
        data = bytes(event.data)  # type: ignore[union-attr]  # as above
        match event.opcode:  # type: ignore[union-attr]  # as above
            case Opcode.PONG:
                pongs.append(data)
            case Opcode.TEXT:
                messages.append(data.decode())
            case Opcode.BINARY:
                messages.append(data)
            case Opcode.CLOSE:
                assert client.close_rcvd is not None
                code = client.close_rcvd.code
    return messages, pongs, code


class Opened:
    """A WebSocket of ours on a wire of the test's."""

    def __init__(self, *, listens: bool = False, most: int = MOST) -> None:
        self.messages: list[Message] = []
        self.ended: list[int] = []
        self.extensions: dict[str, Any] = {}
        self.send: Send | None = None
        self.unfinished = Unfinished(10 * MOST)
        self._listens = listens
        config = Config(
            self._serve,
            interface="asgi3",
            ws=DirectWebSocket,
            ws_max_size=most,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
        )
        config.load()
        self.wire, self._state = Wire(), ServerState()
        protocol = unbounded_http(self.unfinished)(config, self._state, {})
        self.wire.set_protocol(protocol)
        protocol.connection_made(self.wire)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.extensions, self.send = scope["extensions"], send
        await receive()
        await send({"type": "websocket.accept"})
        if self._listens:
            self.extensions["parley.read"]["listen"](self._listen)
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            self.messages.append(message["bytes"] if text is None else text)
        self.ended.append(message["code"])

    def _listen(self, text: str) -> bool:
        self.messages.append(text)
        return True

    async def open(self) -> None:
        """Shake hands."""
        await self.take(request_of(b"GET / HTTP/1.1", [*SOUND]))
        assert self.wire.written.startswith(b"HTTP/1.1 101 ")
        self.wire.written = b""

    async def take(self, data: bytes) -> None:
        """Let these bytes arrive, and the application have its turn."""
        if not self.wire.closing:
            self.wire.protocol.data_received(data)
            for _ in range(5):
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Lose the connection; nothing may be left of it."""
        self.wire.protocol.connection_lost(None)
        await asyncio.gather(*self._state.tasks)
        assert not self._state.connections
        assert self.unfinished.total == 0


async def we_hear(chunks: Sequence[bytes], *, listens: bool, most: int = MOST) -> Heard:
    """What our protocol makes of what arrives in these chunks."""
    opened = Opened(listens=listens, most=most)
    await opened.open()
    for chunk in chunks:
        await opened.take(chunk)
    messages, pongs, code = read_written(opened.wire.written)
    assert messages == []
    assert (code is None) is not opened.wire.closing
    await opened.close()
    if code is not None:
        assert opened.ended == [code]  # the application is told the same
    return Heard(opened.messages, pongs, code)


def cut_at(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return the data in pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def compare(frames: Sequence[bytes], cuts: Sequence[int] = (), *, most: int = MOST) -> Heard:
    """Hold what we make of the frames to what the library does; return it."""
    expected = library_hears(frames, most)
    whole = b"".join(frames)
    for listens in (False, True):
        for chunks in (cut_at(whole, cuts), frames):
            assert asyncio.run(we_hear(chunks, listens=listens, most=most)) == expected
    return expected
