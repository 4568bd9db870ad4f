"""The log's entries: a batch takes the next positions and is inserted, in the caller's transaction.

Each batch is two statements, sent without SQLAlchemy's and the driver's work on each value of each
row, which was most of what storing a message cost.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from db.drafts import Draft
from db.models import MessageKind, StoredAttachment, StoredMessage

_ADVANCE_SQLITE = "UPDATE log_head SET position = position + ? RETURNING position"
# The position comes back with the statement: MySQL has no RETURNING here.
_ADVANCE_MYSQL = "UPDATE log_head SET position = LAST_INSERT_ID(position + %s)"
_INSERT = (
    "INSERT INTO messages (id, sender_id, receiver_id, lower_user_id, higher_user_id, created_at,"
    " kind, content, client_message_id) VALUES "
)


def append_entries(
    connection: Connection,
    drafts: Sequence[Draft],
    attached: Mapping[int, StoredAttachment],
    now: datetime,
) -> list[StoredMessage]:
    """Store the drafts, in order; return them as they were stored.

    Raises sqlalchemy's DBAPIError, and ValueError for text that is no Unicode.
    """
    head = _advance_head(connection, len(drafts))
    messages = [
        _stored_from(draft, position, now, attached)
        for position, draft in enumerate(drafts, head - len(drafts) + 1)
    ]
    _insert(connection, messages, now)
    return messages


def _advance_head(connection: Connection, count: int) -> int:
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql(_ADVANCE_SQLITE, (count,)).scalar_one())
    return connection.exec_driver_sql(_ADVANCE_MYSQL, (count,)).lastrowid


def _stored_from(
    draft: Draft, position: int, now: datetime, attached: Mapping[int, StoredAttachment]
) -> StoredMessage:
    attachment = None if draft.attachment_id is None else attached[draft.attachment_id]
    return StoredMessage(
        position,
        draft.sender_id,
        draft.receiver_id,
        draft.kind or (MessageKind.TEXT if attachment is None else attachment.kind),
        draft.content,
        draft.client_message_id,
        now,
        attachment,
    )


def _insert(connection: Connection, messages: Sequence[StoredMessage], now: datetime) -> None:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    created_at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")  # as both engines take it
    rows = []
    texts: list[str] = []
    for message in messages:
        sender, receiver = message.sender_id, message.receiver_id
        # Numbers and names of ours stand in the text; what people wrote is a parameter.
        if receiver is None:
            people = f"{sender:d},NULL,NULL,NULL"
        else:
            lower, higher = (sender, receiver) if sender < receiver else (receiver, sender)
            people = f"{sender:d},{receiver:d},{lower:d},{higher:d}"
        texts.append(message.content)
        key = "NULL"
        if message.client_message_id is not None:
            texts.append(message.client_message_id)
            key = mark
        rows.append(f"({message.id:d},{people},'{created_at}','{message.kind.value}',{mark},{key})")
    connection.exec_driver_sql(_INSERT + ",".join(rows), tuple(texts))
