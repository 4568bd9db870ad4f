"""What is asked of many conversations: one statement, with a part for each.

Every part is a range of an index, cut at its limit.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.statements import fetch
from db.models import EVERYBODY_ID

# Parts of one statement: SQLite takes 500.
PARTS_AT_ONCE = 200

APART = (
    " AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = {viewer:d}"
    " AND b.blocked_id = m.sender_id) AND NOT EXISTS (SELECT 1 FROM blocks b"
    " WHERE b.blocker_id = m.sender_id AND b.blocked_id = {viewer:d})"
)


class Span(NamedTuple):
    """The newest, or the first, messages of a conversation between two exclusive ids."""

    conversation_id: int
    after: int
    before: int
    newest: bool
    limit: int


async def page_ids(
    connection: AsyncConnection, spans: Collection[Span], *, apart_from: int | None = None
) -> dict[int, list[int]]:
    """Return the ids of the messages of each span, in order; one span for each conversation.

    `apart_from` names a viewer with blocks, to whom some broadcasts are not shown.
    """
    parts = []
    for span in spans:
        apart = ""
        if apart_from is not None and span.conversation_id == EVERYBODY_ID:
            apart = APART.format(viewer=apart_from)
        parts.append(
            f"SELECT {span.conversation_id:d}, page.id FROM (SELECT m.id FROM messages m"  # noqa: S608  # nosec B608  # ids
            f" WHERE m.conversation_id = {span.conversation_id:d} AND m.id > {span.after:d}"
            f" AND m.id < {span.before:d}{apart}"
            f" ORDER BY m.id {'DESC' if span.newest else 'ASC'} LIMIT {span.limit:d}) AS page"
        )
    found: dict[int, list[int]] = {span.conversation_id: [] for span in spans}
    for row in await union(connection, parts):
        found[row[0]].append(row[1])
    return {id_: sorted(ids) for id_, ids in found.items()}


async def union(connection: AsyncConnection, parts: Sequence[str]) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(parts), PARTS_AT_ONCE):
        statement = " UNION ALL ".join(parts[start : start + PARTS_AT_ONCE])
        # As it is: SQLAlchemy would look through a text that is another one each time.
        rows += await fetch(connection, statement, ())
    return rows
