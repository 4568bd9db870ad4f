"""Queries on attachments and their files: kept once, swept when nobody sent them."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import storage
from db.engines.statements import insert_row
from db.models import (
    Attachment,
    Content,
    File,
    Message,
    MessageAttachment,
    MessageKind,
    StoredAttachment,
    columns,
)
from db.visibility import visible

_COLUMNS = columns(StoredAttachment, Attachment, File)
_KIND = len(_COLUMNS) - 1
# An attachment whose file is not in the store yet is only a reservation: nobody sees it.
_JOINED = select(*_COLUMNS).join(
    File, (col(File.id) == col(Attachment.file_id)) & col(File.sha256).is_not(None)
)
_UNSENT = col(Attachment.sent_at).is_(None)
# Before any other moment: the next sweep removes a file with this time, whatever its age.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _stored(row: Any) -> StoredAttachment:
    values = (*row[:_KIND], MessageKind(row.kind))
    return StoredAttachment(*values)


async def find_attachments(
    connection: AsyncConnection, ids: Collection[int]
) -> dict[int, StoredAttachment]:
    """Return the attachments that exist among these ids."""
    rows = await connection.execute(_JOINED.where(col(Attachment.id).in_(ids)))
    return {row.id: _stored(row) for row in rows}


async def attachments_of(
    connection: AsyncConnection, message_ids: Collection[int]
) -> dict[int, StoredAttachment]:
    """Return the attachments of these messages, by the message's id."""
    rows = await connection.execute(
        _JOINED.add_columns(col(MessageAttachment.message_id))
        .join(MessageAttachment, col(MessageAttachment.attachment_id) == col(Attachment.id))
        .where(col(MessageAttachment.message_id).in_(message_ids))
    )
    return {row.message_id: _stored(row) for row in rows}


async def is_shared_with(
    connection: AsyncConnection,
    attachment_id: int,
    viewer_id: int,
    *,
    broadcasts_after: int = 0,
    groups: bool = True,
) -> bool:
    """Whether a message that the viewer may see carries the attachment: also one of a group."""
    rows = await connection.execute(
        select(col(Message.id))
        .join(MessageAttachment, col(MessageAttachment.message_id) == col(Message.id))
        .where(
            col(MessageAttachment.attachment_id) == attachment_id,
            visible(viewer_id, broadcasts_after, groups=groups),
        )
        .limit(1)
    )
    return rows.first() is not None


async def mark_sent(connection: AsyncConnection, ids: Collection[int], at: datetime) -> None:
    """Keep these attachments from the sweep."""
    await connection.execute(
        update(Attachment).where(col(Attachment.id).in_(ids), _UNSENT).values(sent_at=at)
    )


async def link(connection: AsyncConnection, links: Collection[tuple[int, int]]) -> None:
    """Say which messages carry which attachments: pairs of their ids."""
    rows = [{"message_id": message, "attachment_id": attached} for message, attached in links]
    await connection.execute(insert(MessageAttachment), rows)


async def count_unsent(connection: AsyncConnection, owner_id: int) -> int:
    """Return how many uploads of this user were never sent."""
    found = await connection.execute(
        select(func.count()).where(col(Attachment.owner_id) == owner_id, _UNSENT)
    )
    return int(found.scalar_one())


async def lock_file(connection: AsyncConnection, content: Content) -> int | None:
    """Return the id of the file with this content; the sweep waits until the commit."""
    rows = await connection.execute(select(col(File.id)).where(*_same(content)).with_for_update())
    return rows.scalar()


def _same(content: Content) -> tuple[ColumnElement[bool], ...]:
    return (col(File.sha256) == content.sha256, col(File.media_type) == content.media_type)


async def insert_file(connection: AsyncConnection, content: Content, at: datetime) -> int:
    """Note a file, before its bytes are put into the store; return its id."""
    values = {**msgspec.structs.asdict(content), "sha256": None, "created_at": at}
    return await insert_row(connection, File, values)


async def publish_file(connection: AsyncConnection, file_id: int, sha256: str) -> bool:
    """Note that the bytes are in the store; False when the sweep has claimed them meanwhile.

    Raises IntegrityError when another file has this content.
    """
    published = await connection.execute(
        update(File).where(col(File.id) == file_id, col(File.size) >= 0).values(sha256=sha256)
    )
    return published.rowcount == 1


async def insert_attachment(
    connection: AsyncConnection,
    *,
    owner_id: int,
    file_id: int,
    kind: MessageKind,
    filename: str,
    at: datetime,
) -> int:
    """Make an attachment of a file, and return its id; it is seen once the file is there."""
    values = {"owner_id": owner_id, "file_id": file_id, "kind": kind.value, "filename": filename}
    return await insert_row(connection, Attachment, {**values, "created_at": at})


