"""Blocks: keep somebody away, and let them come back."""

from collections.abc import Sequence
from functools import partial

from db.engines.database import Database
from db.log.changes.blocks import ChangeBlock, TooManyBlocks, UnknownUser
from db.models import StoredUser
from db.people import blocks
from events.control import Control
from events.facts import BlockChanged, Fact
from resolvers import access
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.people.kept import load_all, reload_on_loss
from resolvers.people.users import get_users


async def block_user(ctx: Context, user_id: int) -> StoredUser:
    """Keep the viewer and a user apart; return the user. Blocking again changes nothing.

    Every process refuses the messages between them that come later in the log. Raises
    Unauthenticated, BadInput for oneself, NotFound, Forbidden beyond MAX_BLOCKED_USERS,
    RateLimited, Unavailable.
    """
    if user_id == ctx.user.id:
        raise BadInput("You cannot block yourself")
    return await _change(ctx, user_id, blocked=True)


async def unblock_user(ctx: Context, user_id: int) -> StoredUser:
    """End the viewer's block of a user; return the user. Without one this changes nothing.

    Raises Unauthenticated, NotFound, RateLimited, Unavailable.
    """
    return await _change(ctx, user_id, blocked=False)


async def _change(ctx: Context, user_id: int, *, blocked: bool) -> StoredUser:
    viewer = ctx.user
    async with ctx.read() as connection:
        user = await access.visible_user(ctx, connection, user_id)
    most = ctx.settings.max_blocked_users
    try:
        await commit(ctx, ChangeBlock(viewer.id, user_id, blocked, most))
    except UnknownUser as error:
        raise NotFound("User not found") from error
    except TooManyBlocks as error:
        raise Forbidden(f"You have blocked {error.count} users; unblock somebody first") from error
    return user


async def list_blocked_users(ctx: Context) -> Sequence[StoredUser]:
    """Return whom the viewer has blocked, the latest first. Raises Unauthenticated, Unavailable."""
    viewer = ctx.user
    async with ctx.read() as connection:
        ids = await blocks.blocked_ids(connection, viewer.id)
    found = await get_users(ctx, ids)
    return [found[id_] for id_ in ids if id_ in found]


async def load_blocks(database: Database, pairs: BlockedPairs) -> None:
    """Load all pairs that are stored. Raises DatabaseUnavailable."""
    await load_all(database, pairs, blocks.page_blocks, before_all=(0, 0))


def follow_blocks(control: Control, database: Database, pairs: BlockedPairs) -> None:
    """Have the pairs follow the log: once, at the start."""

    def apply(fact: Fact, changed: BlockChanged) -> None:
        if fact.actor_id is not None:
            pairs.put((fact.actor_id, changed.user_id), changed.blocked)

    control.listen(BlockChanged, apply)
    load = partial(load_blocks, database, pairs)
    reload_on_loss(control, load, name="blocks", what="The blocks")
