"""Runs an application under uvicorn, and stops it cleanly."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import uvicorn

from server.headers import SecurityHeaders
from server.middleware.sockets import Application
from server.processes.acceptor import Acceptor
from server.processes.descriptors import Descriptors
from server.processes.listeners import bind, describe
from server.processes.service_manager import ServiceManager
from server.processes.workers import ALIVE, ALIVE_SECONDS, ASKED, READY, REPORT, STOPPING
from server.protocols.http import ImpatientHTTP
from server.protocols.progress import TransferLimits
from server.protocols.unfinished import Unfinished
from server.protocols.visits import Visits
from server.protocols.websocket import DirectWebSocket
from settings import VERSION, Settings

logger = logging.getLogger("parley.server")

# How long a stopping worker still receives connections that the dispatcher has handed over.
ON_THEIR_WAY_SECONDS = 0.1

# How long a worker takes to stop once its supervisor has died.
ORPHAN_SECONDS = 1

# The largest WebSocket message, beyond the largest body that it may carry as JSON.
FRAME_SLACK_BYTES = 64 * 1024


class DrainingServer(uvicorn.Server):
    """Stops on SIGTERM: accepts no connections, lets sends finish, makes clients reconnect."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], Awaitable[None]],
        listeners: Sequence[socket.socket] | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._manager = manager
        self._listeners = listeners
        self.is_listening = False
        self._acceptor: Acceptor | None = None
        self._beginning: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, but accept connections here; say where the server listens."""
        if sockets is None and self._listeners is None:
            self._listeners = bind(self.config.host, self.config.port)
        await super().startup(sockets=[])
        if self._listeners is None or self.should_exit:
            return  # a worker's connections are handed to it; or the application did not start
        self._acceptor = Acceptor(self._listeners, self._serve_connection)
        self._acceptor.start()
        self.is_listening = True
        logger.info("Parley %s", VERSION)
        for listener in self._listeners:
            logger.info("Listening on %s", describe(listener))
        if self._manager is not None:
            self._manager.report_ready(f"Serving on {describe(self._listeners[0])}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        if self._manager is not None:
            self._manager.report_stopping()
        if self._acceptor is not None:
            self._acceptor.close()
        seconds = self.config.timeout_graceful_shutdown or 1
        left = max(1, round(seconds / 2))
        try:
            # Half of the time is for what is in flight, the other half for closing connections.
            async with asyncio.timeout(seconds / 2):
                await self._drain()
        except TimeoutError:
            logger.warning("Some requests took longer than %.1f s and were cut off", seconds / 2)
            left = 1  # what hung for so long will not end by itself
        self.config.timeout_graceful_shutdown = left
        await super().shutdown(sockets)

    def _serve_connection(self, connection: socket.socket, address: str = "") -> None:
        task = asyncio.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        protocol: Any = partial(
            cast(Any, self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        except OSError as error:
            logger.debug("A connection was gone before it was served: %s", error)
            connection.close()


class HandedServer(DrainingServer):
    """A worker's server: listens nowhere; the dispatcher sends it connections over a channel."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], Awaitable[None]],
        channel: socket.socket,
        report: Callable[[], bytes],
    ) -> None:
        super().__init__(config, drain=drain)
        self._channel = channel
        self._make_report = report
        self._beat: asyncio.TimerHandle | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then ask the dispatcher for connections."""
        await super().startup(sockets=[])
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._receive)
        self._channel.send(READY)
        self._say_alive()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the dispatcher, receive the connections that are on their way, then stop."""
        if self._beat is not None:
            self._beat.cancel()
        with contextlib.suppress(OSError):  # the dispatcher has gone
            self._channel.send(STOPPING)
        await asyncio.sleep(ON_THEIR_WAY_SECONDS)
        self._receive()
        asyncio.get_running_loop().remove_reader(self._channel)
        await super().shutdown(sockets)

    def _say_alive(self) -> None:
        with contextlib.suppress(OSError):  # gone, or so far behind that it has heard enough
            self._channel.send(ALIVE)
        self._beat = asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._say_alive)

    def _report(self) -> None:
        """Tell the supervisor this process's figures."""
        try:
            self._channel.send(REPORT + self._make_report())
        except OSError as error:  # it does not read, and asks again another time
            logger.warning("The figures could not be told: %s", error)

    def _receive(self) -> None:
        for _ in range(100):  # others must get a turn
            try:
                told, descriptors, _flags, _address = socket.recv_fds(self._channel, 1, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                told, descriptors = b"", []
            if not told:
                # The supervisor has gone: no connection would come any more. The worker hurries: a
                # server that is started again waits for the database and the port.
                asyncio.get_running_loop().remove_reader(self._channel)
                self.config.timeout_graceful_shutdown = ORPHAN_SECONDS
                self.should_exit = True
                return
            if told == ASKED:
                self._report()
            for descriptor in descriptors:
                self._serve_connection(socket.socket(fileno=descriptor))


def make_server(
    app: Application,
    settings: Settings,
    *,
    drain: Callable[[], Awaitable[None]],
    listeners: Sequence[socket.socket] | None = None,
    channel: socket.socket | None = None,
    manager: ServiceManager | None = None,
    report: Callable[[], bytes] = bytes,
) -> DrainingServer:
    """Return a server for the application, ready to `run()` or `await serve()`.

    It listens on `listeners`, which were bound before, or else where the settings say. With a
    channel it is a worker's: its connections come from the dispatcher, whom it tells its `report`.
    `manager` hears of the start.
    """
    # A body of the largest size must have room beside others.
    unfinished = Unfinished(max(settings.max_unfinished_bytes, 4 * settings.max_body_bytes))
    limits = TransferLimits(
        settings.request_body_seconds,
        settings.min_body_bytes_per_second,
        settings.whole_body_seconds,
    )
    config = uvicorn.Config(
        SecurityHeaders(app, hsts_seconds=settings.hsts_seconds),
        host=settings.host,
        port=settings.port,
        # uvicorn makes the connections by itself, so their bounds are attributes of the classes.
        http=type(
            "BoundHTTP",
            (ImpatientHTTP,),
            {
                "head_seconds": settings.request_head_seconds,
                "body_limits": limits,
                "visits": Visits(app.callers, Descriptors()),
                "unfinished": unfinished,
                "serves_websocket": staticmethod(app.serves_websocket),
            },
        ),
        ws=type("BoundWebSocket", (DirectWebSocket,), {"message_limits": limits}),
        timeout_keep_alive=settings.keep_alive_seconds,
        ws_max_size=settings.max_body_bytes + FRAME_SLACK_BYTES,
        ws_ping_interval=settings.ping_interval_seconds,
        ws_ping_timeout=settings.ping_timeout_seconds,
        # 64 KiB a connection, for messages that are mostly too short to gain from it.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=max(2, round(settings.shutdown_seconds)),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Clients that read this header (Node's agents) close an idle connection before the server
        # does. A request that meets the server's close on its way would be lost.
        headers=[("Keep-Alive", f"timeout={settings.keep_alive_seconds}")],
        # TRUSTED_PROXIES says which proxies may tell the client's address (server/proxies.py).
        proxy_headers=False,
    )
    if channel is not None:
        return HandedServer(config, drain=drain, channel=channel, report=report)
    return DrainingServer(config, drain=drain, listeners=listeners, manager=manager)
