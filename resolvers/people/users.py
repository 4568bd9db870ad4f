"""People: oneself, the others, and who is online."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.blocks import UnknownUser
from db.log.changes.profiles import ChangeProfile, UnknownAvatar
from db.models import StoredUser
from db.people import users
from resolvers import access
from resolvers.attachments.avatars import remove_unused, reserved_avatar
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, Unauthenticated, Unavailable
from resolvers.guards.validation import (
    check_page_size,
    clean_display_name,
    clean_email,
    clean_search,
    clean_status_text,
)
from resolvers.people.presence import visible_online_ids
from resolvers.reads import know_contacts, reading_log

# The most ids in one statement.
IDS_PER_QUERY = 1000


async def get_me(ctx: Context) -> StoredUser:
    """Return the viewer. Raises Unauthenticated."""
    async with ctx.read() as connection:
        try:
            return await access.visible_user(ctx, connection, ctx.user.id)
        except NotFound as error:
            raise Unauthenticated("Invalid token") from error


async def update_profile(
    ctx: Context,
    *,
    display_name: str | None = None,
    status_text: str | None = None,
    avatar_id: int | None = None,
    removes_avatar: bool = False,
) -> StoredUser:
    """Change what others see of the viewer: only what is given. Return the viewer.

    `avatar_id` is an image that the viewer has uploaded. An empty `status_text` clears it. Raises
    Unauthenticated, BadInput, NotFound, PayloadTooLarge, RateLimited, Unavailable.
    """
    viewer = ctx.user
    if avatar_id is not None and removes_avatar:
        raise BadInput("A picture is either set or taken away")
    change = ChangeProfile(
        viewer.id,
        None if display_name is None else clean_display_name(display_name),
        None if status_text is None else clean_status_text(status_text),
        "" if removes_avatar else None,
    )
    await ctx.limits.count_profile_change(viewer.id)
    try:
        async with AsyncExitStack() as stack:
            if avatar_id is not None:
                key = await stack.enter_async_context(reserved_avatar(ctx, avatar_id))
                change = replace(change, avatar_key=key)
            await commit(ctx, change)
    except UnknownUser as error:
        raise Unauthenticated("Invalid token") from error
    except UnknownAvatar as error:  # it was swept: the update took a day
        raise Unavailable from error
    if avatar_id is not None or removes_avatar:
        await remove_unused(ctx, owner_id=viewer.id)
    async with reading_log(ctx) as connection:
        return await access.visible_user(ctx, connection, viewer.id)


async def get_users(ctx: Context, ids: Collection[int]) -> dict[int, StoredUser]:
    """Return those of these users that exist: the viewer may know them from messages.

    Raises Unauthenticated.
    """
    ctx.user  # noqa: B018  # the door: strangers see nobody
    return await get_users_of_streams(ctx, ids)


async def get_users_of_streams(ctx: Context, ids: Collection[int]) -> dict[int, StoredUser]:
    """As `get_users`, for subscriptions of many viewers, each of whom was checked before."""
    found: dict[int, StoredUser] = {}
    wanted = [*ids]
    async with ctx.read() as connection:
        for start in range(0, len(wanted), IDS_PER_QUERY):
            found |= await users.find_users(connection, wanted[start : start + IDS_PER_QUERY])
    return found


async def find_listed(ctx: Context, ids: Collection[int]) -> set[int]:
    """Return those of these ids that the directory shows the viewer, if they are users.

    Raises Unauthenticated, Unavailable.
    """
    viewer = ctx.user
    await know_contacts(ctx, viewer.id)
    return {id_ for id_ in ids if ctx.directory.includes(viewer.id, id_)}


async def list_users(
    ctx: Context, *, search: str | None, first: int, after: int
) -> tuple[Sequence[StoredUser], bool]:
    """Return up to `first` users past `after`, and whether there are more.

    `search` keeps those whose display name contains it, whatever the case. Raises BadInput,
    RateLimited.
    """
    viewer = ctx.user
    check_page_size(first, "users", most=ctx.settings.max_page_size)
    search = None if search is None else clean_search(search)
    if search:
        ctx.limits.count_search(viewer.id)
    else:
        ctx.limits.count_read(viewer.id)
    await know_contacts(ctx, viewer.id)
    async with ctx.limits.reading(viewer.id), ctx.read() as connection:
        found = await _page(ctx, connection, search=search, after=after, limit=first + 1)
    return found[:first], len(found) > first


async def _page(
    ctx: Context, connection: AsyncConnection, *, search: str | None, after: int, limit: int
) -> Sequence[StoredUser]:
    """Return a page of the users that the directory shows."""
    circle = ctx.directory.circle(ctx.user.id)
    if circle is None:
        return await users.page_users(connection, search=search, after=after, limit=limit)
    ids = sorted(id_ for id_ in {ctx.user.id, *circle} if id_ > after)
    found: list[StoredUser] = []
    for start in range(0, len(ids), IDS_PER_QUERY):
        found += await users.page_users(
            connection,
            search=search,
            after=after,
            limit=limit - len(found),
            among=ids[start : start + IDS_PER_QUERY],
        )
        if len(found) >= limit:
            break
    return found


async def find_by_email(ctx: Context, email: str) -> StoredUser | None:
    """Return the user with exactly this e-mail address; None for none, and where DIRECTORY=off.

    Raises Unauthenticated, BadInput for what is no address, RateLimited.
    """
    viewer = ctx.user
    email = clean_email(email)
    await ctx.limits.count_email_lookup(viewer.id)
    if ctx.directory.shows == "off":
        return None
    async with ctx.read() as connection:
        return await users.find_by_email(connection, email)


async def list_online_users(ctx: Context, *, first: int | None = None) -> list[StoredUser]:
    """Return the users who are online, in order of arrival; with `first`, so many at most.

    Raises Unauthenticated, BadInput, RateLimited.
    """
    viewer = ctx.user
    if first is not None:
        check_page_size(first, "users", most=ctx.settings.max_page_size)
    ctx.limits.count_read(viewer.id)
    await know_contacts(ctx, viewer.id)
    ids = visible_online_ids(ctx)[:first]
    async with ctx.limits.reading(viewer.id):
        found = await get_users(ctx, ids)
    return [found[id_] for id_ in ids if id_ in found]
