"""Users react to messages with emoji, and take that back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.groups.leaving import keep_for_leavers
from db.log.changes.change import Made, Outcome, Refused
from db.log.changes.of_message import IsDeleted, OfMessage, Standing, Unreachable, audience_of
from db.models import StoredMessage
from db.of_messages import reactions
from db.of_messages.reactions import FIRST_USERS, Key, Reactions
from events.facts import ReactionChanged


class TooManyEmoji(Refused):
    """Users have reacted to the message with `count` different emoji: no more are allowed."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class ChangeReaction(OfMessage, frozen=True, gc=False):
    """Adds a reaction of the user's to a message, or with `added=False` removes it.

    No message has reactions with more than `most` different emoji.
    """

    emoji: str
    added: bool
    most: int = 0

    @property
    def key(self) -> Key:
        """The message, the user and the emoji: each user reacts once with each."""
        return self.message_id, self.user_id, self.emoji

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Answers with the message. Refuses with TooManyEmoji and reasons of `of_message`.

        What is so already makes no fact.
        """
        standing = await Standing.of(connection, changes)
        state = await _State.of(connection, standing, changes)
        found = dict(standing.originals)
        outcomes = [change._outcome(standing, state) for change in changes]
        await keep_for_leavers(connection, [found[id_].message for id_ in state.changed])
        await state.write(connection, now)
        return outcomes

    def _outcome(self, standing: Standing, state: "_State") -> Outcome:
        original = standing.find(self)
        if isinstance(original, Refused):
            return original
        message = original.message
        reaches = standing.reaches(message, self.user_id)
        if message.is_of_group and not reaches:  # also without a change: it shows what is now
            return Unreachable()
        if self.added == (self.key in state.there):
            return Made(self.user_id, None, answer=message)
        if message.deleted_at is not None:
            return IsDeleted()
        if not reaches:
            return Unreachable()
        if self.added and (refusal := state.refusal_of_another(self)) is not None:
            return refusal
        (state.add if self.added else state.remove)(self.key)
        if not message.reacted:
            message = replace(message, reacted=True)
            state.reacted.add(message.id)
            standing.originals[message.id] = original._replace(message=message)
        return self._made(message)

    def _made(self, message: StoredMessage) -> Made:
        body = ReactionChanged(
            message.id, message.sender_id, message.conversation_id, self.emoji, self.added
        )
        return Made(self.user_id, body, audience_of(message), message, message)


class _State:
    """The reactions to the messages of a batch: as they were, and as they come to be."""

    def __init__(self) -> None:
        self.there: set[Key] = set()  # those of the users of the batch
        self.reacted: set[int] = set()  # the messages that had none so far
        self._before: set[Key] = set()
        self._counts: dict[int, dict[str, Reactions]] = {}
        self._changed: dict[tuple[int, str], None] = {}

    @classmethod
    async def of(
        cls, connection: AsyncConnection, standing: Standing, changes: Sequence[ChangeReaction]
    ) -> "_State":
        """Read the reactions to the messages that these changes name, if they have any."""
        state = cls()
        reacted = {id_ for id_, o in standing.originals.items() if o.message.reacted}
        pairs = {(c.message_id, c.user_id) for c in changes if c.message_id in reacted}
        state._before = await reactions.reactions_of(connection, pairs)
        state.there = {*state._before}
        for message_id, found in (await reactions.read_reactions(connection, reacted)).items():
            state._counts[message_id] = {each.emoji: each for each in found}
        return state

    @property
    def changed(self) -> set[int]:
        """The messages whose reactions change."""
        return {message_id for message_id, _ in self._changed}

    def refusal_of_another(self, change: ChangeReaction) -> TooManyEmoji | None:
        """Return why the message may have no reaction with this emoji, if it may not."""
        counts = self._counts.get(change.message_id, {})
        full = change.emoji not in counts and len(counts) >= change.most
        return TooManyEmoji(len(counts)) if full else None

    def add(self, key: Key) -> None:
        """Add a reaction that is not there."""
        message_id, user_id, emoji = key
        self.there.add(key)
        self._changed[message_id, emoji] = None
        counts = self._counts.setdefault(message_id, {})
        last = max((each.number for each in counts.values()), default=0)
        known = counts.get(emoji) or Reactions(emoji, last + 1, 0, ())
        first = known.first_users
        if known.count == len(first) < FIRST_USERS:
            first = (*first, user_id)
        counts[emoji] = replace(known, count=known.count + 1, first_users=first)

    def remove(self, key: Key) -> None:
        """Remove a reaction that is there."""
        message_id, user_id, emoji = key
        self.there.discard(key)
        self._changed[message_id, emoji] = None
        counts = self._counts[message_id]
        known = counts[emoji]
        if known.count == 1:
            del counts[emoji]
            return
        first = tuple(other for other in known.first_users if other != user_id)
        counts[emoji] = replace(known, count=known.count - 1, first_users=first)

    async def write(self, connection: AsyncConnection, now: datetime) -> None:
        """Store what has changed."""
        if not self._changed:
            return
        new, gone = self.there - self._before, self._before - self.there
        await reactions.write_reactions(connection, new, gone, now)
        counts: list[tuple[int, Reactions]] = []
        gone_counts: list[tuple[int, str]] = []
        for message_id, emoji in self._changed:
            found = self._counts[message_id].get(emoji)
            if found is None:
                gone_counts.append((message_id, emoji))
                continue
            if len(found.first_users) < min(found.count, FIRST_USERS):  # one of the first has gone
                first = await reactions.first_users(connection, message_id, emoji)
                found = replace(found, first_users=first)
            counts.append((message_id, found))
        await reactions.write_counts(connection, counts, gone_counts)
        await reactions.mark_reacted(connection, self.reacted)
