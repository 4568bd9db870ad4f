"""The composition root: `create_app(settings)` puts the parts together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from compat.chat import ChatServer
from compat.errors import JSONAnswer
from compat.rest.routes import rest_routes
from db import facts, messages, migrate
from db.engines.database import Database, DatabaseUnavailable
from db.files import FileStore
from db.log.admission import Admission
from db.log.log import MessageLog
from db.models import StoredMessage
from db.visibility import Visibility
from events.bus.bus import Bus, LoneBus
from events.bus.redis_bus import RedisBus
from events.control import Control
from events.facts import Fact
from events.feed import Feed
from events.hub import Hub
from events.presence import Presence
from events.roster import Roster
from media.inspector import Inspector
from resolvers.accounts import follow_accounts
from resolvers.attachments.sweep import sweep_regularly
from resolvers.blocks import follow_blocks, load_blocks
from resolvers.context import Context
from resolvers.errors import Code, ParleyError
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.guards.directory import Directory
from resolvers.guards.file_urls import FileUrls
from resolvers.guards.limits.connection_slots import ConnectionSlots, TcpSlots
from resolvers.guards.limits.counts import Counts
from resolvers.guards.limits.rates import RateLimits
from resolvers.guards.limits.upload_slots import UploadSlots
from resolvers.guards.passwords import Passwords
from resolvers.guards.signing_secret import signing_secret
from resolvers.guards.token_states import TokenStates
from resolvers.guards.tokens import Tokens
from resolvers.messages import announce_committed
from resolvers.presence import record_last_seen
from resolvers.sessions import follow_sessions, tend_sessions
from resolvers.upkeep.health import watch_database
from resolvers.upkeep.log_state import follow_losses, load_epoch, settle_broadcasters
from schema.transports.endpoint import GraphQLEndpoint
from server.middleware.access_log import AccessLog
from server.middleware.cors import CORS
from server.middleware.sockets import Application
from server.processes.garbage import collect_in_steps, spare_the_collector
from server.proxies import Proxies
from settings import Settings
from web.playground import playground_assets

logger = logging.getLogger("parley.main")

# How often a process looks at the log's head unasked: in case an announcement was lost, another
# server appends, or the log has lost its tail; and where others append and do not announce.
POLL_SECONDS = 0.5
POLL_SECONDS_ALONE = 0.2
# What pages of other origins may read of an answer, beside what they may anyway.
EXPOSED_HEADERS = ("Retry-After", "ETag", "Accept-Ranges", "Content-Range", "Content-Disposition")


@dataclass(frozen=True, slots=True)
class Parley:
    """The application, and what to await before it is stopped."""

    app: Application
    drain: Callable[[], Awaitable[None]]


def create_app(settings: Settings, *, process: str = "") -> Parley:
    """Put the server together. Connections are opened by the application's lifespan.

    `process` is its name among several: Socket.IO sessions carry it, so that they are found again.
    """
    ParleyError.names_settings = settings.env == "development"
    bus = _create_bus(settings)
    ctx = create_context(settings, bus)
    follow_sessions(ctx)
    follow_losses(ctx)
    graphql = GraphQLEndpoint(ctx, origins=settings.cors_origins)
    chat = ChatServer(ctx, process=process)

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(ctx.db.close)
            stack.callback(ctx.passwords.close)
            await migrate.upgrade(ctx.db)
            await bus.start()
            stack.push_async_callback(bus.close)
            stack.push_async_callback(ctx.limits.counts.close)
            await ctx.hub.start()
            stack.push_async_callback(ctx.hub.close)
            # What facts say from now on is followed; what they said before is loaded.
            await ctx.feed.start()
            stack.push_async_callback(ctx.feed.close)
            await load_blocks(ctx.db, ctx.blocks)
            await load_epoch(ctx)
            ctx.log.start()
            stack.push_async_callback(ctx.log.close)
            await settle_broadcasters(ctx)
            await ctx.roster.start()
            stack.push_async_callback(ctx.roster.close)
            stack.push_async_callback(ctx.presence.close)
            stack.push_async_callback(chat.close)
            sweeping = asyncio.create_task(sweep_regularly(ctx), name="sweep")
            stack.callback(sweeping.cancel)
            tending = asyncio.create_task(tend_sessions(ctx), name="sessions")
            stack.callback(tending.cancel)
            watching = asyncio.create_task(watch_database(ctx), name="database")
            stack.callback(watching.cancel)
            collecting = asyncio.create_task(collect_in_steps(), name="garbage")
            stack.callback(collecting.cancel)
            spare_the_collector()
            yield

    async def drain() -> None:
        await asyncio.gather(graphql.drain(), chat.drain())

    app = Application(
        sockets={"graphql": AccessLog(graphql), "socket.io": AccessLog(chat)},
        callers=TcpSlots(ctx.connection_slots, ctx.proxies),
        caseless=("/api/",),
        routes=[
            Route("/", _welcome, methods=["GET"]),
            playground_assets(),
            Route("/graphql", graphql),
            *rest_routes(ctx),
            Mount("/socket.io", chat),
        ],
        middleware=[
            Middleware(AccessLog),
            Middleware(
                CORS,
                allow_origins=settings.cors_origins,
                # Never for any origin: a page of anybody's could then act with a visitor's cookies.
                allow_credentials="*" not in settings.cors_origins,
                # A page on the internet may reach a server in its visitor's own network.
                allow_private_network=True,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=EXPOSED_HEADERS,
                max_age=600,
            ),
        ],
        exception_handlers={HTTPException: _answer_http_error},
        lifespan=lifespan,
    )
    return Parley(app, drain)


def _create_bus(settings: Settings) -> Bus:
    url = _redis_url(settings)
    return LoneBus() if url is None else RedisBus(url, prefix=settings.redis_prefix)


def _redis_url(settings: Settings) -> str | None:
    return None if settings.redis_url is None else settings.redis_url.get_secret_value()


def create_context(settings: Settings, bus: Bus) -> Context:
    secret = signing_secret(settings)
    database = Database(settings.database, pool_size=settings.db_pool_size)

    async def read_head() -> int:
        async with database.read() as connection:
            return await messages.head_position(connection)

    async def read_entries(after: int, upto: int, limit: int) -> list[StoredMessage | Fact]:
        async with database.read() as connection:
            return await facts.read_log(connection, after, upto, limit)

    async def read_written(after: int, limit: int) -> tuple[int, list[StoredMessage | Fact]]:
        async with database.read_written() as connection:
            head = await messages.head_position(connection)
            return head, await facts.read_log(connection, after, head, limit) if limit else []

    has_neighbours = False

    def notice_neighbours() -> None:
        nonlocal has_neighbours
        if not has_neighbours and settings.redis_url is None:
            logger.warning(
                "Another server stores messages in this database: give both the same REDIS_URL."
                " Without it, each polls for the other's messages, and neither sees who is online"
                " at the other"
            )
        has_neighbours = True

    looking: set[asyncio.Task[None]] = set()

    def look_for_neighbours(first: int, last: int) -> None:
        if not has_neighbours and not looking:
            looking.add(asyncio.create_task(look(first, last), name="neighbours"))

    async def look(first: int, last: int) -> None:
        # The command line stores facts too, and is no server.
        with suppress(DatabaseUnavailable):
            async with database.read() as connection:
                if await messages.read_entries(connection, first - 1, last, 1):
                    notice_neighbours()
        looking.clear()

    def poll_seconds() -> float:
        if settings.redis_url is None:
            return POLL_SECONDS_ALONE if has_neighbours else POLL_SECONDS
        return POLL_SECONDS if bus.connected else POLL_SECONDS_ALONE

    control = Control()
    admission = Admission(apart=(blocks := BlockedPairs()).apart, broadcasters=settings.broadcast)
    follow_blocks(control, database, blocks)
    follow_accounts(control, admission)
    directory = Directory(settings.directory)
    roster = Roster(
        bus,
        lease_seconds=settings.presence_lease_seconds,
        renewal_seconds=settings.presence_renewal_seconds,
        sweep_seconds=settings.presence_sweep_seconds,
    )
    presence = Presence(
        grace_seconds=settings.presence_grace_seconds,
        record_last_seen=record_last_seen(database),
        roster=roster,
        apart=blocks.apart,
        circle=directory.circle,
    )
    connection_slots = ConnectionSlots(settings, roster)
    hub = Hub(
        warning_seconds=settings.token_warning_seconds,
        steps=(connection_slots, directory, presence),
    )
    feed: Feed[StoredMessage] = Feed(
        hub=hub,
        read_entries=read_entries,
        read_head=read_head,
        read_written=read_written,
        others=notice_neighbours,
        poll_seconds=poll_seconds,
        visibility=Visibility(blocks.apart),
        heard=directory.hear if settings.directory == "contacts" else None,
        control=control,
    )
    blocks.listen(presence.part)
    directory.listen(partial(presence.part, apart=False))
    return Context(
        settings=settings,
        db=database,
        log=MessageLog(
            database,
            max_pending=settings.max_pending_sends,
            committed=announce_committed(feed, bus),
            uncertain=feed.catch_up,
            others=look_for_neighbours,
            admission=admission,
            authority=control,
        ),
        hub=hub,
        feed=feed,
        roster=roster,
        presence=presence,
        blocks=blocks,
        directory=directory,
        control=control,
        passwords=Passwords(
            rounds=settings.bcrypt_rounds,
            workers=settings.password_workers,
            min_length=settings.min_password_length,
            refuse_common=settings.refuses_common_passwords,
        ),
        tokens=Tokens(secret, lifetime_seconds=settings.token_lifetime_seconds),
        token_states=TokenStates(database),
        files=FileStore(settings.storage),
        file_urls=FileUrls(
            secret, lifetime_seconds=settings.file_url_seconds, base=settings.public_url
        ),
        inspector=Inspector(
            workers=settings.media_workers,
            memory_bytes=settings.media_memory_bytes,
            seconds=settings.media_seconds,
        ),
        upload_slots=UploadSlots(
            per_user=settings.max_uploads_at_once,
            per_address=settings.max_uploads_per_address if settings.limits else None,
        ),
        proxies=Proxies(settings.trusted_proxies),
        limits=RateLimits(
            settings,
            Counts(bus, redis_url=_redis_url(settings), prefix=settings.redis_prefix),
        ),
        connection_slots=connection_slots,
    )


async def _welcome(request: Request) -> Response:
    return JSONAnswer(
        {"name": "Parley", "graphql": "/graphql", "rest": "/api", "socketio": "/socket.io/"}
    )


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette calls this for nothing else
    code = Code.NOT_FOUND if error.status_code == 404 else Code.BAD_USER_INPUT
    body = {"message": error.detail, "code": code.value}
    return JSONAnswer(body, error.status_code, headers=error.headers)
