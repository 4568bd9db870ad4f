"""The rule of who may see a message is the same in queries and for a message at hand."""

import random
from time import monotonic
from typing import Any

import pytest

from db import messages
from db.engines.database import Database
from db.models import StoredMessage
from db.people.blocks import insert_blocks
from db.visibility import Visibility
from events.facts import Everybody
from events.feed import Feed
from events.hub import Hub
from resolvers.guards.blocked_pairs import BlockedPairs
from tests.db.rows import NOW, add_messages, add_users, everything
from tests.events.test_feed import Log, feed_of

MESSAGES = 60


class Reader:
    """A sink that keeps the ids it gets."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def deliver(self, item: StoredMessage, size: int) -> None:
        """As Sink."""
        self.ids.append(item.id)

    def interrupt(self) -> None:
        """As Sink."""


@pytest.mark.parametrize("seed", range(8))
async def test_history_replay_and_live_delivery_show_the_same(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 5)
    pairs = {(one, other) for one, other in (chance.sample(people, 2) for _ in range(seed % 5))}
    blocks = BlockedPairs()
    for blocker, blocked in pairs:
        blocks.put((blocker, blocked), True)
    async with database.write() as connection:
        await insert_blocks(connection, pairs, NOW)
    receivers = [None, None, *people]
    await add_messages(
        database, [(chance.choice(people), chance.choice(receivers)) for _ in range(MESSAGES)]
    )
    stored = await everything(database)

    hub, visibility = Hub(warning_seconds=0), Visibility(blocks.apart)
    feed: Feed[Any] = feed_of(Log(), hub=hub, apart=blocks.apart)
    readers = {person: Reader() for person in people}
    for person, reader in readers.items():
        hub.stream(person, None, checked_at=monotonic()).attach(reader)
    feed.announce(stored)

    async with database.read() as connection:
        for viewer in people:
            for after in (0, chance.randrange(MESSAGES), MESSAGES):
                found = await messages.find_all_visible(
                    connection, viewer, range(1, MESSAGES + 1), broadcasts_after=after
                )
                history = await messages.page_messages(
                    connection, viewer, limit=MESSAGES, broadcasts_after=after
                )
                replayed = feed.recent(viewer, 0, MESSAGES, broadcasts_after=after)
                assert replayed is not None
                at_hand = [m.id for m in stored if visibility.shows(m, viewer, after)]
                assert sorted(m.id for m in found) == at_hand
                assert [m.id for m in history] == at_hand
                assert [m.id for m in replayed] == at_hand
                if after == 0:
                    assert readers[viewer].ids == at_hand
    for message in stored:
        recipients = visibility.recipients(message)
        assert isinstance(recipients, Everybody) is (message.receiver_id is None)
