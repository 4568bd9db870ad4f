"""What the protocols' own test suites check, on both transports.

After the facts of engine.io-protocol (version 4) and socket.io-protocol (version 5), `test-suite/`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from compat.socketio.client import Socket
from tests.compat.echo import WAIT, Echo, Poller, poller, serving, websocket_url

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2
OPENING = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


class Suite(Echo):
    """The application that the suites are run against, in the default namespace."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.on("message", self.on_text)
        self.on("message-with-ack", self.on_echo)

    def welcome(self, sid: str, auth: object) -> None:
        self.tell("auth", auth or {}, to=sid)

    def on_text(self, socket: Socket, *args: Any) -> None:
        self.tell("message-back", *args, to=socket.sid)


@asynccontextmanager
async def suite() -> AsyncIterator[Echo]:
    options: dict[str, Any] = {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT}
    async with serving(kind=Suite, **options) as server:
        yield server


@asynccontextmanager
async def open_websocket(server: Echo, sid: str = "") -> AsyncIterator[websockets.ClientConnection]:
    async with websockets.connect(websocket_url(server, sid), ping_interval=None) as client:
        yield client


async def read(client: websockets.ClientConnection) -> str | bytes:
    """The next packet that is no ping."""
    while (frame := await asyncio.wait_for(client.recv(), WAIT)) == "2":
        await client.send("3")
    return frame


