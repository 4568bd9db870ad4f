"""The heads of requests: how large they may be, what must be in them, how they are refused."""

import asyncio
import json

import pytest

from server.protocols.heads import MAX_HEAD_BYTES, MAX_HEADER_LINES
from tests.attacks.wires import Answer, Ended, Wire
from tests.support.server import RunningServer

WEBSOCKET = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
PLAIN = b"GET /health HTTP/1.1\r\nHost: x\r\n"
CHUNKED = (
    b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
STARTS = {"plain": (PLAIN, 200), "a handshake": (WEBSOCKET, 101)}


async def answers(server: RunningServer, *parts: bytes, number: int = 1) -> list[Answer]:
    """Send these bytes; return what comes back."""
    wire = await Wire.open(server.settings.port)
    try:
        for part in parts:
            await wire.send(part)
            await asyncio.sleep(0.02)
        return [await wire.answer() for _ in range(number)]
    finally:
        wire.abort()


@pytest.mark.parametrize(("start", "status"), STARTS.values(), ids=STARTS)
async def test_a_head_up_to_64_kib_is_served_and_a_larger_one_refused(
    sqlite_chat: RunningServer, start: bytes, status: int
) -> None:
    room = MAX_HEAD_BYTES - len(start) - len(b"Cookie: \r\n\r\n") - 100
    for size in (8_000, 9_000, 40_000, room):
        [answer] = await answers(sqlite_chat, start + b"Cookie: " + b"k" * size + b"\r\n\r\n")
        assert answer.status == status, size
    for parts in ([start + b"Cookie: " + b"k" * MAX_HEAD_BYTES + b"\r\n\r\n"],):
        [answer] = await answers(sqlite_chat, *parts)
        assert answer.status == 431
        assert answer.headers["connection"] == "close"
        assert json.loads(answer.body)["code"] == "PAYLOAD_TOO_LARGE"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("start", "status"), STARTS.values(), ids=STARTS)
async def test_header_lines_are_counted(
    sqlite_chat: RunningServer, start: bytes, status: int
) -> None:
    few, many = (b"".join(b"X-%d: y\r\n" % i for i in range(n)) for n in (100, 200))
    [served] = await answers(sqlite_chat, start + few + b"\r\n")
    [refused] = await answers(sqlite_chat, start + many + b"\r\n")
    assert (served.status, refused.status) == (status, 431)
    assert MAX_HEADER_LINES >= 100


ENDLESS = {
    "header lines": (PLAIN, b"a:b\r\n" * 1000),
    "one header": (PLAIN + b"X: ", b"x" * 5000),
    "one name": (PLAIN, b"x" * 5000),
    "the target": (b"GET /", b"x" * 5000),
    "empty lines": (b"", b"\r\n" * 2500),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"a:b\r\n" * 1000),
    "one trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"x" * 5000),
    "a chunk's extension": (CHUNKED + b"2;x=", b"x" * 5000),
    "extensions of chunks": (CHUNKED, b"1;" + b"x" * 5000 + b"\r\n \r\n"),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_is_refused_at_64_kib(
    sqlite_chat: RunningServer, start: bytes, more: bytes
) -> None:
    wire = await Wire.open(sqlite_chat.settings.port)
    sent = 0
    try:
        await wire.send(start)
        while sent < 200_000:
            sent += len(more)
            wire.writer.write(more)
            await asyncio.sleep(0.002)
            if wire.reader._buffer:  # type: ignore[attr-defined]  # whether an answer has come
                break
        assert sent < 150_000
        answer = await wire.answer()
        # Without a line's end in 64 KiB some are no HTTP at all.
        assert answer.status in {400, 431}
        if more.count(b"\r\n") or start != b"":
            assert answer.status == 431
        assert await wire.rest(5) == b""
    except Ended:
        assert "chunk" in str(start) or start.startswith(b"POST"), "no answer"
    finally:
        wire.abort()


