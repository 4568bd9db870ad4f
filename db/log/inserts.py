"""The statements that store a batch of messages.

They are written past SQLAlchemy, in the caller's transaction: SQLAlchemy's and the driver's work on
each value of each row was most of what storing a message cost.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.conversations.activity import FOR_EVER
from db.engines.statement_times import times_of
from db.engines.statements import as_told
from db.log.drafts import Draft
from db.models import MessageKind, StoredAttachment, StoredMessage

_ADVANCE_SQLITE = "UPDATE log_head SET position = position + ? RETURNING position, control_position"
# The position comes back as LAST_INSERT_ID: MySQL has no RETURNING here. Out of bounds the sum
# exceeds a BIGINT, which is an error in every SQL mode. So the check costs no round trip.
_ADVANCE_MYSQL = (
    "UPDATE log_head SET position = LAST_INSERT_ID(IF({within},"
    " position + {count:d}, position + 1 + 9223372036854775807))"
)
ER_DATA_OUT_OF_RANGE = 1690
_INSERT = (
    "INSERT INTO messages (id, sender_id, receiver_id, conversation_id, created_at, kind, content,"
    " client_message_id) VALUES "
)
# Columns that only a batch with a reply, or with custom data, names.
_REPLY, _METADATA = ", reply_to_id", ", metadata_json"
_MOVE = (
    "UPDATE members SET activity = {position}"
    " WHERE conversation_id IN ({conversations}) AND left_position IS NULL"
)

# A draft, the kind of message that it becomes, and its conversation.
_Row = tuple[Draft, MessageKind, int]


class Overtaken(Exception):
    """The log's head is out of bounds; nothing was stored."""


class Bounds(NamedTuple):
    """Between which positions a batch may be stored as it was prepared."""

    applied: int  # no control fact past this one has been stored
    last: int = 0  # the log has not gone back to before this one
    upto: int = FOR_EVER  # the batch ends here at the latest

    def in_sql(self, count: int) -> str:
        """Return the condition on the head before `count` positions are taken."""
        return (
            f"control_position <= {self.applied:d}"
            f" AND position BETWEEN {self.last:d} AND {self.upto - count:d}"
        )


def append_messages(
    connection: Connection,
    drafts: Sequence[Draft],
    conversations: Sequence[int],
    attached: Mapping[int, StoredAttachment],
    now: datetime,
    applied: int,
) -> list[StoredMessage]:
    """Store the drafts, in order, at the log's next positions; return the messages.

    Raises Overtaken unless the last control fact stands at `applied` or before, sqlalchemy's
    DBAPIError, and ValueError for text that is no Unicode.
    """
    rows = _rows(drafts, conversations, attached)
    append = _append_sqlite if connection.dialect.name == "sqlite" else _append_mysql
    head = append(connection, rows, now, applied)
    return _stored(rows, range(head - len(rows) + 1, head + 1), now, attached)


def insert_messages(
    connection: Connection,
    drafts: Sequence[Draft],
    conversations: Sequence[int],
    positions: Sequence[int],
    attached: Mapping[int, StoredAttachment],
    now: datetime,
) -> list[StoredMessage]:
    """Store the drafts at positions that the caller takes; return and raise as append_messages."""
    rows = _rows(drafts, conversations, attached)
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(*_insert(map(str, positions), rows, now, mark))
    return _stored(rows, positions, now, attached)


async def append_in_one_trip(
    connection: AsyncConnection,
    drafts: Sequence[Draft],
    conversations: Sequence[int],
    active: Sequence[int],
    now: datetime,
    bounds: Bounds,
) -> list[StoredMessage]:
    """Store drafts without attachments on MySQL, in a transaction and a round trip of their own.

    The `activity` of the `active` conversations becomes the last position. Raises Overtaken out of
    bounds; returns, and raises all else, as append_messages. Afterwards the connection is out of
    any transaction, or invalid.
    """
    rows = _rows(drafts, conversations, {})
    statements, texts = _statements_mysql(rows, now, bounds)
    if active:
        moved = _MOVE.format(position="LAST_INSERT_ID()", conversations=",".join(map(str, active)))
        statements = f"{statements}; {moved}"
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    assert connection.sync_connection is not None  # noqa: S101  # it was lent
    driver: Any = connection.sync_connection.connection.driver_connection
    times, began_at = times_of(connection), perf_counter()
    try:
        cursor = driver.cursor()
        await cursor.execute(f"{statements}; COMMIT", texts)
        head = int(cursor.lastrowid)
        while await cursor.nextset():
            pass
    except (errors, ValueError) as error:
        # The database has refused, and its transaction is still open.
        try:
            await driver.rollback()
        except BaseException as failure:
            await connection.invalidate(failure)
            if not isinstance(failure, Exception):
                raise
        if isinstance(error, ValueError):
            raise
        raise _refusal(error, connection) from error
    except BaseException as error:
        # Half of an answer may still arrive: nobody may use this connection afterwards.
        await connection.invalidate(error)
        if not isinstance(error, Exception):
            raise
        raise as_told(connection.dialect, _INSERT, error) from error
    finally:
        times.add(_INSERT, began_at)
    return _stored(rows, range(head - len(rows) + 1, head + 1), now, {})


