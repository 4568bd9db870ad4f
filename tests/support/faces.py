"""One small client protocol, and its three implementations: GraphQL, REST and Socket.IO."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import msgspec
import socketio
from websockets.asyncio.client import ClientConnection, connect

from tests.support.inbox import Inbox
from tests.support.server import RunningServer

PASSWORD = "123456"
WAIT_SECONDS = 10


class Refused(Exception):
    """The server refused; `code` is the same on every face."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Account(msgspec.Struct, frozen=True):
    """A registered user."""

    id: int
    email: str
    name: str
    token: str


class Seen(msgspec.Struct, frozen=True):
    """A message, as every face shows it."""

    id: int
    sender_id: int
    receiver_id: int | None
    content: str
    kind: str
    client_message_id: str | None

    @classmethod
    def of(cls, shape: dict[str, Any]) -> "Seen":
        """Read a message of any face; GraphQL's ids are strings."""
        receiver = shape["receiverId"]
        return cls(
            int(shape["id"]),
            int(shape["senderId"]),
            None if receiver is None else int(receiver),
            shape["content"],
            shape["kind"],
            shape["clientMessageId"],
        )


async def new_account(server: RunningServer, name: str = "somebody") -> Account:
    """Register somebody new, through REST."""
    email = f"{uuid4().hex}@example.com"
    async with httpx.AsyncClient(base_url=server.url) as http:
        body = {"email": email, "password": PASSWORD, "displayName": name}
        registered = (await http.post("/api/auth/register", json=body)).json()
        login = await http.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    return Account(registered["userId"], email, name, login.json()["token"])


class Face(ABC):
    """A logged-in client. `inbox` holds the messages that came by themselves."""

    name: str

    def __init__(self, server: RunningServer, account: Account | None) -> None:
        self.server = server
        self.account = account
        self.inbox: Inbox[Seen] = Inbox()

    @abstractmethod
    async def send(self, content: Any, to: Any = None, **fields: Any) -> Seen:
        """Send a message. Raises Refused."""

    @abstractmethod
    async def history(self) -> list[Seen]:
        """Return everything one may see, oldest first."""

    async def hear(self, content: str) -> Seen:
        """Wait for a message of this content."""
        return await self.inbox.expect(lambda seen: seen.content == content, WAIT_SECONDS)


