"""The composition root: reads, from top to bottom, as the list of what a server is made of.

`create_app` names what clients reach, `running` what runs behind it and in which order, and
`create_context` what operations are handed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from compat.chat import ChatServer, ChatSocket
from compat.errors import JSONAnswer
from compat.rest.routes import rest_routes
from db import migrate
from db.engines.database import Database
from db.files import FileStore
from db.log.admission import Admission
from db.log.log import MessageLog
from db.log.reader import LogReader
from db.models import StoredMessage
from db.replicas import Replicas
from db.search.search import MessageSearch
from db.visibility import Visibility
from events.bus.bus import Bus, LoneBus
from events.bus.redis_bus import RedisBus
from events.control import Control
from events.feed import Feed
from events.hub import Hub
from events.presence import Presence
from events.roster import Roster
from events.typing import Typing
from media.inspector import Inspector
from resolvers.attachments.sweep import sweep_regularly
from resolvers.context import Context
from resolvers.conversations.groups import follow_lost_members, follow_members
from resolvers.errors import Code, ParleyError
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.guards.directory import Directory
from resolvers.guards.file_urls import FileUrls
from resolvers.guards.invisible import Invisible
from resolvers.guards.kept_set import KeptSet
from resolvers.guards.limits.connection_slots import ConnectionSlots, TcpSlots
from resolvers.guards.limits.counts import Counts
from resolvers.guards.limits.rates import RateLimits
from resolvers.guards.limits.upload_slots import UploadSlots
from resolvers.guards.memberships import Memberships
from resolvers.guards.passwords import Passwords
from resolvers.guards.signing_secret import signing_secret
from resolvers.guards.token_states import TokenStates
from resolvers.guards.tokens import Tokens
from resolvers.messages import announce_committed
from resolvers.people.accounts import follow_accounts
from resolvers.people.blocks import follow_blocks, load_blocks
from resolvers.people.presence import follow_invisible, load_invisible, record_last_seen
from resolvers.people.sessions import follow_sessions, tend_sessions
from resolvers.people.settings import follow_hiding, load_hiding
from resolvers.reads import follow_groups
from resolvers.upkeep.health import watch_database
from resolvers.upkeep.log_state import follow_losses, load_epoch, settle_broadcasters
from resolvers.upkeep.neighbours import Neighbours
from resolvers.upkeep.status import describe_process
from schema.transports.endpoint import GraphQLEndpoint
from schema.transports.server_sent_events import EventStream
from schema.transports.websocket import GraphQLSocket
from server.middleware.access_log import AccessLog
from server.middleware.cors import CORS
from server.middleware.sockets import Application
from server.processes.garbage import collect_in_steps, spare_the_collector
from server.processes.status_socket import StatusSocket
from server.proxies import Proxies
from settings import Settings
from web.chat_page import ChatPage, is_browser
from web.playground import playground_assets

# What pages of other origins may read of an answer, beside what they may anyway.
EXPOSED_HEADERS = ("Retry-After", "ETag", "Accept-Ranges", "Content-Range", "Content-Disposition")
# What clients connect with, as `main.py status` calls it.
FACES: Mapping[type, str] = {
    GraphQLSocket: "graphqlWebSocket",
    EventStream: "graphqlEventStream",
    ChatSocket: "socketio",
}
# How long the end waits for a background task that was cancelled: its database may be gone.
CANCEL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Parley:
    """The application, and what to await before it is stopped."""

    app: Application
    drain: Callable[[], Awaitable[None]]


def create_app(settings: Settings, *, process: str = "") -> Parley:
    """Put the server together. The lifespan of the application opens connections, and starts parts.

    `process` is its name among several: Socket.IO sessions carry it, so that they are found again.
    """
    ParleyError.names_settings = settings.env == "development"
    bus = create_bus(settings)
    ctx = create_context(settings, bus)
    follow_sessions(ctx)
    follow_losses(ctx)
    follow_lost_members(ctx)
    follow_groups(ctx)
    graphql = GraphQLEndpoint(ctx, origins=settings.cors_origins)
    chat = ChatServer(ctx, process=process)

    status = StatusSocket(settings.data_dir, partial(describe_process, ctx, bus, FACES, process))

    async def drain() -> None:
        await asyncio.gather(graphql.drain(), chat.drain())

    app = Application(
        lifespan=lambda app: running(ctx, bus, chat, status),
        callers=TcpSlots(ctx.connection_slots, ctx.proxies),
        middleware=[Middleware(AccessLog), _cors(settings)],
        routes=_routes(ctx, graphql, chat),
        caseless=("/api/",),
        sockets={"graphql": AccessLog(graphql), "socket.io": AccessLog(chat)},
        exception_handlers={HTTPException: _answer_http_error},
    )
    return Parley(app, drain)


def _routes(ctx: Context, graphql: GraphQLEndpoint, chat: ChatServer) -> list[BaseRoute]:
    return [
        playground_assets(),
        Route("/graphql", graphql),
        *rest_routes(ctx),
        Mount("/socket.io", chat),
        *_first_page(ctx.settings),
    ]


def _cors(settings: Settings) -> Middleware:
    return Middleware(
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
    )


def _first_page(settings: Settings) -> list[Route]:
    """What `/` answers: the chat page to browsers, where it is switched on; else a welcome."""
    if not settings.shows_chat_page:
        return [Route("/", _welcome, methods=["GET"])]
    chat_page = ChatPage(public_url=settings.public_url)

    async def first_page(request: Request) -> Response:
        if is_browser(request):
            return chat_page.page(request)
        answer = await _welcome(request)
        answer.headers["Vary"] = "Accept"
        return answer

    return [Route("/", first_page, methods=["GET"]), chat_page.files_route()]


async def _welcome(request: Request) -> Response:
    return JSONAnswer(
        {"name": "Parley", "graphql": "/graphql", "rest": "/api", "socketio": "/socket.io/"}
    )


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette calls this for nothing else
    code = Code.NOT_FOUND if error.status_code == 404 else Code.BAD_USER_INPUT
    body = {"message": error.detail, "code": code.value}
    return JSONAnswer(body, error.status_code, headers=error.headers)


@asynccontextmanager
async def running(
    ctx: Context, bus: Bus, chat: ChatServer, status: StatusSocket
) -> AsyncIterator[None]:
    """Run the parts while the block lasts: they start in this order, and end in the opposite one.

    Where a part does not start, it and those before it are ended.
    """
    async with AsyncExitStack() as stack:
        part, at_end = stack.enter_async_context, stack.push_async_callback
        at_end(ctx.db.close)
        at_end(ctx.replicas.close)
        stack.callback(ctx.passwords.close)
        await migrate.upgrade(ctx.db)
        await part(_started(bus))
        at_end(ctx.limits.counts.close)
        await part(_started(ctx.hub))
        # The feed follows what facts say from now on; what they said before is loaded.
        await part(_started(ctx.feed))
        await load_blocks(ctx.db, ctx.blocks)
        await load_invisible(ctx.db, ctx.invisible)
        await load_hiding(ctx.db, ctx.hiding)
        await load_epoch(ctx)
        await part(_started(ctx.log))
        await settle_broadcasters(ctx)
        if ctx.search is not None:
            await part(_started(ctx.search))
        await part(_started(ctx.roster))
        at_end(ctx.presence.close)
        at_end(ctx.typing.close)
        at_end(chat.close)
        await part(_in_background(sweep_regularly(ctx), name="sweep"))
        await part(_in_background(tend_sessions(ctx), name="sessions"))
        await part(_in_background(watch_database(ctx), name="database"))
        await part(_in_background(collect_in_steps(), name="garbage"))
        await part(_started(status))
        spare_the_collector()
        yield


class _Part(Protocol):
    def start(self) -> Awaitable[None] | None: ...
    async def close(self) -> None: ...


@asynccontextmanager
async def _started(part: _Part) -> AsyncIterator[None]:
    """Start a part; close it at the end of the block, and where it does not start."""
    try:
        if (starting := part.start()) is not None:
            await starting
        yield
    finally:
        await part.close()


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run work without an end; cancel it at the end of the block."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)


def create_bus(settings: Settings) -> Bus:
    """Return what connects this process to the others: Redis, where there are others."""
    if settings.redis is None:
        return LoneBus()
    return RedisBus(settings.redis, prefix=settings.redis_prefix)


def create_context(settings: Settings, bus: Bus) -> Context:
    """Return what operations are handed: the parts, of which none is started."""
    secret = signing_secret(settings)
    database = Database(settings.database, pool_size=settings.db_pool_size)
    reader = LogReader(database)
    neighbours = Neighbours(database, None if settings.redis is None else bus)
    control, blocks, directory = Control(), BlockedPairs(), Directory(settings.directory)
    invisible, hiding = Invisible(), KeptSet[int]()
    admission = Admission(apart=blocks.apart, broadcasters=settings.broadcast)
    follow_blocks(control, database, blocks)
    follow_members(control, admission.groups)
    follow_invisible(control, database, invisible)
    follow_hiding(control, database, hiding)
    follow_accounts(control, admission)
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
        invisible=invisible.ids,
    )
    blocks.listen(presence.part)
    invisible.listen(presence.hide)
    directory.listen(presence.meet)
    connection_slots = ConnectionSlots(settings, roster)
    hub = Hub(
        warning_seconds=settings.token_warning_seconds,
        steps=(connection_slots, directory, presence),
    )
    memberships = Memberships(database, hub.has_user)
    typing = Typing(
        bus, apart=blocks.apart, members=lambda id_: hub.users_at(("conversation", id_))
    )
    blocks.listen(typing.part)
    invisible.listen(lambda user_id, hidden, at: typing.end_all_of(user_id))
    feed: Feed[StoredMessage] = Feed(
        hub=hub,
        read_entries=reader.read_entries,
        read_head=reader.read_head,
        read_written=reader.read_written,
        others=neighbours.notice,
        poll_seconds=neighbours.poll_seconds,
        visibility=Visibility(
            blocks.apart,
            memberships.stays_of,
            knows=None if directory.shows == "everyone" else directory.includes,
            hiding=hiding.keys,
        ),
        members_changed=memberships.apply,
        heard=directory.hear if settings.directory == "contacts" else None,
        typing=typing,
        control=control,
    )
    log = MessageLog(
        database,
        max_pending=settings.max_pending_sends,
        committed=announce_committed(feed, bus),
        uncertain=feed.catch_up,
        others=neighbours.look,
        admission=admission,
        authority=control,
    )
    control.on_loss(log.forget)
    return Context(
        settings=settings,
        db=database,
        replicas=Replicas(settings.replicas, database, pool_size=settings.db_pool_size),
        log=log,
        hub=hub,
        feed=feed,
        roster=roster,
        presence=presence,
        typing=typing,
        blocks=blocks,
        directory=directory,
        memberships=memberships,
        invisible=invisible,
        hiding=hiding,
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
            settings, Counts(bus, redis_url=settings.redis, prefix=settings.redis_prefix)
        ),
        connection_slots=connection_slots,
        search=MessageSearch(
            database.url,
            settings.data_dir / "search",
            head=lambda: feed.position,
            epoch=lambda: control.epoch,
        )
        if settings.search == "on"
        else None,
    )
