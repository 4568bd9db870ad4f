"""Databases with the newest tables, copied from one that was migrated: a tenth of the work."""

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

import asyncmy
from asyncmy.constants import CLIENT
from sqlalchemy.engine import make_url

from db import migrate
from db.engines.database import Database
from tests.support import snapshots
from tests.support.mariadb import MariaDB

_TEMPLATE = "migrated_template"
_files: list[tuple[bytes, str]] = []  # SQLite's file and its epoch, once it was needed
_servers: dict[int, tuple[MariaDB, str]] = {}  # by their ports, each with its statements


def offer_tables(server: MariaDB) -> None:
    """Copy tables within this server from now on; call it for one that stays up."""
    _servers[server.port] = (server, "")


async def make_tables(database: str) -> None:
    """Make the database of this URL with the newest tables, as `migrate.upgrade` does.

    Nothing happens where it exists, or where no server was offered for it: then a migration makes
    the tables as it does for users. Tests of migrations begin without this.
    """
    url = make_url(database)
    if url.get_backend_name() == "sqlite":
        if not _files:
            with tempfile.TemporaryDirectory() as directory:
                taken = await _migrate(f"sqlite+aiosqlite:///{directory}/{_TEMPLATE}")
                _files.append((Path(directory, _TEMPLATE).read_bytes(), _epoch(taken)))  # noqa: ASYNC240  # small
        _copy_file(Path(url.database or ""))
    elif url.port in _servers:
        await _copy_within_server(url.port, url.database or "")


def _copy_file(path: Path) -> None:
    if not path.parent.is_dir() or path.exists():
        return
    content, epoch = _files[0]
    # The log of each database has an epoch of its own.
    assert content.count(epoch.encode()) == 1
    path.touch(0o600)
    path.write_bytes(content.replace(epoch.encode(), secrets.token_hex(16).encode()))


async def _copy_within_server(port: int, name: str) -> None:
    server, statements = _servers[port]
    if not statements:
        statements = await _statements(server)
        _servers[port] = (server, statements)
    connection = await asyncmy.connect(
        host=server.host,
        port=port,
        user=server.user,
        password=server.password,
        charset="utf8mb4",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )
    async with connection.cursor() as cursor:
        found = await cursor.execute(
            "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (name,)
        )
        if not found:
            epoch = secrets.token_hex(16)
            await cursor.execute(statements.replace(_TEMPLATE, name).replace("{epoch}", epoch))
            while await cursor.nextset():
                pass
    await connection.ensure_closed()


async def _statements(server: MariaDB) -> str:
    """Return what makes the database and its tables, with the epoch left open."""
    taken = await _migrate(server.url(_TEMPLATE))
    [[_, create]] = await asyncio.to_thread(server.execute, f"SHOW CREATE DATABASE {_TEMPLATE}")
    made = [create, f"USE {_TEMPLATE}", "SET foreign_key_checks = 0"]
    for statements in taken.tables.values():
        made += statements
    for name, rows in taken.rows.items():
        for row in rows:
            values = ", ".join(_literal(value) for value in row.values())
            made.append(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({values})")
    return ";\n".join(made).replace(_epoch(taken), "{epoch}")


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else f"'{value}'"  # the rest has no quotes in it


async def _migrate(url: str) -> snapshots.Snapshot:
    database = Database(url)
    await migrate.upgrade(database)
    taken = await snapshots.take(database)
    await database.close()
    return taken


def _epoch(taken: snapshots.Snapshot) -> str:
    [head] = taken.rows["log_head"]
    return str(head["epoch"])
