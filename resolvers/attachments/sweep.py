"""The removal of uploads that nobody sent, and of files that nothing refers to."""

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import partial

from db import attachments
from db.engines.remains import empty_write_ahead_log
from resolvers.attachments.avatars import sweep_avatars
from resolvers.background import repeat
from resolvers.changes import write_again
from resolvers.context import Context
from resolvers.errors import Unavailable, as_unavailable

logger = logging.getLogger("parley.attachments")

# How often each process looks for uploads that nobody sent, and how many it removes at a time.
SWEEP_SECONDS = 600
SWEEP_BATCH = 100


async def delete_content(ctx: Context, name: str) -> None:
    """Remove a file and its small picture from the store. Raises StoreUnavailable."""
    await ctx.files.delete(name)
    await ctx.files.delete(thumbnail_name(name))


def thumbnail_name(name: str) -> str:
    """Return where the store has the thumbnail of a file."""
    return f"{name}.webp"


async def sweep_uploads(ctx: Context, *, now: datetime | None = None) -> None:
    """Forget uploads that were not sent for a day, and remove files that nothing refers to.

    Raises Unavailable; what is left then is found again.
    """
    before = (now or datetime.now(UTC)) - timedelta(seconds=ctx.settings.unsent_upload_seconds)
    forgotten = SWEEP_BATCH
    while forgotten == SWEEP_BATCH:
        forgotten = await write_again(
            ctx, lambda connection: attachments.forget_unsent(connection, before, SWEEP_BATCH)
        )
    while await _remove_dead_files(ctx, before) == SWEEP_BATCH:
        pass


async def remove_unsent(ctx: Context, dead: Collection[int]) -> None:
    """Remove from the store the files that `forget_unsent_of` has found to be dead."""
    try:
        await remove_files(ctx, dead)
    except Unavailable as error:
        logger.warning("Files of a deleted account are left to the sweep: %r", error.__cause__)


async def remove_files(ctx: Context, ids: Collection[int]) -> None:
    """Remove these files from the store, whatever their age. Raises Unavailable."""
    if ids:
        # The row's time may be that of another process, whose clock is ahead.
        await _remove_dead_files(ctx, datetime.max.replace(tzinfo=UTC), ids)


async def _remove_dead_files(
    ctx: Context, before: datetime, ids: Collection[int] | None = None
) -> int:
    """Remove a batch of files that nothing refers to; return how many. Raises Unavailable."""
    limit = SWEEP_BATCH if ids is None else len(ids)
    dead = await write_again(
        ctx, partial(attachments.claim_dead_files, before=before, limit=limit, ids=ids)
    )
    with as_unavailable():
        for name in dead.values():
            await delete_content(ctx, name)
    if dead:
        await write_again(ctx, partial(attachments.forget_files, ids=[*dead]))
    return len(dead)


async def sweep_regularly(ctx: Context) -> None:
    """Sweep for ever, the first time at once."""

    async def sweep() -> None:
        await sweep_uploads(ctx)
        await sweep_avatars(ctx)
        # A command that deleted an account may not have been able to.
        await empty_write_ahead_log(ctx.db)

    await asyncio.to_thread(ctx.files.close_to_others)
    await repeat(
        sweep,
        every=SWEEP_SECONDS,
        logger=logger,
        failure="Uploads that nobody sent could not be swept",
    )
