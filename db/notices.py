"""Queries on notices: what every process is to hear of."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Notice, NoticeKind, StoredNotice

_COLUMNS = (
    col(Notice.id),
    col(Notice.kind),
    col(Notice.user_id),
    col(Notice.other),
    col(Notice.moment),
)


async def insert_notice(
    connection: AsyncConnection,
    kind: NoticeKind,
    user_id: int,
    other: int | None = None,
    moment: datetime | None = None,
) -> StoredNotice:
    """Add a notice to the caller's transaction; announce it after the commit."""
    result = await connection.execute(
        insert(Notice).values(
            kind=kind.value,
            user_id=user_id,
            other=other,
            moment=moment,
            created_at=datetime.now(UTC),
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101  # an INSERT of one row always has one
    return StoredNotice(int(key[0]), kind, user_id, other, moment)


async def last_notice_id(connection: AsyncConnection) -> int:
    """Return the greatest id; 0 when there is none."""
    return (await connection.execute(select(func.max(col(Notice.id))))).scalar() or 0


async def read_notices(
    connection: AsyncConnection, after: int, missing: Collection[int] = (), *, limit: int
) -> Sequence[StoredNotice]:
    """Return those past `after`, and those of the `missing` ids that are there, in order."""
    wanted = col(Notice.id) > after
    if missing:
        wanted = or_(wanted, col(Notice.id).in_(missing))
    rows = await connection.execute(
        select(*_COLUMNS).where(wanted).order_by(col(Notice.id)).limit(limit)
    )
    return [StoredNotice(*row) for row in rows]


async def prune_notices(connection: AsyncConnection, before: datetime) -> None:
    """Remove those of before a moment, but never the last: it says how far the ids have come."""
    last = await last_notice_id(connection)
    await connection.execute(
        delete(Notice).where(col(Notice.created_at) < before, col(Notice.id) < last)
    )
