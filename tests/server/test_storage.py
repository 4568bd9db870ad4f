"""Where attachments are kept, as an operator chooses it: S3, one directory of several servers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

import main
from db.engines.database import Database
from resolvers.attachments.sweep import sweep_uploads
from settings import Settings
from tests.compat.test_rest import bearer
from tests.compat.test_uploads import upload
from tests.schema.client import open_socket
from tests.schema.test_node_clients import Parley
from tests.support.faces import PASSWORD, SocketIOFace, new_account
from tests.support.files import image_file
from tests.support.mariadb import MariaDB
from tests.support.redis import redis_server
from tests.support.s3 import CREDENTIALS, S3, s3_server
from tests.support.server import running_server
from tests.support.tools import AS_INSTALLED

BUCKET = "attachments"
PNG = image_file("PNG", 640, 480)
# Put in several parts, and read in many pieces.
LARGE = bytes(range(256)) * 4096 * 12


class Served(Parley):
    """The server as an operator starts it, with settings of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        super().__init__(directory)
        self._settings = settings

    def environment(self) -> dict[str, str]:
        """The tests' own, without what it would say of a server or a cloud."""
        ours = {name.upper() for name in Settings.model_fields}
        clean = {
            name: value
            for name, value in os.environ.items()
            if name.upper() not in ours and not name.upper().startswith("AWS_")
        }
        quick = {"BCRYPT_ROUNDS": "4", "DATA_DIR": str(self.directory / "data")}
        return {**clean, **AS_INSTALLED, **quick, **self._settings}

    @asynccontextmanager
    async def client(self, email: str = "a@example.com") -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client that is logged in."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            body = {"email": email, "password": PASSWORD, "displayName": "A"}
            await http.post("/api/auth/register", json=body)
            token = (await http.post("/api/auth/login", json=body)).json()["token"]
            http.headers["Authorization"] = f"Bearer {token}"
            yield http


@asynccontextmanager
async def served(directory: Path, **settings: str) -> AsyncIterator[Served]:
    """Serve while the block lasts."""
    server = Served(directory, **settings)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@pytest.fixture
def s3() -> Iterator[S3]:
    """An S3 with a bucket."""
    with s3_server() as server:
        server.make_bucket(BUCKET)
        yield server


