"""Files in GraphQL: the multipart request specification, and whatever else a form may hold."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from schema.transports import http as transport
from schema.transports.uploads import MAX_FILES, PREFLIGHT_HEADERS
from tests.schema.client import open_socket
from tests.schema.test_http import JSON, RESPONSE_JSON, check_errors
from tests.server.raw_http import RawConnection
from tests.support.faces import Account, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer

PREFLIGHT = {"GraphQL-Preflight": "1"}
UPLOAD = "mutation($f: Upload!) { uploadAttachment(file: $f) { filename size sha256 kind } }"
TWO = (
    "mutation($f: Upload!, $g: Upload!)"
    " { a: uploadAttachment(file: $f) { id sha256 } b: uploadAttachment(file: $g) { id sha256 } }"
)
FILE = b"some text"
PNG = image_file("PNG", 64, 30)

Part = tuple[str, Any]


@pytest.fixture(scope="module")
async def alice(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat)


@pytest.fixture
async def http(sqlite_chat: RunningServer, alice: Account) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may upload; whatever the test sent, the server answers the next one too."""
    headers = {"Authorization": f"Bearer {alice.token}", "Accept": RESPONSE_JSON, **PREFLIGHT}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client
        after = await post(client, operations("{ __typename }", None), field("map", {}))
        assert after.json() == {"data": {"__typename": "Query"}}


def field(name: str, value: Any) -> Part:
    text = value if isinstance(value, str | bytes) else msgspec.json.encode(value)
    return name, (None, text)


def file(name: str, content: bytes = FILE, filename: str = "a.txt") -> Part:
    return name, (filename, content)


def operations(query: str, variables: Any, **more: Any) -> Part:
    return field("operations", {"query": query, "variables": variables, **more})


def form(query: str, variables: Any, map_: Any = None, **more: Any) -> list[Part]:
    """Return a form as the specification has it, with one file."""
    map_ = {"0": ["variables.f"]} if map_ is None else map_
    return [operations(query, variables, **more), field("map", map_), file("0")]


async def post(http: httpx.AsyncClient, *parts: Part, **headers: str) -> httpx.Response:
    return await http.post("/graphql", files=[*parts], headers=headers)


async def test_a_file_is_uploaded(http: httpx.AsyncClient) -> None:
    answer = await post(http, *form(UPLOAD, {"f": None}))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{RESPONSE_JSON}; charset=utf-8"
    assert answer.json()["data"]["uploadAttachment"] == {
        "filename": "a.txt",
        "size": len(FILE),
        "sha256": hashlib.sha256(FILE).hexdigest(),
        "kind": "FILE",
    }


async def test_the_kind_is_checked(http: httpx.AsyncClient) -> None:
    query = (
        "mutation($f: Upload!, $k: MessageKind)"
        " { uploadAttachment(file: $f, kind: $k) { kind mediaType thumbnailUrl } }"
    )
    for kind in ("IMAGE", "FILE", None):
        content = image_file("PNG", 40, 30 + len(kind or ""))
        parts = [field("map", {"0": ["variables.f"]}), file("0", content, "a.png")]
        answer = await post(http, operations(query, {"f": None, "k": kind}), *parts)
        uploaded = answer.json()["data"]["uploadAttachment"]
        assert uploaded["kind"] == (kind or "IMAGE")
        assert (uploaded["thumbnailUrl"] is None) is (kind == "FILE")
    for kind in ("VOICE", "TEXT", "EMOJI", "SMELL"):
        answer = await post(http, operations(query, {"f": None, "k": kind}), *parts)
        assert check_errors(answer) == "BAD_USER_INPUT"


async def test_two_files_come_in_one_request(http: httpx.AsyncClient) -> None:
    answer = await post(
        http,
        operations(TWO, {"f": None, "g": None}),
        field("map", {"x": ["variables.g"], "y": ["variables.f"]}),
        file("x", b"for g"),
        file("y", b"for f"),
    )
    data = answer.json()["data"]
    assert data["a"]["sha256"] == hashlib.sha256(b"for f").hexdigest()
    assert data["b"]["sha256"] == hashlib.sha256(b"for g").hexdigest()


