"""The command line: reads settings, then serves, migrates or administers."""

import argparse
import asyncio
import contextlib
import logging
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

from application import create_app, create_context
from db import migrate
from db.engines.database import Database, DatabaseUnavailable, DatabaseUnsuitable
from db.engines.remains import rewrite_once
from db.engines.sole_server import sole_server
from db.files import FileStore, StoreUnsuitable
from db.private import open_directory
from events.bus.bus import LoneBus
from media.containment import hide_memory
from resolvers.accounts_command import add_users_command, run_users_command
from resolvers.changes import writing_log
from resolvers.errors import ParleyError
from schema.root import schema
from server.logs import configure_logs
from server.processes.descriptors import raise_limit
from server.processes.listeners import bind, is_everywhere
from server.processes.memory import give_back_large_blocks
from server.processes.workers import supervise, worker_channel
from server.run import make_server
from settings import Settings, unknown_names

NO_LIMITS = """    Limits      OFF: for load tests only
"""

# How often a database that does not answer yet is asked again.
DB_RETRY_SECONDS = 1.0

logger = logging.getLogger("parley.main")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    if (worker := worker_channel()) is not None:
        process, channel = worker
        _run(settings, process, channel=channel)
        return
    for unknown in unknown_names():
        logger.warning("%s", unknown)
    if not settings.limits:
        logger.warning("LIMITS=off: anyone may try passwords, send and connect without end")
    if settings.workers > 1 and settings.redis_url is None:
        raise SystemExit(f"{settings.workers} processes talk through Redis: set REDIS_URL")
    raise_limit()
    if settings.keeps_files:
        open_directory(settings.data_dir, name="DATA_DIR")
    with sole_server(settings.database):
        # Taken now, so that a port in use is said before anything else; nobody is let in yet.
        listeners = bind(settings.host, settings.port)
        # Before anything listens: what is wrong with the database is said in a line, here.
        asyncio.run(_migrate(settings, check=False))
        FileStore(settings.storage)
        print(_greeting(settings, listeners[0].getsockname()[1]), flush=True)
        if settings.workers > 1:
            raise SystemExit(supervise(settings, listeners))
        _run(settings, settings.instance, listeners=listeners)


def _run(
    settings: Settings,
    process: str,
    *,
    listeners: Sequence[socket.socket] | None = None,
    channel: socket.socket | None = None,
) -> None:
    """Serve in this process: alone, or as a worker with a channel to its supervisor."""
    give_back_large_blocks()
    parley = create_app(settings, process=process)
    server = make_server(
        parley.app, settings, drain=parley.drain, listeners=listeners, channel=channel
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn stopped cleanly, then raised it again
        server.run()
    if not server.started:
        raise SystemExit(3)


def _greeting(settings: Settings, port: int) -> str:
    host = "localhost" if is_everywhere(settings.host) else settings.host.partition(",")[0].strip()
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    base = f"http://{host}:{port}"
    kept = settings.database.partition("://")[2]
    database = (
        f"SQLite, {kept.removeprefix('/')}"
        if settings.database.startswith("sqlite")
        else (f"MySQL, {kept.rpartition('@')[2]}")
    )
    shown = "(open it in a browser)" if settings.shows_playground else "(off)"
    return f"""
  Parley is starting.

    Playground  {base}/graphql      {shown}
    GraphQL     {base}/graphql      and ws{base[4:]}/graphql for subscriptions
    REST        {base}/api          POST /api/auth/register, /api/auth/login, …
    Socket.IO   {base}              default path and namespace
    Database    {database}
{"" if settings.limits else NO_LIMITS}
  Ctrl+C stops it.
"""


async def _migrate(settings: Settings, *, check: bool) -> None:
    database = Database(settings.database)
    try:
        await _upgrade(settings, database)
        await rewrite_once(database)
        if check:
            await migrate.check(database)
    finally:
        await database.close()


async def _upgrade(settings: Settings, database: Database) -> None:
    """Bring the tables up to date; wait for a database that does not answer yet."""
    deadline = time.monotonic() + settings.wait_for_db_seconds
    while True:
        try:
            await migrate.upgrade(database, stoppable=True)
            return
        except DatabaseUnavailable as error:
            if time.monotonic() >= deadline:
                raise
            logger.warning("Waiting for the database: %s", error)
        await asyncio.sleep(DB_RETRY_SECONDS)


def _expect_database(settings: Settings) -> None:
    """Refuse to administer an SQLite database that is not there, rather than make one."""
    database = make_url(settings.database)
    if database.get_backend_name() == "sqlite" and not Path(str(database.database)).exists():
        raise SystemExit(f"There is no database at {database.database} yet: start the server once")


async def _administer(settings: Settings, options: argparse.Namespace) -> None:
    # Nothing is signed here: no secret is looked for, and none is made.
    nothing = {"jwt_secret": SecretStr(secrets.token_urlsafe(48))}
    ctx = create_context(settings.model_copy(update=nothing), LoneBus())
    try:
        await migrate.upgrade(ctx.db, stoppable=True)
        async with writing_log(ctx):
            async for line in run_users_command(ctx, options):
                print(line)
    except ParleyError as error:
        raise SystemExit(error.message) from error
    finally:
        ctx.passwords.close()
        await ctx.db.close()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="main.py", description="Parley, a realtime chat backend.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve GraphQL, REST and Socket.IO")
    serving.add_argument("--host", help="the addresses to listen on (HOST, all)")
    serving.add_argument("--port", type=int, help="the port to listen on (PORT, 3000)")
    serving.add_argument("--workers", type=int, help="how many processes (WORKERS, 1)")
    migrating = commands.add_parser("migrate", help="make or upgrade the database's tables")
    migrating.add_argument(
        "--check", action="store_true", help="then fail unless they are what the models say"
    )
    commands.add_parser("schema", help="print the GraphQL schema")
    add_users_command(commands)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Run the command line."""
    hide_memory()  # before there is a secret in it
    options = _parse(arguments)
    if options.command == "schema":
        print(schema.as_str())
        return
    overrides = {
        name: value
        for name in ("host", "port", "workers")
        if (value := getattr(options, name, None)) is not None
    }
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SystemExit(_explain(error)) from error
    except UnicodeDecodeError as error:
        raise SystemExit(f"The file .env is not UTF-8: {error}") from error
    configure_logs(settings.log_level, settings.log_format)
    try:
        if options.command == "migrate":
            asyncio.run(_migrate(settings, check=options.check))
        elif options.command == "users":
            _expect_database(settings)
            asyncio.run(_administer(settings, options))
        else:
            serve(settings)
    except (DatabaseUnavailable, DatabaseUnsuitable) as error:
        raise SystemExit(f"The database: {error}") from error
    except migrate.MigrationStopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from stopped  # as a shell counts it
    except StoreUnsuitable as error:
        raise SystemExit(f"STORAGE_URL: {error}") from error
    except OSError as error:
        raise SystemExit(f"Cannot start: {error}") from error


def _explain(error: ValidationError) -> str:
    lines = [
        f"  {'.'.join(map(str, problem['loc'])).upper() or 'settings'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
    return "\n".join(["The settings cannot be used:", *lines])


if __name__ == "__main__":
    main(sys.argv[1:])
