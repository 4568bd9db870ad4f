"""Chat apps with other people's GraphQL clients: what they keep stays what the server has."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import zip_longest
from typing import Any, NamedTuple

import pytest

from tests.support.cut import CuttableProxy, cuttable
from tests.support.faces import GraphQLFace, new_account
from tests.support.node import Message, NodeProcess, node_process, run_node
from tests.support.server import RunningServer

OPAQUE = {"cursor", "startCursor", "endCursor"}  # of the page that they came with
RECONNECT_SECONDS = 20

SEND = """mutation($to: ID, $c: String!) {
  sendMessage(receiverId: $to, content: $c) { id conversationId } }"""
EDIT = "mutation($id: ID!, $c: String!) { editMessage(id: $id, content: $c) { id } }"
DELETE = "mutation($id: ID!) { deleteMessage(id: $id) { id } }"
REACT = "mutation($id: ID!, $e: String!) { addReaction(messageId: $id, emoji: $e) { id } }"
UNREACT = "mutation($id: ID!, $e: String!) { removeReaction(messageId: $id, emoji: $e) { id } }"
READ = "mutation($with: ID!, $id: ID!) { markRead(with: $with, upTo: $id) { id } }"
DELIVERED = "mutation($id: ID!) { markDelivered(upTo: $id) }"
PIN = "mutation($with: ID!) { updateConversation(with: $with, pinned: true) { id } }"
GROUP = """mutation($title: String!, $ids: [ID!]!) {
  createGroup(title: $title, memberIds: $ids) { id } }"""
ADD = """mutation($id: ID!, $ids: [ID!]!) {
  addMembers(conversationId: $id, userIds: $ids) { id } }"""
REMOVE = """mutation($id: ID!, $user: ID!) {
  removeMember(conversationId: $id, userId: $user) { id } }"""
SEND_IN = """mutation($id: ID!, $c: String!) {
  sendMessage(conversationId: $id, content: $c) { id } }"""
PROFILE = """mutation($name: String, $status: String) {
  updateProfile(displayName: $name, statusText: $status) { id } }"""
HISTORY = "query($with: ID) { messages(with: $with, last: 100) { nodes { content } } }"

# What Alice and Bob have said in the end; an empty text is a deleted message.
AT_THE_END = ["one", "", "three!", "four!", "", "lost", "five", "six, of my phone", "the end"]
STREAM = "text/event-stream"


class Library(NamedTuple):
    """A client library, and how it is set up."""

    script: str
    options: dict[str, Any]


def apollo(version: int, transport: str) -> Library:
    return Library("chat/apollo.mjs", {"version": version, "transport": transport})


def urql(transport: str) -> Library:
    return Library("chat/urql.mjs", {"transport": transport})


LIBRARIES = {
    "Apollo Client 3": apollo(3, "ws"),
    "Apollo Client 4": apollo(4, "ws"),
    "Apollo Client 4, anew": apollo(4, "ws anew"),
    "Apollo Client 4, SSE": apollo(4, "sse"),
    "urql": urql("ws"),
    "urql, SSE": urql("sse"),
    "urql, fetch": urql("fetch"),
}


class Person:
    """Somebody who chats past the cut: another person, or the same one on another device."""

    def __init__(self, face: GraphQLFace) -> None:
        assert face.account is not None
        self.face = face
        self.token = face.account.token
        self.id = str(face.account.id)

    async def do(self, mutation: str, **variables: Any) -> Any:
        """The answer of the mutation's only field."""
        [answer] = (await self.face.execute(mutation, variables)).values()
        return answer

    async def send(self, content: str, to: "Person | None") -> str:
        """Send a message; its id."""
        sent = await self.do(SEND, c=content, to=to and to.id)
        return str(sent["id"])

    async def said_with(self, other: "Person") -> list[str]:
        """What the two have said."""
        page = (await self.face.execute(HISTORY, {"with": other.id}))["messages"]
        return [node["content"] for node in page["nodes"]]


class People(NamedTuple):
    """Who chats: Alice has the app, and is here with another device of hers."""

    alice: Person
    bob: Person
    carol: Person
    dave: Person


