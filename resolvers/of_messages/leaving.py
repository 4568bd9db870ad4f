"""Messages as those see them who have left their group."""

from collections.abc import Collection

from db.groups.leaving import Kept as Kept
from db.groups.leaving import find_left
from db.groups.leaving import may_differ as may_differ
from resolvers.context import Context
from resolvers.reads import reading_log


async def find_kept(
    ctx: Context, pairs: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Kept]:
    """Return, by viewer and message, which messages viewers see as they were.

    Raises Unavailable.
    """
    async with reading_log(ctx) as connection:
        return await find_left(connection, {one for one, _ in pairs}, {id_ for _, id_ in pairs})
