"""Queries on sessions, and on what a token is worth now."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Dialect, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import Statement
from db.models import SessionRow, StoredSession, User, columns, utc_from

_COLUMNS = columns(StoredSession, SessionRow)
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
    is_theirs = and_(col(SessionRow.user_id) == col(User.id), col(SessionRow.id).in_(sessions))
    return (
        select(
            col(User.id),
            col(User.tokens_from),
            col(User.joined_position),
            col(SessionRow.id),
            col(SessionRow.expires_at),
        )
        .outerjoin(SessionRow, is_theirs)
        .where(col(User.id).in_(users), _USABLE)
    )


# Of few sizes, so that they stay prepared.
_SIZES = (1, 4, 16, 64)
MAX_TOKEN_STATES = _SIZES[-1]
_TOKEN_STATES = {size: Statement(partial(_token_states_query, size)) for size in _SIZES}


class NewSession(NamedTuple):
    """A session that is about to be opened."""

    expires_at: datetime
    agent: str
    address: str


async def insert_sessions(
    connection: AsyncConnection, new: Mapping[int, NewSession], now: datetime
) -> dict[int, int]:
    """Open a session for each of these users; return the ids, by their users.

    The transaction has locked the users' accounts, or made them.
    """
    if not new:
        return {}
    rows = [
        {"user_id": id_, "created_at": now, "last_seen_at": now, **session._asdict()}
        for id_, session in new.items()
    ]
    await connection.execute(insert(SessionRow), rows)
    # MySQL returns no ids of an INSERT of several rows. Ids grow.
    newest = await connection.execute(
        select(col(SessionRow.user_id), func.max(col(SessionRow.id)))
        .where(col(SessionRow.user_id).in_(new))
        .group_by(col(SessionRow.user_id))
    )
    return {row[0]: row[1] for row in newest}


async def find_sessions(
    connection: AsyncConnection, user_id: int, now: datetime
) -> Sequence[StoredSession]:
    """Return the user's sessions that have not expired, the latest first."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(col(SessionRow.user_id) == user_id, col(SessionRow.expires_at) > now)
        .order_by(col(SessionRow.id).desc())
    )
    return [StoredSession(*row) for row in rows]


async def find_openings(
    connection: AsyncConnection, user_ids: Collection[int]
) -> dict[int, dict[int, datetime]]:
    """Return, for each of these users, when each session of theirs was opened.

    The latest first, and expired ones too.
    """
    rows = await connection.execute(
        select(col(SessionRow.user_id), col(SessionRow.id), col(SessionRow.created_at))
        .where(col(SessionRow.user_id).in_(user_ids))
        .order_by(col(SessionRow.id).desc())
    )
    found: dict[int, dict[int, datetime]] = {}
    for user_id, session_id, created_at in rows:
        found.setdefault(user_id, {})[session_id] = created_at
    return found


async def extend_sessions(connection: AsyncConnection, ends: Mapping[int, datetime]) -> None:
    """Move the ends of these sessions."""
    if ends:
        rows = [{"of": id_, "expires_at": end} for id_, end in ends.items()]
        await connection.execute(
            update(SessionRow).where(col(SessionRow.id) == bindparam("of")), rows
        )


async def remove_sessions(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Remove these sessions."""
    if ids:
        await connection.execute(delete(SessionRow).where(col(SessionRow.id).in_(ids)))


async def touch_sessions(connection: AsyncConnection, ids: Collection[int], at: datetime) -> None:
    """Remember that these sessions were in use."""
    await connection.execute(
        update(SessionRow).where(col(SessionRow.id).in_(ids)).values(last_seen_at=at)
    )


async def remove_expired(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Remove up to `limit` sessions that expired before a moment, and return how many."""
    rows = await connection.execute(
        select(col(SessionRow.id)).where(col(SessionRow.expires_at) < before).limit(limit)
    )
    ids = [*rows.scalars()]
    if ids:
        await connection.execute(
            delete(SessionRow).where(
                col(SessionRow.id).in_(ids), col(SessionRow.expires_at) < before
            )
        )
    return len(ids)