def _append_sqlite(
    connection: Connection, rows: Sequence[_Row], now: datetime, applied: int
) -> int:
    count = len(rows)
    head, control_position = connection.exec_driver_sql(_ADVANCE_SQLITE, (count,)).one()
    if control_position > applied:
        raise Overtaken  # and the transaction is rolled back
    connection.exec_driver_sql(
        *_insert(map(str, range(head - count + 1, head + 1)), rows, now, "?")
    )
    return int(head)


def _append_mysql(connection: Connection, rows: Sequence[_Row], now: datetime, applied: int) -> int:
    statements, texts = _statements_mysql(rows, now, Bounds(applied))
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(statements, texts)
        head = int(cursor.lastrowid)
        cursor.nextset()
    except errors as error:
        raise _refusal(error, connection) from error
    finally:
        cursor.close()
    return head


def _refusal(error: Exception, connection: Connection | AsyncConnection) -> Exception:
    if error.args[:1] == (ER_DATA_OUT_OF_RANGE,):
        return Overtaken()
    dialect = connection.dialect
    told = DBAPIError.instance(_INSERT, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
    assert isinstance(told, DBAPIError)  # noqa: S101  # an error of the driver's stays one
    return told


def _statements_mysql(
    rows: Sequence[_Row], now: datetime, bounds: Bounds
) -> tuple[str, tuple[str, ...]]:
    # Both in one round trip. The answer to the first would wait until this process, busy with its
    # clients, reads it, and meanwhile no other process could take a position.
    count = len(rows)
    ids = (f"LAST_INSERT_ID() - {before:d}" for before in range(count - 1, -1, -1))
    insert, texts = _insert(ids, rows, now, "%s")
    return f"{_ADVANCE_MYSQL.format(count=count, within=bounds.in_sql(count))}; {insert}", texts


def _insert(
    ids: Iterable[str], rows: Sequence[_Row], now: datetime, mark: str
) -> tuple[str, tuple[str, ...]]:
    """Return the INSERT and its parameters: what people wrote. All else stands in its text."""
    created_at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")  # as both engines take it
    values = []
    texts: list[str] = []
    replies = any(draft.reply_to_id for draft, _, _ in rows)
    customs = any(draft.metadata for draft, _, _ in rows)
    for id_, (draft, kind, conversation) in zip(ids, rows, strict=True):
        receiver = "NULL" if draft.receiver_id is None else f"{draft.receiver_id:d}"
        people = f"{draft.sender_id:d},{receiver},{conversation:d}"
        texts.append(draft.content)
        key = "NULL"
        if draft.client_message_id is not None:
            texts.append(draft.client_message_id)
            key = mark
        end = key
        if replies:
            end += f",{'NULL' if draft.reply_to_id is None else f'{draft.reply_to_id:d}'}"
        if customs:
            end += ",NULL" if draft.metadata is None else f",{mark}"
            texts += () if draft.metadata is None else (draft.metadata,)
        values.append(f"({id_},{people},'{created_at}','{kind.value}',{mark},{end})")
    insert = _INSERT
    if replies or customs:
        more = (_REPLY if replies else "") + (_METADATA if customs else "")
        insert = _INSERT.replace(")", f"{more})", 1)
    return insert + ",".join(values), tuple(texts)


def _rows(
    drafts: Sequence[Draft],
    conversations: Sequence[int],
    attached: Mapping[int, StoredAttachment],
) -> list[_Row]:
    return [
        (draft, draft.kind or _kind_of(draft, attached), conversation)
        for draft, conversation in zip(drafts, conversations, strict=True)
    ]


def _kind_of(draft: Draft, attached: Mapping[int, StoredAttachment]) -> MessageKind:
    return draft.own_kind if draft.attachment_id is None else attached[draft.attachment_id].kind


def _stored(
    rows: Sequence[_Row],
    positions: Sequence[int],
    now: datetime,
    attached: Mapping[int, StoredAttachment],
) -> list[StoredMessage]:
    return [
        StoredMessage(
            position,
            draft.sender_id,
            draft.receiver_id,
            kind,
            draft.content,
            draft.client_message_id,
            now,
            conversation,
            None if draft.attachment_id is None else attached[draft.attachment_id],
            None,
            None,
            draft.reply_to_id,
            False,
            draft.metadata,
        )
        for position, (draft, kind, conversation) in zip(positions, rows, strict=True)
    ]
