"""Which facts of the log a user is shown: ranges of indexes, whatever the log's size."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import visibility
from db.models import EVERYBODY_ID, LogPerson, LogRow

T = TypeVar("T")

# Groups of one statement.
GROUPS_AT_ONCE = 500


class Stay(NamedTuple):
    """The part of the log in which a user is shown a group's facts."""

    conversation_id: int
    after: int
    upto: int | None


def parts_of(stays: Mapping[int, visibility.Stay]) -> list[Stay]:
    """Return the parts of the log in which a user of these groups is shown their facts."""
    # The fact of one's joining is shown too.
    return [
        Stay(id_, max(stay.sees_after - 1, 0), stay.left_position) for id_, stay in stays.items()
    ]


async def shown_positions(
    connection: AsyncConnection,
    user_id: int,
    stays: Sequence[Stay],
    after: int,
    upto: int,
    limit: int,
) -> tuple[list[int], int]:
    """Return the first positions, after < position <= upto, of facts that a user is shown.

    There are up to `limit`. Return also the position up to which these are all. Facts of the
    conversation of everybody are among them whoever wrote the message that they are about.
    """
    position = col(LogPerson.position)
    mine = select(position).where(col(LogPerson.user_id) == user_id)
    queries = [(mine, position), _of_conversations([EVERYBODY_ID])]
    overlapping = [s for s in stays if s.after < upto and (s.upto is None or s.upto > after)]
    # Those who are in for the whole range need no bounds of their own.
    whole = [s.conversation_id for s in overlapping if _covers(s, after, upto)]
    queries += [_of_conversations(ids) for ids in _some(whole)]
    parts = [stay for stay in overlapping if not _covers(stay, after, upto)]
    queries += [_of_parts(some, upto) for some in _some(parts)]
    found: set[int] = set()
    for query, at in queries:
        rows = await connection.execute(
            query.where(at > after, at <= upto).order_by(at).limit(limit)
        )
        some = [row[0] for row in rows]
        found.update(some)
        if len(some) == limit:
            upto = min(upto, some[-1])
    return sorted(p for p in found if p <= upto), upto


def _some(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[at : at + GROUPS_AT_ONCE] for at in range(0, len(items), GROUPS_AT_ONCE)]


def _covers(stay: Stay, after: int, upto: int) -> bool:
    return stay.after <= after and (stay.upto is None or stay.upto >= upto)


def _of_conversations(ids: Sequence[int]) -> tuple[Select[Any], Any]:
    position = col(LogRow.position)
    return select(position).where(col(LogRow.conversation_id).in_(ids)), position


def _of_parts(stays: Sequence[Stay], upto: int) -> tuple[Select[Any], Any]:
    position = col(LogRow.position)
    within = (
        and_(
            col(LogRow.conversation_id) == stay.conversation_id,
            position > stay.after,
            position <= (upto if stay.upto is None else stay.upto),
        )
        for stay in stays
    )
    return select(position).where(or_(*within)), position
