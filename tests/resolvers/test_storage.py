"""What a user's attachments may take together: exact, however many come at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from db.files import FileStore, StoreUnavailable
from db.models import Attachment, File, MessageKind
from db.storage import stored_bytes
from resolvers import messages
from resolvers.attachments.files import get_attachment
from resolvers.attachments.forms import receive_form
from resolvers.attachments.sweep import sweep_uploads
from resolvers.attachments.uploads import upload_attachment
from resolvers.context import Context
from resolvers.errors import NotFound, PayloadTooLarge, RateLimited, Unavailable
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_attachments import in_days, kept_files, upload
from tests.resolvers.test_uploads import _body, _chunks, _part, a_body
from tests.support import files

SIZE = 2000
QUOTA = 3 * SIZE + 500


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """A server on which everybody has room for three files."""
    async with running_context(
        tmp_path,
        database_url=database_url,
        storage_per_user=QUOTA,
        max_unsent_uploads=8,
        max_body_bytes=1024,
    ) as ctx:
        yield ctx


def content(number: int) -> bytes:
    return bytes([number]) * SIZE


async def stored(ctx: Context) -> int:
    async with ctx.read() as connection:
        return await stored_bytes(connection, ctx.user.id)


async def rows(ctx: Context) -> tuple[int, int]:
    """How many attachments and files are noted, there or not."""
    async with ctx.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (Attachment, File)
        ]
    return counts[0], counts[1]


async def test_a_user_has_so_much_room_and_what_is_refused_leaves_nothing(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    for number in range(3):
        await upload(alice, content(number))
    kept, noted = kept_files(ctx), await rows(ctx)
    with pytest.raises(PayloadTooLarge, match=str(QUOTA)):
        await upload(alice, content(3))
    assert (kept_files(ctx), await rows(ctx), await stored(alice)) == (kept, noted, 3 * SIZE)
    await upload(alice, bytes(QUOTA - 3 * SIZE))  # to the last byte
    assert await stored(alice) == QUOTA
    await upload(bob, content(3))  # room of their own


async def test_content_that_is_there_already_counts_too(ctx: Context) -> None:
    alice = await join(ctx)
    for _ in range(3):
        await upload(alice, content(0))
    with pytest.raises(PayloadTooLarge):
        await upload(alice, content(0))
    assert await rows(ctx) == (3, 1)


async def test_the_small_picture_counts_too(ctx: Context) -> None:
    alice = await join(ctx)
    found = await upload(alice, files.image_file("PNG"))
    assert found.thumbnail_size
    assert await stored(alice) == found.size + found.thumbnail_size
    await sweep_uploads(ctx, now=in_days(2))
    assert await stored(alice) == 0


async def test_of_uploads_at_once_in_two_processes_none_gets_past_the_quota(
    ctx: Context, database_url: str, tmp_path: Path
) -> None:
    alice = await join(ctx)
    async with running_context(
        tmp_path, database_url=database_url, storage_per_user=QUOTA, max_unsent_uploads=8
    ) as other:
        there = other.as_viewer(alice.user)
        outcomes = await asyncio.gather(
            *(upload((alice, there)[n % 2], content(n % 5)) for n in range(12)),
            return_exceptions=True,
        )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(error) for error in refused} == {PayloadTooLarge}
    assert len(refused) == 9
    assert await stored(alice) == 3 * SIZE
    found, noted = await rows(ctx)
    assert (found, noted) == (3, len(kept_files(ctx)))


async def test_uploads_that_wait_to_be_sent_are_counted_exactly(
    database_url: str, tmp_path: Path
) -> None:
    async with running_context(tmp_path, database_url=database_url, max_unsent_uploads=3) as ctx:
        alice = await join(ctx)
        outcomes = await asyncio.gather(
            *(upload(alice, content(n)) for n in range(8)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert ({type(error) for error in refused}, len(refused)) == ({RateLimited}, 5)
        assert await rows(ctx) == (3, 3)
        assert await stored(alice) == 3 * SIZE


async def test_room_comes_back_with_the_sweep_and_stays_taken_by_what_was_sent(
    ctx: Context,
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent, *_ = [await upload(alice, content(number)) for number in range(3)]
    await messages.send_message(
        alice, receiver_id=bob.user.id, content="", kind=None, attachment_id=sent.id
    )
    await sweep_uploads(ctx, now=in_days(2))
    assert await stored(alice) == SIZE
    # Sending it on takes nothing of whoever does.
    await messages.send_message(
        bob, receiver_id=alice.user.id, content="", kind=None, attachment_id=sent.id
    )
    assert await stored(bob) == 0
    await upload(alice, content(5))


async def test_without_a_quota_there_is_none(database_url: str, tmp_path: Path) -> None:
    async with running_context(tmp_path, database_url=database_url, storage_per_user=0) as ctx:
        alice = await join(ctx)
        for number in range(6):
            await upload(alice, content(number))
        assert await stored(alice) == 6 * SIZE


async def test_what_has_no_room_is_refused_before_it_is_received(ctx: Context) -> None:
    alice = await join(ctx)
    body = _body(_part(bytes(20_000)))
    read = False

    async def chunks() -> Any:
        nonlocal read
        read = True
        yield body

    with pytest.raises(PayloadTooLarge, match=str(QUOTA)):
        async with receive_form(alice, a_body(chunks(), length=len(body)), max_files=1):
            pass
    assert not read
    # Who does not say how much it is is refused when it has come.
    async with receive_form(alice, a_body(_chunks(body, 999)), max_files=1) as form:
        with pytest.raises(PayloadTooLarge, match=str(QUOTA)):
            await upload_attachment(alice, form.files["file"])
    assert (kept_files(ctx), await rows(ctx), await stored(alice)) == (set(), (0, 0), 0)
    assert ctx.upload_slots._held == {}


@pytest.mark.parametrize("end", [StoreUnavailable("full"), asyncio.CancelledError()])
@pytest.mark.parametrize("small_picture", [False, True])
async def test_an_upload_that_ends_while_it_is_put_leaves_nothing_at_once(
    ctx: Context,
    monkeypatch: pytest.MonkeyPatch,
    end: BaseException,
    small_picture: bool,
) -> None:
    alice = await join(ctx)
    original = FileStore.put

    async def put(store: FileStore, name: str, content: Any) -> None:
        if name.endswith(".webp") or not small_picture:
            raise end
        await original(store, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "put", put)
        with pytest.raises((Unavailable, asyncio.CancelledError)):
            await upload(alice, files.image_file("PNG"))
    assert (kept_files(ctx), await rows(ctx), await stored(alice)) == (set(), (0, 0), 0)
    assert (await upload(alice, files.image_file("PNG"))).thumbnail_size


async def test_a_reservation_is_seen_and_sent_by_nobody(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await join(ctx)
    original = FileStore.put
    seen: list[int] = []

    async def put(store: FileStore, name: str, content: Any) -> None:
        async with ctx.read() as connection:
            [reserved] = (await connection.execute(select(col(Attachment.id)))).scalars()
        seen.append(reserved)
        with pytest.raises(NotFound):
            await get_attachment(alice, reserved)
        with pytest.raises(NotFound):
            await messages.send_message(
                alice, receiver_id=None, content="", kind=None, attachment_id=reserved
            )
        await original(store, name, content)

    monkeypatch.setattr(FileStore, "put", put)
    kept = await upload(alice, content(1), kind=MessageKind.FILE)
    assert seen == [kept.id]
