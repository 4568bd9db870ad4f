"""Uploads, sends and sweeps at once, of several processes: what is kept always has its content."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db import attachments as queries
from db.files import FileStore
from db.models import MessageKind, StoredAttachment, StoredMessage
from resolvers import attachments, messages
from resolvers.context import Context
from resolvers.errors import NotFound, Unavailable
from resolvers.upload_sweep import sweep_uploads
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_attachments import (
    expect_nothing_dangling,
    in_days,
    kept_files,
    read,
    rows_of_files,
    upload,
)
from tests.support import files

CONTENTS = [bytes([number]) * 2000 for number in range(4)]


async def _send(ctx: Context, found: StoredAttachment) -> StoredMessage | None:
    try:
        return await messages.send_message(
            ctx, receiver_id=None, content="", kind=None, attachment_id=found.id
        )
    except NotFound:  # it was swept
        return None


async def test_nothing_that_was_kept_loses_its_content(database_url: str, tmp_path: Path) -> None:
    async with (
        running_context(tmp_path, database_url=database_url) as one,
        running_context(tmp_path, database_url=database_url) as other,
    ):
        chance = random.Random(3)  # the same load each time
        people = [await join(ctx) for ctx in (one, other, one, other)]
        sent: list[StoredAttachment] = []
        unsent: list[StoredAttachment] = []
        over = asyncio.Event()

        async def come_and_go(person: Context) -> None:
            for _ in range(12):
                content = chance.choice(CONTENTS)
                try:
                    found = await upload(person, content, kind=MessageKind.FILE)
                except Unavailable:  # swept while it was kept; a client tries again
                    continue
                # So few are sent that most content dies, and comes again, again and again.
                if chance.random() < 0.1 and await _send(person, found) is not None:
                    sent.append(found)
                else:
                    unsent.append(found)

        async def sweep(ctx: Context) -> None:
            # As if every upload were a day old when it has just been put.
            while not over.is_set():
                seconds = ctx.settings.unsent_upload_seconds - 0.05
                now = datetime.now(UTC) + timedelta(seconds=seconds)
                await sweep_uploads(ctx, now=now)

        async with asyncio.timeout(100):
            sweeping = [asyncio.create_task(sweep(ctx)) for ctx in (one, other)]
            await asyncio.gather(*(come_and_go(person) for person in people))
            over.set()
            await asyncio.gather(*sweeping)
        await expect_nothing_dangling(one)
        for found in sent:
            kept = await attachments.get_attachment(people[0], found.id)
            assert len(await read(people[0], kept.id)) == 2000
        assert sent
        assert unsent
        # When all is quiet, the store has what was sent, and nothing else.
        await sweep_uploads(one, now=in_days(2))
        assert kept_files(one) == await expect_nothing_dangling(one)
        assert await rows_of_files(one) == len({found.sha256 for found in sent})


async def test_content_that_is_swept_while_it_is_looked_for_leaves_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await join(ctx)
    image = files.image_file("PNG")
    await upload(alice, image)
    has = ctx.files.has

    async def look(*arguments: Any) -> bool:
        await sweep_uploads(ctx, now=in_days(2))
        return await has(*arguments)

    monkeypatch.setattr(type(ctx.files), "has", staticmethod(look))
    with pytest.raises(Unavailable):
        await upload(alice, image)
    assert (kept_files(ctx), await rows_of_files(ctx)) == (set(), 0)


async def test_an_upload_that_is_forgotten_while_it_is_put_leaves_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await join(ctx)
    put = ctx.files.put

    async def put_slowly(store: FileStore, *arguments: Any) -> None:
        await put(*arguments)
        # The first half of a sweep.
        async with ctx.db.write() as connection:
            assert await queries.forget_unsent(connection, in_days(2), 100) == 1

    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "put", put_slowly)
        with pytest.raises(Unavailable):
            await upload(alice)
    await sweep_uploads(ctx, now=in_days(2))
    assert (kept_files(ctx), await rows_of_files(ctx)) == (set(), 0)
