"""What `main.py import` refuses, naming what it found; and a server on the older database."""

import asyncio
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import httpx
import pytest

from commands import importing
from commands.moving.move import Options
from commands.moving.source import open_url
from commands.moving.values import Unfit, read_id
from db import migrate
from db.engines.database import DatabaseUnsuitable
from main import main
from settings import Settings
from tests.commands.conftest import Import
from tests.commands.older import HASH, MOMENT, Older, person
from tests.commands.test_importing import rows_of
from tests.db.rows import open_database
from tests.support.server import make_settings, running_server


async def test_tables_that_are_not_understood_are_named(older: Older, moved: Import) -> None:
    with pytest.raises(DatabaseUnsuitable, match=r"no table users or user .*found: no table"):
        await moved()
    older.run("CREATE TABLE people (id INTEGER PRIMARY KEY)")
    with pytest.raises(DatabaseUnsuitable, match="found: people"):
        await moved()
    older.run("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, age INTEGER)")
    with pytest.raises(DatabaseUnsuitable) as refused:
        await moved()
    assert "The table users lacks a column: password_hash or password or" in str(refused.value)
    assert "It has: id, email, age" in str(refused.value)


async def test_ids_must_be_unique_numbers(older: Older, moved: Import) -> None:
    older.run("CREATE TABLE users (id INTEGER, email TEXT, password TEXT)")
    with pytest.raises(DatabaseUnsuitable, match="column id of users is not unique"):
        await moved()
    older.run(
        "DROP TABLE users",
        "CREATE TABLE users (id VARCHAR(36) PRIMARY KEY, email TEXT, password TEXT)",
    )
    with pytest.raises(DatabaseUnsuitable, match=r"is VARCHAR\(36\): ids must be whole numbers"):
        await moved()
    older.run(
        "DROP TABLE users",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, password TEXT)",
        "CREATE VIEW users AS SELECT * FROM people",
    )
    with pytest.raises(DatabaseUnsuitable, match="users is a view"):
        await moved()


async def test_a_message_of_a_group_never_becomes_one_to_everybody(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.run(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, password TEXT)",
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, sender_id INTEGER, receiver_id INTEGER,"
        " text TEXT, created_at DATETIME, group_id INTEGER, is_deleted INTEGER)",
    )
    older.insert("users", (1, "a@example.com", HASH), (2, "b@example.com", HASH))
    older.insert(
        "messages",
        (1, 1, None, "among us", MOMENT, 5, 0),
        (2, 1, None, "to all", MOMENT, None, 0),
        (3, 1, 2, "gone", MOMENT, None, 1),
    )
    printed = await moved()
    assert "1 message: of a group: those are not moved (ids 1)" in printed
    assert "1 message: was deleted there (ids 3)" in printed
    assert await rows_of(settings, "SELECT id FROM messages") == [(2,)]
    assert await rows_of(settings, "SELECT display_name FROM users ORDER BY id") == [
        ("a",),
        ("b",),
    ]


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "utf8mb4"])
async def test_every_character_set_is_read_as_what_it_says(
    older: Older, moved: Import, settings: Settings, charset: str
) -> None:
    if older.is_sqlite:
        return
    older.run(
        "SET sql_mode = ''",  # zero dates are there in many databases
        "CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, email VARCHAR(191),"
        f" password CHAR(60), name TEXT, created_at TIMESTAMP NULL) CHARACTER SET {charset}",
        "CREATE TABLE messages (id BIGINT UNSIGNED PRIMARY KEY, sender_id INT UNSIGNED,"
        " receiver_id INT UNSIGNED, message LONGTEXT, created_at TIMESTAMP NULL, is_read BIT(1))"
        f" CHARACTER SET {charset}",
        "SET time_zone = '+00:00'",
        f"INSERT INTO users VALUES (1, 'a@example.com', '{HASH}', 'Zoë', '{MOMENT}'),"
        f" (2, 'b@example.com', '{HASH}', 'Bo', '{MOMENT}')",
        f"INSERT INTO messages VALUES (1, 1, 2, 'déjà vu', '{MOMENT}', b'1'),"
        f" (2, 1, 2, 'über', '{MOMENT}', b'0'), (3, 2, 1, 'when?', '0000-00-00', b'1')",
    )
    printed = await moved("--time-zone", "America/New_York")  # TIMESTAMP is UTC all the same
    assert "2 accounts and 3 messages moved." in printed
    assert "1 message: no time: has that of the one before (ids 3)" in printed
    rows = await rows_of(settings, "SELECT content, created_at FROM messages ORDER BY id")
    assert [(content, str(at)) for content, at in rows] == [
        ("déjà vu", "2020-02-03 09:05:06"),
        ("über", "2020-02-03 09:05:06"),
        ("when?", "2020-02-03 09:05:06"),
    ]
    marks = "SELECT read_position FROM members WHERE conversation_id > 1 AND user_id = 2"
    assert await rows_of(settings, marks) == [(1,)]


