"""Peers that begin and never go on, send without end, or read nothing, at a bounded cost."""

import asyncio
import gzip
import json
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.target import MEGABYTE, Target, attacked
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
    http_request,
    websocket,
)

pytestmark = pytest.mark.timeout(SECONDS)

SLOW_ONES = 200
# Every limit on time is below a minute by default; these are the settings among them, shorter.
QUICK = {"connection_init_seconds": 3, "ping_interval_seconds": 3, "ping_timeout_seconds": 3}
ENDED_SECONDS = 60.0
HALF_OPEN = 10_000
LOOPBACKS = 8
FRAME = 100 * MEGABYTE

Begin = Callable[[Target], Awaitable[Wire]]


async def say(target: Target, data: bytes) -> Wire:
    wire = await Wire.open(target.port)
    await wire.send(data)
    return wire


async def never_initialised(target: Target) -> Wire:
    return await websocket(target.port, GRAPHQL_WS)


async def never_connected(target: Target) -> Wire:
    return await websocket(target.port, SOCKETIO_WS)


async def poll_never_read(target: Target) -> Wire:
    polling = "/socket.io/?EIO=4&transport=polling"
    wire = await say(target, http_request("GET", polling))
    sid = json.loads((await wire.answer()).body[1:])["sid"]
    await wire.send(http_request("GET", f"{polling}&sid={sid}"))
    return wire


async def never_probed(target: Target) -> Wire:
    polling = "/socket.io/?EIO=4&transport=polling"
    wire = await say(target, http_request("GET", polling))
    sid = json.loads((await wire.answer()).body[1:])["sid"]
    wire.abort()
    return await websocket(target.port, f"{SOCKETIO_WS}&sid={sid}")


def begun(data: bytes) -> Begin:
    async def begin(target: Target) -> Wire:
        return await say(target, data)

    return begin


SLOW: dict[str, Begin] = {
    "nothing": begun(b""),
    "half a head": begun(b"POST /graphql HTTP/1.1\r\nHost: x\r\nX-A: "),
    "half a body": begun(b"POST /api/auth/login HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"),
    "half a chunk": begun(
        b"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"
    ),
    "half a handshake": begun(handshake(GRAPHQL_WS)[:-20]),
    "half a frame": begun(handshake(GRAPHQL_WS) + b"\x81\xfe\x10\x00"),
    "no connection_init": never_initialised,
    "no CONNECT, no pong": never_connected,
    "a poll never read": poll_never_read,
    "an upgrade never probed": never_probed,
}


async def drip(wire: Wire, pause: float) -> None:
    """Send a byte now and then, as a slow-loris does, until it ends."""
    while True:
        wire.writer.write(b"a")
        await asyncio.sleep(pause)


@pytest.mark.parametrize("begin", SLOW.values(), ids=SLOW)
async def test_who_never_goes_on_is_ended(begin: Begin, tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, **QUICK) as target:
        began = time.monotonic()
        wires = await asyncio.gather(*(begin(target) for _ in range(SLOW_ONES)))
        # What they are told on the way does not count: only that it ends.
        await asyncio.gather(*(wire.rest(ENDED_SECONDS) for wire in wires))
        for wire in wires:
            wire.abort()
        report(f"{SLOW_ONES} ended after {time.monotonic() - began:.0f} s")


async def test_dripping_headers_gains_no_time(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, **QUICK) as target:
        wires = await asyncio.gather(
            *(say(target, b"GET /health HTTP/1.1\r\nX-A: ") for _ in range(SLOW_ONES))
        )
        drips = [asyncio.create_task(drip(wire, 1)) for wire in wires]
        try:
            await asyncio.gather(*(wire.rest(ENDED_SECONDS) for wire in wires))
        finally:
            for dripping in drips:
                dripping.cancel()
            await asyncio.gather(*drips, return_exceptions=True)
            for wire in wires:
                wire.abort()


async def test_ten_thousand_half_open_handshakes(tmp_path: Path, report: Report) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(HALF_OPEN, most - 500)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    half = handshake(GRAPHQL_WS)[:-20]
    wires: list[Wire] = []
    try:
        # Memory that malloc does not give back counts too: a connection costs tens of kilobytes.
        async with attacked(tmp_path, report, growth=400 * MEGABYTE) as target:
            for first in range(0, number, 250):
                source = f"127.0.0.{2 + first // 250 % LOOPBACKS}"
                opened = [Wire.open(target.port, source=source) for _ in range(250)]
                for wire in await asyncio.gather(*opened):
                    wires.append(wire)
                    wire.writer.write(half)
            held = target.descriptors()["socket"]
            target.look()
            await asyncio.gather(*(wire.rest(ENDED_SECONDS) for wire in wires))
            report(f"{number} half-open handshakes ({held} held at once)")
            for wire in wires:
                wire.abort()
    finally:
        for wire in wires:
            wire.abort()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
