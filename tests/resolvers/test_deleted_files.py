"""A deleted message's file: nobody opens it through that message, and what none shows is freed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.models import MessageKind, StoredAttachment, StoredMessage
from db.storage import stored_bytes
from resolvers import messages
from resolvers.attachments.files import get_attachment, open_attachment
from resolvers.attachments.sweep import sweep_uploads
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound
from resolvers.guards.file_urls import Part
from resolvers.of_messages.edits import delete_message, edit_message
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_attachments import kept_files, upload


async def attach(
    ctx: Context, to: Context | None, attachment: StoredAttachment, caption: str = "", key: str = ""
) -> StoredMessage:
    """Send the attachment."""
    return await messages.send_message(
        ctx,
        receiver_id=None if to is None else to.user.id,
        content=caption,
        attachment_id=attachment.id,
        client_message_id=key or None,
    )


async def opens(ctx: Context, attachment: StoredAttachment) -> bool:
    """Whether the viewer opens the attachment."""
    try:
        assert (await get_attachment(ctx, attachment.id)).id == attachment.id
    except NotFound:
        return False
    return True


async def opens_signed(ctx: Context, attachment: StoredAttachment) -> bool:
    """Whether a signed address opens the attachment."""
    try:
        await open_attachment(ctx, Part(attachment.id), signed=True)
    except NotFound:
        return False
    return True


async def stored(ctx: Context) -> int:
    """Return how many bytes the viewer's attachments take."""
    async with ctx.read() as connection:
        return await stored_bytes(connection, ctx.user.id)


async def test_a_deleted_messages_file_is_opened_by_nobody_and_freed(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    attachment = await upload(alice)
    sent = await attach(alice, bob, attachment, "look")
    assert await opens(bob, attachment)
    deleted = await delete_message(alice, message_id=sent.id)
    assert (deleted.attachment, deleted.content, deleted.kind) == (None, "", MessageKind.FILE)
    assert await messages.get_message(bob, sent.id) == deleted
    assert [await opens(viewer, attachment) for viewer in (alice, bob)] == [False, False]
    assert not await opens_signed(ctx, attachment)
    assert await stored(alice) == 0
    for sender in (alice, bob):
        with pytest.raises(NotFound):
            await attach(sender, alice, attachment)
    await sweep_uploads(ctx)
    assert kept_files(ctx) == set()


async def test_another_message_with_the_same_attachment_still_shows_it(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    attachment = await upload(alice)
    sent = await attach(alice, bob, attachment)
    forwarded = await attach(bob, carol, attachment)
    await delete_message(alice, message_id=sent.id)
    # Bob sees it in what he forwarded, and Alice owns it.
    assert [await opens(viewer, attachment) for viewer in (alice, bob, carol)] == [True] * 3
    assert (await messages.get_message(carol, forwarded.id)).attachment == attachment
    assert await stored(alice) == attachment.stored_bytes
    twice = await attach(alice, bob, attachment)
    await delete_message(bob, message_id=forwarded.id)
    assert [await opens(viewer, attachment) for viewer in (alice, bob, carol)] == [
        True, True, False,
    ]  # fmt: skip
    await delete_message(alice, message_id=twice.id)
    assert not await opens_signed(ctx, attachment)


async def test_the_same_bytes_of_another_upload_stay(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    one, other = await upload(alice), await upload(bob)
    assert one.name == other.name  # kept once
    sent = await attach(alice, bob, one)
    await attach(bob, alice, other)
    await delete_message(alice, message_id=sent.id)
    await sweep_uploads(ctx)
    assert [await opens(bob, one), await opens(alice, other)] == [False, True]
    assert kept_files(ctx) == {other.name}


async def test_deletions_and_forwards_at_once_leave_nothing_dangling(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    for _ in range(10):
        attachment = await upload(alice)
        sent = await attach(alice, bob, attachment)
        forwards = [attach(bob, carol, attachment) for _ in range(4)]
        outcomes = await asyncio.gather(
            *forwards[:2],
            delete_message(alice, message_id=sent.id),
            *forwards[2:],
            return_exceptions=True,
        )
        shown = [o for o in outcomes if isinstance(o, StoredMessage) and o.attachment is not None]
        assert all(isinstance(o, StoredMessage | NotFound) for o in outcomes)
        assert await opens(carol, attachment) is bool(shown)
        for message in shown:
            assert (await messages.get_message(carol, message.id)).attachment == attachment


async def test_a_caption_may_be_edited_and_left_out(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    attachment = await upload(alice)
    sent = await attach(alice, bob, attachment, "look", "key")
    for caption in ("🎉", ""):
        edited = await edit_message(alice, message_id=sent.id, content=caption)
        assert (edited.content, edited.kind, edited.attachment) == (
            caption, MessageKind.FILE, attachment,
        )  # fmt: skip
        assert await messages.get_message(bob, sent.id) == edited
    text = await messages.send_message(alice, receiver_id=bob.user.id, content="x")
    with pytest.raises(BadInput, match="required"):
        await edit_message(alice, message_id=text.id, content="")
    assert await attach(alice, bob, attachment, "look", "key") == edited
    deleted = await delete_message(alice, message_id=sent.id)
    # The attachment is gone, and the retry still names the same message.
    assert await attach(alice, bob, attachment, "look", "key") == deleted


@pytest.fixture
async def other(ctx: Context, database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """Another process on the same database, which hears of nothing by itself."""
    async with running_context(tmp_path / "other", database_url=database_url) as other:
        assert other.feed._follower is not None
        other.feed._follower.cancel()
        yield other


async def test_a_process_that_has_not_heard_of_the_deletion_opens_nothing(
    ctx: Context, other: Context
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    attachment = await upload(alice)
    sent = await attach(alice, bob, attachment, "secret")
    bob_there, alice_there = (other.as_viewer(each.user) for each in (bob, alice))
    assert await opens(bob_there, attachment)
    deleted = await delete_message(alice, message_id=sent.id)
    assert not await opens(bob_there, attachment)
    assert not await opens_signed(other, attachment)
    assert await messages.get_message(bob_there, sent.id) == deleted
    with pytest.raises(NotFound):
        await attach(alice_there, bob, attachment)
