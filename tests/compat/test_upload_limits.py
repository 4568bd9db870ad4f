"""`POST /api/uploads`: its limits, and uploads that do not end as they should."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from resolvers.attachments import forms
from server.protocols import patience
from tests.compat.test_rest import bearer
from tests.compat.test_uploads import (
    BODY_LIMIT,
    END,
    FILE,
    LIMIT,
    MULTIPART,
    alice,
    expect_refusal,
    files_in,
    http,
    is_kept,
    part,
    post_form,
    small,
    upload,
)
from tests.server.raw_http import RawConnection
from tests.support.faces import Account, new_account
from tests.support.files import image_file, voice
from tests.support.server import RunningServer, running_server

__all__ = ["alice", "http", "small"]  # fixtures


async def test_fields_are_bounded_together(http: httpx.AsyncClient) -> None:
    half = b"x" * (BODY_LIMIT // 2)
    fits = await post_form(http, part('name="a"', half), part('name="b"', half), FILE)
    assert fits.status_code == 201
    over = await post_form(http, part('name="a"', half), part('name="b"', half + b"y"), FILE)
    expect_refusal(over, "PAYLOAD_TOO_LARGE")


async def test_a_file_of_just_the_limit_is_taken_and_one_byte_more_is_not(
    http: httpx.AsyncClient,
) -> None:
    assert (await upload(http, b"x" * LIMIT))["size"] == LIMIT
    for content in (b"x" * (LIMIT + 1), b"y" * 5 * LIMIT):
        answer = await http.post("/api/uploads", files={"f": content})
        expect_refusal(answer, "PAYLOAD_TOO_LARGE", str(LIMIT))


async def test_each_kind_has_its_limit(tmp_path: Path) -> None:
    with running_server(tmp_path, max_image_bytes=1024, max_voice_bytes=2048) as server:
        headers = bearer(await new_account(server))
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            for content in (image_file("JPEG"), voice("audio/wav", tone=0.1)):
                answer = await http.post("/api/uploads", files={"f": content})
                expect_refusal(answer, "PAYLOAD_TOO_LARGE")
                assert (await upload(http, content, kind="FILE"))["kind"] == "FILE"


def request_head(account: Account | None, *headers: str) -> bytes:
    lines = ["POST /api/uploads HTTP/1.1", "Host: x", f"Content-Type: {MULTIPART}", *headers]
    if account is not None:
        lines.append(f"Authorization: Bearer {account.token}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def test_what_is_announced_too_large_is_refused_before_it_comes(
    small: RunningServer, alice: Account
) -> None:
    async with RawConnection(small.settings.port) as connection:
        await connection.send(request_head(alice, f"Content-Length: {10 * LIMIT}"))
        answer = await connection.answer()
        assert answer.status == 413
        assert "PAYLOAD_TOO_LARGE" in answer.body


async def test_who_has_no_token_is_refused_before_the_file_comes(small: RunningServer) -> None:
    for headers in (["Content-Length: 20000"], ["Transfer-Encoding: chunked"]):
        async with RawConnection(small.settings.port) as connection:
            await connection.send(request_head(None, *headers))
            answer = await connection.answer()
            assert (answer.status, "No token provided" in answer.body) == (401, True)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def test_what_grows_too_large_is_refused_as_soon_as_it_is(
    small: RunningServer, alice: Account
) -> None:
    async with RawConnection(small.settings.port) as connection:
        await connection.send(request_head(alice, "Transfer-Encoding: chunked"))
        await connection.send(chunk(part('name="f"; filename="a"')[:-2] + b"x" * (LIMIT + 1)))
        assert (await connection.answer()).status == 413  # though no more has come


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "file": (part('name="f"; filename="a"')[:-2], b"x" * 8000),
    "line breaks before the form": (b"", b"\r\n" * 4000),
    "the same field": (b"", part('name="a"') * 40),
    "text after the form": (FILE + END, b"x" * 8000),
    "header": (part('name="f"; filename="a"')[:-4], b"x" * 8000),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_endless_upload_is_answered_and_ended(
    small: RunningServer, alice: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(patience, "ANSWERED_BODY_SECONDS", 0.5)
    begin, more = ENDLESS[name]
    kept = files_in(small)
    async with RawConnection(small.settings.port) as connection:
        await connection.send(request_head(alice, "Transfer-Encoding: chunked"))
        await connection.send(chunk(begin) if begin else b"")

        async def go_on() -> None:
            while True:
                await connection.send(chunk(more))
                await asyncio.sleep(0)  # a peer that reads fast never makes `send` wait

        sending = asyncio.create_task(go_on())
        answer = await connection.answer()
        assert answer.status in {400, 413}
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):
                await sending
    assert {path for path in files_in(small) - kept if not is_kept(small, path)} == set()


async def test_who_hangs_up_in_the_middle_leaves_nothing(
    small: RunningServer, alice: Account, http: httpx.AsyncClient
) -> None:
    open_before = open_files(small)
    for _ in range(5):
        async with RawConnection(small.settings.port) as connection:
            await connection.send(request_head(alice, f"Content-Length: {LIMIT}"))
            await connection.send(part('name="f"; filename="a"')[:-2] + b"x" * (LIMIT // 2))
    async with asyncio.timeout(10):
        while open_files(small) > open_before:  # its temporary files
            await http.get("/health")


def open_files(server: RunningServer) -> int:
    """Count the nameless files that this process, which is the server's, holds open."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    ours = [name for name in names if name.startswith(f"{server.settings.data_dir}/")]
    return len([name for name in ours if name.endswith("(deleted)")])


