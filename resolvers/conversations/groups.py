"""Groups: begin one, change it, and change who is in it."""

import logging
from collections.abc import Collection, Sequence
from functools import partial

from db import attachments
from db.engines.database import DatabaseUnavailable
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Refused
from db.log.changes.groups import (
    AddMembers,
    CreateGroup,
    LastOwner,
    LeaveGroup,
    NotAllowed,
    RemoveMember,
    SetRole,
    TooManyGroups,
    TooManyMembers,
    UnknownGroup,
    UnknownMember,
    UpdateGroup,
)
from db.log.known_groups import KnownGroups
from db.models import MemberRole, MessageKind, StoredAttachment
from events.control import Control
from events.facts import Fact, MembersChanged
from resolvers import access
from resolvers.background import start_retried
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import BadInput, Forbidden, NotFound, ParleyError, Unavailable
from resolvers.guards.validation import clean_title
from resolvers.people.users import IDS_PER_QUERY

logger = logging.getLogger("parley.groups")


async def create_group(
    ctx: Context,
    *,
    title: str,
    member_ids: Sequence[int],
    shows_earlier: bool = False,
    avatar_id: int | None = None,
) -> int:
    """Begin a group that the viewer owns; return its id.

    The picture must be an image that the viewer has uploaded. Raises Unauthenticated, BadInput,
    NotFound for a user who is missing or kept apart, Forbidden where somebody would be in more than
    MAX_GROUPS_PER_USER groups, RateLimited, Unavailable.
    """
    viewer = ctx.user
    title = clean_title(title)
    others = tuple(dict.fromkeys(id_ for id_ in member_ids if id_ != viewer.id))
    most = ctx.settings.max_group_members
    if len(others) >= most:
        raise _too_many(ctx)
    await ctx.limits.count_group(viewer.id, len(others))
    await _check_people(ctx, others)
    await _check_avatar(ctx, avatar_id)
    change = CreateGroup(
        viewer.id,
        title,
        others,
        most,
        shows_earlier=shows_earlier,
        avatar_id=avatar_id,
        most_groups=ctx.settings.max_groups_per_user,
    )
    fact = await _commit(ctx, change)
    assert fact is not None  # noqa: S101  # a group that begins is a change
    assert isinstance(fact.body, MembersChanged)  # noqa: S101  # that is the fact of it
    return fact.body.conversation_id


async def update_group(
    ctx: Context,
    conversation_id: int,
    *,
    title: str | None = None,
    avatar_id: int | None = None,
    removes_avatar: bool = False,
    shows_earlier: bool | None = None,
) -> None:
    """Change a group's title, its picture, or what newcomers see; None leaves it as it is.

    Raises Unauthenticated, BadInput, NotFound, Forbidden for a member, RateLimited, Unavailable.
    """
    viewer = ctx.user
    if avatar_id is not None and removes_avatar:
        raise BadInput("Name an avatarId, or remove the picture: not both")
    title = None if title is None else clean_title(title)
    await ctx.limits.count_group_change(viewer.id)
    await _check_avatar(ctx, avatar_id)
    change = UpdateGroup(
        viewer.id, conversation_id, title, avatar_id, removes_avatar, shows_earlier
    )
    await _commit(ctx, change)


async def add_members(ctx: Context, conversation_id: int, user_ids: Sequence[int]) -> None:
    """Add people to a group; who is in it stays as they are.

    Raises Unauthenticated, BadInput, NotFound for the group, or for a user who is missing or kept
    apart from the viewer, Forbidden for a member, and where somebody would be in more than
    MAX_GROUPS_PER_USER groups, RateLimited, Unavailable.
    """
    viewer = ctx.user
    users = tuple(dict.fromkeys(user_ids))
    most = ctx.settings.max_group_members
    if len(users) > most:
        raise _too_many(ctx)
    if users:
        await ctx.limits.count_additions(viewer.id, len(users))
    await _check_people(ctx, users)
    most_groups = ctx.settings.max_groups_per_user
    await _commit(ctx, AddMembers(viewer.id, conversation_id, users, most, most_groups))


async def remove_member(ctx: Context, conversation_id: int, user_id: int) -> None:
    """Remove somebody of a lower role from a group: nothing that comes after reaches them.

    Raises Unauthenticated, NotFound, Forbidden, RateLimited, Unavailable.
    """
    viewer = ctx.user
    await ctx.limits.count_group_change(viewer.id)
    if user_id == viewer.id:
        raise BadInput("To leave a group yourself, use leaveGroup")
    await _commit(ctx, RemoveMember(viewer.id, conversation_id, user_id))


