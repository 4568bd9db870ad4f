"""Typing as an operation: whom one may tell, and what each is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from db.models import EVERYBODY_ID
from events.facts import Activity, TypingChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.conversations.typing import set_typing, watch_typing
from resolvers.errors import BadInput, NotFound, RateLimited, Unauthenticated
from resolvers.people import accounts, blocks, sessions
from tests.resolvers.conftest import join, running_context
from tests.resolvers.facts import add_group
from tests.resolvers.people import Line, Person
from tests.support.inbox import Inbox
from tests.support.statements import statements_sent

MISSING = 2**40


@asynccontextmanager
async def hearing(ctx: Context) -> AsyncIterator[Inbox[TypingChanged]]:
    """What the viewer is told."""
    told: Inbox[TypingChanged] = Inbox()

    async def read() -> None:
        async for changes in watch_typing(ctx):
            for change in changes:
                told.put(change)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    try:
        yield told
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader


async def test_the_other_person_is_told_and_a_message_ends_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    async with hearing(bob) as told, hearing(alice) as own:
        await set_typing(alice, peer_id=bob.user.id)
        first = await told.expect(lambda change: change.activity is Activity.TYPING)
        assert (first.user_id, first.conversation_id) == (alice.user.id, None)
        sent = await messages.send_message(alice, receiver_id=bob.user.id, content="x")
        await told.expect(lambda change: change.activity is Activity.NONE)
        other = await join(ctx)
        await messages.send_message(other, receiver_id=bob.user.id, content="x")
        await set_typing(bob, peer_id=other.user.id, activity=Activity.RECORDING)
        await set_typing(bob, conversation_id=sent.conversation_id, activity=Activity.RECORDING)
        heard = await own.expect(lambda change: change.activity is Activity.RECORDING)
        assert (heard.user_id, heard.conversation_id) == (bob.user.id, sent.conversation_id)
        assert len(own.items) == 1


async def test_it_takes_two_short_reads(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    with statements_sent() as sent:
        await set_typing(alice, peer_id=bob.user.id)
    assert len([text for text, _ in sent if "FROM users" in text or "conversations" in text]) == 2


async def test_with_oneself_nobody_is_told(ctx: Context) -> None:
    alice = await join(ctx)
    sent = await messages.send_message(alice, receiver_id=alice.user.id, content="x")
    async with hearing(alice) as told:
        await set_typing(alice, peer_id=alice.user.id)
        await set_typing(alice, conversation_id=sent.conversation_id)
        await asyncio.sleep(0.2)
        assert told.items == []
    assert not ctx.typing.known


async def test_a_conversation_of_others_is_as_missing(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    sent = await messages.send_message(alice, receiver_id=bob.user.id, content="x")
    refusals = set()
    for id_ in (sent.conversation_id, MISSING):
        with pytest.raises(NotFound) as refused:
            await set_typing(carol, conversation_id=id_)
        refusals.add(refused.value.message)
    assert refusals == {"Conversation not found"}
    with pytest.raises(NotFound, match="User not found"):
        await set_typing(carol, peer_id=MISSING)
    assert not ctx.typing.known


async def test_what_names_no_conversation_is_refused(ctx: Context) -> None:
    alice = await join(ctx)
    for conversation_id, peer_id in ((None, None), (2, 2), (EVERYBODY_ID, None)):
        with pytest.raises(BadInput):
            await set_typing(alice, conversation_id=conversation_id, peer_id=peer_id)
    with pytest.raises(Unauthenticated):
        await set_typing(ctx, peer_id=alice.user.id)


async def test_between_blocked_people_nobody_is_told_either_way(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await messages.send_message(alice, receiver_id=bob.user.id, content="x")
    async with hearing(alice) as one, hearing(bob) as other:
        await set_typing(alice, peer_id=bob.user.id)
        await other.expect(lambda change: change.activity is Activity.TYPING)
        await blocks.block_user(bob, alice.user.id)
        await other.expect(lambda change: change.activity is Activity.NONE)
        for viewer, peer in ((alice, bob), (bob, alice)):
            with pytest.raises(NotFound, match="User not found"):
                await set_typing(viewer, peer_id=peer.user.id)
            with pytest.raises(NotFound, match="User not found"):
                await set_typing(viewer, conversation_id=sent.conversation_id)
        assert one.items == []
        await blocks.unblock_user(bob, alice.user.id)
        await set_typing(bob, peer_id=alice.user.id)
        await one.expect(lambda change: change.activity is Activity.TYPING)


@pytest.mark.parametrize("directory", ["contacts", "off"])
async def test_whom_the_directory_hides_is_as_missing_until_they_have_met(
    tmp_path: Path, directory: str
) -> None:
    async with running_context(tmp_path, directory=directory) as ctx:
        alice, bob = await join(ctx), await join(ctx)
        async with hearing(bob) as told:
            for id_ in (bob.user.id, MISSING):
                with pytest.raises(NotFound, match="User not found"):
                    await set_typing(alice, peer_id=id_)
            await messages.send_message(bob, receiver_id=alice.user.id, content="x")
            await set_typing(alice, peer_id=bob.user.id)
            await told.expect(lambda change: change.activity is Activity.TYPING)


async def test_the_members_of_a_group_are_told_and_who_has_left_is_as_a_stranger(
    ctx: Context,
) -> None:
    people = [await Person.register(ctx) for _ in range(5)]
    alice, bob, carol, gone, stranger = [
        await person.connect(await person.log_in(), Line()) for person in people
    ]
    ids = [one.user.id for one in (alice, bob, carol, gone)]
    stays: dict[int, tuple[int, int | None]] = dict.fromkeys(ids, (0, None))
    group = await add_group(ctx, {**stays, gone.user.id: (0, 1)})
    for one in (alice, bob, carol):
        assert one.user.connection is not None
        ctx.hub.join(one.user.connection, ("conversation", group))
    async with hearing(bob) as first, hearing(carol) as second, hearing(gone) as other:
        await set_typing(alice, conversation_id=group)
        for told in (first, second):
            heard = await told.expect(lambda change: change.activity is Activity.TYPING)
            assert (heard.user_id, heard.peer_id) == (alice.user.id, None)
            assert heard.conversation_id == group
        for outside in (gone, stranger):
            with pytest.raises(NotFound, match="Conversation not found"):
                await set_typing(outside, conversation_id=group)
        assert other.items == []


async def test_a_request_that_watches_ends_with_its_session(ctx: Context) -> None:
    person, bob = await Person.register(ctx), await join(ctx)
    token = await person.log_in()
    alice = await person.enter(token)
    watch = watch_typing(alice)
    reader = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    await set_typing(bob, peer_id=person.id)
    assert [change.user_id for change in await reader] == [bob.user.id]
    reader = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    await sessions.log_out(alice)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(reader, 5)
    assert not ctx.typing._watches


async def test_a_deleted_account_is_as_missing(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await messages.send_message(alice, receiver_id=bob.user.id, content="x")
    await accounts.delete_own_account(bob, "123456")
    with pytest.raises(NotFound, match="User not found"):
        await set_typing(alice, peer_id=bob.user.id)


async def test_its_rate_is_limited(tmp_path: Path) -> None:
    async with running_context(tmp_path, limits=True, typing_per_user="3/10seconds") as ctx:
        alice, bob = await join(ctx), await join(ctx)
        for _ in range(3):
            await set_typing(alice, peer_id=bob.user.id)
        with pytest.raises(RateLimited, match="Too much typing"):
            await set_typing(alice, peer_id=bob.user.id)
        await set_typing(bob, peer_id=alice.user.id)
