"""Users in GraphQL: register, log in, the viewer and other users."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import ID, UNSET, argument, field

from db.models import StoredUser
from resolvers.attachments.avatars import avatar_path
from resolvers.guards.validation import find_id
from resolvers.people import auth, presence, users
from resolvers.people.sessions import LoggedIn
from schema.context import Info
from schema.execution.plans import SAME_FOR_ALL
from schema.global_ids import Node
from schema.pagination import DEFAULT_PAGE, RelayConnection, id_at
from schema.scalars import known_id, wire_id

NewPassword = Annotated[
    str,
    argument(
        "`minPasswordLength` characters at least; 72 bytes in UTF-8 at most: bcrypt reads no more."
    ),
]


@strawberry.enum(description="The size of a profile's picture.")
class AvatarSize(Enum):
    SMALL = strawberry.enum_value("SMALL", description="64 × 64 pixels, for lists.")
    LARGE = strawberry.enum_value("LARGE", description="256 × 256 pixels.")


@strawberry.type(description="Someone who can log in.")
class User(Node):
    id: ID = field(description="A decimal string.")
    display_name: str = field(description="The name that others see.")
    status_text: str | None = field(description="What they say of themselves; null without.")
    created_at: datetime = field(description="When the account was made.")
    record: strawberry.Private[StoredUser]
    is_self: strawberry.Private[bool] = False

    @field(description="The e-mail address; null for other users.")
    def email(self, info: Info) -> str | None:
        viewer = info.context.ctx.viewer
        known = self.is_self or (viewer is not None and viewer.id == self.record.id)
        return self.record.email if known else None

    @field(
        description="The address of their picture (WebP, square); null without one. It needs no"
        " token, never expires, and is another one for another picture: keep what it gives.",
        metadata=SAME_FOR_ALL,
    )
    def avatar_url(
        self,
        info: Info,
        size: Annotated[AvatarSize | None, argument("Which size.")] = AvatarSize.SMALL,
    ) -> str | None:
        key = self.record.avatar_key
        if key is None:
            return None
        path = avatar_path(key, (size or AvatarSize.SMALL).name.lower())
        return info.context.ctx.file_urls.public(path)

    @field(
        description="Whether a connection of theirs is open now; false while there is a block"
        " between you, and when the `directory` hides them."
    )
    def online(self, info: Info) -> bool:
        return presence.is_seen_online(info.context.ctx, self.record.id)

    @field(
        description="When their last connection ended; null if never, while they are online, while"
        " there is a block between you, and when the `directory` hides them."
    )
    def last_seen_at(self, info: Info) -> datetime | None:
        return presence.last_seen_at(info.context.ctx, self.record)

    @field(description="Whether you have blocked them. Nobody sees the blocks of others.")
    def blocked(self, info: Info) -> bool:
        ctx = info.context.ctx
        return ctx.viewer is not None and ctx.blocks.has_blocked(ctx.viewer.id, self.record.id)

    @classmethod
    def of(cls, record: StoredUser, *, is_self: bool = False) -> "User":
        """Return the user as GraphQL shows them; `is_self` when they have just logged in."""
        return cls(
            id=wire_id(record.id),
            display_name=record.display_name,
            status_text=record.status_text or None,
            created_at=record.created_at,
            record=record,
            is_self=is_self,
        )


@strawberry.type(description="A login: the user and the token.")
class AuthPayload:
    token: str = field(
        description="Send it as `Authorization: Bearer …`, over WebSocket in `connection_init`."
    )
    expires_at: datetime = field(description="When the token ends.")
    user: User = field(description="The user who logged in.")

    @classmethod
    def of(cls, logged_in: LoggedIn) -> "AuthPayload":
        """Return the answer to a login."""
        return cls(
            token=logged_in.issued.token,
            expires_at=logged_in.issued.expires_at,
            user=User.of(logged_in.user, is_self=True),
        )


@strawberry.type
class UserQueries:
    @field(description="The user who is logged in.")
    async def me(self, info: Info) -> User:
        return User.of(await users.get_me(info.context.ctx))

    @field(
        description="A user; null when there is none with this id, or the `directory` hides them."
    )
    async def user(self, info: Info, id: Annotated[ID, argument("The user's id.")]) -> User | None:
        info.context.ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        id_ = find_id(id)
        if id_ is None or not await users.find_listed(info.context.ctx, [id_]):
            return None
        record = await info.context.loaders.users.load(id_)
        return None if record is None else User.of(record)

    @field(
        description="The user with exactly this e-mail address; null when there is none, and where"
        " the `directory` is OFF."
    )
    async def user_by_email(
        self, info: Info, email: Annotated[str, argument("An e-mail address, in any case.")]
    ) -> User | None:
        record = await users.find_by_email(info.context.ctx, email)
        return None if record is None else User.of(record)

    @field(description="The users whom the `directory` shows you, in the order of registration.")
    async def users(
        self,
        info: Info,
        search: Annotated[
            str | None, argument("Keep those whose display name contains this, in any case.")
        ] = None,
        first: Annotated[int | None, argument("The page's size, 200 at most.")] = DEFAULT_PAGE,
        after: Annotated[str | None, argument("The cursor past which to begin.")] = None,
    ) -> RelayConnection[User]:
        start = 0 if after is None else id_at(after, "after")
        page, more = await users.list_users(
            info.context.ctx,
            search=search,
            first=DEFAULT_PAGE if first is None else first,
            after=start,
        )
        return RelayConnection(
            records=page, show=User.of, has_previous=after is not None, has_next=more
        )

    @field(
        description="The users who are online now and whom you may see, in the order of arrival."
        " Each of them counts in the cost: where many are online, ask for the `first`, or subscribe"
        " to `presence`."
    )
    async def online_users(
        self,
        info: Info,
        first: Annotated[int | None, argument("At most so many, up to 200; null for all.")] = None,
    ) -> list[User]:
        found = await users.list_online_users(info.context.ctx, first=first)
        return [User.of(record) for record in found]


@strawberry.type
class UserMutations:
    @strawberry.mutation(description="Make an account. A taken e-mail is a CONFLICT.")
    async def register(
        self,
        info: Info,
        email: Annotated[str, argument("An e-mail address; its case does not matter.")],
        password: NewPassword,
        display_name: Annotated[str, argument("The name for others, 1 to 100 characters.")],
    ) -> AuthPayload:
        return AuthPayload.of(
            await auth.register_user(
                info.context.ctx, email=email, password=password, display_name=display_name
            )
        )

    @strawberry.mutation(
        description="Log in. A wrong password and an unknown e-mail give the same answer."
    )
    async def login(
        self,
        info: Info,
        email: Annotated[str, argument("The account's e-mail address.")],
        password: Annotated[str, argument("The account's password.")],
    ) -> AuthPayload:
        return AuthPayload.of(await auth.log_in(info.context.ctx, email=email, password=password))

    @strawberry.mutation(
        description="Change what others see of you: only what is given. Those who may know you hear"
        " of it by `events`."
    )
    async def update_profile(
        self,
        info: Info,
        display_name: Annotated[
            str | None, argument("The name, 1 to 100 characters; null leaves it.")
        ] = None,
        status_text: Annotated[
            str | None, argument('A line of 140 characters at most; null or "" clears it.')
        ] = UNSET,
        avatar_id: Annotated[
            ID | None,
            argument("An image that you have uploaded; null takes the picture away."),
        ] = UNSET,
    ) -> User:
        id_ = avatar_id or None
        record = await users.update_profile(
            info.context.ctx,
            display_name=display_name,
            status_text=None if status_text is UNSET else status_text or "",
            avatar_id=None if id_ is None else known_id(id_, "Attachment not found"),
            removes_avatar=avatar_id is not UNSET and id_ is None,
        )
        return User.of(record)
