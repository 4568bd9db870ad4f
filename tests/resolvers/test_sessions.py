"""Sessions: a token is good while its session goes on; whoever ends one ends all that is its."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db import facts
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, RateLimited, Unauthenticated, Unavailable
from resolvers.guards.limits.fair_queue import Place
from resolvers.guards.passwords import Verdict
from resolvers.people import auth, sessions
from resolvers.people.users import get_me
from tests.resolvers.conftest import running_context
from tests.resolvers.people import PASSWORD, Person, plain


async def test_register_and_login_each_open_a_session(person: Person) -> None:
    token = await person.log_in(agent="Phone/1.0", address="192.0.2.7")
    me = await person.enter(token)
    latest, first = await sessions.list_sessions(me)
    assert (latest.agent, latest.address) == ("Phone/1.0", "192.0.2.7")
    assert (first.agent, first.address) == ("", "")
    assert latest.id == me.user.session
    assert abs(latest.expires_at - person.ctx.tokens.next_end()) < timedelta(seconds=10)
    assert await person.good(token, person.joined.issued.token) == [True, True]


async def test_logging_out_ends_this_session_and_no_other(person: Person) -> None:
    one, two = await person.log_in(), await person.log_in()
    await sessions.log_out(await person.enter(one))
    assert await person.good(one, two) == [False, True]


async def test_logging_out_everywhere_ends_them_all_and_older_tokens_too(person: Person) -> None:
    one, two = await person.log_in(), await person.log_in()
    older = person.older_token(iat=int(time.time()) - 10)
    dateless = person.older_token()
    assert await person.good(one, two, older, dateless) == [True] * 4
    await sessions.log_out_everywhere(await person.enter(one))
    assert await person.good(one, two, older, dateless) == [False] * 4
    after = person.older_token(iat=int(time.time()) + 2)
    assert await person.good(await person.log_in(), after, dateless) == [True, True, False]


async def test_a_session_is_revoked_by_its_owner_only(ctx: Context, person: Person) -> None:
    stranger = await Person.register(ctx)
    theirs = await stranger.enter(stranger.joined.issued.token)
    one, two = await person.log_in(), await person.log_in()
    id_ = (await person.enter(one)).user.session
    for wrong in (id_, 2**40, None):
        with pytest.raises(NotFound, match="Session not found"):
            await sessions.revoke_session(theirs, wrong)
    assert await person.good(one, two) == [True, True]
    mine = await person.enter(two)
    await sessions.revoke_session(mine, id_)
    assert await person.good(one, two) == [False, True]
    with pytest.raises(NotFound, match="Session not found"):
        await sessions.revoke_session(mine, id_)


async def test_a_new_password_ends_every_session_and_opens_one(person: Person) -> None:
    one, two = await person.log_in(), await person.log_in()
    older = person.older_token(iat=int(time.time()) - 10)
    me = await person.enter(one)
    changed = await sessions.change_password(me, current=PASSWORD, new="another")
    assert changed.issued.session_id not in (None, me.user.session)
    assert await person.good(changed.issued.token) == [True]
    assert await person.good(one, two, older, person.joined.issued.token) == [False] * 4
    with pytest.raises(BadInput):
        await person.log_in(PASSWORD)
    assert await person.good(await person.log_in("another")) == [True]
    with pytest.raises(Unauthenticated):  # a thief's copy, whose request was under way
        await sessions.change_password(me, current="another", new="a third one")


async def test_a_session_can_be_renewed_until_it_is_too_old(person: Person) -> None:
    most = timedelta(seconds=person.ctx.settings.max_session_age_seconds)
    me = await person.enter(person.joined.issued.token)

    async def opened(ago: timedelta) -> None:
        async with person.ctx.write() as connection:
            await connection.execute(
                text("UPDATE sessions SET created_at = :at"), {"at": plain(datetime.now(UTC) - ago)}
            )

    await opened(most - timedelta(minutes=1))
    renewed = (await sessions.renew_token(me)).issued.token
    await opened(most)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="too old to be renewed; log in again"):
            await sessions.renew_token(me)
    assert await person.good(renewed, await person.log_in()) == [True, True]
    changed = await sessions.change_password(me, current=PASSWORD, new="another")
    assert await sessions.renew_token(await person.enter(changed.issued.token))


async def test_renewals_of_a_user_are_limited(tmp_path: Path) -> None:
    async with running_context(tmp_path, limits=True, renewals_per_user="3/hour") as ctx:
        person = await Person.register(ctx)
        # With an older token each would open a session, and end the oldest of the others.
        me = await person.enter(person.older_token())
        for _ in range(3):
            await sessions.renew_token(me)
        with pytest.raises(RateLimited, match="Too many renewals"):
            await sessions.renew_token(me)


async def test_an_older_token_that_was_ended_meanwhile_gains_no_session(person: Person) -> None:
    me = await person.enter(person.older_token(iat=int(time.time()) - 10))
    await sessions.log_out_everywhere(await person.enter(person.joined.issued.token))
    for late in (
        sessions.renew_token(me),
        sessions.change_password(me, current=PASSWORD, new="another"),
    ):
        with pytest.raises(Unauthenticated):
            await late
    assert await sessions.list_sessions(me) == []


async def test_a_wrong_current_password_changes_nothing(person: Person) -> None:
    one, two = await person.log_in(), await person.log_in()
    me = await person.enter(one)
    for current, new in (("wrong", "another"), ("", "another"), (PASSWORD, ""), ("x" * 80, "y")):
        with pytest.raises(BadInput):
            await sessions.change_password(me, current=current, new=new)
    assert await person.good(one, two, await person.log_in()) == [True] * 3


async def test_an_older_token_that_changes_the_password_gets_a_session(person: Person) -> None:
    me = await person.enter(person.older_token(iat=int(time.time()) - 10))
    changed = await sessions.change_password(me, current=PASSWORD, new="another")
    assert await person.good(changed.issued.token, person.joined.issued.token) == [True, False]


async def test_a_login_that_began_with_the_old_password_opens_no_session(person: Person) -> None:
    me = await person.enter(person.joined.issued.token)
    verify = person.ctx.passwords.verify
    changed = asyncio.Event()

    async def slowly(password: str, hashed: str | None, place: Place | None = None) -> Verdict:
        found = await verify(password, hashed, place)
        if asyncio.current_task() is login:
            await changed.wait()
        return found

    person.ctx.passwords.verify = slowly  # type: ignore[method-assign]  # to hold it midway
    login = asyncio.create_task(person.log_in())
    await asyncio.sleep(0.05)
    await sessions.change_password(me, current=PASSWORD, new="another")
    changed.set()
    with pytest.raises(BadInput, match="Invalid email or password"):
        await login


async def test_renewing_moves_the_end_of_the_session(person: Person) -> None:
    me = await person.enter(person.joined.issued.token)
    soon = datetime.now(UTC) + timedelta(seconds=100)
    async with person.ctx.write() as connection:
        await connection.execute(text("UPDATE sessions SET expires_at = :at"), {"at": plain(soon)})
    renewed = await sessions.renew_token(me)
    [session] = await sessions.list_sessions(me)
    assert session.expires_at == renewed.issued.expires_at > soon
    assert renewed.issued.session_id == me.user.session
    assert await person.good(renewed.issued.token, person.joined.issued.token) == [True, True]


async def test_a_session_that_has_ended_is_not_renewed(person: Person) -> None:
    me = await person.enter(person.joined.issued.token)
    await sessions.log_out(me)
    with pytest.raises(Unauthenticated):
        await sessions.renew_token(me)
    with pytest.raises(Unauthenticated):
        await sessions.change_password(me, current=PASSWORD, new="another")
    assert await person.good(await person.log_in()) == [True]


async def test_a_session_past_its_end_is_none(person: Person) -> None:
    token = await person.log_in()
    me = await person.enter(token)
    past = datetime.now(UTC) - timedelta(seconds=60)
    async with person.ctx.write() as connection:
        await connection.execute(
            text("UPDATE sessions SET expires_at = :at WHERE id = :id"),
            {"at": plain(past), "id": me.user.session},
        )
    person.ctx.tokens.forget(person.id)
    assert await person.good(token, person.joined.issued.token) == [False, True]
    assert [s.id for s in await sessions.list_sessions(me)] == [person.joined.issued.session_id]


async def test_sessions_of_a_user_are_bounded_and_the_oldest_ends(tmp_path: Path) -> None:
    async with running_context(tmp_path, max_sessions_per_user=3) as ctx:
        person = await Person.register(ctx)
        tokens = [person.joined.issued.token, *[await person.log_in() for _ in range(4)]]
        assert await person.good(*tokens) == [False, False, True, True, True]
        assert len(await sessions.list_sessions(await person.enter(tokens[-1]))) == 3


async def test_a_login_needs_the_log_only_where_an_older_session_ends(tmp_path: Path) -> None:
    async with running_context(tmp_path, max_sessions_per_user=2) as ctx:
        person = await Person.register(ctx)
        await ctx.log.close()
        token = await person.log_in()
        with pytest.raises(Unavailable):
            await person.log_in()
        assert len(await sessions.list_sessions(await person.enter(token))) == 2


async def test_older_tokens_can_be_switched_off(tmp_path: Path) -> None:
    for switch in (True, False):
        async with running_context(tmp_path / str(switch), legacy_tokens=switch) as ctx:
            person = await Person.register(ctx)
            older = [person.older_token(), person.older_token(iat=int(time.time()))]
            assert await person.good(person.joined.issued.token, *older) == [True, switch, switch]


async def test_logging_out_with_an_older_token_ends_all_of_those(person: Person) -> None:
    one = person.older_token(iat=int(time.time()) - 10)
    two = person.older_token(iat=int(time.time()) - 20)
    await sessions.log_out(await person.enter(one))
    assert await person.good(one, two, person.joined.issued.token) == [False, False, True]


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
async def test_an_end_of_older_tokens_goes_by_when_each_was_issued_in_either_unit(
    person: Person, unit: int
) -> None:
    now = time.time()
    before = person.older_token(iat=int((now - 5) * unit))
    after = person.older_token(iat=int((now + 60) * unit))
    # Of what says nothing that can be true, nobody knows whether it was before.
    unsaid = [person.older_token(iat=iat) for iat in ("today", (now + 10**6) * unit, None)]
    assert await person.good(before, after, *unsaid) == [True] * 5
    await sessions.log_out_everywhere(await person.enter(person.joined.issued.token))
    assert await person.good(before, after, *unsaid) == [False, True, False, False, False]


async def test_a_token_names_a_session_of_its_own_user(ctx: Context, person: Person) -> None:
    stranger = await Person.register(ctx)
    session_id = person.joined.issued.session_id
    assert await stranger.good(ctx.tokens.issue(stranger.id, session_id).token) == [False]
    assert await person.good(ctx.tokens.issue(person.id, session_id).token) == [True]


async def test_the_sweep_notes_what_was_seen_and_removes_what_has_expired(
    ctx: Context, person: Person
) -> None:
    me = await person.enter(await person.log_in())
    async with ctx.write() as connection:
        for column in ("created_at", "last_seen_at"):
            await connection.execute(text(f"UPDATE sessions SET {column} = '2020-01-01 00:00:00'"))
        await connection.execute(
            text("UPDATE sessions SET expires_at = '2020-02-01 00:00:00' WHERE id <> :id"),
            {"id": me.user.session},
        )
    await sessions.sweep_sessions(ctx)
    async with ctx.read() as connection:
        rows = await connection.execute(text("SELECT id FROM sessions"))
        assert [*rows.scalars()] == [me.user.session]
    [seen] = await sessions.list_sessions(me)
    assert datetime.now(UTC) - seen.last_seen_at < timedelta(seconds=30)
    assert seen.created_at.year == 2020


async def test_the_sweep_prunes_the_log_but_never_its_last_fact(
    ctx: Context, person: Person
) -> None:
    await sessions.log_out(await person.enter(person.joined.issued.token))
    async with ctx.write() as connection:
        await connection.execute(text("UPDATE log SET created_at = '2020-01-01 00:00:00'"))
    await sessions.log_out(await person.enter(await person.log_in()))
    await sessions.sweep_sessions(ctx)
    async with ctx.read() as connection:
        kept = await facts.read_log(connection, 0, ctx.feed.position, 10)
    assert [fact.id for fact in kept] == [ctx.feed.position]


async def test_whoever_is_logged_out_is_nobody(ctx: Context, person: Person) -> None:
    token = person.joined.issued.token
    assert (await get_me(await person.enter(token))).id == person.id
    await sessions.log_out(await person.enter(token))
    nobody = await auth.enter_request(ctx, token)
    for operation in (
        sessions.log_out,
        sessions.log_out_everywhere,
        sessions.list_sessions,
        sessions.renew_token,
        get_me,
    ):
        with pytest.raises(Unauthenticated, match="Invalid token"):
            await operation(nobody)