class App:
    """A chat app in a Node process."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node

    async def ask(self, command: str, **fields: Any) -> Any:
        """Give a command and wait for its answer."""
        await self.node.send(command, **fields)
        return await self.answer(command)

    async def answer(self, command: str) -> Any:
        """The answer to a command that was given."""
        answer = await self.node.expect(
            lambda message: message.get("of") == command, RECONNECT_SECONDS
        )
        assert answer["type"] == "done", answer["message"]
        return answer["data"]

    async def send(self, conversation: str, content: str) -> str:
        """Send a message; its id."""
        answer = await self.ask("send", id=conversation, content=content)
        return str(answer["sendMessage"]["id"])

    async def mutate(self, name: str, **variables: Any) -> None:
        """Change something by a document of the app."""
        await self.ask("mutate", name=name, variables=variables)

    async def shows(self, *contents: str) -> Message:
        """Wait until the open conversation has these contents."""
        return await self.node.expect(
            lambda message: (
                message["type"] == "shown"
                and set(contents) <= {item["content"] for item in message["messages"]}
            ),
            RECONNECT_SECONDS,
        )


@asynccontextmanager
async def running_app(
    library: Library, url: str, owner: Person, **options: Any
) -> AsyncIterator[App]:
    options |= {**library.options, "token": owner.token, "me": owner.id}
    async with node_process(library.script, f"{url}/graphql", options) as node:
        yield App(node)


# What goes over HTTP is the same whatever carries the events.
each_library_once = pytest.mark.parametrize(
    "library", ["Apollo Client 3", "Apollo Client 4", "urql"], indirect=True
)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


@pytest.fixture
async def people(sqlite_chat: RunningServer) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        faces = [
            await stack.enter_async_context(
                GraphQLFace.open(sqlite_chat, await new_account(sqlite_chat, name))
            )
            for name in ("Alice", "Bob", "Carol", "Dave")
        ]
        yield People(*map(Person, faces))


@pytest.fixture
async def network(sqlite_chat: RunningServer) -> AsyncIterator[CuttableProxy]:
    async with cuttable(sqlite_chat.settings.port) as proxy:
        yield proxy


def plain(data: Any) -> Any:
    """The same without what belongs to one page of one query."""
    if isinstance(data, dict):
        return {name: plain(value) for name, value in data.items() if name not in OPAQUE}
    return [plain(item) for item in data] if isinstance(data, list) else data


def differences(cached: Any, fresh: Any, path: str = "") -> list[str]:
    """Where the two differ, one line for each place."""
    if isinstance(cached, dict) and isinstance(fresh, dict):
        names: list[Any] = sorted(cached.keys() | fresh.keys())
        pairs = [(cached.get(name), fresh.get(name)) for name in names]
    elif isinstance(cached, list) and isinstance(fresh, list):
        pairs = list(zip_longest(cached, fresh))
        names = list(range(len(pairs)))
    else:
        return [] if cached == fresh else [f"{path}: {cached!r}, not {fresh!r}"]
    return [
        line
        for name, (left, right) in zip(names, pairs, strict=True)
        for line in differences(left, right, f"{path}.{name}")
    ]


def assert_in_step(compared: Message) -> None:
    """The cache is what new queries give, and nothing went wrong on the way."""
    assert differences(plain(compared["cached"]), plain(compared["fresh"])) == []
    assert compared["faults"] == []


async def change_everything(people: People, hello: str, said: dict[str, str]) -> None:
    """What happens while Alice's app is cut off."""
    alice, bob, carol, dave = people
    await bob.do(EDIT, id=said["four"], c="four!")
    await bob.do(DELETE, id=said["two"])
    await bob.do(REACT, id=said["three"], e="❤️")
    await bob.do(REACT, id=said["one"], e="🎉")
    await alice.do(UNREACT, id=said["one"], e="👍")
    five = await bob.send("five", alice)
    await bob.do(READ, **{"with": alice.id, "id": five})
    await carol.do(DELETE, id=hello)
    await carol.send("are you there?", alice)
    await carol.do(DELIVERED, id=five)
    await alice.send("six, of my phone", bob)
    await alice.do(READ, **{"with": bob.id, "id": said["four"]})
    await alice.do(PIN, **{"with": carol.id})
    await dave.send("a new conversation", alice)
    await bob.do(PROFILE, name="Robert", status="At sea")
    await carol.send("to all", None)


