"""What a restored copy of the database gets: another epoch, and ids that it has never given.

The log went on after the copy was made, and what it held then is gone. A client may still hold a
cursor, the id of a message or a token from that time. The epoch makes every cursor expire. Older
clients keep bare ids, and tokens name sessions by theirs. So the log's position and the counters
skip as many numbers as may have been given, and no old number ever names a new thing.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.engine.reflection import Inspector
from sqlmodel import SQLModel, col

from db.models import LogRow, Message
from db.people.accounts import DELETED_NAME, HASH_OF_NOTHING
from db.people.users import search_form

# How many numbers are skipped: so many at least, and so many for each second since the copy. A
# server stores a few thousand messages a second at its best, and far fewer on average.
SKIPPED, SKIPPED_PER_SECOND = 1_000_000, 1000
# Older clients may keep users' ids in 32 bits. To register takes a fifth of a second of bcrypt.
USERS_SKIPPED, USERS_SKIPPED_PER_SECOND = 1000, 10


class NewLog(NamedTuple):
    """How the log goes on: past `position`, under `epoch` ("" for tables that have none yet)."""

    epoch: str
    position: int


def begin_anew(connection: Connection, *, copied_at: datetime | None, now: datetime) -> NewLog:
    """Give the log another epoch, and skip the numbers that were given since `copied_at`.

    Without a moment, the last entry of the log says when the copy was made. Works on the tables of
    every version. On MySQL the counters commit by themselves: the caller may call this again.
    """
    there = inspect(connection)
    columns = {column["name"] for column in there.get_columns("log_head")}
    since = copied_at or _last_entry(connection, there) or now
    seconds = max(0, int((now - since).total_seconds()))
    skipped = SKIPPED + SKIPPED_PER_SECOND * seconds
    epoch = secrets.token_hex(16) if "epoch" in columns else ""
    renewed = ", epoch = :epoch" if epoch else ""
    connection.execute(
        text(f"UPDATE log_head SET position = position + :skipped{renewed}"),  # noqa: S608  # nosec B608  # ours
        {"skipped": skipped, **({"epoch": epoch} if epoch else {})},
    )
    position = connection.execute(text("SELECT position FROM log_head")).scalar_one()
    tables = {*there.get_table_names()}
    for name in sorted(_counted() & tables):
        _skip(connection, name, skipped)
    users_skipped = USERS_SKIPPED + USERS_SKIPPED_PER_SECOND * seconds
    if connection.dialect.name == "sqlite":
        _skip_users(connection, there, users_skipped, now)
    else:
        _skip(connection, "users", users_skipped)
    return NewLog(epoch, position)


def _last_entry(connection: Connection, there: Inspector) -> datetime | None:
    """Return when the log's last entry was stored."""
    last = [select(col(Message.created_at)).order_by(col(Message.id).desc())]
    if there.has_table("log"):
        last.append(select(col(LogRow.created_at)).order_by(col(LogRow.position).desc()))
    moments = [connection.execute(query.limit(1)).scalar() for query in last]
    return max((moment for moment in moments if moment is not None), default=None)


def _counted() -> set[str]:
    """Return the tables that never give an id twice."""
    return {
        table.name
        for table in SQLModel.metadata.tables.values()
        if table.dialect_options["sqlite"]["autoincrement"]
    }


def _skip(connection: Connection, name: str, skipped: int) -> None:
    """Move a table's counter on."""
    if connection.dialect.name == "sqlite":
        of_table = {"name": name, "skipped": skipped}
        moved = "UPDATE sqlite_sequence SET seq = seq + :skipped WHERE name = :name"
        if not connection.execute(text(moved), of_table).rowcount:  # it has given no id yet
            first = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :skipped)"
            connection.execute(text(first), of_table)
        return
    # The table's own word: `information_schema` may be a day old.
    [_, made] = connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one()
    found = re.search(r"\bAUTO_INCREMENT=(\d+)", made)
    counter = (int(found[1]) if found else 1) + skipped
    connection.exec_driver_sql(f"ALTER TABLE {name} AUTO_INCREMENT = {counter:d}")


def _skip_users(connection: Connection, there: Inspector, skipped: int, now: datetime) -> None:
    """Have the next user get a greater id: SQLite's table has no counter, only a greatest row.

    So that row is an account that was deleted, and was never anybody's.
    """
    columns = {column["name"] for column in there.get_columns("users")}
    last = connection.execute(text("SELECT MAX(id) FROM users")).scalar() or 0
    if "deleted_at" not in columns:
        return  # tables of a version that knew no deleted accounts
    id_ = last + skipped
    connection.execute(
        text(
            "INSERT INTO users (id, email, display_name, search_name, password_hash, created_at,"
            " deleted_at) VALUES (:id, :email, :name, :search_name, :hash, :now, :now)"
        ),
        {
            "id": id_,
            "email": f"deleted:{id_}",
            "name": DELETED_NAME,
            "search_name": search_form(DELETED_NAME),
            "hash": HASH_OF_NOTHING,
            "now": now.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds"),
        },
    )
