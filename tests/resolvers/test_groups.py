"""Groups: only their members read, hear and write, exactly, in every process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from db.facts import read_log
from db.messages import head_position
from db.models import MemberRole, StoredMessage
from events.facts import Fact, MembersChanged
from resolvers import events, messages
from resolvers.context import Context
from resolvers.conversations import groups, listing
from resolvers.errors import BadInput, Forbidden, NotFound, RateLimited
from resolvers.people import accounts, blocks
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_exact_authority import _go_on, _hold_up, _two
from tests.support.inbox import Inbox


async def _create(ctx: Context, *others: Context, shows_earlier: bool = False) -> int:
    ids = [other.user.id for other in others]
    return await groups.create_group(ctx, title="Us", member_ids=ids, shows_earlier=shows_earlier)


async def _say(
    ctx: Context, group: int, content: str = "x", key: str | None = None
) -> StoredMessage:
    return await messages.send_message(
        ctx, receiver_id=None, conversation_id=group, content=content, client_message_id=key
    )


async def _read(ctx: Context) -> list[str]:
    page = await messages.list_messages(ctx, limit=50)
    return [message.content for message in page.messages]


@asynccontextmanager
async def _hearing(ctx: Context) -> AsyncIterator[Inbox[StoredMessage]]:
    """What a subscriber to `messageAdded` hears while the block lasts."""
    inbox: Inbox[StoredMessage] = Inbox()

    async def listen() -> None:
        async for message in messages.watch_messages(ctx):
            inbox.put(message)

    task = asyncio.create_task(listen())
    await until(lambda: bool(ctx.hub.sinks_at(ctx.user.id)), 10)
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _heard(inbox: Inbox[StoredMessage], last: str) -> list[str]:
    await inbox.expect(lambda message: message.content == last)
    return [message.content for message in inbox.items]


def _older(ctx: Context) -> Context:
    """The same user on an older wire."""
    return replace(ctx, shows_groups=False)


async def test_members_hear_and_read_what_is_said_while_they_are_in(ctx: Context) -> None:
    alice, bob, carol, dave = [await join(ctx) for _ in range(4)]
    group = await _create(alice, bob)
    start = ctx.feed.position
    async with (
        _hearing(alice) as hers,
        _hearing(bob) as his,
        _hearing(carol) as carols,
        _hearing(dave) as daves,
        _hearing(_older(bob)) as older,
    ):
        await _say(alice, group, "1")
        await groups.add_members(alice, group, [carol.user.id])
        await _say(bob, group, "2")
        await groups.remove_member(alice, group, bob.user.id)
        await _say(carol, group, "3")
        await groups.leave_group(carol, group)
        await _say(alice, group, "4")
        await messages.send_message(dave, receiver_id=None, content="end")
        assert await _heard(hers, "end") == ["1", "2", "3", "4", "end"]
        assert await _heard(his, "end") == ["1", "2", "end"]
        assert await _heard(carols, "end") == ["2", "3", "end"]
        assert await _heard(daves, "end") == ["end"]
        assert await _heard(older, "end") == ["end"]
    expected = {
        alice: ["1", "2", "3", "4", "end"],
        bob: ["1", "2", "end"],
        carol: ["2", "3", "end"],
        dave: ["end"],
    }
    for memory in (True, False):
        if not memory:
            ctx.feed._remembered.go_back(0)
        for person, contents in expected.items():
            assert await _read(person) == contents
            assert [m.content for m in await _replay(person, start)] == contents
    assert await _read(_older(bob)) == ["end"]
    assert [m.content for m in await _replay(_older(bob), start)] == ["end"]
    with pytest.raises(NotFound, match="Conversation not found"):
        await _say(bob, group)


async def _replay(ctx: Context, after: int) -> Sequence[StoredMessage]:
    watch = messages.watch_messages(ctx, after=after)
    found = []
    async for message in watch:
        found.append(message)
        if message.content == "end":
            break
    await watch.aclose()
    return found


async def test_a_connection_that_enters_later_hears_its_groups_and_newcomers_see_as_they_may(
    ctx: Context,
) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    closed, opened = await _create(alice), await _create(alice, shows_earlier=True)
    await _say(alice, closed, "closed 1")
    await _say(alice, opened, "open 1")
    for group in (closed, opened):
        await groups.add_members(alice, group, [bob.user.id])
    await _say(alice, closed, "closed 2")
    assert await _read(bob) == ["open 1", "closed 2"]
    ctx.memberships.clear()
    async with _hearing(bob) as inbox:
        await _say(alice, opened, "open 2")
        assert await _heard(inbox, "open 2") == ["open 2"]
    listed = await listing.get_conversation(bob, closed)
    assert (listed.title, listed.role, listed.left_position) == ("Us", "MEMBER", None)
    with pytest.raises(NotFound):
        await listing.get_conversation(carol, closed)


async def test_a_message_names_a_direct_conversation_or_everybodys(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    first = await messages.send_message(alice, receiver_id=bob.user.id, content="1")
    for _ in range(2):
        sent = await _say(bob, first.conversation_id, "2")
        assert sent.receiver_id == alice.user.id
    assert (await _say(alice, 1, "3")).conversation_id == 1
    for person, conversation in ((carol, first.conversation_id), (alice, 2**40)):
        with pytest.raises(NotFound, match="Conversation not found"):
            await _say(person, conversation)
    await blocks.block_user(alice, bob.user.id)
    with pytest.raises(NotFound, match="Receiver not found"):
        await _say(bob, first.conversation_id)
    with pytest.raises(BadInput):
        await messages.send_message(
            alice, receiver_id=bob.user.id, conversation_id=first.conversation_id, content="x"
        )


async def test_a_group_shows_its_members_messages_whoever_has_blocked_whom(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await _create(carol, alice, bob)
    await blocks.block_user(alice, bob.user.id)
    async with _hearing(alice) as inbox:
        await _say(bob, group, "heard")
        assert await _heard(inbox, "heard") == ["heard"]
    assert await _read(alice) == ["heard"]
    with pytest.raises(NotFound, match="Receiver not found"):
        await messages.send_message(bob, receiver_id=alice.user.id, content="direct")
    with pytest.raises(NotFound, match="User not found"):
        await _create(alice, bob)
    with pytest.raises(NotFound, match="User not found"):
        await _create(bob, alice)


async def test_roles_and_bounds_are_told_in_words(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await _create(alice, bob)
    bobs, carols = bob.user.id, carol.user.id
    for refused in (
        groups.add_members(bob, group, [carols]),
        groups.update_group(bob, group, title="Ours"),
        groups.set_role(bob, group, bobs, MemberRole.OWNER),
        groups.remove_member(bob, group, alice.user.id),
    ):
        with pytest.raises(Forbidden, match="Your role in this group does not allow that"):
            await refused
    for stranger in (
        groups.add_members(carol, group, [carols]),
        groups.update_group(carol, group, title="Ours"),
        groups.set_role(carol, group, bobs, MemberRole.OWNER),
        groups.remove_member(carol, group, bobs),
        groups.leave_group(carol, group),
    ):
        with pytest.raises(NotFound, match="Conversation not found"):
            await stranger
    for wrong in (
        groups.set_role(alice, group, alice.user.id, MemberRole.MEMBER),
        groups.remove_member(alice, group, alice.user.id),
        groups.create_group(alice, title=" ", member_ids=[]),
        groups.create_group(alice, title="x" * 101, member_ids=[]),
        groups.create_group(alice, title="x", member_ids=[*range(10, 1011)]),
    ):
        with pytest.raises(BadInput):
            await wrong
    with pytest.raises(NotFound, match="Member not found"):
        await groups.remove_member(alice, group, carols)
    with pytest.raises(NotFound, match="User not found"):
        await groups.add_members(alice, group, [2**40])


async def test_the_members_of_a_group_are_counted(tmp_path: Path, database_url: str) -> None:
    async with running_context(
        tmp_path,
        database_url=database_url,
        limits=True,
        max_group_members=2,
        groups_per_user="2/hour",
        additions_per_user="3/hour",
    ) as ctx:
        alice, bob, carol = [await join(ctx) for _ in range(3)]
        group = await _create(alice, bob)
        with pytest.raises(BadInput, match="2 members at most"):
            await groups.add_members(alice, group, [carol.user.id])
        await _create(alice, bob)
        with pytest.raises(RateLimited):
            await _create(alice)
        with pytest.raises(RateLimited):
            await groups.add_members(alice, group, [bob.user.id])


async def test_the_groups_of_a_user_are_counted(tmp_path: Path, database_url: str) -> None:
    async with running_context(
        tmp_path, database_url=database_url, limits=True, max_groups_per_user=1
    ) as ctx:
        alice, bob = await join(ctx), await join(ctx)
        group = await _create(alice)
        with pytest.raises(Forbidden, match="You are in 1 groups"):
            await _create(alice)
        await groups.add_members(alice, group, [bob.user.id])
        carol = await join(ctx)
        with pytest.raises(Forbidden, match="One of these users is in 1 groups already"):
            await _create(carol, bob)
        await groups.leave_group(bob, group)
        await _create(carol, bob)
        with pytest.raises(Forbidden, match="One of these users"):
            await groups.add_members(alice, group, [bob.user.id])


async def test_who_was_removed_by_another_process_sends_and_reads_nothing_more(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        group = await _create(alice, bob)
        await until(lambda: here.feed.position >= there.feed.position, 10)
        await _say(bob, group, "mine")
        carol = await join(here)
        await messages.send_message(carol, receiver_id=bob.user.id, content="direct")
        await _hold_up(here)
        async with _hearing(bob) as inbox:
            for number in range(3):
                await groups.remove_member(alice, group, bob.user.id)
                await _say(alice, group, f"hidden {number}")
                outcomes = await asyncio.gather(
                    messages.send_message(carol, receiver_id=bob.user.id, content="a"),
                    _say(bob, group, "refused"),
                    return_exceptions=True,
                )
                assert [isinstance(outcome, NotFound) for outcome in outcomes] == [False, True]
                for viewer in (bob, there.as_viewer(bob.user)):
                    assert not [text for text in await _read(viewer) if "hidden" in text]
                    page = await messages.list_messages(viewer, conversation_id=group, limit=9)
                    assert not [m for m in page.messages if "hidden" in m.content]
                await groups.add_members(alice, group, [bob.user.id])
                await _say(bob, group, "back")
            _go_on(here)
            await messages.send_message(carol, receiver_id=bob.user.id, content="end")
            heard = await _heard(inbox, "end")
        assert not [text for text in heard if "hidden" in text or text == "refused"]


async def test_a_flood_here_and_removals_there_agree_with_the_log(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        group = await _create(alice, bob)
        await _hold_up(here)
        going = True

        async def flood() -> None:
            while going:
                await asyncio.gather(*(_say(bob, group) for _ in range(5)), return_exceptions=True)

        flooding = asyncio.create_task(flood())
        for _ in range(10):
            await groups.remove_member(alice, group, bob.user.id)
            await asyncio.sleep(0.02)
            await groups.add_members(alice, group, [bob.user.id])
            await asyncio.sleep(0.02)
        going = False
        await flooding
        async with there.db.read() as connection:
            head = await head_position(connection)
            entries = await read_log(connection, 0, head, 100_000)
        assert [entry.id for entry in entries] == [*range(1, head + 1)]
        present: set[int] = set()
        removed = sent = 0
        for entry in entries:
            if isinstance(entry, Fact):
                if isinstance(entry.body, MembersChanged):
                    present |= {*entry.body.joined}
                    present -= {*entry.body.left}
                    removed += len(entry.body.left)
            elif entry.conversation_id == group:
                assert entry.sender_id in present, entry.id
                sent += 1
        assert removed == 10
        assert sent


async def test_who_deletes_their_account_is_in_no_group(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    group = await _create(alice, bob)
    await accounts.delete_own_account(alice, "123456")
    found = await listing.get_conversation(bob, group)
    assert found.role == "OWNER"
    people = await listing.list_members_of(bob, [found], after=0, limit=9)
    assert [member.user_id for member in people[group]] == [bob.user.id]


async def test_events_tell_of_ones_groups_alone(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    start = events.cursor_at(ctx, ctx.feed.position)
    group = await _create(alice, bob)
    await _say(alice, group, "1")
    await groups.add_members(alice, group, [carol.user.id])
    await groups.remove_member(alice, group, bob.user.id)
    await groups.update_group(alice, group, title="Ours")
    await messages.send_message(alice, receiver_id=None, content="end")

    async def all_of(person: Context) -> list[str]:
        found = []
        watch = events.watch_events(person, after=start)
        async for event in watch:
            if isinstance(event, StoredMessage):
                found.append(event.content)
                if event.content == "end":
                    break
            else:
                found.append(type(event.body).__name__)
        await watch.aclose()
        return found

    expected = {
        alice: ["MembersChanged", "1", *["MembersChanged"] * 2, "ConversationChanged", "end"],
        bob: ["MembersChanged", "1", *["MembersChanged"] * 2, "end"],
        carol: [*["MembersChanged"] * 2, "ConversationChanged", "end"],
    }
    for memory in (True, False):
        if not memory:
            ctx.feed._remembered.go_back(0)
        for person, told in expected.items():
            assert await all_of(person) == told
