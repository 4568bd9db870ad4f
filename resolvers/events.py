"""Events: everything that changes for the viewer, in the log's order, resumable by a cursor."""

import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from heapq import merge
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from db import facts
from db.groups.leaving import as_left
from db.groups.pages import find_stays
from db.models import EVERYBODY_ID, StoredMessage
from db.shown_facts import parts_of, shown_positions
from db.visibility import Stay
from events.facts import Fact, Members
from events.subscription import Consumer
from resolvers.context import Context
from resolvers.errors import BadInput, CursorExpired
from resolvers.messages import PAGE, place_of, read_between, replay_messages, watch_log
from resolvers.reads import as_viewer_left, is_in_log, know_contacts, reading_history

# So much of the epoch's 32 digits tells logs apart; each event carries it.
EPOCH_DIGITS = 12
MAX_CURSOR = 64  # characters
# Positions of facts that are looked up at once: 8 bytes each, while a page of facts is large.
POSITIONS = 2000

_CURSOR = re.compile(rf"(?:([0-9a-f]{{{EPOCH_DIGITS}}})-)?(0|[1-9][0-9]{{0,18}})")

EXPIRED = "The cursor has expired: query anew what you keep, and go on from the new cursor"

Event = StoredMessage | Fact


def cursor_at(ctx: Context, position: int) -> str:
    """Return the cursor of a position of the log, for `watch_events`."""
    return f"{ctx.control.epoch[:EPOCH_DIGITS]}-{position}"


async def _position_of(ctx: Context, cursor: str) -> int:
    """Return the position of a cursor. Raises BadInput, CursorExpired, Unavailable."""
    match = _CURSOR.fullmatch(cursor) if len(cursor) <= MAX_CURSOR else None
    if match is None or int(match[2]) >= 2**63:
        raise BadInput("after is not a cursor")
    epoch, position = match[1], int(match[2])
    if epoch is not None and epoch != ctx.control.epoch[:EPOCH_DIGITS]:
        raise CursorExpired(EXPIRED)
    # The log has lost what the client may have seen after the place of the loss.
    if ctx.feed.resume_from(position) != position:
        raise CursorExpired(EXPIRED)
    # Another process may be ahead of this one's feed, but nobody is ahead of the log.
    if position > ctx.feed.position and not await is_in_log(ctx, position):
        raise CursorExpired(EXPIRED)
    return position


async def watch_events(
    ctx: Context, *, after: str | None = None, consumer: Consumer | None = None
) -> AsyncGenerator[Event, None]:
    """Yield each message and each fact that the viewer is shown: those past a cursor, then live.

    No gap and no repeat. A message's id and a fact's are its position. What is read from the log is
    as it is now, and as far as the viewer may see it now. `after` may also be a plain position, as
    serverInfo says it. With a `consumer`, as watch_messages. Raises Unauthenticated, BadInput,
    SubscriberTooSlow, and CursorExpired for a cursor of another log, or one that is ahead of the
    log, or older than the facts that are kept (LOG_KEPT_DAYS).
    """
    await know_contacts(ctx, ctx.user.id)  # whose profiles' changes are shown
    position = None if after is None else await _position_of(ctx, after)
    watch = watch_log(ctx, position, partial(_replay, ctx), consumer, facts=True)
    async with aclosing(watch) as stream:
        async for event in stream:
            yield event


async def watch_by_id(ctx: Context, after: int) -> AsyncGenerator[Event, None]:
    """Yield the same past a message's id, which never expires: for older clients.

    Past an id that is older than the facts that are kept, only messages are replayed. Raises
    Unauthenticated, BadInput, SubscriberTooSlow.
    """
    ctx.user  # noqa: B018  # the door
    after = await place_of(ctx, after)
    watch = watch_log(ctx, after, partial(_replay_by_id, ctx), None, facts=True)
    async with aclosing(watch) as stream:
        async for event in stream:
            yield event


async def _replay_by_id(ctx: Context, after: int, upto: int) -> AsyncGenerator[Event, None]:
    replay = _replay
    if _recent(ctx, after, upto) is None:
        async with ctx.read() as connection:
            if after < await facts.pruned_position(connection):
                replay = replay_messages
    async with aclosing(replay(ctx, after, upto)) as stream:
        async for event in stream:
            yield event


def _recent(ctx: Context, after: int, upto: int) -> Sequence[Event] | None:
    viewer = ctx.user
    return ctx.feed.recent_events(
        viewer.id,
        after,
        upto,
        broadcasts_after=viewer.broadcasts_after,
        groups=ctx.shows_groups,
    )


async def _replay(ctx: Context, after: int, upto: int) -> AsyncGenerator[Event, None]:
    recent = _recent(ctx, after, upto)
    if recent is not None:
        for event in await as_viewer_left(ctx, recent):
            yield event
        return
    shown = _ShownFacts(ctx, after, upto)
    while after < upto:
        async with reading_history(ctx, upto) as connection:
            messages = await read_between(ctx, connection, after, upto, PAGE)
            end = messages[-1].id if len(messages) == PAGE else upto
            found, end = await shown.read(connection, end)
            # Last: what was pruned while this page was read is missing from it.
            if after < await facts.pruned_position(connection):
                raise CursorExpired(EXPIRED)
        page = [message for message in messages if message.id <= end]
        events: Iterable[Event] = merge(page, found, key=attrgetter("id"))
        for event in events:
            yield event
        after = end


class _ShownFacts:
    """The facts of a replay, which are read page by page."""

    def __init__(self, ctx: Context, after: int, upto: int) -> None:
        self._ctx = ctx
        self._upto = upto
        self._stays: Mapping[int, Stay] | None = None
        self._positions: deque[int] = deque()  # that were looked up, and not read yet
        self._looked_up = after  # so far

    async def read(self, connection: AsyncConnection, end: int) -> tuple[list[Fact], int]:
        """Return the next facts up to a position, and the position up to which these are all."""
        viewer = self._ctx.user
        if self._stays is None:
            _, of_users = await find_stays(connection, [viewer.id])
            self._stays = of_users[viewer.id]
        if not self._positions and self._looked_up < self._upto:
            found, self._looked_up = await shown_positions(
                connection, viewer.id, parts_of(self._stays), self._looked_up, self._upto, POSITIONS
            )
            self._positions.extend(found)
        end = min(end, self._looked_up)
        wanted: list[int] = []
        while self._positions and self._positions[0] <= end and len(wanted) < PAGE:
            wanted.append(self._positions.popleft())
        if self._positions and self._positions[0] <= end:
            end = wanted[-1]
        read = await as_left(connection, viewer.id, await facts.read_facts(connection, wanted))
        return [fact for fact in read if fact.is_whole and self._shows(fact, self._stays)], end

    def _shows(self, fact: Fact, stays: Mapping[int, Stay]) -> bool:
        viewer, audience = self._ctx.user, fact.audience
        if isinstance(audience, Members) and audience.conversation_id != EVERYBODY_ID:
            stay = stays.get(audience.conversation_id)
            may_know = self._ctx.feed.visibility.may_know(fact, viewer.id)
            return stay is not None and stay.shows_fact(fact) and may_know
        visibility = self._ctx.feed.visibility
        return bool(visibility.shows_fact(fact, viewer.id, viewer.broadcasts_after))
