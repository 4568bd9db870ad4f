"""Marks: they move forward only, and are seen by those whom they concern."""

import asyncio
from typing import Any

import pytest

from db import facts
from db.log.changes.marks import MarkDelivered, MarkRead
from db.log.changes.own_settings import UnknownConversation
from db.models import EVERYBODY_ID, ListedConversation
from events.facts import Fact, MarksMoved, OwnSettingsChanged, People, ReceiptsChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.conversations import listing, marks
from resolvers.conversations.listing import OthersMarks
from resolvers.errors import NotFound, Unauthenticated
from resolvers.of_messages import edits
from resolvers.people import blocks, settings
from tests.resolvers.conftest import join


async def send(ctx: Context, to: Context | None, text: str = "x") -> int:
    """Return the position of a message to somebody, or to everybody."""
    receiver = None if to is None else to.user.id
    return (await messages.send_message(ctx, receiver_id=receiver, content=text)).id


async def between(ctx: Context, other: Context) -> ListedConversation:
    """Return the viewer's conversation with somebody."""
    return await listing.get_conversation(ctx, with_id=other.user.id)


async def unread(ctx: Context, listed: ListedConversation) -> int:
    """Return how many messages of the conversation the viewer has not read."""
    return (await listing.count_unread(ctx, [listed]))[listed.id]


async def seen(ctx: Context, other: Context) -> list[OthersMarks]:
    """Return the marks that the viewer sees in a conversation."""
    listed = await between(ctx, other)
    members = await listing.list_members_of(ctx, [listed], after=0, limit=9)
    receipts = (await settings.get_settings(ctx)).read_receipts
    [found] = await listing.list_marks(ctx, [(listed, members[listed.id])], receipts=receipts)
    return found


async def told(ctx: Context, kind: type = MarksMoved) -> list[tuple[Any, Any, Any]]:
    """Return the stored facts of a kind: who, what, and who is told."""
    async with ctx.db.read_written() as connection:
        entries = await facts.read_log(connection, 0, 2**62, 1000)
    return [
        (entry.actor_id, entry.body, entry.audience)
        for entry in entries
        if isinstance(entry, Fact) and isinstance(entry.body, kind)
    ]


async def test_a_read_mark_moves_forward_and_both_see_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    ids = [await send(alice, bob) for _ in range(4)]
    listed = await between(bob, alice)
    assert await unread(bob, listed) == 4
    assert await seen(alice, bob) == [OthersMarks(bob.user.id, 0, 0)]
    listed = await marks.mark_read(bob, listed.id, upto=ids[1])
    assert (listed.read_position, await unread(bob, listed)) == (ids[1], 2)
    assert await seen(alice, bob) == [OthersMarks(bob.user.id, ids[1], 0)]
    pair = People(tuple(sorted((alice.user.id, bob.user.id))))
    moved = (bob.user.id, MarksMoved(listed.id, read_position=ids[1]), pair)
    assert await told(ctx) == [moved]
    # Not back, and not where it is.
    for upto in (ids[1], ids[0], 1):
        assert (await marks.mark_read(bob, listed.id, upto=upto)).read_position == ids[1]
    assert await told(ctx) == [moved]
    # Past the end it is the last message, by either name.
    listed = await marks.mark_read(bob, with_id=alice.user.id, upto=2**50)
    assert (listed.read_position, await unread(bob, listed)) == (ids[3], 0)
    assert len(await told(ctx)) == 2
    assert (await marks.mark_read(bob, listed.id, upto=2**60)).read_position == ids[3]
    assert len(await told(ctx)) == 2


