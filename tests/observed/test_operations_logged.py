"""One log line an operation, on every face: which, whose, how long, and what it was refused for."""

from collections.abc import Iterator

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from tests.observed.logged import Logged, ask, begin, dial, logging_server, register

REGISTER = (
    'mutation($e: String!) { register(email: $e, password: "secret-1", displayName: "N")'
    " { user { id } } }"
)
LOGIN = "mutation Enter($e: String!, $p: String!) { login(email: $e, password: $p) { token } }"
SEND = 'mutation($to: ID) { sendMessage(receiverId: $to, content: "hi") { id } }'
UNKNOWN = 999_999


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    with logging_server(tmp_path_factory.mktemp("logged")) as logged:
        yield logged


@pytest.fixture(scope="module")
def user(server: Logged) -> tuple[int, str]:
    return register(server.url, "ann")


def post(server: Logged, name: str, query: str, token: str | None = None, **variables: object):  # type: ignore[no-untyped-def]  # any JSON
    headers = {"X-Request-ID": name}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = {"query": query, "variables": variables}
    return httpx.post(f"{server.url}/graphql", json=body, headers=headers).json()


def test_operations_over_http_are_told_apart(server: Logged, user: tuple[int, str]) -> None:
    id_, token = user
    post(server, "h-register", REGISTER, e="h@example.com")
    refused = post(server, "h-password", LOGIN, e="ann@example.com", p="wrong-1")
    post(server, "h-receiver", SEND, token, to=str(UNKNOWN))
    post(server, "h-forged", "{ me { id } }", token[:-4] + "AAAA")
    post(server, "h-good", "{ me { id } }", token)
    post(server, "h-wrong", "{ nothing }", token)

    registered = server.one(request_id="h-register")
    assert (registered["kind"], registered["fields"]) == ("mutation", ["register"])
    assert registered["path"] == "/graphql"
    assert registered["status"] == 200
    assert registered["address"] == "127.0.0.1"
    assert registered["ms"] > 0
    assert "errors" not in registered
    assert "user" not in registered
    code = refused["errors"][0]["extensions"]["code"]
    login = server.one(request_id="h-password")
    assert (login["operation"], login["fields"], login["errors"]) == ("Enter", ["login"], [code])
    unknown = server.one(request_id="h-receiver")
    assert (unknown["fields"], unknown["user"]) == (["sendMessage"], id_)
    assert unknown["errors"] == ["NOT_FOUND"]
    forged = server.one(request_id="h-forged")
    assert (forged["fields"], forged["token"]) == (["me"], "refused")
    assert forged["errors"] == ["UNAUTHENTICATED"]
    assert "user" not in forged
    good = server.one(request_id="h-good")
    assert good["user"] == id_
    assert "token" not in good
    assert "errors" not in good
    assert server.one(request_id="h-wrong")["errors"] == ["BAD_USER_INPUT"]


def test_errors_say_the_request_and_remembered_ones_the_new_one(server: Logged) -> None:
    for name in ("e-first", "e-second"):
        for query in ("{ nothing }", "{ me { id } }"):
            told = post(server, name, query)
            assert [e["extensions"]["requestId"] for e in told["errors"]] == [name]


async def test_operations_over_a_websocket_are_told_apart(
    server: Logged, user: tuple[int, str]
) -> None:
    id_, token = user
    async with dial(server.url, token, X_Request_ID="w-1") as socket:
        await begin(socket)
        assert "errors" not in await ask(socket, "1a-1", "query Mine { me { id } }")
        refused = await ask(socket, "2a-2", SEND, to=str(UNKNOWN))
        assert refused["errors"][0]["extensions"]["requestId"] == "w-1"
        invalid = await ask(socket, "3a-3", "{ nothing }")
        assert invalid[0]["extensions"]["requestId"] == "w-1"
        typed = "query($n: Int) { users(first: $n) { nodes { id } } }"
        wrong = await ask(socket, "4a-4", typed, n="x")
        assert wrong[0]["extensions"]["requestId"] == "w-1"
        await ask(socket, "5a-5", SEND)
        subscribe = {"query": "subscription { messageAdded { id } }"}
        text = {"type": "subscribe", "id": "6a-6", "payload": subscribe}
        await socket.send(msgspec.json.encode(text).decode())
        await ask(socket, "7a-7", "{ me { id } }")

    told = server.one(operation_id="1a-1")
    assert (told["kind"], told["operation"], told["fields"]) == ("query", "Mine", ["me"])
    assert (told["user"], told["address"], told["request_id"]) == (id_, "127.0.0.1", "w-1")
    assert told["ms"] > 0
    assert server.one(operation_id="2a-2")["errors"] == ["NOT_FOUND"]
    assert server.one(operation_id="3a-3")["errors"] == ["BAD_USER_INPUT"]
    assert server.one(operation_id="4a-4")["errors"] == ["BAD_USER_INPUT"]
    ended = server.one(operation_id="6a-6")
    assert (ended["kind"], ended["fields"]) == ("subscription", ["messageAdded"])
    # A send that succeeds is told at DEBUG alone.
    assert server.find(operation_id="5a-5") == []
    connection = server.one(request_id="w-1", method="WS")
    assert (connection["status"], connection["user"]) == (1000, id_)


