"""A block made in one process holds in another within a second, with Redis and without it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.waits import until
from tests.support.faces import (
    Account,
    GraphQLFace,
    Refused,
    RestFace,
    SocketIOFace,
    new_account,
)
from tests.support.redis import Redis, redis_server
from tests.support.server import RunningServer, running_server
from tests.test_blocks import block, unblock

# It is a second on a machine of one's own.
PATIENCE = 5.0

Pair = tuple[RunningServer, RunningServer]


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture
def pair(redis: Redis, tmp_path: Path, database_url: str) -> Iterator[Pair]:
    """Two servers of one database, as two processes would be."""
    shared = {"database_url": database_url, "redis_url": redis.url, "redis_prefix": tmp_path.name}
    with (
        running_server(tmp_path / "0", **shared) as one,
        running_server(tmp_path / "1", **shared) as other,
    ):
        yield one, other


async def _apart(server: RunningServer, one: Account, other: Account, *, apart: bool) -> None:
    await until(lambda: server.ctx.blocks.are_apart(one.id, other.id) is apart, PATIENCE)


async def test_a_block_holds_in_the_other_process_and_ends_there_too(pair: Pair) -> None:
    here, there = pair
    alice, bob, carol = [await new_account(here) for _ in range(3)]
    async with (
        SocketIOFace.open(here, alice) as one,
        SocketIOFace.open(there, bob) as other,
        GraphQLFace.open(there, carol) as witness,
    ):
        await one.events.expect(lambda e: e[0] == "user:online" and bob.id in e[1])
        await other.events.expect(lambda e: e[0] == "user:online" and alice.id in e[1])
        await other.send("before", alice.id)
        await block(here, alice, bob)
        await one.events.expect(lambda e: e == ("user:offline", bob.id), PATIENCE)
        await other.events.expect(lambda e: e == ("user:offline", alice.id), PATIENCE)
        with pytest.raises(Refused, match="Receiver not found"):
            await other.send("after", alice.id)
        await one.send("hers")
        await other.send("his")
        last = await witness.send("last")
        for face, hidden in ((one, "his"), (other, "hers")):
            await face.hear(last.content)
            assert hidden not in {seen.content for seen in face.inbox.items}
        async with RestFace.open(there, bob) as rest:
            assert "hers" not in {seen.content for seen in await rest.history()}
        mark = len(other.events.items)
        await unblock(here, alice, bob)
        await other.events.expect(
            lambda e: e[0] == "user:online" and alice.id in e[1] and e in other.events.items[mark:],
            PATIENCE,
        )
        await other.send("again", alice.id)
        await one.hear("again")


async def test_blocks_travel_while_redis_is_away(pair: Pair, redis: Redis) -> None:
    here, there = pair
    alice, bob = await new_account(here), await new_account(there)
    await asyncio.to_thread(redis.kill)
    try:
        for blocker, blocked, near, far in ((alice, bob, here, there), (bob, alice, there, here)):
            await block(near, blocker, blocked)
            await _apart(far, alice, bob, apart=True)
            await unblock(near, blocker, blocked)
            await _apart(far, alice, bob, apart=False)
    finally:
        await asyncio.to_thread(redis.start)


async def test_both_processes_end_with_what_is_stored(pair: Pair) -> None:
    alice, bob = await new_account(pair[0]), await new_account(pair[0])
    for turn in range(6):
        changes = [block, unblock] if turn % 2 else [unblock, block]
        await asyncio.gather(
            *(change(server, alice, bob) for change, server in zip(changes, pair, strict=True))
        )
    await block(pair[0], alice, bob)
    await unblock(pair[1], alice, bob)
    await block(pair[1], alice, bob)
    for server in pair:
        await _apart(server, alice, bob, apart=True)
    await unblock(pair[0], alice, bob)
    for server in pair:
        await _apart(server, alice, bob, apart=False)
        assert not server.ctx.blocks.apart
