"""docs/operate/upgrade.md: there, and back, from every version of the tables."""

import subprocess
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from db import migrate
from db.engines.database import Database, DatabaseUnsuitable
from settings import Settings
from tests.commands.backing_up import history, run_backup, run_restore, send
from tests.db.rows import everything, open_database
from tests.db.test_migrate import MESSAGES, PEOPLE
from tests.operate.page import Page
from tests.support.faces import new_account
from tests.support.mariadb import MariaDB
from tests.support.server import make_settings, running_server
from tests.support.tools import require

SECRET = "a secret of the page, long enough to sign tokens with"
CONTENTS = ["to one", "to all", "back", "to myself"]
# Each migration with work of its own to do; all are run on SQLite.
ON_MARIADB = ("0001", "0007", "0008", "0010")


async def _made_at(settings: Settings, revision: str) -> Database:
    """Return a database that a Parley of this version has left behind, with four messages."""
    if settings.database_url is None:
        settings.data_dir.mkdir(mode=0o700)
    database = open_database(settings.database)
    await migrate.upgrade(database, revision="0001")
    async with database.write() as connection:
        for statement in (PEOPLE, *MESSAGES):
            await connection.execute(text(statement))
    await migrate.upgrade(database, revision=revision)
    return database


async def _state(database: Database) -> tuple[str, set[str], list[str], str]:
    """Return the version of the tables, their columns, the messages, and the log's epoch."""
    async with database.read() as connection:
        there = await connection.run_sync(
            lambda found: {
                f"{table}.{column['name']}"
                for table in inspect(found).get_table_names()
                for column in inspect(found).get_columns(table)
            }
        )
        version = await connection.execute(text("SELECT version_num FROM alembic_version"))
        said = await connection.execute(text("SELECT content FROM messages ORDER BY id"))
        epoch = ""
        if "log_head.epoch" in there:
            epoch = (await connection.execute(text("SELECT epoch FROM log_head"))).scalar_one()
        return version.scalar_one(), there, [*said.scalars()], epoch


@pytest.mark.parametrize("revision", migrate.versions())
async def test_there_and_back_on_sqlite(revision: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    database = await _made_at(settings, revision)
    before = await _state(database)
    assert before[0] == revision
    await run_backup(settings, tmp_path / "backup")
    assert await _state(database) == before  # a backup changes nothing
    await _upgrade(database)

    await run_restore(settings, "--from", tmp_path / "backup", "--force")
    database = open_database(settings.database)
    after = await _state(database)
    assert after[:3] == before[:3]
    assert bool(after[3]) == bool(before[3])
    assert after[3] != before[3] or not before[3]
    await _upgrade(database)


@pytest.mark.parametrize("revision", ON_MARIADB)
async def test_there_and_back_on_mariadb(revision: str, tmp_path: Path, mariadb: MariaDB) -> None:
    name = f"back{revision}"
    settings = make_settings(tmp_path / "data", database_url=mariadb.url(name))
    database = await _made_at(settings, revision)
    before = await _state(database)
    dump = _shell(mariadb, str(require("mariadb-dump")), "--single-transaction", "--hex-blob", name)
    await _upgrade(database)

    mariadb.execute(f"DROP DATABASE {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4")
    mariadb.execute(dump, name)
    await run_restore(settings, "--epoch")
    database = open_database(settings.database)
    after = await _state(database)
    assert after[:3] == before[:3]
    assert after[3] != before[3] or not before[3]
    await _upgrade(database)
    mariadb.execute(f"DROP DATABASE {name}")


async def _upgrade(database: Database) -> None:
    """Upgrade to the newest tables, which have the same messages, and close."""
    await migrate.upgrade(database)
    await migrate.check(database)
    assert [message.content for message in await everything(database)] == CONTENTS
    await database.close()


def _shell(server: MariaDB, program: str, *words: str) -> str:
    done = subprocess.run(
        [
            program,
            "--no-defaults",
            f"--host={server.host}",
            f"--port={server.port}",
            f"--user={server.user}",
            f"--password={server.password}",
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """Beside a server: what was written after the backup is gone after the way back."""
    page = Page("upgrade", tmp_path, DATA_DIR=str(tmp_path / "data"), JWT_SECRET=SECRET)
    with running_server(tmp_path / "data", jwt_secret=SECRET) as server:
        ann = await new_account(server, "Ann")
        await send(server, ann, "before")
        await page.run("backup --to backups/before-upgrade")
    await page.run("migrate --check")
    with running_server(tmp_path / "data", jwt_secret=SECRET) as server:
        await send(server, ann, "after")
    await page.run("restore --from backups/before-upgrade --force")
    with running_server(tmp_path / "data", jwt_secret=SECRET) as server:
        assert [message["content"] for message in await history(server, ann)] == ["before"]
    assert len(page.blocks) == 3


async def test_an_older_parley_names_the_way_back(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    database = await _made_at(settings, "0001")
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnsuitable, match=r"of a newer Parley .*docs/operate/upgrade\.md"):
        await migrate.upgrade(database)
    await database.close()
    text_of_page = (Path(__file__).parent.parent.parent / "docs/operate/upgrade.md").read_text()
    assert "Its tables are of a newer Parley (version" in text_of_page


def test_a_migration_that_cannot_be_taken_back_names_the_way_back() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    for revision in ("0008", "0009", "0012"):
        with pytest.raises(NotImplementedError, match=r"backup .*docs/operate/upgrade\.md"):
            scripts.get_revision(revision).module.downgrade()
