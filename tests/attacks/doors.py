"""Every door that a token opens, on every face: which of them a token opens, and with what word."""

import asyncio
import json
from typing import Any

import httpx

from tests.attacks.target import Target
from tests.attacks.wires import CLOSE, GRAPHQL_WS, SOCKETIO_WS, Ended, client_frame, websocket

ME = "{ me { id } }"
MULTIPART = {"GraphQL-Preflight": "1"}
# Where whoever comes in changes something that a test still needs.
LASTING = {
    "logout": ("/api/auth/logout", {}),
    "logout-everywhere": ("/api/auth/logout-everywhere", {}),
    "renew": ("/api/auth/renew", {}),
    "change-password": ("/api/auth/change-password", {"currentPassword": "a", "newPassword": "b"}),
    "block": ("/api/users/block", {"userId": 1}),
    "unblock": ("/api/users/unblock", {"userId": 1}),
}
MUTATIONS = (
    "logout",
    "logoutEverywhere",
    "renewToken { token }",
    'changePassword(currentPassword: "a", newPassword: "b") { token }',
    'revokeSession(id: "1")',
    'deleteAccount(password: "a")',
    'blockUser(id: "1") { id }',
)

# Errors tell the request's id: two answers are the same only if their requests have one id.
SAME_REQUEST = {"X-Request-ID": "the-same"}


def client(target: Target, token: str, *, source: str | None = None) -> httpx.AsyncClient:
    """A client with this token, from an address of the loopback."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{target.port}",
        headers=SAME_REQUEST | ({"Authorization": f"Bearer {token}"} if token else {}),
        # Without TLS: reading the system's certificates takes longer than the requests.
        transport=httpx.AsyncHTTPTransport(local_address=source, verify=False),
        timeout=20,
    )


async def http_doors(target: Target, token: str, *, to: int, own: bool = False) -> dict[str, bool]:
    """Return which doors over HTTP are open; `own` tries only those that change nothing."""
    found: dict[str, bool] = {}
    async with client(target, token) as http:
        body = {"content": "Hello", "toUserId": to}
        form = {"operations": json.dumps({"query": ME}), "map": "{}"}
        answers = {
            "messages": await http.get("/api/messages?limit=1"),
            "all-message": await http.get("/api/message/all-message?limit=1"),
            "blocked": await http.get("/api/users/blocked"),
            "send": await http.post("/api/messages/send", json=body),
            "older send": await http.post("/api/message/send", json=body),
            "upload": await http.post("/api/uploads", files={"f": b"x"}),
            "multipart": await http.post(
                "/graphql", data=form, files={"f": b"x"}, headers=MULTIPART
            ),
        }
        if not own:
            for name, (path, sent) in LASTING.items():
                answers[name] = await http.post(path, json=sent)
        for name, answer in answers.items():
            assert answer.status_code < 500, (name, answer.text)
            found[name] = answer.status_code != 401
        for query in [ME] if own else [ME, *(f"mutation {{ {asked} }}" for asked in MUTATIONS)]:
            said = (await http.post("/graphql", json={"query": query})).json()
            code = said.get("errors", [{}])[0].get("extensions", {}).get("code")
            found[query] = code != "UNAUTHENTICATED"
    return found


async def opens_file(target: Target, token: str, path: str) -> bool:
    """Whether the file is shown; who may not see it is told that there is none."""
    async with client(target, token) as http:
        answer = await http.get(path)
    assert answer.status_code in {200, 401, 404}, answer.text
    return answer.status_code == 200


async def graphql_answer(target: Target, token: str) -> object:
    """Return the message that answers the token, or the close code."""
    wire = await websocket(target.port, GRAPHQL_WS)
    try:
        init = {"type": "connection_init", "payload": {"token": token}}
        await wire.send(client_frame(json.dumps(init).encode()))
        frame = await wire.frame()
        return frame.code if frame.opcode == CLOSE else json.loads(frame.payload)["type"]
    finally:
        wire.abort()


async def socketio_answer(target: Target, token: str, *, source: str | None = None) -> list[Any]:
    """Return the event that answers the login; a refused connection is closed after it."""
    wire = await websocket(target.port, SOCKETIO_WS, source=source)
    try:
        login = json.dumps(["auth:login", {"token": token}])
        await wire.send(client_frame(b"40") + client_frame(f"42{login}".encode()))
        while not (frame := await wire.frame()).payload.startswith(b"42"):
            pass
        event: list[Any] = json.loads(frame.payload[2:])
        if event[0] == "auth:error":
            try:
                while (await wire.frame()).opcode != CLOSE:
                    pass
            except Ended:
                pass
        return event
    finally:
        wire.abort()


async def all_open(target: Target, token: str, *, to: int) -> None:
    """Assert that the token opens everything, and change nothing by it."""
    found = await http_doors(target, token, to=to, own=True)
    assert all(found.values()), found
    assert await graphql_answer(target, token) == "connection_ack"
    assert await socketio_answer(target, token) == ["auth:ok"]


async def all_shut(target: Target, token: str, *, to: int, few: bool = False) -> None:
    """Assert that the token opens nothing; `few` leaves out doors that share their lock."""
    found = await http_doors(target, token, to=to, own=few)
    assert not any(found.values()), found
    graphql, socketio = await asyncio.gather(
        graphql_answer(target, token), socketio_answer(target, token)
    )
    assert graphql == 4403
    assert socketio == ["auth:error", "Invalid token"]


async def ask(target: Target, token: str, query: str, variables: dict[str, Any]) -> Any:
    async with client(target, token) as http:
        body = {"query": query, "variables": variables}
        return (await http.post("/graphql", json=body)).json()
