"""Everything that changes for the viewer comes once, in order: from the log, then live."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from db.models import EVERYBODY_ID, StoredMessage
from events.facts import (
    BlockChanged,
    Fact,
    MarksMoved,
    Members,
    MembersChanged,
    MessageDeleted,
    MessageEdited,
    OwnSettingsChanged,
    People,
    ReactionChanged,
    UserChanged,
)
from events.remembered import REMEMBERED
from resolvers import events, messages
from resolvers.context import Context
from resolvers.errors import BadInput, CursorExpired
from resolvers.events import Event, cursor_at, watch_events
from resolvers.people import blocks, sessions
from tests.events.lossy_bus import Network
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.facts import add_group, say
from tests.support.inbox import Inbox

END = "the end"


async def _send(ctx: Context, to: Context | None = None, content: str = "x") -> StoredMessage:
    receiver = None if to is None else to.user.id
    return await messages.send_message(ctx, receiver_id=receiver, content=content)


def _is_end(event: Event) -> bool:
    return isinstance(event, StoredMessage) and event.content == END


def _forget(ctx: Context) -> None:
    """Have replays read the log."""
    ctx.feed._remembered.go_back(-1)


def _listens(ctx: Context) -> bool:
    return any(connection.fact_sinks for connection in ctx.hub._table.get(ctx.user.id, ()))


@asynccontextmanager
async def _hearing(ctx: Context) -> AsyncIterator[Inbox[Event]]:
    """Collect the viewer's events from now on."""
    inbox: Inbox[Event] = Inbox()

    async def hear() -> None:
        async for event in watch_events(ctx, after=cursor_at(ctx, ctx.feed.position)):
            inbox.put(event)

    task = asyncio.create_task(hear())
    await until(lambda: _listens(ctx), 10)
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _replayed(ctx: Context, after: int) -> list[Event]:
    """Return the viewer's events past a position, up to a message END."""
    found: list[Event] = []
    async with (
        asyncio.timeout(20),
        aclosing(watch_events(ctx, after=cursor_at(ctx, after))) as all_,
    ):
        async for event in all_:
            if _is_end(event):
                return found
            found.append(event)
    raise AssertionError


async def _all_ways(ctx: Context, after: int) -> list[Event]:
    """Return a replay from memory, after asserting that one from the log is the same."""
    known = await _replayed(ctx, after)
    _forget(ctx)
    assert await _replayed(ctx, after) == known
    return known