async def test_after_a_cut_the_cache_is_what_a_new_query_gives(
    library: Library, people: People, network: CuttableProxy
) -> None:
    alice, bob, carol, _ = people
    said = {content: await bob.send(content, alice) for content in ("one", "two")}
    hello = await carol.send("hello", alice)
    async with running_app(library, network.url, alice) as app:
        listed = (await app.ask("list"))["conversations"]["edges"]
        [at_bob] = [e["node"]["id"] for e in listed if e["node"]["peer"]["id"] == bob.id]
        await app.ask("open", id=at_bob)
        await app.ask("follow")

        # A message is shown before the server has answered.
        await app.node.send("send", id=at_bob, content="three")
        assert (await app.shows("three"))["messages"][-1]["optimistic"]
        said["three"] = (await app.answer("send"))["sendMessage"]["id"]
        said["four"] = await bob.send("four", alice)
        await app.shows("one", "two", "three", "four")
        await app.mutate("edit", id=said["three"], content="three!")
        await app.mutate("react", id=said["one"], emoji="👍")
        await app.mutate("markRead", id=at_bob, upTo=said["two"])
        await app.mutate("delete", id=await app.send(at_bob, "oops"))

        # The server stores a message; its answer is lost, and then nothing passes.
        network.hold_answers()
        await app.node.send("send", id=at_bob, content="lost")
        await bob.face.hear("lost")
        await network.cut()
        await change_everything(people, hello, said)
        await network.heal()
        await app.answer("send")
        await bob.send("the end", alice)
        await app.shows("the end")
        compared = await app.ask("compare")

    assert_in_step(compared)
    messages = compared["cached"][1]["conversation"]["messages"]["edges"]
    contents = [edge["node"]["content"] for edge in messages]
    assert contents == await bob.said_with(alice)
    assert contents == AT_THE_END
    # Each screen was queried once: what came since then came by events.
    asked = Counter(request["operation"] for request in compared["requests"])
    assert (asked["Conversations"], asked["Open"]) == (1, 1)
    cursors = [m["event"]["cursor"] for m in app.node.inbox if m["type"] == "event"]
    # Each of them came once, unless the library began again where it began first.
    assert (len(cursors) > len(set(cursors))) == (library.options["transport"] == "ws anew")
    # With the headers that each library sends by itself, only subscriptions are streams.
    for request in compared["requests"]:
        assert request["type"].startswith(STREAM) == (request["operation"] == "Events"), request


async def test_graphcache_keeps_the_events_that_wait_for_their_turn() -> None:
    run = await run_node("chat/urql_layers.mjs", "200")
    [lost] = run.lines
    assert lost["inTurn"] == 0
    assert lost["plain"] > 0, "Graphcache keeps them by itself: docs/guides/urql.md need not say it"


async def test_after_an_expired_cursor_the_app_queries_anew(
    library: Library, people: People, sqlite_chat: RunningServer
) -> None:
    alice, bob, *_ = people
    await bob.send("one", alice)
    async with running_app(library, sqlite_chat.url, alice) as app:
        [at_bob] = (await app.ask("list"))["conversations"]["edges"]
        await app.ask("open", id=at_bob["node"]["id"])
        await bob.send("missed", alice)
        await app.ask("follow", cursor=f"{'0' * 12}-1")
        await app.node.expect_type("again", codes=["CURSOR_EXPIRED"])
        await app.shows("one", "missed")
        await bob.send("live", alice)
        await app.shows("one", "missed", "live")
        compared = await app.ask("compare")
    assert_in_step(compared)


