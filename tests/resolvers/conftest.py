"""A server's operations, without a transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Route

from application import create_app
from resolvers.context import Context
from resolvers.people import auth
from schema.transports.endpoint import GraphQLEndpoint
from tests.resolvers.people import Person
from tests.support.server import make_settings
from tests.support.tables import make_tables


@asynccontextmanager
async def running_context(data_dir: Path, **overrides: Any) -> AsyncIterator[Context]:
    """Run everything but the sockets while the block lasts."""
    settings = make_settings(data_dir, **overrides)
    await make_tables(settings.database)
    app = create_app(settings).app
    async with app.router.lifespan_context(app):
        endpoints = [route.endpoint for route in app.routes if isinstance(route, Route)]
        yield next(found._ctx for found in endpoints if isinstance(found, GraphQLEndpoint))


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """What operations are handed, on each engine."""
    async with running_context(tmp_path, database_url=database_url, search="on") as ctx:
        yield ctx


async def join(ctx: Context, name: str = "Somebody") -> Context:
    """Register somebody new and return their context."""
    email = f"{uuid4().hex}@example.com"
    joined = await auth.register_user(ctx, email=email, password="123456", display_name=name)
    return ctx.as_viewer(await auth.authenticate(ctx, joined.issued.token))


@pytest.fixture
async def person(ctx: Context) -> Person:
    """Somebody who has just registered."""
    return await Person.register(ctx)
