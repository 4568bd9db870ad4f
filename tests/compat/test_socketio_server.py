"""The Socket.IO layer: connecting, order, acknowledgements, pushing, refusing."""

import asyncio
from typing import Any

import pytest
import socketio
import websockets
from starlette.applications import Starlette

from compat.socketio.server import SocketServer
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
async def test_the_librarys_client_connects_calls_and_is_called(transports: list[str]) -> None:
    async with serving() as echo:
        client = library_client()
        heard: asyncio.Queue[Any] = asyncio.Queue()
        client.on("tick", lambda *args: heard.put_nowait(args))
        client.on("ask", lambda question: f"{question}!")
        await client.connect(echo.url, transports=transports, auth={"token": "x"})
        sid = await next_of(echo.arrived)
        assert client.get_sid() == sid
        assert client.transport() == echo.transport(sid) == transports[-1]
        sent = ("ä", {"b": [1, 2.5, None]})
        assert await client.call("echo", sent, timeout=WAIT) == sent
        assert await client.call("echo", b"\0\1", timeout=WAIT) == b"\0\1"
        assert await echo.call("ask", "why", to=sid, timeout=WAIT) == "why!"
        await echo.emit("tick", (1, {"two": b"\2"}), to=sid)
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


async def test_what_the_connect_handler_emits_comes_after_connect() -> None:
    async with serving() as echo, websocket(echo, connect=False) as client:
        await client.send('40{"wait":true}')
        assert await next_of(echo.notes) == "connecting"
        await echo.emit("everyone")  # it is in the room of all already
        echo.gate.set()
        packets = [await received(client) for _ in range(3)]
        assert packets[0].startswith("40{")
        assert packets[1:] == ['42["everyone"]', '42["welcome"]']


async def test_what_waits_for_connect_is_bounded_too() -> None:
    async with serving(queue_messages=5) as echo, websocket(echo, connect=False) as client:
        await client.send('40{"wait":true}')
        await next_of(echo.notes)
        for _ in range(6):
            await echo.emit("everyone")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await received(client)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1013
        echo.gate.set()
        # It was let in while it left: the application hears of both.
        sid = await next_of(echo.arrived)
        assert await next_of(echo.left) == (sid, "slow reader")


async def test_a_refused_client_is_told_and_may_try_again() -> None:
    async with serving() as echo, websocket(echo, connect=False) as client:
        await client.send('40{"stranger":true}')
        assert await received(client) == '44{"message":"Connection rejected by server"}'
        assert not echo.push(await next_of(echo.arrived), echo.encode_event("tick"))
        await client.send("40")
        assert (await received(client)).startswith("40{")
        assert echo.left.empty()


async def test_a_connect_handler_that_fails_refuses() -> None:
    async with serving() as echo:

        async def fail(*_: object) -> None:
            raise LookupError("on purpose")

        echo.on("connect", fail)
        async with websocket(echo, connect=False) as client:
            await client.send("40")
            assert await received(client) == '44{"message":"Connection rejected by server"}'
        assert echo.complaints == ["connect handler failed"]
        echo.complaints.clear()


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


async def test_a_failing_handler_is_logged_and_acknowledged_by_the_hook() -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send('425["fail"]')
        assert await received(client) == '435[{"error":"LookupError","event":"fail"}]'
        await client.send('426["fail","too many arguments"]')
        assert await received(client) == '436[{"error":"TypeError","event":"fail"}]'
        assert echo.complaints == ["handler of fail failed"] * 2
        echo.complaints.clear()


@pytest.mark.parametrize("event", ["wait", "login"])
async def test_a_connection_that_ends_leaves_its_handlers_running(event: str) -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send(f'421["{event}","x"]')
        await next_of(echo.notes)
        sid = await next_of(echo.arrived)
        await echo.refuse(sid)
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
        assert not echo.push("nobody", encoded)


async def test_an_encoded_event_reaches_both_transports_alike() -> None:
    async with serving() as echo, websocket(echo) as client, poller(echo) as polling:
        await polling.connect()
        encoded = echo.encode_event("tick", b"\0")
        for _ in range(2):
            assert echo.push(await next_of(echo.arrived), encoded)
        text = '451-["tick",{"_placeholder":true,"num":0}]'
        assert await polling.get() == [text, "bAA=="]
        assert [await client.recv(), await client.recv()] == [text, b"\0"]


