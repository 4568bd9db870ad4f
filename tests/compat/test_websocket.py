"""The websocket of an Engine.IO client: when it needs a writer of its own, and when not."""

import asyncio
import json
from typing import Any

import websockets

from compat.socketio.packets import EncodedEvent
from tests.compat.echo import (
    WAIT,
    Echo,
    closed,
    next_of,
    received,
    serving,
    websocket,
    websocket_url,
)

LARGE = "x" * 100_000


def names_of_tasks() -> list[str]:
    return [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]  # tasks of coroutines only


def writers() -> int:
    return names_of_tasks().count("Websocket._write")


async def stalled(echo: Echo) -> tuple[websockets.ClientConnection, str, int]:
    """A client that reads again once it is asked to, and how many events were sent to it until
    there was no room for them between it and us."""
    client = await websockets.connect(
        websocket_url(echo), ping_interval=None, max_size=None, max_queue=1
    )
    await client.send("40")
    for start in ("0", "40", "42"):
        assert (await received(client)).startswith(start)
    sid = await next_of(echo.arrived)
    number = 0
    async with asyncio.timeout(WAIT):
        while not writers():
            assert echo.push(sid, echo.encode_event("tick", number, LARGE))
            number += 1
            await asyncio.sleep(0)
    return client, sid, number


async def ticks(client: websockets.ClientConnection, count: int) -> list[int]:
    return [json.loads((await received(client))[2:])[1] for _ in range(count)]


async def gone(echo: Echo) -> tuple[str, str]:
    left: tuple[str, str] = await next_of(echo.left)
    await next_of(echo.lost)
    return left


async def test_an_idle_websocket_has_one_task() -> None:
    async with serving() as echo:
        before = names_of_tasks()
        async with websocket(echo) as client:
            await client.send('420["echo"]')
            assert await received(client) == "430[]"
            ours = [name for name in names_of_tasks() if name not in before]
            assert [name for name in ours if "ebsocket" in name or "run_asgi" in name] == [
                next(name for name in ours if name.endswith("run_asgi"))
            ]
            assert not writers()


async def test_what_waits_behind_a_stalled_reader_comes_in_order_then_no_task_is_left() -> None:
    async with serving() as echo:
        client, sid, number = await stalled(echo)
        for extra in range(5):
            assert echo.push(sid, echo.encode_event("tick", number + extra))
        assert writers() == 1
        assert await ticks(client, number + 5) == list(range(number + 5))
        await client.send('420["echo","here"]')
        assert await received(client) == '430["here"]'
        assert not writers()
        assert echo.push(sid, echo.encode_event("tick", 0))
        assert not writers()
        assert await ticks(client, 1) == [0]
        await client.close()


async def test_a_stalled_reader_is_ended_when_its_queue_is_full() -> None:
    async with serving(queue_messages=20) as echo:
        client, sid, _ = await stalled(echo)
        encoded = echo.encode_event("tick", 0)
        pushed = [echo.push(sid, encoded) for _ in range(30)]
        assert pushed == sorted(pushed, reverse=True)
        assert 0 < pushed.count(True) <= 20
        assert await gone(echo) == (sid, "slow reader")
        await client.close()


async def test_a_stalled_reader_is_ended_when_a_send_takes_too_long() -> None:
    async with serving(send_timeout=0.3) as echo:
        client, sid, _ = await stalled(echo)
        assert await gone(echo) == (sid, "slow reader")
        await client.close()


async def test_what_waits_is_sent_before_the_farewell_to_who_reads_again() -> None:
    async with serving() as echo:
        client, sid, number = await stalled(echo)
        echo.push(sid, echo.encode_event("tick", number))
        echo.drop(sid)
        assert not echo.push(sid, echo.encode_event("tick", number + 1))
        assert await ticks(client, number + 1) == list(range(number + 1))
        assert await closed(client) == (1013, "resume")
        assert (await next_of(echo.left)) == (sid, "dropped")


async def test_what_was_just_written_is_sent_before_the_farewell() -> None:
    async with serving() as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        assert all(echo.push(sid, echo.encode_event("tick", number)) for number in range(100))
        echo.refuse(sid)
        assert await ticks(client, 100) == list(range(100))
        assert await received(client) == "41"
        assert await closed(client) == (1000, "")


async def test_binary_and_text_keep_their_order() -> None:
    async with serving() as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        for number in range(3):
            echo.push(sid, echo.encode_event("text", number))
            echo.push(sid, echo.encode_event("binary", bytes([number])))
        got: list[Any] = [await asyncio.wait_for(client.recv(), WAIT) for _ in range(9)]
        assert got == [
            frame
            for number in range(3)
            for frame in (
                f'42["text",{number}]',
                '451-["binary",{"_placeholder":true,"num":0}]',
                bytes([number]),
            )
        ]
        assert not writers()


async def test_an_end_stops_a_reader_that_waits_for_a_handler() -> None:
    async with serving() as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        await client.send('42["login",1]')
        await client.send('42["note",2]')
        assert await next_of(echo.notes) == 1
        echo.drop(sid)
        assert await closed(client) == (1013, "resume")
        echo.gate.set()
        assert await gone(echo) == (sid, "dropped")
        assert echo.notes.empty()
        await echo.settled()


async def test_who_cancels_the_serving_task_ends_it_and_the_connection() -> None:
    async with serving() as echo:
        before = asyncio.all_tasks()
        async with websocket(echo):
            sid = await next_of(echo.arrived)
            (serving_it,) = (
                task
                for task in asyncio.all_tasks() - before
                if task.get_coro().__qualname__.endswith("run_asgi")  # type: ignore[union-attr]  # a coroutine's
            )
            serving_it.cancel()
            assert await next_of(echo.left) == (sid, "transport close")
            await asyncio.wait({serving_it}, timeout=WAIT)
            assert serving_it.done()
        echo.complaints.clear()  # uvicorn's, of the cancelled task


async def test_a_peer_that_is_gone_while_something_waits_leaves_nothing() -> None:
    async with serving() as echo:
        client, sid, _ = await stalled(echo)
        echo.push(sid, EncodedEvent.of("2"))
        client.transport.abort()
        assert (await gone(echo))[0] == sid
        await echo.settled()
        assert not writers()
