"""Live connections: they end with their session, and go on as long as it does."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from events.facts import Fact, SessionRenewed
from resolvers import auth, sessions
from resolvers.context import Context
from resolvers.errors import Unauthenticated
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
    me = await person.enter(await person.log_in())
    mine, other = Line(), Line()
    me, leave = sessions.hold_session(me, mine)
    elsewhere = await person.enter(person.joined.issued.token)
    _, leave_other = sessions.hold_session(elsewhere, other)
    await ending(me)
    assert mine.told.items == [("ended", "Session ended")]
    assert other.ended == (ending is sessions.log_out_everywhere)
    leave()
    leave_other()
    assert person.ctx.connections._held == {}


async def test_a_connection_of_a_session_that_ended_since_the_check_ends_at_once(
    person: Person,
) -> None:
    me = await person.enter(person.joined.issued.token)
    await sessions.log_out(me)
    late = Line()
    sessions.hold_session(me, late)
    assert late.ended
    again = Line()
    sessions.hold_session(await person.enter(await person.log_in()), again)
    assert not again.ended


async def test_an_older_tokens_connection_goes_on_in_the_session_that_it_gains(
    person: Person,
) -> None:
    token = person.older_token(iat=int(time.time()) - 10, exp=int(time.time()) + 30)
    line, other = Line(), Line()
    me, _ = sessions.hold_session(await person.enter(token), line)
    sessions.hold_session(await person.enter(token), other)
    renewed = await sessions.renew_token(me)
    assert me.user.session == renewed.issued.session_id is not None
    assert me.user.held is not None
    assert me.user.held.expires_at == renewed.issued.expires_at.timestamp()
    twin = Line()  # of the same session
    sessions.hold_session(await person.enter(renewed.issued.token), twin)
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
        sessions.hold_session(here.as_viewer(await auth.authenticate(here, token)), line)
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
        me, _ = sessions.hold_session(here.as_viewer(await auth.authenticate(here, token)), Line())
        assert me.user.held is not None
        assert me.user.held.expires_at == pytest.approx(soon.timestamp())
        renewed = await sessions.renew_token(await person.enter(token))
        await heard.expect(lambda fact: fact.actor_id == person.id)
        assert me.user.held.expires_at == renewed.issued.expires_at.timestamp()
