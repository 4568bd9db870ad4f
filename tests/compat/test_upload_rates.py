"""Uploads are counted by file and by byte, whatever they come in: aliases, forms, chunks, slots."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from settings import Rate
from tests.compat.test_rest import bearer
from tests.compat.test_upload_limits import chunk, request_head
from tests.compat.test_uploads import END, expect_refusal, part, upload
from tests.faults.waits import until
from tests.server.raw_http import RawConnection
from tests.support.faces import new_account
from tests.support.server import RunningServer, running_server

PREFLIGHT = {"GraphQL-Preflight": "1"}
MUTATION = "mutation($f: Upload!) {{ {} }}"
FIELD = "u{}: uploadAttachment(file: $f, kind: FILE) {{ id }}"


@asynccontextmanager
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = bearer(await new_account(server)) | PREFLIGHT
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        yield http


async def upload_by_aliases(http: httpx.AsyncClient, number: int, content: bytes) -> Any:
    """Make many attachments of one file by one request; return what the answer says."""
    query = MUTATION.format(" ".join(FIELD.format(n) for n in range(number)))
    form = {
        "operations": (None, msgspec.json.encode({"query": query, "variables": {"f": None}})),
        "map": (None, b'{"0": ["variables.f"]}'),
        "0": ("a", content),
    }
    return (await http.post("/graphql", files=form)).json()


def codes(answer: Any) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", ())]


async def attachments_of(http: httpx.AsyncClient, ids: range) -> int:
    found = [(await http.get(f"/files/{id_}")).status_code for id_ in ids]
    return found.count(200)


async def test_each_alias_is_an_upload(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, uploads_per_user=Rate(12, 600)) as server:
        async with client(server) as http:
            assert codes(await upload_by_aliases(http, 10, b"x")) == []
            assert codes(await upload_by_aliases(http, 10, b"x")) == ["RATE_LIMITED"]
            assert await attachments_of(http, range(1, 41)) == 12
            over = await http.post("/api/uploads", files={"f": b"x"})
            expect_refusal(over, "RATE_LIMITED")


async def test_each_file_of_a_request_is_an_upload(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, uploads_per_user=Rate(3, 600)) as server:
        async with client(server) as http:
            query = (
                "mutation($a: Upload!, $b: Upload!) { x: uploadAttachment(file: $a) { id }"
                " y: uploadAttachment(file: $b) { id } }"
            )
            form = {
                "operations": (
                    None,
                    msgspec.json.encode({"query": query, "variables": {"a": None, "b": None}}),
                ),
                "map": (None, b'{"0": ["variables.a"], "1": ["variables.b"]}'),
                "0": ("a", b"first"),
                "1": ("b", b"second"),
            }
            assert codes((await http.post("/graphql", files=form)).json()) == []
            assert codes((await http.post("/graphql", files=form)).json()) == ["RATE_LIMITED"]


async def test_each_alias_waits_to_be_sent_and_takes_of_the_quota(tmp_path: Path) -> None:
    with running_server(tmp_path / "1", max_unsent_uploads=7) as server:
        async with client(server) as http:
            assert codes(await upload_by_aliases(http, 10, b"x")) == ["RATE_LIMITED"]
            assert await attachments_of(http, range(1, 21)) == 7
    with running_server(tmp_path / "2", storage_per_user=3500, max_body_bytes=1024) as server:
        async with client(server) as http:
            assert codes(await upload_by_aliases(http, 10, b"x" * 1000)) == ["PAYLOAD_TOO_LARGE"]
            assert await attachments_of(http, range(1, 21)) == 3
            over = await http.post("/api/uploads", files={"f": b"x" * 1000})
            expect_refusal(over, "PAYLOAD_TOO_LARGE", "3500")
            limits = (await http.get("/api/limits")).json()
            assert limits["storagePerUser"] == 3500
            shown = await http.post("/graphql", json={"query": SHOWN})
            assert shown.json()["data"]["serverInfo"]["limits"]["storagePerUser"] == 3500


SHOWN = "{ serverInfo { limits { storagePerUser uploadBytesPerUser { amount seconds } } } }"


async def test_bytes_have_a_rate_told_or_not(tmp_path: Path) -> None:
    rate = Rate(100_000, 600)
    with running_server(tmp_path, limits=True, upload_bytes_per_user=rate) as server:
        async with client(server) as http:
            await upload(http, b"x" * 60_000)
            over = await http.post("/api/uploads", files={"f": b"x" * 60_000})
            expect_refusal(over, "RATE_LIMITED", "bytes")
            await upload(http, b"x" * 30_000)
            whole = await http.post("/api/uploads", files={"f": b"x" * 200_000})
            expect_refusal(whole, "PAYLOAD_TOO_LARGE", "100000")
        account = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(account)) as http:
            await upload(http, b"x" * 60_000)
        async with RawConnection(server.settings.port) as connection:
            await connection.send(request_head(account, "Transfer-Encoding: chunked"))
            await connection.send(chunk(part('name="f"; filename="a"')[:-2] + b"x" * 50_000))
            assert (await connection.answer()).status == 429  # though no more has come
        async with client(server) as http:
            # Each alias is so many bytes too.
            assert codes(await upload_by_aliases(http, 10, b"x" * 30_000)) == ["RATE_LIMITED"]


async def test_one_address_does_not_hold_every_slot_and_gives_back_what_it_held(
    tmp_path: Path,
) -> None:
    settings = {"trusted_proxies": ("127.0.0.1",), "max_uploads_per_address": 5}
    with running_server(tmp_path, limits=True, **settings) as server:
        people = [await new_account(server) for _ in range(7)]
        begun = part('name="f"; filename="a"')[:-2]
        async with AsyncExitStack() as stack:
            lines = []
            for person in people[:5]:
                line = await stack.enter_async_context(RawConnection(server.settings.port))
                head = request_head(
                    person, "X-Forwarded-For: 203.0.113.9", "Transfer-Encoding: chunked"
                )
                await line.send(head + chunk(begun))
                lines.append(line)
            await until(lambda: server.ctx.upload_slots._held[None] == 5, 10)
            async with httpx.AsyncClient(base_url=server.url) as http:
                refused = await http.post(
                    "/api/uploads",
                    files={"f": b"x"},
                    headers=bearer(people[5]) | {"X-Forwarded-For": "203.0.113.9"},
                )
                expect_refusal(refused, "RATE_LIMITED", "address")
                elsewhere = await http.post(
                    "/api/uploads",
                    files={"f": b"x"},
                    headers=bearer(people[6]) | {"X-Forwarded-For": "203.0.113.10"},
                )
                assert elsewhere.status_code == 201
                await lines[0].send(chunk(b"\r\n" + END) + b"0\r\n\r\n")
                assert (await lines[0].answer()).status == 201
                again = await http.post(
                    "/api/uploads",
                    files={"f": b"x"},
                    headers=bearer(people[5]) | {"X-Forwarded-For": "203.0.113.9"},
                )
                assert again.status_code == 201
        await until(
            lambda: server.ctx.upload_slots._held[None] == 0, 10
        )  # also of those that hung up


async def test_nobody_uploads_without_a_token_by_any_way(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=PREFLIGHT) as http:
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                answer = await http.post("/api/uploads", files={"f": b"x"}, headers=headers)
                assert answer.status_code == 401
                http.headers.update(headers)
                assert codes(await upload_by_aliases(http, 2, b"x")) == ["UNAUTHENTICATED"]
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
