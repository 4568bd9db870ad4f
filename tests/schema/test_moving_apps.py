"""Chat apps that come back on another process of the same database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import fresh_database_url
from tests.schema.test_chat_apps import (
    ADD,
    DELETE,
    EDIT,
    GROUP,
    LIBRARIES,
    REACT,
    SEND_IN,
    Library,
    People,
    Person,
    assert_in_step,
    change_everything,
    running_app,
)
from tests.support.cut import CuttableProxy, cuttable
from tests.support.faces import GraphQLFace, new_account
from tests.support.server import RunningServer, running_server

APPS = {name: LIBRARIES[name] for name in ("Apollo Client 3", "Apollo Client 4", "urql")}


class Pair(NamedTuple):
    """Two processes on one database; Alice's app is on one of them, the others are on the other."""

    here: RunningServer
    there: RunningServer
    people: People
    network: CuttableProxy


@pytest.fixture
async def pair(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    settings: dict[str, Any] = {"database_url": fresh_database_url("mariadb", request, tmp_path)}
    async with AsyncExitStack() as stack:
        here, there = (
            stack.enter_context(running_server(tmp_path / name, **settings)) for name in ("a", "b")
        )
        faces = [
            await stack.enter_async_context(GraphQLFace.open(there, await new_account(there, name)))
            for name in ("Alice", "Bob", "Carol", "Dave")
        ]
        network = await stack.enter_async_context(cuttable(here.settings.port))
        yield Pair(here, there, People(*map(Person, faces)), network)


@pytest.mark.parametrize("library", APPS.values(), ids=APPS.keys())
async def test_an_app_comes_back_on_another_process(library: Library, pair: Pair) -> None:
    here, there, people, network = pair
    alice, bob, carol, _ = people
    said = {text: await bob.send(text, alice) for text in ("one", "two", "three", "four")}
    hello = await carol.send("hello", alice)
    group = (await bob.do(GROUP, title="Us", ids=[alice.id]))["id"]
    async with running_app(library, network.url, alice) as app:
        listed = (await app.ask("list"))["conversations"]["edges"]
        [at_bob] = [
            e["node"]["id"] for e in listed if (e["node"]["peer"] or {}).get("id") == bob.id
        ]
        await app.ask("open", id=at_bob)
        await app.ask("open", id=group)
        await app.ask("follow")
        await bob.do(SEND_IN, id=group, c="in the group")
        await app.shows("in the group")
        await app.mutate("react", id=said["one"], emoji="👍")
        await app.mutate("markRead", id=at_bob, upTo=said["two"])
        await app.send(at_bob, "five")
        await app.shows("one", "five")

        await network.cut()
        await change_everything(people, hello, said)
        await bob.do(ADD, id=group, ids=[carol.id])
        late = (await carol.do(SEND_IN, id=group, c="I am new"))["id"]
        await bob.do(REACT, id=late, e="🎉")
        network.lead_to(there.settings.port)
        await network.heal()
        await bob.send("back", alice)
        await app.shows("one", "back")

        # And once more, to where it was.
        await network.cut()
        await carol.do(EDIT, id=late, c="I was new")
        await carol.do(DELETE, id=late)
        network.lead_to(here.settings.port)
        await network.heal()
        await bob.do(SEND_IN, id=group, c="the end")
        await app.shows("in the group", "the end")
        compared = await app.ask("compare")
    assert_in_step(compared)
    contents = [
        e["node"]["content"] for e in compared["cached"][1]["conversation"]["messages"]["edges"]
    ]
    assert contents == await bob.said_with(alice)
    cursors = [m["event"]["cursor"] for m in app.node.inbox if m["type"] == "event"]
    assert len(cursors) == len(set(cursors))
