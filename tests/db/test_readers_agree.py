"""All readers of messages answer alike: history, replay, look-ups by id, attachments."""

import random

import pytest
from sqlalchemy import update
from sqlmodel import col

from db import attachments, messages
from db.engines.database import Database
from db.models import Content, Message, MessageKind
from db.people import blocks
from tests.db.rows import NOW, add_messages, add_users


@pytest.mark.parametrize("seed", range(4))
async def test_all_readers_show_a_viewer_the_same_messages(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 5)
    sent = [(chance.choice(people), chance.choice([*people, None, None, None])) for _ in range(60)]
    await add_messages(database, sent)
    apart = {(one, other) for one in people for other in people if chance.random() < 0.15}
    apart = {(one, other) for one, other in apart if one != other}
    async with database.write() as connection:
        await blocks.insert_blocks(connection, apart, NOW)
    attached = await _attach_to_each(database, len(sent), people[0])
    for viewer in people:
        joined = chance.choice([0, 20, 59])
        expected = [
            id_
            for id_, (sender, receiver) in enumerate(sent, 1)
            if viewer in (sender, receiver)
            or (
                receiver is None
                and id_ > joined
                and not {(viewer, sender), (sender, viewer)} & apart
            )
        ]
        has_blocks = any(viewer in pair for pair in apart)
        async with database.read() as connection:
            ids = [*range(1, len(sent) + 1)]
            found = await messages.find_all_visible(
                connection, viewer, ids, broadcasts_after=joined
            )
            assert sorted(message.id for message in found) == expected
            for newest in (True, False):
                page = await messages.page_messages(
                    connection,
                    viewer,
                    limit=100,
                    newest=newest,
                    broadcasts_after=joined,
                    has_blocks=has_blocks,
                )
                assert [message.id for message in page] == expected
            after = chance.choice(ids)
            replay = await messages.page_messages(
                connection, viewer, after=after, newest=False, limit=100, broadcasts_after=joined
            )
            assert [message.id for message in replay] == [i for i in expected if i > after]
            shared = [
                id_
                for id_ in ids
                if await attachments.is_shared_with(
                    connection, attached[id_], viewer, broadcasts_after=joined
                )
            ]
            assert shared == expected


async def _attach_to_each(database: Database, number: int, owner: int) -> dict[int, int]:
    """Give each message an attachment of its own; return its id by the message's."""
    attached = {}
    async with database.write() as connection:
        for id_ in range(1, number + 1):
            content = Content(
                name=f"{id_}", sha256=f"{id_}", size=1, media_type="text/plain", width=None,
                height=None, duration_ms=None, waveform=None, thumbnail_size=None,
            )  # fmt: skip
            file_id = await attachments.insert_file(connection, content, NOW)
            assert await attachments.publish_file(connection, file_id, content.sha256)
            attached[id_] = await attachments.insert_attachment(
                connection, owner_id=owner, file_id=file_id, kind=MessageKind.FILE,
                filename="x", at=NOW,
            )  # fmt: skip
        await attachments.link(connection, [*attached.items()])
        await connection.execute(
            update(Message).where(col(Message.id).in_(attached)).values(kind="FILE")
        )
    return attached
