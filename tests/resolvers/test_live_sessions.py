"""Live connections: they end with their session, and go on as long as it does."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from events.facts import Fact, SessionRenewed
from events.hub import AlreadyEnded
from events.subscription import SubscriberTooSlow
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import Unauthenticated
from resolvers.people import auth, sessions
from tests.resolvers.conftest import running_context
from tests.resolvers.people import PASSWORD, Line, Person, plain
from tests.support.inbox import Inbox

Ending = Callable[[Context], Any]


@pytest.mark.parametrize(
    "ending",
    [
        sessions.log_out,
        sessions.log_out_everywhere,
        lambda ctx: sessions.revoke_session(ctx, ctx.user.session),
    ],
)
async def test_an_end_reaches_open_connections_of_the_session_at_once(
    person: Person, ending: Ending
) -> None:
    mine, other = Line(), Line()
    me = await person.connect(await person.log_in(), mine)
    elsewhere = await person.connect(person.joined.issued.token, other)
    await ending(me)
    assert mine.told.items == [("ended", "Session ended")]
    assert other.ended == (ending is sessions.log_out_everywhere)
    for ctx in (me, elsewhere):
        assert ctx.user.connection is not None
        ctx.user.connection.close()
    assert person.ctx.hub._table == {}


async def test_a_session_that_ended_since_the_check_is_not_let_in(person: Person) -> None:
    me = await person.enter(person.joined.issued.token)
    await sessions.log_out(me)
    late = Line()
    connection = person.ctx.hub.open(late)
    with pytest.raises(AlreadyEnded):
        person.ctx.hub.enter(
            connection,
            user_id=me.user.id,
            session_id=me.user.session_id,
            expires_at=me.user.expires_at,
            checked_at=me.user.checked_at,
        )
    assert connection.user_id is None
    assert late.told.items == []
    again = Line()
    await person.connect(await person.log_in(), again)
    assert not again.ended


async def test_whoever_was_put_out_hears_nothing_on_the_connection(person: Person) -> None:
    token, line = await person.log_in(), Line()
    socket, request = await person.connect(token, line), await person.enter(token)
    hearing = [messages.watch_messages(ctx) for ctx in (socket, request)]
    waiting = [asyncio.create_task(anext(watch)) for watch in hearing]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(person.ctx.hub.sinks_at(person.id)) == 2
    await sessions.log_out(socket)
    assert line.ended
    assert person.ctx.hub.sinks_at(person.id) == []
    with pytest.raises(SubscriberTooSlow):  # a request's reader comes back, and is refused
        await waiting[1]
    for ctx in (socket, request):
        with pytest.raises(Unauthenticated):
            await anext(messages.watch_messages(ctx))
    waiting[0].cancel()  # as its transport does
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_older_tokens_connection_goes_on_in_the_session_that_it_gains(
    person: Person,
) -> None:
    token = person.older_token(iat=int(time.time()) - 10, exp=int(time.time()) + 30)
    line, other = Line(), Line()
    me = await person.connect(token, line)
    await person.connect(token, other)
    renewed = await sessions.renew_token(me)
    assert me.user.session == renewed.issued.session_id is not None
    assert me.user.connection is not None
    assert me.user.connection.expires_at == renewed.issued.expires_at.timestamp()
    twin = Line()  # of the same session
    await person.connect(renewed.issued.token, twin)
    changed = await sessions.change_password(me, current=PASSWORD, new="another")
    assert me.user.session == changed.issued.session_id != renewed.issued.session_id
    assert (line.ended, other.ended, twin.ended) == (False, True, True)
    assert await person.good(renewed.issued.token, changed.issued.token) == [False, True]
    [session] = await sessions.list_sessions(me)
    await sessions.revoke_session(me, session.id)  # its own
    assert line.ended


async def test_what_another_process_ends_is_ended_here_within_a_second(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running_context(tmp_path / "1", database_url=database_url) as here,
        running_context(tmp_path / "2", database_url=database_url) as there,
    ):
        person = await Person.register(there)
        token = person.joined.issued.token
        line = Line()
        await person.connect(token, line, here)
        started = time.monotonic()
        await sessions.log_out(await person.enter(token))
        await line.told.expect(lambda told: told[0] == "ended")
        assert time.monotonic() - started < 1
        with pytest.raises(Unauthenticated):
            await auth.authenticate(here, token)


async def test_a_renewal_in_another_process_moves_connections_here(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running_context(tmp_path / "1", database_url=database_url) as here,
        running_context(tmp_path / "2", database_url=database_url) as there,
    ):
        person = await Person.register(there)
        token = person.joined.issued.token
        soon = datetime.now(UTC) + timedelta(seconds=100)
        async with there.write() as connection:
            await connection.execute(
                text("UPDATE sessions SET expires_at = :at"), {"at": plain(soon)}
            )
        heard: Inbox[Fact] = Inbox()
        here.control.listen(SessionRenewed, lambda fact, body: heard.put(fact))
        me = await person.connect(token, Line(), here)
        assert me.user.connection is not None
        assert me.user.connection.expires_at == pytest.approx(soon.timestamp())
        renewed = await sessions.renew_token(await person.enter(token))
        await heard.expect(lambda fact: fact.actor_id == person.id)
        assert me.user.connection.expires_at == renewed.issued.expires_at.timestamp()