class GraphQLFace(Face):
    """Everything over one WebSocket."""

    name = "graphql"
    FIELDS = "id senderId receiverId content kind clientMessageId"

    def __init__(
        self, server: RunningServer, account: Account | None, socket: ClientConnection
    ) -> None:
        super().__init__(server, account)
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def send(self, content: Any, to: Any = None, **fields: Any) -> Seen:
        variables = {"content": content, "receiverId": to, **fields}
        query = (
            "mutation($content: String, $receiverId: ID, $kind: MessageKind,"
            " $clientMessageId: String) { sendMessage(content: $content, receiverId: $receiverId,"
            f" kind: $kind, clientMessageId: $clientMessageId) {{ {self.FIELDS} }} }}"
        )
        return Seen.of((await self.execute(query, variables))["sendMessage"])

    async def history(self) -> list[Seen]:
        query = f"{{ messages(last: 200) {{ nodes {{ {self.FIELDS} }} }} }}"
        data = await self.execute(query)
        return [Seen.of(node) for node in data["messages"]["nodes"]]

    async def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a query or a mutation. Raises Refused."""
        id_ = str(next(self._ids))
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        payload = {"query": query, "variables": variables or {}}
        await self._socket.send(
            msgspec.json.encode({"type": "subscribe", "id": id_, "payload": payload}).decode()
        )
        result = await asyncio.wait_for(answer, WAIT_SECONDS)
        if errors := result.get("errors"):
            raise Refused(errors[0]["extensions"]["code"], errors[0]["message"])
        data: dict[str, Any] = result["data"]
        return data

    async def run(self) -> None:
        """Read the socket: answers to their callers, messages to the inbox."""
        async for text in self._socket:
            message = msgspec.json.decode(text)
            id_, payload = message.get("id"), message.get("payload")
            if id_ in self._answers and message["type"] in {"next", "error"}:
                answer = payload if message["type"] == "next" else {"errors": payload}
                if not self._answers[id_].done():
                    self._answers[id_].set_result(answer)
            elif id_ == "messages" and message["type"] == "next":
                self.inbox.put(Seen.of(payload["data"]["messageAdded"]))
            elif message["type"] == "ping":
                await self._socket.send('{"type": "pong"}')

    @classmethod
    @asynccontextmanager
    async def open(
        cls, server: RunningServer, account: Account | None
    ) -> AsyncIterator["GraphQLFace"]:
        """Connect, and subscribe to messages."""
        async with connect(server.ws_url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]  # a NewType of str
            init: dict[str, Any] = {"type": "connection_init"}
            if account is not None:
                init["payload"] = {"authorization": f"Bearer {account.token}"}
            await socket.send(msgspec.json.encode(init).decode())
            assert msgspec.json.decode(await socket.recv()) == {"type": "connection_ack"}
            face = cls(server, account, socket)
            reader = asyncio.create_task(face.run())
            if account is not None:
                query = f"subscription {{ messageAdded {{ {cls.FIELDS} }} }}"
                payload = {"query": query}
                subscribe = {"type": "subscribe", "id": "messages", "payload": payload}
                await socket.send(msgspec.json.encode(subscribe).decode())
                # The server reads in order: once this is answered, the subscription stands.
                await face.execute("{ me { id } }")
            try:
                yield face
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


class RestFace(Face):
    """Sends and reads back; hears nothing by itself, so it asks again."""

    name = "rest"

    def __init__(
        self, server: RunningServer, account: Account | None, http: httpx.AsyncClient
    ) -> None:
        super().__init__(server, account)
        self._http = http

    async def send(self, content: Any, to: Any = None, **fields: Any) -> Seen:
        body = {"content": content, "receiverId": to, **fields}
        return Seen.of(_accepted(await self._http.post("/api/messages/send", json=body)))

    async def history(self) -> list[Seen]:
        return [Seen.of(row) for row in _accepted(await self._http.get("/api/messages"))][::-1]

    async def hear(self, content: str) -> Seen:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                for seen in await self.history():
                    if seen.content == content:
                        return seen

    @classmethod
    @asynccontextmanager
    async def open(
        cls, server: RunningServer, account: Account | None
    ) -> AsyncIterator["RestFace"]:
        """Make an HTTP client."""
        headers = {} if account is None else {"Authorization": f"Bearer {account.token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            yield cls(server, account, http)


class SocketIOFace(Face):
    """The older client; reads its history through REST, as it always did."""

    name = "socketio"

    def __init__(
        self, server: RunningServer, account: Account | None, client: socketio.AsyncClient
    ) -> None:
        super().__init__(server, account)
        self._client = client
        self.events: Inbox[tuple[str, Any]] = Inbox()

    async def send(self, content: Any, to: Any = None, **fields: Any) -> Seen:
        event = "message:send" if to is None else "message:private"
        body = {"content": content, "toUserId": to, **fields}
        answer = await self._client.call(event, body, timeout=WAIT_SECONDS)
        if "error" in answer:
            raise Refused(answer["code"], answer["error"])
        return Seen.of(answer)

    async def history(self) -> list[Seen]:
        async with RestFace.open(self.server, self.account) as rest:
            return await rest.history()

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event and ask for no acknowledgement."""
        await self._client.emit(event, tuple(args))

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        server: RunningServer,
        account: Account | None,
        transports: tuple[str, ...] = ("polling", "websocket"),
        http: aiohttp.ClientSession | None = None,
        path: str = "socket.io",
    ) -> AsyncIterator["SocketIOFace"]:
        """Connect and log in."""
        client = socketio.AsyncClient(reconnection=False, http_session=http)
        face = cls(server, account, client)

        def hear(event: str) -> Callable[..., None]:
            def handler(*args: Any) -> None:
                if event == "message:new":
                    face.inbox.put(Seen.of(args[0]))
                face.events.put((event, args[0] if args else None))

            return handler

        for event in ("auth:ok", "auth:error", "auth:expiring", "message:new", "message:error"):
            client.on(event, hear(event))
        for event in ("user:online", "user:offline", "disconnect"):
            client.on(event, hear(event))
        await client.connect(server.url, transports=list(transports), socketio_path=path)
        try:
            if account is not None:
                await client.emit("auth:login", {"token": account.token})
                await face.events.expect(lambda event: event[0] == "auth:ok", WAIT_SECONDS)
            yield face
        finally:
            await client.disconnect()


FACES = (GraphQLFace, RestFace, SocketIOFace)


def _accepted(response: httpx.Response) -> Any:
    if response.is_error:
        body = response.json()
        raise Refused(body["code"], body["message"])
    return response.json()
