"""Loaders: what a page of N things asks for is one query, not N."""

from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from db.models import StoredUser
from resolvers.context import Context
from resolvers.users import get_users


class Loaders:
    """One operation's loaders. A subscription's keep nothing from one event to the next."""

    def __init__(self, ctx: Context, *, keep: bool) -> None:
        async def load_users(ids: Sequence[int]) -> list[StoredUser | None]:
            found = await get_users(ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        self.users: DataLoader[int, StoredUser | None] = DataLoader(load_users, cache=keep)
