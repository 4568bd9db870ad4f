"""Read marks pass only between people who both show theirs; others hear when that changes."""

from db.models import StoredMessage
from events.facts import Fact, MarksMoved, Members, OwnSettingsChanged, People, ReceiptsChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.conversations import groups, marks
from resolvers.events import Event
from resolvers.people import blocks
from resolvers.people.settings import load_hiding, update_settings
from tests.resolvers.conftest import join
from tests.resolvers.test_events import END, _all_ways, _hearing, _send


async def _begin(owner: Context, *others: Context) -> int:
    ids = [other.user.id for other in others]
    return await groups.create_group(owner, title="Us", member_ids=ids)


async def _say(ctx: Context, group: int, content: str = "x") -> StoredMessage:
    return await messages.send_message(
        ctx, receiver_id=None, conversation_id=group, content=content
    )


def _is_end(event: Event) -> bool:
    return isinstance(event, StoredMessage) and event.content == END


def _moved(events: list[Event]) -> list[tuple[int | None, int | None]]:
    """Who has read up to where, of the events."""
    return [
        (event.actor_id, event.body.read_position)
        for event in events
        if isinstance(event, Fact) and isinstance(event.body, MarksMoved)
    ]


def _switched(events: list[Event]) -> list[tuple[int | None, ReceiptsChanged]]:
    return [
        (event.actor_id, event.body)
        for event in events
        if isinstance(event, Fact) and isinstance(event.body, ReceiptsChanged)
    ]


async def test_who_hides_read_marks_in_a_group_gets_none(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await _begin(alice, bob, carol)
    start = ctx.feed.position
    said = (await _say(alice, group)).id
    await marks.mark_read(carol, group, upto=said)  # while bob still shows his
    await update_settings(bob, read_receipts=False)
    async with _hearing(alice) as hers, _hearing(bob) as his, _hearing(carol) as others:
        await marks.mark_read(alice, group, upto=said)
        await marks.mark_read(bob, group, upto=said)
        await _send(alice, None, END)
        for inbox in (hers, his, others):
            await inbox.expect(_is_end)
        assert _moved(hers.items) == _moved(others.items) == [(alice.user.id, said)]
        assert _moved(his.items) == [(bob.user.id, said)]  # his own, on other devices
    # A replay shows him none either, also not what came before he hid his.
    assert _moved(await _all_ways(bob, start)) == [(bob.user.id, said)]
    both = [(carol.user.id, said), (alice.user.id, said)]
    assert _moved(await _all_ways(alice, start)) == both
    # Nor do others see in a replay what was told before it was hidden.
    await update_settings(carol, read_receipts=False)
    assert _moved(await _all_ways(alice, start)) == [(alice.user.id, said)]
    await update_settings(bob, read_receipts=True)
    assert (alice.user.id, said) in _moved(await _all_ways(bob, start))


async def test_a_direct_conversation_hides_read_marks_alike(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = ctx.feed.position
    said = (await _send(alice, bob)).id
    await marks.mark_read(bob, with_id=alice.user.id, upto=said)
    await update_settings(alice, read_receipts=False)
    await _send(alice, None, END)
    assert _moved(await _all_ways(alice, start)) == []
    assert _moved(await _all_ways(bob, start)) == [(bob.user.id, said)]


async def test_those_who_share_a_conversation_hear_that_receipts_are_switched(
    ctx: Context,
) -> None:
    alice, bob, carol, dora, eve = [await join(ctx) for _ in range(5)]
    group, other = await _begin(alice, carol), await _begin(bob, carol)
    await _send(alice, bob)
    await _send(eve, alice)
    await blocks.block_user(eve, alice.user.id)
    start = ctx.feed.position
    await update_settings(alice, read_receipts=False)
    await update_settings(alice, read_receipts=False)
    await _send(alice, None, END)
    entries = ctx.feed.last_entries(start, ctx.feed.position) or []
    facts = [(fact.body, fact.audience) for fact in entries if isinstance(fact, Fact)]
    assert facts == [
        (OwnSettingsChanged(read_receipts=False), People((alice.user.id,))),
        (ReceiptsChanged(shown=False), People((bob.user.id,))),
        (ReceiptsChanged(shown=False, conversation_id=group), Members(group)),
    ]
    hidden = ReceiptsChanged(shown=False)
    assert _switched(await _all_ways(bob, start)) == [(alice.user.id, hidden)]
    in_group = ReceiptsChanged(shown=False, conversation_id=group)
    assert _switched(await _all_ways(carol, start)) == [(alice.user.id, in_group)]
    for unconcerned in (alice, dora):
        assert _switched(await _all_ways(unconcerned, start)) == []
    # Who sees no marks is not told whose there are.
    await update_settings(carol, read_receipts=False)
    assert _switched(await _all_ways(carol, start)) == []
    assert other != group


async def test_who_hides_marks_is_loaded_at_the_start(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await update_settings(alice, read_receipts=False)
    assert {*ctx.hiding.keys} == {alice.user.id}
    ctx.hiding.put(alice.user.id, False)
    ctx.hiding.put(bob.user.id, True)
    await load_hiding(ctx.db, ctx.hiding)
    assert {*ctx.hiding.keys} == {alice.user.id}
    await update_settings(alice, read_receipts=True)
    assert not ctx.hiding.keys
