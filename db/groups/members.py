"""Queries on groups: their rows of `conversations` and `members`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import insert_row
from db.models import Conversation, ConversationKind, Member, MemberRole, columns


class StoredGroup(msgspec.Struct, frozen=True, gc=False):
    """A group, without its members."""

    id: int
    title: str | None
    shows_earlier: bool
    avatar_id: int | None
    created_at: datetime


class GroupMember(msgspec.Struct, frozen=True, gc=False):
    """Somebody who is in a group, or was: then with `left_position`."""

    conversation_id: int
    user_id: int
    role: MemberRole
    joined_position: int
    sees_after: int
    left_position: int | None
    joined_at: datetime


_GROUP = columns(StoredGroup, Conversation)
_MEMBER = columns(GroupMember, Member)


def _member(row: Any) -> GroupMember:
    return GroupMember(row[0], row[1], MemberRole(row[2]), *row[3:])


async def insert_group(
    connection: AsyncConnection,
    *,
    title: str,
    shows_earlier: bool,
    avatar_id: int | None,
    at: datetime,
) -> int:
    """Begin a group without members; return its id."""
    values = {"kind": ConversationKind.GROUP.value, "title": title, "created_at": at}
    more = {"shows_earlier": shows_earlier, "avatar_id": avatar_id}
    return await insert_row(connection, Conversation, {**values, **more})


async def find_groups(connection: AsyncConnection, ids: Collection[int]) -> dict[int, StoredGroup]:
    """Return those of these conversations that are groups."""
    rows = await connection.execute(
        select(*_GROUP).where(
            col(Conversation.id).in_(ids), col(Conversation.kind) == ConversationKind.GROUP.value
        )
    )
    return {row[0]: StoredGroup(*row) for row in rows}


async def update_groups(
    connection: AsyncConnection, changed: Mapping[int, Mapping[str, Any]]
) -> None:
    """Give each of these groups' columns another value."""
    for id_, values in changed.items():
        await connection.execute(
            update(Conversation).where(col(Conversation.id) == id_).values(**values)
        )


async def find_members(
    connection: AsyncConnection, conversation_ids: Collection[int]
) -> Sequence[GroupMember]:
    """Return everybody who is in these groups, or was."""
    rows = await connection.execute(
        select(*_MEMBER).where(
            col(Member.conversation_id).in_(conversation_ids), col(Member.is_group)
        )
    )
    return [_member(row) for row in rows]


async def find_present(
    connection: AsyncConnection, conversation_ids: Collection[int]
) -> dict[int, set[int]]:
    """Return who is in each of these groups now."""
    rows = await connection.execute(
        select(col(Member.conversation_id), col(Member.user_id)).where(
            col(Member.conversation_id).in_(conversation_ids),
            col(Member.is_group),
            col(Member.left_position).is_(None),
        )
    )
    found: dict[int, set[int]] = {}
    for conversation_id, user_id in rows:
        found.setdefault(conversation_id, set()).add(user_id)
    return found


async def groups_of(connection: AsyncConnection, user_ids: Collection[int]) -> set[int]:
    """Return the groups in which any of these users is now."""
    found = await groups_of_each(connection, user_ids)
    return {id_ for ids in found.values() for id_ in ids}


async def groups_of_each(
    connection: AsyncConnection, user_ids: Collection[int]
) -> dict[int, set[int]]:
    """Return the groups in which each of these users is now."""
    rows = await connection.execute(
        select(col(Member.user_id), col(Member.conversation_id)).where(
            col(Member.user_id).in_(user_ids),
            col(Member.is_group),
            col(Member.left_position).is_(None),
        )
    )
    found: dict[int, set[int]] = {id_: set() for id_ in user_ids}
    for user_id, conversation_id in rows:
        found[user_id].add(conversation_id)
    return found


async def count_groups(connection: AsyncConnection, user_ids: Collection[int]) -> dict[int, int]:
    """Return in how many groups each of these users is now, if in any."""
    rows = await connection.execute(
        select(col(Member.user_id), func.count())
        .where(
            col(Member.user_id).in_(user_ids),
            col(Member.is_group),
            col(Member.left_position).is_(None),
        )
        .group_by(col(Member.user_id))
    )
    return {row[0]: row[1] for row in rows}


async def insert_members(
    connection: AsyncConnection, members: Iterable[GroupMember], position: int
) -> None:
    """Add members, to whom everything up to this position counts as read."""
    rows = [
        {
            **msgspec.structs.asdict(member),
            "role": member.role.value,
            "is_group": True,
            "activity": position,
            "read_position": position,
            "archived": False,
            "pinned": False,
        }
        for member in members
    ]
    if rows:
        await connection.execute(insert(Member), rows)


async def update_members(connection: AsyncConnection, members: Iterable[GroupMember]) -> None:
    """Write the roles and stays of members that there are."""
    rows = [
        {
            "_conversation": member.conversation_id,
            "_user": member.user_id,
            "role": member.role.value,
            "joined_position": member.joined_position,
            "sees_after": member.sees_after,
            "left_position": member.left_position,
            "joined_at": member.joined_at,
        }
        for member in members
    ]
    if rows:
        table: Any = Member.__table__  # type: ignore[attr-defined]  # SQLModel hides it
        await connection.execute(
            table.update().where(
                table.c.conversation_id == bindparam("_conversation"),
                table.c.user_id == bindparam("_user"),
            ),
            rows,
        )


async def note_leaving(connection: AsyncConnection, left: Collection[GroupMember]) -> None:
    """Keep for those who have left their groups just now what these were, besides messages."""
    if not left:
        return
    member: Any = Member.__table__  # type: ignore[attr-defined]  # SQLModel hides them
    group: Any = Conversation.__table__  # type: ignore[attr-defined]
    names = ("title", "avatar_id", "shows_earlier")
    of_group = {
        f"left_{name}": select(group.c[name])
        .where(group.c.id == member.c.conversation_id)
        .scalar_subquery()
        for name in names
    }
    key = [(row.conversation_id, row.user_id) for row in left]
    here = tuple_(member.c.conversation_id, member.c.user_id)
    await connection.execute(member.update().where(here.in_(key)).values(**of_group))
    lasts: dict[int, int] = {}
    for row in left:
        lasts[row.conversation_id] = max(lasts.get(row.conversation_id, 0), row.left_position or 0)
    await update_groups(connection, {id_: {"last_left_position": at} for id_, at in lasts.items()})


async def renew_members(
    connection: AsyncConnection, members: Iterable[GroupMember], position: int
) -> None:
    """Write the rows of members who joined again: they begin as new ones do."""
    for member in members:
        await connection.execute(
            update(Member)
            .where(
                col(Member.conversation_id) == member.conversation_id,
                col(Member.user_id) == member.user_id,
            )
            .values(activity=position, read_position=position, archived=False)
        )
