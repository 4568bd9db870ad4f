"""A message that is stored is edited, or deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.facts import read_broadcasters
from db.groups.leaving import forget_kept, keep_for_leavers
from db.log.changes.change import Made, Outcome, Refused
from db.log.changes.of_message import (
    IsDeleted,
    NotYours,
    OfMessage,
    Standing,
    Unreachable,
    audience_of,
)
from db.messages import ATTACHING_KINDS, Original, hash_sent
from db.models import MessageKind, StoredMessage
from db.of_messages import edits, reactions
from db.of_messages.edits import Edit
from db.people.users import admin_ids
from events.facts import MessageDeleted, MessageEdited


class TooLate(Refused):
    """The message is older than `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class NothingLeft(Refused):
    """The message has no attachment, and so must have a text."""


class MayNotBroadcast(Refused):
    """The message is to everybody, to whom its sender may not write any more."""


class EditMessage(OfMessage, frozen=True, gc=False):
    """Gives a message of the user's another text, and keeps the earlier text.

    A message without an attachment becomes of `own_kind`. With `seconds`, an older message stays as
    it is. With `keeps_metadata` its custom data stays; else `metadata` takes its place.
    """

    content: str
    own_kind: MessageKind
    seconds: int
    metadata: str | None = None
    keeps_metadata: bool = True

    @property
    def text(self) -> str:
        """As Change."""
        return self.content + (self.metadata or "")

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Answers with the message. Refuses with every reason of this module and `of_message`.

        The same text and custom data make no fact.
        """
        standing = await Standing.of(connection, changes)
        found = dict(standing.originals)
        muted = await _muted(connection, standing, changes)
        before = [o.message for o in standing.originals.values() if o.message.edited_at is not None]
        numbers = await edits.last_numbers(connection, [message.id for message in before])
        outcomes: list[Outcome] = []
        earlier: list[tuple[int, int, Edit]] = []
        changed: dict[int, None] = {}
        for change in changes:
            original = change._find(standing, muted, now)
            if isinstance(original, Refused):
                outcomes.append(original)
                continue
            message = original.message
            attaches = message.kind in ATTACHING_KINDS
            kind = message.kind if attaches else change.own_kind
            metadata = message.metadata_json if change.keeps_metadata else change.metadata
            if (change.content, metadata) == (message.content, message.metadata_json):
                outcomes.append(Made(change.user_id, None, answer=message))
            elif not (change.content or attaches):
                outcomes.append(NothingLeft())
            else:
                if change.content != message.content:
                    number = numbers[message.id] = numbers.get(message.id, 0) + 1
                    earlier.append((message.id, number, Edit(message.content, now)))
                edited = replace(
                    message,
                    content=change.content,
                    kind=kind,
                    edited_at=now,
                    metadata_json=metadata,
                )
                changed[message.id] = None
                standing.originals[message.id] = Original(edited, _sent_hash(original))
                outcomes.append(change._made(edited))
        await keep_for_leavers(connection, [found[id_].message for id_ in changed])
        await edits.insert_edits(connection, earlier)
        await edits.rewrite(connection, [standing.originals[id_] for id_ in changed])
        return outcomes

    def _find(self, standing: Standing, muted: set[int], now: datetime) -> Original | Refused:
        """Return the message, if the user may edit it."""
        original = standing.find(self)
        if isinstance(original, Refused):
            return original
        message = original.message
        if message.sender_id != self.user_id:
            return NotYours()
        if message.deleted_at is not None:
            return IsDeleted()
        if _is_late(message, self.seconds, now):
            return TooLate(self.seconds)
        if not standing.reaches(message, self.user_id):
            return Unreachable()
        if message.receiver_id is None and not message.is_of_group and self.user_id in muted:
            return MayNotBroadcast()
        return original

    def _made(self, edited: StoredMessage) -> Made:
        body = MessageEdited(edited.id, edited.sender_id, edited.conversation_id)
        return Made(self.user_id, body, audience_of(edited), edited, edited)


class DeleteMessage(OfMessage, frozen=True, gc=False):
    """Deletes a message for everybody: its sender's, or by an administrator of its group.

    Its content is gone, and its attachment is shown by it no more; its place and its kind stay.
    With `seconds`, an older message stays, unless an administrator deletes it.
    """

    seconds: int

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Answers with what is left of the message. Refuses with NotYours, TooLate, Unreachable
        and what `Standing.find` refuses with. A second deletion makes no fact.
        """
        standing = await Standing.of(connection, changes)
        outcomes: list[Outcome] = []
        gone: list[StoredMessage] = []
        for change in changes:
            original = standing.find(change)
            if isinstance(original, Refused):
                outcomes.append(original)
                continue
            message = original.message
            if (refusal := change._refusal(message, standing, now)) is not None:
                outcomes.append(refusal)
            elif message.deleted_at is not None:
                outcomes.append(Made(change.user_id, None, answer=message))
            else:
                left = replace(
                    message, content="", attachment=None, metadata_json=None, deleted_at=now
                )
                gone.append(message)
                standing.originals[message.id] = Original(left, _sent_hash(original))
                body = MessageDeleted(left.id, left.sender_id, left.conversation_id)
                outcomes.append(Made(change.user_id, body, audience_of(left), left, left))
        if gone:
            await edits.forget_content(connection, gone)
            await forget_kept(connection, gone)
            await reactions.forget_reactions(connection, [m.id for m in gone if m.reacted])
            await edits.rewrite(connection, [standing.originals[m.id] for m in gone])
        return outcomes

    def _refusal(self, message: StoredMessage, standing: Standing, now: datetime) -> Refused | None:
        if standing.leads(message, self.user_id):
            return None
        if message.sender_id != self.user_id:
            return NotYours()
        if message.is_of_group and not standing.reaches(message, self.user_id):
            return Unreachable()
        late = message.deleted_at is None and _is_late(message, self.seconds, now)
        return TooLate(self.seconds) if late else None


def _is_late(message: StoredMessage, seconds: int, now: datetime) -> bool:
    return bool(seconds) and now - message.created_at > timedelta(seconds=seconds)


def _sent_hash(original: Original) -> bytes | None:
    """Return the hash of what was sent, before the message says something else.

    None for a message without a key: nothing can be a retry of it.
    """
    message, known = original
    if known is not None or message.client_message_id is None:
        return known
    attached = None if message.attachment is None else message.attachment.id
    key = message.sender_id, message.client_message_id
    return hash_sent(*key, message.kind, message.content, attached, message.metadata_json)


async def _muted(
    connection: AsyncConnection, standing: Standing, changes: Sequence[EditMessage]
) -> set[int]:
    """Return the users of these changes who edit a broadcast, and may not write to everybody."""
    broadcasts = {
        id_
        for id_, original in standing.originals.items()
        if original.message.receiver_id is None and not original.message.is_of_group
    }
    users = {change.user_id for change in changes if change.message_id in broadcasts}
    if not users or (allowed := await read_broadcasters(connection)) == "everyone":
        return set()
    return users if allowed == "off" else users - await admin_ids(connection, users)