async def leave_group(ctx: Context, conversation_id: int) -> None:
    """Have the viewer leave a group. The last owner hands it on.

    Raises Unauthenticated, NotFound, RateLimited, Unavailable.
    """
    viewer = ctx.user
    await ctx.limits.count_group_change(viewer.id)
    await _commit(ctx, LeaveGroup(viewer.id, conversation_id))


async def set_role(ctx: Context, conversation_id: int, user_id: int, role: MemberRole) -> None:
    """Have an owner give somebody in the group a role.

    Raises Unauthenticated, BadInput for the only owner, NotFound, Forbidden, RateLimited,
    Unavailable.
    """
    viewer = ctx.user
    await ctx.limits.count_group_change(viewer.id)
    await _commit(ctx, SetRole(viewer.id, conversation_id, user_id, role))


async def get_avatars(ctx: Context, ids: Collection[int]) -> dict[int, StoredAttachment]:
    """Return the pictures of groups that the viewer is in. Raises Unauthenticated, Unavailable."""
    ctx.user  # noqa: B018  # the door; the groups were looked up through theirs
    async with ctx.read() as connection:
        return await attachments.find_attachments(connection, ids)


async def _check_people(ctx: Context, ids: Sequence[int]) -> None:
    """Raise NotFound unless the viewer may know of all these users."""
    async with ctx.read() as connection:
        for start in range(0, len(ids), IDS_PER_QUERY):
            some = ids[start : start + IDS_PER_QUERY]
            if len(await access.visible_users(ctx, connection, some)) < len(some):
                raise NotFound("User not found")


async def _check_avatar(ctx: Context, avatar_id: int | None) -> None:
    if avatar_id is None:
        return
    async with ctx.read() as connection:
        found = (await attachments.find_attachments(connection, [avatar_id])).get(avatar_id)
    if found is None or found.owner_id != ctx.user.id:
        raise NotFound("Attachment not found")
    if found.kind is not MessageKind.IMAGE:
        raise BadInput("The picture of a group must be an image")


async def _commit(ctx: Context, change: Change) -> Fact | None:
    try:
        return await commit(ctx, change)
    except Refused as refusal:
        raise _error(ctx, refusal) from refusal


def _error(ctx: Context, refusal: Refused) -> ParleyError:
    match refusal:
        case UnknownGroup():
            return NotFound("Conversation not found")
        case UnknownUser():
            return NotFound("User not found")
        case UnknownMember():
            return NotFound("Member not found")
        case NotAllowed():
            return Forbidden("Your role in this group does not allow that")
        case LastOwner():
            return BadInput("A group needs an owner: make somebody else one first")
        case TooManyMembers():
            return _too_many(ctx)
        case TooManyGroups(user_id=user_id):
            return _too_many_groups(ctx, user_id)
    raise refusal


def _too_many(ctx: Context) -> ParleyError:
    most = ctx.settings.max_group_members
    return BadInput(f"A group has {most} members at most", setting="MAX_GROUP_MEMBERS")


def _too_many_groups(ctx: Context, user_id: int) -> ParleyError:
    most = ctx.settings.max_groups_per_user
    if user_id == ctx.user.id:
        return Forbidden(f"You are in {most} groups, and in no more at once: leave one first")
    return Forbidden(f"One of these users is in {most} groups already, and may be in no more")


def follow_members(control: Control, known: KnownGroups) -> None:
    """Have the log follow who is in groups: once, at the start."""
    control.listen(MembersChanged, lambda fact, changed: known.apply(changed))
    control.on_loss(known.clear)


def follow_lost_members(ctx: Context) -> None:
    """Have all connections hear the groups that are left when the log has lost facts."""

    def reload() -> None:
        ctx.memberships.clear()
        start_retried(
            partial(_hear_again, ctx),
            name="groups",
            logger=logger,
            failure="The members of groups could not be read again",
        )

    ctx.control.on_loss(reload)


async def _hear_again(ctx: Context) -> None:
    try:
        for user_id in ctx.hub.users_with_groups():
            await ctx.memberships.ready(user_id)
            ctx.hub.set_groups(user_id, ctx.memberships.groups_of(user_id, ctx.feed.position))
    except Unavailable as error:
        raise DatabaseUnavailable from error
