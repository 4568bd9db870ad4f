"""Loaders: what a page of N things asks for is one query, not N."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from strawberry.dataloader import DataLoader

from db.models import (
    ListedConversation,
    StoredAttachment,
    StoredMember,
    StoredMessage,
    StoredUser,
)
from resolvers.context import Context
from resolvers.conversations import listing
from resolvers.conversations.groups import get_avatars
from resolvers.conversations.listing import OthersMarks
from resolvers.messages import Page, get_messages
from resolvers.of_messages.edits import Edit, get_edits
from resolvers.of_messages.leaving import Kept, find_kept
from resolvers.of_messages.reactions import Key, Reactions, find_own, get_reactions
from resolvers.of_messages.replies import get_replied, get_replied_of_streams
from resolvers.people.settings import OwnSettings, get_settings
from resolvers.people.users import get_users, get_users_of_streams
from schema.pagination import PageRequest

K = TypeVar("K")
T = TypeVar("T")


class SharedLoader(DataLoader[K, T]):
    """A loader of all subscriptions: one that ends stops no other's load.

    Strawberry's cancels a batch that nobody waits for any more. Where that happened before the
    batch had begun, the loader added every later load to it, and none of them ever ended.
    """

    def __init__(self, load_fn: Any) -> None:
        super().__init__(load_fn, cache=False)

    def load(self, key: K) -> Awaitable[T]:
        """Return the awaited value, whose cancellation does not reach the batch."""
        return asyncio.shield(super().load(key))


class Loaders(msgspec.Struct, dict=True):
    """The loaders of one query or mutation, or of all subscriptions together.

    Subscriptions share them, so that what a thousand of them ask for at one event is one query;
    nothing is kept from one event to the next.
    """

    # A struct, since each mutation makes one: an ordinary class takes four times as long.
    ctx: Context
    shared: bool = False
    presence: Any = None  # what schema/people/presence.py keeps for all subscriptions
    typing: Any = None  # what schema/typing.py keeps

    @cached_property
    def users(self) -> DataLoader[int, StoredUser | None]:
        """Loads users by their ids; None for those that do not exist."""
        get = get_users_of_streams if self.shared else get_users

        async def load_users(ids: Sequence[int]) -> list[StoredUser | None]:
            found = await get(self.ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        return self._for_streams(load_users)

    def _for_streams(
        self, load: Callable[[Any], Coroutine[Any, Any, Sequence[T | BaseException]]]
    ) -> DataLoader[Any, T]:
        return SharedLoader(load) if self.shared else DataLoader(load)

    # What follows is the viewer's: a subscription has loaders of its own for it (`own_loaders`).

    @cached_property
    def conversations(self) -> DataLoader[int, ListedConversation | None]:
        """Loads conversations by their ids; None for those that the viewer is not in."""

        async def load(ids: Sequence[int]) -> list[ListedConversation | None]:
            found = await listing.find_conversations(self.ctx, {*ids})
            return [found.get(id_) for id_ in ids]

        return DataLoader(load)

    @cached_property
    def messages(self) -> DataLoader[int, StoredMessage | None]:
        """Loads messages by their ids; None for those that the viewer may not see."""

        async def load(ids: Sequence[int]) -> list[StoredMessage | None]:
            found = {record.id: record for record in await get_messages(self.ctx, {*ids})}
            return [found.get(id_) for id_ in ids]

        return DataLoader(load)

    @cached_property
    def unread(self) -> DataLoader[ListedConversation, int]:
        """Counts the unread messages of conversations."""

        async def load(listed: Sequence[ListedConversation]) -> list[int]:
            counts = await listing.count_unread(self.ctx, listed)
            return [counts[each.id] for each in listed]

        return DataLoader(load)

    @cached_property
    def message_pages(self) -> DataLoader[tuple[ListedConversation, PageRequest], Page]:
        """Loads the same page of each of several conversations."""

        async def load(keys: Sequence[tuple[ListedConversation, PageRequest]]) -> list[Page]:
            pages: dict[tuple[int, PageRequest], Page] = {}
            for asked in {asked for _, asked in keys}:
                listed = [each for each, wanted in keys if wanted == asked]
                found = await listing.list_messages_of(self.ctx, listed, **asked._asdict())
                pages |= {(id_, asked): page for id_, page in found.items()}
            return [pages[listed.id, asked] for listed, asked in keys]

        return DataLoader(load)

    @cached_property
    def members(self) -> DataLoader[tuple[ListedConversation, int, int], Sequence[StoredMember]]:
        """Loads members of conversations past a user's id: one more than were asked for."""

        async def load(
            keys: Sequence[tuple[ListedConversation, int, int]],
        ) -> list[Sequence[StoredMember]]:
            found: dict[tuple[int, int, int], Sequence[StoredMember]] = {}
            for after, limit in {key[1:] for key in keys}:
                listed = [key[0] for key in keys if key[1:] == (after, limit)]
                pages = await listing.list_members_of(self.ctx, listed, after=after, limit=limit)
                found |= {(id_, after, limit): page for id_, page in pages.items()}
            return [found[listed.id, after, limit] for listed, after, limit in keys]

        return DataLoader(load)

    @cached_property
    def avatars(self) -> DataLoader[int, StoredAttachment | None]:
        """Loads the pictures of groups that the viewer is in."""

        async def load(ids: Sequence[int]) -> list[StoredAttachment | None]:
            found = await get_avatars(self.ctx, {*ids})
            return [found.get(id_) for id_ in ids]

        return DataLoader(load)

    @cached_property
    def settings(self) -> DataLoader[None, OwnSettings]:
        """Loads the viewer's own settings and marks, once."""

        async def load(keys: Sequence[None]) -> list[OwnSettings]:
            return [await get_settings(self.ctx)] * len(keys)

        return DataLoader(load)

    @cached_property
    def replied(self) -> DataLoader[int, StoredMessage | None]:
        """Loads messages that others reply to; None for those that the viewer may not see.

        Subscriptions load them for many viewers: each is asked about with `may_see`.
        """
        get = get_replied_of_streams if self.shared else get_replied

        async def load_replied(ids: Sequence[int]) -> list[StoredMessage | None]:
            found = await get(self.ctx, set(ids))
            return [found.get(id_) for id_ in ids]

        return self._for_streams(load_replied)

    @cached_property
    def kept(self) -> DataLoader[tuple[int, int], Kept | None]:
        """Loads messages as they were when their viewer left their group, by viewer and id.

        None for those that the viewer sees as they are.
        """

        async def load_kept(asked: Sequence[tuple[int, int]]) -> list[Kept | None]:
            found = await find_kept(self.ctx, {*asked})
            return [found.get(pair) for pair in asked]

        return self._for_streams(load_kept)

    @cached_property
    def reactions(self) -> DataLoader[tuple[int, int], Sequence[Reactions]]:
        """Loads the reactions to messages, by their viewer (0 outside of groups) and their id."""

        async def load_reactions(asked: Sequence[tuple[int, int]]) -> list[Sequence[Reactions]]:
            found = await get_reactions(self.ctx, {*asked})
            return [found[pair] for pair in asked]

        return self._for_streams(load_reactions)

    @cached_property
    def own_reactions(self) -> DataLoader[Key, bool]:
        """Loads whether there is a reaction, by the message, the user and the emoji."""

        async def load_own(asked: Sequence[Key]) -> list[bool]:
            found = await find_own(self.ctx, {key[:2] for key in asked})
            return [key in found for key in asked]

        return self._for_streams(load_own)

    @cached_property
    def edits(self) -> DataLoader[tuple[int, int], Sequence[Edit]]:
        """Loads what messages said before, by their viewer and id: for their senders alone."""

        async def load_edits(asked: Sequence[tuple[int, int]]) -> list[Sequence[Edit]]:
            found = await get_edits(self.ctx, {*asked})
            return [found.get(pair, ()) for pair in asked]

        return self._for_streams(load_edits)

    @cached_property
    def marks(self) -> DataLoader[tuple[ListedConversation, int, int], Sequence[OthersMarks]]:
        """Loads the marks of the members that `members` loads for the same key."""

        async def load(
            keys: Sequence[tuple[ListedConversation, int, int]],
        ) -> Sequence[Sequence[OthersMarks]]:
            members = await self.members.load_many([*keys])
            pages = [(key[0], page) for key, page in zip(keys, members, strict=True)]
            receipts = (await self.settings.load(None)).read_receipts
            return await listing.list_marks(self.ctx, pages, receipts=receipts)

        return DataLoader(load)

    @cached_property
    def delivered(self) -> DataLoader[ListedConversation, int]:
        """Loads the last message of each conversation that the viewer's clients were sent."""

        async def load(listed: Sequence[ListedConversation]) -> list[int]:
            position = (await self.settings.load(None)).delivered_position
            return await listing.list_delivered(self.ctx, listed, position)

        return DataLoader(load)
