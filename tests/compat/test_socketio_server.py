"""The Socket.IO layer: connecting, order, acknowledgements, pushing, refusing."""

import asyncio
from typing import Any

import pytest
import socketio
import websockets
from starlette.applications import Starlette

from tests.compat.echo import (
    WAIT,
    Echo,
    next_of,
    poller,
    received,
    serving,
    websocket,
    websocket_url,
)


def library_client() -> Any:
    return socketio.AsyncClient(reconnection=False)


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_the_librarys_client_connects_calls_and_hears(transports: list[str]) -> None:
    async with serving() as echo:
        client = library_client()
        heard: asyncio.Queue[Any] = asyncio.Queue()
        client.on("tick", lambda *args: heard.put_nowait(args))
        await client.connect(echo.url, transports=transports, auth={"token": "x"})
        sid = await next_of(echo.arrived)
        assert client.get_sid() == sid
        assert client.transport() == echo.transport(sid) == transports[-1]
        sent = ("ä", {"b": [1, 2.5, None]})
        assert await client.call("echo", sent, timeout=WAIT) == sent
        assert await client.call("echo", b"\0\1", timeout=WAIT) == b"\0\1"
        echo.tell("tick", 1, {"two": b"\2"}, to=sid)
        assert await next_of(heard) == (1, {"two": b"\2"})
        await client.disconnect()
        left, reason = await next_of(echo.left)
        assert left == sid
        # It may close before it says so.
        assert reason in ("client namespace disconnect", "client disconnect", "transport close")
        await echo.settled()


async def test_an_unknown_namespace_is_named_in_an_error_object() -> None:
    async with serving() as echo, websocket(echo, connect=False) as client:
        await client.send('40/admin,{"token":"x"}')
        assert await received(client) == '44/admin,{"message":"Invalid namespace"}'
        await client.send("40")
        assert (await received(client)).startswith("40{")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_events_start_in_order_and_at_most_so_many_run(transport: str) -> None:
    async with serving(in_flight=3) as echo, websocket(echo) as client, poller(echo) as polling:
        events = [f'42["wait",{number}]' for number in range(10)]
        if transport == "polling":
            await polling.connect()
            post = asyncio.create_task(polling.post(*events))
        else:
            for event in events:
                await client.send(event)
        assert [await next_of(echo.notes) for _ in range(3)] == [0, 1, 2]
        async with websocket(echo) as other:  # which has slots of its own
            await other.send('420["echo"]')
            assert await received(other) == "430[]"
        assert echo.running == 3
        assert echo.notes.empty()
        echo.gate.set()
        assert [await next_of(echo.notes) for _ in range(7)] == list(range(3, 10))
        if transport == "polling":
            assert await post == 200


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_answers_to_a_burst_do_not_overflow_its_sender(transport: str) -> None:
    async with serving(queue_messages=200) as echo, websocket(echo) as client:
        answers = {f"43{number}[]" for number in range(3000)}
        events = [f'42{number}["echo"]' for number in range(3000)]
        if transport == "polling":
            async with poller(echo) as polling:
                await polling.connect()
                post = asyncio.create_task(polling.post(*events))
                while answers:
                    answers -= set(await polling.get())
                assert await post == 200
                assert echo.left.empty()
        else:
            sender = asyncio.create_task(send_all(client, events))
            while answers:
                answers.remove(await received(client))
            await sender
            assert echo.left.empty()


async def send_all(client: websockets.ClientConnection, events: list[str]) -> None:
    for event in events:
        await client.send(event)


async def test_a_sender_that_does_not_read_its_answers_is_gone_in_bounded_time() -> None:
    async with (
        serving(queue_messages=200, ping_interval=0.2, ping_timeout=0.3) as echo,
        poller(echo) as client,
    ):
        await client.connect()
        assert await client.post(*[f'42{number}["echo"]' for number in range(3000)]) == 200
        assert (await next_of(echo.left))[1] in ("ping timeout", "slow reader")


async def test_an_exclusive_event_ends_before_the_next_one_starts() -> None:
    async with serving() as echo, websocket(echo) as client:
        for event in ('42["note",1]', '421["login",2]', '42["note",3]', '422["echo",4]'):
            await client.send(event)
        assert [await next_of(echo.notes) for _ in range(2)] == [1, 2]
        async with websocket(echo) as other:
            await other.send('420["echo"]')
            assert await received(other) == "430[]"
        assert echo.notes.empty()
        echo.gate.set()
        assert await next_of(echo.notes) == 3
        assert [await received(client) for _ in range(2)] == ["431[]", "432[4]"]


async def test_acknowledgements_carry_what_the_handler_returned() -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send('421["note",1]')
        assert await received(client) == "431[]"
        await client.send('422["echo",1,[2]]')
        assert await received(client) == "432[1,[2]]"
        await client.send('42["echo","nobody waits"]')
        await client.send('423["unheard of"]')
        await client.send('424["echo"]')
        assert await received(client) == "434[]"


