"""HTTP over keep-alive connections: one protocol object each, httptools' parser, a closed loop."""

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Self, cast

import httptools
import msgspec

from bench.clients.chat_clients import SEND
from bench.sampling import Sample, costs, latencies, no_collections, window
from bench.servers.served import Served, sign_token

CONNECTIONS = 40
CONNECT_SECONDS = 10.0
PAGE = 20
TEXT = "See you at the station at half past seven"
HISTORY = f"{{ messages(last: {PAGE}) {{ nodes {{ id senderId receiverId content createdAt }} }} }}"


class Requests(asyncio.Protocol):
    """One connection that asks, reads the whole answer, and asks again."""

    def __init__(self, next_request: Callable[[], bytes], check: Callable[[int, bytes], None]):
        self._next = next_request
        self._check = check
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self.failure = ""
        self.seconds: list[float] = []

    async def connect(self, host: str, port: int) -> Self:
        """Connect, and ask nothing yet."""
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        return self

    def ask(self) -> None:
        """Send the next request; its answer sends the one after."""
        self._sent_at = perf_counter()
        if self._transport is not None:
            self._transport.write(self._next())

    async def stop(self) -> None:
        """Ask no more, wait for the last answer and close."""
        self._stopping = True
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._stopped

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._stopping:
            self.failure = self.failure or f"closed by the server: {exc}"
        if not self._stopped.done():
            self._stopped.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A piece of the answer's body (httptools calls it)."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole (httptools calls it)."""
        self.seconds.append(perf_counter() - self._sent_at)
        body = b"".join(self._body)
        self._body.clear()
        try:
            self._check(self._parser.get_status_code(), body)
        except ValueError as error:
            self.failure = str(error)
            self._stopping = True
        if self._stopping:
            self.abort()
        else:
            self._parser = httptools.HttpResponseParser(self)
            self.ask()


def post(served: Served, path: str, user_id: int, body: object) -> bytes:
    """A request with a JSON body."""
    text = msgspec.json.encode(body)
    return _head(served, "POST", path, user_id, len(text)) + text


def get(served: Served, path: str, user_id: int) -> bytes:
    """A request without a body."""
    return _head(served, "GET", path, user_id, 0)


def _head(served: Served, method: str, path: str, user_id: int, size: int) -> bytes:
    content = f"Content-Type: application/json\r\nContent-Length: {size}\r\n" if size else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {served.host}:{served.port}\r\n"
        f"Authorization: Bearer {sign_token(user_id)}\r\nAccept: application/json\r\n"
        f"{content}\r\n"
    ).encode()


# What a user's connection asks, one after the other, and what an answer must look like.
Asking = Callable[[Served, int], Iterator[bytes]]


def graphql_sends(served: Served, user_id: int) -> Iterator[bytes]:
    """Send to one's neighbour by mutation."""
    variables = {"to": str(_neighbour(user_id)), "c": TEXT}
    request = post(served, "/graphql", user_id, {"query": SEND, "variables": variables})
    while True:
        yield request


def graphql_pages(served: Served, user_id: int) -> Iterator[bytes]:
    """Read the newest page by query."""
    request = post(served, "/graphql", user_id, {"query": HISTORY})
    while True:
        yield request


def rest_sends(served: Served, user_id: int) -> Iterator[bytes]:
    """Send to one's neighbour by the older route."""
    body = {"toUserId": _neighbour(user_id), "content": TEXT}
    request = post(served, "/api/messages/send", user_id, body)
    while True:
        yield request


def rest_pages(served: Served, user_id: int) -> Iterator[bytes]:
    """Read the newest page by the older route."""
    request = get(served, f"/api/messages?limit={PAGE}", user_id)
    while True:
        yield request


def _neighbour(user_id: int) -> int:
    return user_id + 1 if user_id % 2 else user_id - 1


def check_sent(status: int, body: bytes) -> None:
    """Refuse what is not a stored message."""
    if status not in {200, 201} or b'"id":' not in body or b'"errors"' in body:
        raise ValueError(f"{status}: {body[:300]!r}")


def check_page(status: int, body: bytes) -> None:
    """Refuse what is not a full page."""
    if status != 200 or body.count(b'"createdAt":') != PAGE:
        raise ValueError(f"{status}: {body[:300]!r}")


async def measure_requests(
    served: Served,
    asking: Asking,
    check: Callable[[int, bytes], None],
    *,
    warm_up: float,
    seconds: float,
    connections: int = CONNECTIONS,
) -> Sample:
    """Requests a second over so many connections, each its own user's, and what each costs."""
    made: list[Requests] = []

    def look() -> None:
        for one in made:
            if one.failure:
                raise ConnectionError(one.failure)

    def forget() -> None:
        for one in made:
            one.seconds = []

    try:
        for user_id in range(1, connections + 1):
            requests = asking(served, user_id)
            one = Requests(requests.__next__, check)
            made.append(await one.connect(served.host, served.port))
        with no_collections():
            for one in made:
                one.ask()
            await asyncio.sleep(warm_up)
            used, elapsed = await window(served, seconds, forget, look)
            taken = [value for one in made for value in one.seconds]
        for one in made:
            await one.stop()
        look()
    finally:
        for one in made:
            one.abort()
    return {**costs(used, len(taken), elapsed), **latencies(taken)}
