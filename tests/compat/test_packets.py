"""What a client may send: everything else closes its connection, cleanly and alone."""

import asyncio
import contextlib
import logging

import pytest
import websockets

from compat.socketio.packets import (
    BadPacket,
    EncodedEvent,
    StrictPacket,
    decode_payload,
    encode_payload,
)
from tests.compat.echo import next_of, poller, received, serving, websocket

DEEP = "[" * 5000 + "]" * 5000

# Sent after CONNECT was answered; each is the last packet that its connection takes.
BAD = {
    "an empty packet": [""],
    "an unknown Engine.IO type": ["9"],
    "an Engine.IO OPEN": ["0{}"],
    "an Engine.IO PING": ["2"],
    "an Engine.IO UPGRADE": ["5"],
    "no Engine.IO type": ["note"],
    "a text that is not ASCII": ["é"],
    "an empty message": ["4"],
    "an unknown Socket.IO type": ['49["note",1]'],
    "a Socket.IO type that is a letter": ['4x["note",1]'],
    "a CONNECT_ERROR": ['44{"message":"no"}'],
    "a second CONNECT": ["40"],
    "a CONNECT with a text": ['40"x"'],
    "a DISCONNECT with data": ['41["x"]'],
    "a DISCONNECT with null": ["41null"],
    "no data": ["42"],
    "broken JSON": ['42["note",'],
    "JSON and more": ['42["note",1]x'],
    "not a number": ['42["note",NaN]'],
    "JSON nested 5,000 deep": [f'42["note",{DEEP}]'],
    "an event that is an object": ['42{"note":1}'],
    "an event that is a text": ['42"note"'],
    "an event that is null": ["42null"],
    "an event without a name": ["42[]"],
    "a number as the event's name": ["42[1]"],
    "null as the event's name": ["42[null]"],
    "a list as the event's name": ['42[["note"]]'],
    "an id of 100 digits": [f'42{"1" * 100}["note",1]'],
    "an id of digits that are not ASCII": ['42١["note",1]'],
    "an event for another namespace": ['42/admin,["note",1]'],
    "a DISCONNECT from another namespace": ["41/admin,"],
    "an acknowledgement without an id": ["43[]"],
    "an acknowledgement of nothing": ["431[]"],
    "an acknowledgement under the library's own id": ["430[]"],
    "an acknowledgement without a list": ['431"x"'],
    "attachments on a text event": ['421-["note",1]'],
    "a binary event without a count": ['45["note",1]'],
    "five attachments": ['455-["note",1]'],
    "attachments beyond counting": [f'45{"9" * 6000}-["note",1]'],
    "an attachment that was not announced": [b"x"],
    "a text instead of an attachment": ['451-["note",{"_placeholder":true,"num":0}]', '42["a"]'],
    "a placeholder out of range": ['451-["note",{"_placeholder":true,"num":1}]', b"x"],
    "a placeholder below zero": ['451-["note",{"_placeholder":true,"num":-1}]', b"x"],
    "a placeholder that is no number": ['451-["note",{"_placeholder":true,"num":"0"}]', b"x"],
    "a placeholder that is true": ['451-["note",{"_placeholder":true,"num":true}]', b"x"],
    "a placeholder without a number": ['451-["note",{"_placeholder":true}]', b"x"],
    "a binary event with a reserved name": ['451-["connect",{"_placeholder":true,"num":0}]'],
    "a binary acknowledgement of nothing": ['461-1[{"_placeholder":true,"num":0}]', b"x"],
} | {
    f"a client's own {name}": [f'42["{name}"]']
    for name in (
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    )
}

every_bad_packet = pytest.mark.parametrize(
    "packets", [pytest.param(packets, id=name) for name, packets in BAD.items()]
)


