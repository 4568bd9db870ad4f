"""A WebSocket's handshake that is read once gives what the library, reading it again, gives."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from server import http as http_module
from server.http import ImpatientHTTP
from server.websocket import DirectWebSocket

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
SOUND = (
    b"Host: x",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    KEY,
    b"Sec-WebSocket-Version: 13",
)


class Wire(asyncio.Transport):
    """What is written to a peer; what it sends goes to the protocol that is set."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 6)})
        self.written = b""
        self.closing = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    resume_reading = pause_reading


async def shake_hands(
    chunks: list[bytes], *, deflate: bool
) -> tuple[Scope | None, list[Any], bytes, bool]:
    """The scope and messages that the application sees, what the peer reads, and if it is over."""
    seen: list[Any] = []
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append({key: value for key, value in scope.items() if key != "extensions"})
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"plain"})
            return
        seen.append(await receive())
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x", b"y")]})
        for _ in range(2):
            seen.append(await receive())
            await send({"type": "websocket.send", "text": "heard"})

    config = Config(
        app,
        ws=DirectWebSocket,
        ws_ping_interval=None,
        ws_per_message_deflate=deflate,
        headers=[("X-Always", "there")],
        lifespan="off",
        log_config=None,
    )
    config.load()
    loop = asyncio.get_running_loop()
    wire, state = Wire(), ServerState()
    state.default_headers = config.encoded_headers
    protocol = ImpatientHTTP(config, state, {"started": True}, loop)
    wire.set_protocol(protocol)
    protocol.connection_made(wire)
    for chunk in chunks:
        if not wire.closing:
            wire.protocol.data_received(chunk)
            for _ in range(5):
                await asyncio.sleep(0)
    wire.protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    written = re.sub(rb"(?i)date: [^\r]*", b"", wire.written)
    return scopes[0] if scopes else None, seen, written, wire.closing


def both_ways(
    chunks: list[bytes], *, deflate: bool
) -> list[tuple[Scope | None, list[Any], bytes, bool]]:
    """What happens as ever, and with each handshake left to the library."""
    outcomes = [asyncio.run(shake_hands(chunks, deflate=deflate))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_module, "MAX_PLAIN_HEADERS", -1)
        outcomes.append(asyncio.run(shake_hands(chunks, deflate=deflate)))
    return outcomes


def masked(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text


LINES = [
    *SOUND,
    b"Sec-WebSocket-Protocol: a, b",
    b"Sec-WebSocket-Protocol: c",
    b"Sec-WebSocket-Protocol: c;d",
    b"sec-websocket-PROTOCOL: ,",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",
    b"Upgrade: WebSocket",
    b"Upgrade: websocket, h2c",
    b"Connection: upgraded",
    b"Connection: keep-alive,Upgrade",
    b"Connection: Upgrade; x",
    b"Sec-WebSocket-Version: 12",
    b"Sec-WebSocket-Key: short",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Upgrade: h2c",
    b"Connection: keep-alive, upgrade",
    b"Content-Length: 0",
    b"Content-Length: 2",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Origin: https://example.com",
    b"X-Empty:",
    b"X-Spaces:   two  words \t ",
    b"X-Long: " + b"a" * 5000,
    b"X-Longer: " + b"a" * 9000,
    "X-Named: Zoë".encode(),
    b"X-Odd: \xff\x80",
    *(b"X-Many-%d: x" % number for number in range(3)),
]


def request_of(start: bytes, lines: list[bytes]) -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


target = st.sampled_from(
    [b"/", b"/graphql?a=%20b&c", b"/%e2%82%ac?x=\xc3\xab", b"*", b"/" + b"p" * 5000]
)
behind = st.sampled_from(
    [b"", masked(b"hi"), masked(b"hi") + masked(b"there"), b"\x81", b"\xff\xff"]
)


@given(
    method=st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"HEAD"]),
    version=st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]),
    target=target,
    lines=st.lists(st.sampled_from(LINES), max_size=4),
    order=st.randoms(use_true_random=False),
    behind=behind,
    later=behind,
    deflate=st.booleans(),
    replaces=st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_read_once_or_twice_it_is_the_same(
    method: bytes,
    version: bytes,
    target: bytes,
    lines: list[bytes],
    order: Any,
    behind: bytes,
    later: bytes,
    deflate: bool,
    replaces: bool,
) -> None:
    instead = {written.partition(b":")[0].lower() for written in lines} if replaces else set()
    head = [written for written in SOUND if written.partition(b":")[0].lower() not in instead]
    head += lines
    order.shuffle(head)
    request = request_of(b"%s %s HTTP/%s" % (method, target, version), head)
    once, twice = both_ways([request + behind, later, masked(b"end")], deflate=deflate)
    assert once == twice


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("line", [None, *LINES])
def test_each_line_alone(line: bytes | None, deflate: bool) -> None:
    name = b"" if line is None else line.partition(b":")[0].lower()
    others = [sound for sound in SOUND if sound.partition(b":")[0].lower() != name]
    for lines in (others, [*others, line or b"X: y"], [*SOUND, line or b"X: y"]):  # none, one, two
        once, twice = both_ways([request_of(b"GET / HTTP/1.1", lines)], deflate=deflate)
        assert once == twice


def test_a_sound_one_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(DirectWebSocket, "data_received", lambda self, data: read.append(data))
    request = request_of(b"GET / HTTP/1.1", [*SOUND])
    scope, _, written, _ = asyncio.run(shake_hands([request], deflate=False))
    assert not read
    assert scope is not None
    assert scope["type"] == "websocket"
    assert b"101 Switching Protocols" in written
