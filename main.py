"""The composition root: `create_app(settings)` puts the parts together; a command line runs it."""

import argparse
import asyncio
import contextlib
import gc
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from compat.chat import ChatEvents
from compat.errors import JSONAnswer, answer_error
from compat.files import file_routes
from compat.rest import rest_routes
from db import messages, migrate
from db.database import Database, DatabaseUnavailable, DatabaseUnsuitable
from db.files import FileStore, StoreUnsuitable
from db.log import MessageLog
from db.models import NoticeKind, StoredMessage
from db.permits import Permits
from events.bus import Bus, LoneBus
from events.connections import Connections
from events.counts import Counts
from events.feed import Feed
from events.presence import Presence
from events.redis_bus import RedisBus
from media.inspector import Inspector
from resolvers.accounts import follow_accounts
from resolvers.accounts_command import add_users_command, run_users_command
from resolvers.attachments import sweep_regularly
from resolvers.blocked_pairs import BlockedPairs
from resolvers.blocks import doubt_block, follow_blocks, load_blocks
from resolvers.connection_slots import ConnectionSlots
from resolvers.context import Context
from resolvers.errors import Code, ParleyError
from resolvers.file_urls import FileUrls
from resolvers.limits import Limits
from resolvers.messages import announce_committed
from resolvers.notices import follow_notices
from resolvers.passwords import Passwords
from resolvers.presence import record_last_seen
from resolvers.sessions import follow_sessions, tend_sessions
from resolvers.standings import Standings
from resolvers.tokens import Tokens
from resolvers.upload_slots import UploadSlots
from schema.endpoint import GraphQLEndpoint
from schema.playground import playground_assets
from schema.root import schema
from server.access_log import AccessLog
from server.cors import CORS
from server.logs import configure_logs
from server.run import make_server
from server.sockets import Application
from server.workers import supervise, worker_channel
from settings import Settings

# How often a process looks at the log's head unasked, where others append too: in case the last
# announcement was lost; and while Redis is away, when there are none.
POLL_SECONDS = 1.0
POLL_SECONDS_ALONE = 0.2
# New objects, then rounds of the younger generation, before each generation is collected.
COLLECT_AFTER = (50_000, 20, 20)
# What pages of other origins may read of an answer, beside what they may anyway.
EXPOSED_HEADERS = ("Retry-After", "ETag", "Accept-Ranges", "Content-Range", "Content-Disposition")
NO_LIMITS = """    Limits      OFF: for load tests only
"""

logger = logging.getLogger("parley.main")


@dataclass(frozen=True, slots=True)
class Parley:
    """The application, and what to await before it is stopped."""

    app: Starlette
    drain: Callable[[], Awaitable[None]]


def create_app(settings: Settings, *, process: str = "") -> Parley:
    """Put the server together. Connections are opened by the application's lifespan.

    `process` is its name among several: Socket.IO sessions carry it, so that they are found again.
    """
    bus = _create_bus(settings)
    ctx = _create_context(settings, bus)
    follow_sessions(ctx)
    follow_accounts(ctx)
    graphql = GraphQLEndpoint(ctx, origins=settings.cors_origins)
    chat = ChatEvents(ctx, origins=settings.cors_origins, process=process)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(ctx.db.close)
            stack.callback(ctx.passwords.close)
            await migrate.upgrade(ctx.db)
            await bus.start()
            stack.push_async_callback(bus.close)
            stack.push_async_callback(ctx.limits.counts.close)
            await ctx.connection_slots.start()
            stack.push_async_callback(ctx.connection_slots.close)
            await ctx.notices.start()
            stack.push_async_callback(ctx.notices.close)
            await load_blocks(ctx.db, ctx.blocks)
            following = asyncio.create_task(follow_blocks(ctx), name="blocks")
            stack.callback(following.cancel)
            await ctx.connections.start()
            stack.push_async_callback(ctx.connections.close)
            await ctx.feed.start()
            stack.push_async_callback(ctx.feed.close)
            ctx.log.start()
            stack.push_async_callback(ctx.log.close)
            await ctx.presence.start()
            stack.push_async_callback(ctx.presence.close)
            stack.push_async_callback(chat.close)
            sweeping = asyncio.create_task(sweep_regularly(ctx), name="sweep")
            stack.callback(sweeping.cancel)
            tending = asyncio.create_task(tend_sessions(ctx), name="sessions")
            stack.callback(tending.cancel)
            _spare_the_collector()
            yield

    async def drain() -> None:
        await asyncio.gather(graphql.drain(), chat.drain())

    app = Application(
        sockets={"graphql": AccessLog(graphql), "socket.io": AccessLog(chat.app)},
        routes=[
            Route("/", _welcome, methods=["GET"]),
            playground_assets(),
            Route("/graphql", graphql),
            *rest_routes(ctx),
            *file_routes(ctx),
            Mount("/socket.io", chat.app),
        ],
        middleware=[
            Middleware(AccessLog),
            Middleware(
                CORS,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
                max_age=600,
            ),
        ],
        exception_handlers={ParleyError: answer_error, HTTPException: _answer_http_error},
        lifespan=lifespan,
    )
    return Parley(app, drain)


def _create_bus(settings: Settings) -> Bus:
    url = _redis_url(settings)
    return LoneBus() if url is None else RedisBus(url, prefix=settings.redis_prefix)


