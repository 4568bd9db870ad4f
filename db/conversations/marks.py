"""What is unread of conversations, their members, and how far each has read."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.spans import APART, PARTS_AT_ONCE, union
from db.engines.statements import fetch
from db.models import (
    EVERYBODY_ID,
    ConversationKind,
    ListedConversation,
    StoredMember,
    User,
    utc_from,
)

# How many unread messages of a conversation are counted: "100" stands for "at least 100".
UNREAD_COUNTED = 100
# So many of a page of conversations are counted at once; of more, some of each conversation.
COUNTED_TOGETHER = 1000


async def count_unread(
    connection: AsyncConnection,
    viewer_id: int,
    conversations: Iterable[ListedConversation],
    *,
    has_blocks: bool,
) -> dict[int, int]:
    """Return how many messages of others lie past the read mark of each, up to UNREAD_COUNTED.

    With `has_blocks`, broadcasts of those whom a block keeps apart from the viewer do not count.
    """
    counts: dict[int, int] = {}
    ranges: dict[int, str] = {}
    apart = ""  # what else holds for a broadcast
    for listed in conversations:
        counts[listed.id] = 0
        after = max(listed.read_position, listed.after)
        if listed.last_position <= after or listed.peer_id == viewer_id:
            continue
        ranges[listed.id] = (
            f"m.conversation_id = {listed.id:d} AND m.id > {after:d} AND m.id <= {listed.upto:d}"
        )
        if has_blocks and listed.id == EVERYBODY_ID:
            apart = APART.format(viewer=viewer_id)
    unread = f" AND m.sender_id <> {viewer_id:d} AND m.deleted_at IS NULL"
    alike = [id_ for id_ in ranges if not (apart and id_ == EVERYBODY_ID)]
    for start in range(0, len(alike), PARTS_AT_ONCE):
        some = alike[start : start + PARTS_AT_ONCE]
        found = await _count_together(connection, [ranges[id_] for id_ in some], unread)
        if found is not None:
            counts |= {id_: min(count, UNREAD_COUNTED) for id_, count in found.items()}
            for id_ in some:
                del ranges[id_]
    parts = [
        f"SELECT {id_:d}, COUNT(*) FROM (SELECT m.id FROM messages m WHERE {where}{unread}"  # noqa: S608  # nosec B608  # ids
        f"{apart if id_ == EVERYBODY_ID else ''} LIMIT {UNREAD_COUNTED:d}) AS unread"
        for id_, where in ranges.items()
    ]
    for row in await union(connection, parts):
        counts[row[0]] = row[1]
    return counts


async def _count_together(
    connection: AsyncConnection, ranges: Sequence[str], unread: str
) -> dict[int, int] | None:
    """Return how many messages there are in each conversation's range; None for very many in all.

    One look at all ranges costs a third of one look at each, and has no limit for each.
    """
    index = "" if connection.dialect.name == "sqlite" else "FORCE INDEX (ix_messages_conversation)"
    where = " OR ".join(f"({each})" for each in ranges)
    statement = (
        f"SELECT m.conversation_id FROM messages m {index} WHERE ({where}){unread}"  # noqa: S608  # nosec B608  # ids
        f" LIMIT {COUNTED_TOGETHER:d}"
    )
    found = await fetch(connection, statement, ())
    return None if len(found) == COUNTED_TOGETHER else Counter(row[0] for row in found)


_MEMBERS = (
    "SELECT k.conversation_id, k.user_id, k.role, k.read_position, u.delivered_position,"
    " u.read_receipts, k.joined_at FROM members k JOIN users u ON u.id = k.user_id"
    " WHERE k.conversation_id {where} AND k.user_id > {after:d} AND k.left_position IS NULL"
)


async def page_members(
    connection: AsyncConnection,
    conversations: Collection[ListedConversation],
    *,
    after: int,
    limit: int,
) -> dict[int, list[StoredMember]]:
    """Return up to `limit` members of each conversation, past a user's id, in the order of ids."""
    found: dict[int, list[StoredMember]] = {listed.id: [] for listed in conversations}
    # Those of two people need no limit in the statement, and so are one range of it.
    direct = [each.id for each in conversations if each.kind == ConversationKind.DIRECT]
    parts = [
        f"SELECT * FROM ({_MEMBERS.format(where=f'= {each.id:d}', after=after)}"  # noqa: S608  # nosec B608  # ids
        f" ORDER BY k.user_id LIMIT {limit:d}) AS page"
        for each in conversations
        if each.kind != ConversationKind.DIRECT
    ]
    if direct:
        ids = ",".join(f"{id_:d}" for id_ in direct)
        parts.append(_MEMBERS.format(where=f"IN ({ids})", after=after))
    for row in await union(connection, parts):
        joined_at = None if row[6] is None else utc_from(row[6])
        found[row[0]].append(
            StoredMember(row[0], row[1], row[2], row[3], row[4], bool(row[5]), joined_at)
        )
    for id_, members in found.items():
        found[id_] = sorted(members, key=lambda member: member.user_id)[:limit]
    return found


async def read_settings(connection: AsyncConnection, user_id: int) -> tuple[int, bool]:
    """Return the delivered mark of a user, and whether they show their read marks."""
    rows = await connection.execute(
        select(col(User.delivered_position), col(User.read_receipts)).where(col(User.id) == user_id)
    )
    row = rows.one_or_none()
    return (0, True) if row is None else (row[0], row[1])


async def last_ids(
    connection: AsyncConnection, places: Collection[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return the last message at or before a position of a conversation, if there is one.

    Each place is a conversation and a position.
    """
    parts = [
        f"SELECT {id_:d}, {position:d}, (SELECT m.id FROM messages m"  # noqa: S608  # nosec B608  # ids
        f" WHERE m.conversation_id = {id_:d} AND m.id <= {position:d}"
        f" ORDER BY m.id DESC LIMIT 1)"
        for id_, position in places
    ]
    rows = await union(connection, parts)
    return {(row[0], row[1]): row[2] for row in rows if row[2] is not None}


async def peers_between(
    connection: AsyncConnection, user_id: int, after: int, upto: int, *, limit: int
) -> set[int]:
    """Return with whom a user has exchanged direct messages between two positions of the log.

    Up to `limit` each way, those of the latest messages.
    """
    found: set[int] = set()
    for own, other in (("receiver_id", "sender_id"), ("sender_id", "receiver_id")):
        statement = (
            f"SELECT DISTINCT peer FROM (SELECT {other} AS peer FROM messages"  # noqa: S608  # nosec B608  # names
            f" WHERE {own} = :user AND id > :after AND id <= :upto"
            f" ORDER BY id DESC LIMIT {limit:d}) AS latest WHERE peer IS NOT NULL"
        )
        values = {"user": user_id, "after": after, "upto": upto}
        found |= {row[0] for row in await connection.execute(text(statement), values)}
    return found
