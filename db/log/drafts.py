"""Drafts of messages, changes that wait for the log, and how each is answered."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from db.log.changes.change import Change
from db.messages import Original, hash_sent
from db.models import EVERYBODY_ID, MessageKind, StoredMessage


class LogFull(Exception):
    """Too many changes wait already; nothing was stored."""


class UnknownReceiver(Exception):
    """The receiver, or the sender, is not a user; nothing was stored."""


class UnknownConversation(Exception):
    """There is no such conversation that the sender is in; nothing was stored."""


class SenderDisabled(Exception):
    """The sender's account is disabled; nothing was stored."""


class BroadcastRefused(Exception):
    """The sender may not write to everybody; nothing was stored."""


class KeyReused(Exception):
    """The sender has used this client_message_id for another message; nothing was stored."""


class UnknownAttachment(Exception):
    """There is no such attachment that the sender may send; nothing was stored."""


class UnknownReplied(Exception):
    """There is no such message to reply to in the conversation; nothing was stored."""


class OtherKind(Exception):
    """The attachment is of another kind than the message, this one; nothing was stored."""


class Draft(Change, frozen=True, gc=False):
    """A message that has no position yet: the commonest change.

    Without a kind, it has its attachment's, or `own_kind` where nothing is attached. Without a
    receiver it is for a group, by its `conversation_id`, or for everybody.
    """

    sender_id: int
    receiver_id: int | None
    kind: MessageKind | None
    content: str
    client_message_id: str | None = None
    attachment_id: int | None = None
    own_kind: MessageKind = MessageKind.TEXT
    # The sender cannot send on what broadcasts up to this position carry.
    broadcasts_after: int = 0
    reply_to_id: int | None = None
    # A group; or a direct conversation, until the log has found the receiver.
    conversation_id: int | None = None
    metadata: str | None = None  # custom data, as JSON

    @property
    def key(self) -> tuple[int, str | None]:
        """The sender and the client_message_id, which name one message."""
        return self.sender_id, self.client_message_id

    def is_of(self, original: Original) -> bool:
        """Whether the message could have been stored from this draft, as it was sent."""
        message, sent_hash = original
        kinds: Iterable[MessageKind] = MessageKind if self.kind is None else (self.kind,)
        if (self.sender_id, self.reply_to_id) != (
            message.sender_id,
            message.reply_to_id,
        ) or not self._is_for(message):
            return False
        if sent_hash is not None:
            return any(self._hash(kind) == sent_hash for kind in kinds)
        attached = None if message.attachment is None else message.attachment.id
        return (self.content, self.attachment_id, self.metadata) == (
            message.content,
            attached,
            message.metadata_json,
        ) and message.kind in kinds

    def _hash(self, kind: MessageKind) -> bytes:
        return hash_sent(*self.key, kind, self.content, self.attachment_id, self.metadata)

    def _is_for(self, message: StoredMessage) -> bool:
        """Whether the message is in the conversation that the draft names, in either way."""
        if self.conversation_id is not None:
            return self.conversation_id == message.conversation_id
        return self.receiver_id == message.receiver_id and (
            self.receiver_id is not None or message.conversation_id == EVERYBODY_ID
        )


class Waiting(NamedTuple):
    """A change that waits; `first` is called with its answer before anybody hears of the change."""

    change: Change
    outcome: asyncio.Future[Any]
    first: Callable[[Any], None] | None = None

    @property
    def draft(self) -> Draft:
        """The change, where it is known to be a draft."""
        return self.change  # type: ignore[return-value]  # the caller has looked


def split_repeats(
    batch: list[Waiting],
) -> tuple[list[Waiting], list[tuple[Waiting, Waiting]]]:
    """Part the drafts whose key stands in the batch before them, each with the first of its key."""
    firsts: list[Waiting] = []
    repeats: list[tuple[Waiting, Waiting]] = []
    by_key: dict[tuple[int, str | None], Waiting] = {}
    for waiting in batch:
        if waiting.outcome.done():  # the caller has gone
            continue
        if type(waiting.change) is Draft and waiting.change.client_message_id is not None:
            first = by_key.setdefault(waiting.change.key, waiting)
            if first is not waiting:
                repeats.append((waiting, first))
                continue
        firsts.append(waiting)
    return firsts, repeats


def answer_repeat(waiting: Waiting, first: Waiting) -> None:
    """Answer as the first draft of the same key was answered."""
    if (error := first.outcome.exception()) is not None:
        refuse([waiting], error)
        return
    message, draft = first.outcome.result(), first.draft
    # The first draft may have been a retry too, of a message that says something else by now.
    sent = hash_sent(*draft.key, message.kind, draft.content, draft.attachment_id, draft.metadata)
    answer_by(waiting, Original(message, sent))


def answer_by(waiting: Waiting, original: Original) -> None:
    """Answer with the message that is stored under the draft's key, if it is the same message."""
    if not waiting.draft.is_of(original):
        refuse([waiting], KeyReused())
    elif not waiting.outcome.done():
        waiting.outcome.set_result(original.message)


def refuse(batch: Iterable[Waiting], error: BaseException) -> None:
    """Have callers who still wait hear this error."""
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