async def test_a_forged_token_on_a_websocket_is_told_by_its_close_code(server: Logged) -> None:
    async with dial(server.url, "for.ged.token", X_Request_ID="w-forged") as socket:
        await socket.send('{"type": "connection_init"}')
        await socket.wait_closed()
    assert server.one(request_id="w-forged", method="WS")["status"] == 4403


def test_a_subscription_over_sse_is_told(server: Logged, user: tuple[int, str]) -> None:
    id_, token = user
    headers = {
        "Accept": "text/event-stream",
        "Authorization": f"Bearer {token}",
        "X-Request-ID": "sse-1",
    }
    query = {"query": "subscription Feed { messageAdded { id } }"}
    with httpx.stream("POST", f"{server.url}/graphql", json=query, headers=headers) as answer:
        assert answer.headers["x-request-id"] == "sse-1"
    told = server.one(request_id="sse-1")
    assert (told["kind"], told["operation"], told["user"]) == ("subscription", "Feed", id_)


def test_rest_requests_are_told_apart(server: Logged, user: tuple[int, str]) -> None:
    id_, token = user
    with httpx.Client(base_url=server.url, headers={"X-Request-ID": "r-1"}) as http:
        http.get("/api/messages", headers={"Authorization": f"Bearer {token}"})
        http.get("/api/users/blocked", headers={"Authorization": "Bearer for.ged.token"})
        wrong = {"email": "ann@example.com", "password": "wrong-2"}
        http.post("/api/auth/login", json=wrong)
    assert server.one(request_id="r-1", path="/api/messages")["user"] == id_
    forged = server.one(request_id="r-1", path="/api/users/blocked")
    assert (forged["errors"], forged["token"]) == (["UNAUTHENTICATED"], "refused")
    login = server.one(request_id="r-1", path="/api/auth/login")
    assert (login["status"], login["errors"]) == (400, ["BAD_USER_INPUT"])


async def test_socketio_events_are_told_apart(server: Logged, user: tuple[int, str]) -> None:
    id_, token = user
    url = f"ws{server.url[4:]}/socket.io/?EIO=4&transport=websocket"

    async def emit(socket: object, text: str, until: str) -> str:
        await socket.send(text)  # type: ignore[attr-defined]
        while not (answer := str(await socket.recv())).startswith(until):  # type: ignore[attr-defined]
            pass
        return answer

    for name, given in (("s-forged", "for.ged.token"), ("s-1", token)):
        async with connect(url, additional_headers={"X-Request-ID": name}) as socket:
            assert socket.response is not None
            assert socket.response.headers["X-Request-ID"] == name
            await emit(socket, "40", "40")
            login = f'42["auth:login",{{"token":"{given}"}}]'
            await emit(socket, login, '42["auth:')
            if name == "s-1":
                sent = f'["message:private",{{"toUserId":{UNKNOWN},"content":"hi"}}]'
                refused = await emit(socket, f"421{sent}", "431")
                assert msgspec.json.decode(refused[3:])[0]["requestId"] == "s-1"
                await emit(socket, '422["message:send",{"content":"hello"}]', "432")
    assert server.one(event="auth:login", request_id="s-1")["user"] == id_
    forged = server.one(event="auth:login", request_id="s-forged")
    assert forged["errors"] == ["UNAUTHENTICATED"]
    assert "user" not in forged
    failed = server.one(event="message:private", request_id="s-1")
    assert (failed["errors"], failed["user"]) == (["NOT_FOUND"], id_)
    assert server.find(event="message:send") == []
