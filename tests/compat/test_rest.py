"""The older REST routes, word for word as design and protocol promise them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from settings import VERSION
from tests.support.faces import PASSWORD, Account, new_account
from tests.support.server import RunningServer, running_server

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MESSAGE_KEYS = {"id", "senderId", "receiverId", "content", "createdAt"}
ROW_KEYS = {"id", "sender_id", "receiver_id", "content", "created_at"}

Encode = Callable[[dict[str, str]], dict[str, Any]]
ENCODINGS: dict[str, Encode] = {
    "JSON": lambda body: {"json": body},
    "JSON without a content type": lambda body: {"content": msgspec.json.encode(body)},
    "JSON that says it is text": lambda body: {
        "content": msgspec.json.encode(body),
        "headers": {"Content-Type": "text/plain"},
    },
    "urlencoded": lambda body: {"data": body},
    "urlencoded, not escaped": lambda body: {
        "content": "&".join(f"{name}={value}" for name, value in body.items()).encode(),
        "headers": URLENCODED,
    },
    "multipart": lambda body: {"files": {name: (None, body[name]) for name in body}},
}


@pytest.fixture(scope="module")
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as client:
        yield client


def bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"}


def some_email() -> str:
    return f"{uuid4().hex}@example.com"


async def new_account_of(http: httpx.AsyncClient, name: str = "Somebody") -> Account:
    email = some_email()
    body = {"email": email, "password": PASSWORD, "displayName": name}
    user_id = (await http.post("/api/auth/register", json=body)).json()["userId"]
    login = await http.post("/api/auth/login", json=body)
    return Account(user_id, email, name, login.json()["token"])


async def send(http: httpx.AsyncClient, account: Account, **body: Any) -> dict[str, Any]:
    answer = await http.post("/api/messages/send", json=body, headers=bearer(account))
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
async def test_whatever_the_form_of_the_body_one_registers_logs_in_and_sends(
    http: httpx.AsyncClient, encode: Encode
) -> None:
    fields = {"email": some_email(), "password": "123456", "displayName": "Zoë 🎉"}
    registered = await http.post("/api/auth/register", **encode(fields))
    assert registered.status_code == 200, registered.text
    user = {"email": fields["email"], "displayName": "Zoë 🎉"}
    user_id = registered.json()["userId"]
    assert type(user_id) is int
    assert registered.json() == {
        "message": "User registered",
        "userId": user_id,
        "user": {"id": user_id, **user},
    }
    del fields["displayName"]
    login = await http.post("/api/auth/login", **encode(fields))
    assert login.status_code == 200, login.text
    assert login.json()["user"] == {"id": user_id, **user}
    assert login.json()["expiresAt"].endswith("Z")
    for path in ("/api/messages/send", "/api/message/send"):
        options = encode({"content": "Hello Wörld 👋", "toUserId": str(user_id)})
        token = {"Authorization": f"Bearer {login.json()['token']}"}
        options["headers"] = {**options.get("headers", {}), **token}
        answer = await http.post(path, **options)
        assert answer.status_code == 201, answer.text
        sent = answer.json()
        assert sent.keys() >= MESSAGE_KEYS
        assert (sent["senderId"], sent["receiverId"]) == (user_id, user_id)
        assert sent["content"] == "Hello Wörld 👋"
        assert type(sent["id"]) is int
        assert sent["createdAt"].endswith("Z")


async def test_without_a_recipient_a_message_is_a_broadcast(http: httpx.AsyncClient) -> None:
    alice, bob = [await new_account_of(http) for _ in range(2)]
    for path in ("/api/messages/send", "/api/message/send"):
        for nobody in ({}, {"toUserId": None}, {"receiverId": None}):
            body = {"content": "Hello World", **nobody}
            answer = await http.post(path, json=body, headers=bearer(alice))
            assert answer.status_code == 201
            assert answer.json()["receiverId"] is None
            newest = await http.get("/api/messages?limit=1", headers=bearer(bob))
            assert newest.json() == [answer.json()]


@pytest.mark.parametrize("name", ["toUserId", "receiverId", "to_user_id", "receiver_id"])
@pytest.mark.parametrize("form", [int, str, float])
async def test_a_recipient_goes_by_every_name_and_number(
    http: httpx.AsyncClient, name: str, form: Callable[[int], object]
) -> None:
    alice = await new_account_of(http)
    sent = await send(http, alice, content="x", **{name: form(alice.id)})
    assert sent["receiverId"] == alice.id


REFUSALS: dict[str, tuple[str, Any, int, str]] = {
    "no content": ("/api/messages/send", {}, 400, "Content is required"),
    "null content": ("/api/messages/send", {"content": None}, 400, "Content is required"),
    "empty content": ("/api/messages/send", {"content": ""}, 400, "Content is required"),
    "blank content": ("/api/message/send", {"content": " \n"}, 400, "Content is required"),
    "no receiver": (
        "/api/messages/send",
        {"content": "x", "toUserId": 2**40},
        404,
        "Receiver not found",
    ),
    "no password": ("/api/auth/register", {"email": "a@example.com"}, 400, "Password is required"),
    "no e-mail": ("/api/auth/register", {"password": "x"}, 400, "Email is required"),
    "no name": (
        "/api/auth/register",
        {"email": "a@example.com", "password": "x"},
        400,
        "Display name is required",
    ),
    "long password": (
        "/api/auth/register",
        {"email": "a@example.com", "password": "é" * 37, "displayName": "x"},
        400,
        "Password is longer than 72 bytes",
    ),
    "nobody": (
        "/api/auth/login",
        {"email": "no@example.com", "password": "x"},
        400,
        "Invalid email or password",
    ),
    "no e-mail at all": (
        "/api/auth/login",
        {"email": "no", "password": "x"},
        400,
        "Invalid email or password",
    ),
    "long login": (
        "/api/auth/login",
        {"email": "no@example.com", "password": "x" * 5000},
        400,
        "Invalid email or password",
    ),
}


@pytest.mark.parametrize(("path", "body", "status", "message"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_has_the_older_status_and_words(
    http: httpx.AsyncClient, path: str, body: Any, status: int, message: str
) -> None:
    answer = await http.post(path, json=body, headers=bearer(await new_account_of(http)))
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert answer.json()["code"]


async def test_a_wrong_password_and_an_unknown_email_answer_alike(
    http: httpx.AsyncClient,
) -> None:
    alice = await new_account_of(http)
    wrong = await http.post("/api/auth/login", json={"email": alice.email, "password": "1234567"})
    nobody = await http.post("/api/auth/login", json={"email": some_email(), "password": PASSWORD})
    assert wrong.status_code == nobody.status_code == 400
    assert wrong.json() == nobody.json()
    assert wrong.json()["message"] == "Invalid email or password"


async def test_an_email_is_registered_once_in_whatever_case_and_at_whatever_time(
    http: httpx.AsyncClient,
) -> None:
    email = some_email()
    forms = [email, email.upper(), f" {email} ", email.title()]
    answers = await asyncio.gather(
        *(
            http.post(
                "/api/auth/register", json={"email": form, "password": "123456", "displayName": "x"}
            )
            for form in forms * 2
        )
    )
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert good[0].json()["user"]["email"] == email
    for answer in answers:
        if answer is not good[0]:
            assert (answer.status_code, answer.json()["message"]) == (400, "Email already used")


GUARDED = [
    ("GET", "/api/messages"),
    ("GET", "/api/message/all-message"),
    ("POST", "/api/messages/send"),
    ("POST", "/api/message/send"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_no_token_and_a_bad_one_are_refused_in_the_older_words(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    good = (await new_account_of(http)).token
    for header, message in (
        (None, "No token provided"),
        ("", "No token provided"),
        ("Bearer", "Invalid token"),
        ("Bearer x.y.z", "Invalid token"),
        (f"Bearer {good[:-3]}", "Invalid token"),
        (f"Basic {good}", "Invalid token"),
    ):
        headers = {} if header is None else {"Authorization": header}
        answer = await http.request(method, f"{path}?limit=nonsense", headers=headers, content="{")
        assert answer.status_code == 401
        assert answer.json() == {"message": message, "code": "UNAUTHENTICATED"}
    # The same request with its token gets as far as its nonsense.
    headers = {"Authorization": f"bearer {good}"}
    answer = await http.request(method, f"{path}?limit=nonsense", headers=headers, content="{")
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")


async def test_history_is_newest_first_and_only_ones_own(http: httpx.AsyncClient) -> None:
    alice, bob, carol = [await new_account_of(http) for _ in range(3)]
    sent = [
        await send(http, alice, content="1", toUserId=bob.id),
        await send(http, bob, content="2", toUserId=alice.id),
        await send(http, alice, content="3", toUserId=carol.id),
        await send(http, bob, content="4", toUserId=carol.id),
        await send(http, carol, content="5"),
    ]
    by_content = {message["content"]: message for message in sent}

    async def read(who: Account, query: str = "") -> list[str]:
        answer = await http.get(f"/api/messages?limit=5&{query}", headers=bearer(who))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        mine = [row for row in answer.json() if row["id"] >= sent[0]["id"]]
        assert all(row == by_content[row["content"]] for row in mine)
        return [row["content"] for row in mine]

    assert await read(alice) == ["5", "3", "2", "1"]
    assert await read(bob) == ["5", "4", "2", "1"]
    assert await read(carol) == ["5", "4", "3"]
    assert await read(alice, f"with={bob.id}") == ["2", "1"]
    assert await read(alice, f"with={bob.id}&before={sent[1]['id']}") == ["1"]
    assert await read(alice, f"before={sent[2]['id']}&limit=1") == ["2"]
    assert await read(alice, f"with={2**40}") == []
    assert await read(alice, "limit=0") == []
    rows = await http.get("/api/message/all-message?limit=4", headers=bearer(alice))
    assert [row["content"] for row in rows.json()] == ["5", "3", "2", "1"]
    for row in rows.json():
        assert row.keys() >= ROW_KEYS
        message = by_content[row["content"]]
        assert row["sender_id"] == message["senderId"]
        assert row["receiver_id"] == message["receiverId"]
        assert (row["id"], row["created_at"]) == (message["id"], message["createdAt"])


@pytest.mark.parametrize("path", ["/api/messages", "/api/message/all-message"])
@pytest.mark.parametrize("name", ["limit", "before", "after", "with"])
@pytest.mark.parametrize(
    "value", ["", "x", "-1", "1.5", "+1", "٣", "1e3", "9" * 5000, "0x1", "%00", "%ff"]
)
async def test_a_parameter_that_is_no_number_is_refused(
    http: httpx.AsyncClient, alice: Account, path: str, name: str, value: str
) -> None:
    answer = await http.get(f"{path}?{name}={value}", headers=bearer(alice))
    assert answer.status_code == 400
    assert answer.json() == {"message": f"{name} must be a whole number", "code": "BAD_USER_INPUT"}


@pytest.fixture(scope="module")
async def alice(http: httpx.AsyncClient) -> Account:
    return await new_account_of(http, "Alice")


async def test_a_key_in_the_header_makes_a_send_happen_once(
    http: httpx.AsyncClient, alice: Account
) -> None:
    async def attempt(key: str, **body: Any) -> httpx.Response:
        headers = {**bearer(alice), "Idempotency-Key": key}
        return await http.post("/api/messages/send", json=body, headers=headers)

    key = uuid4().hex
    answers = await asyncio.gather(*(attempt(key, content="once") for _ in range(5)))
    first = answers[0].json()
    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json() for answer in answers] == [first] * 5
    assert first["clientMessageId"] == key
    # The header comes first, and the field is the same key.
    assert (await attempt(key, content="once", clientMessageId="other")).json() == first
    assert await send(http, alice, content="once", clientMessageId=key) == first
    assert (await attempt("", content="once", clientMessageId=key)).json() == first
    conflict = await attempt(key, content="twice")
    assert (conflict.status_code, conflict.json()["code"]) == (400, "CONFLICT")
    too_long = await attempt("k" * 129, content="once")
    assert (too_long.status_code, too_long.json()["code"]) == (400, "BAD_USER_INPUT")


async def test_any_site_may_call_by_default(http: httpx.AsyncClient) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    preflight = await http.options("/api/messages/send", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    origin = {"Origin": "https://app.example"}
    for path, status in (("/health", 200), ("/api/messages", 401), ("/nowhere", 404)):
        answer = await http.get(path, headers=origin)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_cors_origins_narrow_it(tmp_path: Path) -> None:
    with running_server(tmp_path, cors_origins="https://app.example, https://b.example") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            for origin, let_in in (
                ("https://app.example", True),
                ("https://b.example", True),
                ("https://evil.example", False),
                ("https://app.example.evil.example", False),
            ):
                asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
                preflight = await http.options("/api/messages", headers=asked)
                assert preflight.status_code == (200 if let_in else 400)
                for answer in (preflight, await http.get("/health", headers={"Origin": origin})):
                    allowed = answer.headers.get("access-control-allow-origin")
                    assert allowed == (origin if let_in else None)
                    assert "Origin" in answer.headers["vary"]


async def test_what_is_not_there_is_refused_in_json(http: httpx.AsyncClient) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("POST", "/api/messages/send/more", 404),
        ("GET", "/api", 404),
        ("GET", "/%00", 404),
        ("DELETE", "/api/messages", 405),
        ("GET", "/api/messages/send", 405),
        ("GET", "/api/auth/login", 405),
        ("PUT", "/health", 405),
        ("OPTIONS", "/api/messages", 405),
    ):
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"] == {404: "Not Found", 405: "Method Not Allowed"}[status]
        assert ("allow" in answer.headers) is (status == 405)


async def test_head_is_get_without_a_body(http: httpx.AsyncClient, alice: Account) -> None:
    for path in ("/health", "/ready", "/api/messages"):
        answer = await http.head(path, headers=bearer(alice))
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/json"
    assert (await http.head("/api/messages")).status_code == 401


async def test_who_has_no_messages_gets_an_empty_array(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            for path in ("/api/messages", "/api/message/all-message", "/api/messages?limit=5"):
                answer = await http.get(path)
                assert (answer.status_code, answer.json()) == (200, [])


async def test_health_and_readiness(http: httpx.AsyncClient) -> None:
    for path, told in (("/health", {"ok": True, "version": VERSION}), ("/ready", {"ok": True})):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (200, told)
