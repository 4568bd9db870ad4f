"""Queries on the log's facts other than messages, and on the log as a whole."""

import logging
from collections.abc import Sequence
from datetime import datetime
from heapq import merge
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import messages
from db.engines.statements import insert_many, insert_numbers
from db.groups.leaving import as_they_were
from db.models import LogHead, LogPerson, LogRow, Message, StoredMessage
from events.facts import (
    CONTROLS,
    SHOWN,
    Audience,
    Body,
    Fact,
    Members,
    People,
    Processes,
    Unreadable,
)

logger = logging.getLogger("parley.log")

_CONTROL_KINDS = [kind.__struct_config__.tag for kind in CONTROLS]
_SHOWN_KINDS = [kind.__struct_config__.tag for kind in SHOWN]
_COLUMNS = (
    "position", "kind", "actor_id", "audience", "body", "created_at", "conversation_id"
)  # fmt: skip
_encoder = msgspec.json.Encoder()
_bodies: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)
_audiences: msgspec.json.Decoder[Audience] = msgspec.json.Decoder(Audience)


async def lock_head(connection: AsyncConnection) -> tuple[int, int]:
    """Keep others from appending until the transaction ends.

    Return the last position taken, and the last one of a control fact.
    """
    lock = "" if connection.dialect.name == "sqlite" else " FOR UPDATE"
    query = f"SELECT position, control_position FROM log_head{lock}"  # noqa: S608  # nosec B608
    row: Sequence[Any] = (await connection.exec_driver_sql(query)).one()
    return row[0], row[1]


async def move_head(connection: AsyncConnection, position: int, control_position: int) -> None:
    """Take the positions up to here, in the transaction that has locked the head."""
    await connection.exec_driver_sql(
        f"UPDATE log_head SET position = {position:d}, control_position = {control_position:d}"  # noqa: S608  # nosec B608  # numbers
    )


async def insert_facts(connection: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Store facts at their positions, and whom each is shown to."""
    await insert_many(connection, "log", _COLUMNS, map(_row_of, facts))
    people = [
        (user_id, fact.id)
        for fact in facts
        if fact.is_shown and isinstance(fact.audience, People)
        for user_id in {*fact.audience.ids}
    ]
    people.sort()  # neighbours in the index, one after the other
    await insert_numbers(connection, "log_people", ("user_id", "position"), people)


def _row_of(fact: Fact) -> tuple[int | str | datetime | None, ...]:
    audience = fact.audience
    return (
        fact.id,
        fact.body.__struct_config__.tag,
        fact.actor_id,
        _encoder.encode(audience).decode(),
        _encoder.encode(fact.body).decode(),
        fact.created_at,
        audience.conversation_id if isinstance(audience, Members) else None,
    )


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
    """Return up to `limit` entries of the log, of both tables, with after < position <= upto.

    Messages of groups that somebody has left are as they were: for processes, which hand them out.
    """
    rows = await connection.execute(_between(after, upto).limit(limit))
    facts = await with_records(connection, [_fact(row) for row in rows])
    entries: list[StoredMessage | Fact] = [
        *await messages.read_entries(connection, after, upto, limit)
    ]
    if facts:
        entries = [*merge(entries, facts, key=attrgetter("id"))][:limit]
    return [*await as_they_were(connection, entries)]


async def read_facts(connection: AsyncConnection, positions: Sequence[int]) -> list[Fact]:
    """Return the facts that there are at these positions, in order."""
    if not positions:
        return []
    rows = select(LogRow.__table__).where(col(LogRow.position).in_(positions))  # type: ignore[attr-defined]  # SQLModel hides it
    found = await connection.execute(rows.order_by(col(LogRow.position)))
    return await with_records(connection, [_fact(row) for row in found])


async def with_records(connection: AsyncConnection, facts: list[Fact]) -> list[Fact]:
    """Return the facts with the messages that they are about, as those are now.

    The messages that facts lack are read in one query.
    """
    named = {fact.message_id for fact in facts if not fact.is_whole}
    if not named:
        return facts
    query = select(*messages.COLUMNS).where(col(Message.id).in_(named))
    found = {record.id: record for record in await messages.read_messages(connection, query)}
    return [
        fact if fact.is_whole else replace(fact, record=found.get(fact.message_id or 0))
        for fact in facts
    ]


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
        shown = await connection.execute(
            select(func.max(col(LogRow.position))).where(
                col(LogRow.position) <= old[-1], col(LogRow.kind).in_(_SHOWN_KINDS)
            )
        )
        position = shown.scalar()
        for table in (LogRow, LogPerson):
            await connection.execute(delete(table).where(col(table.position) <= old[-1]))
        if position is not None:
            await connection.execute(update(LogHead).values(pruned_position=position))
    return len(old)


async def pruned_position(connection: AsyncConnection) -> int:
    """Return the position up to which facts that users are shown may have been removed."""
    found = await connection.execute(select(col(LogHead.pruned_position)))
    return int(found.scalar_one())


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
