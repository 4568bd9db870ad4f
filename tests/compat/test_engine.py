"""The Engine.IO server's doors: what is let in, what is refused, and draining."""

import asyncio
import json
from urllib.parse import urlsplit

import httpx
import pytest
import websockets

from tests.compat.echo import (
    WAIT,
    Poller,
    closed,
    next_of,
    poller,
    received,
    serving,
    websocket,
    websocket_url,
)


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("GET", "", 400),
        ("GET", "EIO=3&transport=polling", 400),
        ("GET", "EIO=4&transport=websocket", 400),
        ("GET", "EIO=4&transport=pigeon", 400),
        ("POST", "EIO=4&transport=polling", 400),
        ("GET", "EIO=4&transport=polling&sid=nobody", 400),
        ("POST", "EIO=4&transport=polling&sid=%ff", 400),
        ("PUT", "EIO=4&transport=polling", 400),
    ],
)
async def test_requests_that_are_no_engine_io_are_refused(
    method: str, query: str, status: int
) -> None:
    async with serving() as echo, httpx.AsyncClient() as http:
        response = await http.request(method, f"{echo.url}?{query}")
        assert response.status_code == status
        assert set(response.json()) == {"code", "message"}
        assert not echo.engine.sockets


async def test_a_websocket_that_is_no_engine_io_is_refused() -> None:
    async with serving() as echo:
        for url in (websocket_url(echo, "nobody"), websocket_url(echo).replace("EIO=4", "EIO=3")):
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(url)
            assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [("https://app.example", True), (None, True), ("same", True), ("https://evil.example", False)],
)
async def test_a_foreign_origin_is_refused_on_both_transports(
    origin: str | None, let_in: bool
) -> None:
    async with serving(origins=["https://app.example"]) as echo, poller(echo) as client:
        if origin == "same":
            origin = "http://" + urlsplit(echo.url).netloc
        headers = {"Origin": origin} if origin else {}
        answer = await client.ask(headers)
        assert answer.status_code == (200 if let_in else 403)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        if let_in:
            client.params["sid"] = json.loads(answer.text[1:])["sid"]
            async with websockets.connect(websocket_url(echo), additional_headers=headers):
                pass
        else:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(websocket_url(echo), additional_headers=headers)
            assert caught.value.response.status_code == 403


async def test_large_polling_answers_are_compressed_and_small_ones_are_not() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        for size, encoding in ((10, None), (10_000, "gzip")):
            echo.push(sid, echo.encode_event("tick", "x" * size))
            answer = await client.ask({"Accept-Encoding": "gzip"})
            assert answer.headers.get("content-encoding") == encoding
            assert answer.text == f'42["tick","{"x" * size}"]'


async def test_a_polling_answer_stays_near_the_largest_payload() -> None:
    async with serving(max_payload=1000) as echo, poller(echo) as client:
        await client.connect()
        sid = await next_of(echo.arrived)
        for number in range(10):
            echo.push(sid, echo.encode_event("tick", number, "x" * 400))
        sizes: list[int] = []
        while sum(sizes) < 10:
            sizes.append(len(await client.get()))
        assert sizes == [3, 3, 3, 1]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_payload_over_the_limit_closes_only_its_sender(transport: str) -> None:
    async with serving(max_payload=1000) as echo, websocket(echo) as other:
        if transport == "polling":
            async with poller(echo) as client:
                await client.connect()
                assert await client.post(f'42["note","{"x" * 1000}"]') == 413
                assert await client.get() == ["1"]
        else:
            async with websocket(echo) as sender:
                await sender.send(f'42["note","{"x" * 1000}"]')
                assert await closed(sender) == (1009, "too large")
        await other.send('427["echo","here"]')
        assert await received(other) == '437["here"]'
        assert echo.notes.empty()


@pytest.mark.parametrize("announced", ["5", "500"])
async def test_a_content_length_that_lies_costs_only_its_sender(announced: str) -> None:
    async with serving(ping_timeout=0.3) as echo, poller(echo) as client:
        await client.connect()
        url = urlsplit(str(httpx.URL(client.url, params=client.params)))
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"POST {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n"
        writer.write(head.encode() + b'\r\n42["note",1]')
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), WAIT)
        assert b" 400 " in answer
        writer.close()
        assert (await next_of(echo.left))[1] == "parse error"
        assert echo.notes.empty()
        # What is beyond the announced length is a broken request to uvicorn, which says so.
        assert echo.complaints in ([], ["Invalid HTTP request received."])
        echo.complaints.clear()


async def test_a_post_cut_short_ends_the_connection() -> None:
    async with serving() as echo, poller(echo) as client:
        await client.connect()
        url = urlsplit(str(httpx.URL(client.url, params=client.params)))
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"POST {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
        writer.write(head.encode() + b'42["note",1]')
        await writer.drain()
        writer.close()
        assert (await next_of(echo.left))[1] == "parse error"


async def drained(client: Poller) -> list[str]:
    """What polling still says, up to and with CLOSE."""
    packets: list[str] = []
    while "1" not in packets:
        packets += await client.get()
    return packets


async def test_drain_waits_for_handlers_tells_everyone_and_lets_nobody_in() -> None:
    async with serving() as echo, poller(echo) as polling, poller(echo) as late:
        async with websocket(echo) as client:
            await polling.connect()
            await client.send('425["wait","x"]')
            assert await next_of(echo.notes) == "x"
            drain = asyncio.create_task(echo.drain(WAIT))
            get = asyncio.create_task(drained(polling))
            await client.send('42["note","too late"]')
            assert (await late.ask()).status_code == 503
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(websocket_url(echo))
            assert caught.value.response.status_code == 403
            assert not drain.done()
            echo.gate.set()
            assert await received(client) == '435["x"]'
            assert await closed(client) == (1012, "restart")
            assert await get == ["1"]
            await asyncio.wait_for(drain, WAIT)
            assert echo.notes.empty()
        await echo.settled()


async def test_drain_does_not_wait_longer_than_told() -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send('42["wait","x"]')
        await next_of(echo.notes)
        await asyncio.wait_for(echo.drain(0.2), WAIT)
        assert await closed(client) == (1012, "restart")
        assert echo.running == 1
