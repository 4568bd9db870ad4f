"""The viewer's own settings, of the whole account."""

from typing import NamedTuple

from resolvers.context import Context
from resolvers.presence import set_invisible


class OwnSettings(NamedTuple):
    """The viewer's settings."""

    invisible: bool


async def get_settings(ctx: Context) -> OwnSettings:
    """Return the viewer's settings. Raises Unauthenticated."""
    return OwnSettings(ctx.user.id in ctx.invisible.ids)


async def update_settings(ctx: Context, *, invisible: bool | None = None) -> OwnSettings:
    """Change the viewer's settings; what is None stays. Return them as they are now.

    Raises Unauthenticated, RateLimited, Unavailable.
    """
    ctx.user  # noqa: B018  # the door
    if invisible is not None:
        await set_invisible(ctx, invisible)
    return await get_settings(ctx)