async def test_a_mark_between_two_messages_is_at_the_one_before(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    first = await send(alice, bob)
    elsewhere = await send(alice, carol)
    await send(alice, bob)
    listed = await marks.mark_read(bob, with_id=alice.user.id, upto=elsewhere)
    assert listed.read_position == first
    # Before the first message there is nothing to mark.
    assert (await marks.mark_read(carol, with_id=alice.user.id, upto=first)).read_position == 0


async def test_ones_own_messages_are_not_unread_and_may_be_marked(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    own = await send(alice, bob)
    listed = await between(alice, bob)
    assert await unread(alice, listed) == 0
    assert (await marks.mark_read(alice, listed.id, upto=own)).read_position == own
    other = await send(bob, alice)
    assert await unread(alice, await between(alice, bob)) == 1
    assert (await marks.mark_read(alice, listed.id, upto=other)).read_position == other


async def test_a_conversation_that_one_is_not_in_is_as_missing(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    sent = await send(alice, bob)
    theirs = await between(alice, bob)
    for id_ in (theirs.id, 2**40):
        with pytest.raises(NotFound, match="Conversation not found"):
            await marks.mark_read(carol, id_, upto=sent)
    for other in (alice.user.id, 2**40, carol.user.id):
        with pytest.raises(NotFound, match="Conversation not found"):
            await marks.mark_read(carol, with_id=other, upto=sent)
    with pytest.raises(Unauthenticated):
        await marks.mark_read(ctx, theirs.id, upto=sent)
    with pytest.raises(Unauthenticated):
        await marks.mark_delivered(ctx, sent)
    # Nor does the log store one, whatever asks it.
    with pytest.raises(UnknownConversation):
        await ctx.log.append(MarkRead(carol.user.id, theirs.id, sent))
    assert await told(ctx) == []


async def test_marks_of_one_batch_are_merged(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    ids = [await send(alice, bob) for _ in range(5)]
    other = await send(carol, bob)
    listed, second = await between(bob, alice), await between(bob, carol)
    changes = [MarkRead(bob.user.id, listed.id, upto) for upto in (*ids[:4], ids[2])]
    changes.insert(2, MarkRead(bob.user.id, second.id, other))
    changes.append(MarkRead(alice.user.id, listed.id, ids[4]))
    outcomes = await asyncio.gather(*map(ctx.log.append, changes))
    made = [outcome and outcome.body for outcome in outcomes]
    assert made == [
        None,
        None,
        MarksMoved(second.id, read_position=other),
        None,
        MarksMoved(listed.id, read_position=ids[3]),
        None,
        MarksMoved(listed.id, read_position=ids[4]),
    ]
    assert (await between(bob, alice)).read_position == ids[3]
    assert (await between(bob, carol)).read_position == other
    assert (await between(alice, bob)).read_position == ids[4]
    delivered = [MarkDelivered(bob.user.id, upto) for upto in (ids[1], ids[3], ids[0])]
    outcomes = await asyncio.gather(*map(ctx.log.append, delivered))
    assert [outcome is not None for outcome in outcomes] == [False, True, False]


async def test_what_is_delivered_is_one_mark_for_all_conversations(ctx: Context) -> None:
    alice, bob, carol, dora = [await join(ctx) for _ in range(4)]
    first = await send(alice, bob)
    await send(dora, bob)
    assert await marks.mark_delivered(bob, await send(carol, dora))
    second = await send(carol, bob)
    third = await send(alice, bob)
    assert await marks.mark_delivered(bob, second)
    assert not await marks.mark_delivered(bob, second)
    assert not await marks.mark_delivered(bob, first)
    # Each sees the last of the messages between the two that has arrived.
    assert await seen(alice, bob) == [OthersMarks(bob.user.id, 0, first)]
    assert await seen(carol, bob) == [OthersMarks(bob.user.id, 0, second)]
    assert await marks.mark_delivered(bob, 2**50)
    assert await seen(alice, bob) == [OthersMarks(bob.user.id, 0, third)]
    # It is told to those between whom and the user something was exchanged since.
    people = [set(audience.ids) for _, _, audience in await told(ctx)]
    ids = [{other.user.id, bob.user.id} for other in (alice, dora, carol)]
    assert people == [ids[0] | ids[1], ids[2], ids[0]]
    end = ctx.feed.position
    assert (await told(ctx))[-1][1].delivered_position < end


async def test_own_delivered_mark_is_seen_by_conversation(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first = await send(alice, bob)
    await marks.mark_delivered(bob, first)
    await send(alice, bob)
    listed = await between(bob, alice)
    position = (await settings.get_settings(bob)).delivered_position
    assert await listing.list_delivered(bob, [listed], position) == [first]


async def test_read_receipts_off_hides_both_ways(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first = await send(alice, bob)
    await send(bob, alice)
    await marks.mark_read(bob, with_id=alice.user.id, upto=first)
    assert (await settings.get_settings(alice)).read_receipts is True
    assert (await settings.update_settings(alice, read_receipts=False)).read_receipts is False
    assert await told(ctx, OwnSettingsChanged) == [
        (alice.user.id, OwnSettingsChanged(read_receipts=False), People((alice.user.id,)))
    ]
    hidden = (alice.user.id, ReceiptsChanged(shown=False), People((bob.user.id,)))
    assert await told(ctx, ReceiptsChanged) == [hidden]
    await settings.update_settings(alice, read_receipts=False)
    assert len(await told(ctx, OwnSettingsChanged)) == 1
    assert (await seen(alice, bob))[0].read == 0
    before = len(await told(ctx))
    second = await send(alice, bob)
    await marks.mark_read(bob, with_id=alice.user.id, upto=second)
    await marks.mark_read(alice, with_id=bob.user.id, upto=second)
    audiences = [audience for _, _, audience in (await told(ctx))[before:]]
    assert audiences == [People((bob.user.id,)), People((alice.user.id,))]
    assert (await seen(bob, alice))[0].read == 0
    # One's own mark is one's own.
    assert (await between(alice, bob)).read_position == second
    # What was delivered is still seen.
    await marks.mark_delivered(bob, second)
    assert (await seen(alice, bob))[0].delivered == second
    await settings.update_settings(alice, read_receipts=True)
    assert (await seen(alice, bob))[0].read == second
    assert (await seen(bob, alice))[0].read == second


async def test_marks_pass_between_nobody_whom_a_block_keeps_apart(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    await blocks.block_user(bob, alice.user.id)
    await marks.mark_read(bob, with_id=alice.user.id, upto=sent)
    await marks.mark_delivered(bob, sent)
    own = People((bob.user.id,))
    assert [audience for _, _, audience in await told(ctx)] == [own, own]
    assert await seen(alice, bob) == [OthersMarks(bob.user.id, 0, 0)]


async def test_marks_of_the_conversation_of_everybody_are_ones_own(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    before = await send(alice, None)
    carol = await join(ctx)
    sent = await send(alice, None)
    listed = await listing.get_conversation(carol, EVERYBODY_ID)
    assert await unread(carol, listed) == 1  # those of before she came are not hers
    listed = await marks.mark_read(carol, EVERYBODY_ID, upto=sent)
    assert (listed.read_position, await unread(carol, listed)) == (sent, 0)
    assert [each[2] for each in await told(ctx)] == [People((carol.user.id,))]
    bobs = await listing.get_conversation(bob, EVERYBODY_ID)
    assert (bobs.read_position, await unread(bob, bobs)) == (0, 2)
    assert (await marks.mark_read(bob, EVERYBODY_ID, upto=before)).read_position == before


async def test_what_is_deleted_is_not_unread(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    ids = [await send(alice, bob) for _ in range(3)]
    await edits.delete_message(alice, message_id=ids[1])
    listed = await between(bob, alice)
    assert await unread(bob, listed) == 2
    assert listed.last_position == ids[2]


async def test_a_hundred_stand_for_more(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await asyncio.gather(*(send(alice, bob) for _ in range(130)))
    assert await unread(bob, await between(bob, alice)) == 100
