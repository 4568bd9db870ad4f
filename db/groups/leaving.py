"""What those who have left a group see of it: its messages as they were when they left.

The first change to a message that somebody who has left may not see keeps the message as it was,
for all who had left by then. Later changes keep nothing, until somebody leaves again. A deletion
is for everybody: it takes the content away here too (docs/decisions/0027-leaving.md).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.statements import fetch, insert_many, rows_by_key
from db.models import MessageKind, Reactions, StoredMessage, utc_from
from db.of_messages.reactions import read_reactions
from events.facts import Fact

Entry = TypeVar("Entry", StoredMessage, Fact, StoredMessage | Fact)

_COLUMNS = ("kind", "content", "metadata_json", "edited_at", "reactions")
_decoder = msgspec.json.Decoder(tuple[Reactions, ...])


class Kept(NamedTuple):
    """A message as it was, beside what never changes of it."""

    kind: MessageKind
    content: str
    metadata_json: str | None
    edited_at: datetime | None
    reactions: tuple[Reactions, ...]

    def of(self, message: StoredMessage) -> StoredMessage:
        """Return the message as it was. A deleted one stays deleted."""
        return replace(
            message,
            kind=self.kind,
            content=self.content,
            metadata_json=self.metadata_json,
            edited_at=self.edited_at,
            reacted=bool(self.reactions),
            kept_reactions=self.reactions,
        )


def _kept(row: Sequence[Any]) -> Kept:
    kind, content, metadata, edited_at, reactions = row
    edited_at = None if edited_at is None else utc_from(edited_at)
    return Kept(MessageKind(kind), content, metadata, edited_at, _decoder.decode(reactions))


def may_differ(message: StoredMessage) -> bool:
    """Whether somebody who has left the message's group may see another state of it."""
    return message.is_of_group and (message.reacted or message.edited_at is not None)


async def keep_for_leavers(connection: AsyncConnection, before: Iterable[StoredMessage]) -> None:
    """Keep these messages, which are about to change, as they are, for those who have left.

    Nothing is stored for a message that nobody has left behind since it was kept last.
    """
    messages = {m.id: m for m in before if m.is_of_group}
    if not messages:
        return
    groups = [(id_,) for id_ in sorted({m.conversation_id for m in messages.values()})]
    wanted = ("id", "last_left_position")
    rows = await rows_by_key(connection, "conversations", ("id",), groups, wanted=wanted)
    lefts = {row[0]: row[1] for row in rows}
    keys = {(m.id, lefts.get(m.conversation_id, 0)) for m in messages.values()}
    keys = {key for key in keys if key[1] > key[0]}
    names = ("message_id", "left_position")
    there = await rows_by_key(connection, "left_messages", names, sorted(keys))
    keys -= {(row[0], row[1]) for row in there}
    if not keys:
        return
    reactions = await read_reactions(connection, [id_ for id_, _ in keys if messages[id_].reacted])
    new = []
    for id_, left in sorted(keys):
        message = messages[id_]
        shown = msgspec.json.encode(reactions.get(id_, ())).decode()
        state = (message.kind.value, message.content, message.metadata_json, message.edited_at)
        new.append((id_, left, message.conversation_id, *state, shown))
    columns = (*names, "conversation_id", *_COLUMNS)
    await insert_many(connection, "left_messages", columns, new)


async def forget_kept(connection: AsyncConnection, gone: Iterable[StoredMessage]) -> None:
    """Take the content of these messages, which are deleted, from everybody.

    The rows stay: they say when the tombstone was edited, for those who had left before.
    """
    if ids := ",".join(f"{message.id:d}" for message in gone if may_differ(message)):
        await connection.exec_driver_sql(
            "UPDATE left_messages SET content = '', metadata_json = NULL, reactions = '[]'"  # noqa: S608  # nosec B608  # numbers
            f" WHERE message_id IN ({ids})"
        )


async def find_left(
    connection: AsyncConnection, viewer_ids: Collection[int], message_ids: Collection[int]
) -> dict[tuple[int, int], Kept]:
    """Return, by viewer and message, those of these messages that viewers see as they were."""
    if not viewer_ids or not message_ids:
        return {}
    ids = ",".join(f"{id_:d}" for id_ in sorted(message_ids))
    if len(viewer_ids) > 1:  # a crowd of subscribers: of most messages nothing is kept
        there = f"SELECT message_id FROM left_messages WHERE message_id IN ({ids}) LIMIT 1"  # noqa: S608  # nosec B608  # numbers
        if not await fetch(connection, there, ()):
            return {}
    users = ",".join(f"{id_:d}" for id_ in sorted(viewer_ids))
    # What is kept first, whatever else a database might prefer: it is little.
    join = "CROSS JOIN" if connection.dialect.name == "sqlite" else "STRAIGHT_JOIN"
    rows = await fetch(
        connection,
        f"SELECT m.user_id, k.message_id, {', '.join(f'k.{name}' for name in _COLUMNS)}"  # noqa: S608  # nosec B608  # numbers and our own names
        f" FROM left_messages k {join} members m WHERE k.message_id IN ({ids})"
        f" AND m.conversation_id = k.conversation_id AND m.user_id IN ({users})"
        " AND m.left_position <= k.left_position ORDER BY k.message_id, k.left_position",
        (),
    )
    found: dict[tuple[int, int], Kept] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), _kept(row[2:]))
    return found


async def as_left(
    connection: AsyncConnection, viewer_id: int, entries: Sequence[Entry]
) -> Sequence[Entry]:
    """Return messages, and facts with their messages, as the viewer sees them.

    The messages were read before: what changes meanwhile is found to be kept.
    """
    changed = {m.id for m in map(_message_of, entries) if m is not None and may_differ(m)}
    kept = await find_left(connection, (viewer_id,), changed)
    if not kept:
        return entries
    return [_shown(entry, kept.get((viewer_id, _id_of(entry)))) for entry in entries]


async def as_they_were(
    connection: AsyncConnection, entries: Sequence[StoredMessage | Fact]
) -> Sequence[StoredMessage | Fact]:
    """Return entries of the log as they were at their positions, as far as that is kept.

    A process that is behind reads messages as they are now. Who has left meanwhile, which it has
    not read yet, is shown no more than was there when they left.
    """
    ids = sorted({m.id for m in map(_message_of, entries) if m is not None and may_differ(m)})
    if not ids:
        return entries
    wanted = ("message_id", "left_position", *_COLUMNS)
    keys = [(id_,) for id_ in ids]
    rows = await rows_by_key(connection, "left_messages", ("message_id",), keys, wanted=wanted)
    kept: dict[int, list[Sequence[Any]]] = {}
    for row in sorted(rows, key=lambda row: row[1]):
        kept.setdefault(row[0], []).append(row)
    if not kept:
        return entries
    shown = []
    for entry in entries:
        rows_of = kept.get(_id_of(entry), ())
        first = next((row for row in rows_of if row[1] >= entry.id), None)
        shown.append(_shown(entry, None if first is None else _kept(first[2:])))
    return shown


def _message_of(entry: StoredMessage | Fact) -> StoredMessage | None:
    found: Any = entry.record if isinstance(entry, Fact) else entry
    return found  # type: ignore[no-any-return]  # a fact's record is the message


def _id_of(entry: StoredMessage | Fact) -> int:
    message = _message_of(entry)
    return 0 if message is None else message.id


def _shown(entry: Any, kept: Kept | None) -> Any:
    message = _message_of(entry)
    if kept is None or message is None:
        return entry
    if isinstance(entry, Fact):
        return replace(entry, record=kept.of(message))
    return kept.of(message)
