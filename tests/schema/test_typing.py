"""`setTyping` and `typing` in GraphQL."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.schema.client import Socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

SET = (
    "mutation($id: ID, $with: ID, $activity: Activity)"
    " { setTyping(conversationId: $id, with: $with, activity: $activity) }"
)
DOCUMENTS = (
    "subscription { typing { conversationId user { id displayName } activity at expiresAt } }",
    "subscription { typing { activity user { id online } } }",  # made for each viewer
)


def _change(message: dict[str, Any]) -> dict[str, Any]:
    change: dict[str, Any] = message["payload"]["data"]["typing"]
    return change


async def _send(socket: Socket, to: Account) -> dict[str, Any]:
    query = 'mutation($id: ID) { sendMessage(receiverId: $id, content: "x") { id } }'
    return await socket.execute(query, {"id": str(to.id)})


async def test_the_other_person_sees_it_on_every_connection(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat)
    async with (
        open_socket(chat, alice) as one,
        open_socket(chat, bob) as other,
        open_socket(chat, bob) as tablet,
    ):
        for socket in (one, other, tablet):
            for number, document in enumerate(DOCUMENTS):
                await socket.subscribe(f"t{number}", document)
            await socket.settle()
        assert await one.execute(SET, {"with": str(bob.id)}) == {"data": {"setTyping": True}}
        for socket in (other, tablet):
            change = _change(await socket.expect(id="t0"))
            assert change["user"] == {"id": str(alice.id), "displayName": "Alice"}
            assert (change["activity"], change["conversationId"]) == ("TYPING", None)
            at, expires = (datetime.fromisoformat(change[n]) for n in ("at", "expiresAt"))
            assert expires - at == timedelta(seconds=6)
            change = _change(await socket.expect(id="t1"))
            assert change["user"] == {"id": str(alice.id), "online": True}
        await _send(one, bob)
        for socket in (other, tablet):
            change = _change(await socket.expect(id="t0"))
            assert (change["activity"], change["expiresAt"]) == ("NONE", None)
            await socket.expect(id="t1")
        await one.settle()
        assert one.inbox == []


async def test_a_conversation_is_named_either_way(sqlite_chat: RunningServer) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as one, open_socket(sqlite_chat, bob) as other:
        await other.subscribe("t", DOCUMENTS[0])
        await _send(one, bob)
        await one.execute(SET, {"with": str(bob.id), "activity": "RECORDING"})
        change = _change(await other.expect(id="t"))
        assert change["activity"] == "RECORDING"
        place = change["conversationId"]
        await one.execute(SET, {"id": place, "activity": "NONE"})
        change = _change(await other.expect(id="t"))
        assert (change["activity"], change["conversationId"]) == ("NONE", place)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({}, "BAD_USER_INPUT"),
        ({"id": "1"}, "BAD_USER_INPUT"),
        ({"id": "2", "with": "2"}, "BAD_USER_INPUT"),
        ({"id": "nonsense"}, "NOT_FOUND"),
        ({"id": "99999999999999999999999"}, "NOT_FOUND"),
        ({"with": "-1"}, "NOT_FOUND"),
        ({"with": "1e3"}, "NOT_FOUND"),
        ({"with": "1099511627776"}, "NOT_FOUND"),
    ],
    ids=str,
)
async def test_odd_ids_are_refused(
    sqlite_chat: RunningServer, variables: dict[str, str], code: str
) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        answer = await socket.execute(SET, variables)
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code]


async def test_strangers_are_refused(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat) as socket:
        for id_, query in (("s", SET), ("t", DOCUMENTS[0])):
            await socket.subscribe(id_, query, {"with": "1"} if id_ == "s" else None)
            answer = await socket.expect(id=id_)
            payload = answer["payload"]
            errors = payload["errors"] if answer["type"] == "next" else payload
            assert errors[0]["extensions"]["code"] == "UNAUTHENTICATED"
