"""Bodies and messages that do not come whole: how long they may take, how much they may hold."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from server.protocols import progress
from server.protocols.unfinished import Unfinished
from tests.attacks.wires import CLOSE, Ended, Wire, client_frame, http_request, websocket
from tests.support.faces import new_account
from tests.support.server import running_server

LARGE = 300 * 1024
HEAD = (
    b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
PATHS = (b"/graphql", b"/api/auth/login")


class Holding:
    """A connection that holds something, in the place of a real one."""

    def __init__(self, caller: str, unfinished: Unfinished) -> None:
        self.caller = caller
        self.ended = False
        self._unfinished = unfinished

    def hold(self, size: int) -> None:
        self._unfinished.hold(self, size)

    def give_up(self) -> None:
        self.ended = True


def test_the_largest_of_the_address_that_holds_most_is_ended() -> None:
    unfinished = Unfinished(1000)
    lone = Holding("1.2.3.4", unfinished)
    many = [Holding("5.6.7.8", unfinished) for _ in range(4)]
    lone.hold(400)
    for number, one in enumerate(many):
        one.hold(100 + number)
    assert unfinished.total == 400 + 406
    many[1].hold(240)
    assert [one.ended for one in many] == [False] * 4
    many[2].hold(200)
    assert [one.ended for one in many] == [False, True, False, False]
    assert not lone.ended
    for one in (lone, *many, *many):
        unfinished.release(one)
    assert unfinished.total == 0
    assert not unfinished._held
    assert not unfinished._sums


def test_what_alone_is_too_much_ends_itself() -> None:
    unfinished = Unfinished(1000)
    one = Holding("", unfinished)
    one.hold(1001)
    assert one.ended
    assert unfinished.total == 0


@asynccontextmanager
async def narrow(directory: Path, **settings: Any) -> AsyncIterator[Any]:
    """A server with room for few unfinished bodies."""
    small = {"max_body_bytes": LARGE, "max_unfinished_bytes": 1024 * 1024, **settings}
    with running_server(directory, **small) as server:
        yield server


T = TypeVar("T")


async def heard(read: Callable[[], Awaitable[T]]) -> T | None:
    """What the server said on the connection; None when it says nothing, or cut it."""
    try:
        async with asyncio.timeout(1):
            return await read()
    except (TimeoutError, Ended):
        return None


@pytest.mark.parametrize("path", PATHS)
async def test_bodies_short_of_a_byte_hold_no_more_than_the_bound(
    tmp_path: Path, path: bytes
) -> None:
    async with narrow(tmp_path) as server:
        protocol = server.server.config.http_protocol_class
        wires = [await Wire.open(server.settings.port) for _ in range(20)]
        try:
            for wire in wires:
                await wire.send(HEAD % (path, LARGE) + b" " * (LARGE - 1))
            await asyncio.sleep(0.3)
            assert 0 < protocol.unfinished.total <= 4 * LARGE
            answers = [one for wire in wires if (one := await heard(wire.answer)) is not None]
            assert len(answers) >= 15
            assert {answer.status for answer in answers} == {503}
            assert {answer.headers["retry-after"] for answer in answers} == {"10"}
            # Another address has room, and so have requests that come whole.
            other = await Wire.open(server.settings.port, source="127.0.0.2")
            wires.append(other)
            body = b'{"query": "{ __typename }"}'
            await other.send(HEAD % (b"/graphql", len(body)) + body[:-1])
            await asyncio.sleep(0.05)
            await other.send(body[-1:])
            assert (await other.answer()).status == 200
        finally:
            for wire in wires:
                wire.abort()
        await asyncio.sleep(0.2)
        assert protocol.unfinished.total == 0


async def test_an_upload_goes_to_the_disk_and_is_not_held(tmp_path: Path) -> None:
    async with narrow(tmp_path) as server:
        token = (await new_account(server)).token
        part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'
        body = part + bytes(5 * 1024 * 1024) + b"\r\n--x--\r\n"
        head = http_request(
            "POST",
            "/api/uploads",
            f"Authorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {len(body)}\r\n",
        ).replace(b"Content-Length: 0\r\n", b"")
        wire = await Wire.open(server.settings.port)
        await wire.send(head + body[:-10])
        await asyncio.sleep(0.5)
        assert server.server.config.http_protocol_class.unfinished.total < LARGE
        await wire.send(body[-10:])
        answer = await wire.answer()
        assert answer.status == 201, answer
        wire.abort()


async def _drip(wire: Wire, piece: bytes, pause: float) -> None:
    while True:
        wire.writer.write(piece)
        await asyncio.sleep(pause)


@pytest.mark.parametrize(
    ("settings", "piece"),
    [
        ({"min_body_bytes_per_second": 1000}, b" "),
        ({"whole_body_seconds": 0.8, "min_body_bytes_per_second": 0}, b" " * 100),
    ],
    ids=["too slow", "too long"],
)
async def test_a_body_that_drips_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], piece: bytes
) -> None:
    monkeypatch.setattr(progress, "GRACE_SECONDS", 0.5)
    with running_server(tmp_path, request_body_seconds=0.4, **settings) as server:
        wire = await Wire.open(server.settings.port)
        await wire.send(HEAD % (b"/graphql", 100_000) + b" " * 50_000)
        dripping = asyncio.create_task(_drip(wire, piece, 0.02))
        try:
            answer = await wire.answer()
            assert answer.status == 408
            assert "took too long" in json.loads(answer.body)["message"]
        finally:
            dripping.cancel()
            wire.abort()


async def test_a_body_at_more_than_the_least_rate_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "GRACE_SECONDS", 0.1)
    slow = {"request_body_seconds": 0.4, "min_body_bytes_per_second": 1000}
    with running_server(tmp_path, **slow) as server:
        wire = await Wire.open(server.settings.port)
        body = b'{"query": "{ __typename }"' + b" " * 6000 + b"}"
        await wire.send(HEAD % (b"/graphql", len(body)))
        for start in range(0, len(body), 100):  # twice the rate, well past the grace
            await wire.send(body[start : start + 100])
            await asyncio.sleep(0.03)
        assert (await wire.answer()).status == 200
        wire.abort()


FRAGMENT = client_frame(b"x" * 1000, first=0x01)
HALF_FRAME = client_frame(b"x" * 1000, announced=5000)
NO_BYTES = client_frame(b"", first=0x01)
PIECES = {
    "fragments": (FRAGMENT, client_frame(b"x", first=0)),
    "a frame": (HALF_FRAME, b"x"),
    "empty fragments": (NO_BYTES, client_frame(b"", first=0)),
}


@pytest.mark.parametrize(("start", "more"), PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("drips", [False, True])
@pytest.mark.parametrize("path", ["/graphql", "/socket.io/?EIO=4&transport=websocket"])
async def test_a_message_that_does_not_go_on_is_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    start: bytes,
    more: bytes,
    drips: bool,
) -> None:
    monkeypatch.setattr(progress, "GRACE_SECONDS", 0.1)
    slow = {"request_body_seconds": 0.4, "min_body_bytes_per_second": 10_000}
    with running_server(tmp_path, **slow) as server:
        wire = await websocket(server.settings.port, path)
        await wire.send(start)
        dripping = asyncio.create_task(_drip(wire, more, 0.05)) if drips else None
        try:
            while (frame := await wire.frame()).opcode != CLOSE:
                pass
            assert frame.code == 1013
            await wire.rest(15)
        finally:
            if dripping is not None:
                dripping.cancel()
            wire.abort()


async def test_open_messages_of_many_hold_no_more_than_the_bound(tmp_path: Path) -> None:
    async with narrow(tmp_path) as server:
        unfinished = server.server.config.http_protocol_class.unfinished
        wires = [await websocket(server.settings.port, "/graphql") for _ in range(20)]
        try:
            for wire in wires:
                await wire.send(client_frame(b'{"type":"connection_init"}'))
                await wire.frame()
            for number, wire in enumerate(wires):
                if number % 2:
                    await wire.send(client_frame(b"x" * (LARGE - 1000), announced=LARGE))
                else:
                    await wire.send(client_frame(b"x" * (LARGE - 1000), first=0x01))
            await asyncio.sleep(0.3)
            assert 0 < unfinished.total <= 4 * LARGE
            frames = [await heard(wire.frame) for wire in wires]
            codes = [frame.code for frame in frames if frame is not None]
            assert len(codes) == 16  # a reset would have thrown the reason away
            assert set(codes) == {1013}
        finally:
            for wire in wires:
                wire.abort()
        await asyncio.sleep(0.2)
        assert unfinished.total == 0


async def test_large_messages_one_after_the_other_are_no_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "GRACE_SECONDS", 0.1)
    slow = {"request_body_seconds": 0.2, "whole_body_seconds": 0.4}
    with running_server(tmp_path, **slow) as server:
        wire = await websocket(server.settings.port, "/graphql")
        await wire.send(client_frame(b'{"type":"connection_init"}'))
        await wire.frame()
        whole = client_frame(b'{"type":"ping","payload":{"x":"' + b"x" * 30_000 + b'"}}')
        data = whole * 30
        for start in range(0, len(data), 25_000):  # nearly never at the end of a message
            await wire.send(data[start : start + 25_000])
            await asyncio.sleep(0.03)
        for _ in range(30):
            assert (await wire.frame()).opcode == 1
        wire.abort()
