"""Frames and bodies that are too large, bombs, and floods, at a bounded cost."""

import asyncio
import contextlib
import gzip
from pathlib import Path

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.target import MEGABYTE, attacked
from tests.attacks.wires import (
    CLOSE,
    GRAPHQL_WS,
    PING,
    PONG,
    SOCKETIO_WS,
    TEXT,
    Ended,
    Wire,
    client_frame,
    handshake,
    websocket,
)

pytestmark = pytest.mark.timeout(SECONDS)

# So that who does not read is ended soon.
QUICK = {"ping_interval_seconds": 3, "ping_timeout_seconds": 3}
FRAME = 100 * MEGABYTE


@pytest.mark.parametrize("path", [GRAPHQL_WS, SOCKETIO_WS], ids=["graphql", "socketio"])
async def test_a_frame_of_100_mb_is_refused_by_its_head(
    path: str, tmp_path: Path, report: Report
) -> None:
    async with attacked(tmp_path, report) as target:
        for _ in range(10):
            wire = await websocket(target.port, path)
            await wire.send(client_frame(b"x" * 100, announced=FRAME))
            while (frame := await wire.frame()).opcode != CLOSE:
                pass
            assert frame.code == 1009
            sent = 0
            try:
                while sent < FRAME:
                    await wire.send(bytes(MEGABYTE))
                    sent += MEGABYTE
            except Ended:
                pass
            assert sent < FRAME, "the server read all of it"
            wire.abort()
            target.look()
        assert target.peak - target.parley.resident_bytes() + target.growth < 32 * MEGABYTE


async def test_a_body_of_100_mb_costs_no_memory(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report) as target:
        for path in ("/graphql", "/api/auth/login", "/api/uploads"):
            wire = await Wire.open(target.port)
            head = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {FRAME}\r\n\r\n"
            )
            await wire.send(head.encode())
            try:
                for _ in range(FRAME // MEGABYTE):
                    await wire.send(b" " * MEGABYTE)
                    target.look()
            except Ended:
                pass  # it had answered, and would not read it all
            wire.abort()
        assert target.peak - target.parley.resident_bytes() + target.growth < 32 * MEGABYTE


async def test_a_compression_bomb_is_not_unpacked(tmp_path: Path, report: Report) -> None:
    bomb = gzip.compress(b'{"query": "' + b" " * 500 * MEGABYTE + b'{ me { id } }"}', 1)
    async with attacked(tmp_path, report) as target:
        url = f"http://127.0.0.1:{target.port}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            for path in ("/graphql", "/api/auth/login"):
                headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
                answer = await http.post(path, content=bomb[: 900 * 1024], headers=headers)
                assert answer.status_code in {400, 413, 415}, answer
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        for path in (GRAPHQL_WS, SOCKETIO_WS):
            wire = await Wire.open(target.port)
            await wire.send(handshake(path, extension))
            refused = await wire.answer()
            assert "sec-websocket-extensions" not in refused.headers
            wire.abort()
        target.look()
        assert target.peak - target.parley.resident_bytes() + target.growth < 32 * MEGABYTE


HEADS = {
    "header lines": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:b\r\n"),
    "a header's value": (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x" * 64),
    "lines of a handshake": (handshake(GRAPHQL_WS)[:-2], b"a:b\r\n"),
    "a handshake's cookie": (handshake(GRAPHQL_WS)[:-2] + b"Cookie: ", b"x" * 64),
    "trailers": (
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"a:b\r\n",
    ),
    "a chunk's extension": (
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2;",
        b"x" * 64,
    ),
}


@pytest.mark.parametrize(("start", "more"), HEADS.values(), ids=HEADS)
async def test_a_head_without_an_end_costs_no_memory(
    start: bytes, more: bytes, tmp_path: Path, report: Report
) -> None:
    async with attacked(tmp_path, report) as target:
        block = more * (MEGABYTE // len(more))
        for _ in range(times(3, 10)):
            wire = await Wire.open(target.port)
            try:
                await wire.send(start)
                for _ in range(64):
                    await wire.send(block)
                    target.look()
            except Ended:
                pass  # it had answered 431, and reads no more
            wire.abort()
        assert target.peak - target.parley.resident_bytes() + target.growth < 32 * MEGABYTE


UNFINISHED = {
    "open": client_frame(bytes(MEGABYTE - 1000), first=TEXT),
    "half": client_frame(bytes(MEGABYTE - 1000), announced=MEGABYTE),
}


@pytest.mark.parametrize("frame", UNFINISHED.values(), ids=UNFINISHED)
async def test_unfinished_messages_hold_no_more_than_the_bound(
    frame: bytes, tmp_path: Path, report: Report
) -> None:
    number = 300
    async with attacked(tmp_path, report, **QUICK) as target:
        wires = []
        for _ in range(number):
            wire = await websocket(target.port, GRAPHQL_WS, source="127.0.0.2")
            wires.append(wire)
            with contextlib.suppress(Ended):
                await wire.send(client_frame(b'{"type":"connection_init"}'))
                await wire.send(frame)
            target.look()
        for wire in wires:
            wire.abort()
        assert target.peak - target.parley.resident_bytes() + target.growth < 112 * MEGABYTE


FLOODS = {
    "pings": (GRAPHQL_WS, client_frame(b"x" * 125, PING)),
    "pongs": (GRAPHQL_WS, client_frame(b"", PONG)),
    "ping messages": (GRAPHQL_WS, client_frame(b'{"type":"ping","payload":{"x":"xxxxxxxxxxx"}}')),
    "empty continuations": (GRAPHQL_WS, client_frame(b"", first=0)),
    "Engine.IO pongs": (SOCKETIO_WS, client_frame(b"3")),
    "events nobody handles": (SOCKETIO_WS, client_frame(b'421["nothing"]')),
}


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize(("path", "frame"), FLOODS.values(), ids=FLOODS)
async def test_a_million_tiny_frames(
    path: str, frame: bytes, reads: bool, tmp_path: Path, report: Report
) -> None:
    """Whoever sends them reads the answers or does not: neither grows the server."""
    number = times(100_000, 1_000_000)
    begin = b""
    if path == GRAPHQL_WS:
        begin = client_frame(b'{"type":"connection_init"}')
        if frame[0] == 0:
            begin += client_frame(b"", first=TEXT)
    else:
        begin = client_frame(b"40")
    async with attacked(tmp_path, report, **QUICK) as target:
        wire = await websocket(target.port, path)
        reading = asyncio.create_task(wire.rest(SECONDS)) if reads else None
        sent = 0
        try:
            await wire.send(begin)
            for _ in range(number // 1000):
                await wire.send(frame * 1000)
                sent += 1000
                await asyncio.sleep(0)  # the two people are in this process too
                target.look()
        except Ended:
            pass  # closed: it does not read, or its message has no end
        report(f"{sent} sent")
        assert target.peak - target.parley.resident_bytes() + target.growth < 48 * MEGABYTE
        wire.abort()
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
