"""`auth:login {token, after}`: what came meanwhile, then what is new, in order and once each."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.compat.test_chat import Raw, chat_of, entered, eventually, raw
from tests.support.faces import Account, SocketIOFace, new_account
from tests.support.server import RunningServer, running_server

WAIT = 10
QUEUE = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose queues hold little, and whose pool has one connection."""
    directory = tmp_path_factory.mktemp("resume")
    with running_server(directory, max_queued_messages=QUEUE, db_pool_size=1) as server:
        yield server


@pytest.fixture(scope="module")
async def alice(server: RunningServer) -> Account:
    return await new_account(server, "Alice")


async def broadcast(sender: SocketIOFace, number: int, content: str = "x") -> list[int]:
    """Send so many, a few at once as a real client would; return their ids."""
    ids: list[int] = []
    while len(ids) < number:
        few = min(5, number - len(ids))
        sent = await asyncio.gather(*(sender.send(content) for _ in range(few)))
        ids += [message.id for message in sent]
    return ids


async def log_in(client: Raw, account: Account, after: Any) -> None:
    await client.send("auth:login", {"token": account.token, "after": after})


async def hear(client: Raw, last: int) -> list[int]:
    """Return every id that came, once the last one has."""
    await client.events.expect(
        lambda item: item[0] == "message:new" and item[1]["id"] == last, WAIT
    )
    return client.ids


async def test_more_than_a_queue_holds_comes_in_order_then_what_is_new(
    server: RunningServer, alice: Account
) -> None:
    bob = await new_account(server)
    async with SocketIOFace.open(server, alice) as sender:
        before = await broadcast(sender, 3 * QUEUE)
        hidden = await sender.send("not for bob", alice.id)
        missed = await broadcast(sender, 5 * QUEUE)
        for after in (before[-1], str(before[-1])):
            async with raw(server) as client:
                await log_in(client, bob, after)
                await hear(client, missed[-1])
                new = await broadcast(sender, 1)
                assert await hear(client, new[-1]) == missed + new
                assert client.events.items[0] == ["auth:ok"]
                missed += new
        async with raw(server) as client:
            await log_in(client, bob, 0)
            ids = await hear(client, missed[-1])
            assert ids[-len(missed) - len(before) :] == before + missed
            assert hidden.id not in ids
            assert ids == sorted({*ids})
            # The end of the log is no gap either.
        async with raw(server) as client:
            await log_in(client, bob, missed[-1])
            await client.expect("auth:ok")
            new = await broadcast(sender, 1)
            assert await hear(client, new[-1]) == new


async def test_no_gap_and_no_repeat_while_others_send(
    server: RunningServer, alice: Account
) -> None:
    bob = await new_account(server)
    async with SocketIOFace.open(server, alice) as sender, SocketIOFace.open(server, bob) as other:
        missed = await broadcast(sender, 3 * QUEUE)

        async def reader() -> list[int]:
            async with raw(server) as client:
                await log_in(client, bob, missed[0])
                await hear(client, missed[-1])
                await going.wait()
                return await hear(client, last[0])

        going = asyncio.Event()
        last: list[int] = []
        sending = asyncio.gather(broadcast(sender, 100), broadcast(other, 100))
        readers = [asyncio.create_task(reader()) for _ in range(4)]
        sent = sorted(id_ for ids in await sending for id_ in ids)
        last.append(sent[-1])
        going.set()
        for ids in await asyncio.gather(*readers):
            assert ids == missed[1:] + sent


async def test_a_slow_reader_gets_everything_by_resuming(
    server: RunningServer, alice: Account
) -> None:
    bob = await new_account(server)
    async with SocketIOFace.open(server, alice) as sender:
        start = (await broadcast(sender, 1))[0]
        sent = await broadcast(sender, 3 * QUEUE, "x" * 16_000)
        got = [start]
        connections = 0
        while got[-1] != sent[-1]:
            connections += 1
            async with raw(server, reading=False) as client:
                await log_in(client, bob, got[-1])
                if connections == 1:
                    # It reads nothing, while more than its queue holds is sent.
                    sent += await broadcast(sender, 30 * QUEUE, "y" * 16_000)
                try:
                    while got[-1] != sent[-1]:
                        packet = str(await asyncio.wait_for(client.websocket.recv(), WAIT))
                        if packet.startswith('42["message:new"'):
                            got.append(int(packet.partition('"id":')[2].partition(",")[0]))
                except websockets.ConnectionClosed:
                    assert client.websocket.close_code == 1013
        assert got[1:] == sent
        assert connections < 20


async def test_leaving_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_server(tmp_path, max_queued_messages=QUEUE, db_pool_size=1) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with SocketIOFace.open(server, alice) as sender:
            sent = await broadcast(sender, 5 * QUEUE, "x" * 16_000)
            for _ in range(5):
                async with raw(server, reading=False) as client:
                    await log_in(client, bob, 0)
                    assert str(await client.websocket.recv()) == '42["auth:ok"]'
                    client.websocket.transport.abort()
            chat = chat_of(server)
            await eventually(lambda: len(chat.engine.sockets) == 1)
            await eventually(lambda: [*server.ctx.presence.online_ids] == [alice.id])
            await eventually(lambda: entered(server) == [alice.id])
            assert len(chat.clients) == 1
            # The pool's one connection is free.
            async with raw(server) as client:
                await log_in(client, bob, 0)
                assert await hear(client, sent[-1]) == sent


async def test_another_login_stops_the_replay_of_the_one_before(
    server: RunningServer, alice: Account
) -> None:
    bob = await new_account(server)
    async with SocketIOFace.open(server, alice) as sender:
        sent = await broadcast(sender, 3 * QUEUE)
        async with raw(server) as client:
            await log_in(client, alice, sent[0])
            await log_in(client, bob, sent[-2])
            new = await broadcast(sender, 1)
            ids = await hear(client, new[-1])
        # Whatever the first replay got through, the second is whole, and nothing comes twice of it.
        assert ids[-2:] == [sent[-1], *new]
        assert ids[:-2] == sent[1 : len(ids) - 1]
