"""Whatever older clients send: a refusal in their form, and a server that goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

SEND = "/api/messages/send"
REGISTER = "/api/auth/register"
WAIT = 10


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever clients send is no news for the operator."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


@pytest.fixture(scope="module")
async def alice(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat, "Alice")


@pytest.fixture(scope="module")
def bearer(alice: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {alice.token}"}


def expect_refusal(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """Assert that it is refused in the older form; return the body."""
    assert answer.status_code in (statuses or (400,)), answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"message", "code"}
    assert body["message"]
    assert "Traceback" not in body["message"]
    return body


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "broken": b'{"content": "x"',
    "trailing": b'{"content": "x"} y',
    "single quotes": b"{'content': 'x'}",
    "null": b"null",
    "a number": b"7",
    "a text": b'"x"',
    "a list": b'[{"content": "x"}]',
    "invalid UTF-8": b"\xff\xfe",
    "invalid UTF-8 in a text": b'{"content": "a\xffb"}',
    "invalid UTF-8 in a name": b'{"content": "x", "\xff": 1}',
    "UTF-16": '{"content": "x"}'.encode("utf-16"),
    "a raw NUL": b'{"content": "a\0b"}',
    "an escaped NUL": b'{"content": "a\\u0000b"}',
    "a surrogate, encoded": b'{"content": "\xed\xa0\x80"}',
    "NaN": b'{"content": "x", "toUserId": NaN}',
    "half a user": b'{"content": "x", "toUserId": 1.5}',
    "a true user": b'{"content": "x", "toUserId": true}',
    "nested": b"[" * 100_000,
    "nested content": b'{"content": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "content that is a number": b'{"content": 7}',
    "content that is false": b'{"content": false}',
    "kind that is a list": b'{"content": "x", "kind": ["TEXT"]}',
    "kind that is a number": b'{"content": "x", "kind": 7}',
    "kind that is nothing": b'{"content": "x", "kind": 0}',
    "kind that is false": b'{"content": "x", "kind": false}',
    "kind that is an empty list": b'{"content": "x", "kind": []}',
    "a key that is a number": b'{"content": "x", "clientMessageId": 7}',
    "an empty key": b'{"content": "x", "clientMessageId": ""}',
}


@pytest.mark.parametrize("path", [SEND, "/api/message/send", REGISTER, "/api/auth/login"])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_body_that_cannot_be_read_is_refused(
    client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    assert expect_refusal(await client.post(path, content=body))["code"] == "BAD_USER_INPUT"


@pytest.fixture(scope="module")
async def client(
    sqlite_chat: RunningServer, bearer: dict[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=bearer) as http:
        yield http


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="content"'
BAD_FORMS: dict[str, tuple[str, bytes]] = {
    "invalid UTF-8": (FORM, b"content=\xff"),
    "invalid UTF-8, escaped": (FORM, b"content=%ff"),
    "too many fields": (FORM, b"&".join(b"f%d=1" % number for number in range(101))),
    "a NUL": (FORM, b"content=a%00b"),
    "no fields": (FORM, b"&&=&"),
    "no boundary": ("multipart/form-data", b"x"),
    "another boundary": (MULTIPART, b"--y\r\n\r\n"),
    "no name": (MULTIPART, b"--x\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--x--\r\n"),
    "a part without an end": (MULTIPART, PART),
    "an unknown charset": (MULTIPART + "; charset=klingon", PART + b"\r\n\r\n\xff\0\r\n--x--\r\n"),
    "a file": (MULTIPART, PART + b'; filename="a.txt"\r\n\r\nhi\r\n--x--\r\n'),
    "a strange boundary": ('multipart/form-data; boundary="\xff"', b"--\xff\r\n"),
    "a boundary too long": (f"multipart/form-data; boundary={'x' * 5000}", b"--x\r\n"),
}


@pytest.mark.parametrize(("media_type", "body"), BAD_FORMS.values(), ids=BAD_FORMS)
async def test_a_form_that_cannot_be_read_is_refused(
    client: httpx.AsyncClient, media_type: str, body: bytes
) -> None:
    headers = {b"Content-Type": media_type.encode("latin-1")}
    answer = await client.post(SEND, content=body, headers=headers)
    assert expect_refusal(answer)["code"] == "BAD_USER_INPUT"


async def test_a_body_over_the_limit_is_refused_announced_or_not(
    sqlite_chat: RunningServer, client: httpx.AsyncClient
) -> None:
    limit = sqlite_chat.settings.max_body_bytes
    fitting = b'{"content": "x"}'.ljust(limit)

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    for make in (bytes, in_chunks):
        answer = await client.post(SEND, content=make(fitting))
        assert answer.status_code == 201
        for path in (SEND, REGISTER, "/api/auth/login"):
            answer = await client.post(path, content=make(fitting + b" "))
            refusal = expect_refusal(answer, 413)
            assert refusal["code"] == "PAYLOAD_TOO_LARGE"
    too_long = {"content": "é" * (sqlite_chat.settings.max_message_bytes // 2 + 1)}
    assert expect_refusal(await client.post(SEND, json=too_long), 413)


async def test_a_large_body_of_nobody_is_refused_before_it_is_read(
    sqlite_chat: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sqlite_chat.settings.port)
    writer.write(
        f"POST {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{{".encode()
    )
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"No token provided" in await asyncio.wait_for(reader.readuntil(b"}"), WAIT)
    finally:
        writer.close()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["content", "toUserId", "receiverId", "kind", "clientMessageId", "email", "password"]
OBJECTS = st.dictionaries(
    st.sampled_from([*FIELDS, "displayName", "token", "after"]) | st.text(max_size=5),
    JSON_VALUES | st.sampled_from(["a@example.com", "EMOJI", "1", 1, 0, -1, 2**63, "x"]),
    max_size=6,
)
BODIES = st.binary(max_size=100) | (OBJECTS | JSON_VALUES).map(msgspec.json.encode)
MEDIA_TYPES = st.sampled_from(["application/json", "", "text/plain", FORM, MULTIPART, "nonsense"])
PATHS = st.sampled_from([SEND, REGISTER, "/api/auth/login", "/api/message/send"])


def test_whatever_the_body_the_answer_is_json_with_a_message(
    sqlite_chat: RunningServer, bearer: dict[str, str]
) -> None:
    with httpx.Client(base_url=sqlite_chat.url, headers=bearer) as http:

        @settings(max_examples=300, deadline=None, database=None)
        @given(PATHS, BODIES, MEDIA_TYPES)
        def check(path: str, body: bytes, media_type: str) -> None:
            answer = http.post(path, content=body, headers={"Content-Type": media_type})
            if answer.status_code == 201:
                assert answer.json()["content"]
            elif answer.status_code == 200:
                assert path == REGISTER
            else:
                expect_refusal(answer, 400, 404)

        check()


class Socket(ExitStack):
    """A blocking client over a bare websocket, which connects anew when it was closed."""

    def __init__(self, server: RunningServer, token: str | None) -> None:
        super().__init__()
        self._url = server.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        self._token = token
        self._websocket: ClientConnection | None = None
        self.opened = 0

    def ask(self, *packets: str | bytes, until: Callable[[str], bool]) -> list[str]:
        """Send packets; return what comes, through the one wanted or the end ("closed")."""
        websocket = self._websocket = self._websocket or self._open()
        heard: list[str] = []
        try:
            for packet in packets:
                websocket.send(packet)
            while not heard or not until(heard[-1]):
                heard.append(str(websocket.recv(timeout=WAIT)))
        except ConnectionClosed:
            heard.append(f"closed {websocket.protocol.close_code}")
            self._websocket = None
        return heard

    def _open(self) -> ClientConnection:
        self.opened += 1
        websocket = self.enter_context(connect(self._url, compression=None, ping_interval=None))
        websocket.send("40")
        while not str(websocket.recv(timeout=WAIT)).startswith("40"):
            pass
        if self._token is not None:
            websocket.send("42" + encoded(["auth:login", {"token": self._token}]))
            while websocket.recv(timeout=WAIT) != '42["auth:ok"]':
                pass
        return websocket


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


ARGUMENTS = st.lists(OBJECTS | JSON_VALUES, max_size=3)
SENDS = st.sampled_from(["message:private", "message:send"])


def test_whatever_is_sent_it_is_acknowledged_and_the_connection_goes_on(
    sqlite_chat: RunningServer, alice: Account
) -> None:
    with Socket(sqlite_chat, alice.token) as client:

        @settings(max_examples=250, deadline=None, database=None)
        @given(SENDS, ARGUMENTS, st.integers(0, 10**15 - 1))
        def check(event: str, arguments: list[Any], number: int) -> None:
            packet = f"42{number}{encoded([event, *arguments])}"
            heard = client.ask(packet, until=lambda item: item.startswith("43"))
            assert heard[-1].startswith(f"43{number}[")
            [answer] = msgspec.json.decode(heard[-1].removeprefix(f"43{number}"))
            if "id" in answer:
                assert answer["senderId"] == alice.id
            else:
                assert answer.keys() == {"error", "code", "requestId"}
                assert answer["code"] in {"BAD_USER_INPUT", "NOT_FOUND", "CONFLICT"}

        check()
        assert client.opened == 1


def test_a_binary_attachment_is_no_field(sqlite_chat: RunningServer, alice: Account) -> None:
    place = {"_placeholder": True, "num": 0}
    with Socket(sqlite_chat, alice.token) as client:
        for name in ("content", "toUserId", "kind", "clientMessageId"):
            body = {"content": "x", "toUserId": alice.id, name: place}
            packet = f"451-7{encoded(['message:private', body])}"
            heard = client.ask(packet, b"\0\xff", until=lambda item: item.startswith("43"))
            [answer] = msgspec.json.decode(heard[-1].removeprefix("437"))
            assert answer["code"] == "BAD_USER_INPUT"


def test_whatever_a_login_says_nobody_gets_in(sqlite_chat: RunningServer) -> None:
    with Socket(sqlite_chat, None) as client:

        @settings(max_examples=100, deadline=None, database=None)
        @given(ARGUMENTS)
        def check(arguments: list[Any]) -> None:
            packet = "42" + encoded(["auth:login", *arguments])
            heard = client.ask(packet, until=lambda item: item.startswith("closed"))
            assert heard == ['42["auth:error","Invalid token"]', "41", "closed 1000"]

        check()


CURSORS: list[Any] = [-1, 1.5, "", "-1", " 1", "٣", "1e3", "0x1", True, [], {}, [1], {"id": 1}]


@pytest.mark.parametrize("after", [*CURSORS, 2**63, 10**30, "9" * 5000], ids=lambda a: f"{a!r:.20}")
def test_a_cursor_that_no_message_has_is_refused(
    sqlite_chat: RunningServer, alice: Account, after: Any
) -> None:
    with Socket(sqlite_chat, None) as client:
        packet = "42" + encoded(["auth:login", {"token": alice.token, "after": after}])
        heard = client.ask(packet, until=lambda item: item.startswith("closed"))
        assert heard == ['42["auth:error","after is not a message\'s id"]', "41", "closed 1000"]


@pytest.mark.parametrize("after", [2**62, 2**63 - 1, str(2**62)])
def test_a_cursor_ahead_of_the_log_is_refused(
    sqlite_chat: RunningServer, alice: Account, after: Any
) -> None:
    with Socket(sqlite_chat, None) as client:
        packet = "42" + encoded(["auth:login", {"token": alice.token, "after": after}])
        heard = client.ask(packet, until=lambda item: item.startswith("closed"))
        error = '42["auth:error","after is ahead of the log: it is not of this server"]'
        assert heard[-3:] == [error, "41", "closed 1000"]
        assert not [item for item in heard if "message:new" in item]
