"""Messages: send, read back, watch."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db import messages
from db.groups import pages
from db.models import EVERYBODY_ID, StoredMessage
from events.bus.bus import Bus, Topic
from events.facts import Fact, Placed
from events.feed import Feed
from events.subscription import Consumer, SubscriberTooSlow, Subscription
from resolvers import access
from resolvers.connections import connection_of
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound
from resolvers.guards.validation import check_page_size
from resolvers.reads import as_viewer_left, is_in_log, know_groups, reading_history, reading_log
from resolvers.sends import send_message as send_message  # of this noun, in a file of its own

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[StoredMessage])
# A batch that holds other facts too is announced apart, so that plain ones need no tags. Facts
# travel beside the messages that they are about: messages, facts, records by the facts' positions.
_mixtures = msgspec.msgpack.Decoder(
    tuple[list[StoredMessage], list[Fact], dict[int, StoredMessage]]
)

# Rows read at once where a history is streamed: so many a reader that has stopped keeps in memory.
PAGE = 100


class Page(NamedTuple):
    """Messages, oldest first, and whether there are others beyond either end."""

    messages: Sequence[StoredMessage]
    has_older: bool
    has_newer: bool


def announce_committed(
    feed: Feed[StoredMessage], bus: Bus
) -> Callable[[Sequence[StoredMessage | Fact]], None]:
    """Return the call that the log makes after each commit: the one place that announces facts.

    What other processes announce on the bus goes to the feed as well.
    """

    def announce(batch: Sequence[StoredMessage | Fact]) -> None:
        feed.announce(batch)
        if bus.is_lone:
            return
        if Fact in map(type, batch):
            facts = [entry for entry in batch if isinstance(entry, Fact)]
            sent = [entry for entry in batch if not isinstance(entry, Fact)]
            records = {fact.id: fact.record for fact in facts if fact.record is not None}
            bare = [replace(fact, record=None) for fact in facts]
            bus.publish(Topic.FACTS, _encoder.encode((sent, bare, records)))
        else:
            bus.publish(Topic.LOG, _encoder.encode(batch))

    def hear(payload: bytes) -> None:
        feed.announce(_decoder.decode(payload))

    def hear_mixture(payload: bytes) -> None:
        sent, bare, records = _mixtures.decode(payload)
        facts = [replace(fact, record=records.get(fact.id)) for fact in bare]
        feed.announce(sorted([*sent, *facts], key=attrgetter("id")))

    bus.subscribe(Topic.LOG, hear)
    bus.subscribe(Topic.FACTS, hear_mixture)
    return announce


async def get_message(ctx: Context, message_id: int) -> StoredMessage:
    """Return a message. Raises Unauthenticated, NotFound."""
    async with reading_log(ctx, min(message_id, ctx.feed.position)) as connection:
        return await access.visible_message(ctx, connection, message_id)


async def get_messages(ctx: Context, message_ids: Collection[int]) -> Sequence[StoredMessage]:
    """Return those of these messages that the viewer may see. Raises Unauthenticated."""
    viewer = ctx.user
    async with reading_log(ctx) as connection:
        return await messages.find_all_visible(
            connection, viewer.id, message_ids, broadcasts_after=viewer.broadcasts_after
        )


async def list_messages(
    ctx: Context,
    *,
    with_id: int | None = None,
    conversation_id: int | None = None,
    after: int | None = None,
    before: int | None = None,
    newest: bool = True,
    limit: int,
) -> Page:
    """Return a page of what the viewer may see, or of one conversation.

    The page is the newest end of the range between `after` and `before` (both exclusive ids), or
    with `newest=False` its oldest. Raises Unauthenticated, BadInput, NotFound, RateLimited.
    """
    viewer = ctx.user
    check_page_size(limit, "messages", most=ctx.settings.max_page_size)
    ctx.limits.count_read(viewer.id)
    await know_groups(ctx, viewer.id)
    async with ctx.limits.reading(viewer.id), reading_history(ctx) as connection:
        wanted = _Range(with_id, conversation_id, after, before)
        wanted = await _within_conversation(ctx, connection, wanted)
        found = await _read_page(ctx, connection, wanted, newest=newest, limit=limit + 1)
    if with_id is not None and not found:
        # A user who has just come need not be in a replica: the log does not tell of them.
        async with reading_log(ctx) as connection:
            await access.visible_user(ctx, connection, with_id)
    more = len(found) > limit
    if more:
        found = found[1:] if newest else found[:limit]
    # Beyond a bound lies at least the message that it names.
    return Page(
        found,
        has_older=after is not None or (newest and more),
        has_newer=before is not None or (not newest and more),
    )


async def list_messages_around(
    ctx: Context,
    message_id: int,
    *,
    with_id: int | None = None,
    conversation_id: int | None = None,
    limit: int,
) -> Page:
    """Return a page of what the viewer may see, with this message in its middle.

    Perhaps of one conversation. Raises Unauthenticated, BadInput, NotFound where the message is not
    among them, RateLimited.
    """
    viewer = ctx.user
    check_page_size(limit, "messages", most=ctx.settings.max_page_size)
    ctx.limits.count_read(viewer.id)
    await know_groups(ctx, viewer.id)
    size = limit // 2 + 1  # with the message, which a page of none has too
    async with ctx.limits.reading(viewer.id), reading_history(ctx) as connection:
        wanted = _Range(with_id, conversation_id)
        wanted = await _within_conversation(ctx, connection, wanted)
        end = message_id + 1 if wanted.before is None else min(message_id + 1, wanted.before)
        older = await _read_page(
            ctx, connection, wanted._replace(before=end), newest=True, limit=size + 1
        )
        if not older or older[-1].id != message_id:
            raise NotFound("Message not found")
        rest = max(limit - size, 0)
        newer = await _read_page(
            ctx, connection, wanted._replace(after=message_id), newest=False, limit=rest + 1
        )
    page = [*older[-size:], *newer[:rest]][:limit]
    return Page(page, has_older=len(older) > size, has_newer=len(newer) > rest)


async def stream_messages(
    ctx: Context,
    *,
    with_id: int | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> AsyncGenerator[Sequence[StoredMessage], None]:
    """Yield all that the viewer may see, newest first, in pages; nothing is held between them.

    Deleted messages are left out, and count in no limit. `after` and `before` are exclusive ids. A
    `limit` cuts the old end; with `after` it cuts the new end, so that a client that goes on from
    the greatest id leaves nothing out. Raises Unauthenticated, RateLimited.
    """
    viewer = ctx.user
    ctx.limits.count_read(viewer.id)
    wanted = _Range(with_id, after=after, before=before, has_deleted=False)
    await know_groups(ctx, viewer.id)
    if after is not None and limit is not None:
        wanted = await _first_of(ctx, wanted, limit)
        limit = None
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(PAGE, limit)
        async with ctx.limits.reading(viewer.id), reading_history(ctx) as connection:
            page = await _read_page(ctx, connection, wanted, limit=size)
        if page:
            yield page[::-1]
        if len(page) < size:
            return
        wanted = wanted._replace(before=page[0].id)
        limit = None if limit is None else limit - size


class _Range(NamedTuple):
    """The messages between two exclusive ids, perhaps of the conversation with a peer alone."""

    peer_id: int | None = None
    conversation_id: int | None = None
    after: int | None = None
    before: int | None = None
    has_deleted: bool = True


async def _within_conversation(ctx: Context, connection: AsyncConnection, wanted: _Range) -> _Range:
    """Return the part of the range that the viewer may see of its conversation.

    Raises Unauthenticated, NotFound.
    """
    if wanted.conversation_id is None:
        return wanted
    # The head first: what is stored after somebody has left a group is past it.
    head = await messages.head_position(connection)
    listed = await access.visible_conversation(ctx, connection, wanted.conversation_id)
    before = min(listed.upto, head) + 1
    return wanted._replace(
        after=max(wanted.after or 0, listed.after),
        before=before if wanted.before is None else min(wanted.before, before),
    )


async def _first_of(ctx: Context, wanted: _Range, limit: int) -> _Range:
    """Return the part of the range that has its `limit` oldest messages."""
    rest = wanted
    while limit > 0:
        size = min(PAGE, limit)
        async with ctx.limits.reading(ctx.user.id), reading_history(ctx) as connection:
            page = await _read_page(ctx, connection, rest, newest=False, limit=size)
        if len(page) < size:
            return wanted
        rest, limit = rest._replace(after=page[-1].id), limit - size
    return wanted._replace(before=(rest.after or 0) + 1)


async def _read_page(
    ctx: Context, connection: AsyncConnection, wanted: _Range, *, newest: bool = True, limit: int
) -> Sequence[StoredMessage]:
    """Return a page of what the viewer may see.

    For a viewer without blocks the senders of broadcasts need no look. A page with a broadcast
    past the position that this process has followed is read again with that look. So it is with
    groups, for a viewer who is in none as far as this process has followed.
    """
    viewer = ctx.user
    followed, heard = ctx.control.position, ctx.feed.position
    has_blocks = viewer.id in ctx.blocks.apart
    of_all = ctx.shows_groups and wanted.peer_id is None and wanted.conversation_id is None
    has_groups = of_all and ctx.memberships.stays_of(viewer.id) != {}
    while True:
        options: dict[str, Any] = {
            "after": wanted.after,
            "before": wanted.before,
            "newest": newest,
            "limit": limit,
            "broadcasts_after": viewer.broadcasts_after,
            "has_blocks": has_blocks,
            "has_deleted": wanted.has_deleted,
        }
        page = (
            await pages.page_with_groups(connection, viewer.id, **options)
            if has_groups
            else await messages.page_messages(
                connection,
                viewer.id,
                peer_id=wanted.peer_id,
                conversation_id=wanted.conversation_id,
                groups=of_all,
                **options,
            )
        )
        looks = not has_blocks and any(
            m.conversation_id == EVERYBODY_ID and m.id > followed for m in page
        )
        joined = of_all and not has_groups and any(m.id > heard for m in page)
        if not looks and not joined:
            return page
        has_blocks, has_groups = has_blocks or looks, has_groups or joined


async def watch_messages(
    ctx: Context, *, after: int | None = None, consumer: Consumer | None = None
) -> AsyncGenerator[StoredMessage, None]:
    """Yield each message the viewer may see: those past `after`, from the log, then live ones.

    No gap and no repeat. With a `consumer`, it ends once it has yielded all messages there are:
    the consumer is given later ones (events/subscription.py). Raises Unauthenticated, BadInput when
    `after` is ahead of the log, SubscriberTooSlow when the reader falls too far behind.
    """
    ctx.user  # noqa: B018  # the door
    if after is not None:
        after = await place_of(ctx, after)
    watch = watch_log(ctx, after, partial(replay_messages, ctx), consumer)
    async with aclosing(watch) as stream:
        async for message in stream:
            yield message


async def place_of(ctx: Context, after: int) -> int:
    """Return where to resume that has seen everything up to a position. Raises BadInput."""
    after = ctx.feed.resume_from(after)
    # Another process may be ahead of this one's feed, but nobody is ahead of the log.
    if after > ctx.feed.position and not await is_in_log(ctx, after):
        raise BadInput("after is ahead of the log: it is not of this server")
    return after


P = TypeVar("P", bound=Placed)


async def watch_log(
    ctx: Context,
    after: int | None,
    replay: Callable[[int, int], AsyncGenerator[P, None]],
    consumer: Consumer | None,
    *,
    facts: bool = False,
) -> AsyncGenerator[P, None]:
    """Yield what `replay` reads of the log past `after`, then live messages, and perhaps facts.

    `replay` is given the positions after which and up to which it reads. Raises as watch_messages.
    """
    viewer = ctx.user
    while True:
        await know_groups(ctx, viewer.id)
        with _subscribe(ctx, viewer.broadcasts_after if facts else None) as live:
            start = ctx.feed.position
            if after is not None:
                async with aclosing(replay(after, start)) as replayed:
                    async for entry in replayed:
                        after = entry.id
                        yield entry
                if live.interrupted:
                    raise SubscriberTooSlow  # the log went back: the reader resumes
                if live.overflowed:
                    # More arrived during the replay than a queue holds: replay that too.
                    after = max(after, start)
                    continue
            # A reader ahead of this process's feed has had the next entries: they are skipped.
            if after is None or after <= start:
                live.consumer = consumer
            async for entry in live:
                if after is None or entry.id > after:
                    live.consumer = consumer
                    yield entry
            return


def _subscribe(ctx: Context, facts_past: int | None) -> Subscription[Any]:
    connection = connection_of(ctx)
    subscription: Subscription[Any] = Subscription(
        max_items=ctx.settings.max_queued_messages,
        max_bytes=ctx.settings.max_queued_bytes,
        leave=connection.detach,
    )
    connection.attach(subscription, facts_past=facts_past)
    return subscription


async def replay_messages(
    ctx: Context, after: int, upto: int
) -> AsyncGenerator[StoredMessage, None]:
    """Yield the messages with after < id <= upto that the viewer may see."""
    viewer = ctx.user
    recent = ctx.feed.recent(
        viewer.id,
        after,
        upto,
        broadcasts_after=viewer.broadcasts_after,
        groups=ctx.shows_groups,
    )
    if recent is not None:
        for message in await as_viewer_left(ctx, recent):
            yield message
        return
    while after < upto:
        await know_groups(ctx, viewer.id)
        async with reading_history(ctx, upto) as connection:
            page = await read_between(ctx, connection, after, upto, PAGE)
        for message in page:
            yield message
        if len(page) < PAGE:
            return
        after = page[-1].id


async def read_between(
    ctx: Context, connection: AsyncConnection, after: int, upto: int, limit: int
) -> Sequence[StoredMessage]:
    """Return the first messages with after < id <= upto that the viewer may see."""
    wanted = _Range(after=after, before=upto + 1)
    return await _read_page(ctx, connection, wanted, newest=False, limit=limit)
