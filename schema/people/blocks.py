"""Blocks in GraphQL: keep somebody away, and let them come back."""

from typing import Annotated

import strawberry
from strawberry import ID, argument, field

from resolvers.people import blocks
from schema.context import Info
from schema.people.users import User
from schema.scalars import known_id


@strawberry.type
class BlockQueries:
    @field(description="Your blocks, the latest first; MAX_BLOCKED_USERS (1000) at most.")
    async def blocked_users(self, info: Info) -> list[User]:
        return [User.of(record) for record in await blocks.list_blocked_users(info.context.ctx)]


@strawberry.type
class BlockMutations:
    @strawberry.mutation(
        description="Keep a user away: until `unblockUser`, neither of you can write to the other,"
        " see whether the other is online, or see the other's broadcasts. The user is not told."
        " Messages from before the block stay. Blocking again changes nothing."
    )
    async def block_user(self, info: Info, id: Annotated[ID, argument("The user's id.")]) -> User:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        return User.of(await blocks.block_user(ctx, known_id(id, "User not found")))

    @strawberry.mutation(
        description="End your block of a user; a block of theirs is theirs to end. Without a block"
        " this changes nothing."
    )
    async def unblock_user(self, info: Info, id: Annotated[ID, argument("The user's id.")]) -> User:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        return User.of(await blocks.unblock_user(ctx, known_id(id, "User not found")))
