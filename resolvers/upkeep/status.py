"""How one process of the server is, for an operator: connections, log, queues, its neighbours."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from db import messages
from db.engines.database import DatabaseUnavailable
from db.people.users import find_users
from db.search.search import SearchUnavailable
from events.bus.bus import Bus
from events.connection import Connection
from resolvers.context import Context
from resolvers.server_info import version

# A database that hangs must not keep the others from being told of.
DATABASE_SECONDS = 2.0
# So many connections are looked at in one turn of the loop.
AT_ONCE = 500
# Of the users who are connected so many are named; all are counted.
MOST_NAMED = 1000
# A subscription that is read in this process, without a wire of its own.
NO_WIRE = "none"


async def describe_process(
    ctx: Context, bus: Bus, faces: Mapping[type, str], process: str, with_users: bool
) -> dict[str, Any]:
    """Return how this process is. `faces` names each kind of transport that clients connect with.

    Never raises for a database, a Redis or an index that is away: that is what is told.
    """
    connected = await _look_at_connections(ctx, faces)
    database, search = await asyncio.gather(_look_at_database(ctx), _look_at_search(ctx))
    head = database.pop("head", None)
    told = {
        "name": process,
        "version": version(),
        "connections": connected["faces"],
        "users": {"here": len(connected["users"]), "online": ctx.roster.online},
        "log": {
            "epoch": ctx.control.epoch,
            "head": head,
            "position": ctx.feed.position,
            "behind": None if head is None else max(0, head - ctx.feed.position),
            "waiting": ctx.log.waiting,
            "mostWaiting": ctx.settings.max_pending_sends,
        },
        "queues": connected["queues"],
        "uploads": {"inspected": ctx.inspector.busy, "waiting": ctx.inspector.waiting},
        "redis": {
            "used": not bus.is_lone,
            "connected": bus.connected,
            "waiting": bus.waiting,
            "processes": ctx.roster.processes,
        },
        "database": database,
        "search": search,
    }
    if with_users:
        told["connected"] = await _name_users(ctx, connected["users"])
    return told


async def _look_at_connections(ctx: Context, faces: Mapping[type, str]) -> dict[str, Any]:
    found = {face: ctx.hub.count(kind) for kind, face in faces.items()}
    by_face = {face: {"open": open_, "loggedIn": users} for face, (open_, users) in found.items()}
    users: dict[int, Counter[str]] = {}
    readers = waiting = longest = 0
    for number, connection in enumerate(ctx.hub.entered()):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        if connection.user_id is None:
            continue  # it left meanwhile
        face = _face_of(connection, faces)
        users.setdefault(connection.user_id, Counter())[face] += 1
        for sink in connection.sinks:
            queued = int(getattr(sink, "waiting", 0))
            readers, waiting, longest = readers + 1, waiting + queued, max(longest, queued)
    queues = {
        "readers": readers,
        "waiting": waiting,
        "longest": longest,
        "most": ctx.settings.max_queued_messages,
    }
    return {"faces": by_face, "users": users, "queues": queues}


def _face_of(connection: Connection, faces: Mapping[type, str]) -> str:
    transport = connection.transport
    return NO_WIRE if transport is None else faces.get(type(transport), type(transport).__name__)


async def _look_at_database(ctx: Context) -> dict[str, Any]:
    began = time.perf_counter()
    told: dict[str, Any] = {"place": ctx.db.place, **ctx.db.usage()}
    try:
        async with ctx.db.read(seconds=DATABASE_SECONDS) as connection:
            told["head"] = await messages.head_position(connection)
            told["version"] = ctx.db.product(connection)
    except DatabaseUnavailable as error:
        return {**told, "answers": False, "trouble": str(error)}
    return {**told, "answers": True, "ms": round((time.perf_counter() - began) * 1000, 1)}


async def _look_at_search(ctx: Context) -> dict[str, Any]:
    if ctx.search is None:
        return {"on": False}
    head = ctx.feed.position
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            span = await ctx.search.span()
    except (SearchUnavailable, TimeoutError):
        return {"on": True, "answers": False}
    first, last = (0, 0) if span is None else span
    told = {"first": first, "last": last, "behind": max(0, head - last)}
    return {"on": True, "answers": True, **told}


async def _name_users(ctx: Context, users: Mapping[int, Counter[str]]) -> list[dict[str, Any]]:
    named = sorted(users)[:MOST_NAMED]
    try:
        async with ctx.db.read(seconds=DATABASE_SECONDS) as connection:
            found = await find_users(connection, named)
    except DatabaseUnavailable:
        found = {}
    return [
        {
            "id": id_,
            "email": found[id_].email if id_ in found else None,
            "connections": dict(users[id_]),
        }
        for id_ in named
    ]
