"""After an account is deleted nothing of the person is left in any file, while the server runs."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from db.engines.database import DatabaseUnavailable
from db.engines.remains import empty_write_ahead_log, rewrite_once
from db.migrate import upgrade
from tests.db.rows import open_database
from tests.faults.processes import Parley
from tests.support.server import RunningServer
from tests.support.sqlite import outsider as opened_by_outsider

ROOT = Path(__file__).parent.parent
PASSWORD = "123456"
DELETE = "mutation($p: String!) { deleteAccount(password: $p) }"

DESCRIBE = "mutation($s: String!) { updateProfile(statusText: $s) { statusText } }"


def remains(directory: Path, *needles: str) -> dict[str, list[str]]:
    """Which of these texts stand in which files, in any case of letters."""
    found: dict[str, list[str]] = {}
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            for needle in needles:
                if needle.lower().encode() in content:
                    found.setdefault(needle, []).append(path.name)
    return found


class Person:
    """Somebody whose every trace can be told from others'."""

    def __init__(self) -> None:
        mark = uuid4().hex[:12]
        self.email = f"mail{mark}@example.com"
        self.name = f"Name{mark}"
        self.agent = f"Agent{mark}"
        self.file = f"file{mark}.txt"
        self.content = f"content{mark}" * 100
        self.status = f"status{mark}"
        self.hash = ""
        self.token = ""
        self.http: httpx.AsyncClient | None = None

    async def join(self, url: str, *, database: Path) -> None:
        body = {"email": self.email, "password": PASSWORD, "displayName": self.name}
        self.http = httpx.AsyncClient(base_url=url, headers={"User-Agent": self.agent})
        (await self.http.post("/api/auth/register", json=body)).raise_for_status()
        self.token = (await self.http.post("/api/auth/login", json=body)).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        with opened_by_outsider(database) as connection:
            query = "SELECT password_hash FROM users WHERE email = ?"
            [self.hash] = connection.execute(query, (self.email,)).fetchone()

    async def upload(self) -> dict[str, Any]:
        assert self.http is not None
        files = {"file": (self.file, self.content.encode())}
        answer = await self.http.post("/api/uploads", files=files)
        uploaded: dict[str, Any] = answer.json()
        return uploaded

    async def describe(self) -> None:
        assert self.http is not None
        body = {"query": DESCRIBE, "variables": {"s": self.status}}
        answer = await self.http.post("/graphql", json=body)
        assert answer.json() == {"data": {"updateProfile": {"statusText": self.status}}}

    async def delete(self) -> None:
        assert self.http is not None
        body = {"query": DELETE, "variables": {"p": PASSWORD}}
        answer = await self.http.post("/graphql", json=body)
        assert answer.json() == {"data": {"deleteAccount": True}}

    @property
    def traces(self) -> tuple[str, ...]:
        name, file = (self.email, self.name), (self.file, self.content[:24])
        return *name, self.agent, *file, self.hash, self.status


@pytest.mark.parametrize("by", ["themselves", "an operator"])
async def test_nothing_of_a_deleted_person_is_left_in_any_file(tmp_path: Path, by: str) -> None:
    parley = Parley(tmp_path / "home", log_level="DEBUG")
    parley.directory.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(parley.start)
    data = parley.directory
    try:
        crowd = [Person() for _ in range(12)]
        for person in crowd:
            await person.join(parley.url, database=data / "parley.db")
        leaving, staying = crowd[5], crowd[6]
        uploaded = await leaving.upload()
        await leaving.describe()
        await staying.describe()
        kept = await staying.upload()
        assert leaving.http is not None
        await leaving.http.post("/api/messages/send", json={"content": "what I wrote stays"})
        assert set(remains(data, *leaving.traces)) == set(leaving.traces)
        if by == "themselves":
            await leaving.delete()
        else:
            command = [sys.executable, "main.py", "users", "delete", leaving.email]
            environment = parley.environment()
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
        async with httpx.AsyncClient(base_url=parley.url) as http:
            assert (await http.get(uploaded["url"])).status_code == 404
            assert (await http.get(kept["url"])).status_code == 200
        assert remains(data, *leaving.traces) == {}
        assert set(remains(data, *staying.traces)) == set(staying.traces)
        assert set(remains(data, "what I wrote stays")) == {"what I wrote stays"}
        assert parley.complaints() == []
    finally:
        for person in crowd:
            if person.http is not None:
                await person.http.aclose()
        await asyncio.to_thread(parley.kill)
    assert remains(tmp_path, leaving.hash, leaving.token, PASSWORD) == {}  # nor in the log


