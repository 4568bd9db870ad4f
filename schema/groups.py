"""Groups in GraphQL: begin one, change it, and change who is in it."""

from collections.abc import Sequence
from typing import Annotated

import strawberry
from strawberry import ID, argument

from db.models import MemberRole
from resolvers.conversations import groups
from resolvers.conversations.listing import get_conversation
from resolvers.errors import BadInput
from schema.context import Info
from schema.conversations import MISSING, Conversation
from schema.scalars import known_id

NO_USER = "User not found"
NO_ATTACHMENT = "Attachment not found"
Group = Annotated[ID, argument("The group's id, as a conversation.")]
Picture = Annotated[ID | None, argument("Its picture: an IMAGE that you have uploaded.")]


async def _shown(info: Info, conversation_id: int) -> Conversation:
    return Conversation.of(await get_conversation(info.context.ctx, conversation_id))


def _group_id(info: Info, value: ID) -> int:
    info.context.ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
    return known_id(value, MISSING)


def _user_ids(info: Info, values: Sequence[ID]) -> list[int]:
    most = info.context.ctx.settings.max_group_members
    if len(values) > 2 * most:  # each is looked at; a few may be named twice
        raise BadInput(f"A group has {most} members at most", setting="MAX_GROUP_MEMBERS")
    return [known_id(value, NO_USER) for value in values]


@strawberry.type
class GroupMutations:
    @strawberry.mutation(
        description="Begin a group, which you own. Its members are told. You can add whom you can"
        " write to: nobody whom a block keeps apart from you."
    )
    async def create_group(
        self,
        info: Info,
        title: Annotated[str, argument("Its name: 1 to 100 characters.")],
        member_ids: Annotated[list[ID], argument("Who is in it, beside you.")],
        shows_earlier: Annotated[
            bool | None, argument("Whether who joins later sees what was written before.")
        ] = False,
        avatar_id: Picture = None,
    ) -> Conversation:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the ids
        id_ = await groups.create_group(
            ctx,
            title=title,
            member_ids=_user_ids(info, member_ids),
            shows_earlier=bool(shows_earlier),
            avatar_id=None if avatar_id is None else known_id(avatar_id, NO_ATTACHMENT),
        )
        return await _shown(info, id_)

    @strawberry.mutation(
        description="Change a group: its owners and admins can. What is left out, or null, stays."
    )
    async def update_group(
        self,
        info: Info,
        conversation_id: Group,
        title: Annotated[str | None, argument("Its name: 1 to 100 characters.")] = None,
        avatar_id: Picture = None,
        remove_avatar: Annotated[bool | None, argument("Take its picture away.")] = False,
        shows_earlier: Annotated[
            bool | None,
            argument("Whether who joins from now on sees what was written before."),
        ] = None,
    ) -> Conversation:
        id_ = _group_id(info, conversation_id)
        await groups.update_group(
            info.context.ctx,
            id_,
            title=title,
            avatar_id=None if avatar_id is None else known_id(avatar_id, NO_ATTACHMENT),
            removes_avatar=bool(remove_avatar),
            shows_earlier=shows_earlier,
        )
        return await _shown(info, id_)

    @strawberry.mutation(
        description="Add people to a group: its owners and admins can. Who is in it already stays"
        " as they are."
    )
    async def add_members(
        self,
        info: Info,
        conversation_id: Group,
        user_ids: Annotated[list[ID], argument("Whom to add.")],
    ) -> Conversation:
        id_ = _group_id(info, conversation_id)
        await groups.add_members(info.context.ctx, id_, _user_ids(info, user_ids))
        return await _shown(info, id_)

    @strawberry.mutation(
        description="Remove somebody from a group: an owner can remove admins and members, an"
        " admin members. They keep what they have seen, and see nothing that comes after."
    )
    async def remove_member(
        self,
        info: Info,
        conversation_id: Group,
        user_id: Annotated[ID, argument("Whom to remove.")],
    ) -> Conversation:
        id_ = _group_id(info, conversation_id)
        await groups.remove_member(info.context.ctx, id_, known_id(user_id, "Member not found"))
        return await _shown(info, id_)

    @strawberry.mutation(
        description="Leave a group. It stays in your list, as it was then. When its last owner"
        " leaves, the admin who has been in it longest becomes owner, else the member who has."
    )
    async def leave_group(self, info: Info, conversation_id: Group) -> Conversation:
        id_ = _group_id(info, conversation_id)
        await groups.leave_group(info.context.ctx, id_)
        return await _shown(info, id_)

    @strawberry.mutation(
        description="Give somebody in a group a role: its owners can. There may be several owners;"
        " an owner can only step down by themselves, and not as the last one."
    )
    async def set_role(
        self,
        info: Info,
        conversation_id: Group,
        user_id: Annotated[ID, argument("Whom.")],
        role: Annotated[MemberRole, argument("Their role from now on.")],
    ) -> Conversation:
        id_ = _group_id(info, conversation_id)
        await groups.set_role(info.context.ctx, id_, known_id(user_id, "Member not found"), role)
        return await _shown(info, id_)
