"""Odd but legal sends: an answer to that one, and the connection kept."""

import httpx
import msgspec
import socketio

from tests.schema.client import open_socket
from tests.support.faces import SocketIOFace, new_account
from tests.support.server import RunningServer

HUGE = "7" * 5000
SEND = "mutation($c: String, $to: ID) { sendMessage(content: $c, receiverId: $to) { content } }"


def subscribe(id_: str, variables: str) -> str:
    query = msgspec.json.encode(SEND).decode()
    payload = f'{{"query":{query},"variables":{variables}}}'
    return f'{{"type":"subscribe","id":"{id_}","payload":{payload}}}'


async def test_over_rest(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as http:
        half = await http.post("/api/messages/send", content=b'{"content": "hi \\ud83d"}')
        assert (half.status_code, half.json()["content"]) == (201, "hi \ufffd")
        for number in (HUGE, "1e999"):
            body = f'{{"content": "x", "toUserId": {number}}}'
            answer = await http.post("/api/messages/send", content=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_over_graphql(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        await socket.connection.send(subscribe("half", '{"c": "hi \\ud83d"}'))
        half = await socket.expect(id="half", type="next")
        assert half["payload"]["data"]["sendMessage"]["content"] == "hi \ufffd"
        await socket.connection.send(subscribe("huge", f'{{"c": "x", "to": {HUGE}}}'))
        refused = await socket.expect(id="huge")
        errors = refused["payload"] if refused["type"] == "error" else refused["payload"]["errors"]
        assert errors[0]["extensions"]["code"] in {"BAD_USER_INPUT", "NOT_FOUND"}
        await socket.settle()


async def test_over_socketio(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    async with SocketIOFace.open(sqlite_chat, alice) as face:
        client: socketio.AsyncClient = face._client
        for number, text in enumerate(
            ('{"content":"hi \\ud83d"}', f'{{"content":"x","a":{HUGE}}}')
        ):
            await client.eio.send(f'2{number}["message:send",{text}]')
        await face.hear("hi \ufffd")
        await face.hear("x")


async def test_an_unclear_recipient_is_no_broadcast(sqlite_chat: RunningServer) -> None:
    alice, bob = [await new_account(sqlite_chat) for _ in range(2)]
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as http:
        for unclear in ({"toUserId": ""}, {"toUserId": bob.id, "receiverId": alice.id}):
            body = {"content": "for one", **unclear}
            as_json = await http.post("/api/messages/send", json=body)
            as_form = await http.post("/api/messages/send", data=body)
            for answer in (as_json, as_form):
                assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
