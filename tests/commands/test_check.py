"""`main.py check`: each part by itself, what is wrong and what to do, and never a secret."""

import asyncio
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from commands.check import PART_SECONDS
from commands.checking.findings import State
from commands.checking.machine import _check_data_dir
from tests.commands.checked import MAIN, Checked, check, environment, run
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis, redis_server
from tests.support.s3 import CREDENTIALS, S3, s3_server
from tests.support.server import make_settings

GOOD = "Zm9vQmFyVHdvVGhyZWVGb3VyNQ-k7_Qx"


@pytest.fixture(scope="module")
def made(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with our tables."""
    url = mariadb.url("checked")
    directory = tmp_path_factory.mktemp("made")
    assert run(directory, "migrate", DATABASE_URL=url).returncode == 0
    return url


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis of these tests."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """An S3 of these tests."""
    with s3_server() as server:
        yield server


def test_a_new_place_has_nothing_wrong_and_stays_as_it_is(tmp_path: Path) -> None:
    done = run(tmp_path, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nNothing is wrong.\n")
    assert "ok     database  SQLite" in done.stdout
    assert [*tmp_path.iterdir()] == []


def test_a_place_that_was_used_has_nothing_wrong(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate").returncode == 0
    (tmp_path / "data" / "files").mkdir(mode=0o700)
    found = check(tmp_path)
    assert not [line for line in found.findings if line["state"] == "wrong"], found.printed
    assert "tables of version" in found.of("database", "ok")[0]
    assert "written, read and deleted" in found.of("files", "ok")[0]
    assert [*(tmp_path / "data" / "files").iterdir()] == []


def test_what_is_wrong_is_the_status_and_can_be_read_by_programs(tmp_path: Path) -> None:
    settings = {"PORT": "many", "JWT_SECRET": "hidden"}
    done = run(tmp_path, "check", **settings)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("\n2 things are wrong.\n")
    told = run(tmp_path, "check", "--json", **settings)
    assert (told.returncode, msgspec.json.decode(told.stdout)["wrong"]) == (1, 2)
    assert "hidden" not in done.stdout + told.stdout


def test_every_wrong_setting_is_named_and_the_parts_are_looked_at_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("JWT_SECERT=x\nPORT=many\nMY_OWN=1\n")
    found = check(tmp_path, PORT="", LOG_LEVEL="loud", DB_PASS_FILE=str(tmp_path / "no file"))
    told = "\n".join(found.wrong("settings"))
    for name in ("PORT: ", "LOG_LEVEL: ", "DB_PASS_FILE: ", "JWT_SECERT is no setting"):
        assert name in told
    assert "rename it to JWT_SECRET" in told
    assert "MY_OWN" in found.of("settings", "note")[0]
    for part in ("database", "files", "redis", "network"):
        assert found.of(part, "ok"), found.printed


@pytest.mark.parametrize(
    ("settings", "part", "said"),
    [
        ({"ENV": "production", "JWT_SECRET": "secret"}, "settings", "JWT_SECRET"),
        ({"JWT_SECRET": "your_jwt_secret"}, "secrets", "anyone may forge tokens"),
        ({"WORKERS": "2"}, "redis", "set REDIS_URL"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "network", "believes everybody"),
        ({"PUBLIC_URL": "https://127.0.0.1:1"}, "network", "TRUSTED_PROXIES is empty"),
        (
            {"PUBLIC_URL": "http://127.0.0.1:1", "HSTS_SECONDS": "5"},
            "network",
            "PUBLIC_URL is http",
        ),
        ({"ENV": "production", "LIMITS": "off"}, "network", "LIMITS=off"),
        ({"HOST": "192.0.2.1"}, "network", "correct HOST"),
        ({"DATABASE_URL": "mysql://u@127.0.0.1/x?tls=9"}, "database", "unknown parameter: tls"),
        ({"STORAGE_URL": "ftp://somewhere/x"}, "files", "cannot be a store"),
        ({"STORAGE_URL": "file:///proc/nowhere/files"}, "machine", ""),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_what_to_do(
    tmp_path: Path, settings: dict[str, str], part: str, said: str
) -> None:
    found = check(tmp_path, **settings)
    if said:
        assert any(said in line for line in found.wrong(part)), found.printed
    assert all(line["remedy"] for line in found.findings if line["state"] == "wrong")


def test_when_everything_is_away_each_part_says_so_soon_and_no_secret_is_shown(
    tmp_path: Path,
) -> None:
    hidden = "hidden"
    started = time.monotonic()
    found = check(
        tmp_path,
        ENV="production",
        JWT_SECRET=f"{hidden}-{GOOD}",
        DB_HOST="127.0.0.1",
        DB_PORT="1",
        DB_PASS=f"{hidden}-p/a?s@s",
        REDIS_URL=f"redis://u:{hidden}-r@127.0.0.1:1",
        STORAGE_URL="s3://b/p?endpoint=http://127.0.0.1:1&region=x&access_key_id=hidden-id"
        f"&secret_access_key={hidden}-key",
    )
    assert time.monotonic() - started < PART_SECONDS
    for part in ("database", "files", "redis"):
        assert len(found.wrong(part)) == 1
    assert hidden not in found.printed


async def test_what_takes_connections_and_says_nothing_does_not_hang_the_check(
    tmp_path: Path,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        port = silent.getsockname()[1]
        started = time.monotonic()
        found = await asyncio.to_thread(
            check,
            tmp_path,
            DATABASE_URL=f"mysql://u:hidden@127.0.0.1:{port}/db",
            REDIS_URL=f"redis://:hidden@127.0.0.1:{port}",
            PUBLIC_URL=f"http://127.0.0.1:{port}",
        )
    assert time.monotonic() - started < PART_SECONDS + 5
    assert found.wrong("database")
    assert found.wrong("redis")
    assert "does not answer" in found.of("network", "note")[0]
    assert "hidden" not in found.printed


def test_the_port_of_another_program_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = check(tmp_path, PORT=str(taken.getsockname()[1]))
    assert "Address already in use" in found.wrong("network")[0]


def test_files_open_to_others_are_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"JWT_SECRET={GOOD}\n")
    (tmp_path / ".env").chmod(0o644)
    assert "chmod 600 .env" in check(tmp_path).of("secrets", "note")[0]
    assert "chmod 600 .env" in check(tmp_path, ENV="production").wrong("secrets")[0]


def test_few_open_files_are_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(MAIN), "check"],
        cwd=tmp_path,
        env=environment(tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "wrong  machine   a process may have 256 files open" in done.stdout
    assert done.returncode == 1


class TestSQLite:
    def test_a_file_that_is_no_database_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "parley.db").write_bytes(b"no database at all" * 100)
        assert "not a database" in check(tmp_path).wrong("database")[0]

    def test_tables_of_a_newer_parley_are_told(self, tmp_path: Path) -> None:
        assert run(tmp_path, "migrate").returncode == 0
        with sqlite3.connect(tmp_path / "data" / "parley.db") as database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.close()
        assert "run that newer Parley" in check(tmp_path).wrong("database")[0]

    def test_another_servers_database_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        with sqlite3.connect(tmp_path / "data" / "parley.db") as database:
            database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)")
        database.close()
        assert "import --from" in check(tmp_path).wrong("database")[0]

    def test_a_program_that_keeps_writing_is_told(self, tmp_path: Path) -> None:
        assert run(tmp_path, "migrate").returncode == 0
        other = sqlite3.connect(tmp_path / "data" / "parley.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            assert "has been writing" in check(tmp_path).wrong("database")[0]
        finally:
            other.close()


class TestMariaDB:
    def test_a_good_one_is_named_and_left_as_it_is(
        self, mariadb: MariaDB, made: str, tmp_path: Path
    ) -> None:
        before = mariadb.execute("SHOW TABLES", "checked")
        found = check(tmp_path, DATABASE_URL=made)
        assert found.wrong("database") == []
        assert "tables of version" in found.of("database", "ok")[0]
        assert mariadb.execute("SHOW TABLES", "checked") == before

    def test_a_missing_one_is_told(self, mariadb: MariaDB, tmp_path: Path) -> None:
        found = check(tmp_path, DATABASE_URL=mariadb.url("not_yet"))
        assert "the first start makes it" in found.of("database", "ok")[0]
        assert ["not_yet"] not in mariadb.execute("SHOW DATABASES")

    def test_a_user_without_rights_is_told_which(
        self, mariadb: MariaDB, made: str, tmp_path: Path
    ) -> None:
        mariadb.execute(
            "CREATE OR REPLACE USER few@'%' IDENTIFIED BY 'a long password';"
            "GRANT SELECT, INSERT, CREATE, DROP ON checked.* TO few@'%'"
        )
        url = made.replace(made.partition("://")[2].partition("@")[0], "few:a long password")
        told = check(tmp_path, DATABASE_URL=url).wrong("database")
        assert "few lacks ALTER, INDEX, REFERENCES, UPDATE, DELETE" in told[0]
        assert "GRANT ALL PRIVILEGES ON `checked`.*" in told[0]
        missing = check(tmp_path, DATABASE_URL=url.replace("/checked", "/elsewhere"))
        assert "correct DB_USER and DB_PASS" in missing.wrong("database")[0]
        wrong = check(tmp_path, DATABASE_URL=url.replace("a long", "another"))
        assert "correct DB_USER and DB_PASS" in wrong.wrong("database")[0]
        assert not [row for row in mariadb.execute("SHOW TABLES", "checked") if "check_" in row[0]]

    def test_settings_that_lose_messages_are_told(
        self, mariadb: MariaDB, made: str, tmp_path: Path
    ) -> None:
        names = ("max_allowed_packet", "innodb_flush_log_at_trx_commit", "max_connections")
        before = [mariadb.execute(f"SELECT @@GLOBAL.{name}")[0][0] for name in names]
        mariadb.execute(
            "SET GLOBAL max_allowed_packet=1048576, innodb_flush_log_at_trx_commit=0,"
            " max_connections=20"
        )
        try:
            told = "\n".join(check(tmp_path, DATABASE_URL=made).wrong("database"))
        finally:
            for name, value in zip(names, before, strict=True):
                mariadb.execute(f"SET GLOBAL {name}={value}")
        for name in names:
            assert name in told


class TestRedis:
    def test_a_good_one_is_named_and_left_as_it_is(self, redis: Redis, tmp_path: Path) -> None:
        found = check(tmp_path, REDIS_URL=redis.url)
        assert found.wrong("redis") == []
        assert "Redis " in found.of("redis", "ok")[0]
        assert all(":check:" in key for key in redis.execute("KEYS *").split() if ":" in key)

    def test_a_policy_that_forgets_is_told(self, redis: Redis, tmp_path: Path) -> None:
        redis.execute("CONFIG SET maxmemory 100mb")
        redis.execute("CONFIG SET maxmemory-policy allkeys-lru")
        try:
            found = check(tmp_path, REDIS_URL=redis.url)
        finally:
            redis.execute("CONFIG SET maxmemory 0")
            redis.execute("CONFIG SET maxmemory-policy noeviction")
        assert "maxmemory-policy is allkeys-lru" in found.of("redis", "note")[0]

    def test_a_user_without_rights_is_told_which(self, redis: Redis, tmp_path: Path) -> None:
        redis.execute("ACL SETUSER few on >hidden ~other:* &other:* +ping +get")
        url = redis.url.replace("redis://", "redis://few:hidden@")
        found = check(tmp_path, REDIS_URL=url)
        told = "\n".join(found.wrong("redis"))
        assert "run scripts on keys parley:*" in told
        assert "publish and subscribe" in told
        assert "hidden" not in found.printed
        wrong = check(tmp_path, REDIS_URL=url.replace("hidden", "hidden2"))
        assert "correct REDIS_URL" in wrong.wrong("redis")[0]
        assert "hidden2" not in wrong.printed


class TestS3:
    def test_a_bucket_is_tried_and_left_as_it_is(self, s3: S3, tmp_path: Path) -> None:
        s3.make_bucket("checked")
        found: Checked = check(
            tmp_path, STORAGE_URL=s3.storage_url("checked", "files"), **CREDENTIALS
        )
        assert "written, read and deleted" in found.of("files", "ok")[0]
        assert s3.names("checked") == []

    def test_a_bucket_that_is_not_there_is_told(self, s3: S3, tmp_path: Path) -> None:
        found = check(tmp_path, STORAGE_URL=s3.storage_url("nowhere", ""), **CREDENTIALS)
        assert "the bucket's name" in found.wrong("files")[0]


def test_a_data_dir_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = _check_data_dir(make_settings(tmp_path / "x"))
    assert [finding.state for finding in found] == [State.WRONG]
    assert f"may not write in {tmp_path}" in found[0].said
