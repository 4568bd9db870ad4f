"""The older Socket.IO events, word for word: login, sending, presence, resuming."""

import asyncio
import gc
import json
import socket
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
import websockets
from starlette.routing import Mount

from compat.chat import ChatServer
from compat.presence import LEAST_WINDOW_SECONDS
from events.hub import EVERYBODY
from tests.support.faces import Account, Refused, RestFace, SocketIOFace, new_account
from tests.support.inbox import Inbox
from tests.support.server import RunningServer, running_server

WAIT = 10
MESSAGE_KEYS = {"id", "senderId", "receiverId", "content", "createdAt"}
TRANSPORTS = {
    "polling": ("polling",),
    "websocket": ("websocket",),
    "upgrade": ("polling", "websocket"),
}
each_transport = pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever clients do here is no news for the operator."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelname == "ERROR"] == []
    # Now and then the library's client leaves a connection to the collector. That it is told of
    # here, and not in the middle of a later test, is for this.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Raw:
    """A client over a bare websocket, which sends what it is told and reads all the time."""

    def __init__(self, websocket: websockets.ClientConnection) -> None:
        self.websocket = websocket
        self.events: Inbox[list[Any]] = Inbox()
        self.acks: Inbox[tuple[int, Any]] = Inbox()

    async def send(self, *arguments: Any, ack: int | None = None) -> None:
        """Send an event, asking for an acknowledgement of this number."""
        number = "" if ack is None else ack
        await self.websocket.send(f"42{number}{json.dumps(arguments)}")

    async def read(self) -> None:
        """Read until the end, which an event `closed` tells of."""
        with suppress(websockets.ConnectionClosed):
            while True:
                packet = str(await self.websocket.recv())
                if packet == "2":
                    await self.websocket.send("3")
                elif packet.startswith("42"):
                    self.events.put([*map(unnamed, json.loads(packet[2:]))])
                elif packet.startswith("43"):
                    number, _, answer = packet[2:].partition("[")
                    self.acks.put((int(number), unnamed(json.loads("[" + answer)[0])))
                else:
                    self.events.put([packet])
        self.events.put(["closed", self.websocket.close_code, self.websocket.close_reason])

    async def expect(self, event: str, number: int = 1) -> list[list[Any]]:
        """Wait for so many events of this name."""
        return await self.events.expect_many(lambda item: item[0] == event, number, WAIT)

    @property
    def ids(self) -> list[int]:
        """The ids of the messages that came."""
        return [item[1]["id"] for item in self.events.items if item[0] == "message:new"]


def unnamed(value: Any) -> Any:
    """Return an error without the id of its connection, which it has to say."""
    if isinstance(value, dict) and "error" in value:
        assert value.pop("requestId")
    return value


@asynccontextmanager
async def raw(server: RunningServer, *, reading: bool = True) -> AsyncIterator[Raw]:
    """Connect to the default namespace, and log nobody in."""
    url = server.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    with socket.socket() as tcp:
        if not reading:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tcp.connect(("127.0.0.1", server.settings.port))
        tcp.setblocking(False)
        options: dict[str, Any] = {"ping_interval": None, "max_queue": 1, "close_timeout": 1}
        async with websockets.connect(url, sock=tcp, compression=None, **options) as websocket:
            assert str(await websocket.recv()).startswith("0{")
            await websocket.send("40")
            assert str(await websocket.recv()).startswith("40{")
            client = Raw(websocket)
            reader = asyncio.create_task(client.read()) if reading else None
            try:
                yield client
            finally:
                if reader is not None:
                    reader.cancel()
                    await asyncio.gather(reader, return_exceptions=True)


def chat_of(server: RunningServer) -> ChatServer:
    """The Socket.IO server, to see what it holds; another thread's: only look."""
    app: Any = server.app
    mounts = (route.app for route in app.routes if isinstance(route, Mount))
    return next(mounted for mounted in mounts if isinstance(mounted, ChatServer))


def entered(server: RunningServer) -> list[int | None]:
    """Return who has an open connection that they have entered on."""
    return [connection.user_id for connection in [*server.ctx.hub._table[EVERYBODY]]]


