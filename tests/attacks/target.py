"""The server under attack, two people who go on writing to each other, and what must hold after.

For every attack: no error and no traceback in the log, the two lose nothing and wait for nothing,
and when the attack is over its descriptors are closed and its memory is given back.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.attacks.conftest import Report, times
from tests.faults.load import User, register
from tests.faults.processes import Parley
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient

MEGABYTE = 1024 * 1024
# What two people may wait for one message while a server with one core is attacked.
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.1
CONTENT = "As if nothing were"
# Idle keep-alive connections and closing handshakes take seconds to go.
SETTLE_SECONDS = 30.0
LOOK_SECONDS = 0.1
SPARE_SOCKETS = 4
# Each of the ten connections to SQLite has three files open.
POOLED_FILES = 40
# Beyond what the process held when it was warm: caches that fill up, pages malloc keeps.
# It levels off: Socket.IO's process held 214 MB after 7,000 inputs, and after 12,000, and 230 after
# 50,000, and of no type of object more.
GROWTH_BYTES = times(48, 160) * MEGABYTE
SETTINGS: dict[str, Any] = {"log_level": "WARNING", "limits": "off"}


class Pair:
    """Alice writes to Bob; each message arrives once, in order, and soon."""

    def __init__(self, parley: Parley, alice: User, bob: User) -> None:
        self._parley = parley
        self.alice = alice
        self.bob = bob
        self.exchanged = 0
        self.longest = 0.0
        self._seen: asyncio.Queue[str] = asyncio.Queue()
        self._clients: list[GraphQLClient] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect both and begin."""
        sender = await GraphQLClient.open(self._parley.port, self.alice.token)
        reader = await GraphQLClient.open(self._parley.port, self.bob.token)
        self._clients = [sender, reader]
        await reader.watch(WATCH, self._take)
        await self._exchange(sender, "first")
        self._task = asyncio.create_task(self._run(sender))

    def check(self) -> None:
        """Raise what the two met."""
        assert self._task is not None
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Exchange one more message, then end."""
        assert self._task is not None
        before = self.exchanged
        try:
            await until(lambda: self.exchanged > before or self._done(), 2 * PATIENCE_SECONDS)
            self.check()
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            for client in self._clients:
                await client.close()

    def _done(self) -> bool:
        return self._task is not None and self._task.done()

    def _take(self, data: dict[str, Any]) -> None:
        message = data["messageAdded"]
        if message["content"] == CONTENT:
            self._seen.put_nowait(message["clientMessageId"])

    async def _run(self, sender: GraphQLClient) -> None:
        for number in itertools.count():
            await self._exchange(sender, f"pair {number}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _exchange(self, sender: GraphQLClient, key: str) -> None:
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await (await sender.start(key, CONTENT, self.bob.id))
            assert await self._seen.get() == key
        self.longest = max(self.longest, time.monotonic() - began)
        self.exchanged += 1


class Target:
    """A server of our own in a process of its own."""

    def __init__(self, parley: Parley, users: list[User], pair: Pair) -> None:
        self.parley = parley
        self.port = parley.port
        self.alice, self.bob, self.mallory = users
        self.pair = pair
        self._warm_bytes = parley.resident_bytes()
        self.peak = self._warm_bytes

    def warmed(self) -> None:
        """What the process holds now is what it may hold afterwards, and a little more."""
        self._warm_bytes = self.parley.resident_bytes()
        self.peak = self._warm_bytes

    def look(self) -> None:
        """Fail as soon as something is wrong."""
        self.peak = max(self.peak, self.parley.resident_bytes())
        complaints = self.parley.complaints()
        assert not complaints, "\n".join([f"{len(complaints)} complaints", *complaints[:3]])
        self.pair.check()

    def descriptors(self) -> Counter[str]:
        """How many sockets, files and other things the process has open."""
        found: Counter[str] = Counter()
        for link in Path(f"/proc/{self.parley.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                named = link.readlink().as_posix()
                found["file" if named.startswith("/") else named.partition(":")[0]] += 1
        return found

    async def settled(self, before: "Counter[str]") -> None:
        """Wait until what the attack opened is closed; the database's files are a pool's."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (now := self.descriptors())["socket"] > before["socket"] + SPARE_SOCKETS:
            assert time.monotonic() < deadline, f"still open: {now}, before: {before}"
            await asyncio.sleep(LOOK_SECONDS)
        assert now["file"] <= before["file"] + POOLED_FILES, f"still open: {now}, before: {before}"

    @property
    def growth(self) -> int:
        """Memory held beyond that of the warm process."""
        return self.parley.resident_bytes() - self._warm_bytes


@asynccontextmanager
async def attacked(
    directory: Path, report: Report, *, growth: int = GROWTH_BYTES, **settings: Any
) -> AsyncIterator[Target]:
    """Lend a server with users to attack it; then hold it to what this module promises."""
    home = directory / "parley"
    home.mkdir()
    parley = Parley(home, **{**SETTINGS, **settings})
    await asyncio.to_thread(parley.start)
    try:
        users = await register(parley.port, 3)
        pair = Pair(parley, users[0], users[1])
        target = Target(parley, users, pair)
        await pair.start()
        descriptors = target.descriptors()
        try:
            yield target
        except BaseException:
            await asyncio.gather(pair.stop(), return_exceptions=True)
            raise
        await target.settled(descriptors)
        target.look()
        await pair.stop()
        report(
            f"memory +{target.growth / MEGABYTE:.0f} MB after"
            f" (+{(target.peak - target.parley.resident_bytes() + target.growth) / MEGABYTE:.0f} MB"
            f" at most), {pair.exchanged} exchanges beside it, the longest"
            f" {pair.longest * 1000:.0f} ms"
        )
        assert target.growth < growth, f"memory +{target.growth / MEGABYTE:.0f} MB"
    finally:
        await asyncio.to_thread(parley.kill)