async def test_one_file_goes_to_two_places(http: httpx.AsyncClient) -> None:
    for content in (FILE, PNG):
        answer = await post(
            http,
            operations(TWO, {"f": None, "g": None}),
            field("map", {"0": ["variables.f", "variables.g"]}),
            file("0", content),
        )
        data = answer.json()["data"]
        assert data["a"]["sha256"] == data["b"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert data["a"]["id"] != data["b"]["id"]


async def test_files_are_placed_in_lists_and_objects(http: httpx.AsyncClient) -> None:
    # Variables that the operation does not declare are left alone: only the map looks at them.
    variables = {"f": None, "more": [{"list": ["x", None]}, None]}
    placed = {"0": ["variables.f"], "1": ["variables.more.0.list.1", "variables.more.1"]}
    parts = [field("map", placed), file("0"), file("1")]
    answer = await post(http, operations(UPLOAD, variables), *parts)
    assert answer.json()["data"]["uploadAttachment"]["size"] == len(FILE)
    # A list where there must be one file is refused by its type, with the files in it.
    listed = "mutation($f: [Upload!]!) { uploadAttachment(file: $f) { id } }"
    answer = await post(http, *form(listed, {"f": [None]}, {"0": ["variables.f.0"]}))
    assert answer.status_code == 400
    assert check_errors(answer) == "BAD_USER_INPUT"
    assert "[Upload!]!" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("order", ["omf", "mof", "fmo", "fom", "ofm"])
async def test_the_order_of_the_form_does_not_matter(http: httpx.AsyncClient, order: str) -> None:
    parts = dict(zip("omf", form(UPLOAD, {"f": None}), strict=True))
    answer = await post(http, *(parts[letter] for letter in order))
    assert answer.json()["data"]["uploadAttachment"]["size"] == len(FILE)


async def test_an_operation_without_files_may_come_as_a_form(
    http: httpx.AsyncClient, alice: Account
) -> None:
    parts = [operations("{ me { id } }", None), field("map", {})]
    assert (await post(http, *parts)).json() == {"data": {"me": {"id": str(alice.id)}}}
    named = "query A { me { id } } query B { b: me { id } }"
    parts = [operations(named, {}, operationName="B"), field("map", {})]
    assert (await post(http, *parts)).json() == {"data": {"b": {"id": str(alice.id)}}}


async def test_a_subscription_in_a_form_is_told_where_to_go(http: httpx.AsyncClient) -> None:
    answer = await post(
        http, operations("subscription { presence { online } }", None), field("map", {})
    )
    assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")
    assert "graphql-transport-ws" in answer.json()["errors"][0]["message"]


OPERATIONS = operations(UPLOAD, {"f": None})
MAP = field("map", {"0": ["variables.f"]})
NOT_REQUESTS: dict[str, tuple[list[Part], str]] = {
    "no operations": ([MAP, file("0")], "operations"),
    "no map": ([OPERATIONS, file("0")], "map"),
    "operations that are a file": ([file("operations", b"{}"), MAP, file("0")], "operations"),
    "operations that are not JSON": ([field("operations", "{"), MAP, file("0")], "JSON"),
    "operations beyond depth": ([field("operations", "[" * 50_000), MAP, file("0")], "JSON"),
    "a map that is not JSON": ([OPERATIONS, field("map", "{'0'"), file("0")], "JSON"),
    "a map that is a list": ([OPERATIONS, field("map", [["variables.f"]]), file("0")], ""),
    "a map of text": ([OPERATIONS, field("map", {"0": "variables.f"}), file("0")], ""),
    "a map of numbers": ([OPERATIONS, field("map", {"0": [1]}), file("0")], ""),
    "a map that is null": ([OPERATIONS, field("map", None), file("0")], ""),
    "a batch": (
        [field("operations", [{"query": UPLOAD}]), field("map", {"0": ["0.variables.f"]})],
        "",
    ),
    "operations without a query": ([field("operations", {"variables": {}}), field("map", {})], ""),
    "a file that was not sent": ([OPERATIONS, MAP], "not sent"),
    "two places, one file": (
        [OPERATIONS, field("map", {"0": ["variables.f"], "1": ["variables.f"]}), file("0")],
        "'1'",
    ),
    "a file that is not in the map": ([OPERATIONS, MAP, file("0"), file("1")], "'1'"),
    "an empty map": ([OPERATIONS, field("map", {}), file("0")], "'0'"),
    "two files of one name": ([OPERATIONS, MAP, file("0"), file("0")], "same name"),
    "too many files": (
        [
            OPERATIONS,
            field("map", {str(n): [] for n in range(MAX_FILES + 1)}),
            *(file(str(n)) for n in range(MAX_FILES + 1)),
        ],
        f"more than {MAX_FILES}",
    ),
}


@pytest.mark.parametrize("name", NOT_REQUESTS)
@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
async def test_what_is_no_multipart_request_is_a_400(
    http: httpx.AsyncClient, name: str, accept: str
) -> None:
    parts, says = NOT_REQUESTS[name]
    answer = await post(http, *parts, Accept=accept)
    assert answer.status_code == 400
    assert check_errors(answer) == "BAD_USER_INPUT"
    assert says in answer.json()["errors"][0]["message"]
    assert "data" not in answer.json()


@pytest.mark.parametrize(
    "place",
    [
        *("variables.g", "f", "variables", "", ".", "variables.", "variables.f.0", "query"),
        *("operations.variables.f", "variables.text", "variables.list.5", "variables.list.x"),
        *("variables.list", "variables.text.0", "variables.number.x", "extensions.f", "0"),
        "variables." + "a." * 5000,
    ],
)
async def test_a_file_is_only_placed_where_there_is_a_null(
    http: httpx.AsyncClient, place: str
) -> None:
    variables = {"f": None, "text": "x", "number": 1, "list": [None]}
    answer = await post(http, *form(UPLOAD, variables, {"0": [place]}))
    assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")
    assert "has no null" in answer.json()["errors"][0]["message"]
    # No variables at all, and the same place a second time.
    answer = await post(http, *form(UPLOAD, None))
    assert "has no null" in answer.json()["errors"][0]["message"]
    twice = {"0": ["variables.f", "variables.f"]}
    answer = await post(http, *form(UPLOAD, {"f": None}, twice))
    assert "has no null" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("header", PREFLIGHT_HEADERS)
async def test_a_form_of_another_site_cannot_send_one(http: httpx.AsyncClient, header: str) -> None:
    parts = form(UPLOAD, {"f": None})
    del http.headers["GraphQL-Preflight"]
    refused = await post(http, *parts)
    assert (refused.status_code, check_errors(refused)) == (400, "BAD_USER_INPUT")
    assert "GraphQL-Preflight" in refused.json()["errors"][0]["message"]
    assert (await post(http, *parts, **{header: ""})).status_code == 400
    taken = await post(http, *parts, **{header.title(): "true"})
    assert taken.status_code == 200
    http.headers.update(PREFLIGHT)


@pytest.mark.parametrize(
    "token", ["", "Authorization: Bearer x.y.z\r\n", "Authorization: Basic eDp5\r\n"]
)
@pytest.mark.parametrize("length", ["Content-Length: 20000", "Transfer-Encoding: chunked"])
async def test_a_stranger_is_refused_before_the_files_come(
    sqlite_chat: RunningServer, token: str, length: str
) -> None:
    async with RawConnection(sqlite_chat.settings.port) as connection:
        head = "POST /graphql HTTP/1.1\r\nHost: x\r\nGraphQL-Preflight: 1\r\n"
        media_type = "Content-Type: multipart/form-data; boundary=x\r\n"
        await connection.send(f"{head}{token}{media_type}{length}\r\n\r\n".encode())
        answer = await connection.answer()
        assert answer.status == 401
        [error] = msgspec.json.decode(answer.body)["errors"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED"}
        assert error["message"] == ("Invalid token" if token else "No token provided")


NO_FILES: list[Any] = ["a.txt", "", 7, 1.5, True, None, [], {}, {"size": 3}, ["a"]]


@pytest.mark.parametrize("value", NO_FILES, ids=repr)
async def test_what_is_no_file_is_refused_as_one(
    http: httpx.AsyncClient, sqlite_chat: RunningServer, alice: Account, value: Any
) -> None:
    body = {"query": UPLOAD, "variables": {"f": value}}
    answer = await http.post("/graphql", json=body)
    assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")
    if value is not None:
        assert "multipart" in answer.json()["errors"][0]["message"]
    literal = msgspec.json.encode(value).decode().replace('"size"', "size")
    query = f"mutation {{ uploadAttachment(file: {literal}) {{ id }} }}"
    answer = await http.post("/graphql", json={"query": query})
    assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")
    async with open_socket(sqlite_chat, alice) as socket:
        for id_, query_, variables in (("a", UPLOAD, {"f": value}), ("b", query, None)):
            await socket.subscribe(id_, query_, variables)
            answered = await socket.expect(id=id_)
            assert answered["type"] == "error"
            assert answered["payload"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
        await socket.settle()


async def test_a_file_for_what_wants_text_is_refused(http: httpx.AsyncClient) -> None:
    for query in (
        "mutation($f: String) { sendMessage(content: $f) { id } }",
        "mutation($f: ID) { sendMessage(content: null, attachmentId: $f) { id } }",
        "query($f: Int) { messages(first: $f) { nodes { id } } }",
    ):
        answer = await post(http, *form(query, {"f": None}))
        assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")


async def test_a_missing_variable_and_a_bad_document_are_refused(http: httpx.AsyncClient) -> None:
    for query in (UPLOAD.replace("$f", "$g"), "{ nobody }", "mutation {", ""):
        for accept, status in ((JSON, 200), (RESPONSE_JSON, 400)):
            answer = await post(http, *form(query, {"f": None}), Accept=accept)
            assert (answer.status_code, check_errors(answer)) == (status, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "content_type",
    [
        *("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; x=y"),
        *("multipart/form-data; boundary=other", f"multipart/form-data; boundary={'b' * 90}"),
    ],
)
async def test_a_form_without_its_boundary_is_refused(
    http: httpx.AsyncClient, content_type: str
) -> None:
    request = http.build_request("POST", "/graphql", files=form(UPLOAD, {"f": None}))
    headers = {"Content-Type": content_type}
    answer = await http.post("/graphql", content=request.read(), headers=headers)
    assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")


async def test_a_form_cut_short_is_refused(http: httpx.AsyncClient) -> None:
    request = http.build_request("POST", "/graphql", files=form(UPLOAD, {"f": None}))
    headers = {"Content-Type": request.headers["content-type"]}
    whole = request.read()
    for part in (0.2, 0.5, 0.9):
        content = whole[: int(len(whole) * part)]
        answer = await http.post("/graphql", content=content, headers=headers)
        assert (answer.status_code, check_errors(answer)) == (400, "BAD_USER_INPUT")


async def test_files_beyond_the_limit_are_refused(http: httpx.AsyncClient) -> None:
    limit = 25 * 1024 * 1024
    parts = [OPERATIONS, MAP, file("0", b"x" * (limit + 1))]
    answer = await post(http, *parts)
    assert (answer.status_code, check_errors(answer)) == (413, "PAYLOAD_TOO_LARGE")
    parts = [OPERATIONS, field("map", {"0": ["variables.f"]}), field("pad", b"x" * 1024 * 1025)]
    answer = await post(http, *parts)
    assert (answer.status_code, check_errors(answer)) == (413, "PAYLOAD_TOO_LARGE")


async def test_an_error_that_nobody_foresaw_is_told_in_graphql_s_form(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Any) -> None:
        raise RuntimeError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(transport, "check_preflight", fail)
        answer = await post(http, *form(UPLOAD, {"f": None}))
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["message"] == "Internal error"
    assert "secret" not in answer.text
