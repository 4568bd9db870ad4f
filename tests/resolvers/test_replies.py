"""Replies: within one conversation, to what the sender sees, and stored with the message."""

import asyncio
from typing import Any

import pytest

from db.models import StoredMessage
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import Conflict, NotFound
from resolvers.of_messages.edits import delete_message, edit_message
from resolvers.people import blocks
from tests.resolvers.conftest import join
from tests.resolvers.test_attachments import upload


async def send(
    ctx: Context, to: Context | None, reply_to: StoredMessage | int | None = None, **more: Any
) -> StoredMessage:
    """Send a message that replies to another."""
    id_ = reply_to.id if isinstance(reply_to, StoredMessage) else reply_to
    receiver_id = None if to is None else to.user.id
    return await messages.send_message(
        ctx, receiver_id=receiver_id, content="x", reply_to_id=id_, **more
    )


async def test_a_reply_names_a_message_of_its_conversation(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first = await send(alice, bob)
    assert first.reply_to_id is None
    answer = await send(bob, alice, first)
    again = await send(alice, bob, answer)
    own = await send(alice, bob, first)
    assert [m.reply_to_id for m in (answer, again, own)] == [first.id, answer.id, first.id]
    for viewer in (alice, bob):
        page = (await messages.list_messages(viewer, limit=9)).messages
        assert page == [first, answer, again, own]
    note = await send(alice, alice)
    assert (await send(alice, alice, note)).reply_to_id == note.id
    broadcast = await send(alice, None)
    assert (await send(bob, None, broadcast)).reply_to_id == broadcast.id
    # With others in one batch, each with its own.
    outcomes = await asyncio.gather(
        *(send(alice, bob, reply) for reply in (None, first, answer, None))
    )
    assert [m.reply_to_id for m in outcomes] == [None, first.id, answer.id, None]
    attachment = await upload(alice)
    shown = await send(alice, bob, answer, attachment_id=attachment.id)
    assert (shown.reply_to_id, shown.attachment) == (answer.id, attachment)
    assert await messages.get_message(bob, shown.id) == shown


async def test_a_message_that_the_sender_does_not_see_there_is_not_found(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    direct, broadcast = await send(alice, bob), await send(carol, None)
    note = await send(alice, alice)
    newcomer = await join(ctx)
    await blocks.block_user(bob, carol.user.id)
    refusals = set()
    for sender, receiver, reply in (
        (alice, bob, 2**40),
        (carol, bob, direct),  # another's
        (alice, carol, direct),  # the sender sees it, elsewhere
        (alice, None, direct),
        (alice, alice, direct),
        (alice, bob, note),
        (alice, bob, broadcast),
        (newcomer, None, broadcast),  # from before they came
        (bob, None, broadcast),  # a block keeps its sender apart
    ):
        outcomes = await asyncio.gather(
            send(sender, receiver, reply), send(sender, newcomer), return_exceptions=True
        )
        # It fails alone.
        assert isinstance(outcomes[1], StoredMessage)
        if (sender, receiver) != (carol, bob):
            refusals.add(repr(outcomes[0]))
        assert isinstance(outcomes[0], NotFound)
    assert len(refusals) == 1


async def test_one_may_reply_to_what_was_deleted(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first = await send(alice, bob)
    await delete_message(alice, message_id=first.id)
    assert (await send(bob, alice, first)).reply_to_id == first.id


async def test_a_retry_is_of_the_same_reply(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first, other = await send(alice, bob), await send(alice, bob)
    reply = await send(alice, bob, first, client_message_id="key")

    async def expect_retries(now: StoredMessage) -> None:
        assert await send(alice, bob, first, client_message_id="key") == now
        for another in (None, other):
            with pytest.raises(Conflict):
                await send(alice, bob, another, client_message_id="key")

    await expect_retries(reply)
    await expect_retries(await edit_message(alice, message_id=reply.id, content="y"))
    await expect_retries(await delete_message(alice, message_id=reply.id))
    retries = (send(alice, bob, first, client_message_id="new") for _ in range(3))
    assert len({m.id for m in await asyncio.gather(*retries)}) == 1
