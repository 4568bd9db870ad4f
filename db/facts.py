"""Queries on the log's facts other than messages, and on the log as a whole."""

import logging
from collections.abc import Sequence
from datetime import datetime
from heapq import merge
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import messages
from db.models import LogHead, LogRow, StoredMessage
from events.facts import CONTROLS, Audience, Body, Fact, Processes, Unreadable

logger = logging.getLogger("parley.log")

_CONTROL_KINDS = [kind.__struct_config__.tag for kind in CONTROLS]
_encoder = msgspec.json.Encoder()
_bodies: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)
_audiences: msgspec.json.Decoder[Audience] = msgspec.json.Decoder(Audience)


async def lock_head(connection: AsyncConnection) -> tuple[int, int]:
    """Keep others from appending until the transaction ends.

    Return the last position taken, and the last one of a control fact.
    """
    query = select(col(LogHead.position), col(LogHead.control_position)).with_for_update()
    row = (await connection.execute(query)).one()
    return row[0], row[1]


async def move_head(connection: AsyncConnection, position: int, control_position: int) -> None:
    """Take the positions up to here, in the transaction that has locked the head."""
    await connection.execute(
        update(LogHead).values(position=position, control_position=control_position)
    )


async def insert_facts(connection: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Store facts at their positions."""
    await connection.execute(insert(LogRow), [row_of(fact) for fact in facts])


def row_of(fact: Fact) -> dict[str, Any]:
    """Return the fact's row of the table `log`."""
    return {
        "position": fact.id,
        "kind": fact.body.__struct_config__.tag,
        "actor_id": fact.actor_id,
        "audience": _encoder.encode(fact.audience).decode(),
        "body": _encoder.encode(fact.body).decode(),
        "created_at": fact.created_at,
    }


def _between(after: int, upto: int) -> Select[Any]:
    position = col(LogRow.position)
    rows = select(LogRow.__table__)  # type: ignore[attr-defined]  # SQLModel hides it
    return rows.where(position > after, position <= upto).order_by(position)


async def read_controls(connection: AsyncConnection, after: int, upto: int) -> Sequence[Fact]:
    """Return the control facts with after < position <= upto, in order."""
    query = _between(after, upto).where(col(LogRow.kind).in_(_CONTROL_KINDS))
    return [_fact(row) for row in await connection.execute(query)]


async def read_log(
    connection: AsyncConnection, after: int, upto: int, limit: int
) -> list[StoredMessage | Fact]:
    """Return up to `limit` entries of the log, of both tables, with after < position <= upto."""
    rows = await connection.execute(_between(after, upto).limit(limit))
    facts = [_fact(row) for row in rows]
    entries: list[StoredMessage | Fact] = [
        *await messages.read_entries(connection, after, upto, limit)
    ]
    return [*merge(entries, facts, key=attrgetter("id"))][:limit] if facts else entries


async def prune_log(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Remove up to `limit` rows of before a moment, never the last; return how many."""
    last = (await connection.execute(select(func.max(col(LogRow.position))))).scalar() or 0
    # In the order of their positions, which is that of their times: no index on the time is needed.
    rows = await connection.execute(
        select(col(LogRow.position), col(LogRow.created_at))
        .where(col(LogRow.position) < last)
        .order_by(col(LogRow.position))
        .limit(limit)
    )
    old = [position for position, created_at in rows if created_at < before]
    if old:
        await connection.execute(delete(LogRow).where(col(LogRow.position) <= old[-1]))
    return len(old)


async def read_cursor(connection: AsyncConnection) -> tuple[str, int]:
    """Return the log's epoch, and its last position."""
    row = (await connection.execute(select(col(LogHead.epoch), col(LogHead.position)))).one()
    return row[0], row[1]


async def change_epoch(connection: AsyncConnection, known: str, new: str) -> None:
    """Give the log another epoch, unless somebody has done so since it was `known`."""
    await connection.execute(update(LogHead).where(col(LogHead.epoch) == known).values(epoch=new))


async def read_broadcasters(connection: AsyncConnection) -> str:
    """Return who may write to everybody, as the server that started last has it."""
    said = (await connection.execute(select(col(LogHead.broadcast)))).scalar_one()
    return "everyone" if said is None else str(said)


def _fact(row: Any) -> Fact:
    try:
        body, audience = _bodies.decode(row.body), _audiences.decode(row.audience)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        logger.error("The fact at %d (%s) cannot be read: %s", row.position, row.kind, error)
        body, audience = Unreadable(row.kind), Processes()
    return Fact(row.position, row.created_at, row.actor_id, audience, body)
