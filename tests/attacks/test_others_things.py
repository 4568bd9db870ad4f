"""Another's things by id: whoever may not see one gets the answer of a thing that is not there.

The tables are held to the schema, the routes and the events: a new one without a case fails.
"""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLNamedType, get_named_type
from pydantic import SecretStr
from starlette.routing import Route

from application import create_app
from settings import Settings
from tests.attacks.conftest import SECONDS, Report
from tests.attacks.documents import ROOTS
from tests.attacks.doors import ask, client
from tests.attacks.graphql_cases import EVERYONE, GRAPHQL, OWN_KEYS
from tests.attacks.target import Target, attacked
from tests.attacks.wires import GRAPHQL_WS, SOCKETIO_WS, client_frame, websocket
from tests.faults.load import register

pytestmark = pytest.mark.timeout(SECONDS)

MISSING = str(2**40)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Things:
    """What Alice and Bob have between them, and what nobody has."""

    target: Target
    message: str
    conversation: str  # of Alice and Bob
    attachment: str  # sent to Bob
    unsent: str  # Alice's, not sent


HIDES_FILES = "test_sends_hide_anothers_attachment"
# Every route and event, with each id that it takes, in its path, query, body or payload: either
# what is asked with the id, and which of the things it names; or the test, or the reason.
ROUTES: dict[str, dict[str, tuple[str, str] | str]] = {
    "GET /files/{id}": {"id": ("/files/{}", "attachment unsent")},
    "GET /files/{id}/thumbnail": {"id": ("/files/{}/thumbnail", "attachment unsent")},
    # Named by a random key: whoever has the address may open it, as docs/security.md says.
    "GET /avatars/{key}/{side}": {},
    "GET /api/messages": {
        "with": "test_a_conversation_shows_only_ones_own_half",
        "before": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
        "after": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    },
    "GET /api/message/all-message": {
        "with": "test_a_conversation_shows_only_ones_own_half",
        "before": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
        "after": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    },
    "POST /api/messages/send": {
        **dict.fromkeys(("toUserId", "receiverId", "to_user_id", "receiver_id"), EVERYONE),
        "attachmentId": HIDES_FILES,
    },
    "POST /api/message/send": {
        **dict.fromkeys(("toUserId", "receiverId", "to_user_id", "receiver_id"), EVERYONE),
        "attachmentId": HIDES_FILES,
    },
    "POST /api/users/block": {"userId": EVERYONE},
    "POST /api/users/unblock": {"userId": "test_nobody_ends_anothers_block"},
    "GET /api/users/blocked": {},
    "POST /api/auth/register": {},
    "POST /api/auth/login": {},
    "POST /api/auth/logout": {},
    "POST /api/auth/logout-everywhere": {},
    "POST /api/auth/renew": {},
    "POST /api/auth/change-password": {},
    "POST /api/uploads": {},
    "GET /api/limits": {},
    "GET /socket.io/socket.io.{build}": {},
    "GET /": {},
    "GET /page/{version}/{name:path}": {},  # the chat page's own files
    "GET /health": {},
    "GET /ready": {},
}
EVENTS: dict[str, dict[str, str]] = {
    "auth:login": {"after": "test_a_resumed_stream_shows_only_ones_own"},
    "message:private": {
        **dict.fromkeys(("toUserId", "receiverId", "to_user_id", "receiver_id"), EVERYONE),
        "attachmentId": HIDES_FILES,
    },
    "message:send": {"attachmentId": HIDES_FILES},
}
# Where `compat` reads what it is given.
READERS = (
    *("bodies.py", "chat.py"),
    *("rest/accounts.py", "rest/avatars.py", "rest/files.py", "rest/messages.py"),
)


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


def test_every_route_is_in_the_table() -> None:
    """Of the application as it is served."""
    settings = Settings(_env_file=None, env="test", jwt_secret=SecretStr("x" * 40))
    found = {
        f"{method} {route.path}"
        for route in create_app(settings).app.routes
        if isinstance(route, Route)
        for method in route.methods or {"GET"}
        if method != "HEAD" and not route.path.startswith("/graphql")
    }
    assert found == ROUTES.keys()


def test_every_event_and_every_name_of_an_id_is_in_the_tables() -> None:
    """Read from where they are declared, so that a new one is seen."""
    compat = ROOT / "compat"
    texts = {str(path.relative_to(compat)): path.read_text() for path in compat.rglob("*.py")}
    events = set(re.findall(r'\bon\("([a-z:]+)"', texts["chat.py"]))
    assert events - {"connect", "disconnect"} == EVENTS.keys()
    # Whatever reads a field by a name that sounds like an id's; the answers' shapes are no readers.
    readers = {
        name for name, text in texts.items() if re.search(r"\bparse_[a-z_]+\(|_params\b", text)
    }
    readers = {name for name in readers if not name.startswith("socketio/")}
    assert readers == {*READERS}
    read = "".join(texts[name] for name in READERS)
    names = set(
        re.findall(r'"([a-z_]*_id|id|[a-z]+Id|[a-z]+UserId|after|before|since|with)"', read)
    )
    known = {name for table in (ROUTES, EVENTS) for ids in table.values() for name in ids}
    assert names - {"clientMessageId", "requestId", "_sid"} == known


