"""What a page of another site can do with somebody's browser: nothing, on any face.

Nothing of ours lives in a browser: no cookie, no HTTP authentication. A page that makes a visitor's
browser send a request cannot make it send a token, since no form, image or link can. What is left
is checked here: that no content type of a form is taken for GraphQL, that GET changes nothing, and
that WebSockets, which CORS does not cover, look at `Origin`.
"""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.faces import PASSWORD, Account, new_account
from tests.support.server import RunningServer, running_server

OURS = "https://chat.example"
WITH_PORT = "https://chat.example:8443"
SEND = 'mutation { sendMessage(content: "forged") { id } }'
FORGED = json.dumps({"query": SEND})
BOUNDARY = "x"
MULTIPART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{FORGED}\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="map"\r\n\r\n{{}}\r\n--{BOUNDARY}--\r\n'
)

# What a browser sends for another site without asking first (fetch.spec.whatwg.org, a safelisted
# request header), and what tries to pass for JSON.
FORMS = {
    "text": ("text/plain", FORGED),
    "text with a charset": ("text/plain;charset=UTF-8", FORGED),
    "text that names JSON": ("text/plain; application/json", FORGED),
    "text, then JSON": ("text/plain, application/json", FORGED),
    "a form": ("application/x-www-form-urlencoded", urlencode({"query": SEND})),
    "a form that is JSON": ("application/x-www-form-urlencoded", FORGED),
    "a multipart form": (f"multipart/form-data; boundary={BOUNDARY}", MULTIPART),
    "a multipart form, in capitals": (f"Multipart/Form-Data; boundary={BOUNDARY}", MULTIPART),
    "no type": ("", FORGED),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose CORS is narrow."""
    directory = tmp_path_factory.mktemp("cross-site")
    origins = f"{OURS}, HTTPS://Other.Example:443/, {WITH_PORT}"
    with running_server(directory, cors_origins=origins) as running:
        yield running


@pytest.fixture
async def alice(server: RunningServer) -> Account:
    return await new_account(server)


def bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"}


async def history(http: httpx.AsyncClient, account: Account) -> list[str]:
    rows = (await http.get("/api/messages", headers=bearer(account))).json()
    return [row["content"] for row in rows]


@pytest.mark.parametrize("form", FORMS)
async def test_no_form_is_taken_for_graphql(
    server: RunningServer, alice: Account, form: str
) -> None:
    content_type, body = FORMS[form]
    async with httpx.AsyncClient(base_url=server.url) as http:
        before = await history(http, alice)
        # With a token, too, which no form can send: the type alone is enough to be refused.
        headers = {"Content-Type": content_type, "Origin": "https://evil.example", **bearer(alice)}
        answer = await http.post("/graphql", content=body.encode(), headers=headers)
        assert answer.status_code in {400, 415}
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert "access-control-allow-origin" not in answer.headers
        assert await history(http, alice) == before
        # The same words, said as a page of ours may say them, are heard.
        headers["Content-Type"] = "application/json"
        answer = await http.post("/graphql", content=FORGED, headers=headers)
        assert "errors" not in answer.json()
        assert len(await history(http, alice)) == len(before) + 1


@pytest.mark.parametrize("query", [SEND, "query A { me { id } } " + SEND])
async def test_get_changes_nothing(server: RunningServer, alice: Account, query: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        before = await history(http, alice)
        for more in ({}, bearer(alice)):
            answer = await http.get("/graphql", params={"query": query}, headers=more)
            assert answer.json()["errors"]
            assert "data" not in answer.json()
        assert await history(http, alice) == before
        # And what it reads is for whoever has a token: an image or a link of another page has none.
        for headers in ({}, {"Cookie": f"token={alice.token}; Authorization=Bearer {alice.token}"}):
            answer = await http.get(
                "/graphql",
                params={"query": "{ me { id } }", "token": alice.token, "access_token": "x"},
                headers=headers,
            )
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_no_answer_leaves_anything_in_a_browser(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        account = {"email": "cookie@example.com", "password": PASSWORD, "displayName": "C"}
        for answer in (
            await http.post("/api/auth/register", data=account),
            await http.post("/api/auth/login", json=account),
            await http.post("/graphql", json={"query": "{ __typename }"}),
            await http.get("/socket.io/?EIO=4&transport=polling"),
            await http.get("/api/messages"),
        ):
            assert "set-cookie" not in answer.headers
            assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "Authorization", "jwt"])
async def test_a_token_in_an_address_opens_nothing(
    server: RunningServer, alice: Account, name: str
) -> None:
    for value in (alice.token, f"Bearer {alice.token}"):
        async with httpx.AsyncClient(base_url=server.url, params={name: value}) as http:
            assert (await http.get("/api/messages")).status_code == 401
            assert (await http.post("/api/messages/send", json={"content": "x"})).status_code == 401
            answer = await http.post("/graphql", json={"query": "{ me { id } }"})
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        address = f"{server.ws_url}?{urlencode({name: value})}"
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send('{"type": "connection_init"}')
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            me = {"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }"}}
            await socket.send(json.dumps(me))
            assert "UNAUTHENTICATED" in str(await socket.recv())


ORIGINS = {
    OURS: True,
    WITH_PORT: True,
    "https://other.example": True,
    "own": True,  # the page is the server's own, the playground
    None: True,  # no browser
    "https://evil.example": False,
    "null": False,  # a sandboxed frame, a file
    "": False,
    "http://chat.example": False,
    "https://chat.example:444": False,
    "https://other.example:8443": False,
    "https://sub.chat.example": False,
    "https://chat.example.evil.example": False,
    "https://evilchat.example": False,
    "https://chat.example@evil.example": False,
    "https://chat.example.": False,
    "own.evil.example": False,
    "evil.example/own": False,
}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("face", ["graphql", "socketio"])
async def test_websockets_are_for_pages_of_ours(
    server: RunningServer, face: str, origin: str | None
) -> None:
    said = origin
    if origin is not None and "own" in origin:
        said = "http://" + origin.replace("own", f"127.0.0.1:{server.settings.port}")
    url = server.ws_url
    if face == "socketio":
        url = url.replace("/graphql", "/socket.io/?EIO=4&transport=websocket")
    opening = connect(
        url,
        subprotocols=[Subprotocol("graphql-transport-ws")] if face == "graphql" else None,
        origin=None if said is None else Origin(said),
    )
    if ORIGINS[origin]:
        async with opening:
            return
    with pytest.raises(InvalidStatus) as refused:
        async with opening:
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", [origin for origin in ORIGINS if origin and "own" not in origin])
async def test_cors_lets_only_pages_of_ours_read(server: RunningServer, origin: str) -> None:
    expected = origin if ORIGINS[origin] else None
    async with httpx.AsyncClient(base_url=server.url) as http:
        for path in ("/health", "/nowhere", "/graphql?query={__typename}", "/api/messages"):
            answer = await http.get(path, headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == expected
            allowed = answer.headers.get("access-control-allow-credentials")
            assert allowed == ("true" if expected else None)
            assert "origin" in answer.headers["vary"].lower()
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await http.options("/graphql", headers=asked)
        assert preflight.headers.get("access-control-allow-origin") == expected
        assert preflight.status_code == (200 if expected else 400)
        if "://" in origin:
            polling = {"EIO": "4", "transport": "polling"}
            answer = await http.get("/socket.io/", params=polling, headers={"Origin": origin})
            assert answer.status_code == (200 if expected else 403)
            assert answer.headers.get("access-control-allow-origin") == expected


async def test_another_name_of_the_host_is_another_origin(server: RunningServer) -> None:
    host = f"127.0.0.1:{server.settings.port}"
    for origin, status in ((f"http://{host}", 200), ("http://127.0.0.1", 403), ("http://x", 403)):
        async with httpx.AsyncClient(base_url=server.url) as http:
            polling = {"EIO": "4", "transport": "polling"}
            answer = await http.get("/socket.io/", params=polling, headers={"Origin": origin})
            assert answer.status_code == status
