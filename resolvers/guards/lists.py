"""How many there are in the lists that have no pages, for whoever asks: what a query costs."""

from resolvers.context import Context


def count_online(ctx: Context) -> int:
    """Return how many are online, nearly: those whom a block hides are counted too."""
    return 0 if ctx.viewer is None else len(ctx.presence.online_ids)


def count_blocked(ctx: Context) -> int:
    """Return whom the viewer has blocked, or has been blocked by, at most."""
    return 0 if ctx.viewer is None else len(ctx.blocks.apart_from(ctx.viewer.id))


def most_sessions(ctx: Context) -> int:
    """Return how many sessions a user can have."""
    return ctx.settings.max_sessions_per_user