async def test_one_who_never_sends_them_may_not_upload_for_ever(tmp_path: Path) -> None:
    with running_server(tmp_path, max_unsent_uploads=3) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            ids = [(await upload(http, b"%d" % number))["id"] for number in range(3)]
            over = await http.post("/api/uploads", files={"f": b"x"})
            expect_refusal(over, "RATE_LIMITED")
            assert over.headers["retry-after"]
            sent = await http.post(
                "/api/messages/send", json={"attachmentId": ids[0], "toUserId": bob.id}
            )
            assert sent.status_code == 201
            await upload(http, b"x")
            others = await http.post("/api/uploads", files={"f": b"x"}, headers=bearer(bob))
            assert others.status_code == 201


def nowhere(dir: Path) -> object:
    """Open a file on a disk that is full."""
    return open("/dev/full", "r+b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("size", [10, forms.WRITE_BYTES * 2], ids=["small", "large"])
async def test_a_full_disk_is_said_and_the_server_goes_on(
    sqlite_chat: RunningServer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    headers = bearer(await new_account(sqlite_chat))
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        with monkeypatch.context() as patch:
            patch.setattr(forms, "tempfile", SimpleNamespace(TemporaryFile=nowhere))
            answer = await client.post("/api/uploads", files={"f": b"x" * size})
            assert (answer.status_code, answer.json()["code"]) == (503, "INTERNAL")
            assert "try again" in answer.json()["message"]
        assert (await upload(client, b"x" * size))["size"] == size


async def test_a_store_that_is_away_is_said_and_text_goes_on(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", storage_url=(tmp_path / "kept").as_uri()) as server:
        headers = bearer(await new_account(server))
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            earlier = await upload(client, b"earlier")
            (tmp_path / "kept").rename(tmp_path / "gone")
            (tmp_path / "kept").write_text("no directory")
            answer = await client.post("/api/uploads", files={"f": b"now"})
            assert (answer.status_code, answer.json()["code"]) == (503, "INTERNAL")
            assert "try again" in answer.json()["message"]
            opened = await client.get(earlier["url"])
            assert opened.status_code in {404, 503}
            assert opened.json()["message"]
            sent = await client.post("/api/messages/send", json={"content": "still here"})
            assert sent.status_code == 201
            (tmp_path / "kept").unlink()
            (tmp_path / "gone").rename(tmp_path / "kept")
            assert (await client.get(earlier["url"])).content == b"earlier"
            assert (await upload(client, b"now"))["size"] == 3
    there = [path.name for path in (tmp_path / "data").iterdir() if path.is_dir()]
    assert set(there) <= {"search", "run"}
