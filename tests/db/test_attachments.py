"""Attachments in the database: kept once, swept when nobody sent them, sent by who may."""

import asyncio
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from db import attachments
from db.attachments import Content
from db.engines.database import Database, retrying_deadlocks
from db.log.drafts import Draft, KeyReused, OtherKind, UnknownAttachment, UnknownReceiver
from db.messages import find_visible, page_messages, read_entries
from db.models import Attachment, File, MessageKind, StoredAttachment, StoredMessage
from tests.db.rows import NOW, add_users, expect_dense, open_database, running_log

LATER = NOW + timedelta(days=1, seconds=1)
DAY = timedelta(days=1)

_numbers = count(1)


def _content(sha256: str | None = None) -> Content:
    sha256 = sha256 or f"{next(_numbers):064x}"
    return Content(
        name=f"{sha256[:2]}/{sha256}-{next(_numbers):016x}",
        sha256=sha256,
        size=1234,
        media_type="image/png",
        width=640,
        height=480,
        duration_ms=None,
        waveform=bytes([0, 50, 100]),
        thumbnail_size=99,
    )


async def _file(database: Database, content: Content, at: datetime = NOW) -> int:
    async with database.write() as connection:
        file_id = await attachments.insert_file(connection, content, at)
        await attachments.publish_file(connection, file_id, content.sha256)
    return file_id


async def _attach(
    database: Database,
    owner: int,
    file_id: int,
    kind: MessageKind = MessageKind.IMAGE,
    at: datetime = NOW,
) -> StoredAttachment:
    async with database.write() as connection:
        id_ = await attachments.insert_attachment(
            connection, owner_id=owner, file_id=file_id, kind=kind, filename="a.png", at=at
        )
        return (await attachments.find_attachments(connection, [id_]))[id_]


async def _upload(
    database: Database, owner: int, kind: MessageKind = MessageKind.IMAGE, at: datetime = NOW
) -> StoredAttachment:
    return await _attach(database, owner, await _file(database, _content(), at), kind, at)


def _draft(
    sender: int,
    attachment: int | StoredAttachment,
    receiver: int | None = None,
    kind: MessageKind | None = None,
    key: str | None = None,
) -> Draft:
    id_ = attachment if isinstance(attachment, int) else attachment.id
    return Draft(sender, receiver, kind, "caption", key, id_)


async def _forget(database: Database, before: datetime, limit: int = 100) -> int:
    async def forget() -> int:
        async with database.write() as connection:
            return await attachments.forget_unsent(connection, before, limit)

    return await retrying_deadlocks(forget)  # as the sweep does


async def _dead(database: Database, before: datetime) -> list[str]:
    async with database.write() as connection:
        return sorted((await attachments.claim_dead_files(connection, before, 100)).values())


async def _there(database: Database, *ids: int) -> set[int]:
    async with database.read() as connection:
        return {*await attachments.find_attachments(connection, ids)}


async def test_an_attachment_comes_back_as_it_was_kept(database: Database) -> None:
    [owner] = await add_users(database, 1)
    content = _content()
    kept = await _attach(database, owner, await _file(database, content))
    async with database.read() as connection:
        assert await attachments.find_attachments(connection, [kept.id, kept.id + 9]) == {
            kept.id: kept
        }
    for name, value in content._asdict().items():
        assert getattr(kept, name) == value
    assert (kept.owner_id, kept.kind, kept.filename) == (owner, MessageKind.IMAGE, "a.png")
    assert kept.created_at == NOW


async def test_content_is_there_once_and_only_when_it_was_published(database: Database) -> None:
    content = _content()
    async with database.write() as connection:
        first = await attachments.insert_file(connection, content, NOW)
        assert await attachments.lock_file(connection, content) is None
        assert await attachments.publish_file(connection, first, content.sha256)
        assert await attachments.lock_file(connection, content) == first
    again = _content(content.sha256)
    async with database.write() as connection:
        second = await attachments.insert_file(connection, again, NOW)
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await attachments.publish_file(connection, second, content.sha256)
    assert await _dead(database, LATER) == [again.name]


async def test_what_was_never_sent_is_forgotten_and_its_file_dies(database: Database) -> None:
    [owner] = await add_users(database, 1)
    old, young = await _upload(database, owner), await _upload(database, owner, at=LATER)
    async with database.read() as connection:
        assert await attachments.count_unsent(connection, owner) == 2
    assert await _forget(database, NOW) == 0
    assert await _forget(database, LATER) == 1
    assert await _there(database, old.id, young.id) == {young.id}
    # It goes with the next sweep, however young its row is.
    assert await _dead(database, NOW) == [old.name]
    # No upload takes it up again.
    async with database.write() as connection:
        assert await attachments.lock_file(connection, _content(old.sha256)) is None
    async with database.read() as connection:
        assert await attachments.count_unsent(connection, owner) == 1


