"""Somebody who registered, and logs in again and again; a connection of theirs."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jwt

from resolvers.connections import enter
from resolvers.context import Context
from resolvers.errors import Unauthenticated
from resolvers.people import auth
from resolvers.people.sessions import LoggedIn
from server.remote import Remote
from tests.support.inbox import Inbox
from tests.support.server import QUICK

PASSWORD = "123456"


class Person:
    """Somebody who registered, and logs in again and again."""

    def __init__(self, ctx: Context, email: str, joined: LoggedIn) -> None:
        self.ctx = ctx
        self.email = email
        self.joined = joined
        self.id = joined.user.id

    @classmethod
    async def register(cls, ctx: Context) -> "Person":
        """Make an account."""
        email = f"{uuid4().hex}@example.com"
        joined = await auth.register_user(
            ctx, email=email, password=PASSWORD, display_name="Somebody"
        )
        return cls(ctx, email, joined)

    async def log_in(self, password: str = PASSWORD, agent: str = "", address: str = "") -> str:
        """Return a token of a session of its own."""
        headers = [(b"user-agent", agent.encode())]
        ctx = self.ctx.called_from(Remote({"client": (address, 1), "headers": headers}))
        return (await auth.log_in(ctx, email=self.email, password=password)).issued.token

    async def enter(self, token: str) -> Context:
        """Return the context of whoever has this token."""
        return self.ctx.as_viewer(await auth.authenticate(self.ctx, token))

    async def connect(self, token: str, line: "Line", ctx: Context | None = None) -> Context:
        """Enter with this token on a socket of its own; return the context of calls on it."""
        ctx = ctx or self.ctx
        return await enter(ctx, ctx.hub.open(line), token)

    def older_token(self, **claims: Any) -> str:
        """Return a token as the older server signed them."""
        return jwt.encode({"id": self.id, **claims}, QUICK["jwt_secret"], algorithm="HS256")

    async def good(self, *tokens: str) -> list[bool]:
        """Which of these tokens are good now."""

        async def is_good(token: str) -> bool:
            try:
                await self.enter(token)
            except Unauthenticated:
                return False
            return True

        return [await is_good(token) for token in tokens]


class Line:
    """The transport of a connection, and what it was told."""

    def __init__(self) -> None:
        self.told: Inbox[tuple[str, Any]] = Inbox()

    def session_ended(self, reason: str) -> None:
        """As Transport."""
        self.told.put(("ended", reason))

    def token_expiring(self, expires_at: float) -> None:
        """As Transport."""
        self.told.put(("expiring", expires_at))

    @property
    def ended(self) -> bool:
        """Whether it was told to close."""
        return any(what == "ended" for what, _ in self.told.items)


def plain(moment: datetime) -> str:
    """Return a moment as both engines take it in SQL."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
