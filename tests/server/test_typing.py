"""Typing between two processes, with Redis and while it is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schema.client import open_socket
from tests.support.faces import GraphQLFace, new_account
from tests.support.redis import Redis, redis_server
from tests.support.server import RunningServer, running_server

WATCH = "subscription { typing { activity user { id } } }"
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


async def test_it_is_seen_in_the_other_process_and_ends_there_by_a_message(pair: Pair) -> None:
    here, there = pair
    alice, bob = await new_account(here), await new_account(here)
    async with GraphQLFace.open(here, alice) as face, open_socket(there, bob) as socket:
        await socket.subscribe("t", WATCH)
        await socket.settle()
        await face.execute("mutation($with: ID) { setTyping(with: $with) }", {"with": str(bob.id)})
        for activity in ("TYPING", "NONE"):
            change = (await socket.expect(id="t"))["payload"]["data"]["typing"]
            assert change == {"activity": activity, "user": {"id": str(alice.id)}}
            if activity == "TYPING":
                await face.send("x", str(bob.id))
        assert (alice.id, bob.id) in there.ctx.typing.known
