"""A real server on a free port, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from application import create_app
from resolvers.context import Context
from schema.transports.endpoint import GraphQLEndpoint
from server.headers import SecurityHeaders
from server.run import DrainingServer, make_server
from settings import Settings
from tests.support.ports import free_port
from tests.support.tables import make_tables

START_SECONDS = 30
STOP_SECONDS = 20

# Quick where a user would wait, and not in the way of tests that are about something else.
QUICK: dict[str, Any] = {
    "env": "test",
    "host": "127.0.0.1",
    "jwt_secret": "a secret of the tests, long enough to sign with",
    "bcrypt_rounds": 4,
    "persisted_queries": True,
    "presence_grace_seconds": 0.2,
    "shutdown_seconds": 4,
    # Strangers are refused that late; the tests of what is held take their time.
    "held_events_seconds": 1,
    # All tests come from one address; those of the limits turn them on again.
    "limits": False,
    # The index is made in a process of its own: only for tests of the search.
    "search": "off",
}


def make_settings(data_dir: Path, **overrides: Any) -> Settings:
    """Return settings that no environment and no .env has a say in."""
    values = {**QUICK, "data_dir": data_dir, "port": free_port(), **overrides}
    return Settings(_env_file=None, **values)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server listens, and what it was told."""

    settings: Settings
    server: DrainingServer

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def ws_url(self) -> str:
        """The GraphQL WebSocket's URL."""
        return f"ws://127.0.0.1:{self.settings.port}/graphql"

    @property
    def app(self) -> Starlette:
        """What it serves."""
        outermost = self.server.config.app
        assert isinstance(outermost, SecurityHeaders)
        assert isinstance(outermost.app, Starlette)
        return outermost.app

    @property
    def ctx(self) -> Context:
        """What its operations are handed, to see what it holds; another thread's: only look."""
        endpoints = [route.endpoint for route in self.app.routes if isinstance(route, Route)]
        return next(found._ctx for found in endpoints if isinstance(found, GraphQLEndpoint))


@contextmanager
def running_server(data_dir: Path, **overrides: Any) -> Iterator[RunningServer]:
    """Serve while the block lasts."""
    settings = make_settings(data_dir, **overrides)
    parley = create_app(settings)
    server = make_server(parley.app, settings, drain=parley.drain)

    async def serve() -> None:
        await make_tables(settings.database)
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    waited = threading.Event()
    for _ in range(START_SECONDS * 100):
        if server.is_listening or not thread.is_alive():
            break
        waited.wait(0.01)
    assert server.is_listening, "the server did not start"
    try:
        yield RunningServer(settings, server)
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        assert not thread.is_alive(), "the server did not stop"
