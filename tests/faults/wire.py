"""Clients of the three faces that expect to be cut, and can cut themselves."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

OPEN_SECONDS = 5.0
ANSWER_SECONDS = 8.0
FIELDS = "id senderId receiverId content clientMessageId"
SEND = (
    "mutation($content: String, $receiverId: ID, $clientMessageId: String) { sendMessage(content:"
    " $content, receiverId: $receiverId, clientMessageId: $clientMessageId) { id } }"
)
WATCH = f"subscription($after: ID) {{ messageAdded(after: $after) {{ {FIELDS} }} }}"
PRESENCE = "subscription { presence { online user { id } } }"

_encoder = msgspec.json.Encoder()
Answer = asyncio.Future[int]


class Cut(Exception):
    """The connection ended, or nothing was answered: what was asked may or may not be done."""


class Refused(Exception):
    """The server refused; `code` says why."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code


class Sender(Protocol):
    """What sends: one connection of one user."""

    async def start(self, key: str, content: str, receiver_id: int | None) -> Answer:
        """Send; the future gives the stored message's id, or raises Refused or Cut."""

    def abort(self) -> None:
        """Cut the connection without a word."""

    async def close(self) -> None:
        """End."""


class _Socket:
    """A WebSocket whose reader settles answers; ended, it fails those that wait."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.answers: dict[str, Answer] = {}
        self.ids = itertools.count(1)
        self.over = asyncio.Event()
        self.reader = asyncio.create_task(self._run())

    async def read(self) -> None:
        """Read to the end."""
        raise NotImplementedError

    async def say(self, text: str) -> None:
        """Send a frame. Raises Cut."""
        try:
            await asyncio.wait_for(self.connection.send(text), ANSWER_SECONDS)
        except (OSError, WebSocketException, TimeoutError) as error:
            raise Cut from error

    async def _run(self) -> None:
        try:
            await self.read()
        except (OSError, WebSocketException):
            pass
        finally:
            self.over.set()
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(Cut())
                    answer.exception()  # whoever waits for it hears; nobody need

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.connection.transport.abort()

    async def close(self) -> None:
        """End."""
        self.abort()
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the end; return the close code and reason."""
        await self.over.wait()
        return self.connection.close_code, self.connection.close_reason


