"""The port of its own on which Prometheus asks for the figures."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.calls import call_of
from server.headers import SecurityHeaders
from server.processes.descriptors import Descriptors
from server.protocols.http import ImpatientHTTP
from server.protocols.progress import TransferLimits
from server.protocols.unfinished import Unfinished
from server.protocols.visits import Visits

logger = logging.getLogger("parley.server")

PATH = "/metrics"
# One Prometheus, or a few, and somebody who looks.
MAX_CONNECTIONS = 20
HEAD_SECONDS = 5.0
UNFINISHED_BYTES = 1024 * 1024

# Given what the client accepts; returns the figures and their media type.
Expose = Callable[[str], Awaitable[tuple[bytes, str]]]


class _Few:
    """Bounds the connections of all callers together (server/protocols/visits.py)."""

    def __init__(self) -> None:
        self._open = 0

    def is_proxy(self, direct: str) -> bool:
        """No caller speaks for others."""
        return False

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """All are counted as one."""
        return "metrics"

    def has_room(self, address: str) -> bool:
        """Whether one more may be opened."""
        return self._open < MAX_CONNECTIONS

    def count(self, address: str) -> Callable[[], None]:
        """Count a connection; return the call that counts it off."""
        self._open += 1
        return self._count_off

    def _count_off(self) -> None:
        self._open -= 1


class MetricsApp:
    """Answers GET /metrics, and nothing else."""

    def __init__(self, expose: Expose) -> None:
        self._expose = expose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, body, media_type = 404, b"The figures are at /metrics\n", "text/plain"
        headers: list[tuple[bytes, bytes]] = []
        if scope["method"] not in {"GET", "HEAD"}:
            status, body, headers = 405, b"Only GET is served\n", [(b"allow", b"GET, HEAD")]
        elif scope["path"] == PATH:
            accepted = [value for name, value in scope["headers"] if name == b"accept"]
            accept = b",".join(accepted)[:2048].decode("latin-1")
            try:
                body, media_type = await self._expose(accept)
                status = 200
            except Exception:
                logger.exception("The figures could not be made")
                status, body = 500, f"Internal error {call_of(scope).request_id}\n".encode()
        headers += [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def metrics_port(listeners: Sequence[socket.socket], expose: Expose) -> AsyncIterator[None]:
    """Serve the figures on bound sockets while the block lasts."""
    config = uvicorn.Config(
        SecurityHeaders(MetricsApp(expose)),
        http=type(
            "MetricsHTTP",
            (ImpatientHTTP,),
            {
                "head_seconds": HEAD_SECONDS,
                "body_limits": TransferLimits(),
                "visits": Visits(_Few(), Descriptors()),
                "unfinished": Unfinished(UNFINISHED_BYTES),
                "serves_websocket": staticmethod(lambda path: False),
            },
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    protocol: Any = partial(
        cast(Any, config.http_protocol_class), config=config, server_state=state, app_state={}
    )
    servers = [await loop.create_server(protocol, sock=listener) for listener in listeners]
    for listener in listeners:
        logger.info("Metrics on http://%s:%s%s", *_named(listener), PATH)
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for connection in [*state.connections]:
            connection.shutdown()


def _named(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return f"[{host}]" if ":" in host else host, port
