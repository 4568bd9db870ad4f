"""What an older client sends before its `auth:login`: held, then stored in order, or refused."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from compat.socketio.login_buffer import (
    EVENT_BYTES,
    MAX_ADDRESS_BYTES,
    BufferBudget,
    LoginBuffer,
)
from compat.socketio.packets import StrictPacket
from tests.compat.test_chat import TRANSPORTS, Raw, chat_of, each_transport, eventually, raw
from tests.support.faces import Account, RestFace, new_account
from tests.support.node import node_process
from tests.support.server import RunningServer, running_server

WAIT = 10
NOBODY = {"error": "No token provided", "code": "UNAUTHENTICATED"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that holds for longer than any test here waits, and not much."""
    directory = tmp_path_factory.mktemp("held")
    limits = {"held_events_seconds": 60, "max_held_events": 10, "max_held_bytes": 5000}
    with running_server(directory, **limits) as server:
        yield server


@pytest.fixture(scope="module")
async def alice(server: RunningServer) -> Account:
    return await new_account(server, "Alice")


async def history(server: RunningServer, account: Account, prefix: str = "") -> list[str]:
    """Return what they have sent of this prefix, in order."""
    async with RestFace.open(server, account) as rest:
        seen = await rest.history()
    contents = [message.content for message in seen if message.sender_id == account.id]
    return [content for content in contents if content.startswith(prefix)]


def nothing_held(server: RunningServer) -> bool:
    return not chat_of(server).budget.used


async def send(client: Raw, content: str, ack: int | None = None) -> None:
    await client.send("message:send", {"content": content}, ack=ack)


async def test_what_comes_before_the_login_is_stored_in_order_before_what_comes_after(
    server: RunningServer, alice: Account
) -> None:
    bob = await new_account(server)
    async with raw(server) as client:
        for number in range(5):
            await send(client, f"order {number}", ack=number)
            private = {"toUserId": bob.id, "content": f"order {number} to bob"}
            await client.send("message:private", private)
        await client.send("auth:login", {"token": alice.token})
        await send(client, "order 5", ack=5)
        acks = await client.acks.expect_many(lambda ack: True, 6, WAIT)
        assert [number for number, _ in acks] == [*range(6)]
        assert [answer["content"] for _, answer in acks] == [f"order {n}" for n in range(6)]
        assert {answer["senderId"] for _, answer in acks} == {alice.id}
        assert client.events.items[0] == ["auth:ok"]
    expected = [text for n in range(5) for text in (f"order {n}", f"order {n} to bob")]
    assert await history(server, alice, "order") == [*expected, "order 5"]
    assert nothing_held(server)


async def test_each_of_them_gets_its_own_answer(server: RunningServer, alice: Account) -> None:
    async with raw(server) as client:
        await send(client, " ", ack=1)
        await send(client, " ")
        await client.send("message:private", {"content": "to nobody"}, ack=2)
        await client.send("message:send", "nonsense", ack=3)
        await client.websocket.send('424["message:send",{"content":"half a pair \\ud800"}]')
        # A field with bytes in it that nobody reads: its packet has an attachment.
        await client.websocket.send(
            '451-5["message:send",{"content":"with bytes","x":{"_placeholder":true,"num":0}}]'
        )
        await client.websocket.send(b"\0\1")
        await client.send("auth:login", {"token": alice.token})
        acks = dict(await client.acks.expect_many(lambda ack: True, 5, WAIT))
        blank = {"error": "Content is required", "code": "BAD_USER_INPUT"}
        assert acks[1] == blank
        assert acks[2]["error"] == "toUserId is required"
        assert acks[3]["code"] == "BAD_USER_INPUT"
        assert acks[4]["content"] == "half a pair \N{REPLACEMENT CHARACTER}"
        assert acks[5]["content"] == "with bytes"
        assert await client.expect("message:error") == [["message:error", blank]]


@pytest.mark.parametrize(
    "login",
    [{"token": "bad"}, {}, {"token": "ALICE", "after": "nonsense"}],
    ids=["a bad token", "no token", "a bad position"],
)
async def test_a_login_that_fails_refuses_them_and_says_so(
    server: RunningServer, alice: Account, login: dict[str, Any]
) -> None:
    async with raw(server) as client:
        await send(client, "refused", ack=1)
        await send(client, "refused")
        await client.send(
            "auth:login", {k: alice.token if v == "ALICE" else v for k, v in login.items()}
        )
        await client.expect("closed")
        assert client.acks.items == [(1, NOBODY)]
        assert [item[0] for item in client.events.items][:2] == ["message:error", "auth:error"]
        assert client.events.items[0] == ["message:error", NOBODY]
    assert await history(server, alice, "refused") == []
    await eventually(lambda: nothing_held(server))


