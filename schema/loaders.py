"""Loaders: what a page of N things asks for is one query, not N."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
from strawberry.dataloader import DataLoader

from db.models import StoredMessage, StoredUser
from resolvers.context import Context
from resolvers.edits import Edit, get_edits
from resolvers.replies import get_replied, get_replied_of_streams
from resolvers.users import get_users, get_users_of_streams


class Loaders(msgspec.Struct, dict=True):
    """The loaders of one query or mutation, or of all subscriptions together.

    Subscriptions share them, so that what a thousand of them ask for at one event is one query;
    nothing is kept from one event to the next.
    """

    # A struct, since each mutation makes one: an ordinary class takes four times as long.
    ctx: Context
    shared: bool = False
    presence: Any = None  # what schema/presence.py keeps for all subscriptions
    typing: Any = None  # what schema/typing.py keeps

    @cached_property
    def users(self) -> DataLoader[int, StoredUser | None]:
        """Loads users by their ids; None for those that do not exist."""
        get = get_users_of_streams if self.shared else get_users

        async def load_users(ids: Sequence[int]) -> list[StoredUser | None]:
            found = await get(self.ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        return DataLoader(load_users, cache=not self.shared)

    @cached_property
    def replied(self) -> DataLoader[int, StoredMessage | None]:
        """Loads messages that others reply to; None for those that the viewer may not see.

        Subscriptions load them for many viewers: each is asked about with `may_see`.
        """
        get = get_replied_of_streams if self.shared else get_replied

        async def load_replied(ids: Sequence[int]) -> list[StoredMessage | None]:
            found = await get(self.ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        return DataLoader(load_replied, cache=not self.shared)

    @cached_property
    def edits(self) -> DataLoader[tuple[int, int], Sequence[Edit]]:
        """Loads what messages said before, by their viewer and id: for their senders alone."""

        async def load_edits(asked: Sequence[tuple[int, int]]) -> list[Sequence[Edit]]:
            found = await get_edits(self.ctx, {*asked})
            return [found.get(pair, ()) for pair in asked]

        return DataLoader(load_edits, cache=not self.shared)
