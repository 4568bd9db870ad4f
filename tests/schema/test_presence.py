"""`presence` in GraphQL: whom it tells of, and that a crowd's changes reach every watcher."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from events.slices import Pace
from resolvers.people.presence import MAX_WATCHED_USERS
from tests.compat.test_avatars import with_picture
from tests.schema.client import open_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer

WATCH = "subscription($ids: [ID!]) { presence(userIds: $ids) { online user { id } } }"


def _change(message: dict[str, Any]) -> tuple[str, bool]:
    change = message["payload"]["data"]["presence"]
    return change["user"]["id"], change["online"]


async def test_who_names_whom_to_watch_hears_of_nobody_else(sqlite_chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(sqlite_chat) for _ in range(3)]
    async with open_socket(sqlite_chat, alice) as socket:
        ids = [str(bob.id), str(bob.id), "999999", "nonsense", "0", str(alice.id)]
        await socket.subscribe("p", WATCH, {"ids": ids})
        assert _change(await socket.expect(id="p")) == (str(alice.id), True)
        async with open_socket(sqlite_chat, carol), open_socket(sqlite_chat, bob):
            assert _change(await socket.expect(id="p")) == (str(bob.id), True)
        assert _change(await socket.expect(id="p")) == (str(bob.id), False)
        await socket.subscribe("none", WATCH, {"ids": []})
        await socket.subscribe("many", WATCH, {"ids": ["1"] * (MAX_WATCHED_USERS + 1)})
        refused = await socket.expect(id="many")
        assert refused["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        await socket.settle()
        assert socket.inbox == []


async def test_watchers_of_any_id_and_document_hear_the_same_crowd(
    sqlite_chat: RunningServer,
) -> None:
    watcher = await new_account(sqlite_chat)
    crowd = [await new_account(sqlite_chat) for _ in range(8)]
    documents = [
        "subscription { presence { online user { id } } }",
        "subscription { presence { user { id displayName } online lastSeenAt } }",
        "subscription { presence { online user { id online email } } }",  # made for each viewer
    ]
    ids = ["p", "0b4e1e52-6f4c-4b8b-9d55-0ad4b7f4f6a1", 'q"\\é', "x" * 200]
    async with open_socket(sqlite_chat, watcher) as socket, AsyncExitStack() as stack:
        names = [f"{id_}{number}" for id_ in ids for number in range(len(documents))]
        for number, name in enumerate(names):
            await socket.subscribe(name, documents[number % len(documents)])
            assert _change(await socket.expect(id=name)) == (str(watcher.id), True)
        await asyncio.gather(
            *(stack.enter_async_context(open_socket(sqlite_chat, one)) for one in crowd)
        )
        for name in names:
            heard = [_change(await socket.expect(id=name)) for _ in crowd]
            assert sorted(heard) == sorted((str(one.id), True) for one in crowd)


async def test_a_crowd_with_its_pictures_is_shown_as_cheaply(
    sqlite_chat: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is the same for everybody is made once, also where a function makes it."""

    async def turn(pace: Pace) -> None:
        raise AssertionError("an event was made for one viewer")

    watcher = await new_account(sqlite_chat)
    crowd = [await new_account(sqlite_chat) for _ in range(3)]
    pictures = [await with_picture(sqlite_chat, one) for one in crowd]
    document = "subscription { presence { online user { id avatarUrl } } }"
    monkeypatch.setattr(Pace, "turn", turn)
    async with open_socket(sqlite_chat, watcher) as socket, AsyncExitStack() as stack:
        for name in ("a", "b"):
            await socket.subscribe(name, document)
            await socket.expect(id=name)
        for one in crowd:
            await stack.enter_async_context(open_socket(sqlite_chat, one))
        for name in ("a", "b"):
            heard = [(await socket.expect(id=name))["payload"] for _ in crowd]
            users = [change["data"]["presence"]["user"] for change in heard]
            assert {user["avatarUrl"] for user in users} == {one["small"] for one in pictures}