async def test_a_time_without_a_zone_is_of_the_zone_that_is_said(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.make()
    older.insert("users", person(1), person(2))
    older.insert("messages", (1, 1, 2, "hello", MOMENT))
    await moved("--time-zone", "America/New_York")
    rows = await rows_of(settings, "SELECT created_at FROM messages")
    assert str(rows[0][0]).startswith("2020-02-03 09:05:06")


async def test_a_target_that_a_server_uses_is_refused(
    older: Older, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    older.make()
    older.insert("users", person(1))
    url = settings.database_url
    assert url is not None
    monkeypatch.setenv("DATABASE_URL", url.get_secret_value())
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PORT", str(settings.port))
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("JWT_SECRET", "a secret of the tests, long enough to sign with")
    monkeypatch.setattr("db.engines.sole_server.OTHERS_SECONDS", 0.5)
    command = [sys.executable, "-W", "ignore:'crypt'", "main.py", "serve"]
    root = Path(__file__).parent.parent.parent
    with (tmp_path / "log").open("wb") as log:
        server = await asyncio.to_thread(
            subprocess.Popen, command, cwd=root, stdout=log, stderr=log
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}") as http:
            for _ in range(300):
                try:
                    if (await http.get("/ready")).status_code == 200:
                        break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        with pytest.raises(SystemExit, match=r"[Ss]top the server") as refused:
            await asyncio.to_thread(main, ["import", "--from", older.url])
        assert str(refused.value.code).startswith("The database: ")
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)


async def test_the_same_database_cannot_be_both(older: Older, tmp_path: Path) -> None:
    older.make()
    target = make_settings(tmp_path / "data", database_url=older.url)
    with pytest.raises(DatabaseUnsuitable, match="--from is the database that is moved into"):
        await importing._move(older.url, target.database, Options(UTC, 5, 5), None)


async def test_a_server_on_the_older_database_names_the_command(
    older: Older, tmp_path: Path
) -> None:
    older.make()
    older.insert("users", person(1), person(2))
    target = make_settings(tmp_path / "data", database_url=older.url)
    database = open_database(target.database)
    with pytest.raises(DatabaseUnsuitable) as refused:
        await migrate.upgrade(database)
    await database.close()
    said = str(refused.value)
    assert "the database of another chat server" in said
    assert "users (2 rows: id, email, password, display_name, created_at)" in said
    assert "python main.py import --from" in said
    assert older.tables() == {"users", "messages"}  # nothing was made in it


async def test_a_half_moved_database_is_not_served(
    older: Older, moved: Import, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older.make()
    older.insert("users", person(1), person(2))
    older.insert("messages", (1, 1, 2, "hello", MOMENT))

    async def fails(*arguments: object, **named: object) -> None:
        raise RuntimeError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr("commands.moving.target.Target.finish", fails)
        with pytest.raises(RuntimeError):
            await moved()
    database = open_database(settings.database)
    with pytest.raises(DatabaseUnsuitable, match=r"has not come to its end. Run it again"):
        await migrate.upgrade(database)
    await database.close()
    await moved()
    url = settings.database_url
    assert url is not None
    with running_server(settings.data_dir, database_url=url.get_secret_value()):
        pass


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("postgres://h/x", "must name a database"),
        ("mysql://u:p@host", "must name a database"),
        ("mysql://u:p/w@host:x/y", "no address of a database"),
        ("sqlite:////nowhere/at/all.db", "there is no file"),
        ("", "no address of a database"),
    ],
)
def test_an_address_that_is_none_is_refused(written: str, said: str) -> None:
    with pytest.raises(DatabaseUnsuitable, match=said):
        open_url(written)


def test_an_id_leaves_room_for_those_that_follow() -> None:
    """Past 2**53 JavaScript takes two ids that follow each other for one."""
    assert read_id(2**52) == 2**52
    with pytest.raises(Unfit, match="an id past"):
        read_id(2**53 - 1)