async def test_a_failing_handler_is_acknowledged_by_the_hook() -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send('425["fail"]')
        assert await received(client) == '435[{"error":"LookupError","event":"fail"}]'
        await client.send('426["fail","too many arguments"]')
        assert await received(client) == '436[{"error":"TypeError","event":"fail"}]'


@pytest.mark.parametrize("event", ["wait", "login"])
async def test_a_connection_that_ends_leaves_its_handlers_running(event: str) -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send(f'421["{event}","x"]')
        await next_of(echo.notes)
        sid = await next_of(echo.arrived)
        echo.refuse(sid)
        assert await next_of(echo.left) == (sid, "server disconnect")
        assert echo.running == 1
        echo.gate.set()
        await asyncio.wait_for(asyncio.gather(*echo._running), WAIT)
        assert echo.running == 0


async def test_a_push_reaches_one_client_and_is_false_when_it_left() -> None:
    async with serving() as echo:
        encoded = echo.encode_event("tick", {"id": 1}, [2])
        async with websocket(echo) as client, websocket(echo) as other:
            sid = await next_of(echo.arrived)
            assert echo.push(sid, encoded)
            assert await received(client) == '42["tick",{"id":1},[2]]'
            await other.send('420["echo"]')
            assert await received(other) == "430[]"
        await next_of(echo.left)
        await next_of(echo.left)
        assert not echo.push(sid, encoded)


async def test_an_encoded_event_reaches_both_transports_alike() -> None:
    async with serving() as echo, websocket(echo) as client, poller(echo) as polling:
        await polling.connect()
        encoded = echo.encode_event("tick", b"\0")
        for _ in range(2):
            assert echo.push(await next_of(echo.arrived), encoded)
        text = '451-["tick",{"_placeholder":true,"num":0}]'
        assert await polling.get() == [text, "bAA=="]
        assert [await client.recv(), await client.recv()] == [text, b"\0"]


async def test_a_push_makes_no_task() -> None:
    async with serving() as echo, websocket(echo) as first, websocket(echo) as second:
        tasks = asyncio.all_tasks()
        echo.tell("tick")
        assert asyncio.all_tasks() == tasks
        for client in (first, second):
            assert await received(client) == '42["tick"]'


async def test_a_refused_websocket_gets_what_was_queued_then_disconnect() -> None:
    async with serving() as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        echo.push(sid, echo.encode_event("auth:error", "Invalid token"))
        echo.refuse(sid)
        assert await received(client) == '42["auth:error","Invalid token"]'
        assert await received(client) == "41"
        with pytest.raises(websockets.ConnectionClosed):
            await received(client)
        assert await next_of(echo.left) == (sid, "server disconnect")
        echo.refuse(sid)


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_refused_polling_client_gets_the_same(waiting: bool) -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        if waiting:
            get = asyncio.create_task(client.get())
            await client.post('42["note",1]')
        # The handler refuses while its POST is under way: that must not fail, or the client
        # would give up its GET.
        assert await client.post('42["leave"]', '42["note",2]') == 200
        packets = await (get if waiting else client.get())
        assert packets == ['42["auth:error","Invalid token"]', "41"]
        assert await client.get() == ["1"]
        assert (await next_of(echo.left))[1] == "server disconnect"


async def test_the_librarys_client_hears_why_it_was_refused() -> None:
    async with serving() as echo:
        for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
            client = library_client()
            heard: asyncio.Queue[Any] = asyncio.Queue()
            client.on("auth:error", heard.put_nowait)
            client.on("disconnect", heard.put_nowait)
            await client.connect(echo.url, transports=transports)
            await client.emit("leave")
            assert await next_of(heard) == "Invalid token"
            assert await next_of(heard) == client.reason.SERVER_DISCONNECT
            await asyncio.wait_for(client.wait(), WAIT)


async def test_the_clients_address_is_the_peers() -> None:
    async with serving() as echo:
        async with websockets.connect(websocket_url(echo), local_addr=("127.0.0.2", 0)) as client:
            await client.send("40")
            sid = await next_of(echo.arrived)
            assert echo.addresses[sid] == "127.0.0.2"
        await next_of(echo.left)
        await echo.settled()


async def test_it_mounts_in_starlette_and_two_do_not_share_anything() -> None:
    async with serving() as echo, serving() as other, websocket(echo) as client:
        other.tell("tick")
        await client.send('420["echo"]')
        assert await received(client) == "430[]"
    app = Starlette()
    app.mount("/socket.io", Echo(origins=frozenset()))
    assert app.routes


def test_the_librarys_own_json_is_left_alone() -> None:
    Echo()
    assert socketio.packet.Packet.json.__name__ == "engineio.json"
