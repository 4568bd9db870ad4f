"""Whatever processes do and the bus loses, the roster becomes what a plain table says."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import roster as module
from events.bus.bus import Topic
from events.roster_table import Key
from tests.events.lossy_bus import LossyBus
from tests.events.processes import Process, Processes
from tests.support.presence import connected
from tests.support.virtual_time import VirtualLoop, in_virtual_time, run_virtually

# As a server has them.
LEASE, RENEWAL, SWEEP = 60.0, 1.0, 5.0
TIMES = {
    "lease_seconds": LEASE,
    "renewal_seconds": RENEWAL,
    "sweep_seconds": SWEEP,
    "grace_seconds": 0,  # whatever goes, if only for a moment, is told
}
# When the bus is sound again: the next renewal shows what is missing, and it is asked for.
HEALED = 2 * RENEWAL + 2 * module.STATEMENT_SECONDS
COUNTED = module.SILENT_RENEWALS * RENEWAL + HEALED
# A change is told in windows, and a window of presence may take two seconds.
WINDOW = 2.5
LIMIT = 6
USERS = (1, 2, 3)
STAYS = 7
NAMES = ("one", "two")


class Change(NamedTuple):
    """A process opens or closes connections of a user, or of something limited."""

    process: int
    key: Key
    to: int


class Event(NamedTuple):
    """Something happens to a process, or to the bus."""

    what: str
    process: int


class Wait(NamedTuple):
    """Time passes."""

    seconds: float


Step = Change | Event | Wait
PROCESSES = st.integers(0, 5)
CHANGES = st.builds(
    Change, PROCESSES, st.sampled_from([*USERS, *NAMES]), st.sampled_from([0, 0, 1, 2, 3, 6])
)
WAITS = st.builds(Wait, st.sampled_from([0.0, 0.01, 0.3, 1.5, 4.0, 20.0, 70.0]))
LIVES = ["starts", "dies", "ends", "peace"]
LOSSES = ["is cut off", "loses Redis", "loss", "silence", "disorder"]


def _steps(*events: str) -> st.SearchStrategy[list[Step]]:
    """Steps with these events."""
    event = st.builds(Event, st.sampled_from(events), PROCESSES)
    return st.lists(st.one_of(CHANGES, CHANGES, event, WAITS), min_size=10, max_size=50)


class World:
    """Processes on one bus, and the table of what each of them holds."""

    def __init__(self, stack: AsyncExitStack, seed: int) -> None:
        self.processes = Processes(stack, None)
        self.alive: list[tuple[Process, Counter[Key]]] = []
        self.chance = random.Random(seed)
        self.has_redis = True

    async def take(self, step: Step) -> None:
        """Do the step, here and in the table."""
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Change):
            process, holds = self.alive[step.process % len(self.alive)]
            while holds[step.key] != step.to:
                by = 1 if holds[step.key] < step.to else -1
                holds[step.key] += by
                self.change(process, step.key, by)
        else:
            await self.meet(step)
        for process, holds in self.alive:  # at any moment
            assert {user for user in USERS if holds[user]} <= {*process.presence.online_ids}
            for name in NAMES:
                assert process.roster.count(name) >= process.roster.own(name) == holds[name]

    def change(self, process: Process, key: Key, by: int) -> None:
        """Open or close one connection."""
        if isinstance(key, str):
            process.roster.change(key, by)
        elif by > 0:
            process.presence.enter(key)
        else:
            process.presence.leave(key)

    async def meet(self, event: Event) -> None:
        """Let it happen."""
        if event.what == "starts" and len(self.alive) < 5:
            await self.start()
        elif event.what in {"dies", "ends"} and len(self.alive) > 1:
            # All but the first one, which lives for ever.
            process, _ = self.alive.pop(1 + event.process % (len(self.alive) - 1))
            await (process.vanish() if event.what == "dies" else process.close())
        elif event.what == "loss":
            self.processes.network.fate = lambda topic, payload: self.chance.choice([[], [0]])
        elif event.what == "silence":
            self.processes.network.fate = lambda topic, payload: []
        elif event.what == "disorder":
            self.processes.network.fate = self.disorder
        elif event.what == "peace":
            self.make_peace()
        elif event.what == "Redis goes away":
            self.has_redis = False
            for process, _ in self.alive:
                self.connect(process)
        elif event.what in {"is cut off", "loses Redis"}:
            process, _ = self.alive[event.process % len(self.alive)]
            assert isinstance(process.bus, LossyBus)
            if event.what == "is cut off":
                process.bus.cut = True
            else:
                process.bus.connected = False

    async def start(self) -> None:
        """Add a process."""
        process = await self.processes.start(**TIMES)
        process.roster.limit_names(lambda name: LIMIT)
        self.connect(process)
        self.alive.append((process, Counter()))

    def connect(self, process: Process) -> None:
        """Tell the process whether there is a Redis."""
        assert isinstance(process.bus, LossyBus)
        process.bus.connected, process.bus.cut = self.has_redis, False

    def disorder(self, topic: Topic, payload: bytes) -> list[float]:
        """Late, twice, in another order, or not at all."""
        return [self.chance.random() * 2 for _ in range(self.chance.choice([0, 1, 1, 2]))]

    def make_peace(self) -> None:
        """The bus is sound again."""
        self.has_redis = True
        self.processes.network.fate = lambda topic, payload: [0]
        for process, _ in self.alive:
            self.connect(process)

    def held(self) -> set[int]:
        """The users whom the living hold."""
        return {user for user in USERS if any(holds[user] for _, holds in self.alive)}

    async def settle(self) -> None:
        """Make peace, and compare with the table each time that something is promised by."""
        self.make_peace()
        await asyncio.sleep(HEALED + WINDOW)
        for process, _ in self.alive:
            assert self.held() <= {*process.presence.online_ids}
        seen = [len(process.changes.items) for process, _ in self.alive]
        await asyncio.sleep(COUNTED - HEALED)
        for name in NAMES:
            total = sum(holds[name] for _, holds in self.alive)
            for process, _ in self.alive:
                count = process.roster.count(name)
                assert count == total if total >= LIMIT else count <= total
        await asyncio.sleep(LEASE + SWEEP + RENEWAL + WINDOW)
        living = {process.roster._process for process, _ in self.alive}
        for (process, holds), before in zip(self.alive, seen, strict=True):
            table = process.roster._table
            assert table.peers.keys() == living - {process.roster._process}
            assert table.processes == len(living)
            assert {*process.presence.online_ids} & {*USERS} == self.held()
            for user in USERS:
                number = sum(holds[user] > 0 for _, holds in self.alive)
                assert process.roster.holders(user) == number
                said = process.said(user)
                assert said == ([True, False] * len(said))[: len(said)]
                assert process.last(user) in ({True} if number else {None, False})
            # Nobody whom the living hold went, not even for a moment.
            went = {change.user_id for change in process.changes.items[before:]}
            assert not went & self.held()
            told = process.roster._told.keys() & {*USERS}
            assert told == {user for user in USERS if holds[user]}


async def _play(steps: list[Step], seed: int) -> None:
    async with AsyncExitStack() as stack:
        world = World(stack, seed)
        for _ in range(3):
            await world.start()
        for step in steps:
            await world.take(step)
        await world.settle()


@settings(max_examples=150, deadline=None)
@given(_steps(*LIVES, *LOSSES), st.integers(0, 2**32))
def test_processes_that_come_die_and_lose_messages_agree_with_a_plain_table(
    steps: list[Step], seed: int
) -> None:
    run_virtually(_play(steps, seed))


@settings(max_examples=75, deadline=None)
@given(_steps(*LIVES, "Redis goes away"))
def test_nobody_goes_who_is_held_however_often_redis_goes(steps: list[Step]) -> None:
    async def play() -> None:
        async with AsyncExitStack() as stack:
            world = World(stack, 0)
            for _ in range(3):
                await world.start()
            with ExitStack() as held:
                held.enter_context(connected(world.alive[0][0].presence, STAYS))
                for step in steps:
                    await world.take(step)
                await world.settle()
                for process, _ in world.alive:
                    assert process.said(STAYS) == [True]

    run_virtually(play())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(CHANGES, WAITS), min_size=5, max_size=40))
def test_where_nothing_is_lost_everybody_knows_within_a_window(steps: list[Step]) -> None:
    async def play() -> None:
        async with AsyncExitStack() as stack:
            world = World(stack, 0)
            for _ in range(3):
                await world.start()
            await asyncio.sleep(HEALED)
            for step in steps:
                await world.take(step)
                await asyncio.sleep(4 * module.CHANGES_SECONDS)
                totals = {key: sum(h[key] for _, h in world.alive) for key in (*USERS, *NAMES)}
                for process, _ in world.alive:
                    for user in USERS:
                        number = sum(holds[user] > 0 for _, holds in world.alive)
                        assert process.roster.holders(user) == number
                    for name in NAMES:
                        count = process.roster.count(name)
                        assert count == totals[name] or count < LIMIT > totals[name]

    run_virtually(play())


@in_virtual_time
async def test_a_process_that_stood_still_for_longer_than_a_lease_drops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncExitStack() as stack:
        world = World(stack, 0)
        for _ in range(2):
            await world.start()
        [(one, _), (two, _)] = world.alive
        with connected(one.presence, 1):
            await asyncio.sleep(HEALED + WINDOW)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.stand_still(10 * LEASE)
            await asyncio.sleep(2 * LEASE)
            assert two.said(1) == [True]
            assert "went silent" not in caplog.text
        await asyncio.sleep(WINDOW)
        assert two.said(1) == [True, False]


@in_virtual_time
async def test_what_comes_late_or_twice_changes_nothing() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack, 0)
        for _ in range(2):
            await world.start()
        [(one, _), (two, _)] = world.alive
        with connected(one.presence, 1):
            await asyncio.sleep(HEALED + WINDOW)
        await asyncio.sleep(WINDOW)
        with connected(one.presence, 2):
            await asyncio.sleep(WINDOW)
            stranger = world.processes.network.bus()
            for topic, payload in world.processes.network.said[:]:
                if module._decoder.decode(payload).process == one.roster._process:
                    stranger.publish(topic, payload)
            await asyncio.sleep(HEALED + WINDOW)
            assert (two.said(1), two.said(2)) == ([True, False], [True])


@in_virtual_time
async def test_connections_of_a_process_that_died_count_for_three_renewals() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack, 0)
        for _ in range(2):
            await world.start()
        [(one, _), (two, _)] = world.alive
        await asyncio.sleep(HEALED)
        with connected(two.presence, 1):
            two.roster.change("one", LIMIT)
            await asyncio.sleep(WINDOW)
            assert one.roster.count("one") == LIMIT
            await two.vanish()
            await asyncio.sleep(2 * RENEWAL - 0.1)  # its last word may be a renewal old
            assert one.roster.count("one") == LIMIT
            await asyncio.sleep(2 * RENEWAL + 0.2)
            assert one.roster.count("one") == 0
            assert one.said(1) == [True]  # presence waits for the lease
            await asyncio.sleep(LEASE + SWEEP - 4 * RENEWAL + WINDOW)
            assert one.said(1) == [True, False]
