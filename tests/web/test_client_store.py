"""web/client's store after everything has changed: what a new client queries."""

import asyncio
from typing import Any

import pytest

from tests.support.cut import cuttable
from tests.support.faces import GraphQLFace
from tests.support.node import run_node
from tests.support.server import RunningServer
from tests.web.client_app import AGAIN_SECONDS, another_person, client_app

PARTS = "{ id conversationId }"
SEND = f"""mutation($to: ID, $in: ID, $c: String!, $re: ID) {{
  sendMessage(receiverId: $to, conversationId: $in, content: $c, replyToId: $re) {PARTS} }}"""
EDIT = f"mutation($id: ID!, $c: String!) {{ editMessage(id: $id, content: $c) {PARTS} }}"
DELETE = f"mutation($id: ID!) {{ deleteMessage(id: $id) {PARTS} }}"
REACT = f"mutation($id: ID!, $e: String!) {{ addReaction(messageId: $id, emoji: $e) {PARTS} }}"
READ = "mutation($with: ID!, $id: ID!) { markRead(with: $with, upTo: $id) { id } }"
DELIVERED = "mutation($id: ID!) { markDelivered(upTo: $id) }"
PROFILE = "mutation($n: String!) { updateProfile(displayName: $n, statusText: $n) { id } }"
GROUP = "mutation($t: String!, $ids: [ID!]!) { createGroup(title: $t, memberIds: $ids) { id } }"
REMOVE = """mutation($id: ID!, $user: ID!) {
  removeMember(conversationId: $id, userId: $user) { id } }"""
HIDE = "mutation { updateSettings(readReceipts: false) { readReceipts } }"
RENAME = "mutation($id: ID!, $t: String!) { updateGroup(conversationId: $id, title: $t) { id } }"


async def do(face: GraphQLFace, mutation: str, **variables: Any) -> Any:
    """The answer of the mutation's only field."""
    [answer] = (await face.execute(mutation, variables)).values()
    return answer


def id_of(face: GraphQLFace) -> str:
    assert face.account is not None
    return str(face.account.id)


async def test_what_changed_during_a_cut_is_in_the_store_afterwards(
    sqlite_chat: RunningServer,
) -> None:
    async with (
        cuttable(sqlite_chat.settings.port) as network,
        another_person(sqlite_chat, "Bob") as bob,
        another_person(sqlite_chat, "Carol") as carol,
        client_app(network.url, pageSize=4) as app,
    ):
        alice = await app.register("Alice")
        said = [(await do(bob, SEND, to=alice, c=f"said {n}"))["id"] for n in range(7)]
        left = (await do(bob, GROUP, t="Left", ids=[alice]))["id"]
        kept = (await do(bob, GROUP, t="Kept", ids=[alice, id_of(carol)]))["id"]
        await do(bob, SEND, **{"in": kept}, c="in the group")
        hello = await do(carol, SEND, to=alice, c="hello")
        await app.hears("hello")
        await app.call("open", {"with": id_of(bob)})
        await app.call("open", {"conversationId": kept})
        mine = (await app.call("message", said[0]))["id"]
        await app.call("react", mine, "👍")
        await app.assert_in_step()

        await network.cut()
        await do(bob, EDIT, id=said[6], c="edited")
        await do(bob, EDIT, id=said[0], c="older than what is loaded")
        await do(bob, DELETE, id=said[5])
        await do(bob, REACT, id=said[4], e="❤️")
        reply = await do(bob, SEND, to=alice, c="a reply", re=said[6])
        await do(bob, EDIT, id=said[6], c="edited after the reply")
        await do(bob, READ, **{"with": alice, "id": reply["id"]})
        await do(carol, DELIVERED, id=reply["id"])
        await do(carol, DELETE, id=hello["id"])
        await do(bob, PROFILE, n="Robert")
        await do(carol, HIDE)
        await do(bob, RENAME, id=kept, t="Renamed")
        await do(bob, SEND, **{"in": left}, c="while she is in it")
        await do(bob, REMOVE, id=left, user=alice)
        await do(bob, SEND, **{"in": left}, c="without her")
        await do(
            bob,
            SEND,
            **{"in": (await do(carol, GROUP, t="New", ids=[alice, id_of(bob)]))["id"]},
            c="welcome",
        )
        await do(carol, SEND, c="to everybody")
        await network.heal()
        await do(bob, SEND, **{"in": kept}, c="the end")
        await app.hears("the end")
        shown = await app.assert_in_step()
        titles = {each["title"]: each for each in shown["conversations"]}
        assert titles["Left"]["lastMessage"]["content"] == "while she is in it"
        assert titles["New"]["unreadCount"] == 1
        assert titles["Renamed"]["lastMessage"]["sender"]["displayName"] == "Robert"

        # And live: each change by the app itself, and by others.
        [direct] = [
            each for each in shown["conversations"] if (each["peer"] or {}).get("id") == id_of(bob)
        ]
        while await app.call("loadOlder", direct["id"]):
            pass
        await app.call("markRead", direct["id"])
        await app.queue({"with": id_of(bob)}, "by the app")
        sent = (await app.node.expect_type("sent"))["message"]
        await app.call("edit", sent["id"], "by the app, edited")
        await app.call("react", reply["id"], "🎉")
        await app.call("updateConversation", titles["Renamed"]["id"], {"pinned": True})
        await app.call("updateConversation", titles["Left"]["id"], {"archived": True})
        await app.call("updateSettings", {"readReceipts": False})
        await app.call("updateProfile", {"displayName": "Alicia"})
        await do(bob, READ, **{"with": alice, "id": sent["id"]})
        await do(bob, SEND, to=alice, c="the very end")
        await app.hears("the very end")
        shown = await app.assert_in_step()
        # A block of one's own, while the messages to everybody are open.
        await app.call("open", {"everybody": True})
        await app.call("block", id_of(carol))
        await do(bob, SEND, c="to everybody, by Bob")
        await app.hears("to everybody, by Bob")
        shown = await app.assert_in_step()
        [everybody] = [each for each in shown["threads"] if each["id"] == "1"]
        assert id_of(carol) not in {message["senderId"] for message in everybody["messages"]}
        await app.call("unblock", id_of(carol))
        await do(bob, SEND, c="the very end, to everybody")
        await app.hears("the very end, to everybody")
        shown = await app.assert_in_step()
        assert shown["conversations"][0]["title"] == "Renamed"
        [thread] = [each for each in shown["threads"] if each["id"] == direct["id"]]
        contents = [message["content"] for message in thread["messages"]]
        assert contents[:2] == ["older than what is loaded", "said 1"]
        assert contents[-2:] == ["by the app, edited", "the very end"]


