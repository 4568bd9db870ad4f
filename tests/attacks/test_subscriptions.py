"""Subscriptions without end: too many, all under one id, or never read."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.target import MEGABYTE, Target, attacked
from tests.attacks.wires import (
    CLOSE,
    GRAPHQL_WS,
    SOCKETIO_WS,
    Ended,
    Wire,
    client_frame,
    websocket,
)
from tests.faults.waits import until
from tests.faults.wire import GraphQLClient

pytestmark = pytest.mark.timeout(SECONDS)

MAX_SUBSCRIPTIONS = 100
# MAX_QUEUED_BYTES for the messages, and as much again for what is being written of them, and what
# malloc keeps of both.
DEAF_BYTES = 3 * 4 * MEGABYTE
WATCH = "subscription { messageAdded { content } }"
SUBSCRIBERS = times(10, 50)
UNREAD = 20
CONTENT = "x" * 16_000


def subscribe(id_: str) -> bytes:
    message = {"type": "subscribe", "id": id_, "payload": {"query": WATCH}}
    return client_frame(json.dumps(message).encode())


async def logged_in(target: Target, token: str) -> Wire:
    wire = await websocket(target.port, GRAPHQL_WS)
    init = {"type": "connection_init", "payload": {"token": token}}
    await wire.send(client_frame(json.dumps(init).encode()))
    assert json.loads((await wire.frame()).payload)["type"] == "connection_ack"
    return wire


async def test_subscriptions_beyond_the_limit_are_refused(tmp_path: Path, report: Report) -> None:
    number = times(2_000, 10_000)
    async with attacked(tmp_path, report) as target:
        wire = await logged_in(target, target.mallory.token)
        refused: dict[str, str] = {}
        for first in range(0, number, 500):
            ids = range(first, first + 500)
            await wire.send(b"".join(subscribe(str(id_)) for id_ in ids))
            while len(refused) < first + 500 - MAX_SUBSCRIPTIONS:
                message = json.loads((await wire.frame()).payload)
                assert message["type"] == "error", message
                refused[message["id"]] = message["payload"][0]["extensions"]["code"]
        assert set(refused.values()) == {"RATE_LIMITED"}
        assert len(refused) == number - MAX_SUBSCRIPTIONS
        # Those that were taken are sound: each is told of a message.
        sender = await GraphQLClient.open(target.port, target.mallory.token)
        await (await sender.start("told", "Told", target.mallory.id))
        told = {json.loads((await wire.frame()).payload)["id"] for _ in range(MAX_SUBSCRIPTIONS)}
        assert told.isdisjoint(refused)
        assert len(told) == MAX_SUBSCRIPTIONS
        await sender.close()
        wire.abort()


async def test_one_id_again_and_again_ends_the_connection(tmp_path: Path, report: Report) -> None:
    rounds = times(200, 2_000)
    async with attacked(tmp_path, report) as target:

        async def again(number: int) -> None:
            wire = await logged_in(target, target.mallory.token)
            try:
                await wire.send(subscribe("1") * 500)
                while (frame := await wire.frame()).opcode != CLOSE:
                    pass
                assert frame.code == 4409
            except Ended:
                pass  # the reset may take its last word with it
            finally:
                wire.abort()
            if number % 50 == 0:
                target.look()

        for first in range(0, rounds, SUBSCRIBERS):
            await asyncio.gather(*(again(first + number) for number in range(SUBSCRIBERS)))


async def graphql_deaf(target: Target) -> Wire:
    """Listen a hundredfold, and never read."""
    wire = await logged_in(target, target.mallory.token)
    await wire.send(b"".join(subscribe(str(id_)) for id_ in range(MAX_SUBSCRIPTIONS)))
    return wire


async def socketio_deaf(target: Target) -> Wire:
    """Listen, and never read."""
    wire = await websocket(target.port, SOCKETIO_WS)
    login = json.dumps(["auth:login", {"token": target.mallory.token}])
    await wire.send(client_frame(b"40") + client_frame(f"42{login}".encode()))
    while (await wire.frame()).payload != b'42["auth:ok"]':
        pass
    return wire


@pytest.mark.parametrize("deaf", [graphql_deaf, socketio_deaf], ids=["graphql", "socketio"])
async def test_who_listens_and_never_reads_costs_a_bounded_memory(
    deaf: object, tmp_path: Path, report: Report
) -> None:
    """The two people of `target` go on at their pace; others who read get every message."""
    assert callable(deaf)
    # What malloc keeps of it counts too.
    async with attacked(tmp_path, report, growth=UNREAD * DEAF_BYTES) as target:
        wires: list[Wire] = [await deaf(target) for _ in range(UNREAD)]
        for wire in wires:
            sock = wire.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads too
        heard: list[str] = []
        listener = await GraphQLClient.open(target.port, target.mallory.token)
        await listener.watch(WATCH, lambda data: heard.append(data["messageAdded"]["content"]))
        sender = await GraphQLClient.open(target.port, target.bob.token)
        number = times(300, 1_500)
        for index in range(number):
            await (await sender.start(f"loud {index}", f"{index} {CONTENT}", target.mallory.id))
            if index % 20 == 0:
                target.look()
        await until(lambda: len(heard) == number, 60)
        assert [int(content.split()[0]) for content in heard] == [*range(number)]
        peak = target.peak - target.parley.resident_bytes() + target.growth
        report(f"{UNREAD} deaf ones, {number} messages of 16 KB: +{peak / MEGABYTE:.0f} MB")
        assert peak < UNREAD * DEAF_BYTES + 48 * MEGABYTE
        await listener.close()
        await sender.close()
        for wire in wires:
            wire.abort()
