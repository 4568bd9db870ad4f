"""Searching in groups: from joining to leaving, whoever has blocked whom."""

from db.models import StoredMessage
from resolvers import messages
from resolvers.context import Context
from resolvers.conversations import groups
from resolvers.people import blocks
from tests.resolvers.conftest import join
from tests.resolvers.searching import finds, ids_of, look


async def begin(ctx: Context, *others: Context, shows_earlier: bool = False) -> int:
    ids = [other.user.id for other in others]
    return await groups.create_group(ctx, title="Us", member_ids=ids, shows_earlier=shows_earlier)


async def say(ctx: Context, group: int, content: str) -> StoredMessage:
    return await messages.send_message(
        ctx, receiver_id=None, conversation_id=group, content=content
    )


async def test_members_find_what_was_said_while_they_were_in(ctx: Context) -> None:
    alice, bob, carol, stranger = [await join(ctx) for _ in range(4)]
    group = await begin(alice, bob)
    before = await say(alice, group, "plan before")
    await groups.add_members(alice, group, [carol.user.id])
    between = await say(bob, group, "plan between")
    await groups.remove_member(alice, group, carol.user.id)
    after = await say(alice, group, "plan after")
    await finds(bob, "plan", before, between, after)
    await finds(carol, "plan", between)
    assert ids_of(await look(carol, "plan", conversation_id=group)) == [between.id]
    assert ids_of(await look(alice, "plan", conversation_id=group)) == [
        after.id,
        between.id,
        before.id,
    ]
    assert ids_of(await look(bob, "plan", sender_id=alice.user.id)) == [after.id, before.id]
    assert ids_of(await look(stranger, "plan")) == []


async def test_newcomers_find_earlier_messages_where_the_group_shows_them(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await begin(alice, bob, shows_earlier=True)
    before = await say(alice, group, "plan before")
    await groups.add_members(alice, group, [carol.user.id])
    await finds(carol, "plan", before)


async def test_who_has_left_still_finds_what_was_said_before(ctx: Context) -> None:
    alice, bob = [await join(ctx) for _ in range(2)]
    group = await begin(alice, bob)
    own = await say(bob, group, "plan of mine")
    theirs = await say(alice, group, "plan of theirs")
    await groups.leave_group(bob, group)
    await say(alice, group, "plan without you")
    await finds(bob, "plan", own, theirs)


async def test_a_block_hides_nothing_in_a_group(ctx: Context) -> None:
    alice, bob = [await join(ctx) for _ in range(2)]
    group = await begin(alice, bob)
    await blocks.block_user(bob, alice.user.id)
    said = await say(alice, group, "plan for all of us")
    await finds(bob, "plan", said)
