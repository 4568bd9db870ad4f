"""Presence across processes: no ghosts after a kill -9, no flicker, no departures by silence."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Report
from tests.faults.load import User, register
from tests.faults.processes import PROCESS_SILENT, REDIS_AWAY, Parley, parleys
from tests.faults.store import MariaDBStore
from tests.faults.wire import PRESENCE, GraphQLClient, SocketIOClient
from tests.support.inbox import Inbox
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(120)

LEASE, RENEWAL, SWEEP, GRACE = 3.0, 1.0, 0.5, 0.5
# The machine may be busy with other things: what a bound may be missed by.
SLACK = 2.0


class Observer(Inbox[tuple[int, bool, float]]):
    """Somebody who watches presence: user, online, when it was heard."""

    def take(self, data: dict[str, Any]) -> None:
        """Note a change."""
        change = data["presence"]
        self.put((int(change["user"]["id"]), change["online"], time.monotonic()))

    async def hears(self, user: User, online: bool, seconds: float = 10) -> float:
        """Wait until the user is said to be online or not; return when that was."""
        found = await self.expect(lambda change: change[:2] == (user.id, online), seconds)
        return found[2]

    def heard(self, user: User, online: bool) -> bool:
        """Whether that was ever said."""
        return any(change[:2] == (user.id, online) for change in self.items)


@asynccontextmanager
async def pair_of(
    tmp_path: Path, store: MariaDBStore, redis: Redis, prefix: str, **settings: Any
) -> AsyncIterator[list[Parley]]:
    """Two instances with short leases."""
    leases = {
        "presence_lease_seconds": LEASE,
        "presence_renewal_seconds": RENEWAL,
        "presence_sweep_seconds": SWEEP,
        "presence_grace_seconds": GRACE,
        "database_url": store.url,
        "redis_url": redis.url,
        "redis_prefix": prefix,
        **settings,
    }
    with parleys(tmp_path, 2, allowed=(PROCESS_SILENT, REDIS_AWAY), **leases) as pair:
        yield pair


@asynccontextmanager
async def observer_at(port: int, user: User) -> AsyncIterator[Observer]:
    """Somebody who watches presence there."""
    observer = Observer()
    client = await GraphQLClient.open(port, user.token)
    try:
        await client.watch(PRESENCE, observer.take)
        await observer.hears(user, True)
        yield observer
    finally:
        await client.close()


async def test_a_killed_process_leaves_no_ghosts_and_takes_nobody_elses(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    async with pair_of(tmp_path, mariadb_store, redis, "ghosts") as [one, other]:
        watcher, ghost, older_ghost, both = await register(one.port, 4)
        async with observer_at(one.port, watcher) as observer:
            clients = [
                await GraphQLClient.open(other.port, ghost.token),
                await SocketIOClient.open(other.port, older_ghost.token),
                await GraphQLClient.open(other.port, both.token),
                await GraphQLClient.open(one.port, both.token),
            ]
            for user in (ghost, older_ghost, both):
                await observer.hears(user, True)
            await asyncio.to_thread(other.kill)
            killed = time.monotonic()
            waited = 0.0
            for user in (ghost, older_ghost):
                bound = LEASE + SWEEP + GRACE + SLACK
                waited = max(waited, await observer.hears(user, False, bound) - killed)
            assert not observer.heard(both, False)
            report(f"offline {waited:.1f} s after the kill; lease {LEASE}, grace {GRACE}")
            for client in clients:
                await client.close()
            await observer.hears(both, False)


async def test_redis_gone_for_longer_than_a_lease_makes_nobody_offline(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    async with pair_of(tmp_path, mariadb_store, redis, "silence") as [one, other]:
        watcher, stays, leaves, comes = await register(one.port, 4)
        async with observer_at(one.port, watcher) as observer:
            staying = await GraphQLClient.open(other.port, stays.token)
            leaving = await GraphQLClient.open(other.port, leaves.token)
            await observer.hears(stays, True)
            await observer.hears(leaves, True)
            await asyncio.to_thread(redis.kill)
            try:
                # Time must pass here: what is tested is that nothing comes of it.
                await asyncio.sleep(LEASE + 2)
                assert not observer.heard(stays, False)
                await leaving.close()
                coming = await GraphQLClient.open(other.port, comes.token)
            finally:
                await asyncio.to_thread(redis.start)
            back = time.monotonic()
            healed = await observer.hears(comes, True, LEASE + SLACK) - back
            healed = max(healed, await observer.hears(leaves, False, LEASE + SLACK) - back)
            await asyncio.sleep(LEASE + 1)  # nor later, when everybody's lease could end
            assert not observer.heard(stays, False)
            report(f"presence right {healed:.1f} s after Redis was back")
            await staying.close()
            await coming.close()


async def test_redis_frozen_for_longer_than_a_lease_makes_nobody_offline(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path
) -> None:
    async with pair_of(tmp_path, mariadb_store, redis, "frozen") as [one, other]:
        watcher, stays = await register(one.port, 2)
        async with observer_at(one.port, watcher) as observer:
            staying = await GraphQLClient.open(other.port, stays.token)
            await observer.hears(stays, True)
            redis.pause()
            try:
                # Longer than a lease, and than it takes to notice that Redis does not answer.
                await asyncio.sleep(LEASE + 6)
            finally:
                redis.resume()
            await asyncio.sleep(LEASE + 1)
            assert not observer.heard(stays, False)
            await staying.close()
            await observer.hears(stays, False)


async def test_a_process_stopped_in_peace_makes_nobody_flicker(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path
) -> None:
    grace = 3.0
    async with pair_of(tmp_path, mariadb_store, redis, "peace", presence_grace_seconds=grace) as [
        one,
        other,
    ]:
        watcher, moves = await register(one.port, 2)
        async with observer_at(one.port, watcher) as observer:
            moving = await GraphQLClient.open(other.port, moves.token)
            await observer.hears(moves, True)
            stopping = asyncio.create_task(asyncio.to_thread(other.stop))
            async with asyncio.timeout(grace):
                assert await moving.closed() == (1012, "Service restart: reconnect and resume")
                moved = await GraphQLClient.open(one.port, moves.token)
            await stopping
            await asyncio.sleep(grace + SWEEP + 0.5)
            assert not observer.heard(moves, False)
            await moving.close()
            await moved.close()
            await observer.hears(moves, False)
