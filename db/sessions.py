"""Queries on sessions, and on what a token is worth now."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Session, StoredSession, User

_COLUMNS = (
    col(Session.id),
    col(Session.user_id),
    col(Session.created_at),
    col(Session.last_seen_at),
    col(Session.expires_at),
    col(Session.agent),
    col(Session.address),
)
_USABLE = and_(col(User.disabled_at).is_(None), col(User.deleted_at).is_(None))


class Standing(NamedTuple):
    """What is known of a user who may come in."""

    # Tokens without a session that were issued before this are good no more.
    tokens_from: datetime | None
    # When the session ends that was asked for; None when none was, or it has ended.
    session_expires_at: datetime | None = None


async def find_standing(
    connection: AsyncConnection, user_id: int, session_id: int | None
) -> Standing | None:
    """Return the user's, with that of their session; None for one who may not come in."""
    query = select(col(User.tokens_from)).where(col(User.id) == user_id, _USABLE)
    if session_id is not None:
        query = query.add_columns(col(Session.expires_at)).outerjoin(
            Session, and_(col(Session.id) == session_id, col(Session.user_id) == col(User.id))
        )
    row = (await connection.execute(query)).first()
    return None if row is None else Standing(*row)


async def insert_session(
    connection: AsyncConnection,
    *,
    user_id: int,
    now: datetime,
    expires_at: datetime,
    agent: str,
    address: str,
) -> int:
    """Add a session and return its id."""
    result = await connection.execute(
        insert(Session).values(
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            expires_at=expires_at,
            agent=agent,
            address=address,
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101  # an INSERT of one row always has one
    return int(key[0])


async def find_sessions(
    connection: AsyncConnection, user_id: int, now: datetime
) -> Sequence[StoredSession]:
    """Return the user's sessions that have not expired, the latest first."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(col(Session.user_id) == user_id, col(Session.expires_at) > now)
        .order_by(col(Session.id).desc())
    )
    return [StoredSession(*row) for row in rows]


async def session_ids(connection: AsyncConnection, user_id: int) -> list[int]:
    """Return the ids of the user's sessions, the latest first, expired ones too."""
    rows = await connection.execute(
        select(col(Session.id))
        .where(col(Session.user_id) == user_id)
        .order_by(col(Session.id).desc())
    )
    return [*rows.scalars()]


async def extend_session(
    connection: AsyncConnection, user_id: int, session_id: int, *, expires_at: datetime
) -> bool:
    """Move the end of the user's session; False when it has ended."""
    result = await connection.execute(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.user_id) == user_id)
        .values(expires_at=expires_at)
    )
    return result.rowcount > 0


async def remove_sessions(connection: AsyncConnection, user_id: int, ids: Collection[int]) -> int:
    """Remove these sessions of the user, and return how many there were."""
    result = await connection.execute(
        delete(Session).where(col(Session.id).in_(ids), col(Session.user_id) == user_id)
    )
    return result.rowcount


async def touch_sessions(connection: AsyncConnection, ids: Collection[int], at: datetime) -> None:
    """Remember that these sessions were in use."""
    await connection.execute(
        update(Session).where(col(Session.id).in_(ids)).values(last_seen_at=at)
    )


async def remove_expired(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Remove up to `limit` sessions that expired before a moment, and return how many."""
    rows = await connection.execute(
        select(col(Session.id)).where(col(Session.expires_at) < before).limit(limit)
    )
    ids = [*rows.scalars()]
    if ids:
        await connection.execute(
            delete(Session).where(col(Session.id).in_(ids), col(Session.expires_at) < before)
        )
    return len(ids)
