"""Leaving the default namespace, connecting to it anew, and asking for others."""

import asyncio
import json

import pytest

from tests.compat.echo import closed, next_of, poller, received, serving, websocket


async def test_a_socket_io_disconnect_leaves_the_transport_for_another_connect() -> None:
    async with serving(connect_timeout=0.5) as echo, websocket(echo) as client:
        first = await next_of(echo.arrived)
        address = echo.addresses[first]
        for number in range(2):
            await client.send(f'42["note",{number}]')  # still handled for the client
            await client.send("41")
            assert (await next_of(echo.left))[1] == "client namespace disconnect"
            assert await next_of(echo.notes) == number
            assert not echo.push(first, echo.encode_event("tick"))
            assert echo.engine.sockets
            await client.send("40")
            answer = json.loads((await received(client)).removeprefix("40"))
            assert answer["sid"] != first
            assert await received(client) == '42["welcome"]'
            first = await next_of(echo.arrived)
            assert answer["sid"] == first
            assert echo.addresses[first] == address
        await asyncio.sleep(0.7)  # the wait for the second CONNECT is over, too
        await client.send('421["echo"]')
        assert await received(client) == "431[]"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_who_left_and_does_not_connect_again_is_closed(transport: str) -> None:
    async with serving(connect_timeout=0.2) as echo, poller(echo) as client:
        if transport == "polling":
            await client.connect()
            assert await client.post("41") == 200
            assert await client.get() == ["1"]
        else:
            async with websocket(echo) as leaver:
                await leaver.send("41")
                assert await closed(leaver) == (1008, "no CONNECT")
        await echo.settled()


@pytest.mark.parametrize("packet", ['42["note",1]', "41", "431[]"])
async def test_who_left_the_namespace_sends_nothing_to_it(packet: str) -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send("41")
        await client.send(packet)
        assert await closed(client) == (1002, "bad packet")
        assert echo.notes.empty()


async def test_an_answer_that_is_late_does_not_reach_the_next_session() -> None:
    async with serving() as echo, websocket(echo) as client:
        await client.send('427["wait","x"]')
        assert await next_of(echo.notes) == "x"
        await client.send("41")
        await client.send("40")
        assert (await received(client)).startswith("40{")
        assert await received(client) == '42["welcome"]'
        echo.gate.set()
        await client.send('428["echo"]')
        assert await received(client) == "438[]"


@pytest.mark.parametrize("payload", ["", '{"token":"x"}'])
@pytest.mark.parametrize("name", ["/custom", "/a/b", "/custom?token=x", "/é"])
async def test_another_namespace_is_refused_and_the_default_one_goes_on(
    name: str, payload: str
) -> None:
    refused = f'44{name.partition("?")[0]},{{"message":"Invalid namespace"}}'
    async with serving() as echo, websocket(echo, connect=False) as client, poller(echo) as polling:
        await client.send(f"40{name},{payload}")
        assert await received(client) == refused
        await client.send("40")
        assert (await received(client)).startswith('40{"sid":"')
        assert await received(client) == '42["welcome"]'
        await client.send(f"40{name},{payload}")
        assert await received(client) == refused
        await client.send('421["echo",1]')
        assert await received(client) == "431[1]"
        await polling.connect()
        assert await polling.post(f"40{name},{payload}") == 200
        assert await polling.get() == [refused]
