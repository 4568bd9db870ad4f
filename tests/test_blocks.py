"""Blocks on three faces: one neutral answer, nobody seen, nothing heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.schema.client import open_socket
from tests.support.faces import (
    FACES,
    Account,
    Face,
    GraphQLFace,
    Refused,
    SocketIOFace,
    new_account,
)
from tests.support.files import image_file
from tests.support.inbox import Inbox
from tests.support.server import RunningServer, running_server

each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)


async def _graphql(server: RunningServer, account: Account, query: str, **variables: Any) -> Any:
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        body = {"query": query, "variables": {k: str(v) for k, v in variables.items()}}
        result = (await http.post("/graphql", json=body)).json()
    if errors := result.get("errors"):
        raise Refused(errors[0]["extensions"]["code"], errors[0]["message"])
    return result["data"]


async def block(server: RunningServer, who: Account, whom: Account) -> None:
    """Block somebody, over GraphQL."""
    query = "mutation($id: ID!) { blockUser(id: $id) { id blocked } }"
    answer = await _graphql(server, who, query, id=whom.id)
    assert answer == {"blockUser": {"id": str(whom.id), "blocked": True}}


async def unblock(server: RunningServer, who: Account, whom: Account) -> None:
    """End a block, over GraphQL."""
    query = "mutation($id: ID!) { unblockUser(id: $id) { id blocked } }"
    answer = await _graphql(server, who, query, id=whom.id)
    assert answer == {"unblockUser": {"id": str(whom.id), "blocked": False}}


async def _sees(server: RunningServer, who: Account, whom: Account) -> dict[str, Any]:
    query = "query($id: ID!) { user(id: $id) { displayName online lastSeenAt blocked } }"
    seen: dict[str, Any] = (await _graphql(server, who, query, id=whom.id))["user"]
    return seen


async def _refused(face: Face, content: str, to: int | None) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        await face.send(content, to)
    return refused.value.code, refused.value.message


@each_face
async def test_a_blocked_pair_writes_to_nobody(chat: RunningServer, face: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with face.open(chat, alice) as one, face.open(chat, bob) as other:
        sent = await other.send("before", alice.id, clientMessageId="key")
        await one.hear("before")
        await block(chat, alice, bob)
        nobody = await _refused(other, "x", 2**40)
        assert nobody == ("NOT_FOUND", "Receiver not found")
        assert await _refused(other, "x", alice.id) == nobody
        assert await _refused(one, "x", bob.id) == nobody
        assert await other.send("before", alice.id, clientMessageId="key") == sent
        assert sent in await one.history()
        await unblock(chat, alice, bob)
        await other.send("after", alice.id)
        await one.hear("after")


@each_face
async def test_neither_hears_what_the_other_writes_to_everybody(
    chat: RunningServer, face: Any
) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    await block(chat, alice, bob)
    async with AsyncExitStack() as stack:
        faces = [await stack.enter_async_context(face.open(chat, x)) for x in (alice, bob, carol)]
        said = [f"{index} {uuid4().hex}" for index in range(3)]
        for one, content in zip(faces, said, strict=True):
            await one.send(content)
        for one, hidden in zip(faces, (said[1], said[0], None), strict=True):
            await one.hear(said[2])
            history = {seen.content for seen in await one.history()}
            assert {*said} - history == {hidden} - {None}
            assert hidden not in {seen.content for seen in one.inbox.items}


async def test_a_message_and_a_file_of_a_hidden_broadcast_are_not_there(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    headers = [{"Authorization": f"Bearer {account.token}"} for account in (alice, bob)]
    async with httpx.AsyncClient(base_url=chat.url) as http:
        files = {"file": ("a.png", image_file("PNG", 64, 48))}
        kept = (await http.post("/api/uploads", files=files, headers=headers[1])).json()
        body = {"attachmentId": kept["id"]}
        sent = (await http.post("/api/messages/send", json=body, headers=headers[1])).json()
        paths = (f"/files/{kept['id']}", f"/files/{kept['id']}/thumbnail")
        query = "query($m: ID!, $a: ID!) { message(id: $m) { id } attachment(id: $a) { id } }"
        for blocked in (False, True, False):
            for path in paths:
                opened = await http.get(path, headers=headers[0])
                assert opened.status_code == (404 if blocked else 200)
                assert (await http.get(path, headers=headers[1])).status_code == 200
            seen = await _graphql(chat, alice, query, m=sent["id"], a=kept["id"])
            assert (seen["message"] is None) is blocked
            assert (seen["attachment"] is None) is blocked
            await (unblock if blocked else block)(chat, alice, bob)


async def test_both_look_offline_to_each_other_everywhere(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    carol = await new_account(chat)
    async with AsyncExitStack() as stack:
        accounts = (alice, bob, carol)
        older = [
            await stack.enter_async_context(SocketIOFace.open(chat, account))
            for account in accounts
        ]
        watches = [await stack.enter_async_context(_presence(chat, x)) for x in accounts]
        for watch in watches:
            for account in accounts:
                await _expect(watch, account, online=True)
        for face in older:
            await face.events.expect(
                lambda e: e[0] == "user:online" and {x.id for x in accounts} <= {*e[1]}
            )
        await block(chat, alice, bob)
        for index, other in ((0, bob), (1, alice)):
            await older[index].events.expect(lambda e: e == ("user:offline", other.id))  # noqa: B023  # awaited at once
            await _expect(watches[index], other, online=False)
        assert await _sees(chat, alice, bob) == {
            "displayName": "Bob",
            "online": False,
            "lastSeenAt": None,
            "blocked": True,
        }
        assert await _sees(chat, bob, alice) == {
            "displayName": "Alice",
            "online": False,
            "lastSeenAt": None,
            "blocked": False,
        }
        assert (await _sees(chat, carol, bob))["online"]
        for account, other in ((alice, bob), (bob, alice)):
            listed = (await _graphql(chat, account, "{ onlineUsers { id } }"))["onlineUsers"]
            assert {"id": str(other.id)} not in listed
            assert {"id": str(account.id)} in listed
        # Somebody new comes: each hears of them, and in no list of the other.
        marks = [len(face.events.items) for face in older]
        newcomer = await new_account(chat)
        await stack.enter_async_context(SocketIOFace.open(chat, newcomer))
        for index, hidden in ((0, {bob.id}), (1, {alice.id}), (2, set())):
            await older[index].events.expect(
                lambda e: e[0] == "user:online" and newcomer.id in e[1]
            )
            news = older[index].events.items[marks[index] :]
            lists = [{*data} for event, data in news if event == "user:online"]
            assert not [ids for ids in lists if ids & hidden]
            assert {alice.id, bob.id} - hidden <= lists[-1]
        await unblock(chat, alice, bob)
        for index, other in ((0, bob), (1, alice)):
            await _expect(watches[index], other, online=True)
            await older[index].events.expect(
                lambda e: e[0] == "user:online" and {newcomer.id, other.id} <= {*e[1]}  # noqa: B023  # awaited at once
            )
        assert (await _sees(chat, alice, bob))["online"]


async def test_a_blocked_ones_coming_and_going_cannot_be_told_from_silence(
    sqlite_chat: RunningServer,
) -> None:
    chat = sqlite_chat
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    await block(chat, alice, bob)
    async with SocketIOFace.open(chat, bob) as blocked, _presence(chat, bob) as watch:
        await blocked.events.expect(lambda e: e[0] == "user:online")
        await _expect(watch, bob, online=True)
        before, seen = len(blocked.events.items), len(watch.items)
        async with SocketIOFace.open(chat, carol) as witness:
            await witness.events.expect(lambda e: e[0] == "user:online" and carol.id in e[1])
            async with SocketIOFace.open(chat, alice):
                await witness.events.expect(lambda e: e[0] == "user:online" and alice.id in e[1])
            await witness.events.expect(lambda e: e == ("user:offline", alice.id))
        await blocked.events.expect(lambda e: e == ("user:offline", carol.id))
        await _expect(watch, carol, online=False)
        news = blocked.events.items[before:]
        # One list with Carol, and that she left: nothing else.
        assert [event for event, _ in news] == ["user:online", "user:offline"]
        assert not [1 for event, data in news if event == "user:online" and alice.id in data]
        said = [item["presence"]["user"]["id"] for item in watch.items[seen:]]
        assert said == [str(carol.id)] * 2


async def test_who_is_online_does_not_leak_through_what_subscribers_share(
    chat: RunningServer,
) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    await block(chat, alice, bob)
    query = (
        "subscription { messageAdded { content sender { online lastSeenAt }"
        " receiver { online lastSeenAt blocked } } }"
    )
    async with (
        _stream(chat, alice, query) as of_alice,
        _stream(chat, carol, query) as of_carol,
        _stream(chat, bob, query) as of_bob,
        GraphQLFace.open(chat, carol) as sender,
    ):
        await sender.send("to all")
        await sender.send("to one", alice.id)
        for stream in (of_alice, of_carol, of_bob):
            first = await stream.expect(lambda data: data["messageAdded"]["content"] == "to all")
            assert first["messageAdded"]["sender"] == {"online": True, "lastSeenAt": None}
        await block(chat, alice, carol)
        # Her broadcasts do not come any more; what is asked of her old ones shows her offline.
        for account, online in ((alice, False), (carol, True), (bob, True)):
            nodes = (
                await _graphql(
                    chat, account, "{ messages(last: 9) { nodes { content sender { online } } } }"
                )
            )["messages"]["nodes"]
            hers = [node["sender"] for node in nodes if node["content"] == "to one"]
            assert hers == ([] if account is bob else [{"online": online}])


async def test_rest_blocks_lists_and_unblocks(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat, "Bob")
    headers = {"Authorization": f"Bearer {alice.token}"}
    shape = {"id": bob.id, "displayName": "Bob"}
    async with httpx.AsyncClient(base_url=chat.url, headers=headers) as http:
        for body in ({"userId": bob.id}, {"userId": str(bob.id)}):
            answer = await http.post("/api/users/block", json=body)
            assert (answer.status_code, answer.json()) == (
                200,
                {"message": "User blocked", "user": shape},
            )
        assert (await http.get("/api/users/blocked")).json() == [shape]
        listed = await _graphql(chat, alice, "{ blockedUsers { id displayName blocked } }")
        assert listed["blockedUsers"] == [
            {"id": str(bob.id), "displayName": "Bob", "blocked": True}
        ]
        answer = await http.post("/api/users/unblock", data={"userId": str(bob.id)})
        assert answer.json() == {"message": "User unblocked", "user": shape}
        assert (await http.get("/api/users/blocked")).json() == []
        for path in ("/api/users/block", "/api/users/unblock"):
            for wrong, status in (
                ({}, 400),
                ({"userId": None}, 400),
                ({"userId": True}, 400),
                ({"userId": [1]}, 400),
                ({"userId": 2**40}, 404),
                ({"userId": "-1"}, 404),
                ({"userId": 10**30}, 404),
            ):
                answer = await http.post(path, json=wrong)
                assert answer.status_code == status, (path, wrong, answer.text)
        answer = await http.post("/api/users/block", json={"userId": alice.id})
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
        for method, path in (
            ("POST", "/api/users/block"),
            ("POST", "/api/users/unblock"),
            ("GET", "/api/users/blocked"),
        ):
            answer = await http.request(method, path, headers={"Authorization": ""})
            assert (answer.status_code, answer.json()["message"]) == (401, "No token provided")


@pytest.mark.parametrize("setting", ["admins", "off"])
async def test_a_broadcast_that_is_not_allowed_is_refused_on_every_face(
    tmp_path: Path, setting: str
) -> None:
    with running_server(tmp_path, broadcast=setting) as server:
        alice, bob = await new_account(server), await new_account(server)
        answers = set()
        for face in FACES:
            async with face.open(server, alice) as one:
                answers.add(await _refused(one, "to all", None))
                assert (await one.send("to one", bob.id)).receiver_id == bob.id
        [(code, message)] = answers
        assert code == "FORBIDDEN"
        assert "everybody" in message
        async with SocketIOFace.open(server, alice) as older:
            await older.emit("message:send", {"content": "to all"})
            _, told = await older.events.expect(lambda e: e[0] == "message:error")
            assert told.pop("requestId")
            assert told == {"error": message, "code": code}


@asynccontextmanager
async def _stream(
    server: RunningServer, account: Account, query: str
) -> AsyncIterator[Inbox[dict[str, Any]]]:
    """What a subscription yields while the block lasts."""
    inbox: Inbox[dict[str, Any]] = Inbox()
    async with open_socket(server, account) as socket:
        await socket.subscribe("stream", query)
        await socket.settle()

        async def read() -> None:
            while True:
                inbox.put((await socket.expect(id="stream"))["payload"]["data"])

        reading = asyncio.create_task(read())
        try:
            yield inbox
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _presence(
    server: RunningServer, account: Account
) -> AbstractAsyncContextManager[Inbox[dict[str, Any]]]:
    return _stream(server, account, "subscription { presence { online user { id online } } }")


async def _expect(watch: Inbox[dict[str, Any]], account: Account, *, online: bool) -> None:
    """Wait until the last that was said of somebody is this."""

    def last(_: object) -> bool:
        said = [item["presence"] for item in watch.items]
        of = [change["online"] for change in said if change["user"]["id"] == str(account.id)]
        return bool(of) and of[-1] is online

    await watch.expect(last)
