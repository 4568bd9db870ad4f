"""Sends: a message given to the log, and what came of it; nothing here waits."""

import asyncio
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
    UnknownReceiver,
)
from db.messages import ATTACHING_KINDS
from db.models import MessageKind, StoredMessage
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
from resolvers.guards.fields import clean_client_message_id, clean_content, kind_of
from resolvers.pending import Pending

_NO_BROADCASTS = {
    "admins": "Only administrators may write to everybody here: name a receiver",
    "off": "Nobody may write to everybody here: name a receiver",
}
# How the log refuses a draft, and its future.
REFUSALS = (
    LogFull,
    BroadcastRefused,
    SenderDisabled,
    UnknownReceiver,
    UnknownAttachment,
    OtherKind,
    KeyReused,
    DatabaseUnavailable,
    TooLargeForDatabase,
)


def send_message(
    ctx: Context,
    *,
    receiver_id: int | None,
    content: str,
    kind: MessageKind | None = None,
    attachment_id: int | None = None,
    client_message_id: str | None = None,
) -> Pending[StoredMessage]:
    """Store a message, direct or (without a receiver) to everybody; return it once it is stored.

    Calls take their places in the order in which they are made: the log has the draft when this
    returns. A repeated `client_message_id` returns the first message. An attachment is
    one's own, or of a message that one may see; without a `kind`, the message has its,
    or is EMOJI when that is all its content is, else TEXT. A receiver whom a block keeps apart is
    not found. Raises, at once, Unauthenticated, BadInput, PayloadTooLarge, RateLimited,
    Unavailable; once it is awaited, also NotFound, Forbidden (a broadcast, by the setting),
    Conflict.
    """
    attaching = attachment_id is not None
    if kind is not None and (kind in ATTACHING_KINDS) != attaching:
        raise BadInput(
            f"A message of kind {kind} has no attachment; its kind is the attachment's"
            if attaching
            else f"A message of kind {kind} needs an attachmentId"
        )
    viewer = ctx.user
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
    )
    ctx.limits.take_send(draft.sender_id)
    try:
        outcome = ctx.log.append(draft)
    except REFUSALS as error:
        raise refusal(ctx, error) from error
    return Pending(outcome, partial(_stored, ctx, outcome))


def _stored(ctx: Context, outcome: asyncio.Future[StoredMessage]) -> StoredMessage:
    try:
        return outcome.result()
    except REFUSALS as error:
        raise refusal(ctx, error) from error


def refusal(ctx: Context, error: Exception) -> ParleyError:
    """Return, as its sender is told, why the log refused."""
    match error:
        case LogFull():
            return RateLimited(
                "Too many messages are waiting to be stored; try again", retry_after_ms=1000
            )
        case BroadcastRefused():
            return Forbidden(_NO_BROADCASTS[ctx.log.broadcasters])
        case SenderDisabled():
            return Unauthenticated("Invalid token")
        case UnknownReceiver():
            return NotFound("Receiver not found")
        case UnknownAttachment():
            return NotFound("Attachment not found")
        case OtherKind():
            return BadInput(f"The attachment is of kind {error}, and so must the message be")
        case KeyReused():
            return Conflict("clientMessageId was used for another message")
        case TooLargeForDatabase():
            return PayloadTooLarge("The message is larger than this server's database takes")
        case _:
            return Unavailable()
