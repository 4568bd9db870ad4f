"""`GET /files/{id}`: who may open one, by token or by a signed address."""

import asyncio
import logging
import string
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.compat.test_rest import bearer
from tests.compat.test_uploads import upload
from tests.support.faces import Account, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer, running_server

PNG = image_file("PNG", 500, 400)


class Sent(NamedTuple):
    """A picture that Alice sent to Bob, and others that have nothing to do with it."""

    alice: Account
    bob: Account
    carol: Account
    file: dict[str, Any]

    @property
    def paths(self) -> tuple[str, str]:
        """Where it and its thumbnail are served."""
        return f"/files/{self.file['id']}", f"/files/{self.file['id']}/thumbnail"


@pytest.fixture(scope="module")
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as client:
        yield client


@pytest.fixture(scope="module")
async def sent(http: httpx.AsyncClient, sqlite_chat: RunningServer) -> Sent:
    alice, bob, carol = [await new_account(sqlite_chat, name) for name in ("A", "B", "C")]
    file = await upload_as(http, alice, PNG, "a.png")
    await send(http, alice, attachmentId=file["id"], toUserId=bob.id)
    return Sent(alice, bob, carol, file)


async def upload_as(
    http: httpx.AsyncClient, account: Account, content: bytes, filename: str, **fields: str
) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=http.base_url, headers=bearer(account)) as client:
        return await upload(client, content, filename, **fields)


async def send(http: httpx.AsyncClient, account: Account, **body: Any) -> dict[str, Any]:
    answer = await http.post("/api/messages/send", json=body, headers=bearer(account))
    assert answer.status_code == 201, answer.text
    message: dict[str, Any] = answer.json()
    return message


async def ask_graphql(
    http: httpx.AsyncClient, account: Account | None, query: str, **variables: Any
) -> Any:
    body = {"query": query, "variables": variables}
    headers = {} if account is None else bearer(account)
    answer = (await http.post("/graphql", json=body, headers=headers)).json()
    for error in answer.get("errors", ()):
        assert error["extensions"].pop("requestId")  # each request has its own
    return answer


ATTACHMENT = "query($id: ID!) { attachment(id: $id) { id filename url thumbnailUrl } }"
FORWARD = "mutation($id: ID!) { sendMessage(kind: IMAGE, attachmentId: $id) { attachment { id } } }"


