"""What a backup has of the database: a copy of SQLite's file, and what stands in the tables."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.pool import NullPool
from sqlmodel import col

from commands.backups.manifest import BackupUnusable
from db.models import Avatar
from db.private import FILE_MODE
from resolvers.attachments.avatars import SIDES, stored_name
from resolvers.attachments.sweep import thumbnail_name

# So much is copied between two looks at whether the backup is to stop: 16 MB.
PAGES = 4096


class Contents(NamedTuple):
    """What a database holds: the log up to `position`, and the names of the store's files."""

    schema: str
    epoch: str
    position: int
    files: list[str]


def copy_database(source: Path, target: Path) -> None:
    """Copy SQLite's database, as it is at one moment, while others read it and write to it.

    What they write meanwhile is in the write-ahead log, which grows until the end. Raises
    BackupUnusable where the copy shows that the database is damaged.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE))
    live = sqlite3.connect(_uri(source, "mode=rw"), uri=True, isolation_level=None)
    with closing(live), closing(sqlite3.connect(target)) as copy:
        # One read transaction around all steps: without it, each foreign commit would begin the
        # copy anew, and beside a busy server it would never end.
        live.execute("BEGIN")
        live.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        live.backup(copy, pages=PAGES)
    # The copy's header asks for a write-ahead log, which the copy does not need.
    with closing(sqlite3.connect(_uri(target, "immutable=1"), uri=True)) as copy:
        [problem] = copy.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise BackupUnusable(f"{source} is damaged: {problem}")


@contextmanager
def opened(path: Path, *, writes: bool = False) -> Iterator[Connection]:
    """Lend a connection to a copy of SQLite's database, in one transaction."""
    uri = _uri(path, "mode=rw" if writes else "immutable=1")
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool
    )
    with engine.begin() as connection:
        yield connection


def read_contents(connection: Connection) -> Contents:
    """Return what there is. Works on the tables of every version. Raises BackupUnusable."""
    there = inspect(connection)
    tables = {*there.get_table_names()}
    if not {"alembic_version", "log_head"} <= tables:
        raise BackupUnusable("This database has no tables of Parley's")
    schema = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    columns = {column["name"] for column in there.get_columns("log_head")}
    epoch = "epoch" if "epoch" in columns else "''"
    head = connection.execute(text(f"SELECT {epoch}, position FROM log_head")).one()  # noqa: S608  # nosec B608
    return Contents(str(schema), head[0], head[1], [*_stored(connection, tables)])


def _stored(connection: Connection, tables: set[str]) -> Iterator[str]:
    """Yield the name of each file that the store should have."""
    if "files" in tables:
        published = "SELECT name, thumbnail_size FROM files WHERE sha256 IS NOT NULL AND size >= 0"
        for name, thumbnail in connection.execute(text(published)):
            yield name
            if thumbnail:
                yield thumbnail_name(name)
    if "avatars" in tables:
        used = select(col(Avatar.key)).where(col(Avatar.in_use).is_(True))
        for [key] in connection.execute(used):
            yield from (stored_name(key, side) for side in SIDES.values())


def _uri(path: Path, how: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{how}"
