"""What a newcomer may do and see, on every face: REGISTRATION, BROADCAST_HISTORY."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.schema.client import open_socket
from tests.support.faces import FACES, Account, GraphQLFace, SocketIOFace, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer, running_server

each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)


async def graphql(server: RunningServer, account: Account | None, query: str, **ids: Any) -> Any:
    """Return the answer's data. Raises AssertionError for an error."""
    result = await asked(server, account, query, **ids)
    assert "errors" not in result, result
    return result["data"]


async def asked(server: RunningServer, account: Account | None, query: str, **ids: Any) -> Any:
    """Return the whole answer."""
    headers = {"X-Request-ID": "the-same"}  # errors tell it
    if account is not None:
        headers["Authorization"] = f"Bearer {account.token}"
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        body = {"query": query, "variables": {name: str(id_) for name, id_ in ids.items()}}
        return (await http.post("/graphql", json=body)).json()


REGISTER = (
    'mutation($email: String!) { register(email: $email, password: "123456", displayName: "x")'
    " { token } }"
)


async def test_nobody_registers_where_that_is_off(tmp_path: Path) -> None:
    with running_server(tmp_path, registration="off") as server:
        info = await graphql(server, None, "{ serverInfo { registrationOpen } }")
        assert info == {"serverInfo": {"registrationOpen": False}}
        answer = await asked(server, None, REGISTER, email=f"{uuid4().hex}@example.com")
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "ask the operator" in error["message"]
        async with httpx.AsyncClient(base_url=server.url) as http:
            body = {"email": f"{uuid4().hex}@example.com", "password": "123456"}
            body["displayName"] = "x"
            older = await http.post("/api/auth/register", json=body)
            assert (older.status_code, older.json()["code"]) == (403, "FORBIDDEN")
            assert older.json()["message"] == error["message"]
            # What is wrong with the call itself is said first.
            wrong = await http.post("/api/auth/register", json={**body, "email": "x"})
            assert (wrong.status_code, wrong.json()["code"]) == (400, "BAD_USER_INPUT")


async def test_tries_to_register_where_that_is_off_are_limited_too(tmp_path: Path) -> None:
    limited = {"limits": True, "registrations_per_address": "2/hour"}
    with running_server(tmp_path, registration="off", **limited) as server:
        codes = []
        for _ in range(3):
            answer = await asked(server, None, REGISTER, email=f"{uuid4().hex}@example.com")
            codes.append(answer["errors"][0]["extensions"]["code"])
        assert codes == ["FORBIDDEN", "FORBIDDEN", "RATE_LIMITED"]


async def test_anybody_registers_elsewhere(chat: RunningServer) -> None:
    info = await graphql(chat, None, "{ serverInfo { registrationOpen } }")
    assert info == {"serverInfo": {"registrationOpen": True}}
    answer = await asked(chat, None, REGISTER, email=f"{uuid4().hex}@example.com")
    assert answer["data"]["register"]["token"]


@each_face
async def test_a_newcomer_reads_no_broadcast_of_before_they_registered(
    chat: RunningServer, face: Any
) -> None:
    alice = await new_account(chat)
    async with face.open(chat, alice) as sender:
        old = await sender.send(f"old {uuid4().hex}")
        newcomer = await new_account(chat)
        new = await sender.send(f"new {uuid4().hex}")
        direct = await sender.send(f"direct {uuid4().hex}", newcomer.id)
        async with face.open(chat, newcomer) as reader:
            assert await reader.history() == [new, direct]
            own = await reader.send(f"own {uuid4().hex}")
            assert await reader.history() == [new, direct, own]
        assert old in await sender.history()


async def test_no_way_of_reading_shows_an_older_broadcast(chat: RunningServer) -> None:
    alice = await new_account(chat)
    async with httpx.AsyncClient(
        base_url=chat.url, headers={"Authorization": f"Bearer {alice.token}"}
    ) as http:
        files = {"file": ("a.png", image_file("PNG", 64, 48))}
        kept = (await http.post("/api/uploads", files=files)).json()
        sent = await http.post("/api/messages/send", json={"attachmentId": kept["id"]})
        old = sent.json()
    newcomer = await new_account(chat)
    query = (
        "query($id: ID!, $file: ID!) { message(id: $id) { id } attachment(id: $file) { id }"
        " messages(first: 5) { nodes { id } } }"
    )
    nobody = await graphql(chat, newcomer, query, id=old["id"], file=kept["id"])
    assert nobody == {"message": None, "attachment": None, "messages": {"nodes": []}}
    found = await graphql(
        chat, alice, query.replace("{ id }", "{ globalId }"), id=old["id"], file=kept["id"]
    )
    ids = {"one": found["message"]["globalId"], "two": found["attachment"]["globalId"]}
    nodes = (
        "query($one: ID!, $two: ID!) { nodes(ids: [$one, $two]) { globalId }"
        " node(id: $one) { globalId } }"
    )
    assert await graphql(chat, newcomer, nodes, **ids) == {"nodes": [None, None], "node": None}
    async with httpx.AsyncClient(
        base_url=chat.url, headers={"Authorization": f"Bearer {newcomer.token}"}
    ) as http:
        for path in (f"/files/{kept['id']}", f"/files/{kept['id']}/thumbnail"):
            assert (await http.get(path)).status_code == 404
        forwarded = {"attachmentId": kept["id"], "toUserId": alice.id}
        answer = await http.post("/api/messages/send", json=forwarded)
        assert (answer.status_code, answer.json()["message"]) == (404, "Attachment not found")
        for path in ("/api/messages", "/api/messages?after=0", "/api/message/all-message"):
            assert (await http.get(path)).json() == []
    # Whoever was there goes on opening and forwarding it.
    assert (await graphql(chat, alice, query, id=old["id"], file=kept["id"]))["message"] is not None


async def test_a_replay_from_the_beginning_begins_where_one_registered(chat: RunningServer) -> None:
    alice = await new_account(chat)
    async with GraphQLFace.open(chat, alice) as sender:
        await sender.send(f"old {uuid4().hex}")
        newcomer = await new_account(chat)
        new = await sender.send(f"new {uuid4().hex}")
        async with open_socket(chat, newcomer) as socket:
            await socket.subscribe("1", 'subscription { messageAdded(after: "0") { id } }')
            first = (await socket.expect(id="1"))["payload"]["data"]["messageAdded"]
            assert first["id"] == str(new.id)
        async with SocketIOFace.open(chat, None) as reader:
            await reader.emit("auth:login", {"token": newcomer.token, "after": 0})
            assert await reader.hear(new.content) == new
            assert [seen.id for seen in reader.inbox.items] == [new.id]


async def test_everything_is_read_where_the_setting_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path, broadcast_history="everything") as server:
        alice = await new_account(server)
        async with GraphQLFace.open(server, alice) as sender:
            old = await sender.send("old")
        async with GraphQLFace.open(server, await new_account(server)) as reader:
            assert await reader.history() == [old]
