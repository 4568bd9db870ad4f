"""What a subscriber can rely on: no gap, no repeat, and nothing left behind when it goes."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from websockets.exceptions import ConnectionClosed

from db.engines.database import DatabaseUnavailable
from db.people import users
from events.hub import EVERYBODY
from schema.transports.protocol import CloseCode
from tests.schema.client import Message, Socket, bare_socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, running_server

SEND = "mutation($c: String, $to: ID) { sendMessage(content: $c, receiverId: $to) { id } }"
LISTEN = "subscription($after: ID) { messageAdded(after: $after) { id content } }"
PRESENCE = "subscription { presence { online lastSeenAt user { id online lastSeenAt } } }"


async def send_many(socket: Socket, contents: list[str], to: Any = None) -> list[str]:
    """Send all at once; return their ids once all are stored."""
    ids = []
    for content in contents:
        await socket.subscribe(f"send {content[:20]}", SEND, {"c": content, "to": to})
    for content in contents:
        answer = await socket.expect(id=f"send {content[:20]}", type="next")
        await socket.expect(id=f"send {content[:20]}", type="complete")
        ids.append(answer["payload"]["data"]["sendMessage"]["id"])
    return ids


def added(message: Message) -> str:
    assert message["type"] == "next", message
    id_: str = message["payload"]["data"]["messageAdded"]["id"]
    return id_


@pytest.mark.parametrize("stored", [0, 3, 520])
async def test_a_replay_and_what_comes_meanwhile_have_no_gap_and_no_repeat(
    chat: RunningServer, stored: int
) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with (
        open_socket(chat, alice) as sender,
        open_socket(chat, carol) as noise,
        open_socket(chat, bob) as listener,
    ):
        first = (await send_many(sender, ["first"], bob.id))[0]
        before = await send_many(sender, [f"before {n}" for n in range(stored)], bob.id)
        await send_many(noise, [f"hidden {n}" for n in range(5)], carol.id)
        live = [f"live {n}" for n in range(120)]
        sending = asyncio.gather(
            send_many(sender, live, bob.id),
            send_many(noise, [f"hidden too {n}" for n in range(60)], carol.id),
        )
        for number in range(4):
            await listener.subscribe(f"listen {number}", LISTEN, {"after": first})
            await listener.settle()
        sent, _ = await sending
        for number in range(4):
            heard = [await listener.expect(id=f"listen {number}") for _ in [*before, *sent]]
            assert [added(message) for message in heard] == [*before, *sent]
        await listener.settle()
        assert listener.inbox == []


async def test_from_0_means_everything_one_may_see(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with open_socket(server, alice) as socket, open_socket(server, bob) as other:
            own = await send_many(socket, ["note"], alice.id)
            await send_many(other, ["hidden"], bob.id)
            broadcast = await send_many(other, ["to all"])
            direct = await send_many(other, ["to alice"], alice.id)
            for id_, after in (("text", '"0"'), ("number", "0")):
                query = f"subscription {{ messageAdded(after: {after}) {{ id }} }}"
                await socket.subscribe(id_, query)
                heard = [added(await socket.expect(id=id_)) for _ in range(3)]
                assert heard == own + broadcast + direct
            await socket.subscribe("at the head", LISTEN, {"after": direct[0]})
            await socket.subscribe("without", LISTEN, {"after": None})
            await socket.settle()
            [last] = await send_many(other, ["the last"], alice.id)
            assert added(await socket.expect(id="at the head")) == last
            assert added(await socket.expect(id="without")) == last


@pytest.mark.parametrize(
    "after",
    ["", " ", "abc", "-1", "1.5", "00", "1e3", "٣", "9" * 30, "9" * 5000, 2**40, -1, 10**30],
)
async def test_a_cursor_that_is_not_of_the_log_is_refused(
    sqlite_chat: RunningServer, after: Any
) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        await socket.subscribe("1", LISTEN, {"after": after})
        answer = await socket.expect(id="1")
        assert answer["type"] == "error"
        [error] = answer["payload"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["message"].startswith("after is ")
        await socket.settle()
        assert socket.inbox == []


async def test_who_falls_behind_resumes_without_a_loss(tmp_path: Path) -> None:
    contents = [f"{number:04}" + "x" * 12_000 for number in range(700)]
    with running_server(tmp_path, max_queued_messages=5) as server:
        alice, bob = await new_account(server), await new_account(server)
        seen: list[str] = []
        codes = []
        async with open_socket(server, alice) as sender, open_socket(server, alice) as quick:
            await quick.subscribe("s", LISTEN)
            await quick.settle()
            async with open_socket(server, bob, receive_buffer=4096) as slow:
                await slow.subscribe("s", LISTEN)
                await slow.settle()
                sent = []
                for start in range(0, len(contents), 2):  # the quick one keeps up with this
                    sent += await send_many(sender, contents[start : start + 2], bob.id)
                    assert [added(await quick.expect(id="s")) for _ in range(2)] == sent[-2:]
                codes.append(await slow.closed())
                seen += [added(message) for message in slow.inbox]
            assert codes == [(1013, "Too slow: resume after the last id seen")]
            assert seen == sent[: len(seen)]
            assert 0 < len(seen) < len(sent)
            async with open_socket(server, bob) as resumed:
                await resumed.subscribe("s", LISTEN, {"after": seen[-1]})
                while len(seen) < len(sent):
                    seen.append(added(await resumed.expect(id="s")))
                await resumed.settle()
                assert resumed.inbox == []
        assert seen == sent


@pytest.mark.parametrize("queue", [5, 1000])
async def test_a_peer_that_stops_reading_is_gone_soon_and_the_others_go_on(
    tmp_path: Path, queue: int
) -> None:
    quick: dict[str, Any] = {"ping_interval_seconds": 0.5, "ping_timeout_seconds": 0.5}
    with running_server(
        tmp_path, max_queued_messages=queue, connection_init_seconds=0.5, **quick
    ) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with (
            open_socket(server, alice) as watcher,
            bare_socket(server, receive_buffer=4096) as dead,
        ):
            await watcher.subscribe("listen", LISTEN)
            await watcher.subscribe("presence", PRESENCE)
            await dead.init({"token": bob.token})
            await dead.subscribe("s", LISTEN)
            await dead.settle()
            content = "x" * 16_000
            connections = server.server.server_state.connections
            async with asyncio.timeout(8):
                while bob.id in server.ctx.presence.online_ids or len(connections) > 1:
                    await watcher.execute(SEND, {"c": content, "to": bob.id})
                    assert (await watcher.expect(id="listen"))["type"] == "next"
            assert not server.ctx.hub.sinks_at(bob.id)
            seen = [await watcher.expect(id="presence") for _ in range(3)]
            states = [message["payload"]["data"]["presence"] for message in seen]
            assert [(s["user"]["id"], s["online"]) for s in states[1:]] == [
                (str(bob.id), True),
                (str(bob.id), False),
            ]
            with pytest.raises(ConnectionClosed):
                await dead.expect(type="never")


async def test_presence_is_a_snapshot_and_then_each_change(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice, bob, carol = [await new_account(server) for _ in range(3)]
        async with open_socket(server, alice) as one, open_socket(server, bob):

            async def next_change() -> tuple[str, bool]:
                change = (await one.expect(id="p"))["payload"]["data"]["presence"]
                assert change["user"]["online"] is change["online"]
                assert change["user"]["lastSeenAt"] == change["lastSeenAt"]
                assert (change["lastSeenAt"] is None) is change["online"]
                return str(change["user"]["id"]), bool(change["online"])

            await one.subscribe("p", PRESENCE)
            assert await next_change() == (str(alice.id), True)
            assert await next_change() == (str(bob.id), True)
            for _ in range(2):
                async with open_socket(server, carol):
                    assert await next_change() == (str(carol.id), True)
                    async with open_socket(server, carol):
                        pass
                    async with open_socket(server):  # nobody
                        pass
                assert await next_change() == (str(carol.id), False)
            await one.settle()
            assert one.inbox == []


@asynccontextmanager
async def leaving(server: RunningServer, account: Account, how: str) -> AsyncIterator[Socket]:
    """A socket that has gone in this way after the block."""
    async with open_socket(server, account) as socket:
        yield socket
        if how == "complete":
            for id_ in ("a", "b", "c"):
                await socket.send({"type": "complete", "id": id_})
        elif how == "a bad message":
            await socket.send("not JSON")
            await socket.closed()
        elif how == "abort":
            socket.connection.transport.abort()
        elif how == "complete and begin again":
            for id_ in ("a", "b", "c"):
                await socket.send({"type": "complete", "id": id_})
                await socket.subscribe(id_, LISTEN, {"after": "0"})


WAYS = ["complete", "close", "abort", "a bad message", "complete and begin again"]


@pytest.mark.parametrize("how", WAYS)
async def test_who_leaves_leaves_nothing_behind(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(tmp_path) as server:
        alice, bob = await new_account(server), await new_account(server)
        ctx = server.ctx
        async with open_socket(server, alice) as watcher:
            await send_many(watcher, [str(number) for number in range(10)], bob.id)
            await watcher.subscribe("p", PRESENCE)
            await watcher.expect(id="p")
            async with leaving(server, bob, how) as socket:
                assert (await watcher.expect(id="p"))["payload"]["data"]["presence"]["online"]
                await socket.subscribe("a", LISTEN)
                await socket.subscribe("b", LISTEN, {"after": "0"})
                await socket.subscribe("c", PRESENCE)
                await socket.settle()
                assert len(ctx.hub.sinks_at(bob.id)) == 2
                assert len(ctx.presence._watches) == 2
                if how == "complete":
                    await send_many(watcher, ["while others listen"], bob.id)
            gone = await watcher.expect(id="p")
            assert gone["payload"]["data"]["presence"]["online"] is False
            await watcher.settle()
            assert not ctx.hub.sinks_at(bob.id)
            assert ctx.roster.own(bob.id) == 0
            assert len(ctx.presence._watches) == 1
            assert len(server.server.server_state.connections) == 1
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_completed_subscription_leaves_its_socket_clean(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        async with open_socket(server, await new_account(server)) as socket:
            for _ in range(5):
                await socket.subscribe("a", LISTEN)
                await socket.subscribe("b", PRESENCE)
                await socket.settle()
                assert len(server.ctx.hub.sinks_at(EVERYBODY)) == 1
                for id_ in ("a", "b"):
                    await socket.send({"type": "complete", "id": id_})
                await socket.settle()
                assert len(server.ctx.hub.sinks_at(EVERYBODY)) == 0
                assert len(server.ctx.presence._watches) == 0


async def test_an_event_that_cannot_be_shown_is_resumed_not_skipped(
    sqlite_chat: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = [await new_account(sqlite_chat) for _ in range(2)]
    query = "subscription($after: ID) { messageAdded(after: $after) { id sender { id } } }"

    async def fail(connection: AsyncConnection, ids: Collection[int]) -> Any:
        raise DatabaseUnavailable("gone for a moment")

    async with open_socket(sqlite_chat, bob) as reader, open_socket(sqlite_chat, alice) as sender:
        await reader.subscribe("s", query)
        await reader.settle()
        first = (await send_many(sender, ["seen"], bob.id))[0]
        await reader.expect(id="s", type="next")
        with monkeypatch.context() as patch:
            patch.setattr(users, "find_users", fail)
            missed = await send_many(sender, ["missed", "after it"], bob.id)
            assert (await reader.closed())[0] == CloseCode.TRY_AGAIN_LATER
    async with open_socket(sqlite_chat, bob) as again:
        await again.subscribe("s", query, {"after": first})
        for id_ in missed:
            heard = await again.expect(id="s", type="next")
            assert heard["payload"]["data"]["messageAdded"]["id"] == id_