async def test_a_file_is_uploaded_and_sent_from_the_outbox(sqlite_chat: RunningServer) -> None:
    async with (
        cuttable(sqlite_chat.settings.port) as network,
        client_app(network.url) as app,
        another_person(sqlite_chat) as bob,
    ):
        await app.register("Alice")
        await network.cut()
        draft = {
            "content": "a caption",
            "metadata": {"place": [52.5, 13.4]},
            "text": "contents",
            "name": "notes.txt",
        }
        await app.node.send("send", target={"with": id_of(bob)}, draft=draft)
        await app.node.expect_type("queued")
        await network.heal()
        sent = (await app.node.expect_type("sent", 30))["message"]
        assert (sent["kind"], sent["content"]) == ("FILE", "a caption")
        assert sent["metadata"] == {"place": [52.5, 13.4]}
        assert (sent["attachment"]["filename"], sent["attachment"]["size"]) == ("notes.txt", 8)


async def test_a_conversation_that_was_opened_before_it_began_shows_its_messages(
    sqlite_chat: RunningServer,
) -> None:
    async with (
        another_person(sqlite_chat, "Bob") as bob,
        another_person(sqlite_chat, "Carol") as carol,
        client_app(sqlite_chat.url) as app,
    ):
        alice = await app.register("Alice")
        for peer in (bob, carol):
            assert await app.call("open", {"with": id_of(peer)}) is None
        await app.queue({"with": id_of(bob)}, "the first is mine")
        await app.hears("the first is mine")
        await do(carol, SEND, to=alice, c="the first is hers")
        await app.hears("the first is hers")
        async with asyncio.timeout(AGAIN_SECONDS):
            threads: list[list[str]] = []
            while len(threads) < 2:
                shown = await app.assert_in_step()
                threads = [[m["content"] for m in each["messages"]] for each in shown["threads"]]
        assert sorted(threads) == [["the first is hers"], ["the first is mine"]]


@pytest.mark.parametrize(
    ("order", "unread"),
    [
        ("answer first", 14),
        ("query first", 12),  # until the conversation, which it asks for, is queried again
    ],
)
async def test_an_answer_that_overtakes_the_events_before_it_leaves_none_uncounted(
    order: str, unread: int
) -> None:
    run = await run_node("parley_overtaken.mjs", order)
    assert run.lines == [{"type": "shown", "unread": unread, "last": "15", "again": 1}], run.stderr