async def refer_to(connection: AsyncConnection, attachment_id: int, file_id: int) -> None:
    """Make the attachment refer to another file with the same content."""
    await connection.execute(
        update(Attachment).where(col(Attachment.id) == attachment_id).values(file_id=file_id)
    )


async def set_time(connection: AsyncConnection, attachment_id: int, at: datetime) -> bool:
    """Say when the attachment was uploaded; False when it is not there any more."""
    changed = await connection.execute(
        update(Attachment).where(col(Attachment.id) == attachment_id).values(created_at=at)
    )
    return changed.rowcount == 1


async def forget_unsent(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget up to `limit` attachments uploaded before then and never sent; return how many."""
    forgotten, _ = await _forget(connection, col(Attachment.created_at) < before, limit)
    return forgotten


async def unsent_files_of(connection: AsyncConnection, owner_id: int) -> Collection[int]:
    """Return the ids of the files that the user uploaded and never sent."""
    rows = await connection.execute(
        select(col(Attachment.file_id)).where(col(Attachment.owner_id) == owner_id, _UNSENT)
    )
    return set(rows.scalars())


async def forget_unsent_of(connection: AsyncConnection, owner_ids: Collection[int]) -> None:
    """Forget what these users uploaded and never sent."""
    await _forget(connection, col(Attachment.owner_id).in_(owner_ids))


async def forget_unshown(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Forget those of these attachments that no message shows any more."""
    shown = select(col(MessageAttachment.attachment_id)).where(
        col(MessageAttachment.attachment_id).in_(ids)
    )
    unshown = set(ids) - set((await connection.execute(shown.distinct())).scalars())
    if unshown:
        wanted = col(Attachment.id).in_(unshown)
        await connection.execute(update(Attachment).where(wanted).values(sent_at=None))
        await _forget(connection, wanted)


async def withdraw(connection: AsyncConnection, attachment_id: int) -> Collection[int]:
    """Forget an attachment that was never sent; return the ids of files that nothing needs now."""
    _, dead = await _forget(connection, col(Attachment.id) == attachment_id)
    return dead


async def _forget(
    connection: AsyncConnection, wanted: ColumnElement[bool], limit: int | None = None
) -> tuple[int, Collection[int]]:
    """Forget the wanted attachments that were never sent.

    Return how many, and the ids of files that nothing refers to now. Those files lose their
    `sha256`: no upload uses them again.
    """
    found = await connection.execute(
        select(col(Attachment.id), col(Attachment.file_id))
        .where(wanted, _UNSENT)
        .order_by(col(Attachment.created_at))
        .limit(limit)
    )
    uploads = {row.id: row.file_id for row in found}
    if not uploads:
        return 0, ()
    files = sorted(set(uploads.values()))
    # An upload that is about to refer to one of them holds its lock, or waits for ours.
    await connection.execute(select(col(File.id)).where(col(File.id).in_(files)).with_for_update())
    rows = await connection.execute(
        select(
            col(Attachment.id),
            col(Attachment.owner_id),
            col(File.size) + func.coalesce(col(File.thumbnail_size), 0),
        )
        .join(File, col(File.id) == col(Attachment.file_id))
        .where(col(Attachment.id).in_(uploads), _UNSENT)
        .with_for_update()
    )
    unsent = [tuple(row) for row in rows]
    await connection.execute(
        delete(Attachment).where(col(Attachment.id).in_([id_ for id_, _, _ in unsent]))
    )
    await storage.refund(connection, [(owner_id, size) for _, owner_id, size in unsent])
    used = await connection.execute(
        select(col(Attachment.file_id)).where(col(Attachment.file_id).in_(files))
    )
    unused = set(files) - set(used.scalars())
    await connection.execute(
        update(File).where(col(File.id).in_(unused)).values(sha256=None, created_at=LONG_AGO)
    )
    return len(unsent), unused


async def claim_dead_files(
    connection: AsyncConnection,
    before: datetime,
    limit: int,
    ids: Collection[int] | None = None,
) -> dict[int, str]:
    """Return the names, by id, of files noted before then that no attachment needs.

    With `ids`, only of those. After the commit none of them can be published.
    """
    query = select(col(File.id), col(File.name)).where(
        col(File.sha256).is_(None),
        col(File.created_at) < before,
        # A reservation's file is not there yet.
        ~exists().where(col(Attachment.file_id) == col(File.id)),
    )
    if ids is not None:
        query = query.where(col(File.id).in_(ids))
    rows = await connection.execute(query.limit(limit).with_for_update())
    dead = {row.id: row.name for row in rows}
    await connection.execute(update(File).where(col(File.id).in_(dead)).values(size=-1))
    return dead


async def forget_files(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Forget files whose bytes are gone from the store."""
    await connection.execute(delete(File).where(col(File.id).in_(ids)))
