"""Both faces let people in by the same steps, in the same order; a refused step undoes the rest."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from events.connection import Connection
from events.hub import Hub, Step
from resolvers.context import Context
from resolvers.errors import RateLimited, TooManyConnections
from resolvers.guards.viewer import Viewer
from resolvers.people import auth
from tests.support.faces import WAIT_SECONDS, Account, SocketIOFace, new_account
from tests.support.server import RunningServer, running_server
from tests.test_late_logins import is_in, log_in, open_line

LINES = ("graphql", "websocket", "polling")
STEPS = ["ConnectionSlots", "Directory", "Presence"]


class Recorded:
    """A step that says when it is taken and undone, and may refuse."""

    def __init__(self, step: Step, said: list[str], refusal: Exception | None = None) -> None:
        self._step = step
        self._said = said
        self._name = type(step).__name__
        self.refusal = refusal

    def enter(self, user_id: int) -> None:
        """As Step."""
        self._said.append(f"{self._name} in")
        if self.refusal is not None:
            raise self.refusal
        self._step.enter(user_id)

    def leave(self, user_id: int) -> None:
        """As Step."""
        self._said.append(f"{self._name} out")
        self._step.leave(user_id)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done as somebody was let in, in order."""
    said: list[str] = []
    check, put_in, renew = auth.authenticate_login, Hub._put_in, Hub.renew_one

    async def authenticate_login(ctx: Context, token: str) -> Viewer:
        said.append("check")
        return await check(ctx, token)

    def _put_in(
        hub: Hub, connection: Connection, user_id: int, groups: Iterable[int] | None
    ) -> None:
        said.append("topics")
        put_in(hub, connection, user_id, groups)

    def renew_one(
        hub: Hub, connection: Connection, expires_at: float | None, session_id: int | None
    ) -> None:
        said.append("session and end")
        renew(hub, connection, expires_at, session_id)

    monkeypatch.setattr("resolvers.connections.authenticate_login", authenticate_login)
    monkeypatch.setattr(Hub, "_put_in", _put_in)
    monkeypatch.setattr(Hub, "renew_one", renew_one)
    return said


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server on which every step does something, and a user has one place."""
    # A polling client may leave without a word; it is noticed by its silence.
    quick: dict[str, Any] = {"ping_interval_seconds": 2, "ping_timeout_seconds": 2}
    one_place: dict[str, Any] = {"limits": True, "max_connections_per_user": 1}
    with running_server(tmp_path, directory="contacts", **one_place, **quick) as server:
        yield server


def record(server: RunningServer, said: list[str]) -> list[Recorded]:
    """Have the steps say what they do."""
    steps = [Recorded(step, said) for step in server.ctx.hub.steps]
    server.ctx.hub.steps = steps
    return steps


def left(server: RunningServer, account: Account) -> list[str]:
    """Return what is still kept of the account's connections."""
    ctx = server.ctx
    kept = {
        "contacts": account.id in ctx.directory._holds,
        "presence": account.id in ctx.presence.online_ids,
        "topics": account.id in ctx.hub._table,
    }
    return [name for name, there in kept.items() if there]


async def reason_given(line: Any) -> str:
    """Wait for the end; return what the client was told of it."""
    if not isinstance(line, SocketIOFace):
        return str((await line.closed())[1])
    told = await line.events.expect(lambda event: event[0] == "auth:error", WAIT_SECONDS)
    await line.events.expect(lambda event: event[0] == "disconnect", WAIT_SECONDS)
    # The library tells of the end before it has closed what it has open.
    await asyncio.wait_for(line._client.eio.wait(), WAIT_SECONDS)
    return str(told[1])


async def is_refused(line: Any, error: RateLimited) -> None:
    """Wait for the refusal, in the form of the face."""
    if isinstance(line, SocketIOFace):
        assert await reason_given(line) == error.message
    else:
        code = 4420 if isinstance(error, TooManyConnections) else 1013
        assert await line.closed() == (code, error.message)


async def until_gone(server: RunningServer, account: Account) -> None:
    """Wait until nothing is kept of the account: the server sends no message about that."""
    async with asyncio.timeout(WAIT_SECONDS):
        while left(server, account):  # noqa: ASYNC110  # another thread's
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("line", LINES)
async def test_the_steps_are_these_in_this_order(
    server: RunningServer, said: list[str], line: str
) -> None:
    account = await new_account(server)
    record(server, said)
    async with open_line(server, line) as client:
        assert said == []
        await log_in(client, account)
        await is_in(client)
        entered = ["check", *(f"{name} in" for name in STEPS), "topics", "session and end"]
        assert said == entered
        assert left(server, account) == ["contacts", "presence", "topics"]
    await until_gone(server, account)
    assert said == [*entered, *(f"{name} out" for name in reversed(STEPS))]
    async with open_line(server, line) as client:
        await log_in(client, account)
        await is_in(client)


@pytest.mark.parametrize("refused", STEPS)
@pytest.mark.parametrize("line", LINES)
async def test_a_refused_step_undoes_those_before_it(
    server: RunningServer, said: list[str], line: str, refused: str
) -> None:
    account = await new_account(server)
    steps = record(server, said)
    number = STEPS.index(refused)
    kind = TooManyConnections if number == 0 else RateLimited
    error = kind("Not now", retry_after_ms=1000)
    steps[number].refusal = error
    async with open_line(server, line, ended=True) as client:
        await log_in(client, account)
        await is_refused(client, error)
        undone = [f"{name} out" for name in reversed(STEPS[:number])]
        assert said == ["check", *(f"{name} in" for name in STEPS[: number + 1]), *undone]
        assert left(server, account) == []
    steps[number].refusal = None
    async with open_line(server, line) as client:
        await log_in(client, account)
        await is_in(client)


@pytest.mark.parametrize("line", LINES)
async def test_too_many_bad_tokens_end_the_logins_from_an_address(
    tmp_path: Path, line: str
) -> None:
    with running_server(tmp_path, limits=True, bad_tokens_per_address="3/minute") as server:
        account = await new_account(server)
        bad = Account(account.id, account.email, account.name, "no token")
        for _ in range(3):
            async with open_line(server, line, ended=True) as client:
                await log_in(client, bad)
                assert await reason_given(client) in {"Invalid token", "Forbidden"}
        async with open_line(server, line, ended=True) as client:
            await log_in(client, account)
            said = await reason_given(client)
            assert said.startswith("Too many bad tokens from this address; try again in ")