@every_bad_packet
async def test_a_bad_packet_closes_a_websocket(
    packets: list[str | bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "compat")
    async with serving() as echo, websocket(echo) as other, websocket(echo) as bad:
        with contextlib.suppress(websockets.ConnectionClosed):  # closed before it sent the last
            for packet in [*packets, '42["note","after"]']:
                await bad.send(packet)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await received(bad)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1002
        assert (await next_of(echo.left))[1] == "parse error"
        assert echo.notes.empty()
        lines = [r for r in caplog.records if r.getMessage().startswith("bad packet from")]
        assert len(lines) == 1
        assert lines[0].levelno == logging.DEBUG
        await other.send('427["echo","still here"]')
        assert await received(other) == '437["still here"]'


@every_bad_packet
async def test_a_bad_packet_in_a_post_is_answered_400(packets: list[str | bytes]) -> None:
    async with serving() as echo, websocket(echo) as other, poller(echo) as bad:
        await bad.connect()
        body = encode_payload(['42["note","before"]', *packets, '42["note","after"]'])
        assert await bad.post_body(body) == 400
        assert (await bad.ask()).status_code == 400
        await other.send('427["echo","still here"]')
        assert await received(other) == '437["still here"]'
        assert await next_of(echo.notes) == "before"
        assert echo.notes.empty()


async def test_attachments_together_stay_below_the_largest_payload() -> None:
    async with serving(max_payload=100_000) as echo, websocket(echo) as bad:
        for packet in ('452-["note"]', b"x" * 60_000, b"x" * 60_000):
            await bad.send(packet)
        with pytest.raises(websockets.ConnectionClosed):
            await received(bad)
        assert (await next_of(echo.left))[1] == "parse error"


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b'42["note",1]\x1e\xc3(', b"b!!!", b"bA", b"", b"\x1e"]
)
async def test_a_body_that_is_no_payload_is_answered_400(body: bytes) -> None:
    async with serving() as echo, poller(echo) as bad:
        await bad.connect()
        assert await bad.post_body(body) == 400
        assert (await bad.ask()).status_code == 400


@pytest.mark.parametrize(
    "packet",
    ['42["note",1]', "41", '431["x"]', '451-["note",{"_placeholder":true,"num":0}]', b"x"],
)
async def test_nothing_but_connect_comes_first(packet: str | bytes) -> None:
    async with serving() as echo, websocket(echo, connect=False) as bad:
        await bad.send(packet)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await received(bad)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1002
        await echo.settled()
        assert echo.left.empty()
        assert echo.notes.empty()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_attachments_arrive_where_their_placeholders_are(transport: str) -> None:
    event = (
        '452-3["echo",{"a":[{"_placeholder":true,"num":1}],"b":{"_placeholder":true,"num":0}},'
        '{"_placeholder":false}]'
    )
    answer = (
        '462-3[{"a":[{"_placeholder":true,"num":0}],"b":{"_placeholder":true,"num":1}},'
        '{"_placeholder":false}]'
    )
    async with serving() as echo:
        if transport == "websocket":
            async with websocket(echo) as client:
                for packet in (event, b"one", b"two"):
                    await client.send(packet)
                assert await received(client) == "4" + answer[1:]
                assert [await client.recv(), await client.recv()] == [b"two", b"one"]
        else:
            async with poller(echo) as polling:
                await polling.connect()
                assert await polling.post_body(encode_payload([event, b"one", b"two"])) == 200
                packets: list[str] = []
                while len(packets) < 3:
                    packets += await polling.get()
                assert decode_payload("\x1e".join(packets).encode()) == [answer, b"two", b"one"]


async def test_many_bad_clients_at_once_do_not_disturb_a_good_one() -> None:
    async with serving() as echo, websocket(echo) as good:

        async def misbehave() -> None:
            async with websocket(echo) as bad:
                await bad.send("broken")
                with pytest.raises(websockets.ConnectionClosed):
                    await received(bad)

        await asyncio.gather(*(misbehave() for _ in range(20)))
        await good.send('427["echo","still here"]')
        assert await received(good) == '437["still here"]'


@pytest.mark.parametrize("body", [b"bAA!!==", "b\u07ec".encode(), b"b\xff", b"bA"])
def test_what_is_not_base64_is_not_read_as_less(body: bytes) -> None:
    with pytest.raises(BadPacket):
        decode_payload(body)


def test_an_encoded_event_counts_bytes() -> None:
    assert EncodedEvent.of("ä", b"\0\0").size == 4


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "number", "data"),
    [
        ("0", 0, "/", None, None),
        ('0{"token":"x"}', 0, "/", None, {"token": "x"}),
        ("0/admin,", 0, "/admin", None, None),
        ("0/admin", 0, "/admin", None, None),
        ('0/admin?a=b,{"c":1}', 0, "/admin", None, {"c": 1}),
        ('2["a"]', 2, "/", None, ["a"]),
        ('212["a",1]', 2, "/", 12, ["a", 1]),
        ('2/admin,12["a"]', 2, "/admin", 12, ["a"]),
        ("30[]", 3, "/", 0, []),
    ],
)
def test_what_the_protocol_allows_is_read(
    text: str, kind: int, namespace: str, number: int | None, data: object
) -> None:
    packet = StrictPacket(encoded_packet=text)
    assert (packet.packet_type, packet.namespace, packet.id, packet.data) == (
        kind,
        namespace,
        number,
        data,
    )


def test_a_deep_placeholder_is_no_recursion_error() -> None:
    packet = StrictPacket(encoded_packet='51-["a"]')
    for _ in range(5000):
        packet.data = ["a", packet.data]
    with pytest.raises(BadPacket):
        packet.add_attachment(b"x")
