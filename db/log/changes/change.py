"""A change: what an operation gives the log, and what comes of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from db.models import StoredMessage
from events.facts import Audience, Body, Processes


class Refused(Exception):
    """The change cannot be made; nothing was stored. Each reason is a class of its own."""


class AccountEnded(Refused):
    """The account of the user who makes the change was disabled or deleted."""


class Made(NamedTuple):
    """The fact that a change makes, before it has its position."""

    actor_id: int | None
    # None where nobody but the caller must hear of the change: then there is no fact.
    body: Body | None
    audience: Audience = Processes()
    # What the caller is given instead of the fact.
    answer: Any = None
    # The message that the fact is about, as the change leaves it.
    record: StoredMessage | None = None
    # Facts that come of the change too, at the positions after its own.
    also: "Sequence[Made]" = ()

    @property
    def facts(self) -> "Sequence[Made]":
        """All facts that the change makes, in order."""
        return self.also if self.body is None else (self, *self.also)


# What comes of one change: a fact or an answer, nothing since it was so already, or a refusal.
Outcome = Made | Refused | None


class Change(msgspec.Struct, frozen=True, gc=False):
    """Plain data, so that it can be sent to whoever writes the log."""

    # Whether it decides who may send: then no message follows it in its batch.
    decides: ClassVar[bool] = False
    # The field with the user who makes it: the account must not have ended. "": `write` looks.
    author: ClassVar[str] = ""

    @property
    def text(self) -> str:
        """What somebody wrote, of any length, that a statement will hold."""
        return ""

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Check and write these changes, in order; return what came of each.

        The transaction has locked the log's head: no other change is being made.
        """
        raise NotImplementedError

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """As `write`, for a kind that stores positions: its first fact stands past this one.

        The position is right for a kind that `decides`: all messages of the batch stand before it.
        """
        return await cls.write(connection, changes, now)
