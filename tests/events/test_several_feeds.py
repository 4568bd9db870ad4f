"""Feeds of several processes on one log: one order, no gap and no repeat, whatever the bus does."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic

import pytest

from db import messages, migrate
from db.engines.database import Database
from db.log.admission import Admission
from db.log.changes.blocks import ChangeBlock
from db.log.log import MessageLog
from db.models import StoredMessage
from db.visibility import Visibility
from events import feed as feed_module
from events.bus.bus import Topic
from events.control import Control
from events.facts import BlockChanged, Fact
from events.feed import Feed
from events.hub import Hub
from resolvers.messages import announce_committed
from tests.db.rows import add_users, draft, everything, open_database
from tests.events.lossy_bus import LossyBus, Network
from tests.support.inbox import Inbox

POLL_SECONDS = 1.0
SLACK = 1.0


class Reader(Inbox[StoredMessage]):
    """A subscriber."""

    def deliver(self, item: StoredMessage, size: int) -> None:
        """Take a message."""
        self.put(item)

    def interrupt(self) -> None:
        """Nothing here is lost."""
        raise AssertionError

    @property
    def ids(self) -> list[int]:
        """What it got, in order."""
        return [message.id for message in self.items]

    async def reaches(self, position: int, seconds: float = 10) -> list[int]:
        """Wait for this position; return all that came."""
        await self.expect(lambda message: message.id >= position, seconds)
        return self.ids


class Process:
    """A log and a feed, as one process has them; counts what it reads."""

    def __init__(self, database: Database, bus: LossyBus, poll_seconds: float | None) -> None:
        self.bus = bus
        self.reader = Reader()
        self.head_reads = 0
        self.entry_reads: list[tuple[int, int]] = []

        async def read_head() -> int:
            self.head_reads += 1
            async with database.read() as connection:
                return await messages.head_position(connection)

        async def read_entries(after: int, upto: int, limit: int) -> list[StoredMessage]:
            self.entry_reads.append((after, upto))
            async with database.read() as connection:
                return [*await messages.read_entries(connection, after, upto, limit)]

        async def read_written(after: int, limit: int) -> tuple[int, list[StoredMessage]]:
            head = await read_head()
            return head, await read_entries(after, head, limit) if limit else []

        self.connections = Hub(warning_seconds=0)
        self.control = Control()
        self.feed: Feed[StoredMessage] = Feed(
            hub=self.connections,
            read_entries=read_entries,
            read_head=read_head,
            read_written=read_written,
            visibility=Visibility({}),
            control=self.control,
            poll_seconds=lambda: poll_seconds,
        )
        self.log = MessageLog(
            database,
            max_pending=10_000,
            committed=announce_committed(self.feed, bus),
            uncertain=self.feed.catch_up,
            admission=Admission(),
            authority=Control(),
        )

    async def start(self, stack: AsyncExitStack, reader_id: int) -> None:
        """Begin; end with the stack."""
        await self.feed.start()
        stack.push_async_callback(self.feed.close)
        self.log.start()
        stack.push_async_callback(self.log.close)
        self.connections.stream(reader_id, None, checked_at=monotonic()).attach(self.reader)
        self.head_reads = 0


class Processes:
    """Several processes, one user who writes, and one who reads everywhere."""

    def __init__(
        self, network: Network, database: Database, everyone: list[Process], writer: int
    ) -> None:
        self.network = network
        self.database = database
        self.everyone = everyone
        self.writer = writer

    async def say(self, process: Process, text: str = "x") -> int:
        """Store a message through this process."""
        stored: StoredMessage = await process.log.append(draft(self.writer, None, text))
        return stored.id


@asynccontextmanager
async def _processes(
    url: str, number: int = 2, *, poll_seconds: float | None = POLL_SECONDS
) -> AsyncIterator[Processes]:
    network = Network()
    async with AsyncExitStack() as stack:
        # Databases of their own, as processes have: connections are not shared.
        databases = [open_database(url) for _ in range(number)]
        for database in databases:
            stack.push_async_callback(database.close)
        await migrate.upgrade(databases[0])
        writer, reader = await add_users(databases[0], 2)
        everyone = [Process(database, network.bus(), poll_seconds) for database in databases]
        for process in everyone:
            await process.start(stack, reader)
        yield Processes(network, databases[0], everyone, writer)


async def test_each_message_comes_once_in_order_everywhere_and_nothing_is_read(
    database_url: str,
) -> None:
    async with _processes(database_url, poll_seconds=None) as processes:
        for number in range(40):
            position = await processes.say(processes.everyone[number % 2])
            for process in processes.everyone:
                await process.reader.reaches(position)
        for process in processes.everyone:
            assert process.reader.ids == [*range(1, 41)]
            # Announcements alone carried it.
            assert (process.head_reads, process.entry_reads) == (0, [])


async def test_mixtures_are_announced_whole_and_nothing_is_read(database_url: str) -> None:
    async with _processes(database_url, poll_seconds=None) as processes:
        one, two = processes.everyone
        told: tuple[list[Fact], list[Fact]] = ([], [])
        for process, facts in zip((one, two), told, strict=True):
            process.control.listen(BlockChanged, partial(_note, facts))
        people = await add_users(processes.database, 3)
        changes = [
            ChangeBlock(people[0], people[1], True, 9),
            draft(processes.writer, None, "é"),
            ChangeBlock(people[0], people[2], True, 9),
            draft(processes.writer, None, "y"),
        ]
        await asyncio.gather(*(one.log.append(change) for change in changes))
        for process in (one, two):
            assert await process.reader.reaches(4) == [2, 4]
        assert [fact.id for fact in told[1]] == [1, 3]
        assert told[0] == told[1]
        assert (two.head_reads, two.entry_reads) == (0, [])


def _note(facts: list[Fact], fact: Fact, body: object) -> None:
    facts.append(fact)


@pytest.mark.parametrize("loss", [0.0, 0.3, 1.0])
async def test_lost_late_doubled_and_reordered_announcements_change_nothing(
    database_url: str, loss: float
) -> None:
    chance = random.Random(7)

    def fate(topic: Topic, payload: bytes) -> list[float]:
        if chance.random() < loss:
            return []
        return [chance.random() * 0.06 for _ in range(chance.choice([1, 1, 2]))]

    async with _processes(database_url, 3, poll_seconds=0.1) as processes:
        processes.network.fate = fate

        async def chat(process: Process, seed: int) -> None:
            pace = random.Random(seed)
            for _ in range(12):
                burst = [processes.say(process) for _ in range(pace.randint(1, 5))]
                await asyncio.gather(*burst)
                await asyncio.sleep(pace.random() * 0.02)

        await asyncio.gather(
            *(chat(process, seed) for seed, process in enumerate(processes.everyone))
        )
        stored = [message.id for message in await everything(processes.database)]
        assert stored == [*range(1, len(stored) + 1)]
        for process in processes.everyone:
            assert await process.reader.reaches(stored[-1]) == stored
        # What was late or doubled comes still, and is not handed out again.
        await asyncio.sleep(0.1)
        for process in processes.everyone:
            assert process.reader.ids == stored
            assert len(process.feed._early) <= feed_module.MAX_EARLY


async def test_a_lost_last_announcement_is_found_by_the_next_look(database_url: str) -> None:
    async with _processes(database_url) as processes:
        one, two = processes.everyone
        processes.network.fate = lambda topic, payload: []
        began = time.monotonic()
        position = await processes.say(one)
        assert await two.reader.reaches(position, seconds=POLL_SECONDS + SLACK) == [position]
        assert time.monotonic() - began < POLL_SECONDS + SLACK
        # Looking is cheap: the head, once a second, and one page when there is something.
        assert two.head_reads <= 3
        assert two.entry_reads == [(0, position)]


async def test_an_idle_process_looks_once_a_poll_and_reads_no_page(database_url: str) -> None:
    async with _processes(database_url, 1, poll_seconds=0.1) as processes:
        [one] = processes.everyone
        await asyncio.sleep(0.55)
        assert 1 <= one.head_reads <= 6
        assert one.entry_reads == []


async def test_batches_out_of_order_wait_for_each_other_and_read_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "HOLE_SECONDS", 0.3)
    async with _processes(database_url, poll_seconds=None) as processes:
        one, two = processes.everyone
        delays = iter([0.08, 0.04, 0.0])
        processes.network.fate = lambda topic, payload: [next(delays)]
        for _ in range(3):
            await processes.say(one)
        assert await two.reader.reaches(3) == [1, 2, 3]
        assert not two.feed._early
        await asyncio.sleep(0.4)  # until after the last hole would have been read
        assert (two.head_reads, two.entry_reads) == (0, [])


async def test_a_hole_that_stays_is_read_once_after_its_patience(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "HOLE_SECONDS", 0.2)
    async with _processes(database_url, poll_seconds=None) as processes:
        one, two = processes.everyone
        processes.network.fate = lambda topic, payload: []
        await processes.say(one)
        processes.network.fate = lambda topic, payload: [0]
        began = time.monotonic()
        for _ in range(5):
            await processes.say(one)
        assert await two.reader.reaches(6) == [1, 2, 3, 4, 5, 6]
        assert 0.2 <= time.monotonic() - began < 0.2 + SLACK
        await asyncio.sleep(0.3)
        assert two.entry_reads == [(0, 6)]
        # The patience of the five ended while the first look went on: one more look is enough.
        assert two.head_reads <= 2


async def test_more_early_batches_than_are_kept_are_read_from_the_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MAX_EARLY", 3)
    async with _processes(database_url, poll_seconds=None) as processes:
        one, two = processes.everyone
        processes.network.fate = lambda topic, payload: []
        await processes.say(one)
        processes.network.fate = lambda topic, payload: [0]
        for _ in range(12):
            await processes.say(one)
            assert len(two.feed._early) <= 3
        assert await two.reader.reaches(13) == [*range(1, 14)]
        await processes.say(one)
        assert await two.reader.reaches(14) == [*range(1, 15)]
        assert not two.feed._early


async def test_garbage_that_is_announced_hands_out_nothing(database_url: str) -> None:
    async with _processes(database_url, poll_seconds=0.1) as processes:
        one, two = processes.everyone
        for garbage in (b"", b"[]", b"{}", b"null", b"\xff", b"\x90", b"\xc1" * 100, b'[{"id":1}]'):
            for topic in (Topic.LOG, Topic.FACTS):
                two.bus.hear(topic, garbage)
        assert two.reader.items == []
        position = await processes.say(one)
        assert await two.reader.reaches(position) == [position]


async def test_a_process_that_starts_later_begins_at_the_head(database_url: str) -> None:
    async with _processes(database_url) as processes, AsyncExitStack() as stack:
        one = processes.everyone[0]
        for _ in range(5):
            await processes.say(one)
        late = Process(processes.database, processes.network.bus(), POLL_SECONDS)
        await late.start(stack, processes.writer)
        position = await processes.say(one)
        assert await late.reader.reaches(position) == [6]


@pytest.mark.parametrize("is_lone", [True, False])
async def test_a_lone_process_makes_nothing_for_others(
    database_url: str, is_lone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _processes(database_url, 1) as processes:
        [one] = processes.everyone
        monkeypatch.setattr(LossyBus, "is_lone", is_lone)
        position = await processes.say(one)
        assert await one.reader.reaches(position) == [position]
        assert (processes.network.said == []) is is_lone
