"""Queries on messages: each reads as many rows as it returns, however long the history is."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Subquery, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.attachments import attachments_of
from db.models import LogHead, Message, MessageKind, StoredMessage

COLUMNS = (
    col(Message.id),
    col(Message.sender_id),
    col(Message.receiver_id),
    col(Message.kind),
    col(Message.content),
    col(Message.client_message_id),
    col(Message.created_at),
)


ATTACHING_KINDS = frozenset({MessageKind.IMAGE, MessageKind.FILE, MessageKind.VOICE})


async def read_messages(connection: AsyncConnection, query: Any) -> list[StoredMessage]:
    """Return what a query for COLUMNS finds, with the attachments of those that have one."""
    rows = await connection.execute(query)
    found = [
        StoredMessage(id_, sender, receiver, MessageKind(kind), content, key, created)
        for id_, sender, receiver, kind, content, key, created in rows
    ]
    attaching = [message.id for message in found if message.kind in ATTACHING_KINDS]
    if not attaching:
        return found
    attached = await attachments_of(connection, attaching)
    return [
        msgspec.structs.replace(message, attachment=attached[message.id])
        if message.id in attached
        else message
        for message in found
    ]


async def page_messages(
    connection: AsyncConnection,
    viewer_id: int,
    *,
    peer_id: int | None = None,
    after: int | None = None,
    before: int | None = None,
    newest: bool = True,
    limit: int,
) -> Sequence[StoredMessage]:
    """Return up to `limit` messages the viewer may see, oldest first.

    With `peer_id`, only those between the two. `after` and `before` are exclusive ids.
    `newest` takes them from the new end of the range, else from the old end.
    """
    branches = (
        [_between(viewer_id, peer_id)]
        if peer_id is not None
        else [
            col(Message.sender_id) == viewer_id,
            col(Message.receiver_id) == viewer_id,
            col(Message.receiver_id).is_(None),
        ]
    )
    range_: list[ColumnElement[bool]] = []
    if after is not None:
        range_.append(col(Message.id) > after)
    if before is not None:
        range_.append(col(Message.id) < before)
    order: Any = col(Message.id).desc() if newest else col(Message.id)

    if len(branches) == 1:
        query: Any = select(*COLUMNS).where(branches[0], *range_).order_by(order).limit(limit)
    else:
        ids = _first_of_all(branches, range_, order, limit, newest=newest)
        query = select(*COLUMNS).join(ids, col(Message.id) == ids.c.id).order_by(order)
    messages = await read_messages(connection, query)
    return messages[::-1] if newest else messages


def _first_of_all(
    branches: list[ColumnElement[bool]],
    range_: list[ColumnElement[bool]],
    order: Any,
    limit: int,
    *,
    newest: bool,
) -> Subquery:
    # One index range for each way to see a message, each cut at the limit, then merged: an OR
    # over the three would make the database scan the whole log. UNION drops what is in two
    # (one's own broadcast); the inner subqueries are for SQLite, which takes no LIMIT in a UNION.
    parts = [
        select(col(Message.id)).where(branch, *range_).order_by(order).limit(limit).subquery()
        for branch in branches
    ]
    ids = union(*(select(part.c.id) for part in parts)).subquery()
    first = ids.c.id.desc() if newest else ids.c.id
    return select(ids.c.id).order_by(first).limit(limit).subquery()


def _between(one: int, other: int) -> ColumnElement[bool]:
    lower, higher = sorted((one, other))
    return (col(Message.lower_user_id) == lower) & (col(Message.higher_user_id) == higher)


async def find_visible(
    connection: AsyncConnection, viewer_id: int, message_id: int
) -> StoredMessage | None:
    """Return the message, or None when there is none or the viewer may not see it."""
    query = select(*COLUMNS).where(
        col(Message.id) == message_id,
        or_(
            col(Message.sender_id) == viewer_id,
            col(Message.receiver_id) == viewer_id,
            col(Message.receiver_id).is_(None),
        ),
    )
    return next(iter(await read_messages(connection, query)), None)


async def read_entries(
    connection: AsyncConnection, after: int, upto: int, limit: int
) -> Sequence[StoredMessage]:
    """Return up to `limit` entries of the whole log with after < id <= upto, in order."""
    query = (
        select(*COLUMNS)
        .where(col(Message.id) > after, col(Message.id) <= upto)
        .order_by(col(Message.id))
        .limit(limit)
    )
    return await read_messages(connection, query)


async def head_position(connection: AsyncConnection) -> int:
    """Return the last committed position of the log; 0 when it is empty."""
    return int((await connection.execute(select(col(LogHead.position)))).scalar_one())
