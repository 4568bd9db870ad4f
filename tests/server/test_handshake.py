"""A WebSocket's handshake is judged as the library judges it, and always answered."""

import asyncio
import re
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.server import ServerProtocol

from server.protocols.websocket import DirectWebSocket
from tests.server.unbounded import unbounded_http

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

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    resume_reading = pause_reading


class Outcome(NamedTuple):
    """What came of a connection."""

    scopes: list[Scope]
    heard: list[Any]
    written: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(found) for found in re.findall(rb"HTTP/1.1 (\d+) ", self.written)]


async def _serve(scope: Scope, receive: Receive, send: Send, heard: list[Any]) -> None:
    if scope["type"] == "http":
        body = b""
        while (message := await receive()).get("more_body", False):
            body += message["body"]
        body += message.get("body", b"")
        heard.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"plain"})
        return
    heard.append(await receive())
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/denied":
        start = {"type": "websocket.http.response.start", "status": 418, "headers": [(b"x", b"y")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"tea"})
        return
    if scope["path"] == "/broken":
        raise RuntimeError("on purpose")
    await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x", b"y")]})
    for _ in range(2):
        heard.append(await receive())
        await send({"type": "websocket.send", "text": "heard"})


async def talk(chunks: list[bytes]) -> Outcome:
    """What comes of a connection by which these chunks come."""
    heard: list[Any] = []
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append({key: value for key, value in scope.items() if key != "extensions"})
        await _serve(scope, receive, send, heard)

    config = Config(
        app,
        ws=DirectWebSocket,
        ws_ping_interval=None,
        headers=[("X-Always", "there")],
        lifespan="off",
        log_config=None,
    )
    config.load()
    loop = asyncio.get_running_loop()
    wire, state = Wire(), ServerState()
    state.default_headers = config.encoded_headers
    protocol = unbounded_http()(config, state, {"started": True}, loop)
    wire.set_protocol(protocol)
    protocol.connection_made(wire)
    for chunk in chunks:
        if not wire.closing:
            wire.protocol.data_received(chunk)
            for _ in range(10):
                await asyncio.sleep(0)
    closed = wire.closing
    wire.protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    assert not state.connections
    return Outcome(scopes, heard, wire.written, closed)


