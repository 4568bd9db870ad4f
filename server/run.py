"""Runs an application under uvicorn, and stops it cleanly."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

from server.websocket import AbortableWebSocket
from settings import Settings

logger = logging.getLogger("parley.server")

# The largest WebSocket message, beyond the largest body that it may carry as JSON.
FRAME_SLACK_BYTES = 64 * 1024


class DrainingServer(uvicorn.Server):
    """On SIGTERM: takes no new connections, lets sends finish, has the clients reconnect, ends."""

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        seconds = self.config.timeout_graceful_shutdown or 1
        try:
            # Half of the time for what is in flight, half for what is left to say good-bye.
            async with asyncio.timeout(seconds / 2):
                await self._drain()
        except TimeoutError:
            logger.warning("Some requests took longer than %.1f s and were cut off", seconds / 2)
        self.config.timeout_graceful_shutdown = max(1, round(seconds / 2))
        await super().shutdown(sockets)


def make_server(
    app: ASGIApp, settings: Settings, *, drain: Callable[[], Awaitable[None]]
) -> DrainingServer:
    """Return a server for the application, ready to `run()` or `await serve()`."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws=AbortableWebSocket,
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
    )
    return DrainingServer(config, drain=drain)
