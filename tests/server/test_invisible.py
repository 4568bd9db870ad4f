"""Being invisible on every face, in another process, at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.waits import until
from tests.schema.client import open_socket
from tests.support.faces import GraphQLFace, SocketIOFace, new_account
from tests.support.redis import Redis, redis_server
from tests.support.server import RunningServer, running_server

SET = "mutation($p: PresenceSetting) { updateSettings(presence: $p) { presence } }"
WATCH = "subscription { presence { online lastSeenAt user { id } } }"
USER = "query($id: ID!) { user(id: $id) { online lastSeenAt } onlineUsers { id } }"
Pair = tuple[RunningServer, RunningServer]


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture
def pair(redis: Redis, tmp_path: Path, database_url: str) -> Iterator[Pair]:
    """Two servers of one database, whose users are online long after they left."""
    shared: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": redis.url,
        "redis_prefix": tmp_path.name,
        "presence_grace_seconds": 60,
    }
    with (
        running_server(tmp_path / "0", **shared) as one,
        running_server(tmp_path / "1", **shared) as other,
    ):
        yield one, other


async def test_every_face_of_every_process_shows_one_offline_at_once(pair: Pair) -> None:
    here, there = pair
    alice, bob, carol = [await new_account(here) for _ in range(3)]
    async with (
        GraphQLFace.open(here, alice) as hers,
        SocketIOFace.open(there, alice),
        SocketIOFace.open(there, bob) as his,
        open_socket(there, carol) as socket,
    ):
        await his.events.expect(lambda e: e[0] == "user:online" and alice.id in e[1])
        await socket.subscribe("p", WATCH)
        seen: dict[str, Any] = {}

        async def until_shown(online: bool) -> Any:
            while seen.get("id") != str(alice.id) or seen["online"] is not online:
                message = await socket.expect(id="p")
                change = message["payload"]["data"]["presence"]
                seen.update(change, id=change["user"]["id"])
            return seen

        await until_shown(True)
        shown = await hers.execute(SET, {"p": "INVISIBLE"})
        assert shown == {"updateSettings": {"presence": "INVISIBLE"}}
        left = await until_shown(False)
        assert left["lastSeenAt"] is not None
        await his.events.expect(lambda e: e == ("user:offline", alice.id))
        found = await socket.execute(USER, {"id": str(alice.id)})
        assert found["data"]["user"] == {"online": False, "lastSeenAt": left["lastSeenAt"]}
        assert {"id": str(alice.id)} not in found["data"]["onlineUsers"]
        own = await hers.execute("{ settings { presence } me { online } }")
        assert own == {"settings": {"presence": "INVISIBLE"}, "me": {"online": True}}
        mark = len(his.events.items)
        async with SocketIOFace.open(there, carol):
            await his.events.expect(
                lambda e: e[0] == "user:online" and carol.id in e[1] and alice.id not in e[1]
            )
        await hers.execute(SET, {"p": "VISIBLE"})
        await until_shown(True)
        await his.events.expect(
            lambda e: (
                e[0] == "user:online"
                and alice.id in e[1]
                and any(e is later for later in his.events.items[mark:])
            )
        )
        await until(lambda: here.ctx.presence.is_online(alice.id), 5)