def masked(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text


LINES = [
    *SOUND,
    b"Sec-WebSocket-Protocol: a, b",
    b"Sec-WebSocket-Protocol: c",
    b"Sec-WebSocket-Protocol: c;d",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",
    b"Upgrade: WebSocket",
    b"Connection: keep-alive,Upgrade",
    b"Connection: keep-alive, upgrade",
    b"Sec-WebSocket-Version: 12",
    b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Key: short",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Content-Length: 0",
    b"Expect: 100-continue",
    b"Origin: https://example.com",
    b"X-Empty:",
    b"X-Spaces:   two  words \t ",
    b"X-Long: " + b"a" * 5000,
    b"X-Named: Zo\xc3\xab",
    b"X-Odd: \xff\x80",
    *(b"X-Many-%d: x" % number for number in range(3)),
]


def request_of(start: bytes, lines: list[bytes]) -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


def library_takes(request: bytes) -> bytes | None:
    """The proof with which the library answers the handshake, if it takes it."""
    server = ServerProtocol()
    server.receive_data(request)
    events = server.events_received()
    if not events:
        return None
    assert isinstance(events[0], Request)
    answer = server.accept(events[0])
    found: str | None = answer.headers.get("Sec-WebSocket-Accept")
    return None if found is None else found.encode()


def check(lines: list[bytes]) -> None:
    """Hold what we say of a handshake to what the library says."""
    request = request_of(b"GET /graphql?a=b HTTP/1.1", lines)
    hosts = sum(line.lower().startswith(b"host:") for line in lines)
    if hosts != 1:  # which the library does not look at
        assert asyncio.run(talk([request])).statuses == [400]
        return
    names = [line.partition(b":")[0].lower() for line in lines]
    if names.count(b"upgrade") > 1 or names.count(b"content-length") > 1:
        return  # a list in two lines, which we take; two lengths, which the library takes
    proof = library_takes(request)
    outcome = asyncio.run(talk([request + masked(b"hi"), masked(b"there")]))
    if proof is None:
        assert outcome.statuses[0] in {400, 426}
        return
    assert outcome.statuses == [101]
    assert b"\r\nSec-WebSocket-Accept: %s\r\n" % proof in outcome.written
    assert [message.get("text") for message in outcome.heard] == [None, "hi", "there"]
    sent = [line.partition(b":") for line in lines]
    assert outcome.scopes[0]["headers"] == [
        (name.lower(), value.strip(b" \t")) for name, _, value in sent
    ]


@given(
    lines=st.lists(st.sampled_from(LINES), max_size=4), order=st.randoms(), replaces=st.booleans()
)
@settings(max_examples=400, deadline=None)
def test_a_handshake_is_taken_if_and_only_if_the_library_would(
    lines: list[bytes], order: Any, replaces: bool
) -> None:
    instead = {line.partition(b":")[0].lower() for line in lines} if replaces else set()
    head = [sound for sound in SOUND if sound.partition(b":")[0].lower() not in instead]
    head += lines
    order.shuffle(head)
    check(head)


@pytest.mark.parametrize("line", [None, *LINES])
def test_each_line_alone(line: bytes | None) -> None:
    name = b"" if line is None else line.partition(b":")[0].lower()
    others = [sound for sound in SOUND if sound.partition(b":")[0].lower() != name]
    for lines in (others, [*others, line or b"X: y"], [*SOUND, line or b"X: y"]):  # none, one, two
        if any(sound.lower().startswith(b"sec-websocket-key") for sound in lines):
            check(lines)


BEHIND = request_of(b"GET /behind HTTP/1.1", [b"Host: x"])


@pytest.mark.parametrize(
    ("lines", "status", "word"),
    [
        ([b"Sec-WebSocket-Version: 8", KEY], 426, b"sec-websocket-version: 13"),
        ([KEY], 426, b"sec-websocket-version: 13"),
        ([b"Sec-WebSocket-Version: 13"], 400, b"Sec-WebSocket-Key"),
        ([b"Sec-WebSocket-Version: 13", KEY, KEY], 400, b"twice"),
        ([b"Sec-WebSocket-Version: 13", KEY, b"Content-Length: 5"], 400, b"no body"),
        ([b"Sec-WebSocket-Version: 13", KEY, b"Transfer-Encoding: chunked"], 400, b"no body"),
    ],
)
def test_what_is_wrong_is_said_and_a_request_behind_it_is_answered(
    lines: list[bytes], status: int, word: bytes
) -> None:
    body = b""
    if b"Content-Length: 5" in lines:
        body = b"12345"
    elif b"Transfer-Encoding: chunked" in lines:
        body = b"5\r\n12345\r\n0\r\n\r\n"
    request = request_of(b"GET /graphql HTTP/1.1", [*SOUND[:3], *lines]) + body
    for chunks in (
        [request + BEHIND],
        [request, BEHIND],
        [bytes((byte,)) for byte in request + BEHIND],
    ):
        outcome = asyncio.run(talk(chunks))
        assert outcome.statuses == [status, 200]
        assert word in outcome.written
        assert [scope["path"] for scope in outcome.scopes] == ["/behind"]


@pytest.mark.parametrize(
    ("path", "status"), [("/refused", 403), ("/denied", 418), ("/broken", 500)]
)
def test_behind_a_websocket_that_the_application_refuses_a_request_is_answered(
    path: str, status: int
) -> None:
    request = request_of(b"GET %s HTTP/1.1" % path.encode(), [*SOUND])
    for chunks in ([request + BEHIND], [request, BEHIND]):
        outcome = asyncio.run(talk(chunks))
        assert outcome.statuses == [status, 200]
        assert not outcome.closed


def test_a_handshake_behind_an_unanswered_request_is_refused() -> None:
    request = request_of(b"GET /graphql HTTP/1.1", [*SOUND])
    assert asyncio.run(talk([BEHIND + request])).statuses == [200, 400]


@pytest.mark.parametrize("connection", [b"Connection: Upgrade", b"Connection: close"])
def test_over_http_1_0_it_is_refused_with_the_cause(connection: bytes) -> None:
    lines = [b"Host: x", connection, KEY, b"Sec-WebSocket-Version: 13"]
    if b"Upgrade" in connection:
        lines.append(b"Upgrade: websocket")
    outcome = asyncio.run(talk([request_of(b"GET /graphql HTTP/1.0", lines)]))
    assert outcome.statuses == [426]
    assert b"proxy" in outcome.written
    assert b"HTTP/1.0" in outcome.written


def test_without_its_upgrade_it_is_refused_with_the_cause() -> None:
    lines = [b"Host: x", KEY, b"Sec-WebSocket-Version: 13"]
    outcome = asyncio.run(talk([request_of(b"GET /graphql HTTP/1.1", lines), BEHIND]))
    assert outcome.statuses == [426, 200]
    assert b"pass the headers Upgrade and Connection on" in outcome.written


UPGRADES = [b"h2c", b"websocket", b"TLS/1.0, HTTP/2.0", b"\x01", b"x" * 5000, b"foo/2, bar"]


@pytest.mark.parametrize("upgrade", UPGRADES, ids=lambda value: value[:9].decode())
@pytest.mark.parametrize("framing", ["none", "length", "chunked"])
@pytest.mark.parametrize("split", ["one packet", "two packets", "bytes"])
def test_an_upgrade_that_is_not_taken_is_as_if_it_were_not_there(
    upgrade: bytes, framing: str, split: str
) -> None:
    lines = [b"Host: x", b"Connection: keep-alive, Upgrade", b"Upgrade: " + upgrade]
    body = b""
    if framing == "length":
        lines.append(b"Content-Length: 5")
        body = b"12345"
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        body = b"2\r\n12\r\n3;x=y\r\n345\r\n0\r\nTrailer: z\r\n\r\n"
    head = request_of(b"POST /plain HTTP/1.1", lines)
    whole = head + body + BEHIND
    chunks = {
        "one packet": [whole],
        "two packets": [head, body + BEHIND],
        "bytes": [bytes((byte,)) for byte in whole],
    }[split]
    outcome = asyncio.run(talk(chunks))
    if upgrade == b"\x01":  # no header may have it
        assert outcome.statuses == [400]
        return
    assert outcome.statuses == [200, 200]
    assert outcome.heard == [b"12345" if body else b"", b""]
    headers = dict(outcome.scopes[0]["headers"])
    assert b"upgrade" not in headers
    assert headers[b"connection"] == b"keep-alive"
    assert b"trailer" not in headers
    assert not outcome.closed


def test_what_comes_before_the_answer_is_kept_for_the_websocket() -> None:
    request = request_of(b"GET /graphql HTTP/1.1", [*SOUND])
    frames = masked(b"one") + masked(b"two")
    for cut in range(len(frames)):
        outcome = asyncio.run(talk([request + frames[:cut], frames[cut:]]))
        assert [message.get("text") for message in outcome.heard] == [None, "one", "two"]