class GraphQLClient(_Socket):
    """Sends and subscribes over graphql-transport-ws."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.streams: dict[str, Callable[[dict[str, Any]], None]] = {}

    async def start(self, key: str, content: str, receiver_id: int | None) -> Answer:
        """As Sender."""
        id_ = str(next(self.ids))
        answer = self.answers[id_] = asyncio.get_running_loop().create_future()
        receiver = None if receiver_id is None else str(receiver_id)
        variables = {"content": content, "receiverId": receiver, "clientMessageId": key}
        await self.ask(id_, SEND, variables)
        return answer

    async def watch(
        self, query: str, take: Callable[[dict[str, Any]], None], after: int | None = None
    ) -> None:
        """Subscribe; `take` is called with the data of each result."""
        id_ = str(next(self.ids))
        self.streams[id_] = take
        await self.ask(id_, query, {} if after is None else {"after": str(after)})

    async def ask(self, id_: str, query: str, variables: dict[str, Any]) -> None:
        """Send an operation."""
        payload = {"query": query, "variables": variables}
        message = {"type": "subscribe", "id": id_, "payload": payload}
        await self.say(_encoder.encode(message).decode())

    async def read(self) -> None:
        """Settle answers, hand out what streams."""
        async for text in self.connection:
            message = msgspec.json.decode(text)
            id_, type_ = message.get("id"), message["type"]
            if type_ == "ping":
                await self.connection.send('{"type": "pong"}')
            elif id_ in self.streams:
                if type_ != "next" or message["payload"].get("errors"):
                    return  # it will resume on another connection
                self.streams[id_](message["payload"]["data"])
            elif type_ in {"next", "error"}:
                self._settle(self.answers.pop(id_), message)

    def _settle(self, answer: Answer, message: dict[str, Any]) -> None:
        payload = message["payload"]
        errors = payload if message["type"] == "error" else payload.get("errors")
        if answer.done():
            return
        if errors:
            answer.set_exception(Refused(errors[0]["extensions"]["code"], errors[0]["message"]))
            answer.exception()
        else:
            answer.set_result(int(payload["data"]["sendMessage"]["id"]))

    @classmethod
    async def open(cls, port: int, token: str) -> "GraphQLClient":
        """Connect and log in. Raises Cut."""
        connection = await _dial(f"ws://127.0.0.1:{port}/graphql", "graphql-transport-ws")
        async with _logging_in(connection):
            init = {"type": "connection_init", "payload": {"token": token}}
            await connection.send(_encoder.encode(init).decode())
            acknowledged = msgspec.json.decode(await connection.recv())
            if acknowledged["type"] != "connection_ack":
                raise Cut(acknowledged)
        return cls(connection)


class SocketIOClient(_Socket):
    """The older protocol, over websocket alone, down to its frames."""

    def __init__(self, connection: ClientConnection, take: Callable[[str, Any], None]) -> None:
        self.take = take
        super().__init__(connection)

    async def start(self, key: str, content: str, receiver_id: int | None) -> Answer:
        """As Sender."""
        id_ = str(next(self.ids))
        answer = self.answers[id_] = asyncio.get_running_loop().create_future()
        event = "message:send" if receiver_id is None else "message:private"
        body = {"toUserId": receiver_id, "content": content, "clientMessageId": key}
        await self.say(f"42{id_}{_encoder.encode([event, body]).decode()}")
        return answer

    async def read(self) -> None:
        """Settle acknowledgements, hand out events, answer pings."""
        async for text in self.connection:
            assert isinstance(text, str)
            if text == "2":
                await self.connection.send("3")
            elif text.startswith("43"):
                id_, _, rest = text[2:].partition("[")
                self._settle(self.answers.pop(id_), msgspec.json.decode(f"[{rest}")[0])
            elif text.startswith("42"):
                event, *arguments = msgspec.json.decode(text[2:])
                self.take(event, arguments[0] if arguments else None)

    def _settle(self, answer: Answer, body: dict[str, Any]) -> None:
        if answer.done():
            return
        if "error" in body:
            answer.set_exception(Refused(body["code"], body["error"]))
            answer.exception()
        else:
            answer.set_result(body["id"])

    @classmethod
    async def open(
        cls, port: int, token: str, take: Callable[[str, Any], None] = lambda event, data: None
    ) -> "SocketIOClient":
        """Connect and log in. Raises Cut."""
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        connection = await _dial(url, None)
        async with _logging_in(connection):
            await connection.recv()
            await connection.send("40")
            await connection.recv()
            await connection.send(f"42{_encoder.encode(['auth:login', {'token': token}]).decode()}")
            while (text := str(await connection.recv())) != '42["auth:ok"]':
                if text.startswith('42["auth:error"'):
                    raise Cut(text)
        return cls(connection, take)


class RestClient:
    """One HTTP connection; answers in order, as HTTP does."""

    def __init__(self, port: int, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER_SECONDS,
        )
        self._running: set[asyncio.Task[int]] = set()

    async def start(self, key: str, content: str, receiver_id: int | None) -> Answer:
        """As Sender."""
        task = asyncio.create_task(self._send(key, content, receiver_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _send(self, key: str, content: str, receiver_id: int | None) -> int:
        body = {"content": content, "receiverId": receiver_id}
        try:
            answer = await self._http.post(
                "/api/messages/send", json=body, headers={"Idempotency-Key": key}
            )
            said = answer.json()
        except (httpx.TransportError, msgspec.DecodeError, ValueError) as error:
            raise Cut from error
        if answer.status_code != 201:
            raise Refused(said["code"], said["message"])
        return int(said["id"])

    def abort(self) -> None:
        """Cut what is under way."""
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """End."""
        self.abort()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._http.aclose()


async def _dial(url: str, subprotocol: str | None) -> ClientConnection:
    try:
        return await connect(
            url,
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            compression=None,
            ping_interval=None,
            max_size=None,
            max_queue=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=1,
            proxy=None,
        )
    except (OSError, WebSocketException, TimeoutError) as error:
        raise Cut from error


@asynccontextmanager
async def _logging_in(connection: ClientConnection) -> AsyncIterator[None]:
    """Cut a connection that does not get through its login, whoever gives it up. Raises Cut."""
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            yield
    except BaseException as error:
        connection.transport.abort()
        if isinstance(error, OSError | WebSocketException | TimeoutError):
            raise Cut from error
        raise
