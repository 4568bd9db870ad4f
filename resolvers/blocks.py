"""Blocks: keep somebody away, and let them come back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import blocks
from db.engines.database import Database
from db.models import NoticeKind, StoredNotice, StoredUser
from db.notices import insert_notice
from resolvers import access
from resolvers.context import Context
from resolvers.errors import BadInput, Forbidden
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.notices import commit
from resolvers.users import get_users

logger = logging.getLogger("parley.blocks")

PAGE = 5000
RETRY_SECONDS = 0.5


async def block_user(ctx: Context, user_id: int) -> StoredUser:
    """Keep the viewer and a user apart; return the user. Blocking again changes nothing.

    When this returns, what the two send each other is refused: by this process at once, by the
    others within a second. Raises Unauthenticated, BadInput for oneself, NotFound, Forbidden
    beyond MAX_BLOCKED_USERS, Unavailable.
    """
    viewer = ctx.user
    if user_id == viewer.id:
        raise BadInput("You cannot block yourself")

    async def insert(connection: AsyncConnection) -> bool:
        known = await blocks.blocked_ids(connection, viewer.id)
        if user_id in known:
            return False
        if len(known) >= ctx.settings.max_blocked_users:
            raise Forbidden(f"You have blocked {len(known)} users; unblock somebody first")
        await blocks.insert_block(connection, viewer.id, user_id, datetime.now(UTC))
        return True

    user = await _change(ctx, user_id, insert, there=True)
    # What is being stored now was let through before; nothing is after it.
    await ctx.log.settled()
    return user


async def unblock_user(ctx: Context, user_id: int) -> StoredUser:
    """End the viewer's block of a user; return the user. Without one this changes nothing.

    Raises Unauthenticated, NotFound, Unavailable.
    """
    viewer = ctx.user

    async def delete(connection: AsyncConnection) -> bool:
        return await blocks.delete_block(connection, viewer.id, user_id)

    return await _change(ctx, user_id, delete, there=False)


async def _change(
    ctx: Context, user_id: int, change: Callable[[AsyncConnection], Awaitable[bool]], *, there: bool
) -> StoredUser:
    """Await the change in a transaction, then take it over here, and tell the others."""
    viewer = ctx.user

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> StoredUser:
        user = await access.visible_user(ctx, connection, user_id)
        if await change(connection):
            given.append(
                await insert_notice(connection, NoticeKind.BLOCK_CHANGED, viewer.id, user_id)
            )
        return user

    async def change_and_tell() -> StoredUser:
        async with ctx.blocks.changing(viewer.id):
            try:
                user = await commit(ctx, work)
            except IntegrityError:  # another process has stored the same
                user = await commit(ctx, work)
            ctx.blocks.put(viewer.id, user_id, there)
            return user

    # To its end, also when the caller goes: what is committed holds.
    changing = asyncio.create_task(change_and_tell())
    _changing.add(changing)
    changing.add_done_callback(_forget)
    return await asyncio.shield(changing)


_changing: set[asyncio.Task[StoredUser]] = set()


def _forget(changing: asyncio.Task[StoredUser]) -> None:
    _changing.discard(changing)
    if not changing.cancelled():
        changing.exception()  # the caller hears of it, if they are there


async def list_blocked_users(ctx: Context) -> Sequence[StoredUser]:
    """Return whom the viewer has blocked, the latest first. Raises Unauthenticated, Unavailable."""
    viewer = ctx.user
    async with ctx.read() as connection:
        ids = await blocks.blocked_ids(connection, viewer.id)
    found = await get_users(ctx, ids)
    return [found[id_] for id_ in ids if id_ in found]


async def load_blocks(database: Database, pairs: BlockedPairs) -> None:
    """Take over all that are stored, at the start. Raises DatabaseUnavailable."""
    after, page = (0, 0), PAGE
    while page == PAGE:
        async with database.read() as connection:
            found = await blocks.page_blocks(connection, after, PAGE)
        for pair in found:
            pairs.put(*pair, True)
        after, page = found[-1] if found else after, len(found)


def doubt_block(pairs: BlockedPairs) -> Callable[[StoredNotice], None]:
    """Return what notices of changed blocks are handed to."""

    def doubt(notice: StoredNotice) -> None:
        if notice.other is not None:
            pairs.doubt(notice.user_id, notice.other)

    return doubt


async def follow_blocks(ctx: Context) -> None:
    """Take over, for ever, what other processes change."""
    failing = False
    while True:
        pair = await ctx.blocks.next_doubtful()
        try:
            async with ctx.blocks.changing(pair[0]), ctx.read() as connection:
                ctx.blocks.put(*pair, await blocks.has_block(connection, *pair))
            failing = False
        except Exception as error:
            # One traceback for an outage, however often it is tried.
            logger.error("Could not read a block; trying again (%r)", error, exc_info=not failing)
            failing = True
            ctx.blocks.doubt(*pair)
            await asyncio.sleep(RETRY_SECONDS)