def test_every_test_that_a_table_names_is_there() -> None:
    named = [
        *GRAPHQL.values(),
        *(v for t in (ROUTES, EVENTS) for ids in t.values() for v in ids.values()),
    ]
    for name in named:
        if isinstance(name, str) and name.startswith("test_"):
            assert callable(globals()[name])


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
        query = "query($id: ID!) { conversation(with: $id) { id } }"
        found = await ask(target, target.alice.token, query, {"id": str(target.bob.id)})
        conversation = found["data"]["conversation"]["id"]
        yield Things(target, str(sent.json()["id"]), conversation, str(ids[0]), str(ids[1]))


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


ROUTE_CASES = [
    (name, case) for name, ids in ROUTES.items() for case in ids.values() if isinstance(case, tuple)
]


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
        for side in (f"before={int(things.message) + 1}", f"after={int(things.message) - 1}"):
            for limit in ("", "&limit=50"):
                rows = (await http.get(f"/api/messages?{side}{limit}")).json()
                assert things.message not in {str(row["id"]) for row in rows}


async def test_a_global_id_opens_nothing_of_anothers(things: Things) -> None:
    target = things.target
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }"
    named = [f"Message:{things.message}", *(f"Session:{number}" for number in range(1, 40))]
    named += [f"Conversation:{things.conversation}"]
    named += [f"Attachment:{things.attachment}", f"Attachment:{things.unsent}"]
    ids = [b64encode(name.encode()).decode() for name in named]
    hers = (await ask(target, target.alice.token, query, {"ids": ids}))["data"]["nodes"]
    mine = (await ask(target, target.mallory.token, query, {"ids": ids}))["data"]["nodes"]
    assert None not in (hers[0], *hers[-3:]), "she may see them"
    assert [mine[0], *mine[-3:]] == [None] * 4
    both = [name for name, a, b in zip(named, hers, mine, strict=True) if a and b]
    assert both == [], "a session is shown to its own user alone"


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


async def test_resumed_events_are_only_ones_own(things: Things) -> None:
    target = things.target
    wire = await websocket(target.port, GRAPHQL_WS)
    sent = "... on MessageSent { message { content senderId receiverId } }"
    document = f'subscription {{ events(after: "0") {{ {sent} }} }}'
    send = (
        f'mutation {{ sendMessage(receiverId: "{target.mallory.id}", content: "mine") {{ id }} }}'
    )
    said: list[dict[str, Any]] = [
        {"type": "connection_init", "payload": {"token": target.mallory.token}},
        {"type": "subscribe", "id": "s", "payload": {"query": send}},
        {"type": "subscribe", "id": "e", "payload": {"query": document}},
    ]
    await wire.send(b"".join(client_frame(json.dumps(each).encode()) for each in said))
    seen: list[dict[str, Any]] = []
    while not (seen and seen[-1]["content"] == "mine"):
        answer = json.loads((await wire.frame()).payload)
        if answer.get("id") == "e":
            seen.append(answer["payload"]["data"]["events"]["message"])
    wire.abort()
    for message in seen:
        assert str(target.mallory.id) in {message["senderId"], message["receiverId"]}


async def test_sends_hide_anothers_attachment(things: Things) -> None:
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
    refusals = set()
    async with client(target, target.mallory.token) as http:
        for path in ("/api/messages/send", "/api/message/send"):
            for id_ in (MISSING, things.attachment, things.unsent):
                body = {"toUserId": target.mallory.id, "attachmentId": id_}
                answer = await http.post(path, json=body)
                refusals.add((answer.status_code, answer.text))
    assert [status for status, _ in refusals] == [404], refusals


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


async def test_nobody_ends_anothers_block(things: Things) -> None:
    """Whom somebody keeps away cannot end it, nor hear of it, by either face."""
    target = things.target
    owner, kept_away = await register(target.port, 2)
    async with client(target, owner.token) as theirs, client(target, kept_away.token) as http:
        answers = [await http.post("/api/users/unblock", json={"userId": owner.id})]
        blocked = await theirs.post("/api/users/block", json={"userId": kept_away.id})
        assert blocked.status_code == 200
        answers.append(await http.post("/api/users/unblock", json={"userId": owner.id}))
        assert answers[0].json() == answers[1].json(), "it was told apart"
        asked = "mutation($id: ID!) { unblockUser(id: $id) { id } }"
        said = await ask(target, kept_away.token, asked, {"id": str(owner.id)})
        assert said == {"data": {"unblockUser": {"id": str(owner.id)}}}
        body = {"toUserId": owner.id, "content": "Hello"}
        refused = await http.post("/api/messages/send", json=body)
        missing = await http.post("/api/messages/send", json={**body, "toUserId": int(MISSING)})
        assert (refused.status_code, refused.json()) == (404, missing.json())
        assert (await http.get("/api/users/blocked")).json() == []
        listed = (await theirs.get("/api/users/blocked")).json()
        assert [user["id"] for user in listed] == [kept_away.id]
        assert (await theirs.post("/api/users/unblock", json={"userId": kept_away.id})).is_success
        assert (await http.post("/api/messages/send", json=body)).status_code == 201