async def eventually(condition: Any, seconds: float = WAIT) -> None:
    """Return once the server's own state says so: it sends no message about this."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
async def alice(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat, "Alice")


@pytest.fixture(scope="module")
async def bob(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat, "Bob")


@each_transport
async def test_the_older_client_logs_in_sends_and_hears(
    sqlite_chat: RunningServer, alice: Account, bob: Account, transports: tuple[str, ...]
) -> None:
    async with (
        SocketIOFace.open(sqlite_chat, alice, transports) as sender,
        SocketIOFace.open(sqlite_chat, bob, transports) as receiver,
    ):
        online = await receiver.events.expect(lambda e: e[0] == "user:online" and bob.id in e[1])
        assert type(online[1][0]) is int
        direct = await sender.send("direct", bob.id)
        assert await receiver.hear("direct") == await sender.hear("direct") == direct
        cast = await sender.send("Hello World")
        assert await receiver.hear("Hello World") == await sender.hear("Hello World") == cast
        assert cast.receiver_id is None
        # Without an acknowledgement the echo tells of success, and an event of failure.
        await sender.emit("message:private", {"toUserId": bob.id, "content": "unasked"})
        assert await receiver.hear("unasked") == await sender.hear("unasked")
        await sender.emit("message:private", {"toUserId": bob.id, "content": " "})
        failed = await sender.events.expect(lambda event: event[0] == "message:error")
        assert failed[1].pop("requestId")
        assert failed[1] == {"error": "Content is required", "code": "BAD_USER_INPUT"}
    assert [event for event in receiver.events.items if event[0] == "message:error"] == []


@pytest.mark.parametrize(
    "payload",
    [
        (),
        (None,),
        ({},),
        ("text",),
        ([],),
        (7,),
        ({"token": None},),
        ({"token": ""},),
        ({"token": 7},),
        ({"token": {"token": "x"}},),
        ({"token": "Bearer"},),
        ({"token": "a.b.c"},),
        ({"token": "x" * 100_000},),
        ({"token": "\0"},),
    ],
    ids=lambda payload: repr(payload)[:20],
)
async def test_a_bad_login_is_told_and_closed(
    sqlite_chat: RunningServer, payload: tuple[Any, ...]
) -> None:
    async with raw(sqlite_chat) as client:
        await client.send("auth:login", *payload)
        await client.expect("closed")
        end = [["auth:error", "Invalid token"], ["41"], ["closed", 1000, ""]]
        assert client.events.items == end


@each_transport
async def test_the_older_client_is_told_of_its_bad_login(
    sqlite_chat: RunningServer, transports: tuple[str, ...]
) -> None:
    heard: Inbox[tuple[Any, ...]] = Inbox()
    # A session of our own: after the end the library may open another, and leave it open.
    async with aiohttp.ClientSession() as session:
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        client.on("*", lambda *event: heard.put(event))
        client.on("disconnect", lambda reason: heard.put(("disconnect",)))
        await client.connect(sqlite_chat.url, transports=[*transports])
        await client.emit("auth:login", {"token": b"\0\1"})
        await heard.expect(lambda event: event == ("disconnect",), WAIT)
        # The library tells of the end before it has closed what it has open.
        await asyncio.wait_for(client.eio.wait(), WAIT)
    assert heard.items == [("auth:error", "Invalid token"), ("disconnect",)]


async def test_a_bad_login_after_a_good_one_ends_it(
    sqlite_chat: RunningServer, alice: Account
) -> None:
    bob = await new_account(sqlite_chat)
    async with SocketIOFace.open(sqlite_chat, alice) as watcher, raw(sqlite_chat) as client:
        await client.send("auth:login", {"token": bob.token})
        await watcher.events.expect(lambda e: e[0] == "user:online" and bob.id in e[1])
        await client.send("auth:login", {"token": "bad"})
        await client.expect("closed")
        end = [["auth:error", "Invalid token"], ["41"], ["closed", 1000, ""]]
        assert client.events.items[-3:] == end
        await watcher.events.expect(lambda event: event == ("user:offline", bob.id))


async def test_what_is_sent_right_after_the_login_is_sent_by_whoever_logged_in(
    sqlite_chat: RunningServer, alice: Account
) -> None:
    async with raw(sqlite_chat) as client:
        await client.send("auth:login", {"token": alice.token})
        for number in range(20):
            await client.send("message:send", {"content": f"at once {number}"}, ack=number + 1)
        acks = await client.acks.expect_many(lambda ack: True, 20, WAIT)
        assert [number for number, _ in acks] == [*range(1, 21)]
        assert [answer["content"] for _, answer in acks] == [f"at once {n}" for n in range(20)]
        assert {answer["senderId"] for _, answer in acks} == {alice.id}
        assert all(answer.keys() >= MESSAGE_KEYS for _, answer in acks)
        heard = await client.expect("message:new", 20)
        assert [item[1] for item in heard] == [answer for _, answer in acks]
        assert client.events.items[0] == ["auth:ok"]


async def test_a_failure_is_an_answer_or_an_event_never_both(
    sqlite_chat: RunningServer, alice: Account, bob: Account
) -> None:
    async with raw(sqlite_chat) as client:
        stranger = {"error": "No token provided", "code": "UNAUTHENTICATED"}
        await client.send("message:private", {"toUserId": bob.id, "content": "x"}, ack=1)
        await client.send("message:send", "nonsense", ack=2)
        await client.acks.expect_many(lambda ack: ack[1] == stranger, 2, WAIT)
        assert client.events.items == []
        await client.send("message:send", {"content": "x"})
        assert await client.expect("message:error") == [["message:error", stranger]]
        await client.send("auth:login", {"token": alice.token})
        needed = {"error": "toUserId is required", "code": "BAD_USER_INPUT"}
        bodies: list[dict[str, Any]] = [{}, {"toUserId": None}, {"receiverId": None}]
        for number, body in enumerate(bodies, 3):
            await client.send("message:private", {**body, "content": "x"}, ack=number)
            await client.acks.expect(lambda ack, n=number: ack == (n, needed), WAIT)  # type: ignore[misc]  # mypy knows no default of a lambda
        # A broadcast is one whatever else it names.
        await client.send("message:send", {"content": "x", "toUserId": bob.id}, ack=6)
        _, sent = await client.acks.expect(lambda ack: ack[0] == 6, WAIT)
        assert sent["receiverId"] is None
        await client.send("nothing:known", {"content": "x"}, ack=7)
        await client.send("message:send", ack=8)
        await client.acks.expect(lambda ack: ack[0] == 8 and "error" in ack[1], WAIT)
        assert len(await client.expect("message:error")) == 1
        assert len(client.acks.items) == 7


async def test_another_login_on_a_connection_takes_its_place(
    sqlite_chat: RunningServer, bob: Account
) -> None:
    first, second = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with (
        SocketIOFace.open(sqlite_chat, bob) as other,
        SocketIOFace.open(sqlite_chat, first) as client,
    ):
        await other.events.expect(lambda e: e[0] == "user:online" and first.id in e[1])
        await client.emit("auth:login", {"token": second.token})
        await client.events.expect_many(lambda event: event[0] == "auth:ok", 2)
        await other.events.expect(lambda e: e[0] == "user:online" and second.id in e[1])
        await other.events.expect(lambda event: event == ("user:offline", first.id))
        await other.send("to the first", first.id)
        await other.send("to the second", second.id)
        await client.hear("to the second")
        assert [seen.content for seen in client.inbox.items] == ["to the second"]
        assert (await client.send("from the second", bob.id)).sender_id == second.id
        # The same one again keeps their place: nobody leaves, nothing comes twice.
        await client.emit("auth:login", {"token": second.token})
        await client.events.expect_many(lambda event: event[0] == "auth:ok", 3)
        await other.send("once", second.id)
        await client.send("end", second.id)
        await client.hear("end")
        assert [seen.content for seen in client.inbox.items].count("once") == 1
        assert ("user:offline", second.id) not in other.events.items


async def test_nothing_reaches_who_has_not_logged_in(
    sqlite_chat: RunningServer, alice: Account, bob: Account
) -> None:
    async with raw(sqlite_chat) as stranger, SocketIOFace.open(sqlite_chat, alice) as sender:
        async with SocketIOFace.open(sqlite_chat, bob):
            await sender.send("a broadcast")
            await sender.hear("a broadcast")
        await sender.events.expect(lambda event: event == ("user:offline", bob.id))
        await stranger.send("message:send", {"content": "x"}, ack=1)
        await stranger.acks.expect(lambda ack: ack[0] == 1, WAIT)
        assert stranger.events.items == []


async def test_each_arrival_is_told_and_many_at_once_are_told_together(
    sqlite_chat: RunningServer, alice: Account
) -> None:
    accounts = [await new_account(sqlite_chat) for _ in range(20)]

    def told(item: list[Any]) -> bool:
        return bool(item[0] == "user:online")

    def holds(user_id: int) -> Callable[[list[Any]], bool]:
        return lambda item: told(item) and user_id in item[1]

    async with raw(sqlite_chat) as watcher:
        await watcher.send("auth:login", {"token": alice.token})
        await watcher.expect("user:online")
        async with raw(sqlite_chat) as second_tab:
            await second_tab.send("auth:login", {"token": alice.token})
            [[_, online]] = await second_tab.expect("user:online")
            assert online.count(alice.id) == 1
            await watcher.expect("user:online", 2)
        before = len(watcher.events.items)
        clients = [raw(sqlite_chat) for _ in accounts]
        opened = [await client.__aenter__() for client in clients]
        started = time.monotonic()
        for client, account in zip(opened, accounts, strict=True):
            await client.send("auth:login", {"token": account.token})
        ids = {account.id for account in accounts}
        await watcher.events.expect(lambda item: told(item) and ids <= {*item[1]}, WAIT)
        windows = (time.monotonic() - started) / LEAST_WINDOW_SECONDS
        arrivals = [item for item in watcher.events.items[before:] if told(item)]
        assert len(arrivals) <= windows + 1
        for client, account in zip(opened, accounts, strict=True):
            [*_, last] = await client.events.expect_many(holds(account.id), 1)
            assert len({*last[1]}) == len(last[1])
        for context in clients:
            await context.__aexit__(None, None, None)

        def gone(item: list[Any]) -> bool:
            return item[0] == "user:offline" and item[1] in ids

        await watcher.events.expect_many(gone, len(ids), WAIT)
        await watcher.send("message:send", {"content": "x"}, ack=1)
        await watcher.acks.expect(lambda ack: ack[0] == 1, WAIT)
        left = [item[1] for item in watcher.events.items if gone(item)]
        assert sorted(left) == sorted(ids)


async def test_a_login_that_races_with_its_connections_end_leaves_no_ghost(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path) as server:
        account, other = await new_account(server), await new_account(server)
        async with SocketIOFace.open(server, other) as watcher:
            for number in range(40):
                async with raw(server) as client:
                    login: dict[str, Any] = {"token": account.token}
                    if number % 2:
                        login["after"] = 0
                    await client.send("auth:login", login)
                    if number % 4 < 2:
                        client.websocket.transport.abort()
            chat = chat_of(server)
            await eventually(lambda: len(chat.engine.sockets) == 1)
            await eventually(lambda: [*server.ctx.presence.online_ids] == [other.id])
            assert len(chat.clients) == 1
            assert entered(server) == [other.id]
            await watcher.send("still here")
            await watcher.hear("still here")
            async with RestFace.open(server, account) as rest:
                assert len(await rest.history()) == 1


async def test_a_stranger_is_refused_with_the_code(sqlite_chat: RunningServer) -> None:
    async with SocketIOFace.open(sqlite_chat, None) as stranger:
        for to in (None, 1):
            with pytest.raises(Refused, match="No token provided"):
                await stranger.send("x", to)
