"""DIRECTORY=everyone|contacts|off: whom a user finds and sees online, on every face."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from operator import eq
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import fresh_database_url
from tests.schema.client import open_socket
from tests.support.faces import FACES, Account, GraphQLFace, SocketIOFace, new_account
from tests.support.server import RunningServer, running_server
from tests.test_privacy import asked, graphql

each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)


@pytest.fixture(scope="module", params=["contacts", "off"])
def server(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server that hides people, by each setting, on each engine."""
    directory = tmp_path_factory.mktemp(f"directory-{engine}")
    url = fresh_database_url(engine, request, directory)
    with running_server(directory, database_url=url, directory=request.param) as server:
        yield server


def hides_contacts(server: RunningServer) -> bool:
    """Whether even those who have written to each other are hidden."""
    return server.settings.directory == "off"


FINDING = """query($id: ID!, $node: ID!, $name: String!) {
  user(id: $id) { displayName online lastSeenAt }
  node(id: $node) { globalId }
  nodes(ids: [$node]) { globalId }
  users(search: $name) { nodes { id } }
  onlineUsers { id }
}"""


async def node_id(server: RunningServer, account: Account) -> str:
    """Return the account's global id."""
    found: str = (await graphql(server, account, "{ me { globalId } }"))["me"]["globalId"]
    return found


async def finds(server: RunningServer, who: Account, whom: Account) -> dict[str, Any]:
    """Return what each way of finding a person who is online tells of them."""
    node = await node_id(server, whom)
    found = await graphql(server, who, FINDING, id=whom.id, node=node, name=whom.name)
    everybody = [user["id"] for user in found["users"]["nodes"]]
    page = await graphql(server, who, "{ users(first: 200) { nodes { id } } }")
    assert (str(whom.id) in [u["id"] for u in page["users"]["nodes"]]) is (
        str(whom.id) in everybody
    )
    return {
        "user": found["user"],
        "node": found["node"] is not None,
        "nodes": found["nodes"] != [None],
        "listed": str(whom.id) in everybody,
        "online": str(whom.id) in [user["id"] for user in found["onlineUsers"]],
    }


def hidden() -> dict[str, Any]:
    return {"user": None, "node": False, "nodes": False, "listed": False, "online": False}


def shown(account: Account) -> dict[str, Any]:
    user = {"displayName": account.name, "online": True, "lastSeenAt": None}
    return {"user": user, "node": True, "nodes": True, "listed": True, "online": True}


async def people(server: RunningServer, number: int) -> list[Account]:
    return [await new_account(server, f"name {uuid4().hex}") for _ in range(number)]


