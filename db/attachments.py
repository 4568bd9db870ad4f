"""Queries on attachments and their files: kept once, swept when nobody sent them."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import storage
from db.models import (
    Attachment,
    File,
    Message,
    MessageAttachment,
    MessageKind,
    StoredAttachment,
)
from db.visibility import visible

_COLUMNS = (
    col(Attachment.id),
    col(Attachment.owner_id),
    col(Attachment.kind),
    col(Attachment.filename),
    col(Attachment.created_at),
    col(File.name),
    col(File.sha256),
    col(File.size),
    col(File.media_type),
    col(File.width),
    col(File.height),
    col(File.duration_ms),
    col(File.waveform),
    col(File.thumbnail_size),
)
# An attachment whose file is not in the store yet is only a reservation: nobody sees it.
_JOINED = select(*_COLUMNS).join(
    File, (col(File.id) == col(Attachment.file_id)) & col(File.sha256).is_not(None)
)
# Before any other moment: a file noted so long ago is removed by the next sweep, whatever its age.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Content(NamedTuple):
    """What is known of a file that is about to be kept."""

    name: str
    sha256: str
    size: int
    media_type: str
    width: int | None
    height: int | None
    duration_ms: int | None
    waveform: bytes | None
    thumbnail_size: int | None

    @property
    def stored_bytes(self) -> int:
        """What it takes in the store, with the small picture of it."""
        return self.size + (self.thumbnail_size or 0)


def _stored(rows: Iterable[Any]) -> dict[int, StoredAttachment]:
    return {row[0]: StoredAttachment(row[0], row[1], MessageKind(row[2]), *row[3:]) for row in rows}


async def find_attachments(
    connection: AsyncConnection, ids: Collection[int]
) -> dict[int, StoredAttachment]:
    """Return the attachments that exist among these ids."""
    return _stored(await connection.execute(_JOINED.where(col(Attachment.id).in_(ids))))


async def attachments_of(
    connection: AsyncConnection, message_ids: Collection[int]
) -> dict[int, StoredAttachment]:
    """Return the attachments of these messages, by the message's id."""
    rows = await connection.execute(
        _JOINED.add_columns(col(MessageAttachment.message_id))
        .join(MessageAttachment, col(MessageAttachment.attachment_id) == col(Attachment.id))
        .where(col(MessageAttachment.message_id).in_(message_ids))
    )
    return {row[-1]: _stored([row[:-1]])[row[0]] for row in rows}


async def is_shared_with(
    connection: AsyncConnection, attachment_id: int, viewer_id: int, *, broadcasts_after: int = 0
) -> bool:
    """Whether a message that the viewer may see carries the attachment."""
    rows = await connection.execute(
        select(col(Message.id))
        .join(MessageAttachment, col(MessageAttachment.message_id) == col(Message.id))
        .where(
            col(MessageAttachment.attachment_id) == attachment_id,
            visible(viewer_id, broadcasts_after),
        )
        .limit(1)
    )
    return rows.first() is not None


async def mark_sent(connection: AsyncConnection, ids: Collection[int], at: datetime) -> None:
    """Keep these attachments from the sweep."""
    await connection.execute(
        update(Attachment)
        .where(col(Attachment.id).in_(ids), col(Attachment.sent_at).is_(None))
        .values(sent_at=at)
    )


async def link(connection: AsyncConnection, links: Collection[tuple[int, int]]) -> None:
    """Say which messages carry which attachments: pairs of their ids."""
    rows = [{"message_id": message, "attachment_id": attached} for message, attached in links]
    await connection.execute(insert(MessageAttachment), rows)


async def count_unsent(connection: AsyncConnection, owner_id: int) -> int:
    """Return how many uploads of this user were never sent."""
    found = await connection.execute(
        select(func.count()).where(
            col(Attachment.owner_id) == owner_id, col(Attachment.sent_at).is_(None)
        )
    )
    return int(found.scalar_one())


async def lock_file(connection: AsyncConnection, content: Content) -> int | None:
    """Return the id of the file with this content; the sweep waits until the commit."""
    rows = await connection.execute(select(col(File.id)).where(*_same(content)).with_for_update())
    return rows.scalar()


def _same(content: Content) -> tuple[ColumnElement[bool], ...]:
    return (col(File.sha256) == content.sha256, col(File.media_type) == content.media_type)


async def insert_file(connection: AsyncConnection, content: Content, at: datetime) -> int:
    """Note, before its bytes are put into the store, that they may be there."""
    values = {**content._asdict(), "sha256": None, "created_at": at}
    inserted = await connection.execute(insert(File).values(values))
    return int(inserted.inserted_primary_key[0])  # type: ignore[index]  # an INSERT has one


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
    inserted = await connection.execute(
        insert(Attachment).values(
            owner_id=owner_id,
            file_id=file_id,
            kind=kind.value,
            filename=filename,
            sent_at=None,
            created_at=at,
        )
    )
    return int(inserted.inserted_primary_key[0])  # type: ignore[index]  # an INSERT has one


async def refer_to(connection: AsyncConnection, attachment_id: int, file_id: int) -> None:
    """Have the attachment be of another file, which has the same content."""
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
    old = await connection.execute(
        select(col(Attachment.id), col(Attachment.file_id))
        .where(col(Attachment.sent_at).is_(None), col(Attachment.created_at) < before)
        .order_by(col(Attachment.created_at))
        .limit(limit)
    )
    return (await _forget(connection, {row.id: row.file_id for row in old}))[0]


async def unsent_files_of(connection: AsyncConnection, owner_id: int) -> Collection[int]:
    """Return the ids of the files that the user uploaded and never sent."""
    rows = await connection.execute(
        select(col(Attachment.file_id)).where(
            col(Attachment.owner_id) == owner_id, col(Attachment.sent_at).is_(None)
        )
    )
    return set(rows.scalars())


async def forget_unsent_of(connection: AsyncConnection, owner_id: int) -> Collection[int]:
    """Forget what the user never sent; return the ids of the files that are dead by it."""
    found = await connection.execute(
        select(col(Attachment.id), col(Attachment.file_id)).where(
            col(Attachment.owner_id) == owner_id, col(Attachment.sent_at).is_(None)
        )
    )
    return (await _forget(connection, {row.id: row.file_id for row in found}))[1]


async def withdraw(connection: AsyncConnection, attachment_id: int) -> Collection[int]:
    """Forget an attachment that was never sent; return the ids of the files that are dead by it."""
    found = await connection.execute(
        select(col(Attachment.id), col(Attachment.file_id)).where(
            col(Attachment.id) == attachment_id
        )
    )
    return (await _forget(connection, {row.id: row.file_id for row in found}))[1]


async def _forget(
    connection: AsyncConnection, uploads: Mapping[int, int]
) -> tuple[int, Collection[int]]:
    """Forget those of these attachments (id: file) that were not sent: how many, and dead files.

    Files that nothing refers to any more lose their `sha256`: no upload takes them up again.
    """
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
        .where(col(Attachment.id).in_(uploads), col(Attachment.sent_at).is_(None))
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
    """Return the names of files that are not there, or no more, noted before then; by id.

    Only those of `ids`, if there are any. None of them can be published after the commit.
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
