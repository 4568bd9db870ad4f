"""Pages of everything that a user may see, groups included: one range for each group.

The groups are read by their members' `activity`, which tells which of them can have a message on
the page (docs/decisions/0017-conversations.md): of a user's 5,000 groups few are looked at.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.messages import page_messages, read_by_ids_of
from db.models import LogHead, Member, StoredMessage
from db.visibility import Stay

# So many ranges of groups in one statement.
AT_ONCE = 50
# A group's last message lies at most this far past its members' `activity`: twice ACTIVITY_STEP.
MOST_BEHIND = 2000


class _Range(NamedTuple):
    """Messages of a group between two exclusive positions."""

    conversation_id: int
    after: int
    before: int


async def page_with_groups(
    connection: AsyncConnection,
    viewer_id: int,
    *,
    after: int | None = None,
    before: int | None = None,
    newest: bool = True,
    limit: int,
    broadcasts_after: int = 0,
    has_blocks: bool = True,
    has_deleted: bool = True,
) -> Sequence[StoredMessage]:
    """Return up to `limit` messages the viewer may see, oldest first; as `page_messages`.

    Nothing on the page is later than the state of the groups that the page shows: what is stored
    after somebody was removed is not there.
    """
    lowest = after or 0
    head, stays = await _active_stays(connection, viewer_id, lowest - MOST_BEHIND)
    end = head + 1 if before is None else min(before, head + 1)
    others = await page_messages(
        connection,
        viewer_id,
        after=after,
        before=end,
        newest=newest,
        limit=limit,
        broadcasts_after=broadcasts_after,
        has_blocks=has_blocks,
        has_deleted=has_deleted,
        groups=True,
    )
    page = {message.id: message for message in others}
    for start in range(0, len(stays), AT_ONCE):
        chunk = stays[start : start + AT_ONCE]
        low, high = lowest, end
        if len(page) >= limit:  # only what lies within it can belong to it
            low, high = (min(page), end) if newest else (lowest, max(page))
        if newest and chunk[0][1] + MOST_BEHIND <= low:
            break
        ranges = [
            _Range(id_, max(low, stay.sees_after), min(high, stay.left_position or high))
            for id_, _, stay in chunk
        ]
        found = await _read(connection, ranges, newest=newest, has_deleted=has_deleted, limit=limit)
        page |= {message.id: message for message in found}
        kept = sorted(page)[-limit:] if newest else sorted(page)[:limit]
        page = {id_: page[id_] for id_ in kept}
    return [page[id_] for id_ in sorted(page)]


async def _active_stays(
    connection: AsyncConnection, viewer_id: int, least: int
) -> tuple[int, Sequence[tuple[int, int, Stay]]]:
    """Return the log's head, and the viewer's groups past this activity, the latest first.

    Each with its activity. One statement: the groups are as of the head.
    """
    activity = col(Member.activity)
    query = _stays(and_(col(Member.user_id) == viewer_id, activity > least), activity)
    rows = (await connection.execute(query.order_by(activity.desc()))).all()
    found = [(row[1], row[4], Stay(row[2], row[3])) for row in rows if row[1] is not None]
    return rows[0][0], found


def _stays(whose: Any, *more: Any) -> Select[Any]:
    return (
        select(
            col(LogHead.position),
            col(Member.conversation_id),
            col(Member.sees_after),
            col(Member.left_position),
            *more,
        )
        .select_from(LogHead)
        .outerjoin(Member, and_(whose, col(Member.is_group)))
    )


async def find_stays(
    connection: AsyncConnection, user_ids: Collection[int]
) -> tuple[int, Mapping[int, dict[int, Stay]]]:
    """Return the log's head, and in which groups each of these users is or was, as of the head."""
    query = _stays(col(Member.user_id).in_(user_ids), col(Member.user_id))
    rows = (await connection.execute(query)).all()
    found: dict[int, dict[int, Stay]] = {user_id: {} for user_id in user_ids}
    for _, conversation_id, joined, left, user_id in rows:
        if conversation_id is not None:
            found[user_id][conversation_id] = Stay(joined, left)
    return rows[0][0], found


async def _read(
    connection: AsyncConnection,
    ranges: Sequence[_Range],
    *,
    newest: bool,
    has_deleted: bool,
    limit: int,
) -> Sequence[StoredMessage]:
    """Return the newest messages of all these ranges together, or the oldest ones."""
    more = "" if has_deleted else " AND deleted_at IS NULL"
    order = f"{more} ORDER BY id {'DESC' if newest else 'ASC'} LIMIT {limit:d}"
    # The numbers stand in the text: only so does each range end where it must on MariaDB.
    parts = [
        _part(f"range_{number:d}", range_, order)
        for number, range_ in enumerate(ranges)
        if range_.before - range_.after > 1
    ]
    if not parts:
        return ()
    together = " UNION ALL ".join(parts)
    last = order.removeprefix(more)
    return await read_by_ids_of(connection, f"SELECT id FROM ({together}) AS found{last}")  # noqa: S608  # nosec B608  # numbers alone


def _part(name: str, range_: _Range, order: str) -> str:
    id_, after, before = range_
    return (
        f"SELECT id FROM (SELECT id FROM messages WHERE conversation_id = {id_:d}"  # noqa: S608  # nosec B608  # numbers alone
        f" AND id > {after:d} AND id < {before:d}{order}) AS {name}"
    )
