"""The log's entries: a batch takes the next positions and is inserted, in the caller's transaction.

Without SQLAlchemy's and the driver's work on each value of each row, which was most of what
storing a message cost.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.statements import as_told
from db.log.drafts import Draft
from db.models import MessageKind, StoredAttachment, StoredMessage

_ADVANCE_SQLITE = "UPDATE log_head SET position = position + ? RETURNING position, control_position"
# The position comes back with the statement: MySQL has no RETURNING here. Where a control fact has
# been stored that this process has not applied, the sum is beyond a BIGINT, which is an error in
# every SQL mode: so the check costs no round trip.
_ADVANCE_MYSQL = (
    "UPDATE log_head SET position = LAST_INSERT_ID(IF(control_position <= {applied:d},"
    " position + {count:d}, position + 1 + 9223372036854775807))"
)
ER_DATA_OUT_OF_RANGE = 1690
# As `applied` where no control fact matters.
EVERYTHING = 2**62
_INSERT = (
    "INSERT INTO messages (id, sender_id, receiver_id, lower_user_id, higher_user_id, created_at,"
    " kind, content, client_message_id) VALUES "
)


class Overtaken(Exception):
    """A control fact was stored that this process has not applied; nothing else was stored."""


def append_entries(
    connection: Connection,
    drafts: Sequence[Draft],
    attached: Mapping[int, StoredAttachment],
    now: datetime,
    applied: int = EVERYTHING,
) -> list[StoredMessage]:
    """Store the drafts, in order; return them as they were stored.

    Raises Overtaken unless the last control fact stands at `applied` or before, sqlalchemy's
    DBAPIError, and ValueError for text that is no Unicode.
    """
    kinds = [_kind_of(draft, attached) for draft in drafts]
    append = _append_sqlite if connection.dialect.name == "sqlite" else _append_mysql
    head = append(connection, drafts, kinds, now, applied)
    count = len(drafts)
    return _stored(drafts, kinds, range(head - count + 1, head + 1), now, attached)


def insert_at(
    connection: Connection,
    drafts: Sequence[Draft],
    positions: Sequence[int],
    attached: Mapping[int, StoredAttachment],
    now: datetime,
) -> list[StoredMessage]:
    """Store the drafts at these positions, which the caller takes; return and raise as above."""
    kinds = [_kind_of(draft, attached) for draft in drafts]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(*_rows([*map(str, positions)], drafts, kinds, now, mark))
    return _stored(drafts, kinds, positions, now, attached)


async def append_whole(
    connection: AsyncConnection,
    drafts: Sequence[Draft],
    now: datetime,
    applied: int = EVERYTHING,
) -> list[StoredMessage]:
    """Store drafts without attachments in a transaction of their own: one round trip on MySQL.

    Returns and raises as append_entries; the connection is out of any transaction afterwards, or
    invalid.
    """
    kinds = [_kind_of(draft, {}) for draft in drafts]
    statements, texts = _statements_mysql(drafts, kinds, now, applied)
    errors: type[Exception] = connection.dialect.loaded_dbapi.Error
    assert connection.sync_connection is not None  # noqa: S101  # it was lent
    driver: Any = connection.sync_connection.connection.driver_connection
    try:
        cursor = driver.cursor()
        await cursor.execute(f"{statements}; COMMIT", texts)
        head = int(cursor.lastrowid)
        while await cursor.nextset():
            pass
    except (errors, ValueError) as error:
        # The database says no, and waits with the transaction open.
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
        # Half of an answer may still be on its way: nobody is to have this connection after us.
        await connection.invalidate(error)
        if not isinstance(error, Exception):
            raise
        raise as_told(connection.dialect, _INSERT, error) from error
    return _stored(drafts, kinds, range(head - len(drafts) + 1, head + 1), now, {})


def _append_sqlite(
    connection: Connection,
    drafts: Sequence[Draft],
    kinds: Sequence[MessageKind],
    now: datetime,
    applied: int,
) -> int:
    count = len(drafts)
    head, control_position = connection.exec_driver_sql(_ADVANCE_SQLITE, (count,)).one()
    if control_position > applied:
        raise Overtaken  # and the transaction is rolled back
    ids = [str(position) for position in range(head - count + 1, head + 1)]
    connection.exec_driver_sql(*_rows(ids, drafts, kinds, now, "?"))
    return int(head)


def _append_mysql(
    connection: Connection,
    drafts: Sequence[Draft],
    kinds: Sequence[MessageKind],
    now: datetime,
    applied: int,
) -> int:
    statements, texts = _statements_mysql(drafts, kinds, now, applied)
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
    return int(head)


def _refusal(error: Exception, connection: Connection | AsyncConnection) -> Exception:
    if error.args[:1] == (ER_DATA_OUT_OF_RANGE,):
        return Overtaken()
    dialect = connection.dialect
    told = DBAPIError.instance(_INSERT, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
    assert isinstance(told, DBAPIError)  # noqa: S101  # an error of the driver's stays one
    return told


def _statements_mysql(
    drafts: Sequence[Draft], kinds: Sequence[MessageKind], now: datetime, applied: int
) -> tuple[str, tuple[str, ...]]:
    # Both in one round trip: a second one waits until this process, busy with its clients, has
    # read the answer to the first, and meanwhile no other process can take a position.
    count = len(drafts)
    ids = [f"LAST_INSERT_ID() - {before:d}" for before in range(count - 1, -1, -1)]
    insert, texts = _rows(ids, drafts, kinds, now, "%s")
    return f"{_ADVANCE_MYSQL.format(count=count, applied=applied)}; {insert}", texts


def _rows(
    ids: Sequence[str],
    drafts: Sequence[Draft],
    kinds: Sequence[MessageKind],
    now: datetime,
    mark: str,
) -> tuple[str, tuple[str, ...]]:
    """Return the INSERT and its parameters: what people wrote; all else stands in its text."""
    created_at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")  # as both engines take it
    rows = []
    texts: list[str] = []
    for id_, draft, kind in zip(ids, drafts, kinds, strict=True):
        sender, receiver = draft.sender_id, draft.receiver_id
        if receiver is None:
            people = f"{sender:d},NULL,NULL,NULL"
        else:
            lower, higher = (sender, receiver) if sender < receiver else (receiver, sender)
            people = f"{sender:d},{receiver:d},{lower:d},{higher:d}"
        texts.append(draft.content)
        key = "NULL"
        if draft.client_message_id is not None:
            texts.append(draft.client_message_id)
            key = mark
        rows.append(f"({id_},{people},'{created_at}','{kind.value}',{mark},{key})")
    return _INSERT + ",".join(rows), tuple(texts)


def _kind_of(draft: Draft, attached: Mapping[int, StoredAttachment]) -> MessageKind:
    if draft.kind is not None:
        return draft.kind
    return draft.own_kind if draft.attachment_id is None else attached[draft.attachment_id].kind


def _stored(
    drafts: Sequence[Draft],
    kinds: Sequence[MessageKind],
    positions: Sequence[int],
    now: datetime,
    attached: Mapping[int, StoredAttachment],
) -> list[StoredMessage]:
    """Return the drafts as they were stored at these positions."""
    return [
        StoredMessage(
            position,
            draft.sender_id,
            draft.receiver_id,
            kind,
            draft.content,
            draft.client_message_id,
            now,
            None if draft.attachment_id is None else attached[draft.attachment_id],
        )
        for position, draft, kind in zip(positions, drafts, kinds, strict=True)
    ]
