"""Pages of everything that a user may see, groups included: one range for each group.

The groups are read by their members' `activity`, which tells which of them can have a message on
the page (docs/decisions/0017-conversations.md): of a user's 5,000 groups few are looked at.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.activity import MOST_BEHIND
from db.groups.leaving import as_left
from db.messages import page_messages, read_by_ids_of
from db.models import LogHead, Member, StoredMessage
from db.visibility import Stay

# So many ranges of groups in one statement.
AT_ONCE = 50
# For who is in more groups: so many positions at the page's end are looked through, one after the
# other, before the groups are asked one by one.
WINDOWS = (1_000, 4_000, 16_000)


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
    after somebody was removed is not there, and no later change to what was stored before.
    """
    lowest = after or 0
    head, stays = await _active_stays(connection, viewer_id, lowest - MOST_BEHIND, AT_ONCE + 1)
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
    page = _Page(lowest, end, newest, has_deleted, limit)
    page.add(others)
    if len(stays) > AT_ONCE:
        if await _scan(connection, viewer_id, page):
            return await as_left(connection, viewer_id, page.messages())
        _, stays = await _active_stays(connection, viewer_id, lowest - MOST_BEHIND)
    for start in range(0, len(stays), AT_ONCE):
        chunk = stays[start : start + AT_ONCE]
        low, high = page.open_part()
        if newest and chunk[0][1] + MOST_BEHIND <= low:
            break
        ranges = [
            _Range(id_, max(low, stay.sees_after), min(high, stay.left_position or high))
            for id_, _, stay in chunk
        ]
        page.add(await _read(connection, ranges, page))
    return await as_left(connection, viewer_id, page.messages())


class _Page:
    """A page that is put together: the newest or the oldest messages of what was found so far.

    What lies from `low` on, and before `high` (`after` and `end` at first), is still to be read.
    """

    def __init__(self, after: int, end: int, newest: bool, has_deleted: bool, limit: int) -> None:
        self.low, self.high = after, end
        self.newest, self.has_deleted, self.limit = newest, has_deleted, limit
        self._found: dict[int, StoredMessage] = {}

    @property
    def is_full(self) -> bool:
        """Whether it has as many messages as were asked for."""
        return len(self._found) >= self.limit

    def open_part(self) -> tuple[int, int]:
        """Return between which exclusive positions there may be other messages of the page."""
        if not self.is_full:
            return self.low, self.high
        if self.newest:
            return max(self.low, min(self._found)), self.high
        return self.low, min(self.high, max(self._found))

    def add(self, messages: Sequence[StoredMessage]) -> None:
        """Take messages in, and leave out what does not belong to the page then."""
        self._found |= {message.id: message for message in messages}
        ids = sorted(self._found)
        kept = ids[-self.limit :] if self.newest else ids[: self.limit]
        self._found = {id_: self._found[id_] for id_ in kept}

    def messages(self) -> Sequence[StoredMessage]:
        """Return the page, oldest first."""
        return [self._found[id_] for id_ in sorted(self._found)]

    def only_shown(self) -> str:
        """Return the condition on a message's row, beside its position."""
        return "" if self.has_deleted else " AND deleted_at IS NULL"

    def cut(self) -> str:
        """Return the end of a statement for ids."""
        return f" ORDER BY id {'DESC' if self.newest else 'ASC'} LIMIT {self.limit:d}"


async def _scan(connection: AsyncConnection, viewer_id: int, page: _Page) -> bool:
    """Look for messages of groups among all that lie at the page's end; whether it is whole now.

    For who is in many groups: much of what is written is for them. A few thousand rows are read.
    """
    order = "CROSS JOIN" if connection.dialect.name == "sqlite" else "STRAIGHT_JOIN"
    for size in WINDOWS:
        low, high = page.open_part()
        if page.newest:
            low = max(low, high - 1 - size)
        else:
            high = min(high, low + 1 + size)
        # The messages first, whatever else a database might prefer: each row looks up one member.
        ids = (
            f"SELECT m.id FROM messages m {order} members k"  # noqa: S608  # nosec B608  # numbers alone
            f" WHERE m.receiver_id IS NULL AND m.id > {low:d} AND m.id < {high:d}"
            f"{page.only_shown()} AND k.conversation_id = m.conversation_id"
            f" AND k.user_id = {viewer_id:d} AND k.is_group = 1 AND k.sees_after < m.id"
            f" AND (k.left_position IS NULL OR k.left_position > m.id){page.cut()}"
        )
        page.add(await read_by_ids_of(connection, ids))
        if page.newest:
            page.high = low + 1
        else:
            page.low = high - 1
        low, high = page.open_part()
        if high - low <= 1:
            return True
    return False


async def _active_stays(
    connection: AsyncConnection, viewer_id: int, least: int, limit: int | None = None
) -> tuple[int, Sequence[tuple[int, int, Stay]]]:
    """Return the log's head, and up to `limit` of the viewer's groups past this activity, the
    latest first.

    Each with its activity. One statement: the groups are as of the head.
    """
    activity = col(Member.activity)
    query = _stays(and_(col(Member.user_id) == viewer_id, activity > least), activity)
    rows = (await connection.execute(query.order_by(activity.desc()).limit(limit))).all()
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
    connection: AsyncConnection, ranges: Sequence[_Range], page: _Page
) -> Sequence[StoredMessage]:
    """Return the messages that the page may have of all these ranges together."""
    # The numbers stand in the text: only so does each range end where it must on MariaDB.
    parts = [
        _part(f"range_{number:d}", range_, f"{page.only_shown()}{page.cut()}")
        for number, range_ in enumerate(ranges)
        if range_.before - range_.after > 1
    ]
    if not parts:
        return ()
    together = " UNION ALL ".join(parts)
    return await read_by_ids_of(connection, f"SELECT id FROM ({together}) AS found{page.cut()}")  # noqa: S608  # nosec B608  # numbers alone


def _part(name: str, range_: _Range, rest: str) -> str:
    id_, after, before = range_
    return (
        f"SELECT id FROM (SELECT id FROM messages WHERE conversation_id = {id_:d}"  # noqa: S608  # nosec B608  # numbers alone
        f" AND id > {after:d} AND id < {before:d}{rest}) AS {name}"
    )
