"""Searches again and again: nothing tells when the index has what was just sent."""

import asyncio
from collections.abc import Callable
from typing import Any

from db.models import StoredMessage
from resolvers import messages
from resolvers.context import Context
from resolvers.of_messages.search import Cursor, HitsPage, SearchOrder, Wanted, search_messages

SECONDS = 20


async def send(ctx: Context, content: str, to: Context | None = None) -> StoredMessage:
    receiver_id = None if to is None else to.user.id
    return await messages.send_message(ctx, receiver_id=receiver_id, content=content)


async def look(
    ctx: Context,
    query: str,
    *,
    first: int = 20,
    after: Cursor | None = None,
    order: SearchOrder = SearchOrder.NEWEST,
    **wanted: Any,
) -> HitsPage:
    return await search_messages(
        ctx, Wanted(query, **wanted), first=first, after=after, order=order
    )


def ids_of(page: HitsPage) -> list[int]:
    return [hit.message.id for hit in page.hits]


async def until(ctx: Context, query: str, is_right: Callable[[HitsPage], bool]) -> HitsPage:
    """Search again and again, until the index has what was just sent."""
    async with asyncio.timeout(SECONDS):
        while not is_right(page := await look(ctx, query)):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)
    return page


async def finds(ctx: Context, query: str, *sent: StoredMessage) -> HitsPage:
    """Wait until exactly these are found, the newest first."""
    wanted = sorted((message.id for message in sent), reverse=True)
    return await until(ctx, query, lambda page: ids_of(page) == wanted)


async def indexed(ctx: Context, last: StoredMessage) -> None:
    """Wait until the index has everything up to this message."""
    await until(ctx, last.content, lambda page: last.id in ids_of(page))
