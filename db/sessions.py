"""Queries on sessions, and on what a token is worth now."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Dialect, and_, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import Statement
from db.models import Session, StoredSession, User, utc_from

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


class TokenState(NamedTuple):
    """What decides whether the tokens of a user who may come in are good."""

    # Tokens without a session that were issued before this are good no more.
    tokens_from: datetime | None
    # When the session ends that was asked for; None when none was, or it has ended.
    session_expires_at: datetime | None = None
    # Where the log was when the user registered.
    joined_position: int = 0


async def find_token_states(
    connection: AsyncConnection, asked: Sequence[tuple[int, int | None]]
) -> list[TokenState | None]:
    """Return that of each user, and of a session of theirs; None for one who may not come in.

    Asked for at most MAX_TOKEN_STATES.
    """
    size = next(size for size in _SIZES if size >= len(asked))
    values: dict[str, int | None] = {}
    for number in range(size):  # the last one fills up
        user_id, session_id = asked[min(number, len(asked) - 1)]
        values |= {f"user_{number}": user_id, f"session_{number}": session_id}
    of_users: dict[int, tuple[datetime | None, int]] = {}
    ends: dict[tuple[int, int | None], datetime] = {}
    rows = await _TOKEN_STATES[size].fetch(connection, values)
    for user_id, since, joined_position, session_id, expires_at in rows:
        of_users[user_id] = (None if since is None else utc_from(since), joined_position)
        if session_id is not None:
            ends[user_id, session_id] = utc_from(expires_at)
    return [
        TokenState(known[0], ends.get((user_id, session_id)), known[1])
        if (known := of_users.get(user_id)) is not None
        else None
        for user_id, session_id in asked
    ]


def _token_states_query(size: int, dialect: Dialect) -> Any:
    users, sessions = (
        [bindparam(f"{name}_{number}", type_=BigInteger) for number in range(size)]
        for name in ("user", "session")
    )
    is_theirs = and_(col(Session.user_id) == col(User.id), col(Session.id).in_(sessions))
    return (
        select(
            col(User.id),
            col(User.tokens_from),
            col(User.joined_position),
            col(Session.id),
            col(Session.expires_at),
        )
        .outerjoin(Session, is_theirs)
        .where(col(User.id).in_(users), _USABLE)
    )


# Of few sizes, so that they stay prepared.
_SIZES = (1, 4, 16, 64)
MAX_TOKEN_STATES = _SIZES[-1]
_TOKEN_STATES = {size: Statement(partial(_token_states_query, size)) for size in _SIZES}


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


async def find_opening(
    connection: AsyncConnection, user_id: int, session_id: int
) -> datetime | None:
    """Return when the user's session was opened; None when it has ended."""
    rows = await connection.execute(
        select(col(Session.created_at)).where(
            col(Session.id) == session_id, col(Session.user_id) == user_id
        )
    )
    return rows.scalar_one_or_none()


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