async def test_a_body_in_the_smallest_chunks_is_no_large_head(sqlite_chat: RunningServer) -> None:
    body = b'{"email": "' + b"a" * 20_000 + b'@example.com", "password": "x"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    [answer] = await answers(sqlite_chat, CHUNKED + chunks + b"0\r\n\r\n")
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "BAD_USER_INPUT"


async def test_a_trailer_is_no_header(sqlite_chat: RunningServer) -> None:
    trailers = b"2\r\n{}\r\n0\r\nContent-Type: text/evil\r\nHost: y\r\n\r\n"
    [answer, behind] = await answers(sqlite_chat, CHUNKED + trailers + PLAIN + b"\r\n", number=2)
    assert (answer.status, behind.status) == (400, 200)


HOSTS = {
    b"HTTP/1.1\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nHost: b\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nHost: a\r\n": 400,
    b"HTTP/1.1\r\nHost: a/b\r\n": 400,
    b"HTTP/1.1\r\nHost: a b\r\n": 400,
    b"HTTP/1.1\r\nHost: u@a\r\n": 400,
    b"HTTP/1.1\r\nHost: a:x\r\n": 400,
    b"HTTP/1.1\r\nHost: a, b/\r\n": 400,
    b"HTTP/1.1\r\nHost:\r\n": 200,
    b"HTTP/1.1\r\nHost: localhost:3000\r\n": 200,
    b"HTTP/1.1\r\nHost: [::1]:3000\r\n": 200,
    b"HTTP/1.1\r\nHost:  chat_1.example.com \r\n": 200,
    b"HTTP/1.0\r\n": 200,
    b"HTTP/1.0\r\nHost: a\r\nHost: b\r\n": 400,
}


@pytest.mark.parametrize(("rest", "status"), HOSTS.items())
async def test_one_valid_host_is_needed(
    sqlite_chat: RunningServer, rest: bytes, status: int
) -> None:
    [answer] = await answers(sqlite_chat, b"GET /health " + rest + b"\r\n")
    assert answer.status == status
    assert "message" in json.loads(answer.body) or status == 200


@pytest.mark.parametrize("start", [b"\x16\x03\x01\x02", b"BREW / HTTP/1.1\r\n", b"CONNECT a:1 "])
async def test_what_is_no_http_is_refused_in_our_form(
    sqlite_chat: RunningServer, start: bytes
) -> None:
    rest = b"HTTP/1.1\r\nHost: a:1\r\n\r\n"
    [answer] = await answers(sqlite_chat, start + rest)
    assert answer.status in {400, 405}
    assert json.loads(answer.body)["code"] == "BAD_USER_INPUT"


async def test_a_refusal_waits_for_the_answers_before_it(sqlite_chat: RunningServer) -> None:
    first, refused = await answers(sqlite_chat, PLAIN + b"\r\n" + b"nonsense\r\n\r\n", number=2)
    assert (first.status, refused.status) == (200, 400)


async def test_many_requests_in_one_packet_are_all_answered_in_order(
    sqlite_chat: RunningServer,
) -> None:
    paths = ("/health", "/nowhere")
    requests = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % p.encode() for p in paths * 400)
    found = await answers(sqlite_chat, requests, number=800)
    assert [answer.status for answer in found] == [200, 404] * 400


async def test_who_sends_ahead_without_end_waits_and_costs_little(
    sqlite_chat: RunningServer,
) -> None:
    number, size = 3000, 1000
    one = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    wire = await Wire.open(sqlite_chat.settings.port)
    sending = asyncio.create_task(wire.send((one + b"x" * size) * number))
    try:
        await asyncio.sleep(0.05)
        state = sqlite_chat.server.server_state
        for _ in range(number):
            assert (await wire.answer()).status == 400
            waiting = [len(getattr(open_, "_unfed", b"")) for open_ in [*state.connections]]
            assert max(waiting, default=0) < 1_000_000
        await sending
    finally:
        wire.abort()
