"""Read marks pass only between people who both show theirs; others hear when that changes."""

from sqlalchemy import event

from db.log.changes.change import Made
from db.log.changes.marks import MarkDelivered
from db.log.reader import LogReader
from db.models import StoredMessage
from events.facts import Fact, MarksMoved, Members, OwnSettingsChanged, People, ReceiptsChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.conversations import groups, marks
from resolvers.events import Event
from resolvers.people import blocks
from resolvers.people.settings import load_hiding, update_settings
from tests.db.rows import NOW
from tests.resolvers.conftest import join
from tests.resolvers.test_events import END, _all_ways, _hearing, _send


async def _begin(owner: Context, *others: Context) -> int:
    ids = [other.user.id for other in others]
    return await groups.create_group(owner, title="Us", member_ids=ids)


async def _say(ctx: Context, group: int, content: str = "x") -> StoredMessage:
    return await messages.send_message(
        ctx, receiver_id=None, conversation_id=group, content=content
    )


def _is_end(entry: Event) -> bool:
    return isinstance(entry, StoredMessage) and entry.content == END


def _moved(events: list[Event]) -> list[tuple[int | None, int | None]]:
    """Who has read up to where, of the events."""
    return [
        (entry.actor_id, entry.body.read_position)
        for entry in events
        if isinstance(entry, Fact) and isinstance(entry.body, MarksMoved)
    ]


def _switched(events: list[Event]) -> list[tuple[int | None, ReceiptsChanged]]:
    return [
        (entry.actor_id, entry.body)
        for entry in events
        if isinstance(entry, Fact) and isinstance(entry.body, ReceiptsChanged)
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


async def test_a_mark_in_a_group_that_was_left_reaches_ones_own_clients_alone(
    ctx: Context,
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    group = await _begin(alice, bob)
    said = (await _say(alice, group)).id
    await groups.leave_group(bob, group)
    start = ctx.feed.position
    await marks.mark_read(bob, group, upto=said)
    await _send(alice, None, END)
    assert _moved(await _all_ways(bob, start)) == [(bob.user.id, said)]
    assert _moved(await _all_ways(alice, start)) == []


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
    _, entries = await LogReader(ctx.db).read_written(start, 100)
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


def _delivered(events: list[Event]) -> list[tuple[int | None, int | None, int | None]]:
    """Whose marks moved, where, and up to where."""
    return [
        (entry.actor_id, entry.body.conversation_id, entry.body.delivered_position)
        for entry in events
        if isinstance(entry, Fact) and isinstance(entry.body, MarksMoved)
    ]


async def test_who_wrote_in_a_group_hears_what_has_been_delivered(ctx: Context) -> None:
    alice, bob, carol, dora = [await join(ctx) for _ in range(4)]
    group = await _begin(alice, bob, carol, dora)
    await _begin(dora, carol)
    first = (await _say(dora, group)).id
    await marks.mark_delivered(carol, first)
    start = ctx.feed.position
    said = (await _say(alice, group)).id
    async with _hearing(alice) as hers:
        await marks.mark_delivered(carol, said)
        await _send(alice, None, END)
        await hers.expect(_is_end)
        assert _delivered(hers.items) == [(carol.user.id, None, said)]
    assert _delivered(await _all_ways(alice, start)) == [(carol.user.id, None, said)]
    assert _delivered(await _all_ways(carol, start)) == [(carol.user.id, None, said)]
    # Nobody else: they wrote nothing since, or are not in it any more.
    for other in (bob, dora):
        assert _delivered(await _all_ways(other, start)) == []
    await _say(bob, group)
    await groups.leave_group(bob, group)
    start = ctx.feed.position
    await marks.mark_delivered(carol, start)
    await _send(alice, None, END)
    assert _delivered(await _all_ways(bob, start)) == []


async def test_a_block_hides_a_delivered_mark_in_the_direct_conversation_alone(
    ctx: Context,
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    group = await _begin(alice, bob)
    await _send(alice, bob)
    await blocks.block_user(bob, alice.user.id)
    said = (await _say(alice, group)).id
    start = ctx.feed.position
    await marks.mark_delivered(bob, said)
    await _send(bob, None, END)
    await _send(alice, None, END)
    assert _delivered(await _all_ways(alice, start)) == [(bob.user.id, group, said)]
    assert _delivered(await _all_ways(bob, start)) == [(bob.user.id, None, said)]


async def test_acknowledgements_of_many_are_written_together(ctx: Context) -> None:
    people = [await join(ctx) for _ in range(12)]
    group = await _begin(*people)
    said = (await _say(people[0], group)).id
    changes = [MarkDelivered(person.user.id, said) for person in people[1:]]
    counted: list[int] = []
    for some in (changes[:1], changes[1:]):
        statements: list[str] = []
        async with ctx.db.write() as connection:
            engine = connection.sync_connection
            assert engine is not None

            def note(*call: object, into: list[str] = statements) -> None:
                into.append(str(call[2]))

            event.listen(engine, "before_cursor_execute", note)
            outcomes = await MarkDelivered.write(connection, some, NOW)
        counted.append(len(statements))
        for change, made in zip(some, outcomes, strict=True):
            assert isinstance(made, Made)
            told = tuple(sorted((people[0].user.id, change.user_id)))
            assert (made.body, made.audience) == (
                MarksMoved(delivered_position=said),
                People(told),
            )
    assert counted[0] == counted[1]


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