@each_library_once
async def test_a_refused_message_is_shown_no_more(
    library: Library, people: People, sqlite_chat: RunningServer
) -> None:
    alice, bob, *_ = people
    await bob.send("one", alice)
    async with running_app(library, sqlite_chat.url, alice) as app:
        [at_bob] = (await app.ask("list"))["conversations"]["edges"]
        id_ = at_bob["node"]["id"]
        await app.ask("open", id=id_)
        for content, code in (("x" * 20_000, "PAYLOAD_TOO_LARGE"), (" ", "BAD_USER_INPUT")):
            await app.node.send("send", id=id_, content=content)
            assert (await app.shows(content))["messages"][-1]["optimistic"]
            await app.node.expect_type("failed", of="send", codes=[code])
        compared = await app.ask("compare")
    assert_in_step(compared)


@each_library_once
async def test_pages_of_a_list_that_moves_lose_and_repeat_nothing(
    library: Library, people: People, sqlite_chat: RunningServer
) -> None:
    alice, bob, carol, dave = people
    for other in (bob, carol, dave):
        await other.send("hello", alice)
    for content in ("two", "three", "four", "five"):
        await dave.send(content, alice)
    async with running_app(library, sqlite_chat.url, alice, page=2) as app:
        listed = (await app.ask("list"))["conversations"]["edges"]
        assert [edge["node"]["peer"]["displayName"] for edge in listed] == ["Dave", "Carol"]
        shown = await app.ask("open", id=listed[0]["node"]["id"])
        messages = shown["conversation"]["messages"]["edges"]
        assert [edge["node"]["content"] for edge in messages] == ["four", "five"]
        await app.ask("follow")
        await dave.send("six", alice)
        await app.shows("six")
        # The third conversation moves to the top before its page is read.
        await bob.send("again", alice)
        await app.node.expect(
            lambda message: (
                message["type"] == "event" and message["event"]["message"]["content"] == "again"
            )
        )
        for _ in range(2):
            await app.ask("more", screen="open")
        await app.ask("more", screen="list")
        compared = await app.ask("compare")
    (listed, opened), (all_, whole) = (
        [plain(item) for item in compared[of]] for of in ("cached", "fresh")
    )
    assert listed["conversations"]["edges"] == all_["conversations"]["edges"]
    assert opened["conversation"]["messages"]["edges"] == whole["conversation"]["messages"]["edges"]
    assert len(opened["conversation"]["messages"]["edges"]) == 6
    assert compared["faults"] == []


@each_library_once
async def test_groups_that_one_enters_and_leaves_while_away(
    library: Library, people: People, network: CuttableProxy
) -> None:
    alice, bob, carol, dave = people
    left = (await bob.do(GROUP, title="Left", ids=[alice.id, carol.id]))["id"]
    kept = (await bob.do(GROUP, title="Kept", ids=[alice.id]))["id"]
    await bob.do(SEND_IN, id=left, c="hello")
    async with running_app(library, network.url, alice) as app:
        listed = (await app.ask("list"))["conversations"]["edges"]
        assert {edge["node"]["title"] for edge in listed} == {"Left", "Kept"}
        await app.ask("open", id=kept)
        await app.ask("follow")
        await bob.do(SEND_IN, id=kept, c="here")
        await app.shows("here")
        await network.cut()
        await bob.do(SEND_IN, id=left, c="still with her")
        await bob.do(REMOVE, id=left, user=alice.id)
        await bob.do(SEND_IN, id=left, c="without her")
        await bob.do(ADD, id=kept, ids=[carol.id])
        await carol.do(SEND_IN, id=kept, c="I am new")
        new = (await dave.do(GROUP, title="New", ids=[alice.id]))["id"]
        await dave.do(SEND_IN, id=new, c="welcome")
        await network.heal()
        await bob.do(SEND_IN, id=kept, c="the end")
        await app.shows("here", "I am new", "the end")
        compared = await app.ask("compare")
    assert_in_step(compared)
    listed = compared["cached"][0]["conversations"]["edges"]
    last = {e["node"]["title"]: e["node"]["lastMessage"]["content"] for e in listed}
    assert last == {"Kept": "the end", "New": "welcome", "Left": "still with her"}