async def test_each_fact_reaches_its_audience_live_and_later(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    start = ctx.feed.position
    async with _hearing(alice) as hers, _hearing(bob) as his, _hearing(carol) as carols:
        direct = await _send(alice, bob)
        where = direct.conversation_id
        both = People((alice.user.id, bob.user.id))
        edited = await say(alice, MessageEdited(direct.id, alice.user.id, where), both)
        marks = await say(bob, MarksMoved(where, read_position=direct.id), both)
        own = await say(bob, OwnSettingsChanged(where), People((bob.user.id,)))
        name = await say(carol, UserChanged(), Members(EVERYBODY_ID))
        for inbox in (hers, his, carols):
            await inbox.expect(lambda event: event.id == name.id)
        assert hers.items == [direct, edited, marks, name]
        assert his.items == [direct, edited, marks, own, name]
        assert carols.items == [name]
    assert edited.record == direct
    await _send(carol, None, END)
    assert await _all_ways(alice, start) == [direct, edited, marks, name]
    assert await _all_ways(bob, start) == [direct, edited, marks, own, name]
    assert await _all_ways(bob, marks.id) == [own, name]
    assert await _all_ways(carol, start) == [name]


async def test_a_fact_about_a_broadcast_is_for_those_who_may_see_the_broadcast(
    ctx: Context,
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    everybody = Members(EVERYBODY_ID)
    start = ctx.feed.position
    said = await _send(alice, None)
    newcomer = await join(ctx)
    assert newcomer.user.broadcasts_after >= said.id
    await blocks.block_user(bob, alice.user.id)
    async with _hearing(newcomer) as new, _hearing(bob) as his, _hearing(alice) as hers:
        liked = ReactionChanged(said.id, alice.user.id, EVERYBODY_ID, "👍", added=True)
        reaction = await say(alice, liked, everybody)
        renamed = await say(newcomer, UserChanged(), everybody)
        other = await say(alice, UserChanged(), everybody)  # a block hides no name
        for inbox in (new, hers, his):
            await inbox.expect(lambda event: event.id == other.id)
        assert hers.items == [reaction, renamed, other]
        assert new.items == his.items == [renamed, other]
    await _send(newcomer, None, END)
    assert await _all_ways(alice, start) == [said, reaction, renamed, other]
    assert await _all_ways(newcomer, start) == [renamed, other]
    blocked, *rest = await _all_ways(bob, start)
    assert isinstance(blocked, Fact)  # his own clients are told
    assert (blocked.body, rest) == (BlockChanged(alice.user.id, True), [renamed, other])


async def test_a_groups_facts_are_for_its_members_while_they_are_in(ctx: Context) -> None:
    people = [await join(ctx) for _ in range(5)]
    alice, bob, carol, late, stranger = people
    start = ctx.feed.position
    first, left, joined = start + 1, start + 3, start + 4
    group = await add_group(
        ctx,
        {alice.user.id: (0, None), bob.user.id: (first, left), carol.user.id: (joined, None)},
    )
    open_group = await add_group(
        ctx, {alice.user.id: (0, None), late.user.id: (joined, None)}, shows_earlier=True
    )
    said = [
        await say(alice, MembersChanged(group, joined=(bob.user.id,)), Members(group)),
        await say(alice, MarksMoved(group, read_position=1), Members(group)),
        await say(alice, MembersChanged(group, left=(bob.user.id,)), Members(group)),
        await say(alice, MembersChanged(group, joined=(carol.user.id,)), Members(group)),
        await say(alice, MarksMoved(group, read_position=2), Members(group)),
    ]
    opened = await say(alice, MarksMoved(open_group, read_position=3), Members(open_group))
    assert [fact.id for fact in said] == [*range(first, joined + 2)]
    await _send(alice, None, END)
    assert await _all_ways(alice, start) == [*said, opened]
    # Who joins or leaves hears that too.
    assert await _all_ways(bob, start) == said[:3]
    assert await _all_ways(carol, start) == said[3:]
    assert await _all_ways(late, start) == [opened]
    assert await _all_ways(late, 0) == [opened]
    assert await _all_ways(stranger, start) == []


async def test_connections_at_a_groups_topic_hear_it_and_who_left_hears_that(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    group = await add_group(ctx, {alice.user.id: (0, None), bob.user.id: (0, None)})
    async with _hearing(alice) as hers, _hearing(bob) as his:
        [connection] = ctx.hub._table[alice.user.id]
        ctx.hub.join(connection, ("conversation", group))
        left = await say(alice, MembersChanged(group, left=(bob.user.id,)), Members(group))
        marks = await say(alice, MarksMoved(group, read_position=1), Members(group))
        await hers.expect(lambda event: event.id == marks.id)
        assert hers.items == [left, marks]
        assert his.items == [left]


async def test_messages_alone_are_what_other_watchers_get(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    watch = messages.watch_messages(bob, after=ctx.feed.position)
    waiting = asyncio.ensure_future(anext(watch))
    await until(lambda: bool(ctx.hub.sinks_at(bob.user.id)), 10)
    await say(alice, UserChanged(), Members(EVERYBODY_ID))
    sent = await _send(alice, bob)
    assert await waiting == sent
    await watch.aclose()


async def test_a_replay_shows_each_message_as_it_is_now(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = ctx.feed.position
    both = People((alice.user.id, bob.user.id))
    sent = await _send(alice, bob, "before")
    about = (sent.id, alice.user.id, sent.conversation_id)
    await say(alice, MessageEdited(*about), both)
    async with ctx.write() as connection:
        await connection.execute(text("UPDATE messages SET content = 'after'"))
    await say(alice, MessageDeleted(*about), both)
    await _send(alice, bob, END)
    message, edited, deleted = await _all_ways(bob, start)
    assert isinstance(message, StoredMessage)
    assert isinstance(edited, Fact)
    assert isinstance(deleted, Fact)
    assert message == edited.record == deleted.record == replace(sent, content="after")


@pytest.mark.parametrize("seed", range(3))
async def test_a_reader_cut_anywhere_gets_the_rest_and_no_more(
    ctx: Context, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE", 5)
    monkeypatch.setattr(events, "POSITIONS", 7)
    chance = random.Random(seed)
    alice, bob, _ = people = [await join(ctx) for _ in range(3)]
    group = await add_group(ctx, {bob.user.id: (ctx.feed.position + 20, None)})
    start = ctx.feed.position

    async def speak() -> None:
        one, other = chance.sample(people, 2)
        what = chance.randrange(6)
        if what <= 1:
            await _send(one, other)
        elif what == 2:
            message = await _send(one, None)
            edited = MessageEdited(message.id, one.user.id, EVERYBODY_ID)
            await say(one, edited, Members(EVERYBODY_ID))
        elif what == 3:
            await say(one, MarksMoved(9, read_position=1), People((one.user.id, other.user.id)))
        elif what == 4:
            await say(one, MarksMoved(group, read_position=1), Members(group))
        else:
            await say(one, OwnSettingsChanged(), People((one.user.id,)))

    async with _hearing(bob) as live:
        for _ in range(60):
            await speak()
        end = await _send(alice, None, END)
        await live.expect(_is_end)
    shown = await _replayed(bob, start)
    of_group = [
        event for event in shown if isinstance(event, Fact) and event.audience == Members(group)
    ]
    assert of_group
    assert live.items[:-1] == [event for event in shown if event not in of_group]  # joins no topic
    assert [event.id for event in shown] == sorted({event.id for event in shown})
    _forget(ctx)
    for cut in range(start, end.id):
        assert await _replayed(bob, cut) == [event for event in shown if event.id > cut]


async def test_more_than_memory_holds_is_read_page_by_page(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = ctx.feed.position
    mine = People((bob.user.id,))
    await asyncio.gather(
        *(say(alice, MarksMoved(1, read_position=n), mine) for n in range(REMEMBERED + 200))
    )
    await _send(alice, bob, END)
    assert len(await _replayed(bob, start)) == REMEMBERED + 200


async def test_a_cursor_that_leads_nowhere_is_refused(ctx: Context) -> None:
    alice = await join(ctx)
    await _send(alice)
    position = ctx.feed.position
    for wrong in ("", "x", "-1", "01", "1 ", "1" * 20, "9" * 1000, f"{'0' * 11}-1", "½"):
        with pytest.raises(BadInput, match="after is not a cursor"):
            await anext(watch_events(alice, after=wrong))
    for gone in (cursor_at(ctx, position + 1), f"{position + 1}", f"{'0' * 12}-{position}"):
        with pytest.raises(CursorExpired, match="query anew"):
            await anext(watch_events(alice, after=gone))
    waiting = asyncio.ensure_future(anext(watch_events(alice, after=f"{position}")))
    await until(lambda: _listens(alice), 10)
    assert await _send(alice, None) == await waiting


async def test_a_cursor_from_before_what_was_pruned_has_expired(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = ctx.feed.position
    await _send(alice, bob)
    marks = await say(alice, MarksMoved(1, read_position=1), People((bob.user.id,)))
    await sessions.log_out(await join(ctx))  # a fact that nobody is shown
    async with ctx.write() as connection:
        await connection.execute(text("UPDATE log SET created_at = '2020-01-01 00:00:00'"))
    await say(alice, OwnSettingsChanged(), People((alice.user.id,)))
    await _send(alice, bob, END)
    assert await _replayed(bob, start)
    _forget(ctx)
    assert await _replayed(bob, start)
    await sessions.sweep_sessions(ctx)
    with pytest.raises(CursorExpired):
        await _replayed(bob, start)
    assert await _replayed(bob, marks.id) == []
    async with ctx.read() as connection:
        rows = await connection.execute(text("SELECT user_id FROM log_people"))
        assert [row[0] for row in rows] == [alice.user.id]


async def test_every_process_has_the_same(database_url: str, tmp_path: Path) -> None:
    async with (
        running_context(tmp_path / "1", database_url=database_url) as here,
        running_context(tmp_path / "2", database_url=database_url) as there,
    ):
        alice, bob = await join(here), await join(here)
        bob_there = there.as_viewer(bob.user)
        there.feed.catch_up()
        async with _hearing(bob_there) as live:
            sent = await _send(alice, bob)
            edited = MessageEdited(sent.id, alice.user.id, sent.conversation_id)
            fact = await say(alice, edited, People((alice.user.id, bob.user.id)))
            there.feed.catch_up()
            await live.expect(lambda event: event.id == fact.id)
            assert live.items == [sent, fact]
            assert fact.record == sent


async def test_after_a_loss_a_cursor_of_before_it_has_expired(ctx: Context) -> None:
    alice = await join(ctx)
    sent = [await _send(alice) for _ in range(3)]
    cursors = [cursor_at(ctx, message.id) for message in sent]
    ctx.feed._lost = (sent[0].id, sent[2].id, monotonic())
    with pytest.raises(CursorExpired):
        await anext(watch_events(alice, after=cursors[1]))
    watch = watch_events(alice, after=cursors[0])
    assert await anext(watch) == sent[1]
    await watch.aclose()


class _Hears:
    """As much of a feed as the bus needs."""

    def __init__(self) -> None:
        self.batches: Inbox[Sequence[Event]] = Inbox()

    def announce(self, batch: Sequence[Event]) -> None:
        """Take a batch."""
        self.batches.put(batch)


async def test_facts_travel_with_the_messages_that_they_are_about(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await _send(alice, bob)
    about = MessageEdited(sent.id, alice.user.id, sent.conversation_id)
    both = People((alice.user.id, bob.user.id))
    fact = await say(alice, about, both)
    marks = await say(bob, MarksMoved(read_position=1), both)
    network, here, there = Network(), _Hears(), _Hears()
    announce = messages.announce_committed(cast("Any", here), network.bus())
    messages.announce_committed(cast("Any", there), network.bus())
    announce([sent, fact, marks])
    announce([sent])
    [mixture, plain] = await there.batches.expect_many(lambda batch: True, 2)
    assert [*mixture] == [sent, fact, marks]
    assert [*plain] == [sent]
    assert here.batches.items == [[sent, fact, marks], [sent]]
