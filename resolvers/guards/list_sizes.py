"""How long the lists without pages are for the viewer: a query costs as much."""

from db.of_messages.edits import EDITS_KEPT
from db.search.hits import MAX_PIECES
from resolvers.context import Context

# Each earlier text may be as long as a message: it counts as so many items.
EDIT_WEIGHT = 4


def count_online(ctx: Context) -> int:
    """Return how many users are online; those whom a block hides are counted too."""
    return 0 if ctx.viewer is None else len(ctx.presence.online_ids)


def count_blocked(ctx: Context) -> int:
    """Return how many users the viewer has blocked at most: those who block them count too."""
    return 0 if ctx.viewer is None else len(ctx.blocks.apart_from(ctx.viewer.id))


def most_sessions(ctx: Context) -> int:
    """Return how many sessions a user can have."""
    return ctx.settings.max_sessions_per_user


def most_pieces(ctx: Context) -> int:
    """Return how many pieces an excerpt of a message that was found can have."""
    return MAX_PIECES


def weigh_edits(ctx: Context) -> int:
    """Return what the earlier texts of one message count as."""
    return EDIT_WEIGHT * EDITS_KEPT


def expected_reactions(ctx: Context) -> int:
    """Return how many reactions a message counts as having: few have as many as they may."""
    return max(1, ctx.settings.max_reactions_per_message // 4)