async def read_to_the_end(client: websockets.ClientConnection) -> None:
    """Return once the server has closed it."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(WAIT):
            async for _ in client:
                pass
    assert client.close_code is not None


@asynccontextmanager
async def connected(server: Echo) -> AsyncIterator[websockets.ClientConnection]:
    """A client of the default namespace."""
    async with open_websocket(server) as client:
        assert str(await read(client)).startswith("0")
        await client.send("40")
        assert str(await read(client)).startswith("40")
        assert await read(client) == '42["auth",{}]'
        yield client


# Engine.IO: handshake.


async def test_polling_opens_a_session() -> None:
    async with suite() as server, poller(server) as client:
        answer = await client.ask()
        assert answer.status_code == 200
        assert answer.text[0] == "0"
        opening = json.loads(answer.text[1:])
        assert opening.keys() == OPENING
        assert isinstance(opening["sid"], str)
        assert opening["upgrades"] == ["websocket"]
        assert (opening["pingInterval"], opening["pingTimeout"]) == (300, 200)
        assert opening["maxPayload"] == 1_000_000


async def test_a_websocket_opens_a_session() -> None:
    async with suite() as server, open_websocket(server) as client:
        text = str(await client.recv())
        opening = json.loads(text.removeprefix("0"))
        assert opening.keys() == OPENING
        assert opening["upgrades"] == []


BAD_QUERIES = ["transport={}", "EIO=abc&transport={}", "EIO=3&transport={}", "EIO=4&transport=abc"]


@pytest.mark.parametrize("query", [*BAD_QUERIES, "EIO=4"])
async def test_a_wrong_version_or_transport_is_refused(query: str) -> None:
    async with suite() as server, httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}?{query.format('polling')}")
        assert answer.status_code == 400
        url = f"{server.url.replace('http', 'ws', 1)}?{query.format('websocket')}"
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(url)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_only_get_opens_a_session(method: str) -> None:
    async with suite() as server, httpx.AsyncClient() as http:
        answer = await http.request(method, f"{server.url}?EIO=4&transport=polling")
        assert answer.status_code == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_session_is_refused(method: str) -> None:
    async with suite() as server, httpx.AsyncClient() as http:
        url = f"{server.url}?EIO=4&transport=polling&sid=nobody"
        assert (await http.request(method, url)).status_code == 400
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(websocket_url(server, "nobody"))


# Engine.IO: packets.


@pytest.mark.parametrize("body", [b"abc", b"", b"9", b"2", b"0", b"7x", b"\xff", b"40\x1eabc"])
async def test_a_bad_packet_in_a_post_is_answered_400_and_ends_the_session(body: bytes) -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        assert await client.post_body(body) == 400
        assert (await client.ask()).status_code == 400


async def test_a_bad_packet_answers_the_get_that_waits_with_close() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        get = asyncio.create_task(client.get())
        await asyncio.sleep(0.05)  # it waits: the server does not say so
        assert await client.post("abc") == 400
        assert await get == ["1"]
        assert (await client.ask()).status_code == 400


@pytest.mark.parametrize("frame", ["abc", "", "9", "2", b"\1\2", "4abc"])
async def test_a_bad_packet_closes_a_websocket(frame: str | bytes) -> None:
    async with suite() as server, open_websocket(server) as client:
        await client.recv()
        await client.send(frame)
        await read_to_the_end(client)


async def test_two_gets_at_once_end_the_session() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        first = asyncio.create_task(client.ask())
        await asyncio.sleep(0.05)
        second = await client.ask()
        assert second.status_code == 400
        assert ((await first).status_code, (await first).text) == (200, "1")
        assert (await client.ask()).status_code == 400


# Engine.IO: heartbeat.


async def test_polling_is_pinged() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        for _ in range(3):
            assert await client.get() == ["2"]
            assert await client.post("3") == 200


async def test_a_websocket_is_pinged() -> None:
    async with suite() as server, open_websocket(server) as client:
        await client.recv()
        for _ in range(3):
            assert await asyncio.wait_for(client.recv(), WAIT) == "2"
            await client.send("3")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_session_over_polling_ends_with_its_ping_timeout(method: str) -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        await asyncio.sleep(PING_INTERVAL + PING_TIMEOUT)  # not a moment more
        if method == "GET":
            assert (await client.ask()).status_code == 400
        else:
            assert await client.post("3") == 400


async def test_a_get_that_waits_is_answered_at_the_ping_timeout() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        assert await client.get() == ["2"]
        assert await client.get() == ["1"]
        assert (await client.ask()).status_code == 400


async def test_a_websocket_that_answers_no_ping_is_closed() -> None:
    async with suite() as server, open_websocket(server) as client:
        await read_to_the_end(client)


# Engine.IO: close and upgrade.


async def test_close_over_polling_answers_the_get_that_waits_with_noop() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        get = asyncio.create_task(client.get())
        await asyncio.sleep(0.05)
        assert await client.post("1") == 200
        assert await get == ["6"]
        assert (await client.ask()).status_code == 400


async def test_close_over_a_websocket_closes_it() -> None:
    async with suite() as server, open_websocket(server) as client:
        await client.recv()
        await client.send("1")
        await read_to_the_end(client)


async def upgrade(client: Poller, websocket: websockets.ClientConnection) -> None:
    await websocket.send("2probe")
    assert await websocket.recv() == "3probe"
    assert await client.get() == ["6"]
    await websocket.send("5")
    await websocket.send("40")
    assert str(await read(websocket)).startswith("40")
    assert await read(websocket) == '42["auth",{}]'


async def test_polling_moves_to_a_websocket() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        async with open_websocket(server, client.params["sid"]) as websocket:
            await upgrade(client, websocket)


async def test_after_the_upgrade_the_session_has_neither_polling_nor_another_websocket() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        sid = client.params["sid"]
        async with open_websocket(server, sid) as websocket:
            await upgrade(client, websocket)
            assert (await client.ask()).status_code == 400
            assert await client.post('42["message"]') == 400
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(websocket_url(server, sid))
            await websocket.send('42["message","still here"]')
            assert await read(websocket) == '42["message-back","still here"]'


async def test_a_wrong_probe_leaves_polling_as_it_was() -> None:
    async with suite() as server, poller(server) as client:
        await client.open()
        async with open_websocket(server, client.params["sid"]) as websocket:
            await websocket.send("2wrong")
            await read_to_the_end(websocket)
        assert await client.post("40") == 200
        assert (await client.get())[-1] == '42["auth",{}]'


# Socket.IO: connect and disconnect.


@pytest.mark.parametrize(("payload", "auth"), [("", {}), ('{"token":"123"}', {"token": "123"})])
async def test_the_default_namespace_takes_a_payload_or_none(
    payload: str, auth: dict[str, str]
) -> None:
    told = f'42["auth",{json.dumps(auth, separators=(",", ":"))}]'
    async with suite() as server, open_websocket(server) as client, poller(server) as polling:
        await client.recv()
        await client.send("40" + payload)
        answer = json.loads(str(await read(client)).removeprefix("40"))
        assert [*answer] == ["sid"]
        assert isinstance(answer["sid"], str)
        assert await read(client) == told
        await polling.open()
        assert await polling.post("40" + payload) == 200
        connect, heard = await polling.get()
        assert json.loads(connect.removeprefix("40")).keys() == {"sid"}
        assert heard == told


@pytest.mark.parametrize("name", ["/random", "/random,", '/random,{"token":"abc"}'])
async def test_an_unknown_namespace_is_refused(name: str) -> None:
    async with suite() as server, open_websocket(server) as client:
        await client.recv()
        await client.send("40" + name)
        assert await read(client) == '44/random,{"message":"Invalid namespace"}'


async def test_disconnect_leaves_the_transport_which_is_pinged_and_may_connect_again() -> None:
    async with suite() as server, connected(server) as client:
        await client.send("41")
        assert await asyncio.wait_for(client.recv(), WAIT) == "2"
        await client.send("3")
        await client.send("40")
        assert str(await read(client)).startswith('40{"sid":')
        assert await read(client) == '42["auth",{}]'
        await client.send('42["message","again"]')
        assert await read(client) == '42["message-back","again"]'


# Socket.IO: events.


async def test_a_text_event() -> None:
    async with suite() as server, connected(server) as client:
        await client.send('42["message",1,"2",{"3":[true]}]')
        assert await read(client) == '42["message-back",1,"2",{"3":[true]}]'
        await client.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await read(client) == '43456[1,"2",{"3":[false]}]'


PLACES = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


async def test_a_binary_event() -> None:
    async with suite() as server, connected(server) as client:
        for sent, kind in (
            (f'452-["message",{PLACES}]', f'452-["message-back",{PLACES}]'),
            (f'452-789["message-with-ack",{PLACES}]', f"462-789[{PLACES}]"),
        ):
            await client.send(sent)
            await client.send(b"\1\2\3")
            await client.send(b"\4\5\6")
            assert [await read(client) for _ in range(3)] == [kind, b"\1\2\3", b"\4\5\6"]


@pytest.mark.parametrize(
    "packet",
    ["4abc", "42{}", '42abc["message-with-ack",1]', "40null", "4", '49["message"]', "42[]"],
)
async def test_an_invalid_packet_closes_the_connection(packet: str) -> None:
    async with suite() as server, connected(server) as client:
        await client.send(packet)
        await read_to_the_end(client)


@pytest.mark.parametrize("packet", ['42["message",1]', '421["message-with-ack",1]', "40null"])
async def test_an_event_before_connect_closes_the_connection(packet: str) -> None:
    async with suite() as server, open_websocket(server) as client:
        await client.recv()
        await client.send(packet)
        await read_to_the_end(client)
