"""What is unread of conversations, their members, and how far each has read."""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.spans import APART, union
from db.models import EVERYBODY_ID, ListedConversation, StoredMember, User, utc_from

# How many unread messages of a conversation are counted: "100" stands for "at least 100".
UNREAD_COUNTED = 100


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
    parts = []
    for listed in conversations:
        counts[listed.id] = 0
        after = max(listed.read_position, listed.after)
        if listed.last_position <= after or listed.peer_id == viewer_id:
            continue
        apart = APART if has_blocks and listed.id == EVERYBODY_ID else ""
        parts.append(
            f"SELECT {listed.id:d}, COUNT(*) FROM (SELECT m.id FROM messages m"  # noqa: S608  # ids
            f" WHERE m.conversation_id = {listed.id:d} AND m.id > {after:d}"
            f" AND m.id <= {listed.upto:d} AND m.sender_id <> {viewer_id:d}"
            " AND m.deleted_at IS NULL"
            f"{apart.format(viewer=viewer_id)} LIMIT {UNREAD_COUNTED:d}) AS unread"
        )
    for row in await union(connection, parts):
        counts[row[0]] = row[1]
    return counts


async def page_members(
    connection: AsyncConnection, conversation_ids: Collection[int], *, after: int, limit: int
) -> dict[int, list[StoredMember]]:
    """Return up to `limit` members of each conversation, past a user's id, in the order of ids."""
    parts = [
        f"SELECT * FROM (SELECT k.conversation_id, k.user_id, k.role, k.read_position,"  # noqa: S608  # ids
        f" u.delivered_position, u.read_receipts, k.joined_at"
        f" FROM members k JOIN users u ON u.id = k.user_id"
        f" WHERE k.conversation_id = {id_:d} AND k.user_id > {after:d}"
        f" AND k.left_position IS NULL ORDER BY k.user_id LIMIT {limit:d}) AS page"
        for id_ in conversation_ids
    ]
    found: dict[int, list[StoredMember]] = {id_: [] for id_ in conversation_ids}
    for row in await union(connection, parts):
        joined_at = None if row[6] is None else utc_from(row[6])
        found[row[0]].append(
            StoredMember(row[0], row[1], row[2], row[3], row[4], bool(row[5]), joined_at)
        )
    for members in found.values():
        members.sort(key=lambda member: member.user_id)
    return found


async def read_settings(
    connection: AsyncConnection, user_ids: Collection[int]
) -> Mapping[int, tuple[int, bool]]:
    """Return the delivered mark of each user, and whether they show their read marks."""
    rows = await connection.execute(
        select(col(User.id), col(User.delivered_position), col(User.read_receipts)).where(
            col(User.id).in_(user_ids)
        )
    )
    return {id_: (delivered, receipts) for id_, delivered, receipts in rows}