async def test_a_login_that_never_comes_refuses_them_in_time(tmp_path: Path) -> None:
    with running_server(tmp_path, held_events_seconds=0.3) as server:
        account = await new_account(server)
        async with raw(server) as client:
            await send(client, "too early", ack=1)
            await client.acks.expect(lambda ack: ack == (1, NOBODY), WAIT)
            assert nothing_held(server)
            # Patience is over: what comes now is refused at once, as before every login of old.
            await send(client, "too early", ack=2)
            await client.acks.expect(lambda ack: ack == (2, NOBODY), WAIT)
            await client.send("auth:login", {"token": account.token})
            await send(client, "in time", ack=3)
            await client.acks.expect(lambda ack: ack[0] == 3, WAIT)
            async with RestFace.open(server, account) as rest:
                assert [seen.content for seen in await rest.history()] == ["in time"]


async def test_a_server_that_holds_nothing_refuses_at_once(tmp_path: Path) -> None:
    with running_server(tmp_path, held_events_seconds=0) as server:
        async with raw(server) as client:
            await send(client, "x", ack=1)
            await client.acks.expect(lambda ack: ack == (1, NOBODY), WAIT)


@pytest.mark.parametrize("content", ["x", "x" * 900], ids=["in number", "in bytes"])
async def test_beyond_the_bound_the_newest_is_refused_and_told(
    server: RunningServer, alice: Account, content: str
) -> None:
    async with raw(server) as client:
        for number in range(30):
            await send(client, f"full {number:02} {content}", ack=number)
        refused = await client.acks.expect_many(lambda ack: "error" in ack[1], 20, WAIT)
        kept = 30 - len(refused)
        assert 0 < kept <= 10
        assert [number for number, _ in refused] == [*range(kept, 30)]
        assert {answer["code"] for _, answer in refused} == {"RATE_LIMITED"}
        assert {answer["retryAfterMs"] for _, answer in refused} == {1000}
        assert "auth:login" in refused[0][1]["error"]
        await client.send("auth:login", {"token": alice.token})
        stored = await client.acks.expect_many(lambda ack: "error" not in ack[1], kept, WAIT)
        assert [number for number, _ in stored] == [*range(kept)]


async def test_strangers_of_one_address_fill_no_more_than_its_share(tmp_path: Path) -> None:
    with running_server(tmp_path, held_events_seconds=60) as server:
        account = await new_account(server)
        async with AsyncExitStack() as stack:
            strangers = [await stack.enter_async_context(raw(server)) for _ in range(20)]
            for stranger in strangers:
                for number in range(31):
                    await send(stranger, "x" * 16_000, ack=number)
            # 9.9 MB came: the last ones are refused, and told.
            refused = await strangers[-1].acks.expect(lambda ack: "error" in ack[1], WAIT)
            assert refused[1]["code"] == "RATE_LIMITED"
            budget = chat_of(server).budget
            assert MAX_ADDRESS_BYTES * 0.9 < budget.total <= MAX_ADDRESS_BYTES
            assert [*budget.used.values()] == [budget.total]
            # Who logs in first needs no room.
            async with raw(server) as client:
                await client.send("auth:login", {"token": account.token})
                await send(client, "not in the way", ack=1)
                _, sent = await client.acks.expect(lambda ack: ack[0] == 1, WAIT)
                assert sent["content"] == "not in the way"
        await eventually(lambda: nothing_held(server))
        assert chat_of(server).budget.total == 0


async def test_what_is_held_of_who_goes_away_is_forgotten(
    server: RunningServer, alice: Account
) -> None:
    async with raw(server) as client:
        await send(client, "gone")
        await eventually(lambda: not nothing_held(server))
        client.websocket.transport.abort()
    await eventually(lambda: nothing_held(server))
    async with raw(server) as client:
        await send(client, "gone")
        await client.websocket.send("41")
        await eventually(lambda: nothing_held(server))
        await client.websocket.send("40")
        await client.events.expect(lambda item: item[0].startswith("40{"), WAIT)
        await client.send("auth:login", {"token": alice.token})
        await send(client, "here", ack=1)
        await client.acks.expect(lambda ack: ack[0] == 1, WAIT)
    assert await history(server, alice, "gone") == []


