"""Another's things by id: whoever may not see one gets the answer of a thing that is not there.

The tables are held to the schema, the routes and the events: a new one without a case fails.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLNamedType, get_named_type

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.documents import ROOTS
from tests.attacks.target import Target, attacked
from tests.attacks.wires import SOCKETIO_WS, client_frame, websocket

pytestmark = pytest.mark.timeout(SECONDS)

MISSING = str(2**40)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Things:
    """What Alice and Bob have between them, and what nobody has."""

    target: Target
    message: str
    attachment: str  # sent to Bob
    unsent: str  # Alice's, not sent


# Field and argument: a document with `$id`, and which of the things it names. None: an id there
# opens nothing of anybody's, for the reason given.
GRAPHQL: dict[str, tuple[str, str] | str] = {
    "user(id)": "everyone may see every user",
    "users(after)": "a place in the list of all users, which everyone may read",
    "message(id)": ("query($id: ID!) { message(id: $id) { id content } }", "message"),
    "attachment(id)": ("query($id: ID!) { attachment(id: $id) { id url } }", "attachment unsent"),
    "messages(with)": "test_a_conversation_shows_only_ones_own_half",
    "messages(after)": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    "messages(before)": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    "sendMessage(receiverId)": "everyone may write to everyone",
    "sendMessage(attachmentId)": (
        'mutation($id: ID!) { sendMessage(attachmentId: $id, kind: FILE, receiverId: "2")'
        " { id attachment { url } } }",
        "attachment unsent",
    ),
    "blockUser(id)": "everyone may see, and keep away, every user",
    "unblockUser(id)": "it only ever ends one's own block",
    "revokeSession(id)": "test_a_session_of_anothers_is_as_missing",
    "messageAdded(after)": "test_a_resumed_stream_shows_only_ones_own",
}
# A key of one's own choice, not an id of the server's.
OWN_KEYS = {"sendMessage(clientMessageId)"}
ROUTES: dict[str, tuple[str, str] | str] = {
    "GET /files/{id}": ("/files/{}", "attachment unsent"),
    "GET /files/{id}/thumbnail": ("/files/{}/thumbnail", "attachment unsent"),
}
EVENTS = {"auth:login", "message:private", "message:send"}


def takes_an_id(name: str, type_: GraphQLNamedType) -> bool:
    return type_.name == "ID" or name in {"after", "before"} or name.lower().endswith("id")


def test_every_argument_that_takes_an_id_has_a_case() -> None:
    found = {
        f"{field}({name})"
        for root in ROOTS.values()
        if root is not None
        for field, spec in root.fields.items()
        for name, argument in spec.args.items()
        if takes_an_id(name, get_named_type(argument.type))
    }
    assert found - OWN_KEYS == GRAPHQL.keys()


def test_every_route_and_event_that_takes_an_id_has_a_case() -> None:
    """Read from where they are declared, so that a new one is seen."""
    text = "".join(path.read_text() for path in sorted((ROOT / "compat").glob("*.py")))
    paths = set(re.findall(r'"(/[a-z/{}-]*\{[a-z_]+\}[a-z/{}-]*)"', text))
    assert paths == {route.partition(" ")[2] for route in ROUTES}
    assert set(re.findall(r'\bon\("([a-z:]+)"', text)) - {"connect", "disconnect"} == EVENTS


@pytest.fixture(scope="module")
async def things(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Things]:
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path_factory.mktemp("things"), quiet) as target:
        async with client(target, target.alice.token) as http:
            ids = []
            for name in ("sent.txt", "unsent.txt"):
                answer = await http.post("/api/uploads", files={"f": (name, b"secret")})
                ids.append(answer.json()["id"])
            body = {"attachmentId": ids[0], "toUserId": target.bob.id, "kind": "FILE"}
            sent = await http.post("/api/messages/send", json=body)
            assert sent.status_code == 201, sent.text
        yield Things(target, str(sent.json()["id"]), str(ids[0]), str(ids[1]))


def client(target: Target, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{target.port}", headers=headers, timeout=20
    )


async def ask(target: Target, token: str, query: str, variables: dict[str, Any]) -> Any:
    async with client(target, token) as http:
        body = {"query": query, "variables": variables}
        return (await http.post("/graphql", json=body)).json()


CASES = [(name, case) for name, case in GRAPHQL.items() if isinstance(case, tuple)]


@pytest.mark.parametrize(("query", "names"), [c for _, c in CASES], ids=[n for n, _ in CASES])
async def test_graphql_hides_as_if_missing(things: Things, query: str, names: str) -> None:
    target = things.target
    missing = await ask(target, target.mallory.token, query, {"id": MISSING})
    for name in names.split():
        id_ = getattr(things, name)
        hidden = await ask(target, target.mallory.token, query, {"id": id_})
        assert hidden == missing, name
        shown = await ask(target, target.alice.token, query, {"id": id_})
        assert shown != missing, "its owner may see it"


ROUTE_CASES = [(name, case) for name, case in ROUTES.items() if isinstance(case, tuple)]


@pytest.mark.parametrize(
    ("path", "names"), [c for _, c in ROUTE_CASES], ids=[n for n, _ in ROUTE_CASES]
)
async def test_routes_hide_as_if_missing(things: Things, path: str, names: str) -> None:
    async with client(things.target, things.target.mallory.token) as http:
        missing = await http.get(path.format(MISSING))
        assert missing.status_code == 404
        for name in names.split():
            hidden = await http.get(path.format(getattr(things, name)))
            assert (hidden.status_code, hidden.json()) == (404, missing.json())


async def test_a_conversation_shows_only_ones_own_half(things: Things) -> None:
    target = things.target
    query = "query($id: ID) { messages(with: $id, last: 50) { nodes { senderId receiverId } } }"
    mine = str(target.mallory.id)
    for other in (target.alice.id, target.bob.id):
        answer = await ask(target, target.mallory.token, query, {"id": str(other)})
        for node in answer["data"]["messages"]["nodes"]:
            assert mine in {node["senderId"], node["receiverId"]} or node["receiverId"] is None
    async with client(target, target.mallory.token) as http:
        for row in (await http.get(f"/api/messages?with={target.alice.id}")).json():
            assert target.mallory.id in {row["senderId"], row["receiverId"]}


async def test_a_cursor_of_anothers_message_shows_nothing_of_it(things: Things) -> None:
    target = things.target
    query = "{ messages(last: 1) { pageInfo { endCursor } } }"
    cursor = (await ask(target, target.alice.token, query, {}))["data"]["messages"]["pageInfo"]
    for name in ("after", "before"):
        side = "first" if name == "after" else "last"
        query = f"query($c: String) {{ messages({side}: 50, {name}: $c) {{ nodes {{ id }} }} }}"
        answer = await ask(target, target.mallory.token, query, {"c": cursor["endCursor"]})
        ids = {
            node["id"]
            for node in (answer["data"] or {"messages": {"nodes": []}})["messages"]["nodes"]
        }
        assert things.message not in ids
    async with client(target, target.mallory.token) as http:
        rows = (await http.get(f"/api/messages?before={int(things.message) + 1}")).json()
        assert things.message not in {str(row["id"]) for row in rows}


async def test_a_resumed_stream_shows_only_ones_own(things: Things) -> None:
    target = things.target
    wire = await websocket(target.port, SOCKETIO_WS)
    login = json.dumps(["auth:login", {"token": target.mallory.token, "after": 0}])
    own = json.dumps(["message:private", {"toUserId": target.mallory.id, "content": "mine"}])
    await wire.send(b"".join(client_frame(text.encode()) for text in ("40", f"42{login}")))
    await wire.send(client_frame(f"42{own}".encode()))
    seen: list[dict[str, Any]] = []
    while not (seen and seen[-1]["content"] == "mine"):
        payload = (await wire.frame()).payload
        if payload.startswith(b'42["message:new"'):
            seen.append(json.loads(payload[2:])[1])
    wire.abort()
    for message in seen:
        assert target.mallory.id in {message["senderId"], message["receiverId"]}


async def test_events_hide_anothers_attachment(things: Things) -> None:
    target = things.target
    wire = await websocket(target.port, SOCKETIO_WS)
    login = json.dumps(["auth:login", {"token": target.mallory.token}])
    await wire.send(b"".join(client_frame(text.encode()) for text in ("40", f"42{login}")))
    answers = []
    for number, event in ((1, "message:private"), (2, "message:send")):
        for id_ in (MISSING, things.attachment, things.unsent):
            body = {"toUserId": target.mallory.id, "attachmentId": id_}
            await wire.send(client_frame(f"42{number}{json.dumps([event, body])}".encode()))
            while not (payload := (await wire.frame()).payload).startswith(b"43"):
                pass
            answers.append(payload[3:])
    wire.abort()
    assert len(set(answers)) == 1, answers
    assert b"NOT_FOUND" in answers[0]


async def test_a_session_of_anothers_is_as_missing(things: Things) -> None:
    target = things.target
    listed = await ask(target, target.alice.token, "{ sessions { id } }", {})
    revoke = "mutation($id: ID!) { revokeSession(id: $id) }"
    missing = await ask(target, target.mallory.token, revoke, {"id": MISSING})
    for session in listed["data"]["sessions"]:
        hidden = await ask(target, target.mallory.token, revoke, {"id": session["id"]})
        assert hidden == missing
    still = await ask(target, target.alice.token, "{ me { id } }", {})
    assert still["data"]["me"]["id"] == str(target.alice.id)
