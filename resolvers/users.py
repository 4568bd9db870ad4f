"""People: oneself, the others, and who is online."""

from collections.abc import Collection, Sequence

from db import users
from db.models import StoredUser
from resolvers import access
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, Unauthenticated
from resolvers.fields import clean_search
from resolvers.presence import visible_online_ids

# A page asks for this many ids in one statement at most.
IDS_PER_QUERY = 1000


async def get_me(ctx: Context) -> StoredUser:
    """Return the viewer. Raises Unauthenticated."""
    async with ctx.read() as connection:
        try:
            return await access.visible_user(ctx, connection, ctx.user.id)
        except NotFound as error:
            raise Unauthenticated("Invalid token") from error


async def get_users(ctx: Context, ids: Collection[int]) -> dict[int, StoredUser]:
    """Return those of these users that exist. Raises Unauthenticated."""
    ctx.user  # noqa: B018  # the door: strangers see nobody
    return await get_users_of_streams(ctx, ids)


async def get_users_of_streams(ctx: Context, ids: Collection[int]) -> dict[int, StoredUser]:
    """As `get_users`, for the streams of many viewers at once, who went through their own doors."""
    found: dict[int, StoredUser] = {}
    wanted = [*ids]
    async with ctx.read() as connection:
        for start in range(0, len(wanted), IDS_PER_QUERY):
            found |= await users.find_users(connection, wanted[start : start + IDS_PER_QUERY])
    return found


async def list_users(
    ctx: Context, *, search: str | None, first: int, after: int
) -> tuple[Sequence[StoredUser], bool]:
    """Return up to `first` users past `after`, and whether there are more.

    `search` keeps those whose display name contains it, whatever the case. Raises BadInput,
    RateLimited.
    """
    viewer = ctx.user
    if not 0 <= first <= ctx.settings.max_page_size:
        raise BadInput(f"A page has 0 to {ctx.settings.max_page_size} users")
    if search is not None:
        search = clean_search(search)
    ctx.limits.take_read(viewer.id, search=bool(search))
    async with ctx.limits.reading(viewer.id), ctx.read() as connection:
        found = await users.page_users(connection, search=search, after=after, limit=first + 1)
    return found[:first], len(found) > first


async def list_online_users(ctx: Context, *, first: int | None = None) -> list[StoredUser]:
    """Return everyone online, in order of arrival; with `first`, so many at most.

    Raises Unauthenticated, BadInput, RateLimited.
    """
    viewer = ctx.user
    if first is not None and not 0 <= first <= ctx.settings.max_page_size:
        raise BadInput(f"A page has 0 to {ctx.settings.max_page_size} users")
    ctx.limits.take_read(viewer.id)
    ids = visible_online_ids(ctx)[:first]
    async with ctx.limits.reading(viewer.id):
        found = await get_users(ctx, ids)
    return [found[id_] for id_ in ids if id_ in found]