async def test_what_an_earlier_parley_left_is_rewritten_once(tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    database = open_database(f"sqlite:///{path}")
    await upgrade(database)
    await database.close()
    old = sqlite3.connect(path, isolation_level=None)  # which overwrites nothing
    old.execute("PRAGMA secure_delete = OFF")
    old.execute("CREATE TABLE gone (who TEXT)")
    old.executemany("INSERT INTO gone VALUES (?)", [(f"remains of {n}",) for n in range(2000)])
    old.execute("DROP TABLE gone")
    old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old.close()
    assert remains(tmp_path, "remains of")
    database = open_database(f"sqlite:///{path}")
    await upgrade(database)
    await rewrite_once(database)
    assert not remains(tmp_path, "remains of")
    async with database.read() as connection:
        assert (await connection.execute(text("PRAGMA user_version"))).scalar() == 1
        assert (await connection.execute(text("PRAGMA secure_delete"))).scalar() == 1
    await database.close()


async def test_a_log_that_somebody_reads_is_said_to_be_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engines.remains.TRIES", 2)
    database = open_database(f"sqlite:///{tmp_path}/parley.db")
    await upgrade(database)
    async with database.write() as connection:
        await connection.execute(text("UPDATE log_head SET position = position"))
    reader = sqlite3.connect(tmp_path / "parley.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM log_head").fetchall()
    async with database.write() as connection:
        await connection.execute(text("UPDATE log_head SET position = position"))
    assert not await empty_write_ahead_log(database)
    assert "in use" in caplog.text
    reader.close()
    assert await empty_write_ahead_log(database)
    assert (tmp_path / "parley.db-wal").stat().st_size == 0
    async with database.read() as connection:
        wait = (await connection.execute(text("PRAGMA busy_timeout"))).scalar()
    assert wait == 10_000
    await database.close()


async def test_unsent_uploads_of_a_deleted_account_are_gone_at_once_on_each_engine(
    chat: RunningServer,
) -> None:
    body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "displayName": "Leaving"}
    async with httpx.AsyncClient(base_url=chat.url) as http:
        await http.post("/api/auth/register", json=body)
        token = (await http.post("/api/auth/login", json=body)).json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        files = [f"{uuid4()}".encode() for _ in range(3)]
        sent, unsent, other = [
            (await http.post("/api/uploads", files={"f": content})).json() for content in files
        ]
        await http.post("/api/messages/send", json={"attachmentId": sent["id"]})
        root = chat.settings.data_dir / "files"
        kept = {path for path in root.rglob("*") if path.is_file()}
        delete = {"query": DELETE, "variables": {"p": PASSWORD}}
        assert (await http.post("/graphql", json=delete)).json()["data"]
        del http.headers["Authorization"]
        found = [(await http.get(each["url"])).status_code for each in (sent, unsent, other)]
        assert found == [200, 404, 404]
        left = {path for path in root.rglob("*") if path.is_file()}
        assert {path.name.partition("-")[0] for path in kept - left} == {
            unsent["sha256"],
            other["sha256"],
        }


async def test_a_log_that_cannot_be_emptied_says_why_and_leaves_no_connection_in_haste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(f"sqlite:///{tmp_path}/parley.db")
    await upgrade(database)

    def broken(statement: str) -> object:
        return text("SELECT * FROM nowhere" if "checkpoint" in statement else statement)

    monkeypatch.setattr("db.engines.remains.text", broken)
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        await empty_write_ahead_log(database)
    async with database.read() as connection:
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar() == 10_000
    await database.close()
