"""What is unread of conversations, their members, and how far each has read."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.activity import MOST_BEHIND
from db.conversations.spans import APART, PARTS_AT_ONCE, union
from db.engines.statements import fetch
from db.models import (
    EVERYBODY_ID,
    ConversationKind,
    ListedConversation,
    Member,
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


class Move(NamedTuple):
    """A user's clients were sent the log past one position, up to another."""

    user_id: int
    after: int
    upto: int


async def peers_between(
    connection: AsyncConnection, moves: Collection[Move], *, limit: int
) -> dict[int, set[int]]:
    """Return with whom each user has exchanged direct messages between two positions of the log.

    Up to `limit` each way, those of the latest messages.
    """
    parts = [
        f"SELECT DISTINCT {user_id:d}, peer FROM (SELECT {other} AS peer FROM messages"  # noqa: S608  # nosec B608  # names and ids
        f" WHERE {own} = {user_id:d} AND id > {after:d} AND id <= {upto:d}"
        f" ORDER BY id DESC LIMIT {limit:d}) AS latest WHERE peer IS NOT NULL"
        for user_id, after, upto in moves
        for own, other in (("receiver_id", "sender_id"), ("sender_id", "receiver_id"))
    ]
    found: dict[int, set[int]] = {move.user_id: set() for move in moves}
    for user_id, peer_id in await union(connection, parts):
        found[user_id].add(peer_id)
    return found


async def senders_between(
    connection: AsyncConnection, moves: Collection[Move], *, limit: int, most_groups: int
) -> dict[int, dict[int, set[int]]]:
    """Return who has written in each user's groups between two positions, by user and group.

    Only those who are in the group now. Of each user the `most_groups` latest groups count, and of
    a group the latest `limit` messages.
    """
    by_user = {move.user_id: move for move in moves}
    lowest = min(move.after for move in moves)
    rows = await connection.execute(
        select(
            col(Member.user_id),
            col(Member.conversation_id),
            col(Member.sees_after),
            col(Member.activity),
        ).where(
            col(Member.user_id).in_(by_user),
            col(Member.is_group),
            col(Member.left_position).is_(None),
            # No message of the others can lie past `after`.
            col(Member.activity) > lowest - MOST_BEHIND,
        )
    )
    ranges: dict[int, list[Move]] = {}
    asked_of: Counter[int] = Counter()
    for user_id, group, sees_after, activity in sorted(rows, key=itemgetter(3), reverse=True):
        _, after, upto = by_user[user_id]
        if activity > after - MOST_BEHIND and asked_of[user_id] < most_groups:
            asked_of[user_id] += 1
            ranges.setdefault(group, []).append(Move(user_id, max(after, sees_after), upto))
    parts = [
        f"SELECT * FROM (SELECT conversation_id, id, sender_id FROM messages"  # noqa: S608  # nosec B608  # ids
        f" WHERE conversation_id = {group:d} AND id > {min(each.after for each in asked):d}"
        f" AND id <= {max(each.upto for each in asked):d} "
        f" ORDER BY id DESC LIMIT {limit:d}) AS latest"
        for group, asked in ranges.items()
    ]
    written: dict[int, list[tuple[int, int]]] = {}
    for group, id_, sender_id in await union(connection, parts):
        written.setdefault(group, []).append((id_, sender_id))
    senders = {sender_id for messages in written.values() for _, sender_id in messages}
    present: set[tuple[int, int]] = set()
    if senders:
        here = await connection.execute(
            select(col(Member.conversation_id), col(Member.user_id)).where(
                col(Member.conversation_id).in_(written),
                col(Member.user_id).in_(senders),
                col(Member.left_position).is_(None),
            )
        )
        present = {(row[0], row[1]) for row in here}
    found: dict[int, dict[int, set[int]]] = {user_id: {} for user_id in by_user}
    for group, messages in written.items():
        for user_id, after, upto in ranges[group]:
            of_range = {
                sender_id
                for id_, sender_id in messages
                if after < id_ <= upto and sender_id != user_id and (group, sender_id) in present
            }
            if of_range:
                found[user_id][group] = of_range
    return found
