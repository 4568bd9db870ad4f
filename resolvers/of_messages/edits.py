"""Edits and deletions of messages, and what a message said before."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from db.engines.database import DatabaseUnavailable, TooLargeForDatabase
from db.log.changes.messages import (
    DeleteMessage,
    EditMessage,
    MayNotBroadcast,
    NothingLeft,
    TooLate,
)
from db.log.changes.of_message import (
    IsDeleted,
    NotYours,
    OfMessage,
    UnknownMessage,
    Unreachable,
)
from db.log.changes.own_settings import UNCHANGED as UNCHANGED  # the marker, for those who call
from db.log.changes.reactions import TooManyEmoji
from db.log.changes.sessions import NotUsable
from db.log.drafts import LogFull
from db.models import StoredMessage
from db.of_messages import edits
from db.of_messages.edits import Edit as Edit
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
from resolvers.guards.validation import clean_content, kind_of
from resolvers.pending import Pending
from resolvers.reads import reading_log

# What the caller is told of each error with which the log, or its future, refuses a change.
_ERRORS: dict[type[Exception], Callable[[Exception], ParleyError]] = {
    LogFull: lambda _: RateLimited("Too many changes are waiting; try again", retry_after_ms=1000),
    NotUsable: lambda _: Unauthenticated("Invalid token"),
    UnknownMessage: lambda _: NotFound("Message not found"),
    NotYours: lambda _: Forbidden("The message is another user's"),
    IsDeleted: lambda _: Conflict("The message is deleted"),
    TooLate: lambda late: Forbidden(f"The message is older than {late} seconds"),
    NothingLeft: lambda _: BadInput("Content is required"),
    # As for a send: neither a block nor a deleted account is told of.
    Unreachable: lambda _: NotFound("Receiver not found"),
    MayNotBroadcast: lambda _: Forbidden("You may not write to everybody here any more"),
    TooManyEmoji: lambda full: Forbidden(
        f"The message has reactions with {full} emoji: no more are allowed",
        setting="MAX_REACTIONS_PER_MESSAGE",
    ),
    TooLargeForDatabase: lambda _: PayloadTooLarge(
        "The message is larger than this server's database takes"
    ),
    DatabaseUnavailable: lambda _: Unavailable(),
}
_REFUSALS = tuple(_ERRORS)


def edit_message(
    ctx: Context, *, message_id: int, content: str, metadata: object = UNCHANGED
) -> Pending[StoredMessage]:
    """Give a message of the viewer's another text; return it as it is then.

    The content is held to the rules of a send; that of an attachment, its caption, may be empty.
    `metadata` takes the place of the message's, and None removes it. The same text and metadata
    change nothing. Raises as a send does, and, once it is awaited, NotFound for
    what the viewer may not see and where a send would find no receiver, Forbidden for another's
    message, a broadcast by BROADCAST and after EDIT_SECONDS, Conflict for a deleted one.
    """
    viewer = ctx.user
    content = clean_content(content, None, max_bytes=ctx.settings.max_message_bytes, caption=True)
    return change_message(
        ctx,
        EditMessage(
            user_id=viewer.id,
            message_id=message_id,
            broadcasts_after=viewer.broadcasts_after,
            content=content,
            own_kind=kind_of(content),
            seconds=ctx.settings.edit_seconds,
            metadata=(
                None
                if metadata is UNCHANGED
                else clean_metadata(metadata, max_bytes=ctx.settings.max_metadata_bytes)
            ),
            keeps_metadata=metadata is UNCHANGED,
        ),
    )


def delete_message(ctx: Context, *, message_id: int) -> Pending[StoredMessage]:
    """Delete a message for everybody; return what is left of it, again if it was deleted before.

    It is its sender's to delete, and its group's administrators'. Raises Unauthenticated,
    RateLimited, Unavailable; once it is awaited, NotFound, and Forbidden for another's message and
    after DELETE_SECONDS.
    """
    viewer = ctx.user
    return change_message(
        ctx,
        DeleteMessage(
            user_id=viewer.id,
            message_id=message_id,
            broadcasts_after=viewer.broadcasts_after,
            seconds=ctx.settings.delete_seconds,
        ),
    )


def change_message(ctx: Context, change: OfMessage) -> Pending[StoredMessage]:
    """Have the log store a change to a message: it counts as a send. Return the message then."""
    ctx.limits.count_send(change.user_id)
    try:
        outcome = ctx.log.append(change)
    except _REFUSALS as error:
        raise _refusal(error) from error
    return Pending(outcome, partial(_changed, outcome))


def _changed(outcome: asyncio.Future[StoredMessage]) -> StoredMessage:
    try:
        return outcome.result()
    except _REFUSALS as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> ParleyError:
    return next(make(error) for kind, make in _ERRORS.items() if isinstance(error, kind))


async def get_edits(
    ctx: Context, asked: Collection[tuple[int, int]]
) -> Mapping[tuple[int, int], Sequence[Edit]]:
    """Return what messages said before, the oldest text first, by sender and message.

    `asked` are pairs of a viewer, who was let in before, and a message: its sender alone gets its
    earlier texts. Raises Unavailable.
    """
    async with reading_log(ctx) as connection:
        found = await edits.read_edits(connection, {message_id for _, message_id in asked})
    return {pair: found[pair] for pair in asked if pair in found}
