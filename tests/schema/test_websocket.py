"""graphql-transport-ws, by the page of its protocol (graphql-ws, PROTOCOL.md), and past it."""

from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from tests.schema.client import Message, bare_socket, open_socket
from tests.support.faces import PASSWORD, new_account
from tests.support.server import RunningServer, running_server

ME = "{ me { id } }"
SEND = "mutation($c: String, $to: ID) { sendMessage(content: $c, receiverId: $to) { id content } }"
LISTEN = "subscription { messageAdded { id content } }"
LISTEN_AFTER = "subscription($a: ID) { messageAdded(after: $a) { id } }"
REGISTER = """
mutation($e: String!, $p: String!) {
  register(email: $e, password: $p, displayName: "Zoë") { user { email } }
}"""
LOGIN = """
mutation($e: String!, $p: String!) { login(email: $e, password: $p) { token user { email } } }"""
LONG_ID = "é" * 256


def subscribe(**fields: Any) -> Message:
    return {"type": "subscribe", "id": "1", "payload": {"query": ME}, **fields}


def without(message: Message, field: str) -> Message:
    return {name: value for name, value in message.items() if name != field}


BAD_MESSAGES: dict[str, Message | str | bytes] = {
    "nothing": "",
    "not JSON": "hello",
    "half a message": '{"type": "ping"',
    "two messages": '{"type": "ping"}{"type": "ping"}',
    "binary": b'{"type": "ping"}',
    "null": "null",
    "string": '"ping"',
    "number": "1",
    "array": '[{"type": "ping"}]',
    "deep": "[" * 5000,
    "deep payload": '{"type":"ping","payload":{"a":' + "[" * 5000 + "]" * 5000 + "}}",
    "no type": {"id": "1"},
    "null type": {"type": None},
    "unknown type": {"type": "start", "id": "1"},
    "a server's type": {"type": "connection_ack"},
    "a server's next": {"type": "next", "id": "1", "payload": {}},
    "long type": {"type": "ü" * 500},
    "string init payload": {"type": "connection_init", "payload": "x"},
    "array init payload": {"type": "connection_init", "payload": []},
    "string ping payload": {"type": "ping", "payload": "x"},
    "number pong payload": {"type": "pong", "payload": 1},
    "no id": without(subscribe(), "id"),
    "null id": subscribe(id=None),
    "number id": subscribe(id=1),
    "empty id": subscribe(id=""),
    "endless id": subscribe(id="x" * 257),
    "no payload": without(subscribe(), "payload"),
    "null payload": subscribe(payload=None),
    "string payload": subscribe(payload=ME),
    "array payload": subscribe(payload=[ME]),
    "empty payload": subscribe(payload={}),
    "null query": subscribe(payload={"query": None}),
    "number query": subscribe(payload={"query": 7}),
    "string variables": subscribe(payload={"query": ME, "variables": "{}"}),
    "array variables": subscribe(payload={"query": ME, "variables": []}),
    "number operationName": subscribe(payload={"query": ME, "operationName": 1}),
    "string extensions": subscribe(payload={"query": ME, "extensions": "x"}),
    "complete without id": {"type": "complete"},
    "complete with a number": {"type": "complete", "id": 1},
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
async def test_what_is_no_message_closes_with_4400(sqlite_chat: RunningServer, name: str) -> None:
    async with open_socket(sqlite_chat) as socket, open_socket(sqlite_chat) as other:
        await socket.send(BAD_MESSAGES[name])
        code, reason = await socket.closed()
        assert code == 4400
        assert reason is not None
        assert reason.startswith("Invalid message: ")
        assert len(reason.encode()) <= 123
        assert socket.inbox == []
        assert (await other.execute("{ __typename }"))["data"]


async def test_operations_before_the_acknowledgement_close_with_4401(
    sqlite_chat: RunningServer,
) -> None:
    async with bare_socket(sqlite_chat) as socket:
        await socket.send(subscribe())
        assert await socket.closed() == (4401, "Unauthorized")
        assert socket.inbox == []


@pytest.mark.parametrize("subprotocol", ["graphql-ws", "chat", "Graphql-Transport-WS"])
async def test_another_subprotocol_closes_with_4406(
    sqlite_chat: RunningServer, subprotocol: str
) -> None:
    async with bare_socket(sqlite_chat, subprotocol=subprotocol) as socket:
        assert await socket.closed() == (
            4406,
            "Subprotocol not acceptable: use graphql-transport-ws",
        )
        assert socket.connection.subprotocol == subprotocol


async def test_a_second_initialisation_closes_with_4429(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat) as socket:
        await socket.send({"type": "connection_init"})
        assert await socket.closed() == (4429, "Too many initialisation requests")
    async with bare_socket(sqlite_chat) as socket:  # also before the first was acknowledged
        await socket.send({"type": "connection_init"})
        await socket.send({"type": "connection_init"})
        assert await socket.closed() == (4429, "Too many initialisation requests")


@pytest.mark.parametrize("query", [LISTEN, SEND])
@pytest.mark.parametrize("id_", ["1", LONG_ID, "日本" * 128, "\0\n"])
async def test_an_id_in_use_closes_with_4409(
    sqlite_chat: RunningServer, query: str, id_: str
) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        await socket.subscribe(id_, LISTEN)
        await socket.subscribe(id_, query, {"c": "x"})
        code, reason = await socket.closed()
        assert code == 4409
        assert reason is not None
        assert len(reason.encode()) <= 123
        assert reason == f"Subscriber for {id_} already exists"[: len(reason)]


async def test_pings_are_answered_with_their_payload(sqlite_chat: RunningServer) -> None:
    async with bare_socket(sqlite_chat) as socket:  # at any time
        await socket.send({"type": "ping"})
        assert await socket.expect(type="pong") == {"type": "pong"}
        payload = {"at": 1.5, "ünïcode": ["🎉", None, {"a": 10**18}]}
        await socket.send({"type": "ping", "payload": payload})
        assert await socket.expect(type="pong") == {"type": "pong", "payload": payload}
        await socket.send({"type": "pong", "payload": payload})
        await socket.send({"type": "pong"})
        await socket.init()


ABSENT: Any = object()


@pytest.mark.parametrize(
    "payload", [ABSENT, None, {}, {"token": None}, {"authorization": None}, {"locale": "en"}]
)
async def test_one_may_begin_as_nobody(sqlite_chat: RunningServer, payload: Any) -> None:
    async with bare_socket(sqlite_chat) as socket:
        init = {"type": "connection_init", "payload": payload, "of": "later versions"}
        await socket.send(without(init, "payload") if payload is ABSENT else init)
        assert await socket.expect() == {"type": "connection_ack"}
        assert (await socket.execute("{ __typename }"))["data"] == {"__typename": "Query"}
        [error] = (await socket.execute(ME))["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "AUTHORIZATION", "token", "authToken", "accessToken"]
)
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", ""])
async def test_one_may_begin_with_a_token(
    sqlite_chat: RunningServer, name: str, scheme: str
) -> None:
    alice = await new_account(sqlite_chat)
    async with bare_socket(sqlite_chat) as socket:
        payload = {name: scheme + alice.token}
        await socket.send({"type": "connection_init", "payload": payload})
        await socket.expect(type="connection_ack")
        assert (await socket.execute(ME))["data"] == {"me": {"id": str(alice.id)}}


@pytest.mark.parametrize(
    "payload",
    [
        {"token": 7},
        {"token": ["x"]},
        {"authorization": {}},
        {"authorization": "Basic eDp5"},
        {"Authorization": True},
        {"authorization": "Bearer x", "token": "y"},
    ],
)
async def test_a_bad_token_closes_with_4403(sqlite_chat: RunningServer, payload: Any) -> None:
    async with bare_socket(sqlite_chat) as socket:
        await socket.send({"type": "connection_init", "payload": payload})
        assert await socket.closed() == (4403, "Forbidden")
        assert socket.inbox == []


async def test_one_may_come_in_over_a_socket_of_nobodys(sqlite_chat: RunningServer) -> None:
    email = f"{uuid4().hex}@example.com"
    variables = {"e": email, "p": PASSWORD}
    async with open_socket(sqlite_chat) as socket:
        answer = await socket.execute(REGISTER, variables)
        assert answer["data"] == {"register": {"user": {"email": email}}}
        token = (await socket.execute(LOGIN, variables))["data"]["login"]["token"]
        wrong = (await socket.execute(LOGIN, {**variables, "p": "wrong"}))["errors"][0]
        assert wrong["extensions"]["code"] == "BAD_USER_INPUT"
    async with bare_socket(sqlite_chat) as socket:
        await socket.init({"token": token})


@pytest.mark.parametrize("query", [LISTEN, "subscription { presence { online } }"])
async def test_a_stranger_cannot_subscribe(sqlite_chat: RunningServer, query: str) -> None:
    async with open_socket(sqlite_chat) as socket:
        await socket.subscribe("1", query)
        [error] = (await socket.expect(id="1"))["payload"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        await socket.subscribe("1", "{ __typename }")  # it is over, and its id is free
        assert (await socket.expect(id="1"))["type"] == "next"
        assert (await socket.expect(id="1"))["type"] == "complete"


REFUSED: dict[str, Message] = {
    "a syntax error": {"query": "{ me"},
    "an empty document": {"query": ""},
    "too many tokens": {"query": "{" + "a " * 50_000 + "}"},
    "too deep": {"query": "{a" * 20_000 + "}" * 20_000},
    "an unknown field": {"query": "{ nobody }"},
    "an unknown subscription": {"query": "subscription { nothingAdded }"},
    "two in one": {"query": "subscription { presence { online } messageAdded { id } }"},
    "no operation": {"query": "fragment F on User { id }"},
    "two operations": {"query": "query A { me { id } } query B { me { id } }"},
    "an unknown operation": {"query": "query A { me { id } }", "operationName": "B"},
    "a missing variable": {"query": "query($id: ID!) { user(id: $id) { id } }"},
    "a subscription's missing variable": {"query": LISTEN_AFTER.replace("ID)", "ID!)")},
    "a subscription's bad variable": {"query": LISTEN_AFTER, "variables": {"a": []}},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_operation_ends_alone(sqlite_chat: RunningServer, name: str) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        await socket.subscribe("listen", LISTEN)
        await socket.send(subscribe(payload=REFUSED[name]))
        answer = await socket.expect(id="1")
        assert answer["type"] == "error"
        assert answer["payload"]
        assert {e["extensions"]["code"] for e in answer["payload"]} == {"BAD_USER_INPUT"}
        # No complete follows, the id is free, and the others go on.
        await socket.subscribe("1", SEND, {"c": "after", "to": alice.id})
        assert (await socket.expect(id="1"))["type"] == "next"
        heard = await socket.expect(id="listen", type="next")
        assert heard["payload"]["data"]["messageAdded"]["content"] == "after"


async def test_an_id_is_free_after_a_complete_of_either_side(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        for _ in range(3):
            await socket.subscribe("1", ME)
            assert (await socket.expect(id="1"))["type"] == "next"
            assert await socket.expect(id="1") == {"type": "complete", "id": "1"}
        for _ in range(3):
            await socket.subscribe("1", LISTEN)
            await socket.send({"type": "complete", "id": "1"})
        await socket.send({"type": "complete", "id": "never heard of"})
        await socket.subscribe("1", LISTEN)
        await socket.settle()
        await socket.execute(SEND, {"c": "once", "to": alice.id})
        assert (await socket.expect(id="1"))["payload"]["data"]["messageAdded"]["content"] == "once"
        await socket.send({"type": "complete", "id": "1"})
        await socket.execute(SEND, {"c": "unheard", "to": alice.id})
        await socket.settle()
        assert socket.inbox == []


async def test_operations_of_one_socket_run_beside_each_other(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        for id_ in ("a", "b"):
            await socket.subscribe(id_, LISTEN)
        await socket.subscribe("c", "subscription { presence { online user { id } } }")
        contents = [f"{number}" for number in range(150)]
        for content in contents:
            await socket.subscribe(f"send {content}", SEND, {"c": content, "to": alice.id})
        for content in contents:
            sent = await socket.expect(id=f"send {content}", type="next")
            assert sent["payload"]["data"]["sendMessage"]["content"] == content
        for id_ in ("a", "b"):
            heard = [await socket.expect(id=id_) for _ in contents]
            assert [m["payload"]["data"]["messageAdded"]["content"] for m in heard] == contents
        assert (await socket.expect(id="c"))["payload"]["data"]["presence"]["online"] is True


@pytest.mark.parametrize(
    ("origins", "origin", "welcome"),
    [
        (("*",), "https://anywhere.example", True),
        (("https://chat.example",), "https://chat.example", True),
        (("https://chat.example",), None, True),
        (("https://chat.example",), "https://evil.example", False),
        (("https://chat.example",), "https://chat.example.evil.example", False),
        (("https://chat.example",), "null", False),
        (("https://chat.example",), "own", True),
    ],
)
async def test_browsers_of_other_origins_are_refused(
    tmp_path: Any, origins: tuple[str, ...], origin: str | None, welcome: bool
) -> None:
    with running_server(tmp_path, cors_origins=origins) as server:
        if origin == "own":
            origin = server.url
        if welcome:
            async with bare_socket(server, origin=origin) as socket:
                await socket.init()
        else:
            with pytest.raises(InvalidStatus) as refused:
                async with bare_socket(server, origin=origin):
                    pass
            assert refused.value.response.status_code == 403
