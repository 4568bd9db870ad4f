"""The viewer's own settings, of the whole account."""

from typing import NamedTuple

from db.conversations import marks
from db.log.changes.own_settings import SetReadReceipts
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.people.presence import set_invisible
from resolvers.reads import reading_log


class OwnSettings(NamedTuple):
    """The viewer's settings, and the mark of what their clients were sent."""

    invisible: bool
    read_receipts: bool
    delivered_position: int


async def get_settings(ctx: Context) -> OwnSettings:
    """Return the viewer's settings. Raises Unauthenticated, Unavailable."""
    viewer = ctx.user
    async with reading_log(ctx) as connection:
        delivered, receipts = await marks.read_settings(connection, viewer.id)
    return OwnSettings(viewer.id in ctx.invisible.ids, receipts, delivered)


async def update_settings(
    ctx: Context, *, invisible: bool | None = None, read_receipts: bool | None = None
) -> OwnSettings:
    """Change the viewer's settings; what is None stays. Return them as they are now.

    Raises Unauthenticated, RateLimited, Unavailable.
    """
    viewer = ctx.user
    if invisible is not None:
        await set_invisible(ctx, invisible)
    if read_receipts is not None:
        ctx.limits.count_mark(viewer.id)
        await commit(ctx, SetReadReceipts(viewer.id, read_receipts))
    return await get_settings(ctx)
