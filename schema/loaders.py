"""Loaders: what a page of N things asks for is one query, not N."""

from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from db.models import StoredUser
from resolvers.context import Context
from resolvers.users import get_users, get_users_of_streams


class Loaders:
    """The loaders of one query or mutation, or of all subscriptions together.

    Subscriptions share them, so that what a thousand of them ask for at one event is one query;
    nothing is kept from one event to the next.
    """

    def __init__(self, ctx: Context, *, shared: bool = False) -> None:
        get = get_users_of_streams if shared else get_users

        async def load_users(ids: Sequence[int]) -> list[StoredUser | None]:
            found = await get(ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        self.users: DataLoader[int, StoredUser | None] = DataLoader(load_users, cache=not shared)
