"""One Engine.IO client: its transports, liveness, bounds and endings, over real sockets."""

import asyncio
import base64
import hashlib
import json
import os
import socket
from urllib.parse import urlsplit

import httpx
import pytest
import socketio
import websockets

from tests.compat.echo import (
    WAIT,
    Echo,
    closed,
    next_of,
    poller,
    received,
    serving,
    websocket,
    websocket_url,
)


@pytest.fixture(params=[True, False], ids=["direct", "queued"], autouse=True)
def _transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything over our own WebSocket protocol, and over one without its shorter ways."""
    monkeypatch.setattr("tests.compat.echo.DIRECT", request.param)


async def test_a_post_may_carry_thousands_of_packets_and_keeps_their_order() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        for count in (300, 5000):
            events = (f'42["note",{number}]' for number in range(count))
            assert await client.post(*events) == 200
            assert [await next_of(echo.notes) for _ in range(count)] == list(range(count))


async def test_a_burst_beyond_the_queue_closes_a_websocket_with_resume() -> None:
    async with serving(direct=False, queue_messages=50) as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        encoded = echo.encode_event("tick")
        assert [echo.push(sid, encoded) for _ in range(52)] == [True] * 50 + [False] * 2
        assert await closed(client) == (1013, "resume")
        assert await next_of(echo.left) == (sid, "slow reader")


async def test_the_queue_is_bounded_in_bytes_too() -> None:
    async with serving(direct=False, queue_bytes=10_000) as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        encoded = echo.encode_event("tick", "ä" * 2000)  # 4,000 bytes
        assert [echo.push(sid, encoded) for _ in range(3)] == [True, True, False]
        assert await closed(client) == (1013, "resume")


@pytest.mark.parametrize("waiting", [True, False])
async def test_an_overflow_answers_the_waiting_or_the_next_get_with_close(waiting: bool) -> None:
    async with serving(queue_messages=50) as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        if waiting:
            get = asyncio.create_task(client.get())
            await client.post('42["note",1]')  # a round trip: the GET before it is waiting
            await next_of(echo.notes)
        for _ in range(51):
            echo.push(sid, echo.encode_event("tick"))
        assert await (get if waiting else client.get()) == ["1"]
        assert (await client.ask()).status_code == 400


async def test_a_burst_over_polling_reaches_the_python_client() -> None:
    """It takes an answer of more than 16 packets for an attack, and is gone."""
    async with serving() as echo:
        heard: asyncio.Queue[int] = asyncio.Queue()
        client = socketio.AsyncClient(reconnection=False)
        client.on("tick", heard.put_nowait)
        await client.connect(echo.url.removesuffix("/socket.io/"), transports=["polling"])
        sid = await next_of(echo.arrived)
        for number in range(100):
            assert echo.push(sid, echo.encode_event("tick", number))
        assert [await next_of(heard) for _ in range(100)] == list(range(100))
        await client.disconnect()


async def silent_websocket(echo: Echo) -> socket.socket:
    """A websocket client, connected to the namespace, that never reads a byte more."""
    url = urlsplit(echo.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (url.hostname, url.port))
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {url.path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(client, request.encode())
    answer = await loop.sock_recv(client, 1000)
    accept = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert base64.b64encode(accept) in answer
    await loop.sock_sendall(client, b"\x81\x82\0\0\0\x0040")  # a masked text frame: "40"
    return client


async def test_a_reader_that_stopped_is_gone_in_bounded_time() -> None:
    async with serving() as echo:
        client = await silent_websocket(echo)
        sid = await next_of(echo.arrived)
        encoded = echo.encode_event("tick", "x" * 100_000)
        while echo.push(sid, encoded):
            await asyncio.wait_for(asyncio.sleep(0), WAIT)  # the writer's turn
        assert await next_of(echo.left) == (sid, "slow reader")
        await next_of(echo.lost)
        client.close()


async def test_a_peer_that_does_not_answer_the_close_frame_is_cut() -> None:
    async with serving() as echo:
        client = await silent_websocket(echo)
        sid = await next_of(echo.arrived)
        assert echo.push(sid, echo.encode_event("tick"))
        echo.drop(sid)
        await asyncio.wait_for(echo.lost.get(), 5)  # uvicorn alone waits twice as long
        client.close()


async def test_a_blocked_send_counts_as_a_stopped_reader() -> None:
    async with serving(send_timeout=0.3, queue_bytes=100_000_000) as echo:
        client = await silent_websocket(echo)
        sid = await next_of(echo.arrived)
        for _ in range(100):
            assert echo.push(sid, echo.encode_event("tick", "x" * 100_000))
            await asyncio.sleep(0)  # it must have gone before one can know that it is not read
        assert await next_of(echo.left) == (sid, "slow reader")
        await next_of(echo.lost)
        client.close()


async def test_a_slow_but_reading_client_gets_everything() -> None:
    async with serving(queue_bytes=100_000_000) as echo, websocket(echo) as client:
        sid = await next_of(echo.arrived)
        for number in range(100):
            echo.push(sid, echo.encode_event("tick", number, "x" * 100_000))
        for number in range(100):
            assert json.loads((await received(client))[2:])[1] == number


async def test_close_over_polling_ends_the_waiting_get_at_once() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        get = asyncio.create_task(client.get())
        assert await client.post('42["note",1]') == 200
        assert await client.post("1") == 200
        assert await get == ["6"]
        assert (await client.ask()).status_code == 400
        assert (await next_of(echo.left))[1] == "client disconnect"
        await echo.settled()


async def test_a_closed_websocket_leaves_nothing_behind() -> None:
    async with serving() as echo:
        async with websocket(echo):
            pass
        assert (await next_of(echo.left))[1] == "transport close"
        await echo.settled()
        async with websocket(echo) as client:
            client.transport.abort()
        assert (await next_of(echo.left))[1] == "transport close"
        await echo.settled()


async def test_two_gets_at_once_close_the_connection() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        gets = [asyncio.create_task(client.ask()) for _ in range(2)]
        answers = {(r.status_code, r.text) for r in await asyncio.gather(*gets)}
        assert answers == {(200, "1"), (400, "overlap")}


async def test_two_posts_at_once_close_the_connection() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        first = asyncio.create_task(client.post('42["login",1]', '42["note",2]'))
        assert await next_of(echo.notes) == 1
        assert await client.post('42["note",3]') == 400
        assert await first == 400
        assert (await client.ask()).status_code == 400
        assert echo.notes.empty()


async def test_a_get_whose_client_went_away_ends_the_connection_and_takes_nothing() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        with pytest.raises(httpx.ReadTimeout):
            await client.http.get(client.url, params=client.params, timeout=0.2)
        assert await next_of(echo.left) == (sid, "transport close")
        assert not echo.push(sid, echo.encode_event("tick"))


@pytest.mark.parametrize("polls", [True, False])
async def test_a_silent_polling_client_is_gone_after_interval_and_timeout(polls: bool) -> None:
    async with serving(ping_interval=0.2, ping_timeout=0.3) as echo, poller(echo) as client:
        await client.connect()
        assert client.opening["pingInterval"] == 200
        assert client.opening["pingTimeout"] == 300
        if polls:
            assert await client.get() == ["2"]
            assert await client.get() == ["1"]
        assert (await next_of(echo.left))[1] == "ping timeout"


async def test_pongs_keep_both_transports_alive() -> None:
    async with (
        serving(ping_interval=0.1, ping_timeout=0.2) as echo,
        poller(echo) as polling,
        websocket(echo) as client,
    ):
        await polling.connect()
        for _ in range(6):
            assert await polling.get() == ["2"]
            assert await polling.post("3") == 200
            assert await asyncio.wait_for(client.recv(), WAIT) == "2"
            await client.send("3")
        assert echo.left.empty()


async def test_a_silent_websocket_is_closed_after_interval_and_timeout() -> None:
    async with serving(ping_interval=0.1, ping_timeout=0.2) as echo, websocket(echo) as client:
        assert await client.recv() == "2"
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
        assert (await next_of(echo.left))[1] == "ping timeout"


async def test_a_pong_behind_an_event_that_waits_is_not_a_dead_client() -> None:
    async with serving(ping_interval=0.1, ping_timeout=0.2) as echo, websocket(echo) as client:
        await client.send('42["login",1]')
        assert await next_of(echo.notes) == 1
        assert await client.recv() == "2"
        await client.send("3")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(echo.left.get(), 0.6)
        echo.gate.set()
        await client.send('42["note",2]')
        assert await next_of(echo.notes) == 2


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_who_never_sends_connect_is_closed(transport: str) -> None:
    async with serving(connect_timeout=0.2) as echo, poller(echo) as client:
        if transport == "polling":
            await client.open()
            assert await client.get() == ["1"]
        else:
            async with websocket(echo, connect=False) as silent:
                assert await closed(silent) == (1008, "no CONNECT")
        await echo.settled()
        assert echo.left.empty()


async def test_who_sent_connect_in_time_may_stay() -> None:
    async with serving(connect_timeout=0.2) as echo, websocket(echo):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(echo.left.get(), 0.5)


async def test_the_upgrade_loses_and_reorders_nothing_under_traffic() -> None:
    async with serving(queue_messages=100_000) as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        numbers: list[int] = []
        stop = asyncio.Event()

        async def talk() -> int:
            number = 0
            while not stop.is_set():
                assert echo.push(sid, echo.encode_event("tick", number))
                number += 1
                await asyncio.sleep(0)
            return number

        def read(packets: list[str]) -> None:
            numbers.extend(json.loads(p[2:])[1] for p in packets if p.startswith("42"))

        talker = asyncio.create_task(talk())
        for _ in range(5):
            read(await client.get())
        async with websockets.connect(websocket_url(echo, client.params["sid"])) as upgraded:
            await upgraded.send("2probe")
            get = asyncio.create_task(client.get())
            assert await upgraded.recv() == "3probe"
            read(await get)
            read(await client.get())  # one more, as a client that was just about to poll
            await upgraded.send("5")
            while len(numbers) < 3000:
                read([await received(upgraded)])
            stop.set()
            while len(numbers) < await talker:
                read([await received(upgraded)])
            assert numbers == list(range(len(numbers)))
            assert (await client.ask()).status_code == 400
            assert await client.post('42["note",1]') == 400
            await upgraded.send('42["note",2]')
            assert await next_of(echo.notes) == 2


async def test_the_probe_ends_a_get_that_waits_for_nothing() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        get = asyncio.create_task(client.get())
        await client.post('42["note",1]')
        async with websockets.connect(websocket_url(echo, client.params["sid"])) as upgraded:
            await upgraded.send("2probe")
            assert await upgraded.recv() == "3probe"
            assert await get == ["6"]
            await upgraded.send("5")
            await upgraded.send('420["echo","x"]')
            assert await received(upgraded) == '430["x"]'


@pytest.mark.parametrize("packets", [["2"], ["2probe", "2probe"], ["2probe", '42["note",1]'], []])
async def test_a_failed_upgrade_leaves_polling_as_it_was(packets: list[str]) -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        async with websockets.connect(websocket_url(echo, client.params["sid"])) as upgraded:
            for packet in packets:
                await upgraded.send(packet)
        assert echo.push(sid, echo.encode_event("tick"))
        assert (await client.get())[-1] == '42["tick"]'
        get = asyncio.create_task(client.get())
        assert await client.post('421["echo"]') == 200
        assert await get == ["431[]"]
        assert echo.left.empty()


async def test_only_one_upgrade_at_a_time() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        url = websocket_url(echo, client.params["sid"])
        async with websockets.connect(url) as first, websockets.connect(url) as second:
            await first.send("2probe")
            assert await first.recv() == "3probe"
            with pytest.raises(websockets.ConnectionClosed):
                await second.recv()
            await first.send("5")
            await first.send('420["echo"]')
            assert await received(first) == "430[]"


async def test_an_end_during_the_upgrade_closes_both_transports() -> None:
    async with serving(queue_messages=10) as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        async with websockets.connect(websocket_url(echo, client.params["sid"])) as upgraded:
            await upgraded.send("2probe")
            assert await upgraded.recv() == "3probe"
            for _ in range(11):
                echo.push(sid, echo.encode_event("tick"))
            with pytest.raises(websockets.ConnectionClosed):
                await upgraded.recv()
            assert await client.get() == ["1"]
