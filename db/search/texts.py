"""What the index reads from the database: the messages of a part of the log, and its changes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import Statement, rows_by_key
from db.messages import ATTACHING_KINDS
from db.models import (
    EVERYBODY_ID,
    Attachment,
    Conversation,
    LogHead,
    LogRow,
    Member,
    Message,
    MessageAttachment,
    StoredMessage,
)
from db.search.documents import Text, join_text
from db.search.queries import GroupRange
from events.facts import MessageDeleted, MessageEdited

_COLUMNS = (
    col(Message.id),
    col(Message.sender_id),
    col(Message.receiver_id),
    col(Message.conversation_id),
    col(Message.kind),
    col(Message.created_at),
    col(Message.content),
    col(Message.edited_at),
)
_EPOCH = datetime(1970, 1, 1)  # as the database has moments
_CHANGES = [kind.__struct_config__.tag for kind in (MessageEdited, MessageDeleted)]
_changes: msgspec.json.Decoder[MessageEdited | MessageDeleted] = msgspec.json.Decoder(
    MessageEdited | MessageDeleted
)


def searched_text(message: StoredMessage) -> str:
    """Return the text by which a message is found: what was written, and the file's name."""
    attachment = message.attachment
    return join_text(message.content, None if attachment is None else attachment.filename)


async def read_texts(connection: AsyncConnection, after: int, upto: int) -> list[Text]:
    """Return the messages with after < id <= upto, as they are now."""
    rows = await _statement().fetch(connection, {"after": after, "upto": upto})
    return await _texts(connection, rows)


@cache
def _statement() -> Statement:
    def build(dialect: Dialect) -> Any:
        after, upto = (bindparam(name, type_=BigInteger) for name in ("after", "upto"))
        return select(*_COLUMNS).where(col(Message.id) > after, col(Message.id) <= upto)

    return Statement(build)


async def read_last_before(connection: AsyncConnection, position: int) -> int:
    """Return the id of the last message before a position; 0 where there is none."""
    query = select(func.max(col(Message.id))).where(col(Message.id) < position)
    return (await connection.execute(query)).scalar() or 0


async def read_texts_of(connection: AsyncConnection, ids: Collection[int]) -> list[Text]:
    """Return those of these messages that there are, as they are now."""
    rows = await connection.execute(select(*_COLUMNS).where(col(Message.id).in_(ids)))
    return await _texts(connection, rows.all())


async def _texts(connection: AsyncConnection, rows: Sequence[Sequence[Any]]) -> list[Text]:
    # No more is done for a row than the index needs: these are all messages that are ever sent.
    attaching = [row[0] for row in rows if row[4] in ATTACHING_KINDS]
    names: dict[int, str] = {}
    if attaching:
        query = (
            select(col(MessageAttachment.message_id), col(Attachment.filename))
            .join(Attachment, col(Attachment.id) == col(MessageAttachment.attachment_id))
            .where(col(MessageAttachment.message_id).in_(attaching))
        )
        names = {row[0]: row[1] for row in await connection.execute(query)}
    edited = [row[0] for row in rows if row[7] is not None]
    earlier = await read_kept(connection, edited) if edited else {}
    get = names.get
    return [
        Text(
            *(id_, sender, receiver, where, kind, _microseconds(at), content, get(id_)),
            earlier.get(id_, ()),
        )
        for id_, sender, receiver, where, kind, at, content, _ in rows
    ]


async def read_kept(
    connection: AsyncConnection, ids: Sequence[int]
) -> dict[int, list[tuple[str, str]]]:
    """Return the kinds and texts of these messages that those see who have left their groups."""
    keys = [(id_,) for id_ in ids]
    names = ("message_id", "kind", "content")
    found: dict[int, list[tuple[str, str]]] = {}
    for id_, kind, content in await rows_by_key(
        connection, "left_messages", names[:1], keys, wanted=names
    ):
        found.setdefault(id_, []).append((kind, content))
    return found


def _microseconds(at: datetime | str) -> int:
    """Return a moment of the database, which is in UTC; drivers leave out the zone or give text."""
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    since = (at.replace(tzinfo=None) if at.tzinfo else at) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


async def read_changed(connection: AsyncConnection, after: int, upto: int) -> set[int]:
    """Return the messages whose text was changed or deleted with after < position <= upto."""
    query = select(col(LogRow.body)).where(
        col(LogRow.position) > after, col(LogRow.position) <= upto, col(LogRow.kind).in_(_CHANGES)
    )
    return {_changes.decode(body).message_id for (body,) in await connection.execute(query)}


async def read_pruned(connection: AsyncConnection) -> int:
    """Return the position up to which the log may have forgotten changes of messages."""
    return int((await connection.execute(select(col(LogHead.pruned_position)))).scalar_one())


async def read_groups(connection: AsyncConnection, user_id: int) -> list[GroupRange]:
    """Return the groups that the user is in, or was in, with what they may see of each.

    One range of ix_members_groups.
    """
    query = select(
        col(Member.conversation_id), col(Member.sees_after), col(Member.left_position)
    ).where(col(Member.user_id) == user_id, col(Member.is_group))
    return [GroupRange(*row) for row in await connection.execute(query)]


async def find_direct(connection: AsyncConnection, user_id: int, other_id: int) -> int | None:
    """Return the conversation between two people; None where neither has written."""
    lower, higher = sorted((user_id, other_id))
    query = select(col(Conversation.id)).where(
        col(Conversation.lower_user_id) == lower, col(Conversation.higher_user_id) == higher
    )
    return (await connection.execute(query)).scalar()


async def has_conversation(connection: AsyncConnection, user_id: int, conversation_id: int) -> bool:
    """Whether the user is, or was, in the conversation; everybody is in that of everybody."""
    if conversation_id == EVERYBODY_ID:
        return True
    query = select(col(Member.user_id)).where(
        col(Member.conversation_id) == conversation_id, col(Member.user_id) == user_id
    )
    return (await connection.execute(query)).first() is not None
