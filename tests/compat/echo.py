"""A small application on `SocketServer`, a real uvicorn around it, and raw clients for it."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import uvicorn
import websockets
from socketio import packet
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from compat.socketio.client import Client, Socket
from compat.socketio.options import Options
from compat.socketio.packets import EncodedEvent, encode_packet
from compat.socketio.server import SocketServer
from server.protocols.websocket import DirectWebSocket
from tests.server.unbounded import unbounded_http

SEPARATOR = "\x1e"
DIRECT = True  # what `serving` does unless it is told; tests for both set it
WAIT = 10.0  # seconds; nothing here takes one, a wait that long is a failure


class Echo(SocketServer):
    """Tells the test, by queues, what reached its handlers."""

    def __init__(self, **options: Any) -> None:
        exclusive = frozenset(["login"])
        super().__init__(Options(**{"origins": {"*"}, "exclusive": exclusive, **options}))
        self.url = ""
        self.stays: dict[str, Socket] = {}  # those that are over, too
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.left: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.lost: asyncio.Queue[None] = asyncio.Queue()  # websocket transports
        self.notes: asyncio.Queue[Any] = asyncio.Queue()
        self.addresses: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.stopping = asyncio.Event()
        self.running = 0
        self.complaints: list[str] = []  # warnings and errors in the log
        for name in ("echo", "note", "wait", "login", "fail", "leave"):
            self.on(name, getattr(self, "on_" + name))

    def on_connect(self, client: Client, sid: str, auth: object) -> Socket:
        client.kept = client.kept or client.scope["client"][0]
        self.addresses[sid] = client.kept
        self.stays[sid] = Socket(client, sid)
        # Behind the answer to its CONNECT.
        asyncio.get_running_loop().call_soon(self.welcome, sid, auth)
        self.arrived.put_nowait(sid)
        return self.stays[sid]

    def welcome(self, sid: str, auth: object) -> None:
        """Greet a client that has connected."""
        self.tell("welcome", to=sid)

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.left.put_nowait((socket.sid, reason))

    async def on_echo(self, socket: Socket, *args: Any) -> Any:
        return args

    def on_note(self, socket: Socket, note: Any) -> None:
        self.notes.put_nowait(note)

    async def on_wait(self, socket: Socket, note: Any) -> Any:
        self.running += 1
        self.notes.put_nowait(note)
        await self.gate.wait()
        self.running -= 1
        return note

    async def on_login(self, socket: Socket, note: Any) -> None:
        await self.on_wait(socket, note)

    async def on_fail(self, socket: Socket) -> None:
        raise LookupError("on purpose")

    async def on_leave(self, socket: Socket) -> None:
        socket.push(self.encode_event("auth:error", "Invalid token"))
        socket.refuse()

    def encode_event(self, event: str, *args: object) -> EncodedEvent:
        """Encode an event, whose arguments may hold bytes."""
        return encode_packet(packet.EVENT, [event, *args])

    def encode_acknowledgement(self, number: int, result: object) -> EncodedEvent:
        """Encode any number of values, which may hold bytes."""
        args = list(result) if isinstance(result, tuple) else [] if result is None else [result]
        return encode_packet(packet.ACK, args, number)

    def push(self, sid: str, encoded: EncodedEvent) -> bool:
        """Push to one stay of a client, which may be over."""
        return self.stays[sid].push(encoded)

    def drop(self, sid: str) -> None:
        self.stays[sid].drop()

    def refuse(self, sid: str) -> None:
        self.stays[sid].refuse()

    def tell(self, event: str, *args: object, to: str | None = None) -> None:
        """Push an event to one client, or to all."""
        encoded = self.encode_event(event, *args)
        for sid in [*self.stays] if to is None else [to]:
            self.push(sid, encoded)

    def transport(self, sid: str) -> str:
        """Which transport the client has come to use."""
        return "websocket" if self.stays[sid].client.engine_socket.upgraded else "polling"

    def on_buffer_full(self) -> object:
        return {"full": True}

    def on_handler_error(self, event: str, error: Exception) -> object:
        return {"error": type(error).__name__, "event": event}

    async def settled(self) -> None:
        """Wait for farewells; then nothing of any client may be left."""
        if self.engine._farewells:
            await asyncio.wait(self.engine._farewells, timeout=WAIT)
        left = (self.engine.sockets, self._running)
        # Interpreters differ in how many turns of the loop the end of a task takes.
        for _ in range(10):
            if not any(left):
                break
            await asyncio.sleep(0)
        assert not any(left)
        assert all(stay.left for stay in self.stays.values())
        names = [t.get_coro().__qualname__ for t in asyncio.all_tasks()]  # type: ignore[union-attr]  # tasks of coroutines only
        ours = ("EngineSocket.", "Polling.", "Websocket.", "SocketServer.", "EngineServer.")
        assert not [n for n in names if n.startswith(ours)], names


class _Complaints(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self.complaints.append(record.getMessage())


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals stay the tests' own

    async def main_loop(self) -> None:
        await self.config.app.stopping.wait()  # type: ignore[union-attr]  # the app is our Echo


@contextlib.asynccontextmanager
async def serving(
    *, direct: bool | None = None, kind: type[Echo] = Echo, **options: Any
) -> AsyncIterator[Echo]:
    """Serve an `Echo` on a free port; it may leave nothing behind, and no complaint in the log.

    `direct` is for our own WebSocket protocol, which can be written to without a task; otherwise
    uvicorn's, with which all is queued.
    """
    echo = kind(**options)
    direct = DIRECT if direct is None else direct
    log = _Complaints(echo.complaints)
    logging.getLogger().addHandler(log)

    class Protocol(DirectWebSocket if direct else WebSocketsSansIOProtocol):  # type: ignore[misc]  # either will do
        async def run_asgi(self) -> None:
            self.scope["extensions"]["parley.abort"] = {"abort": self.transport.abort}
            await super().run_asgi()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            echo.lost.put_nowait(None)

    config = uvicorn.Config(
        echo,
        http=unbounded_http() if direct else "auto",
        ws=Protocol,
        interface="asgi3",  # its `__call__` is no coroutine function
        lifespan="off",
        log_config=None,
        ws_ping_interval=None,
        timeout_graceful_shutdown=5,
    )
    server = _Uvicorn(config)
    # Named TCP: otherwise asyncio does not set TCP_NODELAY, and each answer takes 40 ms more.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        echo.url = f"http://127.0.0.1:{listener.getsockname()[1]}/socket.io/"
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield echo
        finally:
            echo.gate.set()
            await echo.drain(WAIT)
            echo.stopping.set()
            await asyncio.wait_for(task, WAIT)
            logging.getLogger().removeHandler(log)
    await echo.settled()
    assert not echo.complaints, echo.complaints


class Poller:
    """A raw Engine.IO client over polling."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url
        self.params = {"EIO": "4", "transport": "polling"}
        self.opening: dict[str, Any] = {}
        self.sid = ""

    async def open(self) -> None:
        (packet,) = await self.get()
        self.opening = json.loads(packet[1:])
        self.params["sid"] = self.opening["sid"]

    async def connect(self) -> None:
        """CONNECT, and take the answer and the application's welcome."""
        await self.open()
        assert await self.post("40") == 200
        answer, welcome = await self.get()
        self.sid = json.loads(answer[2:])["sid"]
        assert welcome == '42["welcome"]'

    async def ask(self, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.get(self.url, params=self.params, headers=headers)

    async def get(self) -> list[str]:
        response = await self.ask()
        assert response.status_code == 200, response.text
        return response.text.split(SEPARATOR)

    async def post(self, *packets: str) -> int:
        return await self.post_body(SEPARATOR.join(packets).encode())

    async def post_body(self, body: bytes) -> int:
        return (await self.http.post(self.url, params=self.params, content=body)).status_code


@contextlib.asynccontextmanager
async def poller(echo: Echo) -> AsyncIterator[Poller]:
    async with httpx.AsyncClient(timeout=WAIT) as http:  # loading roots is slow
        client = Poller(http, echo.url)
        yield client
        await client.post("1")  # if it is still there, so that nobody waits for it


def websocket_url(echo: Echo, sid: str = "") -> str:
    url = echo.url.replace("http", "ws", 1) + "?EIO=4&transport=websocket"
    return f"{url}&sid={sid}" if sid else url


@contextlib.asynccontextmanager
async def websocket(echo: Echo, connect: bool = True) -> AsyncIterator[websockets.ClientConnection]:
    """A raw Engine.IO client over a websocket, connected to the default namespace."""
    async with websockets.connect(websocket_url(echo), ping_interval=None) as client:
        assert (await received(client))[0] == "0"
        if connect:
            await client.send("40")
            assert (await received(client)).startswith("40{")
            assert await received(client) == '42["welcome"]'
        yield client


async def received(client: websockets.ClientConnection) -> str:
    """The next packet; pings are answered on the way."""
    while True:
        packet = await asyncio.wait_for(client.recv(), WAIT)
        assert isinstance(packet, str)
        if packet != "2":
            return packet
        await client.send("3")


async def closed(client: websockets.ClientConnection) -> tuple[int, str]:
    """Read to the end; the close code and reason that the server gave."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await received(client)
    assert client.close_code is not None
    assert client.close_reason is not None
    return client.close_code, client.close_reason


async def next_of(queue: asyncio.Queue[Any]) -> Any:
    return await asyncio.wait_for(queue.get(), WAIT)
