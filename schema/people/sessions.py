"""Sessions in GraphQL: see them, renew one, end them; a new password; the end of an account."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import ID, argument, field

from db.models import StoredSession
from resolvers.guards.validation import find_id
from resolvers.people import accounts, sessions
from schema.context import Info
from schema.global_ids import Node
from schema.people.users import AuthPayload, NewPassword
from schema.scalars import wire_id


@strawberry.type(description="A login of yours that has not ended: a browser, a phone.")
class Session(Node):
    id: ID = field(description="A decimal string, for `revokeSession`.")
    created_at: datetime = field(description="When it was logged in.")
    last_seen_at: datetime = field(description="When its last request came, within a minute.")
    expires_at: datetime = field(description="When it ends, unless it is renewed.")
    client: str = field(description="The `User-Agent` of its login; may be empty.")
    address: str = field(description="The address from which it logged in.")
    current: bool = field(description="Whether this request comes from it.")

    @classmethod
    def of(cls, record: StoredSession, *, current: bool) -> "Session":
        """Return the session as GraphQL shows it."""
        return cls(
            id=wire_id(record.id),
            created_at=record.created_at,
            last_seen_at=record.last_seen_at,
            expires_at=record.expires_at,
            client=record.agent,
            address=record.address,
            current=current,
        )


@strawberry.type
class SessionQueries:
    @field(description="Your sessions, the latest first; there are 100 at most.")
    async def sessions(self, info: Info) -> list[Session]:
        ctx = info.context.ctx
        current = ctx.user.session
        return [
            Session.of(record, current=record.id == current)
            for record in await sessions.list_sessions(ctx)
        ]


@strawberry.type
class SessionMutations:
    @strawberry.mutation(
        description="End this session: its tokens are refused from now on, and its connections are"
        " closed with 4401. A token of the older server names no session: all such tokens end."
    )
    async def logout(self, info: Info) -> bool:
        await sessions.log_out(info.context.ctx)
        return True

    @strawberry.mutation(description="End all your sessions, and all tokens of the older server.")
    async def logout_everywhere(self, info: Info) -> bool:
        await sessions.log_out_everywhere(info.context.ctx)
        return True

    @strawberry.mutation(
        description="End one of your sessions. Another user's session is NOT_FOUND."
    )
    async def revoke_session(
        self, info: Info, id: Annotated[ID, argument("The session's id.")]
    ) -> bool:
        await sessions.revoke_session(info.context.ctx, find_id(id))
        return True

    @strawberry.mutation(
        description="A fresh token of this session, whose open connections go on until it expires."
        " After `maxSessionAgeSeconds` a session cannot be renewed: UNAUTHENTICATED, log in again."
    )
    async def renew_token(self, info: Info) -> AuthPayload:
        return AuthPayload.of(await sessions.renew_token(info.context.ctx))

    @strawberry.mutation(
        description="Replace the password. All sessions end, and all tokens of the older server:"
        " their connections are closed with 4401. The answer is the token of a new session, in"
        " which this connection goes on."
    )
    async def change_password(
        self,
        info: Info,
        current_password: Annotated[str, argument("The present one: a token alone is not enough.")],
        new_password: NewPassword,
    ) -> AuthPayload:
        ctx = info.context.ctx
        return AuthPayload.of(
            await sessions.change_password(ctx, current=current_password, new=new_password)
        )

    @strawberry.mutation(
        description='Delete your account. Its messages stay, from a "Deleted user". Its e-mail is'
        " free again."
    )
    async def delete_account(
        self,
        info: Info,
        password: Annotated[str, argument("The password: a token alone is not enough.")],
    ) -> bool:
        await accounts.delete_own_account(info.context.ctx, password)
        return True