async def test_its_two_people_open_it_with_their_tokens(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    whole, thumbnail = sent.paths
    for somebody in (sent.alice, sent.bob):
        opened = await http.get(whole, headers=bearer(somebody))
        assert (opened.status_code, opened.content) == (200, PNG)
        assert opened.headers["content-type"] == "image/png"
        small = await http.get(thumbnail, headers=bearer(somebody))
        assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
        assert small.content[:4] == b"RIFF"
        assert len(small.content) == int(small.headers["content-length"])
        asked = await ask_graphql(http, somebody, ATTACHMENT, id=sent.file["id"])
        assert asked["data"]["attachment"]["filename"] == "a.png"


async def test_whoever_may_not_see_it_gets_the_answer_of_one_that_does_not_exist(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    missing = ("/files/999999999", "/files/999999999/thumbnail")
    for path, nothing in zip(sent.paths, missing, strict=True):
        for method in ("GET", "HEAD"):
            hidden = await http.request(method, path, headers=bearer(sent.carol))
            absent = await http.request(method, nothing, headers=bearer(sent.carol))
            assert hidden.status_code == absent.status_code == 404
            assert hidden.content == absent.content
            assert without_date(hidden) == without_date(absent)
    for query in (ATTACHMENT, FORWARD):
        hidden = await ask_graphql(http, sent.carol, query, id=sent.file["id"])
        assert hidden == await ask_graphql(http, sent.carol, query, id=999_999_999)
        if query == FORWARD:
            assert hidden["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        else:
            assert hidden == {"data": {"attachment": None}}
    # Asking did not change that: the two of them still may.
    assert (await http.get(sent.paths[0], headers=bearer(sent.bob))).status_code == 200
    forwarded = await ask_graphql(http, sent.alice, FORWARD.replace("ID!) {", "ID!) { ok:"), id=0)
    assert forwarded["errors"][0]["extensions"]["code"] == "NOT_FOUND"


def without_date(answer: httpx.Response) -> dict[str, str]:
    assert "x-request-id" in answer.headers
    own = {"date", "x-request-id"}
    return {name: value for name, value in answer.headers.items() if name not in own}


async def test_without_a_good_token_there_is_nothing_not_even_what_is_missing(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    for path in (*sent.paths, "/files/999999999", "/files/x", "/files/0/thumbnail"):
        for headers, says in (
            ({}, "No token provided"),
            ({"Authorization": "Bearer x.y.z"}, "Invalid token"),
            ({"Authorization": f"Bearer {sent.bob.token[:-3]}"}, "Invalid token"),
            ({"Authorization": f"Basic {sent.bob.token}"}, "Invalid token"),
        ):
            answer = await http.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.json() == {"message": says, "code": "UNAUTHENTICATED"}
    asked = await ask_graphql(http, None, ATTACHMENT, id=sent.file["id"])
    assert asked["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    # A token in the address is none.
    answer = await http.get(sent.paths[0], params={"token": sent.bob.token})
    assert answer.status_code == 401


@pytest.mark.parametrize("id_", ["0", "-1", "x", "1.5", "9" * 19, "9" * 5000, "٣", "%00", "1e3"])
async def test_an_absurd_id_is_no_files(http: httpx.AsyncClient, sent: Sent, id_: str) -> None:
    for path in (f"/files/{id_}", f"/files/{id_}/thumbnail"):
        answer = await http.get(path, headers=bearer(sent.bob))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_a_broadcast_opens_to_everyone_and_what_is_not_sent_to_its_owner_alone(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    file = await upload_as(http, sent.alice, b"for all", "a.txt")
    path = f"/files/{file['id']}"
    assert (await http.get(path, headers=bearer(sent.alice))).content == b"for all"
    assert (await http.get(path, headers=bearer(sent.bob))).status_code == 404
    assert (await http.get(f"{path}/thumbnail", headers=bearer(sent.alice))).status_code == 404
    await send(http, sent.alice, attachmentId=file["id"])
    for somebody in (sent.alice, sent.bob, sent.carol):
        assert (await http.get(path, headers=bearer(somebody))).content == b"for all"
    assert (await http.get(path)).status_code == 401


async def test_the_same_content_of_another_opens_nothing_of_mine(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    file = await upload_as(http, sent.carol, PNG, "b.png")
    assert file["sha256"] == sent.file["sha256"]
    assert (await http.get(f"/files/{file['id']}", headers=bearer(sent.bob))).status_code == 404
    assert (await http.get(sent.paths[0], headers=bearer(sent.carol))).status_code == 404


async def test_a_forwarded_file_opens_to_its_new_receiver(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    file = await upload_as(http, sent.alice, b"pass it on", "a.txt")
    path = f"/files/{file['id']}"
    await send(http, sent.alice, attachmentId=file["id"], toUserId=sent.bob.id)
    assert (await http.get(path, headers=bearer(sent.carol))).status_code == 404
    await send(http, sent.bob, attachmentId=file["id"], toUserId=sent.carol.id)
    assert (await http.get(path, headers=bearer(sent.carol))).content == b"pass it on"


async def test_a_signed_address_needs_no_token(http: httpx.AsyncClient, sent: Sent) -> None:
    opened = await http.get(sent.file["url"])
    assert (opened.status_code, opened.content) == (200, PNG)
    assert (await http.get(sent.file["thumbnailUrl"])).headers["content-type"] == "image/webp"
    for token in (sent.carol.token, "x.y.z"):  # whoever has it, and whatever else they have
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.get(sent.file["url"], headers=headers)).status_code == 200
    asked = await ask_graphql(http, sent.bob, ATTACHMENT, id=sent.file["id"])
    assert (await http.get(asked["data"]["attachment"]["url"])).content == PNG


async def expect_nothing(http: httpx.AsyncClient, path: str, query: str) -> None:
    answer = await http.get(f"{path}?{query}")
    assert answer.status_code == 404, query
    assert answer.json() == {"message": "File not found", "code": "NOT_FOUND"}


async def test_a_changed_address_opens_nothing(http: httpx.AsyncClient, sent: Sent) -> None:
    path, _, query = sent.file["url"].partition("?")
    signed = dict(parse_qsl(query))
    expires, signature = signed["expires"], signed["signature"]
    for place in range(len(signature)):
        old = signature[place]
        for others in (string.ascii_letters, string.digits, "-_=.~+/é"):
            new = next(c for c in others if c != old)
            changed = signature[:place] + new + signature[place + 1 :]
            await expect_nothing(
                http, path, str(httpx.QueryParams(signed | {"signature": changed}))
            )
    for bad in ("", signature[:-1], signature + "A", signature + "=", signature.swapcase(), "%00"):
        await expect_nothing(http, path, f"expires={expires}&signature={bad}")
    for bad in (
        *(str(int(expires) + 1), str(int(expires) - 1), "", "0", "-1", "x", "%00", "%ff", "1e9"),
        *(f"0{expires}", f"{expires}.0", f"+{expires}", f"{expires}%20", f"%20{expires}"),
        *("9" * 18, "9" * 5000, "Infinity", "NaN", "null", "٣", "%ed%a0%80"),
    ):
        await expect_nothing(http, path, f"expires={bad}&signature={signature}")
    await expect_nothing(http, path, f"signature={signature}")
    await expect_nothing(http, path, "signature=")
    assert (await http.get(f"{path}?{query}")).status_code == 200


async def test_an_address_of_one_thing_does_not_open_another(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    other = await upload_as(http, sent.alice, PNG, "b.png")
    path, _, query = sent.file["url"].partition("?")
    small_path, _, small_query = sent.file["thumbnailUrl"].partition("?")
    for elsewhere in (small_path, f"/files/{other['id']}", f"/files/{sent.file['id']}0"):
        await expect_nothing(http, elsewhere, query)
    await expect_nothing(http, path, small_query)
    await expect_nothing(http, path, urlsplit(other["url"]).query)
    # Nor does it open them to whoever has a token, when it is not good.
    answer = await http.get(f"{path}?{small_query}", headers=bearer(sent.bob))
    assert answer.status_code == 404


async def test_an_address_that_says_something_twice_opens_nothing(
    http: httpx.AsyncClient, sent: Sent
) -> None:
    path, _, query = sent.file["url"].partition("?")
    expires, signature = query.split("&")
    for twice in (
        f"{query}&{signature}",
        f"{query}&{expires}",
        f"{query}&signature=x",
        f"signature=x&{query}",
        f"expires=1&{query}",
        f"{query}&expires=1",
        f"{query}&{query}",
    ):
        await expect_nothing(http, path, twice)
    # What somebody adds to it for their own purposes does no harm.
    assert (await http.get(f"{path}?{query}&utm=x&utm=y")).status_code == 200


@pytest.fixture
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose addresses are good for a second."""
    data_dir = tmp_path_factory.mktemp("brief")
    with running_server(data_dir, file_url_seconds=1, public_url="https://chat.example/x/") as it:
        yield it


async def test_an_address_expires_and_begins_as_the_setting_says(brief: RunningServer) -> None:
    alice = await new_account(brief)
    async with httpx.AsyncClient(base_url=brief.url) as http:
        file = await upload_as(http, alice, PNG, "a.png")
        parts = urlsplit(file["url"])
        assert file["url"].startswith(f"https://chat.example/x/files/{file['id']}?")
        path = parts.path.removeprefix("/x")
        for _ in range(600):
            answer = await http.get(f"{path}?{parts.query}")
            if answer.status_code == 404:
                break
            assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.json() == {"message": "File not found", "code": "NOT_FOUND"}
        assert (await http.get(path, headers=bearer(alice))).content == PNG
        fresh = await ask_graphql(http, alice, ATTACHMENT, id=file["id"])
        query = urlsplit(fresh["data"]["attachment"]["url"]).query
        assert (await http.get(f"{path}?{query}")).status_code == 200


async def test_a_signature_is_never_logged(
    http: httpx.AsyncClient, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="parley")
    for address in (sent.file["url"], sent.file["thumbnailUrl"], sent.file["url"] + "x"):
        await http.get(address)
        path, _, query = address.partition("?")
        logged = await access_of(http, path, caplog)
        assert logged.name == "parley.access"
        signature = dict(parse_qsl(query))["signature"]
        for record in caplog.records:
            if record.name.startswith("parley"):  # the others' are not kept, or the client's
                assert signature[:20] not in f"{record.getMessage()} {record.__dict__}"
        caplog.clear()


async def access_of(
    http: httpx.AsyncClient, path: str, caplog: pytest.LogCaptureFixture
) -> logging.LogRecord:
    """Return the line of a request; it comes when the answer is out."""
    async with asyncio.timeout(10):
        while True:
            for record in caplog.records:
                if record.name == "parley.access" and f" {path} " in record.getMessage():
                    return record
            await http.get("/health")