async def send(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post("/api/messages/send", json=body)


async def test_attachments_are_kept_on_s3(tmp_path: Path, s3: S3) -> None:
    storage = s3.storage_url(BUCKET, "of/parley")
    async with (
        served(tmp_path, STORAGE_URL=storage, **CREDENTIALS) as server,
        server.client() as http,
    ):
        picture = await upload(http, PNG, "a.png")
        for path in (picture["url"], f"/files/{picture['id']}"):
            assert (await http.get(path)).content == PNG
        small = await http.get(picture["thumbnailUrl"])
        assert (small.status_code, small.content[:4]) == (200, b"RIFF")
        names = s3.names(BUCKET)
        assert len(names) == 2
        assert all(name.startswith(f"of/parley/{picture['sha256'][:2]}/") for name in names)
        assert sorted(name.endswith(".webp") for name in names) == [False, True]
        # The same again is kept once.
        again = await upload(http, PNG, "b.png")
        assert again["id"] != picture["id"]
        assert s3.names(BUCKET) == names
        large = await upload(http, LARGE, "a.bin")
        assert (await http.get(large["url"])).content == LARGE
        for asked, part in (
            ("bytes=0-9", LARGE[:10]),
            ("bytes=-7", LARGE[-7:]),
            (f"bytes=6000000-{9_000_000 - 1}", LARGE[6_000_000:9_000_000]),
        ):
            answer = await http.get(large["url"], headers={"Range": asked})
            assert (answer.status_code, answer.content) == (206, part)
        empty = await upload(http, b"", "nothing")
        assert (await http.get(empty["url"])).content == b""
        assert (await send(http, attachmentId=picture["id"])).status_code == 201
        logged = server.log.read_text()
        assert f"GET /files/{picture['id']} 200" in logged
        assert "signature" not in logged
        kept = {path.name for path in (tmp_path / "data").iterdir()}
        kept = {name for name in kept if not name.startswith("parley.db")}
        assert kept <= {"jwt_secret", "search", "run"}


async def test_while_s3_is_away_files_are_a_503_and_text_goes_on(tmp_path: Path, s3: S3) -> None:
    storage = s3.storage_url(BUCKET, "x")
    async with (
        served(tmp_path, STORAGE_URL=storage, **CREDENTIALS) as server,
        server.client() as http,
    ):
        picture = await upload(http, PNG, "a.png")
        await asyncio.to_thread(s3.stop)
        for answer in (
            await http.post("/api/uploads", files={"f": b"new"}),
            await http.get(picture["url"]),
            await http.get(picture["thumbnailUrl"]),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "INTERNAL")
            assert "try again" in answer.json()["message"]
            assert answer.headers["retry-after"]
        assert (await send(http, content="still here")).status_code == 201
        assert (await send(http, attachmentId=picture["id"])).status_code == 201
        assert (await http.get("/ready")).status_code == 200
        # Back, and empty: what was kept is gone, and says so; what is new is kept.
        await asyncio.to_thread(s3.start)
        s3.make_bucket(BUCKET)
        assert (await http.get(picture["url"])).status_code == 404
        new = await upload(http, b"new", "a.txt")
        assert (await http.get(new["url"])).content == b"new"
    assert "Traceback" not in server.log.read_text()


async def test_what_nobody_sent_is_swept_from_s3(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_server(tmp_path, storage_url=s3.storage_url(BUCKET, "x")) as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            unsent = await upload(http, PNG, "unsent.png")
            sent = await upload(http, b"sent", "sent.txt")
            assert (await send(http, attachmentId=sent["id"])).status_code == 201
            assert len(s3.names(BUCKET)) == 3
            await sweep(server.ctx, timedelta(hours=23))
            assert (await http.get(unsent["url"])).status_code == 200
            await sweep(server.ctx, timedelta(hours=25))
            assert (await http.get(unsent["url"])).status_code == 404
            assert (await http.get(unsent["thumbnailUrl"])).status_code == 404
            assert (await http.get(sent["url"])).content == b"sent"
            assert [sent["sha256"] in name for name in s3.names(BUCKET)] == [True]
            assert (await http.get((await upload(http, PNG, "a.png"))["url"])).content == PNG


async def sweep(ctx: Any, later: timedelta) -> None:
    """Sweep as the server will then; its connections are another loop's, so by some of ours."""
    database = Database(ctx.settings.database)
    try:
        await sweep_uploads(replace(ctx, db=database), now=now() + later)
    finally:
        await database.close()


def now() -> datetime:
    return datetime.now(UTC)


async def test_two_servers_with_one_database_and_one_directory_see_the_same_files(
    tmp_path: Path, mariadb: MariaDB
) -> None:
    url = mariadb.url("two_servers_of_files")
    with redis_server() as redis:
        shared = {"database_url": url, "redis_url": redis.url}
        with (
            running_server(tmp_path, **shared) as one,
            running_server(tmp_path, **shared) as two,
        ):
            alice, bob, carol = [await new_account(one, name) for name in ("A", "B", "C")]
            query = (
                "subscription { messageAdded"
                " { id content attachment { id filename width waveform thumbnailUrl url } } }"
            )
            async with (
                httpx.AsyncClient(base_url=one.url, headers=bearer(alice)) as here,
                httpx.AsyncClient(base_url=two.url, headers=bearer(bob)) as there,
                open_socket(two, bob) as socket,
                SocketIOFace.open(two, bob) as older,
            ):
                await socket.subscribe("live", query)
                await socket.settle()
                picture = await upload(here, PNG, "grüße.png")
                assert (await there.get(f"/files/{picture['id']}")).status_code == 404
                sent = await send(here, attachmentId=picture["id"], toUserId=bob.id)
                assert sent.status_code == 201
                heard = (await socket.expect(id="live"))["payload"]["data"]["messageAdded"]
                assert heard["content"] == ""
                assert heard["attachment"]["filename"] == "grüße.png"
                assert heard["attachment"]["width"] == 640
                _, older_heard = await older.events.expect(lambda e: e[0] == "message:new")
                assert older_heard["attachment"]["sha256"] == picture["sha256"]
                # An address that one has signed opens at the other, as its token does.
                for address in (
                    *(heard["attachment"]["url"], picture["url"]),
                    f"/files/{picture['id']}",
                ):
                    assert (await there.get(address)).content == PNG
                small = await there.get(heard["attachment"]["thumbnailUrl"])
                assert small.headers["content-type"] == "image/webp"
                hidden = await there.get(f"/files/{picture['id']}", headers=bearer(carol))
                assert hidden.status_code == 404
                # The same content at both, at once, is kept once.
                both = await asyncio.gather(
                    *(upload(http, b"the same", "a.txt") for http in (here, there) for _ in "123")
                )
                assert len({uploaded["id"] for uploaded in both}) == 6
                for uploaded in both:
                    for http in (here, there):
                        assert (await http.get(uploaded["url"])).content == b"the same"


UNSUITABLE = {
    "an unknown scheme": "nope://x",
    "no scheme": "x",
    "a file where a directory must be": "file:///dev/null/x",
    "no bucket": "s3://",
    "an unknown setting": "s3://bucket/prefix?nonsense=1",
}


@pytest.mark.parametrize("url", UNSUITABLE.values(), ids=UNSUITABLE)
def test_a_store_that_cannot_be_is_said_in_a_line(tmp_path: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore:'crypt'", main.__file__, "serve", "--port=0"],
        cwd=tmp_path,
        env=Served(tmp_path, STORAGE_URL=url).environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()
    assert said[-1].startswith("STORAGE_URL: ")
    assert len(said[-1]) > len("STORAGE_URL: ")
    assert "Traceback" not in done.stderr
    assert "Parley is starting" not in done.stdout