async def test_a_file_that_the_sweep_has_claimed_is_not_published_any_more(
    database: Database,
) -> None:
    content = _content()
    async with database.write() as connection:
        file_id = await attachments.insert_file(connection, content, NOW)
    assert await _dead(database, LATER) == [content.name]
    async with database.write() as connection:
        assert not await attachments.publish_file(connection, file_id, content.sha256)
    # Found again, when the sweep was killed in between.
    assert await _dead(database, LATER) == [content.name]
    async with database.write() as connection:
        await attachments.forget_files(connection, [file_id])
    assert await _dead(database, LATER) == []


async def test_the_sweep_goes_in_steps(database: Database) -> None:
    [owner] = await add_users(database, 1)
    uploads = [await _upload(database, owner) for _ in range(5)]
    assert [await _forget(database, LATER, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await _there(database, *(each.id for each in uploads)) == set()
    assert len(await _dead(database, LATER)) == 5


async def test_what_was_sent_is_kept(database: Database) -> None:
    one, two = await add_users(database, 2)
    sent, unsent = await _upload(database, one), await _upload(database, one)
    async with running_log(database) as log:
        message = await log.append(_draft(one, sent, two))
    assert message.attachment == sent
    assert await _forget(database, LATER) == 1
    assert await _there(database, sent.id, unsent.id) == {sent.id}
    assert await _dead(database, LATER) == [unsent.name]


async def test_content_that_another_attachment_has_is_kept(database: Database) -> None:
    one, two = await add_users(database, 2)
    file_id = await _file(database, _content())
    old = await _attach(database, one, file_id)
    young = await _attach(database, two, file_id, at=LATER)
    assert old.sha256 == young.sha256
    assert await _forget(database, LATER) == 1
    assert await _there(database, old.id, young.id) == {young.id}
    assert await _dead(database, LATER + DAY) == []
    assert await _forget(database, LATER + DAY) == 1
    assert await _dead(database, LATER + DAY) == [young.name]


@pytest.mark.parametrize("kind", [MessageKind.IMAGE, MessageKind.FILE, MessageKind.VOICE])
async def test_a_message_carries_its_attachment_wherever_it_is_read(
    database: Database, kind: MessageKind
) -> None:
    one, two, three = await add_users(database, 3)
    attached = await _upload(database, one, kind)
    async with running_log(database) as log:
        text = await log.append(Draft(one, two, MessageKind.TEXT, "text"))
        sent = await log.append(_draft(one, attached, two, None))
        named = await log.append(_draft(one, attached, two, kind))
    assert (sent.kind, sent.content, sent.attachment) == (kind, "caption", attached)
    everything = [text, sent, named]
    assert await expect_dense(database) == everything
    async with database.read() as connection:
        for viewer in (one, two):
            assert await page_messages(connection, viewer, limit=9) == everything
            assert await find_visible(connection, viewer, sent.id) == sent
            assert await attachments.is_shared_with(connection, attached.id, viewer)
        assert await page_messages(connection, one, peer_id=two, limit=9) == everything
        assert await read_entries(connection, 0, named.id, 9) == everything
        assert await find_visible(connection, three, sent.id) is None
        assert not await attachments.is_shared_with(connection, attached.id, three)


async def test_who_was_sent_it_may_send_it_on_and_nobody_else(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    attached = await _upload(database, one)
    async with running_log(database) as log:
        for stranger in (two, three):
            with pytest.raises(UnknownAttachment):
                await log.append(_draft(stranger, attached, one))
        first = await log.append(_draft(one, attached, two))
        with pytest.raises(UnknownAttachment):
            await log.append(_draft(three, attached, one))
        forwarded = await log.append(_draft(two, attached, three))
        further = await log.append(_draft(three, attached, None))
    assert await expect_dense(database) == [first, forwarded, further]
    assert {message.attachment for message in (first, forwarded, further)} == {attached}


async def test_a_broadcast_attachment_is_everybodys(database: Database) -> None:
    one, two = await add_users(database, 2)
    attached = await _upload(database, one)
    async with running_log(database) as log:
        await log.append(_draft(one, attached, None))
        async with database.read() as connection:
            assert await attachments.is_shared_with(connection, attached.id, two)
        assert (await log.append(_draft(two, attached, two))).attachment == attached


async def test_what_cannot_be_attached_fails_alone(database: Database) -> None:
    one, two = await add_users(database, 2)
    image, voice = await _upload(database, one), await _upload(database, one, MessageKind.VOICE)
    others = await _upload(database, two)
    async with running_log(database) as log:
        outcomes = await asyncio.gather(
            log.append(Draft(one, two, MessageKind.TEXT, "first")),
            log.append(_draft(one, image, two, MessageKind.VOICE)),
            log.append(_draft(one, 2**40, two)),
            log.append(_draft(one, image, two, MessageKind.IMAGE)),
            log.append(_draft(one, others, two)),
            log.append(_draft(one, image, 2**40)),
            log.append(_draft(one, voice, None)),
            log.append(Draft(one, two, MessageKind.TEXT, "last")),
            return_exceptions=True,
        )
    first, other_kind, unknown, with_image, of_another, to_nobody, with_voice, last = outcomes
    stored = [each for each in outcomes if isinstance(each, StoredMessage)]
    assert stored == [first, with_image, with_voice, last]
    assert [type(each) for each in (other_kind, to_nobody)] == [OtherKind, UnknownReceiver]
    assert [type(each) for each in (unknown, of_another)] == [UnknownAttachment] * 2
    assert str(outcomes[1]) == "IMAGE"
    assert await expect_dense(database) == stored
    assert [message.attachment for message in stored] == [None, image, voice, None]


async def test_a_batch_of_refusals_takes_no_position(database: Database) -> None:
    [one] = await add_users(database, 1)
    async with running_log(database) as log:
        for _ in range(3):
            with pytest.raises(UnknownAttachment):
                await log.append(_draft(one, 2**40))
        assert (await log.append(Draft(one, None, MessageKind.TEXT, "x"))).id == 1


async def test_a_refused_send_does_not_keep_an_attachment_from_the_sweep(
    database: Database,
) -> None:
    one, two = await add_users(database, 2)
    attached = await _upload(database, one)
    async with running_log(database) as log:
        for refused in (
            _draft(one, attached, 2**40),
            _draft(one, attached, two, MessageKind.VOICE),
            _draft(two, attached, one),
        ):
            with pytest.raises((UnknownReceiver, OtherKind, UnknownAttachment)):
                await log.append(refused)
    assert await _forget(database, LATER) == 1


async def test_a_key_is_of_one_attachment(database: Database) -> None:
    one, two = await add_users(database, 2)
    attached, other = await _upload(database, one), await _upload(database, one)
    async with running_log(database) as log:
        first, again = await asyncio.gather(
            log.append(_draft(one, attached, two, None, "key")),
            log.append(_draft(one, attached, two, MessageKind.IMAGE, "key")),
        )
        assert again == first
        assert await log.append(_draft(one, attached, two, None, "key")) == first
        for reused in (
            _draft(one, other, two, None, "key"),
            Draft(one, two, MessageKind.TEXT, "caption", "key"),
            Draft(one, two, None, "caption", "key"),
        ):
            with pytest.raises(KeyReused):
                await log.append(reused)
    assert await expect_dense(database) == [first]


async def test_the_sweep_and_senders_never_part_a_message_from_its_attachment(
    database: Database, database_url: str
) -> None:
    one, two = await add_users(database, 2)
    uploads = [await _upload(database, one) for _ in range(60)]
    sweeper = open_database(database_url)

    async def sweep() -> None:
        for _ in range(12):
            await _forget(sweeper, LATER, 5)

    async with running_log(database) as log, asyncio.timeout(60):

        async def send(part: int) -> list[StoredMessage | BaseException]:
            outcomes: list[StoredMessage | BaseException] = []
            for each in uploads[part::3]:
                outcomes += await asyncio.gather(
                    log.append(_draft(one, each, two)), return_exceptions=True
                )
            return outcomes

        sending = [asyncio.create_task(send(part)) for part in range(3)]
        await sweep()
        outcomes = [outcome for part in sending for outcome in await part]
    assert {type(outcome) for outcome in outcomes} <= {StoredMessage, UnknownAttachment}
    stored = await expect_dense(database)
    assert sorted(stored, key=lambda message: message.id) == sorted(
        [outcome for outcome in outcomes if isinstance(outcome, StoredMessage)],
        key=lambda message: message.id,
    )
    kept = {message.attachment.id for message in stored if message.attachment is not None}
    assert len(kept) == len(stored)
    assert await _there(database, *(each.id for each in uploads)) == kept
    dead = await _dead(database, LATER)
    assert dead == sorted(each.name for each in uploads if each.id not in kept)
    await sweeper.close()


async def test_uploads_of_dying_content_and_the_sweep_agree(
    database: Database, database_url: str
) -> None:
    [one] = await add_users(database, 1)
    other = open_database(database_url)
    contents = [_content() for _ in range(30)]
    for content in contents:
        await _attach(database, one, await _file(database, content))

    async def take_up(content: Content) -> int | None:
        # As an upload does.
        return await retrying_deadlocks(lambda: take_up_once(content))

    async def take_up_once(content: Content) -> int | None:
        async with other.write() as connection:
            file_id = await attachments.lock_file(connection, content)
            if file_id is None:
                return None
            return await attachments.insert_attachment(
                connection,
                owner_id=one,
                file_id=file_id,
                kind=MessageKind.IMAGE,
                filename="a.png",
                at=LATER,
            )

    async def sweep() -> None:
        while await _forget(database, LATER, 3):
            pass

    async with asyncio.timeout(60):
        *taken, _ = await asyncio.gather(*(take_up(each) for each in contents), sweep())
    living = {id_ for id_ in taken if id_ is not None}
    assert await _there(database, *living) == living
    dead = await _dead(database, LATER)
    assert dead == sorted(
        content.name for content, id_ in zip(contents, taken, strict=True) if id_ is None
    )
    async with database.read() as connection:
        # Whatever is referred to has its content.
        dangling = (
            select(func.count())
            .select_from(Attachment)
            .join(File, col(File.id) == col(Attachment.file_id))
            .where(col(File.sha256).is_(None))
        )
        assert (await connection.execute(dangling)).scalar_one() == 0
    await other.close()
