"""The list of a user's conversations, and the look-up of one: by the user's own row of each."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, bindparam, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.activity import FOR_EVER, MOST_AHEAD, MOST_BEHIND
from db.conversations.spans import Span, page_ids
from db.engines.statements import Statement, in_list, lists_of
from db.models import (
    EVERYBODY_ID,
    Conversation,
    ConversationKind,
    ListedConversation,
    Member,
    Message,
    Place,
    utc_from,
)
from db.people.blocks import not_apart


async def page_conversations(
    connection: AsyncConnection,
    viewer_id: int,
    *,
    archived: bool,
    after: Place | None,
    limit: int,
    broadcasts_after: int,
    upto: int,
) -> list[ListedConversation]:
    """Return the first `limit` conversations past a place of the viewer's list.

    As the log was at `upto`. Reads the rows of the page, and those of which `activity` does not
    tell whether they belong to it.
    """
    everybody = await _everybody(connection, viewer_id, broadcasts_after, upto)
    page: list[ListedConversation] = []
    for pinned in (True, False):
        if len(page) >= limit or (after is not None and pinned and not after.pinned):
            continue
        before = FOR_EVER if after is None or after.pinned != pinned else after.position
        found = await _section(
            connection, viewer_id, archived, pinned, before, limit - len(page), upto
        )
        listed = everybody.last_position and (everybody.archived, everybody.pinned) == (
            archived,
            pinned,
        )
        if listed and everybody.place.position < before:
            found.append(everybody)
            found.sort(key=_position, reverse=True)
        page += found[: limit - len(page)]
    return page


async def _section(
    connection: AsyncConnection,
    viewer_id: int,
    archived: bool,
    pinned: bool,
    before: int,
    limit: int,
    upto: int,
) -> list[ListedConversation]:
    """Return the first of the pinned conversations, or of the others, before a position."""
    fixed = {"viewer": viewer_id, "upto": upto, "archived": archived, "pinned": pinned}
    found: list[ListedConversation] = []
    seen: set[int] = set()
    activity, size = before + MOST_AHEAD, 2 * limit + 10
    while True:
        values = {**fixed, "activity": min(activity, FOR_EVER), "size": size}
        rows = _rows(await _section_statement().fetch(connection, values))
        # Rows of the last activity were seen before.
        new = [row for row in rows if row.id not in seen]
        seen.update(row.id for row in new)
        read = await _listed(connection, new, upto)
        found += [listed for listed in read if listed.place.position < before]
        found.sort(key=_position, reverse=True)
        if len(rows) < size:
            return found[:limit]
        activity = rows[-1].activity
        if len(found) >= limit and found[limit - 1].place.position > activity + MOST_BEHIND:
            return found[:limit]
        size = 2 * size + len(seen)


def _position(listed: ListedConversation) -> int:
    return listed.place.position


@cache
def _section_statement() -> Statement:
    query = (
        _of_members()
        .where(
            col(Member.archived) == bindparam("archived"),
            col(Member.pinned) == bindparam("pinned"),
            col(Member.conversation_id) != EVERYBODY_ID,
            col(Member.activity) <= bindparam("activity"),
        )
        .order_by(col(Member.activity).desc())
        .limit(bindparam("size", type_=Integer))
    )
    return Statement(lambda dialect: query)


class _Row(NamedTuple):
    """A row of the query below."""

    id: int
    kind: str
    title: str | None
    created_at: datetime | str
    avatar_id: int | None
    shows_earlier: int
    peer_id: int | None
    role: str
    joined_position: int
    sees_after: int
    left_position: int | None
    read_position: int
    muted_until: datetime | str | None
    archived: int
    pinned: int
    activity: int
    left_title: str | None
    left_avatar_id: int | None
    left_shows_earlier: int | None
    last: int | None

    @property
    def shown(self) -> tuple[str | None, int | None, bool]:
        """Title, picture, and whether newcomers see what was before: as the viewer sees them."""
        if self.left_position is None:
            return self.title, self.avatar_id, bool(self.shows_earlier)
        return self.left_title, self.left_avatar_id, bool(self.left_shows_earlier)


def _rows(found: Sequence[Sequence[Any]]) -> list[_Row]:
    return [_Row(*row) for row in found]


@cache
def _of_members() -> Select[Any]:
    """Return the query for the conversations of a `viewer`, as they were at `upto`."""
    viewer = bindparam("viewer", type_=BigInteger)
    last = (
        select(col(Message.id))
        .where(
            col(Message.conversation_id) == col(Member.conversation_id),
            col(Message.id) <= bindparam("upto", type_=BigInteger),
        )
        .order_by(col(Message.id).desc())
        .limit(1)
        .correlate(Member)
        .scalar_subquery()
    )
    lower, higher = col(Conversation.lower_user_id), col(Conversation.higher_user_id)
    query = select(
        col(Conversation.id),
        col(Conversation.kind),
        col(Conversation.title),
        col(Conversation.created_at),
        col(Conversation.avatar_id),
        col(Conversation.shows_earlier),
        case((lower == viewer, higher), else_=lower).label("peer_id"),
        col(Member.role),
        col(Member.joined_position),
        col(Member.sees_after),
        col(Member.left_position),
        col(Member.read_position),
        col(Member.muted_until),
        col(Member.archived),
        col(Member.pinned),
        col(Member.activity),
        col(Member.left_title),
        col(Member.left_avatar_id),
        col(Member.left_shows_earlier),
        # Who has left asks apart: what came later would be passed over one by one.
        case((col(Member.left_position).is_(None), last)).label("last"),
    ).join(Conversation, col(Conversation.id) == col(Member.conversation_id))
    return query.where(col(Member.user_id) == viewer)


async def _listed(
    connection: AsyncConnection, rows: Sequence[_Row], upto: int
) -> list[ListedConversation]:
    left = [
        Span(row.id, 0, min(row.left_position, upto) + 1, True, 1)
        for row in rows
        if row.left_position is not None
    ]
    lasts = {id_: ids[0] for id_, ids in (await page_ids(connection, left)).items() if ids}
    listed = []
    for row in rows:
        after = row.sees_after
        last = row.last if row.left_position is None else lasts.get(row.id)
        last = last if last is not None and last > after else 0
        title, avatar_id, shows_earlier = row.shown
        listed.append(
            ListedConversation(
                id=row.id,
                kind=ConversationKind(row.kind),
                title=title,
                created_at=utc_from(row.created_at),
                peer_id=row.peer_id,
                role=row.role,
                after=after,
                upto=min(upto, FOR_EVER if row.left_position is None else row.left_position),
                left_position=row.left_position,
                read_position=row.read_position,
                muted_until=None if row.muted_until is None else utc_from(row.muted_until),
                archived=bool(row.archived),
                pinned=bool(row.pinned),
                last_position=last,
                # A group without messages stands where its member joined it.
                place=Place(bool(row.pinned), max(last, row.joined_position)),
                avatar_id=avatar_id,
                shows_earlier=shows_earlier and row.kind == ConversationKind.GROUP,
            )
        )
    return listed


@cache
def _everybody_statement() -> Statement:
    viewer = bindparam("viewer", type_=BigInteger)
    last = (
        select(col(Message.id))
        .where(
            col(Message.conversation_id) == EVERYBODY_ID,
            col(Message.id) > bindparam("after", type_=BigInteger),
            col(Message.id) <= bindparam("upto", type_=BigInteger),
            # Nobody is apart from themselves.
            not_apart(viewer, col(Message.sender_id)),
        )
        .order_by(col(Message.id).desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            col(Conversation.created_at),
            col(Member.read_position),
            col(Member.muted_until),
            func.coalesce(col(Member.archived), False).label("archived"),
            func.coalesce(col(Member.pinned), False).label("pinned"),
            func.coalesce(last, 0).label("last"),
        )
        .outerjoin(
            Member,
            (col(Member.conversation_id) == col(Conversation.id)) & (col(Member.user_id) == viewer),
        )
        .where(col(Conversation.id) == EVERYBODY_ID)
    )
    return Statement(lambda dialect: query)


async def _everybody(
    connection: AsyncConnection, viewer_id: int, broadcasts_after: int, upto: int
) -> ListedConversation:
    """Return the conversation of everybody, in which a user may have no row."""
    values = {"viewer": viewer_id, "after": broadcasts_after, "upto": upto}
    [
        (created_at, read_position, muted_until, archived, pinned, last)
    ] = await _everybody_statement().fetch(connection, values)
    return ListedConversation(
        id=EVERYBODY_ID,
        kind=ConversationKind.EVERYBODY,
        title=None,
        created_at=utc_from(created_at),
        peer_id=None,
        role="MEMBER",
        after=broadcasts_after,
        upto=upto,
        left_position=None,
        # Without a row, everything since the account was made is unread.
        read_position=read_position or 0,
        muted_until=muted_until and utc_from(muted_until),
        archived=bool(archived),
        pinned=bool(pinned),
        last_position=last,
        place=Place(bool(pinned), last),
    )


async def find_conversations(
    connection: AsyncConnection,
    viewer_id: int,
    ids: Collection[int],
    *,
    broadcasts_after: int,
    upto: int = FOR_EVER,
) -> dict[int, ListedConversation]:
    """Return those of these conversations that the viewer is in, or was in."""
    rows: list[_Row] = []
    for size, some in lists_of({*ids} - {EVERYBODY_ID}):
        values = {"viewer": viewer_id, "upto": upto, **some}
        rows += _rows(await _found_statement(size).fetch(connection, values))
    found = {listed.id: listed for listed in await _listed(connection, rows, upto)}
    if EVERYBODY_ID in ids:
        found[EVERYBODY_ID] = await _everybody(connection, viewer_id, broadcasts_after, upto)
    return found


@cache
def _found_statement(size: int) -> Statement:
    query = _of_members().where(in_list(col(Member.conversation_id), size))
    return Statement(lambda dialect: query)


async def find_direct(
    connection: AsyncConnection, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return the conversations that there are between these pairs, each with its lower id first."""
    if not pairs:
        return {}
    lower: Any = col(Conversation.lower_user_id)
    higher: Any = col(Conversation.higher_user_id)
    rows = await connection.execute(
        select(lower, higher, col(Conversation.id)).where(tuple_(lower, higher).in_(pairs))
    )
    return {(one, other): id_ for one, other, id_ in rows}
