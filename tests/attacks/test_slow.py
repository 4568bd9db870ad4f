"""Peers that begin and never go on: each kind is ended, and holds nothing up meanwhile."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.conftest import LONG, SECONDS, Report, times
from tests.attacks.target import MEGABYTE, Target, attacked
from tests.attacks.wires import (
    GRAPHQL_WS,
    SOCKETIO_WS,
    Ended,
    Wire,
    handshake,
    http_request,
    websocket,
)

pytestmark = pytest.mark.timeout(SECONDS)

SLOW_ONES = times(50, 200)  # of each kind
# Every limit on time is about a minute by default, but for that of a silent Socket.IO client;
# the short form has them shorter.
SHORT: dict[str, Any] = {
    "request_head_seconds": 3,
    "request_body_seconds": 3,
    "connection_init_seconds": 3,
    "ping_interval_seconds": 3,
    "ping_timeout_seconds": 3,
    "keep_alive_seconds": 3,
}
QUICK: dict[str, Any] = {} if LONG else SHORT
# By default a poll is answered by a ping, and its connection kept for 75 s more.
ENDED_SECONDS = times(75, 150)
HALF_OPEN = 10_000
LOOPBACKS = 8


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
    "half a body": begun(
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
    ),
    "half a chunk": begun(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"
    ),
    "half a handshake": begun(handshake(GRAPHQL_WS)[:-20]),
    "half a body with an upgrade": begun(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 99\r\n\r\n{"
    ),
    "a handshake with a long head": begun(handshake(GRAPHQL_WS, f"Cookie: {'k' * 9000}\r\n")),
    "a handshake with many lines": begun(handshake(GRAPHQL_WS, "X: y\r\n" * 200)),
    "a handshake with a body to come": begun(handshake(GRAPHQL_WS, "Content-Length: 99\r\n")),
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


async def test_who_never_goes_on_is_ended(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, **QUICK) as target:
        began = time.monotonic()

        async def ended(begin: Begin) -> float:
            """Return how long so many of a kind were held."""
            wires = await asyncio.gather(*(begin(target) for _ in range(SLOW_ONES)))
            try:
                # What they are told on the way does not count: only that it ends.
                await asyncio.gather(*(wire.rest(ENDED_SECONDS) for wire in wires))
            finally:
                for wire in wires:
                    wire.abort()
            return time.monotonic() - began

        held = await asyncio.gather(*(ended(begin) for begin in SLOW.values()))
        told = ", ".join(f"{kind} {it:.0f} s" for kind, it in zip(SLOW, held, strict=True))
        report(f"{SLOW_ONES} of each ended after: {told}")


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


async def test_three_hundred_bodies_short_of_a_byte_hold_no_more_than_the_bound(
    tmp_path: Path, report: Report
) -> None:
    number, size = 300, MEGABYTE
    # What the errors of cut bodies hold goes when the collector next looks for cycles.
    async with attacked(tmp_path, report, growth=128 * MEGABYTE, **QUICK) as target:
        head = (
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % size
        )
        wires = [await Wire.open(target.port, source="127.0.0.2") for _ in range(number)]
        try:
            for wire in wires:
                with contextlib.suppress(Ended):
                    await wire.send(head + b" " * (size - 1))
                target.look()
            await asyncio.gather(*(wire.rest(ENDED_SECONDS) for wire in wires))
        finally:
            for wire in wires:
                wire.abort()
        # 64 MiB are held at most, each of them for a moment twice.
        assert target.peak - target.parley.resident_bytes() + target.growth < 160 * MEGABYTE


async def test_ten_thousand_half_open_handshakes(tmp_path: Path, report: Report) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(HALF_OPEN, most - 500)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    half = handshake(GRAPHQL_WS)[:-20]
    wires: list[Wire] = []
    try:
        # Memory that malloc does not give back counts too: a connection costs tens of kilobytes.
        async with attacked(tmp_path, report, growth=400 * MEGABYTE, **QUICK) as target:
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
