"""Sends: a message is given to the log, and its outcome is pending; nothing here waits."""

import asyncio
from collections.abc import Callable
from functools import partial

from db.engines.database import DatabaseUnavailable, TooLargeForDatabase
from db.log.drafts import (
    BroadcastRefused,
    Draft,
    KeyReused,
    LogFull,
    OtherKind,
    SenderDisabled,
    UnknownAttachment,
    UnknownConversation,
    UnknownReceiver,
    UnknownReplied,
)
from db.messages import ATTACHING_KINDS
from db.models import EVERYBODY_ID, MessageKind, StoredMessage
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    ParleyError,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers.guards.metadata import clean_metadata
from resolvers.guards.validation import clean_client_message_id, clean_content, kind_of
from resolvers.pending import Pending

UNKNOWN_REPLIED = "The conversation has no such message to reply to"
_NO_BROADCASTS = {
    "admins": "Only administrators may write to everybody here: name a receiver",
    "off": "Nobody may write to everybody here: name a receiver",
}
# What the sender is told of each error with which the log, or its future, refuses a draft.
_ERRORS: dict[type[Exception], Callable[[Context, Exception], ParleyError]] = {
    LogFull: lambda *_: RateLimited(
        "Too many messages are waiting to be stored; try again", retry_after_ms=1000
    ),
    BroadcastRefused: lambda ctx, _: Forbidden(_NO_BROADCASTS[ctx.log.broadcasters]),
    SenderDisabled: lambda *_: Unauthenticated("Invalid token"),
    UnknownReceiver: lambda *_: NotFound("Receiver not found"),
    UnknownConversation: lambda *_: NotFound("Conversation not found"),
    UnknownReplied: lambda *_: NotFound(UNKNOWN_REPLIED),
    UnknownAttachment: lambda *_: NotFound("Attachment not found"),
    OtherKind: lambda _, kind: BadInput(
        f"The attachment is of kind {kind}, and so must the message be"
    ),
    KeyReused: lambda *_: Conflict("clientMessageId was used for another message"),
    TooLargeForDatabase: lambda *_: PayloadTooLarge(
        "The message is larger than this server's database takes"
    ),
    DatabaseUnavailable: lambda *_: Unavailable(),
}
_REFUSALS = tuple(_ERRORS)


def send_message(
    ctx: Context,
    *,
    receiver_id: int | None,
    conversation_id: int | None = None,
    content: str,
    kind: MessageKind | None = None,
    attachment_id: int | None = None,
    client_message_id: str | None = None,
    reply_to_id: int | None = None,
    metadata: object = None,
) -> Pending[StoredMessage]:
    """Store a message; return it once it is stored.

    It is for the receiver, or for the conversation: a group that the sender is in, or a direct one
    of theirs. Without either it is for everybody. Messages are stored in the order of the calls:
    the log has the draft when this returns. A repeated `client_message_id` returns the first
    message. An attachment must be the sender's, or of a message that the sender may see. Without a
    `kind`, the message has the attachment's, or is EMOJI when its content is nothing else, or TEXT.
    A receiver whom a block keeps apart is not found, and neither is a message to reply to that is
    hidden, or of another conversation. `metadata` is a JSON object of the sender's
    own. Raises Unauthenticated, BadInput, PayloadTooLarge,
    RateLimited, Unavailable; once it is awaited, also NotFound, Forbidden (a broadcast, by
    BROADCAST), Conflict.
    """
    attaching = attachment_id is not None
    if kind is not None and (kind in ATTACHING_KINDS) != attaching:
        raise BadInput(
            f"A message of kind {kind} has no attachment; its kind is the attachment's"
            if attaching
            else f"A message of kind {kind} needs an attachmentId"
        )
    viewer = ctx.user
    if conversation_id is not None:
        if receiver_id is not None:
            raise BadInput("Name a receiver or a conversation, not both")
        if conversation_id == EVERYBODY_ID:
            conversation_id = None
        else:
            receiver_id = ctx.log.receiver_in(conversation_id, viewer.id)
    draft = Draft(
        sender_id=viewer.id,
        receiver_id=receiver_id,
        kind=kind,
        content=clean_content(
            content, kind, max_bytes=ctx.settings.max_message_bytes, caption=attaching
        ),
        client_message_id=clean_client_message_id(client_message_id),
        attachment_id=attachment_id,
        own_kind=kind_of(content) if kind is None and not attaching else MessageKind.TEXT,
        broadcasts_after=viewer.broadcasts_after,
        conversation_id=conversation_id,
        reply_to_id=reply_to_id,
        metadata=(
            None
            if metadata is None
            else clean_metadata(metadata, max_bytes=ctx.settings.max_metadata_bytes)
        ),
    )
    ctx.limits.count_send(draft.sender_id)
    try:
        outcome = ctx.log.append(draft)
    except _REFUSALS as error:
        raise _refusal(ctx, error) from error
    return Pending(outcome, partial(_stored, ctx, outcome))


def _stored(ctx: Context, outcome: asyncio.Future[StoredMessage]) -> StoredMessage:
    try:
        return outcome.result()
    except _REFUSALS as error:
        raise _refusal(ctx, error) from error


def _refusal(ctx: Context, error: Exception) -> ParleyError:
    return next(make(ctx, error) for kind, make in _ERRORS.items() if isinstance(error, kind))
