"""`main.py serve`: one process that serves, or a supervisor and its workers."""

import argparse
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from application import create_app
from commands.migrate import upgrade_tables
from db.engines.sole_server import sole_server
from db.files import FileStore
from db.private import open_directory
from observe.exposition import expose
from observe.families import Workers
from server.metrics_port import metrics_port
from server.processes.descriptors import raise_limit
from server.processes.listeners import bind, describe, is_everywhere
from server.processes.memory import give_back_large_blocks
from server.processes.service_manager import ServiceManager
from server.processes.workers import Supervisor, supervise, worker_channel
from server.run import make_server
from settings import VERSION, Settings, unknown_names

logger = logging.getLogger("parley.main")

# How uvicorn says that the application did not start.
NOT_STARTED = 3
LIMITS_OFF = """    Limits      OFF: for load tests only
"""


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line; they come before the environment."""
    parser = commands.add_parser("serve", help="serve GraphQL, REST and Socket.IO")
    parser.add_argument("--host", help="the addresses to listen on (HOST, all)")
    parser.add_argument("--port", type=int, help="the port to listen on (PORT, 3000)")
    parser.add_argument("--workers", type=int, help="how many processes (WORKERS, 1)")


def run(
    settings: Settings, options: argparse.Namespace, *, bound: Callable[[], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. `bound` is called once the port is ours, before it answers."""
    if (worker := worker_channel()) is not None:
        process, channel = worker
        _serve(settings, process, channel=channel)
        return
    for unknown in unknown_names():
        logger.warning("%s", unknown)
    if not settings.limits:
        logger.warning("LIMITS=off: anyone may try passwords, send and connect without end")
    if settings.workers > 1 and settings.redis is None:
        raise SystemExit(f"{settings.workers} processes talk through Redis: set REDIS_URL")
    raise_limit()
    if settings.keeps_files:
        open_directory(settings.data_dir, name="DATA_DIR")
    with sole_server(settings.database):
        # A port in use is reported before anything else. The listeners accept nobody yet.
        manager = ServiceManager.of(os.environ)
        listeners = manager.listeners or bind(
            settings.host, settings.port, socket_mode=settings.socket_mode
        )
        metrics = _bind_metrics(settings)
        if bound is not None:
            bound()
        # A database or a file store that cannot be used is reported in one line, before the banner.
        upgrade_tables(settings)
        FileStore(settings.storage)
        print(_banner(settings, listeners[0]), flush=True)
        if settings.workers > 1:
            beside = partial(_metrics_of_workers, metrics)
            raise SystemExit(supervise(settings, listeners, manager, beside=beside))
        _serve(settings, settings.instance, listeners=listeners, manager=manager, metrics=metrics)


def _bind_metrics(settings: Settings) -> Sequence[socket.socket]:
    """Return sockets for the figures; none where METRICS_PORT is not set. Raises OSError."""
    if settings.metrics_port is None:
        return ()
    return bind(settings.metrics_host, settings.metrics_port)


@contextlib.asynccontextmanager
async def _metrics_of_workers(
    listeners: Sequence[socket.socket], supervisor: Supervisor
) -> AsyncIterator[None]:
    """Expose the figures of all workers as one while the block lasts."""
    workers = Workers()

    async def expose_all(accept: str) -> tuple[bytes, str]:
        return expose(workers.merge(await supervisor.reports()), accept)

    if not listeners:
        yield
        return
    async with metrics_port(listeners, expose_all):
        yield


def _serve(
    settings: Settings,
    process: str,
    *,
    listeners: Sequence[socket.socket] | None = None,
    channel: socket.socket | None = None,
    manager: ServiceManager | None = None,
    metrics: Sequence[socket.socket] = (),
) -> None:
    """Serve in this process: alone, or as a worker with a channel to its supervisor."""
    give_back_large_blocks()
    parley = create_app(settings, process=process, metrics=metrics)
    server = make_server(
        parley.app,
        settings,
        drain=parley.drain,
        listeners=listeners,
        channel=channel,
        manager=manager,
        report=parley.report,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn stopped cleanly, then raised it again
        server.run()
    if not server.started:
        raise SystemExit(NOT_STARTED)


def _banner(settings: Settings, listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"\n  Parley {VERSION} is starting, on {describe(listener)}. Ctrl+C stops it.\n"
    address, port = listener.getsockname()[:2]
    named = settings.host.partition(",")[0].strip()
    host = "localhost" if is_everywhere(address) else named or address
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    base = f"http://{host}:{port}"
    scheme, _, place = settings.database.partition("://")
    if scheme.startswith("sqlite"):
        database = f"SQLite, {place.removeprefix('/')}"
    else:
        database = f"MySQL, {place.rpartition('@')[2]}"
    open_it = {True: "(open it in a browser)", False: "(off)"}
    return f"""
  Parley {VERSION} is starting.

    Chat page   {base}/             {open_it[settings.shows_chat_page]}
    Playground  {base}/graphql      {open_it[settings.shows_playground]}
    GraphQL     {base}/graphql      and ws{base[4:]}/graphql for subscriptions
    REST        {base}/api          POST /api/auth/register, /api/auth/login, …
    Socket.IO   {base}              default path and namespace
    Database    {database}
{"" if settings.limits else LIMITS_OFF}
  Ctrl+C stops it.
"""
