"""A graphql-transport-ws client that says just what a test tells it to."""

import itertools
import socket
from asyncio import timeout
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.support.faces import Account
from tests.support.server import RunningServer

WAIT_SECONDS = 10
SUBPROTOCOL = "graphql-transport-ws"

Message = dict[str, Any]


class Socket:
    """One WebSocket; `inbox` holds what came and no `expect` has taken yet."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.inbox: list[Message] = []
        self._ids = itertools.count(1)

    async def send(self, message: Message | str | bytes) -> None:
        """Send a message of the protocol, or any text or bytes."""
        if isinstance(message, dict):
            message = msgspec.json.encode(message).decode()
        await self.connection.send(message)

    async def expect(self, **fields: Any) -> Message:
        """Take the oldest message with these fields, now or as soon as it comes."""
        async with timeout(WAIT_SECONDS):
            while True:
                for place, message in enumerate(self.inbox):
                    if fields.items() <= message.items():
                        return self.inbox.pop(place)
                self.inbox.append(msgspec.json.decode(await self.connection.recv()))

    async def closed(self) -> tuple[int | None, str | None]:
        """Read until the server closes: its code and its reason."""
        with suppress(ConnectionClosed):
            async with timeout(WAIT_SECONDS):
                while True:
                    self.inbox.append(msgspec.json.decode(await self.connection.recv()))
        return self.connection.close_code, self.connection.close_reason

    async def init(self, payload: Mapping[str, Any] | None = None) -> None:
        """Begin, and wait for the acknowledgement."""
        await self.send({"type": "connection_init", "payload": payload})
        await self.expect(type="connection_ack")

    async def subscribe(
        self, id_: str, query: str, variables: Message | None = None, **fields: Any
    ) -> None:
        """Send an operation of whichever type."""
        payload = {"query": query, "variables": variables, **fields}
        await self.send({"type": "subscribe", "id": id_, "payload": payload})

    async def execute(self, query: str, variables: Message | None = None) -> Message:
        """Return the result of a query or a mutation."""
        id_ = f"execute {next(self._ids)}"
        await self.subscribe(id_, query, variables)
        answer = await self.expect(id=id_)
        assert answer["type"] == "next", answer
        assert await self.expect(id=id_) == {"id": id_, "type": "complete"}
        result: Message = answer["payload"]
        return result

    async def settle(self) -> None:
        """Return once the server has handled everything sent before."""
        await self.execute("{ me { id } }")


def bearer(account: Account) -> dict[str, str]:
    """The connection_init payload of this account."""
    return {"authorization": f"Bearer {account.token}"}


@asynccontextmanager
async def bare_socket(
    server: RunningServer,
    *,
    subprotocol: str = SUBPROTOCOL,
    origin: str | None = None,
    receive_buffer: int | None = None,
) -> AsyncIterator[Socket]:
    """Connect, and say nothing yet. Sends no pings of its own; reads only when it is told to."""
    with socket.socket() as tcp:
        if receive_buffer is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        tcp.connect(("127.0.0.1", server.settings.port))
        tcp.setblocking(False)
        opening = connect(
            server.ws_url,
            sock=tcp,
            subprotocols=[Subprotocol(subprotocol)],
            origin=None if origin is None else Origin(origin),
            compression=None,
            ping_interval=None,
            max_size=None,
            close_timeout=1,
        )
        async with opening as connection:
            yield Socket(connection)


@asynccontextmanager
async def open_socket(
    server: RunningServer, account: Account | None = None, **options: Any
) -> AsyncIterator[Socket]:
    """Connect and begin, as this account or as nobody."""
    async with bare_socket(server, **options) as opened:
        await opened.init(None if account is None else bearer(account))
        yield opened