async def test_the_rates_apply_as_it_is_stored(tmp_path: Path) -> None:
    rates: dict[str, Any] = {"limits": True, "sends_per_user": "3/minute"}
    with running_server(tmp_path, **rates) as server:
        account = await new_account(server)
        async with raw(server) as client:
            for number in range(5):
                await send(client, f"{number}", ack=number)
            await client.send("auth:login", {"token": account.token})
            acks = dict(await client.acks.expect_many(lambda ack: True, 5, WAIT))
        assert [acks[number]["content"] for number in range(3)] == ["0", "1", "2"]
        assert {acks[number]["code"] for number in (3, 4)} == {"RATE_LIMITED"}


async def test_a_server_that_stops_says_that_they_are_not_stored(tmp_path: Path) -> None:
    with running_server(tmp_path, held_events_seconds=60) as server:
        async with raw(server) as client:
            await send(client, "x", ack=1)
            await eventually(lambda: not nothing_held(server))
            server.server.should_exit = True
            await client.expect("closed")
            assert client.acks.items == [(1, NOBODY)]
            assert client.events.items[-1][1] == 1012


@each_transport
async def test_the_python_client_may_send_before_it_logs_in(
    server: RunningServer, alice: Account, transports: tuple[str, ...]
) -> None:
    prefix = "python " + "+".join(transports)
    async with aiohttp.ClientSession() as session:  # the library's own may stay open
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        ok = asyncio.Event()
        client.on("auth:ok", lambda: ok.set())
        await client.connect(server.url, transports=[*transports])
        for number in range(5):
            await client.emit("message:send", {"content": f"{prefix} {number}"})
        await client.emit("auth:login", {"token": alice.token})
        answer = await client.call("message:send", {"content": f"{prefix} 5"}, timeout=WAIT)
        assert answer["senderId"] == alice.id
        assert ok.is_set()
        await client.disconnect()
        await asyncio.wait_for(client.eio.wait(), WAIT)
    assert await history(server, alice, prefix + " ") == [f"{prefix} {n}" for n in range(6)]


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_the_javascript_client_loses_and_doubles_nothing_of_what_it_sent_during_cuts(
    server: RunningServer, transports: tuple[str, ...]
) -> None:
    account = await new_account(server)
    options = {
        "transports": transports,
        "reconnection": True,
        "reconnectionDelay": 50,
        "login": {"token": account.token},
    }
    async with node_process("socketio_client.mjs", server.url, options) as client:
        await client.expect_type("event", event="auth:ok")
        expected: list[str] = []
        for cut in range(3):
            emits: list[dict[str, Any]] = []
            for number in range(4):
                expected.append(f"cut {cut} {number}")
                emits.append({"event": "message:send", "args": [{"content": expected[-1]}]})
            emits[-1] |= {"ack": True, "id": cut}
            await client.send("cut", emits=emits)
            await client.expect_type("disconnect")
            await client.expect_type("event", event="auth:ok")
            acknowledged = await client.expect_type("ack", id=cut)
            assert acknowledged["args"][0]["content"] == expected[-1]
            expected.append(f"between {cut}")
            content = {"content": expected[-1]}
            await client.send("emit", event="message:send", args=[content], ack=True, id="b")
            await client.expect_type("ack", id="b")
        refused = [m for m in client.inbox if m.get("event") in ("message:error", "auth:error")]
        assert refused == []
    assert await history(server, account) == expected


# The bounds by themselves.


def event(size: int) -> StrictPacket:
    text = json.dumps(["message:send", "x" * size])
    return StrictPacket(encoded_packet=f"2{text}")


async def test_an_address_and_the_process_have_bounds_beyond_those_of_a_connection() -> None:
    each = len(event(1000).text) + EVENT_BYTES
    budget = BufferBudget(100, 100_000, 60, address_size=3 * each, process_size=5 * each)
    held = {
        name: LoginBuffer(budget, name[0], lambda: None) for name in ("a1", "a2", "b1", "b2", "c1")
    }
    assert [held[name].put(event(1000)) for name in ("a1", "a2", "a1")] == [True] * 3
    assert not held["a2"].put(event(1000))  # the address is full, whichever connection asks
    assert [held[name].put(event(1000)) for name in ("b1", "b2")] == [True] * 2
    assert not held["c1"].put(event(1000))  # so is the process
    assert held["a1"].pop() is not None
    assert held["c1"].put(event(1000))
    for one in held.values():
        one.clear()
    assert not budget.used


async def test_small_events_are_not_nearly_free() -> None:
    held = LoginBuffer(BufferBudget(10**6, 10_000, 60), "a", lambda: None)
    number = 0
    while held.put(event(1)):
        number += 1
    assert number < 10_000 / EVENT_BYTES
    held.clear()
