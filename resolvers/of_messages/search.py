"""Search in the messages that one may see."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from db import messages
from db.models import MessageKind, StoredMessage
from db.search.hits import Piece, excerpt
from db.search.queries import Filters, Search, Seen
from db.search.queries import SearchOrder as SearchOrder
from db.search.question import MAX_PHRASES, Phrase, TooManyWords, read_question
from db.search.search import Found, SearchUnavailable
from db.search.texts import find_direct, has_conversation, read_groups, searched_text
from resolvers import access
from resolvers.context import Context
from resolvers.errors import BadInput, Forbidden, NotFound, Unavailable
from resolvers.guards.validation import bound, check_page_size, check_text
from resolvers.reads import reading_log

MAX_QUERY = 256  # characters
MAX_SEARCH_PAGE = 100
# Hits that are read at once beyond what the page lacks, and all that one page may cost: it ends
# early then, and the next one goes on.
SPARE, MOST_LOOKED_AT = 10, 1000
MOST_CHARACTERS = 256 * 1024
# More characters than these are looked through in a thread.
IN_THREAD = 16 * 1024


class Cursor(msgspec.Struct, frozen=True):
    """Where a page of hits ends."""

    order: SearchOrder
    typos: bool  # whether words with typos are hits of this search
    after: int  # the id of its last message
    shown: int  # so many messages came up to it


class Hit(NamedTuple):
    """A message that answers, with the piece of its text that does."""

    message: StoredMessage
    excerpt: Sequence[Piece]
    cursor: Cursor


class HitsPage(NamedTuple):
    """Hits, whether there are more, and whether every message was looked through."""

    hits: Sequence[Hit]
    has_more: bool
    end: Cursor | None  # where the next page goes on
    is_complete: bool


class Wanted(NamedTuple):
    """What is searched for, as the caller gives it."""

    query: str
    conversation_id: int | None = None
    with_id: int | None = None
    sender_id: int | None = None
    kind: MessageKind | None = None
    since: datetime | None = None
    until: datetime | None = None


async def search_messages(
    ctx: Context,
    wanted: Wanted,
    *,
    first: int,
    after: Cursor | None = None,
    order: SearchOrder = SearchOrder.NEWEST,
) -> HitsPage:
    """Return the messages that the viewer may see and that have all words of the query.

    Where nothing is found, words with a typo are. Raises Unauthenticated, BadInput, NotFound for a
    conversation or a user that the viewer may not know of, Forbidden where search is off,
    RateLimited, Unavailable.
    """
    viewer = ctx.user
    question = read_query(wanted.query)
    check_page_size(first, "messages", most=min(MAX_SEARCH_PAGE, ctx.settings.max_page_size))
    if wanted.conversation_id is not None and wanted.with_id is not None:
        raise BadInput("conversation and with cannot be used together")
    if after is not None and after.order is not order:
        raise BadInput("after is a cursor of another order")
    if ctx.search is None:
        raise Forbidden("Search is off on this server")
    ctx.limits.count_search(viewer.id)
    async with ctx.limits.reading(viewer.id):
        search = await _prepare(ctx, wanted, question, order)
        if search is None or not question:
            return HitsPage((), has_more=False, end=after, is_complete=True)
        if after is not None:
            search = msgspec.structs.replace(search, typos=after.typos)
        page = await _find(ctx, search, first, after)
        may_have_typo = any(phrase.may_have_typo for phrase in question)
        if not page.hits and after is None and not page.has_more and may_have_typo:
            page = await _find(ctx, msgspec.structs.replace(search, typos=True), first, None)
        if not page.hits and wanted.sender_id is not None:
            async with reading_log(ctx) as connection:
                await access.visible_user(ctx, connection, wanted.sender_id)
    return page


def read_query(query: str) -> tuple[Phrase, ...]:
    """Return what the query asks for; nothing where it has no word. Raises BadInput."""
    check_text(bound(query, "query", MAX_QUERY), "query")
    if not query.strip():
        raise BadInput("query is required")
    try:
        return read_question(query)
    except TooManyWords as error:
        raise BadInput(f"query has more than {MAX_PHRASES} words") from error


async def _prepare(
    ctx: Context, wanted: Wanted, question: tuple[Phrase, ...], order: SearchOrder
) -> Search | None:
    """Return what to look for; None where no message can be found. Raises NotFound."""
    viewer = ctx.user
    conversation_id = wanted.conversation_id
    async with reading_log(ctx) as connection:
        if conversation_id is not None:
            if not await has_conversation(connection, viewer.id, conversation_id):
                raise NotFound("Conversation not found")
        elif wanted.with_id is not None:
            conversation_id = await find_direct(connection, viewer.id, wanted.with_id)
            if conversation_id is None:
                await access.visible_user(ctx, connection, wanted.with_id)
                return None
        groups = await read_groups(connection, viewer.id)
    since, until = _in_utc(wanted.since), _in_utc(wanted.until)
    if since is not None and until is not None and since >= until:
        return None
    return Search(
        question=question,
        seen=Seen(viewer.id, viewer.broadcasts_after, ctx.blocks.apart_from(viewer.id), groups),
        filters=Filters(conversation_id, wanted.sender_id, wanted.kind, since, until),
        order=order,
    )


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


async def _find(ctx: Context, search: Search, first: int, after: Cursor | None) -> HitsPage:
    """Return a page: what the index proposes, as far as the database says that it is a hit."""
    shown = 0 if after is None else after.shown
    hits: list[Hit] = []
    end, is_complete = after, True
    looked_at = characters = 0
    async for ids, is_complete, reached in _proposed(ctx, search, first + 1 + SPARE, after):
        found = await _read(ctx, ids, search.filters.kind)
        excerpts = await _excerpts(found, search)
        for id_ in ids:
            pieces = excerpts.get(id_)
            if pieces is None:
                continue
            if len(hits) == first:
                return HitsPage(hits, has_more=True, end=end, is_complete=is_complete)
            shown += 1
            end = Cursor(search.order, search.typos, id_, shown)
            hits.append(Hit(found[id_], pieces, end))
        looked_at += len(ids)
        characters += sum(len(message.content) for message in found.values())
        if reached or looked_at > MOST_LOOKED_AT or characters > MOST_CHARACTERS:
            end = Cursor(search.order, search.typos, reached or ids[-1], shown)
            return HitsPage(hits, has_more=True, end=end, is_complete=is_complete)
    return HitsPage(hits, has_more=False, end=end, is_complete=is_complete)


async def _proposed(
    ctx: Context, search: Search, size: int, after: Cursor | None
) -> AsyncIterator[tuple[Sequence[int], bool, int]]:
    """Yield the ids that the index proposes, some at a time, and whether it has all messages.

    The last number is the position to go on before, where the time for one page is over; else 0.
    """
    before = None if after is None else after.after
    while True:
        found = await _ask(ctx, search, before, size)
        ids = found.ids
        if search.order is SearchOrder.RELEVANCE:
            start = 0 if after is None else _place_of(after, ids)
            for first in range(start, len(ids), size):
                yield ids[first : first + size], found.is_complete, 0
            return
        is_over = len(ids) < size
        yield ids, found.is_complete, found.first if is_over else 0
        if is_over:
            return
        before = ids[-1]


def _place_of(cursor: Cursor, ids: Sequence[int]) -> int:
    """Return where to go on. A message that is no hit any more has left its place to the next."""
    return ids.index(cursor.after) + 1 if cursor.after in ids else min(cursor.shown, len(ids))


async def _ask(ctx: Context, search: Search, before: int | None, limit: int) -> Found:
    assert ctx.search is not None  # noqa: S101  # the operation has looked
    try:
        return await ctx.search.find(search, before=before, limit=limit)
    except SearchUnavailable as error:
        raise Unavailable from error


async def _read(
    ctx: Context, ids: Sequence[int], kind: MessageKind | None
) -> dict[int, StoredMessage]:
    """Return those of these messages that the viewer may see, and that are not deleted.

    With a kind, only those of it: some are of another kind for who has left their group.
    """
    if not ids:
        return {}
    viewer = ctx.user
    async with reading_log(ctx) as connection:
        found = await messages.find_all_visible(
            connection, viewer.id, ids, broadcasts_after=viewer.broadcasts_after
        )
    return {
        message.id: message
        for message in found
        if message.deleted_at is None and kind in {None, message.kind}
    }


async def _excerpts(found: dict[int, StoredMessage], search: Search) -> dict[int, Sequence[Piece]]:
    """Return the excerpts of those of these messages that answer."""
    texts = {id_: searched_text(message) for id_, message in found.items()}

    def cut() -> dict[int, Sequence[Piece]]:
        cuts = ((id_, excerpt(t, search.question, typos=search.typos)) for id_, t in texts.items())
        return {id_: pieces for id_, pieces in cuts if pieces}

    # Long texts take milliseconds each: the loop would wait.
    if sum(map(len, texts.values())) > IN_THREAD:
        return await asyncio.to_thread(cut)
    return cut()
