"""One behaviour, three faces: what a user of any of them can rely on."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.faces import (
    FACES,
    GraphQLFace,
    Refused,
    RestFace,
    SocketIOFace,
    new_account,
)
from tests.support.server import RunningServer

each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
LIVE = (GraphQLFace, SocketIOFace)
each_live_face = pytest.mark.parametrize("face", LIVE, ids=lambda face: face.name)


def some_text() -> str:
    return f"hello {uuid4().hex} 🎉 ünïcode"


@pytest.mark.parametrize("to", FACES, ids=lambda face: f"to-{face.name}")
@pytest.mark.parametrize("frm", FACES, ids=lambda face: f"from-{face.name}")
async def test_a_direct_message_reaches_its_two_people_and_nobody_else(
    chat: RunningServer, frm: Any, to: Any
) -> None:
    alice, bob, carol = [await new_account(chat, name) for name in ("Alice", "Bob", "Carol")]
    text = some_text()
    async with (
        frm.open(chat, alice) as sender,
        to.open(chat, bob) as receiver,
        GraphQLFace.open(chat, carol) as stranger,
        SocketIOFace.open(chat, alice) as other_device,
    ):
        sent = await sender.send(text, bob.id)
        assert (sent.sender_id, sent.receiver_id, sent.content) == (alice.id, bob.id, text)
        assert await receiver.hear(text) == sent
        assert await sender.hear(text) == sent
        assert await other_device.hear(text) == sent
        # What everybody gets, sent later, comes later: until it is here nothing else will be.
        after = some_text()
        await sender.send(after)
        await stranger.hear(after)
        assert text not in [seen.content for seen in stranger.inbox.items]
        assert text not in [seen.content for seen in await stranger.history()]


@each_face
async def test_a_broadcast_reaches_everybody(chat: RunningServer, face: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    text = some_text()
    async with (
        face.open(chat, alice) as sender,
        GraphQLFace.open(chat, bob) as one,
        SocketIOFace.open(chat, bob) as other,
    ):
        sent = await sender.send(text)
        assert sent.receiver_id is None
        assert await one.hear(text) == sent
        assert await other.hear(text) == sent


@each_face
async def test_messages_wait_for_those_who_are_offline(chat: RunningServer, face: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    text = some_text()
    async with face.open(chat, alice) as sender:
        sent = await sender.send(text, bob.id)
    async with face.open(chat, bob) as receiver:
        assert sent in await receiver.history()


@each_live_face
async def test_a_burst_arrives_once_each_in_the_order_sent(chat: RunningServer, face: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    texts = [f"{number} {uuid4().hex}" for number in range(200)]
    async with face.open(chat, alice) as sender, face.open(chat, bob) as receiver:
        sent = await asyncio.gather(*(sender.send(text, bob.id) for text in texts))
        heard = await receiver.inbox.expect_many(lambda seen: seen.sender_id == alice.id, 200)
    assert [seen.content for seen in heard] == texts
    assert heard == sent
    assert [seen.id for seen in heard] == sorted({seen.id for seen in heard})


@each_face
async def test_a_retry_with_the_same_key_is_the_same_message(
    chat: RunningServer, face: Any
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    key, text = uuid4().hex, some_text()
    async with face.open(chat, alice) as sender, GraphQLFace.open(chat, bob) as receiver:
        first, second = await asyncio.gather(
            sender.send(text, bob.id, clientMessageId=key),
            sender.send(text, bob.id, clientMessageId=key),
        )
        third = await sender.send(text, bob.id, clientMessageId=key)
        assert first == second == third
        assert first.client_message_id == key
        with pytest.raises(Refused) as refused:
            await sender.send("something else", bob.id, clientMessageId=key)
        assert refused.value.code == "CONFLICT"
        # Somebody else's keys are their own.
        async with face.open(chat, bob) as other:
            assert (await other.send(text, alice.id, clientMessageId=key)).id != first.id
        end = await sender.send(some_text(), bob.id)
        await receiver.hear(end.content)
        assert [seen.id for seen in receiver.inbox.items].count(first.id) == 1


# Refused before a database is asked, or by the operations, which are tested on each of them.
BAD_SENDS: list[tuple[str, dict[str, Any], str]] = [
    ("empty content", {"content": ""}, "BAD_USER_INPUT"),
    ("blank content", {"content": " \n\t"}, "BAD_USER_INPUT"),
    ("a NUL character", {"content": "a\0b"}, "BAD_USER_INPUT"),
    ("too much content", {"content": "é" * 10_000}, "PAYLOAD_TOO_LARGE"),
    ("an unknown receiver", {"content": "x", "to": 2**40}, "NOT_FOUND"),
    ("a receiver no id can be", {"content": "x", "to": "12x"}, "NOT_FOUND"),
    ("a receiver beyond 64 bits", {"content": "x", "to": 10**30}, "NOT_FOUND"),
    ("a negative receiver", {"content": "x", "to": -1}, "NOT_FOUND"),
    ("text that is no emoji", {"content": "no", "kind": "EMOJI"}, "BAD_USER_INPUT"),
    ("an unknown kind", {"content": "x", "kind": "SMELL"}, "BAD_USER_INPUT"),
    ("a key too long", {"content": "x", "clientMessageId": "k" * 129}, "BAD_USER_INPUT"),
    ("a blank key", {"content": "x", "clientMessageId": " "}, "BAD_USER_INPUT"),
    ("content that is a number", {"content": 7}, "BAD_USER_INPUT"),
    ("content that is a list", {"content": ["x"]}, "BAD_USER_INPUT"),
    ("content that is an object", {"content": {"a": 1}}, "BAD_USER_INPUT"),
    ("a receiver that is a list", {"content": "x", "to": [1]}, "BAD_USER_INPUT"),
]


@each_face
@pytest.mark.parametrize(
    ("bad", "code"), [case[1:] for case in BAD_SENDS], ids=[c[0] for c in BAD_SENDS]
)
async def test_a_bad_send_is_refused_with_its_code_and_nothing_else_happens(
    sqlite_chat: RunningServer, face: Any, bad: dict[str, Any], code: str
) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with face.open(sqlite_chat, alice) as sender:
        good = await sender.send(some_text(), bob.id)
        with pytest.raises(Refused) as refused:
            await sender.send(**{"to": bob.id, **bad})
        assert refused.value.code == code
        assert refused.value.message
        assert "Traceback" not in refused.value.message
        # The same client goes on, and the refused message took no position from anyone it sees.
        next_one = await sender.send(some_text(), bob.id)
        mine = [seen for seen in await sender.history() if seen.sender_id == alice.id]
        assert mine == [good, next_one]


@each_face
async def test_emoji_are_a_kind_of_their_own(chat: RunningServer, face: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with face.open(chat, alice) as sender, face.open(chat, bob) as receiver:
        for emoji in ("🎉", "👩‍👩‍👧‍👦🇫🇷❤️"):
            sent = await sender.send(emoji, bob.id, kind="EMOJI")
            assert sent.kind == "EMOJI"
            assert (await receiver.hear(emoji)).kind == "EMOJI"


@each_face
async def test_emoji_are_recognised_unless_text_is_asked_for(
    sqlite_chat: RunningServer, face: Any
) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with face.open(sqlite_chat, alice) as sender:
        for content, kind in (
            ("👍", "EMOJI"),
            ("❤️👩‍👩‍👧‍👦🇫🇷", "EMOJI"),
            ("👍👍👍👍", "TEXT"),
            ("👍 ok", "TEXT"),
        ):
            assert (await sender.send(content, bob.id)).kind == kind
        assert (await sender.send("👍", bob.id, kind="TEXT")).kind == "TEXT"


@each_face
async def test_a_stranger_is_refused(sqlite_chat: RunningServer, face: Any) -> None:
    async with face.open(sqlite_chat, None) as stranger:
        with pytest.raises(Refused) as refused:
            await stranger.send("hello", 1)
    assert refused.value.code == "UNAUTHENTICATED"


async def test_nothing_reaches_a_socket_that_has_not_logged_in(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    async with (
        SocketIOFace.open(sqlite_chat, None) as stranger,
        SocketIOFace.open(sqlite_chat, alice) as sender,
    ):
        sent = await sender.send(some_text())
        await sender.hear(sent.content)
        # Its own request comes back last: whatever else was for it would be here by now.
        with pytest.raises(Refused):
            await stranger.send("x", alice.id)
        assert stranger.events.items == []


async def test_presence_counts_connections_of_every_face(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    async with (
        GraphQLFace.open(chat, alice) as watcher,
        SocketIOFace.open(chat, alice) as older,
    ):
        assert not await _is_online(watcher, bob.id)
        async with SocketIOFace.open(chat, bob):
            await older.events.expect(lambda e: e[0] == "user:online" and bob.id in e[1])
            async with GraphQLFace.open(chat, bob):
                assert await _is_online(watcher, bob.id)
            # One of two tabs has closed.
            assert await _is_online(watcher, bob.id)
            await asyncio.sleep(chat.settings.presence_grace_seconds * 2)
            assert await _is_online(watcher, bob.id)
            assert ("user:offline", bob.id) not in older.events.items
        await older.events.expect(lambda e: e == ("user:offline", bob.id))
        assert not await _is_online(watcher, bob.id)
        seen = await watcher.execute(
            "query($id: ID!) { user(id: $id) { lastSeenAt } }", {"id": bob.id}
        )
        assert seen["user"]["lastSeenAt"] is not None


async def _is_online(face: GraphQLFace, user_id: int) -> bool:
    query = "query($id: ID!) { user(id: $id) { online } onlineUsers { id } }"
    data = await face.execute(query, {"id": user_id})
    listed = str(user_id) in [user["id"] for user in data["onlineUsers"]]
    assert data["user"]["online"] is listed
    return bool(listed)


async def test_a_reload_is_no_departure(sqlite_chat: RunningServer) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with SocketIOFace.open(sqlite_chat, alice) as watcher:
        async with SocketIOFace.open(sqlite_chat, bob):
            await watcher.events.expect(lambda e: e[0] == "user:online" and bob.id in e[1])
        async with SocketIOFace.open(sqlite_chat, bob):
            await asyncio.sleep(sqlite_chat.settings.presence_grace_seconds * 2)
            assert ("user:offline", bob.id) not in watcher.events.items
        await watcher.events.expect(lambda e: e == ("user:offline", bob.id))


async def test_logins_of_one_face_are_good_on_the_others(chat: RunningServer) -> None:
    email = f"{uuid4().hex}@Example.COM"
    async with httpx.AsyncClient(base_url=chat.url) as http:
        query = (
            'mutation($e: String!) { register(email: $e, password: "123456", displayName: "Zoë")'
            " { token expiresAt user { id email displayName createdAt online } } }"
        )
        answer = await http.post("/graphql", json={"query": query, "variables": {"e": email}})
        payload = answer.json()["data"]["register"]
        assert payload["user"]["email"] == email.lower()
        login = await http.post(
            "/api/auth/login", json={"email": email.upper(), "password": "123456"}
        )
        assert login.status_code == 200, login.text
        assert login.json()["user"] == {
            "id": int(payload["user"]["id"]),
            "email": email.lower(),
            "displayName": "Zoë",
        }
        mine = await http.get(
            "/api/messages", headers={"Authorization": f"Bearer {payload['token']}"}
        )
        assert mine.status_code == 200


async def test_rest_and_graphql_page_through_the_same_history(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with RestFace.open(chat, alice) as sender, GraphQLFace.open(chat, bob) as reader:
        sent = [await sender.send(f"page {number}", bob.id) for number in range(25)]
        pages: list[int] = []
        before = None
        for _ in range(9):
            data = await reader.execute(
                "query($with: ID, $before: String) {"
                " messages(with: $with, last: 10, before: $before) { edges { node { id } }"
                " pageInfo { hasPreviousPage hasNextPage startCursor } } }",
                {"with": alice.id, "before": before},
            )
            page = data["messages"]
            pages = [int(edge["node"]["id"]) for edge in page["edges"]] + pages
            assert page["pageInfo"]["hasNextPage"] is (before is not None)
            before = page["pageInfo"]["startCursor"]
            if not page["pageInfo"]["hasPreviousPage"]:
                break
        assert pages == [seen.id for seen in sent]
