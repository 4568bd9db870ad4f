"""A GraphQL socket on a line in memory, whose other end reads only while it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from resolvers.context import Context
from schema.execution.operations import Operations
from schema.root import schema
from schema.transports.websocket import GraphQLSocket

WAIT_SECONDS = 10


async def until(condition: Callable[[], bool]) -> None:
    """Wait, turn by turn of the loop, until this is so."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # nobody here could set an event
            await asyncio.sleep(0.001)


class Line:
    """What the server at the other end of the socket does, as far as the socket sees it."""

    def __init__(self, ctx: Context) -> None:
        self.reads = True
        self.heard: list[dict[str, Any]] = []  # in the order in which it came, either way
        self.waited = 0  # messages that could not be written at once
        self._taken = asyncio.Event()
        self._taken.set()
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received.put_nowait({"type": "websocket.connect"})
        extensions = {
            "parley.write": {
                "write": self._write,
                "writable": lambda: self.reads,
                "wait": self._wait,
                "head": lambda size: size.to_bytes(4),
                "write_frames": self._write_frames,
            },
            "parley.read": {"listen": self._listen},
            "parley.abort": {"abort": self.hang_up},
        }
        scope = {"type": "websocket", "extensions": extensions, "headers": []}
        self.websocket = WebSocket(scope, self._received.get, self._send)
        self.socket = GraphQLSocket(ctx, Operations(schema, ctx), self.websocket)

    def stop_reading(self) -> None:
        """Take nothing more."""
        self.reads = False
        self._taken.clear()

    def read_on(self) -> None:
        """Take what waits."""
        self.reads = True
        self._taken.set()

    def say(self, **message: Any) -> None:
        """Have a message arrive, as the server does: the socket may take it at once."""
        text = msgspec.json.encode(message).decode()
        if not (self._received.empty() and self._take(text)):
            self._received.put_nowait({"type": "websocket.receive", "text": text})

    def subscribe(self, id_: str, query: str, **variables: Any) -> None:
        """Begin an operation of whichever type."""
        self.say(type="subscribe", id=id_, payload={"query": query, "variables": variables})

    def of(self, id_: str) -> list[dict[str, Any]]:
        """Return what was heard under this id."""
        return [message for message in self.heard if message.get("id") == id_]

    async def expect(self, id_: str, number: int = 1) -> list[dict[str, Any]]:
        """Wait until so many messages have come under this id."""
        await until(lambda: len(self.of(id_)) >= number)
        return self.of(id_)

    async def settle(self) -> None:
        """Return once all that was said before has been handled."""
        payload = {"settled": len(self.heard)}
        self.say(type="ping", payload=payload)
        await until(lambda: {"type": "pong", "payload": payload} in self.heard)

    def hang_up(self) -> None:
        """End the connection."""
        self._received.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def _listen(self, take: Any) -> None:
        self._take = take

    def _write(self, *parts: bytes) -> None:
        assert self.reads
        self.heard.append(msgspec.json.decode(b"".join(parts)))

    async def _wait(self) -> None:
        self.waited += not self.reads
        await self._taken.wait()

    def _write_frames(self, frames: bytes) -> None:
        while frames:
            end = 4 + int.from_bytes(frames[:4])
            self._write(frames[4:end])
            frames = frames[end:]

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.waited += not self.reads
            await self._taken.wait()
            self.heard.append(msgspec.json.decode(message["text"]))
        elif message["type"] == "websocket.close":
            self.heard.append({"close": message["code"], "reason": message["reason"]})


@asynccontextmanager
async def open_line(ctx: Context, token: str) -> AsyncIterator[Line]:
    """Connect, and begin with this token."""
    line = Line(ctx)
    await line.websocket.accept()
    serving = asyncio.create_task(line.socket.serve())
    line.say(type="connection_init", payload={"token": token})
    await until(lambda: {"type": "connection_ack"} in line.heard)
    try:
        yield line
    finally:
        line.read_on()
        line.hang_up()
        async with asyncio.timeout(WAIT_SECONDS):
            await serving
