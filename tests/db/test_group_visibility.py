"""What is written in groups is shown alike: live, from memory, in history and by look-ups."""

import random
from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest

from db import messages
from db.engines.database import Database
from db.groups import pages
from db.groups.pages import find_stays, page_with_groups
from db.log.changes.groups import AddMembers, CreateGroup, LeaveGroup, RemoveMember
from db.log.drafts import Draft
from db.models import EVERYBODY_ID, MessageKind, StoredMessage
from db.visibility import Stay, Visibility
from events.control import Control
from events.facts import Fact, MembersChanged
from events.feed import Feed
from events.hub import Hub
from tests.db.rows import add_users, draft
from tests.db.test_mixtures import Process
from tests.db.test_visibility import Reader
from tests.events.test_feed import Log

STEPS = 120


def _to(sender: int, conversation: int, content: str = "x") -> Draft:
    return Draft(sender, None, MessageKind.TEXT, content, conversation_id=conversation)


async def _live_on(process: Process, people: Sequence[int], chance: random.Random) -> list[int]:
    """Have people write in groups, to each other and to everybody, while groups change."""
    owner = people[0]
    groups: list[int] = []
    for shows in (False, True, False):
        some = tuple(chance.sample(people[1:], 2))
        fact = await process.attempt(CreateGroup(owner, "Us", some, 99, shows_earlier=shows))
        groups.append(fact.body.conversation_id)
    for _ in range(STEPS):
        group, person = chance.choice(groups), chance.choice(people[1:])
        change = chance.choice(
            [
                *[_to(chance.choice(people), group)] * 6,
                draft(person, chance.choice([*people, None])),
                AddMembers(owner, group, (person,), 99),
                RemoveMember(owner, group, person),
                LeaveGroup(person, group),
            ]
        )
        await process.attempt(change)
    return groups


@pytest.mark.parametrize("seed", range(4))
async def test_all_readers_show_what_was_written_while_one_was_in_the_group(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:  # as for somebody who is in very many groups
        monkeypatch.setattr(pages, "AT_ONCE", 1)
        monkeypatch.setattr(pages, "WINDOWS", (5, 9) if seed == 1 else ())
    chance = random.Random(seed)
    people = await add_users(database, 5)
    process = Process(database)
    groups = await _live_on(process, people, chance)
    await process.log.close()
    entries = process.told
    head = entries[-1].id
    async with database.read() as connection:
        position, stays = await find_stays(connection, people)
    assert position == head

    stored = [entry for entry in entries if isinstance(entry, StoredMessage)]
    heard = _deliver(entries, people)
    visibility = Visibility({}, stays.get)
    truth = _Truth(entries)
    async with database.read() as connection:
        for viewer in people:
            assert heard[viewer] == truth.live[viewer]
            expected = [m.id for m in stored if truth.sees(viewer, m, stays[viewer])]
            at_hand = [m.id for m in stored if visibility.shows(m, viewer, 0)]
            assert at_hand == expected
            found = await messages.find_all_visible(connection, viewer, [m.id for m in stored])
            assert sorted(m.id for m in found) == expected
            for limit in (7, len(stored)):
                for newest in (True, False):
                    after, before = chance.choice([None, 20]), chance.choice([None, 90])
                    page = await page_with_groups(
                        connection, viewer, after=after, before=before, newest=newest, limit=limit
                    )
                    part = [i for i in expected if (after or 0) < i < (before or head + 1)]
                    assert [m.id for m in page] == (part[-limit:] if newest else part[:limit])
            # The older wires show no group.
            older = [m.id for m in stored if m.id in expected and m.conversation_id not in groups]
            assert [m.id for m in stored if visibility.shows(m, viewer, 0, groups=False)] == older
            page = await messages.page_messages(connection, viewer, limit=len(stored))
            assert [m.id for m in page] == older


class _Truth:
    """Who heard what as it was said, and who may read it later."""

    def __init__(self, entries: Sequence[StoredMessage | Fact]) -> None:
        self.present: dict[int, set[int]] = {}
        self.live: dict[int, list[int]] = {}
        everybody: set[int] = set()
        for entry in entries:
            if isinstance(entry, Fact):
                assert isinstance(entry.body, MembersChanged)
                present = self.present.setdefault(entry.body.conversation_id, set())
                present |= {*entry.body.joined}
                present -= {*entry.body.left}
        self.present.clear()
        everybody = {entry.sender_id for entry in entries if isinstance(entry, StoredMessage)}
        self.live = {person: [] for person in everybody}
        for entry in entries:
            if isinstance(entry, Fact):
                assert isinstance(entry.body, MembersChanged)
                present = self.present.setdefault(entry.body.conversation_id, set())
                present |= {*entry.body.joined}
                present -= {*entry.body.left}
                continue
            hearers = everybody
            if entry.receiver_id is not None:
                hearers = {entry.sender_id, entry.receiver_id}
            elif entry.conversation_id != EVERYBODY_ID:
                hearers = self.present[entry.conversation_id]
                assert entry.sender_id in hearers
            for person in hearers & self.live.keys():
                self.live[person].append(entry.id)

    @staticmethod
    def sees(viewer: int, message: StoredMessage, stays: dict[int, Stay]) -> bool:
        """Whether the viewer may read it now: the last stay counts."""
        if viewer in (message.sender_id, message.receiver_id):
            return True
        if message.conversation_id == EVERYBODY_ID:
            return True
        stay = stays.get(message.conversation_id)
        return (
            stay is not None
            and stay.sees_after < message.id
            and (stay.left_position is None or message.id < stay.left_position)
        )


def _deliver(
    entries: Sequence[StoredMessage | Fact], people: Sequence[int]
) -> dict[int, list[int]]:
    """Hand all out, in one batch, to somebody who listens from the beginning."""
    hub, log = Hub(warning_seconds=0), Log()
    feed: Feed[Any] = Feed(
        hub=hub,
        read_entries=log.read_entries,
        read_head=log.read_head,
        read_written=log.read_written,
        visibility=Visibility({}),
        control=Control(),
    )
    readers = {person: Reader() for person in people}
    for person, reader in readers.items():
        hub.stream(person, None, checked_at=monotonic(), groups=()).attach(reader)
    older = Reader()
    hub.stream(people[0], None, checked_at=monotonic()).attach(older)
    feed.announce([*entries])
    kept = {entry.id: entry for entry in entries}
    for id_ in older.ids:
        message = kept[id_]
        assert isinstance(message, StoredMessage)
        assert message.receiver_id is not None or message.conversation_id == EVERYBODY_ID
    return {person: reader.ids for person, reader in readers.items()}