async def test_a_stranger_is_as_missing(server: RunningServer) -> None:
    alice, bob = await people(server, 2)
    async with SocketIOFace.open(server, bob):
        assert await finds(server, alice, bob) == hidden()
        query = "query($id: ID!) { user(id: $id) { id } }"
        there, none = [await asked(server, alice, query, id=id_) for id_ in (bob.id, 2**40)]
        assert there == none == {"data": {"user": None}}
        for name in ("blockUser", "unblockUser"):
            query = f"mutation($id: ID!) {{ {name}(id: $id) {{ displayName }} }}"
            there, none = [await asked(server, alice, query, id=id_) for id_ in (bob.id, 2**40)]
            assert there == none
            assert there["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        query = "query($id: ID!) { messages(with: $id) { nodes { id } } }"
        there, none = [await asked(server, alice, query, id=id_) for id_ in (bob.id, 2**40)]
        assert there == none
        assert there["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_one_finds_oneself(server: RunningServer) -> None:
    [alice] = await people(server, 1)
    async with SocketIOFace.open(server, alice) as face:
        assert await finds(server, alice, alice) == shown(alice)
        await face.events.expect(lambda event: event == ("user:online", [alice.id]))


@each_face
async def test_those_who_wrote_to_each_other_find_each_other(
    server: RunningServer, face: Any
) -> None:
    alice, bob, carol = await people(server, 3)
    async with AsyncExitStack() as stack:
        for account in (alice, bob):
            await stack.enter_async_context(GraphQLFace.open(server, account))
        async with face.open(server, alice) as sender:
            await sender.send("hello", bob.id)
        for one, other in ((alice, bob), (bob, alice)):
            wanted = hidden() if hides_contacts(server) else shown(other)
            assert await finds(server, one, other) == wanted
            assert await finds(server, carol, other) == hidden()


async def test_a_message_names_its_people_and_shows_no_more(server: RunningServer) -> None:
    alice, bob = await people(server, 2)
    async with SocketIOFace.open(server, alice) as sender:
        sent = await sender.send("to everybody")
        query = (
            "query($id: ID!) { message(id: $id) { sender"
            " { displayName email online lastSeenAt } } }"
        )
        found = (await graphql(server, bob, query, id=sent.id))["message"]["sender"]
        assert found == {
            "displayName": alice.name,
            "email": None,
            "online": False,
            "lastSeenAt": None,
        }
        assert await finds(server, bob, alice) == hidden()


async def test_whoever_wrote_to_one_can_be_blocked(server: RunningServer) -> None:
    alice, bob, carol = await people(server, 3)
    async with SocketIOFace.open(server, bob) as sender:
        await sender.send("to alice", alice.id)
        await sender.send("to everybody")
    query = "mutation($id: ID!) { blockUser(id: $id) { displayName blocked } }"
    for who in (alice, carol):
        answer = await graphql(server, who, query, id=bob.id)
        assert answer["blockUser"] == {"displayName": bob.name, "blocked": True}
        listed = await graphql(server, who, "{ blockedUsers { displayName } }")
        assert listed["blockedUsers"] == [{"displayName": bob.name}]
        end = "mutation($id: ID!) { unblockUser(id: $id) { blocked } }"
        assert (await graphql(server, who, end, id=bob.id))["unblockUser"] == {"blocked": False}


async def test_a_contact_is_found_by_an_exact_address(server: RunningServer) -> None:
    alice, bob = await people(server, 2)
    query = "query($e: String!) { userByEmail(email: $e) { displayName email online } }"
    found = (await graphql(server, alice, query, e=bob.email.upper()))["userByEmail"]
    if hides_contacts(server):
        assert found is None
    else:
        assert found == {"displayName": bob.name, "email": None, "online": False}
    assert (await graphql(server, alice, query, e=f"x{bob.email}"))["userByEmail"] is None
    refused = await asked(server, alice, query, e="no address")
    assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    stranger = await asked(server, None, query, e=bob.email)
    assert stranger["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_older_client_is_told_of_contacts_alone(server: RunningServer) -> None:
    alice, bob, carol = await people(server, 3)
    async with AsyncExitStack() as stack:
        faces = [
            await stack.enter_async_context(SocketIOFace.open(server, account))
            for account in (alice, bob, carol)
        ]
        one, two, three = faces
        for face, own in ((one, alice), (two, bob), (three, carol)):
            await face.events.expect(partial(eq, ("user:online", [own.id])))
        await one.send("hello", bob.id)
        if not hides_contacts(server):
            for face in (one, two):
                await face.events.expect(partial(eq, ("user:online", [alice.id, bob.id])))
        await two._client.disconnect()
        if not hides_contacts(server):
            await one.events.expect(lambda event: event == ("user:offline", bob.id))
        else:
            await asyncio.sleep(server.settings.presence_grace_seconds + 0.5)
        for face, own in ((one, alice), (three, carol)):
            told = [event for event in face.events.items if event[0].startswith("user:")]
            wanted: list[tuple[str, Any]] = [("user:online", [own.id])]
            if face is one and not hides_contacts(server):
                wanted += [("user:online", [alice.id, bob.id]), ("user:offline", bob.id)]
            assert told == wanted


async def test_a_subscription_tells_of_contacts_alone_also_of_new_ones(
    server: RunningServer,
) -> None:
    alice, bob, carol = await people(server, 3)
    fields = "{ user { id displayName } online }"
    async with open_socket(server, alice) as socket, GraphQLFace.open(server, bob) as friend:
        await socket.subscribe("all", f"subscription {{ presence {fields} }}")
        ids = [str(bob.id), str(carol.id)]
        query = f"subscription($ids: [ID!]) {{ presence(userIds: $ids) {fields} }}"
        await socket.subscribe("some", query, {"ids": ids})
        await socket.settle()
        async with GraphQLFace.open(server, carol):
            sent = await friend.send("hello", alice.id)
            assert sent.receiver_id == alice.id
            if not hides_contacts(server):
                for id_, before in (("all", [str(alice.id)]), ("some", [])):
                    for user in [*before, str(bob.id)]:
                        told = (await socket.expect(id=id_))["payload"]["data"]["presence"]
                        assert (told["user"]["id"], told["online"]) == (user, True)
        await asyncio.sleep(server.settings.presence_grace_seconds + 0.5)
        await socket.settle()
        left = [message for message in socket.inbox if message.get("id") in {"all", "some"}]
        heard = {message["payload"]["data"]["presence"]["user"]["id"] for message in left}
        assert heard <= {str(alice.id)}  # and nothing of Carol, who came and went


async def test_a_block_of_somebody_hidden_tells_nobody(server: RunningServer) -> None:
    alice, bob = await people(server, 2)
    async with SocketIOFace.open(server, bob) as victim, SocketIOFace.open(server, alice) as face:
        await victim.send("to everybody")
        query = "mutation($id: ID!) { blockUser(id: $id) { id } }"
        await graphql(server, alice, query, id=bob.id)
        await asyncio.sleep(0.5)
        for one, own in ((victim, bob), (face, alice)):
            told = [event for event in one.events.items if event[0].startswith("user:")]
            assert told == [("user:online", [own.id])]


async def test_everybody_is_found_by_default(chat: RunningServer) -> None:
    alice, bob = await people(chat, 2)
    async with SocketIOFace.open(chat, bob):
        assert await finds(chat, alice, bob) == shown(bob)
        query = "query($e: String!) { userByEmail(email: $e) { displayName } }"
        found = await graphql(chat, alice, query, e=bob.email)
        assert found["userByEmail"] == {"displayName": bob.name}
    info = await graphql(chat, None, "{ serverInfo { directory } }")
    assert info["serverInfo"] == {"directory": "EVERYONE"}


async def test_look_ups_by_address_have_a_rate(tmp_path_factory: Any) -> None:
    limited = {"limits": True, "email_lookups_per_user": "2/hour"}
    with running_server(tmp_path_factory.mktemp("rate"), directory="contacts", **limited) as server:
        alice, bob = await people(server, 2)
        query = "query($e: String!) { userByEmail(email: $e) { id } }"
        answers = [await asked(server, alice, query, e=bob.email) for _ in range(3)]
        assert [answer.get("errors") is None for answer in answers] == [True, True, False]
        assert answers[2]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
