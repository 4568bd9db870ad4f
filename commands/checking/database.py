"""Whether the database is there, is one that keeps messages, and lets us do what we do."""

import asyncio
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL

from commands.checking.findings import Finding, note, ok, wrong
from db.engines.database import DatabaseUnsuitable
from db.engines.mysql import WANTED_PACKET_BYTES
from db.examination import (
    DatabaseAway,
    ServerState,
    Tables,
    examine_file,
    examine_server,
    may_create,
    newest_version,
)
from settings import Settings

# What a database on another machine may be off by before times are seen to be in a wrong order.
CLOCK_SECONDS = 2.0
# Of the commands, of a person who looks, and of the search index.
OTHER_CONNECTIONS = 5
ACCESS_DENIED = frozenset({1044, 1045, 1130, 1698})
MISSING_TABLES = "python main.py migrate makes them, as the next start does"


async def check_database(settings: Settings) -> list[Finding]:
    """Return how the database is."""
    url = make_url(settings.database)
    try:
        if url.get_backend_name() == "sqlite":
            return await asyncio.to_thread(_check_file, Path(url.database or ""))
        return await _check_server(url, settings)
    except DatabaseUnsuitable as error:
        return [wrong(str(error), "correct DATABASE_URL")]


def _check_file(path: Path) -> list[Finding]:
    place = f"SQLite, {path}"
    try:
        state = examine_file(path)
    except DatabaseAway as error:
        remedy = "let the server's user read and write it; a damaged one: restore it from a copy"
        return [wrong(f"{place}: {error}", remedy)]
    if state is None:
        return [ok(f"{place}: not there yet; the first start makes it")]
    if state.is_locked:
        remedy = "wait for it, or end the program that holds it open"
        return [wrong(f"{place}: another program has been writing for seconds", remedy)]
    return [*_check_tables(state.tables, f"{place} ({state.version})")]


async def _check_server(url: URL, settings: Settings) -> list[Finding]:
    place = f"{url.host}:{url.port or 3306}"
    try:
        state = await examine_server(url)
        if state is None:
            return [await _explain_missing(url, place)]
    except DatabaseAway as away:
        if away.code in ACCESS_DENIED:
            remedy = "correct DB_USER and DB_PASS, or give that user its rights on the database"
        else:
            remedy = "start the database, or correct DB_HOST and DB_PORT (DATABASE_URL)"
        return [wrong(f"{place}: {away}", remedy)]
    found = [*_check_state(state, url), *_check_room(state, settings)]
    tls = "over TLS" if state.is_encrypted else "without TLS"
    return [
        *_check_tables(
            state.tables, f"{state.name} {state.version} at {place}/{url.database}, {tls}"
        ),
        *found,
    ]


async def _explain_missing(url: URL, place: str) -> Finding:
    said = f"{place}: there is no database {url.database} yet"
    if await may_create(url):
        return ok(f"{said}; the first start makes it")
    quoted = (url.database or "").replace("`", "``")
    remedy = f"CREATE DATABASE `{quoted}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return wrong(f"{said}, and {url.username} may not make it", f"as an administrator: {remedy}")


def _check_tables(tables: Tables, place: str) -> list[Finding]:
    if tables.unsuitable is not None:
        told, _, rest = tables.unsuitable.partition(". ")
        return [wrong(f"{place}: {told}", rest or "see docs/moving-in.md")]
    newest = newest_version()
    if tables.version is None:
        return [note(f"{place}: there are no tables yet", MISSING_TABLES)]
    if tables.version > newest:
        said = f"{place}: the tables are of version {tables.version}, this Parley knows {newest}"
        return [wrong(said, "run that newer Parley, or restore a copy from before it")]
    if tables.version < newest:
        said = f"{place}: the tables are of version {tables.version}, this Parley's are {newest}"
        return [note(said, "stop every older server; the next start upgrades them")]
    return [ok(f"{place}: tables of version {newest}")]


def _check_state(state: ServerState, url: URL) -> list[Finding]:
    found = []
    variables = state.variables
    if state.missing_rights:
        rights = ", ".join(state.missing_rights)
        remedy = f"GRANT ALL PRIVILEGES ON `{url.database}`.* TO {url.username}"
        found.append(wrong(f"{url.username} lacks {rights}", f"as an administrator: {remedy}"))
    if not state.keeps_emoji:
        remedy = "use a server and proxies that leave utf8mb4 as it is"
        found.append(wrong("an emoji did not come back as it was stored", remedy))
    if variables.get("character_set_database") not in {None, "utf8mb4"}:
        charset = variables["character_set_database"]
        remedy = f"ALTER DATABASE `{url.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        said = (
            f"the database's own character set is {charset}; our tables have utf8mb4 all the same"
        )
        found.append(note(said, remedy))
    packet = int(variables.get("max_allowed_packet", WANTED_PACKET_BYTES))
    if packet < WANTED_PACKET_BYTES:
        said = f"max_allowed_packet is {packet:,} bytes: fewer messages are stored at once"
        found.append(
            wrong(said, f"SET GLOBAL max_allowed_packet={WANTED_PACKET_BYTES}, my.cnf too")
        )
    if variables.get("read_only", "OFF") not in {"OFF", "0", "NO_LOCK"}:
        said = "the server is read-only: nothing can be sent"
        found.append(wrong(said, "name the primary in DB_HOST, or SET GLOBAL read_only=OFF"))
    ahead = state.clock_ahead_seconds
    if abs(ahead) > CLOCK_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        said = f"the database's clock is {abs(ahead):,.0f} s {side} this machine's"
        found.append(wrong(said, "run NTP (chrony, systemd-timesyncd) on both machines"))
    return [*found, *_check_durability(variables)]


def _check_durability(variables: dict[str, str]) -> list[Finding]:
    # Acknowledged means stored: on the disk, that is.
    found = []
    flushed = variables.get("innodb_flush_log_at_trx_commit", "1")
    if flushed != "1":
        say = wrong if flushed == "0" else note
        lost = "the database" if flushed == "0" else "the machine"
        said = f"innodb_flush_log_at_trx_commit is {flushed}: when {lost} dies, messages are lost"
        found.append(say(said, "set it to 1"))
    if variables.get("log_bin") == "ON" and variables.get("sync_binlog", "1") != "1":
        said = "sync_binlog is not 1: when the machine dies, its replicas may differ from it"
        found.append(note(said, "set sync_binlog=1"))
    return found


def _check_room(state: ServerState, settings: Settings) -> list[Finding]:
    there = int(state.variables.get("max_connections", 0))
    needed = settings.workers * (2 * settings.db_pool_size + 1) + OTHER_CONNECTIONS
    if not there or needed <= there:
        return []
    said = (
        f"{settings.workers} workers with DB_POOL_SIZE={settings.db_pool_size} may open {needed}"
        f" connections, and max_connections is {there}"
    )
    return [wrong(said, "raise max_connections, or lower DB_POOL_SIZE")]
