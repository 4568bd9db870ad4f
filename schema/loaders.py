"""Loaders: the users of a page of N messages are one query, not N."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from strawberry.dataloader import DataLoader

from db.models import StoredUser
from resolvers.context import Context
from resolvers.users import get_users, get_users_of_streams


class Loaders:
    """The loaders of one query or mutation, or of all subscriptions together.

    Subscriptions share them: what a thousand subscriptions ask for at one event is one query.
    Nothing is kept from one event to the next.
    """

    def __init__(self, ctx: Context, *, shared: bool = False) -> None:
        self._ctx = ctx
        self._shared = shared
        self.presence: Any = None  # the PresenceEvents of all subscriptions (schema/presence.py)

    @cached_property
    def users(self) -> DataLoader[int, StoredUser | None]:
        """Loads users by their ids; None for those that do not exist."""
        get = get_users_of_streams if self._shared else get_users

        async def load_users(ids: Sequence[int]) -> list[StoredUser | None]:
            found = await get(self._ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        return DataLoader(load_users, cache=not self._shared)
