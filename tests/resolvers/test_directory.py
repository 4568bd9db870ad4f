"""Contacts in memory: read once, kept current, and let go of; two processes agree."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Member
from events.facts import Members, MembersChanged
from resolvers import messages, reads
from resolvers.connections import enter
from resolvers.context import Context
from resolvers.guards import directory
from resolvers.guards.directory import Directory
from resolvers.people import presence, users
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.facts import add_group, say
from tests.resolvers.people import Line
from tests.support.redis import redis_server
from tests.support.statements import statements_sent


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """A server's operations, where people see their contacts."""
    async with running_context(tmp_path, database_url=database_url, directory="contacts") as ctx:
        yield ctx


async def test_contacts_are_read_once_and_kept_current(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    assert not ctx.directory.includes(alice.user.id, bob.user.id)
    with statements_sent() as sent:
        await reads.know_contacts(ctx, alice.user.id)
    assert sent == []
    await messages.send_message(bob, receiver_id=alice.user.id, content="hello")
    assert ctx.directory.includes(alice.user.id, bob.user.id)
    assert ctx.directory.includes(bob.user.id, alice.user.id)


async def test_a_message_during_the_read_is_not_lost(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    known, began, go_on = Directory("contacts"), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def reading() -> AsyncIterator[AsyncConnection]:
        async with ctx.read() as connection:
            yield connection
        began.set()
        await go_on.wait()

    ready = asyncio.create_task(known.ready(alice.user.id, reading))
    await began.wait()
    sent = await messages.send_message(bob, receiver_id=alice.user.id, content="hello")
    known.hear(sent)
    go_on.set()
    await ready
    assert known.includes(alice.user.id, bob.user.id)


async def test_a_read_that_fails_is_tried_again(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await messages.send_message(bob, receiver_id=alice.user.id, content="hello")
    known = Directory("contacts")

    @asynccontextmanager
    async def failing() -> AsyncIterator[AsyncConnection]:
        raise ConnectionError
        yield

    with pytest.raises(ConnectionError):
        await known.ready(alice.user.id, failing)
    assert not known.includes(alice.user.id, bob.user.id)
    await known.ready(alice.user.id, partial(reads.reading_log, ctx))
    assert known.includes(alice.user.id, bob.user.id)


async def test_who_has_no_connection_makes_room_for_others(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MOST_IDLE", 2)
    people = [await join(ctx) for _ in range(5)]
    ids = [person.user.id for person in people]
    known, reading = Directory("contacts"), partial(reads.reading_log, ctx)
    await known.ready(ids[0], reading)
    known.enter(ids[0])
    for id_ in ids[1:4]:
        await known.ready(id_, reading)
    await known.ready(ids[2], reading)  # the latest who asked
    await known.ready(ids[4], reading)
    assert [*known._known] == [ids[0], ids[2], ids[4]]
    known.leave(ids[0])
    assert [*known._known] == [ids[0], ids[4]]


async def _connected(ctx: Context) -> Context:
    """Somebody new, with a connection."""
    person = await join(ctx)
    token = person.tokens.issue(person.user.id, person.user.session_id).token
    return await enter(person, person.hub.open(Line()), token)


async def _leave(ctx: Context, group: int) -> None:
    """Have the viewer leave a group."""
    async with ctx.write() as connection:
        await connection.execute(
            update(Member)
            .where(col(Member.conversation_id) == group, col(Member.user_id) == ctx.user.id)
            .values(left_position=ctx.feed.position)
        )
    await say(ctx, MembersChanged(group, left=(ctx.user.id,)), Members(group))


async def test_members_of_a_group_see_each_other_until_one_leaves(ctx: Context) -> None:
    alice, bob, carol, stranger = [await _connected(ctx) for _ in range(4)]
    idle = await join(ctx)
    people = (alice, bob, carol, idle)
    await messages.send_message(alice, receiver_id=carol.user.id, content="hello")

    def sees(one: Context, other: Context) -> bool:
        found = ctx.directory.includes(one.user.id, other.user.id)
        if other is not idle:
            assert presence.is_seen_online(one, other.user.id) is found
        return found

    stream = presence.watch_presence(alice)
    assert {*await _ids(stream)} == {alice.user.id, carol.user.id}
    group = await add_group(ctx, {one.user.id: (0, None) for one in people})
    joined = tuple(one.user.id for one in people)
    await say(alice, MembersChanged(group, joined=joined), Members(group))
    await until(lambda: all(sees(a, b) for a in people for b in people), 10)
    assert not any(sees(a, stranger) or sees(stranger, a) for a in people)
    heard: set[int] = set()
    async with asyncio.timeout(10):
        while bob.user.id not in heard:
            heard.update(await _ids(stream))
    for one in (bob, carol):
        await _leave(one, group)
    await until(lambda: not sees(alice, bob), 10)
    assert not any(sees(bob, a) or sees(a, bob) for a in (alice, carol, idle))
    assert sees(alice, carol), "they have exchanged a message"
    assert sees(carol, alice)
    await until(lambda: not sees(carol, idle), 10)
    assert sees(alice, idle)
    async with asyncio.timeout(10):
        gone: set[int] = set()
        while bob.user.id not in gone:
            gone.update(change.user_id for change in await anext(stream) if not change.online)
    await stream.aclose()
    page, _ = await users.list_users(alice, search=None, first=10, after=0)
    assert {user.id for user in page} == {one.user.id for one in (alice, carol, idle)}
    again = Directory("contacts")
    for one in people:
        await again.ready(one.user.id, partial(reads.reading_log, ctx))
        assert again.circle(one.user.id) == ctx.directory.circle(one.user.id)


async def test_who_joins_or_leaves_during_the_read_is_not_lost(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    await add_group(ctx, {one.user.id: (0, None) for one in (alice, bob)})
    known, began, go_on = Directory("contacts"), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def reading() -> AsyncIterator[AsyncConnection]:
        async with ctx.read() as connection:
            yield connection
        began.set()
        await go_on.wait()

    ready = asyncio.create_task(known.ready(alice.user.id, reading))
    await began.wait()
    await known.join([alice.user.id, carol.user.id], [carol.user.id])
    known.leave_group(bob.user.id, ())
    go_on.set()
    await ready
    assert known.circle(alice.user.id) == {carol.user.id}


@pytest.mark.parametrize("shows", ["everyone", "off"])
async def test_the_other_settings_keep_and_ask_nothing(tmp_path: Path, shows: str) -> None:
    async with running_context(tmp_path, directory=shows) as ctx:
        alice, bob = await join(ctx), await join(ctx)
        with statements_sent() as sent:
            await reads.know_contacts(ctx, alice.user.id)
        assert sent == []
        await messages.send_message(bob, receiver_id=alice.user.id, content="hello")
        assert ctx.directory._known == {}
        assert ctx.directory.includes(alice.user.id, bob.user.id) is (shows == "everyone")
        assert ctx.directory.includes(alice.user.id, alice.user.id)
        assert ctx.feed._heard is None


async def test_new_contacts_see_each_other_in_every_process(
    database_url: str, tmp_path: Path
) -> None:
    with redis_server() as redis:
        shared = {"database_url": database_url, "directory": "contacts", "redis_url": redis.url}
        await _meet_across_processes(tmp_path, shared)


async def _meet_across_processes(tmp_path: Path, shared: dict[str, str]) -> None:
    async with (
        running_context(tmp_path, **shared) as here,
        running_context(tmp_path, **shared) as there,
    ):
        alice, bob = await join(here), await join(there)
        for person in (alice, bob):
            token = person.tokens.issue(person.user.id, person.user.session_id).token
            await enter(person, person.hub.open(Line()), token)
        streams = [presence.watch_presence(person) for person in (alice, bob)]
        async with asyncio.timeout(10):
            for stream, own in zip(streams, (alice, bob), strict=True):
                assert await _ids(stream) in ([], [own.user.id])
            await messages.send_message(alice, receiver_id=bob.user.id, content="hello")
            for stream, other in zip(streams, (bob, alice), strict=True):
                while other.user.id not in await _ids(stream):
                    pass
                await stream.aclose()
        assert here.directory.includes(alice.user.id, bob.user.id)
        assert there.directory.includes(bob.user.id, alice.user.id)


async def _ids(stream: object) -> list[int]:
    changes = await anext(stream)  # type: ignore[call-overload]  # an async generator
    return [change.user_id for change in changes if change.online]
