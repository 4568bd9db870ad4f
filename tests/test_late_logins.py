"""A session is renewed, or ends, between the look at its token and the connection's entry."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from resolvers.guards.token_states import TokenStates
from tests.resolvers.people import plain
from tests.schema.client import bare_socket, bearer
from tests.support.faces import WAIT_SECONDS, Account, SocketIOFace, new_account
from tests.support.server import RunningServer, running_server
from tests.support.sqlite import outsider as opened_by_outsider

SOON_SECONDS = 100
LINES = ("graphql", "websocket", "polling")


class SlowAnswer:
    """Once asked for, the database's next answer about a token is on its way until `arrive`."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._left = threading.Event()
        self._arrives = threading.Event()

    def of(self, find: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The same question, with such an answer."""

        async def find_late(*arguments: Any) -> Any:
            return await self._delay(await find(*arguments))

        return find_late

    async def _delay(self, state: Any) -> Any:
        if self._asked.is_set():
            self._asked.clear()
            self._left.set()
            assert await asyncio.to_thread(self._arrives.wait, WAIT_SECONDS)
        return state

    def ask(self) -> None:
        self._asked.set()

    async def left(self) -> None:
        """Wait until the database has answered."""
        assert await asyncio.to_thread(self._left.wait, WAIT_SECONDS)

    def arrive(self) -> None:
        self._arrives.set()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowAnswer:
    """A database that may be slow to answer."""
    slow = SlowAnswer()
    monkeypatch.setattr(TokenStates, "find", slow.of(TokenStates.find))
    return slow


@pytest.fixture
def server(tmp_path: Path, slow: SlowAnswer) -> Iterator[RunningServer]:
    """A server that asks that database."""
    url = f"sqlite:///{tmp_path / 'late.db'}"
    with running_server(tmp_path, database_url=url) as server:
        yield server


@asynccontextmanager
async def open_line(server: RunningServer, line: str, *, ended: bool = False) -> AsyncIterator[Any]:
    """Connect as nobody yet; `ended` says that the server will end it."""
    if line == "graphql":
        async with bare_socket(server) as socket:
            yield socket
    elif not ended:
        async with SocketIOFace.open(server, None, (line,)) as face:
            yield face
    else:
        # A session of our own: after the end the library may open another, and leave it open.
        async with (
            aiohttp.ClientSession() as http,
            SocketIOFace.open(server, None, (line,), http) as face,
        ):
            yield face


async def log_in(line: Any, account: Account) -> None:
    if isinstance(line, SocketIOFace):
        await line.emit("auth:login", {"token": account.token})
    else:
        await line.send({"type": "connection_init", "payload": bearer(account)})


async def is_in(line: Any) -> None:
    if isinstance(line, SocketIOFace):
        await line.events.expect(lambda event: event[0] == "auth:ok", WAIT_SECONDS)
        await line._client.call("message:send", {})  # answered once the login is over
    else:
        await line.expect(type="connection_ack")
        await line.settle()


async def is_out(line: Any) -> None:
    if isinstance(line, SocketIOFace):
        _, reason = await line.events.expect(lambda event: event[0] == "auth:error", WAIT_SECONDS)
        assert reason == "Invalid token"
        await line.events.expect(lambda event: event[0] == "disconnect", WAIT_SECONDS)
        # The library tells of the end before it has closed what it has open.
        await asyncio.wait_for(line._client.eio.wait(), WAIT_SECONDS)
        assert "auth:ok" not in {event for event, _ in line.events.items}
    else:
        assert await line.closed() == (4403, "Forbidden")


async def post(server: RunningServer, account: Account, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        return await http.post(path)


def ends(server: RunningServer, account: Account) -> list[float | None]:
    """When each of the account's open connections ends."""
    return [one.expires_at for one in server.ctx.hub._table[account.id]]


def end_soon(tmp_path: Path) -> float:
    """Have all sessions end soon; return when."""
    soon = datetime.now(UTC) + timedelta(seconds=SOON_SECONDS)
    with opened_by_outsider(tmp_path / "late.db") as database:
        database.execute("UPDATE sessions SET expires_at = ?", (plain(soon),))
    database.close()
    return soon.timestamp()


@pytest.mark.parametrize("line", LINES)
async def test_a_renewal_while_a_connection_is_let_in_moves_its_end_too(
    server: RunningServer, slow: SlowAnswer, tmp_path: Path, line: str
) -> None:
    account, other = await new_account(server), await new_account(server)
    soon = end_soon(tmp_path)
    async with open_line(server, line) as late, open_line(server, line) as punctual:
        await log_in(punctual, other)
        await is_in(punctual)
        assert ends(server, other) == [pytest.approx(soon)]
        slow.ask()
        await log_in(late, account)
        await slow.left()
        renewed = await post(server, account, "/api/auth/renew")
        assert renewed.status_code == 200, renewed.text
        slow.arrive()
        await is_in(late)
        until = datetime.fromisoformat(renewed.json()["expiresAt"]).timestamp()
        assert until > soon
        assert ends(server, account) == [until]


@pytest.mark.parametrize("line", LINES)
async def test_an_end_while_a_connection_is_let_in_keeps_it_out(
    server: RunningServer, slow: SlowAnswer, line: str
) -> None:
    account, other = await new_account(server), await new_account(server)
    async with open_line(server, line, ended=True) as late, open_line(server, line) as punctual:
        await log_in(punctual, other)
        await is_in(punctual)
        slow.ask()
        await log_in(late, account)
        await slow.left()
        assert (await post(server, account, "/api/auth/logout")).status_code == 200
        slow.arrive()
        await is_out(late)
        assert account.id not in server.ctx.hub._table
