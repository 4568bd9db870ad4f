"""One keep-alive HTTP connection, to say exactly what goes over which."""

import asyncio
from typing import NamedTuple

import msgspec

ANSWER_SECONDS = 10.0
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


class RawConnection:
    """A connection to 127.0.0.1 that stays open between requests, as a browser's does."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "RawConnection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def ask(self, method: str, path: str, body: str = "") -> Answer:
        """Send a request and return its answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        await self.send((head + body).encode())
        return await self.answer()

    async def answer(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(ANSWER_SECONDS):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            size = int(headers.get("content-length", "0"))
            body = await self._reader.readexactly(size)
        return Answer(int(first.split()[1]), headers, body.decode())

    async def ended(self) -> bool:
        """Whether the server ends the connection."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._reader.read() == b""


async def ask(port: int, method: str, path: str, body: str = "") -> Answer:
    """Ask on a connection of its own."""
    async with RawConnection(port) as connection:
        return await connection.ask(method, path, body)


async def new_session(port: int) -> str:
    """Open a Socket.IO session over polling; return its id."""
    answer = await ask(port, "GET", HANDSHAKE)
    assert answer.status == 200, answer
    return str(msgspec.json.decode(answer.body[1:])["sid"])


async def sessions_of_each(port: int, names: set[str]) -> dict[str, str]:
    """Open sessions until each of these processes holds one; return one of each."""
    found: dict[str, str] = {}
    async with asyncio.timeout(ANSWER_SECONDS):
        while found.keys() != names:
            sid = await new_session(port)
            found[sid.partition(".")[0]] = sid
    return found