def _redis_url(settings: Settings) -> str | None:
    return None if settings.redis_url is None else settings.redis_url.get_secret_value()


def _create_context(settings: Settings, bus: Bus) -> Context:
    secret = settings.signing_secret()
    database = Database(settings.database, pool_size=settings.db_pool_size)

    async def read_head() -> int:
        async with database.read() as connection:
            return await messages.head_position(connection)

    async def read_entries(after: int, upto: int, limit: int) -> list[StoredMessage]:
        async with database.read() as connection:
            return [*await messages.read_entries(connection, after, upto, limit)]

    def poll_seconds() -> float | None:
        if settings.redis_url is None:
            return None
        return POLL_SECONDS if bus.connected else POLL_SECONDS_ALONE

    blocks = BlockedPairs()
    feed: Feed[StoredMessage] = Feed(
        read_entries=read_entries,
        read_head=read_head,
        poll_seconds=poll_seconds,
        apart=blocks.apart,
    )
    presence = Presence(
        grace_seconds=settings.presence_grace_seconds,
        record_last_seen=record_last_seen(database),
        bus=bus,
        lease_seconds=settings.presence_lease_seconds,
        renewal_seconds=settings.presence_renewal_seconds,
        sweep_seconds=settings.presence_sweep_seconds,
        apart=blocks.apart,
    )
    blocks.listen(presence.part)
    notices = follow_notices(database, bus)
    notices.listen(NoticeKind.BLOCK_CHANGED, doubt_block(blocks))
    return Context(
        settings=settings,
        db=database,
        log=MessageLog(
            database,
            max_pending=settings.max_pending_sends,
            committed=announce_committed(feed, bus),
            uncertain=feed.catch_up,
            permits=Permits(apart=blocks.apart, broadcasters=settings.broadcast),
        ),
        feed=feed,
        presence=presence,
        blocks=blocks,
        notices=notices,
        connections=Connections(warning_seconds=settings.token_warning_seconds),
        passwords=Passwords(rounds=settings.bcrypt_rounds, workers=settings.password_workers),
        tokens=Tokens(secret, lifetime_seconds=settings.token_lifetime_seconds),
        standings=Standings(database),
        files=FileStore(settings.storage),
        file_urls=FileUrls(
            secret, lifetime_seconds=settings.file_url_seconds, base=settings.public_url
        ),
        inspector=Inspector(
            workers=settings.media_workers,
            memory_bytes=settings.media_memory_bytes,
            seconds=settings.media_seconds,
        ),
        upload_slots=UploadSlots(per_user=settings.max_uploads_at_once),
        limits=Limits(
            settings,
            Counts(bus, redis_url=_redis_url(settings), prefix=settings.redis_prefix),
        ),
        connection_slots=ConnectionSlots(settings, bus),
    )


def _spare_the_collector() -> None:
    """Have the garbage collector look at what is made from now on, and less often.

    What was made until here stays: looking through it again and again stopped everybody for tens
    of milliseconds each time. Cycles are rare in what a message makes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _welcome(request: Request) -> Response:
    return JSONAnswer(
        {"name": "Parley", "graphql": "/graphql", "rest": "/api", "socketio": "/socket.io/"}
    )


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette calls this for nothing else
    code = Code.NOT_FOUND if error.status_code == 404 else Code.BAD_USER_INPUT
    body = {"message": error.detail, "code": code.value}
    return JSONAnswer(body, error.status_code, headers=error.headers)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    worker = worker_channel()
    if worker is None and not settings.limits:
        logger.warning("LIMITS=off: anyone may try passwords, send and connect without end")
    if settings.workers > 1 and settings.redis_url is None:
        raise SystemExit(f"{settings.workers} processes talk through Redis: set REDIS_URL")
    if worker is None:
        # Before anything listens: what is wrong with the database is said in a line, here.
        asyncio.run(_migrate(settings, check=False))
        FileStore(settings.storage)
        print(_greeting(settings), flush=True)
        if settings.workers > 1:
            raise SystemExit(supervise(settings))
    process, channel = worker or (settings.instance, None)
    parley = create_app(settings, process=process)
    server = make_server(parley.app, settings, drain=parley.drain, channel=channel)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn stopped cleanly, then raised it again
        server.run()
    if not server.started:
        raise SystemExit(3)


def _greeting(settings: Settings) -> str:
    host = "localhost" if settings.host in {"0.0.0.0", "::", ""} else settings.host  # noqa: S104  # compared, not bound
    base = f"http://{host}:{settings.port}"
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
        await migrate.upgrade(database)
        if check:
            await migrate.check(database)
    finally:
        await database.close()


async def _administer(settings: Settings, options: argparse.Namespace) -> None:
    # Nothing is signed here: no secret is looked for, and none is made.
    nothing = {"jwt_secret": SecretStr(secrets.token_urlsafe(48))}
    ctx = _create_context(settings.model_copy(update=nothing), LoneBus())
    try:
        await migrate.upgrade(ctx.db)
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
    serving.add_argument("--host", help="the address to listen on (HOST, 0.0.0.0)")
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
            asyncio.run(_administer(settings, options))
        else:
            serve(settings)
    except (DatabaseUnavailable, DatabaseUnsuitable) as error:
        raise SystemExit(f"The database: {error}") from error
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