async def test_emit_to_rooms_makes_no_task_and_never_waits() -> None:
    async with (
        serving() as echo,
        websocket(echo) as first,
        websocket(echo) as second,
        websocket(echo) as third,
    ):
        sids = [await next_of(echo.arrived) for _ in range(3)]
        for sid in sids[:2]:
            await echo.enter_room(sid, "room")
        assert set(echo.rooms(sids[0])) == {sids[0], "room"}
        tasks = asyncio.all_tasks()
        for arguments in ({"room": "room"}, {"skip_sid": sids[0]}):
            with pytest.raises(StopIteration):
                echo.emit("tick", **arguments).send(None)
        assert asyncio.all_tasks() == tasks
        await echo.leave_room(sids[1], "room")
        await echo.emit("last", to="room")
        await echo.emit("end")
        heard: list[list[str]] = []
        for client in (first, second, third):
            heard.append([])
            while '42["end"]' not in heard[-1]:
                heard[-1].append(await received(client))
        tick, last, end = '42["tick"]', '42["last"]', '42["end"]'
        assert heard == [[tick, last, end], [tick, tick, end], [tick, end]]


async def test_rooms_are_left_closed_and_forgotten_and_nobody_enters_anothers_own() -> None:
    async with serving() as echo, websocket(echo) as first, websocket(echo) as second:
        one, other = [await next_of(echo.arrived) for _ in range(2)]
        for sid, room in ((one, "a"), (one, "b"), (other, "a")):
            await echo.enter_room(sid, room)
        await echo.leave_room(one, "b")
        await echo.leave_room(other, "b")  # where it is not
        assert (set(echo.rooms(one)), set(echo.rooms(other))) == ({one, "a"}, {other, "a"})
        await echo.emit("both", room=["a", "b", one])
        for client in (first, second):
            assert await received(client) == '42["both"]'
        with pytest.raises(ValueError, match="sid room"):
            await echo.enter_room(one, other)
        with pytest.raises(ValueError, match="sid room"):
            await echo.close_room(one)
        with pytest.raises(ValueError, match="not connected"):
            await echo.enter_room("nobody", "a")
        await echo.emit("own", to=other)
        assert await received(second) == '42["own"]'
        await echo.close_room("a")
        await echo.enter_room(one, "c")
        await echo.emit("nobody", room="a")
        await echo.emit("elsewhere", room="c", namespace="/other")
        await echo.emit("end")
        for client in (first, second):
            assert await received(client) == '42["end"]'
        assert echo.rooms(other) == [other]
    # and `serving` sees that nothing of them is left


@pytest.mark.parametrize("how", ["refuse", "disconnect"])
async def test_a_refused_websocket_gets_what_was_queued_then_disconnect(how: str) -> None:
    async with serving() as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        echo.push(sid, echo.encode_event("auth:error", "Invalid token"))
        await getattr(echo, how)(sid)
        assert await received(client) == '42["auth:error","Invalid token"]'
        assert await received(client) == "41"
        with pytest.raises(websockets.ConnectionClosed):
            await received(client)
        assert await next_of(echo.left) == (sid, "server disconnect")
        await echo.refuse(sid)
        await echo.refuse("nobody")


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


async def test_sessions_of_the_library_work_until_disconnect_is_over() -> None:
    async with serving() as echo:
        found: asyncio.Queue[Any] = asyncio.Queue()

        async def disconnect(sid: str, reason: str) -> None:
            found.put_nowait(await echo.get_session(sid))

        echo.on("disconnect", disconnect)
        async with websocket(echo):
            await echo.save_session(await next_of(echo.arrived), {"user": 1})
        assert await next_of(found) == {"user": 1}


async def test_it_mounts_in_starlette_and_two_do_not_share_anything() -> None:
    async with serving() as echo, serving() as other, websocket(echo) as client:
        await other.emit("tick")
        await client.send('420["echo"]')
        assert await received(client) == "430[]"
    app = Starlette()
    app.mount("/socket.io", SocketServer(origins=["*"]))
    assert app.routes


def test_the_librarys_own_json_is_left_alone() -> None:
    Echo()
    assert socketio.packet.Packet.json.__name__ == "engineio.json"
