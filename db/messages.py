"""Queries on messages: each reads as many rows as it returns, however long the history is."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Integer,
    bindparam,
    select,
    tuple_,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.attachments import attachments_of
from db.engines.statements import Statement, in_list, lists_of, rows_by_key
from db.groups.leaving import as_left
from db.models import (
    EVERYBODY_ID,
    Conversation,
    LogHead,
    Message,
    MessageKind,
    StoredMessage,
    columns,
    utc_from,
)
from db.people.blocks import not_apart
from db.visibility import visible, ways_to_see

COLUMNS = columns(StoredMessage, Message)

ATTACHING_KINDS = frozenset({MessageKind.IMAGE, MessageKind.FILE, MessageKind.VOICE})

_KINDS = {kind.value: kind for kind in MessageKind}
_encoder = msgspec.json.Encoder()


async def read_messages(connection: AsyncConnection, query: Any) -> list[StoredMessage]:
    """Return what a query for COLUMNS finds, with the attachments of those that have one."""
    return await _stored(connection, await connection.execute(query))


async def read_by_ids_of(connection: AsyncConnection, ids: str) -> list[StoredMessage]:
    """Return the messages whose ids a SELECT, which is given as its text, finds.

    Past SQLAlchemy, which would keep each text that it has compiled.
    """
    names = ", ".join(f"messages.{column.name}" for column in COLUMNS)
    statement = f"SELECT {names} FROM messages JOIN ({ids}) AS page ON page.id = messages.id"  # noqa: S608  # nosec B608  # of numbers and our own names
    return await _stored(connection, await connection.exec_driver_sql(statement))


async def _stored(connection: AsyncConnection, rows: Iterable[Any]) -> list[StoredMessage]:
    found = [
        StoredMessage(
            id_, sender, receiver, _KINDS[kind], content, key, utc_from(created), where, None,
            edited and utc_from(edited), deleted and utc_from(deleted), reply_to, bool(reacted),
            metadata,
        )
        for id_, sender, receiver, kind, content, key, created, where, edited, deleted, reply_to,
        reacted, metadata in rows
    ]  # fmt: skip
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
    conversation_id: int | None = None,
    after: int | None = None,
    before: int | None = None,
    newest: bool = True,
    limit: int,
    broadcasts_after: int = 0,
    has_blocks: bool = True,
    has_deleted: bool = True,
    groups: bool = False,
) -> Sequence[StoredMessage]:
    """Return up to `limit` messages the viewer may see, oldest first; none of groups.

    `groups` adds what the viewer wrote in groups: db/groups/pages.py adds what others did.
    Broadcasts up to `broadcasts_after` are hidden: they were sent before the viewer came. With
    `peer_id`, only messages between the two are returned; with `conversation_id`, only those of it,
    which the viewer is in. `after` and `before` are exclusive ids.
    `newest` takes the last messages of this range, else the first. `has_blocks=False` says that
    nobody has blocked the viewer, nor the viewer anybody: no broadcast's sender is looked at.
    `has_deleted=False` leaves out what was deleted.
    """
    shape = _PageShape(
        peer_id is not None,
        conversation_id is not None,
        after is not None,
        before is not None,
        newest,
        # No block hides what is between two people, or in a group.
        has_blocks and conversation_id in {None, EVERYBODY_ID},
        has_deleted,
        groups,
    )
    lower, higher = sorted((viewer_id, peer_id or viewer_id))
    values = {"viewer": viewer_id, "lower": lower, "higher": higher, "limit": limit}
    values |= {"joined": broadcasts_after, "conversation": conversation_id or 0}
    rows = await _page_statement(shape).fetch(
        connection, {**values, "after": after, "before": before}
    )
    page = await _stored(connection, reversed(rows) if newest else rows)
    return page if conversation_id is None else await as_left(connection, viewer_id, page)


class _PageShape(NamedTuple):
    """What kind of page: each kind is one statement, built once."""

    of_a_pair: bool
    of_a_conversation: bool
    after: bool
    before: bool
    newest: bool
    has_blocks: bool
    has_deleted: bool
    groups: bool


@cache
def _page_statement(shape: _PageShape) -> Statement:
    return Statement(partial(_page_query, shape))


def _page_query(shape: _PageShape, dialect: Dialect) -> Any:
    viewer = bindparam("viewer", type_=BigInteger)
    joined = bindparam("joined", type_=BigInteger)
    range_: list[ColumnElement[bool]] = []
    if shape.after:
        range_.append(col(Message.id) > bindparam("after", type_=BigInteger))
    if shape.before:
        range_.append(col(Message.id) < bindparam("before", type_=BigInteger))
    if not shape.has_deleted:
        range_.append(col(Message.deleted_at).is_(None))
    order: Any = col(Message.id).desc() if shape.newest else col(Message.id)
    limit = bindparam("limit", type_=Integer)
    if shape.of_a_pair:
        conversation = (
            select(col(Conversation.id))
            .where(
                col(Conversation.lower_user_id) == bindparam("lower", type_=BigInteger),
                col(Conversation.higher_user_id) == bindparam("higher", type_=BigInteger),
            )
            .scalar_subquery()
        )
        of_the_two = col(Message.conversation_id) == conversation
        return select(*COLUMNS).where(of_the_two, *range_).order_by(order).limit(limit)
    if shape.of_a_conversation:
        of_it = [col(Message.conversation_id) == bindparam("conversation", type_=BigInteger)]
        if shape.has_blocks:
            of_it.append(not_apart(viewer, col(Message.sender_id)))
        return select(*COLUMNS).where(*of_it, *range_).order_by(order).limit(limit)
    # One index range for each way to see a message, each cut at the limit, then merged: an OR
    # over the three would make the database scan the whole log. UNION drops a message that is
    # found in two ways, such as the viewer's own broadcast.
    parts: list[Any] = [
        select(col(Message.id)).where(way, *range_).order_by(order).limit(limit)
        for way in ways_to_see(viewer, joined, has_blocks=shape.has_blocks, groups=shape.groups)
    ]
    if dialect.name == "sqlite":  # takes no LIMIT in a UNION; MySQL makes tables of subqueries
        parts = [select(part.subquery()) for part in parts]
    ids = union(*parts)
    first = ids.selected_columns.id.desc() if shape.newest else ids.selected_columns.id
    page = ids.order_by(first).limit(limit).subquery()
    return select(*COLUMNS).join(page, col(Message.id) == page.c.id).order_by(order)


async def find_by_ids(
    connection: AsyncConnection, message_ids: Collection[int]
) -> Sequence[StoredMessage]:
    """Return those of these messages that there are, whoever may see them."""
    return await read_messages(connection, select(*COLUMNS).where(col(Message.id).in_(message_ids)))


async def find_visible(
    connection: AsyncConnection, viewer_id: int, message_id: int, *, broadcasts_after: int = 0
) -> StoredMessage | None:
    """Return the message, or None when there is none or the viewer may not see it."""
    found = await find_all_visible(
        connection, viewer_id, [message_id], broadcasts_after=broadcasts_after
    )
    return next(iter(found), None)


async def find_all_visible(
    connection: AsyncConnection,
    viewer_id: int,
    message_ids: Collection[int],
    *,
    broadcasts_after: int = 0,
) -> Sequence[StoredMessage]:
    """Return those of these messages that there are and that the viewer may see, as they see them.

    Who has left a group sees its messages as they were then.
    """
    found: list[StoredMessage] = []
    for size, ids in lists_of(message_ids):
        values = {"viewer": viewer_id, "joined": broadcasts_after, **ids}
        rows = await _visible_statement(size).fetch(connection, values)
        found += await _stored(connection, rows)
    return await as_left(connection, viewer_id, found)


@cache
def _visible_statement(size: int) -> Statement:
    viewer, joined = (bindparam(name, type_=BigInteger) for name in ("viewer", "joined"))
    query = select(*COLUMNS).where(in_list(col(Message.id), size), visible(viewer, joined))
    return Statement(lambda dialect: query)


class Original(NamedTuple):
    """A message as it is now, and the hash of what was sent where that was something else."""

    message: StoredMessage
    sent_hash: bytes | None = None


def hash_sent(
    sender_id: int,
    key: str | None,
    kind: MessageKind,
    content: str,
    attachment_id: int | None,
    metadata: str | None,
) -> bytes:
    """Return the hash of what was sent: with the key, so that the same text hashes differently."""
    sent = (sender_id, key, kind, content, attachment_id)
    # Hashes that are stored without custom data stay as they are.
    return sha256(_encoder.encode(sent if metadata is None else (*sent, metadata))).digest()


async def read_originals(connection: AsyncConnection, ids: Iterable[int]) -> list[Original]:
    """Return those of these messages that there are, with their hashes."""
    wanted = [*(column.name for column in COLUMNS), "original_hash"]
    keys = [(id_,) for id_ in ids]
    rows = await rows_by_key(connection, "messages", ("id",), keys, wanted=wanted)
    return await _originals(connection, rows)


async def _originals(connection: AsyncConnection, rows: Sequence[Any]) -> list[Original]:
    found = await _stored(connection, [row[:-1] for row in rows])
    return [Original(message, row[-1]) for message, row in zip(found, rows, strict=True)]


async def find_by_keys(
    connection: AsyncConnection, keys: Collection[tuple[int, str | None]]
) -> dict[tuple[int, str | None], Original]:
    """Return the messages that are stored under these keys: sender and client_message_id."""
    if not (given := [key for key in keys if key[1] is not None]):
        return {}
    key = tuple_(col(Message.sender_id), col(Message.client_message_id))
    query = select(*COLUMNS, col(Message.original_hash)).where(key.in_(given))
    found = await _originals(connection, (await connection.execute(query)).all())
    return {(each.message.sender_id, each.message.client_message_id): each for each in found}


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
