"""Changes to stored messages: what they cost the database, and who may make them in a group."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert

from db.engines import statements as direct
from db.engines.database import Database
from db.log.changes.change import Refused
from db.log.changes.messages import DeleteMessage, EditMessage
from db.log.changes.of_message import NotYours, UnknownMessage, Unreachable
from db.log.changes.reactions import ChangeReaction
from db.log.log import MessageLog
from db.models import Conversation, LogHead, Member, Message, MessageKind, StoredMessage
from events.facts import Fact, Members
from tests.db.rows import NOW, add_users, draft, running_log

GROUP = 77


def edit(user_id: int, message_id: int, content: str = "changed") -> EditMessage:
    """Return an edit of a text."""
    return EditMessage(user_id, message_id, 0, content, MessageKind.TEXT, 0)


async def outcome(log: MessageLog, change: Any) -> Any:
    """Return what a change came to, or why it was refused."""
    try:
        return await log.append(change)
    except Refused as error:
        return type(error)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements by which this database is written meanwhile."""
    sent: list[str] = []
    engine = database._writes.sync_engine

    def see(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    ask_driver = direct.ask_driver

    async def ask(driver: Any, statement: str, given: Any) -> Any:
        sent.append(statement)
        return await ask_driver(driver, statement, given)

    event.listen(engine, "before_cursor_execute", see)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "ask_driver", ask)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", see)


async def test_a_batch_of_changes_costs_a_constant_number_of_statements(
    database: Database,
) -> None:
    people = await add_users(database, 12)
    async with running_log(database) as log:

        async def cost(pairs: int, change: Any) -> int:
            sent = await asyncio.gather(
                *(log.append(draft(people[n], people[n + 6])) for n in range(pairs) for _ in "ab")
            )
            with statements(database) as ran:
                await asyncio.gather(*(log.append(change(m.sender_id, m.id)) for m in sent))
            return len(ran)

        for change in (
            edit,
            lambda user, id_: DeleteMessage(user, id_, 0, 0),
            lambda user, id_: ChangeReaction(user, id_, 0, "👍", True, 20),
        ):
            assert await cost(1, change) == await cost(6, change) <= 14


@pytest.fixture
async def group(database: Database) -> list[int]:
    """A group's owner, administrator, member, a member who has left, a newcomer and a stranger.

    The member's message stands at position 10, and the one's who has left at 11.
    """
    people = await add_users(database, 6)
    rows = [("OWNER", 0, None), ("ADMIN", 0, None), ("MEMBER", 0, None)]
    rows += [("MEMBER", 0, 12), ("ADMIN", 12, None)]  # type: ignore[list-item]  # a position
    group = {"id": GROUP, "kind": "GROUP", "shows_earlier": False, "created_at": NOW}
    same = {"conversation_id": GROUP, "activity": 0, "read_position": 0, "is_group": True}
    same |= {"archived": False, "pinned": False}
    members = [
        {
            **same,
            "user_id": user_id,
            "role": role,
            "left_position": left,
            "joined_position": joined,
            "sees_after": joined,
        }
        for user_id, (role, joined, left) in zip(people[:5], rows, strict=True)
    ]
    message = {"conversation_id": GROUP, "kind": "TEXT", "content": "x", "created_at": NOW}
    messages = [{**message, "id": id_, "sender_id": people[id_ - 8]} for id_ in (10, 11)]
    async with database.write() as connection:
        await connection.execute(insert(Conversation), [group])
        await connection.execute(insert(Member), members)
        await connection.execute(insert(Message), messages)
        await connection.execute(LogHead.__table__.update().values(position=12))  # type: ignore[attr-defined]  # SQLModel hides it
    return people


async def test_a_groups_messages_are_edited_by_their_senders_while_they_are_members(
    database: Database, group: list[int]
) -> None:
    owner, admin, member, left, newcomer, stranger = group
    async with running_log(database) as log:
        for user_id, of_members, of_left in (
            (stranger, UnknownMessage, UnknownMessage),
            (newcomer, UnknownMessage, UnknownMessage),  # it is from before they joined
            (owner, NotYours, NotYours),
            (admin, NotYours, NotYours),
            (left, NotYours, Unreachable),
        ):
            assert await outcome(log, edit(user_id, 10)) is of_members
            assert await outcome(log, edit(user_id, 11)) is of_left
        edited = await outcome(log, edit(member, 10))
        assert (edited.content, edited.receiver_id) == ("changed", None)


async def test_a_groups_messages_are_deleted_by_their_senders_and_its_administrators(
    database: Database, group: list[int]
) -> None:
    owner, admin, member, left, newcomer, stranger = group
    heard: list[Any] = []
    async with running_log(database, committed=heard.extend) as log:

        async def delete(user_id: int, message_id: int, seconds: int = 0) -> Any:
            return await outcome(log, DeleteMessage(user_id, message_id, 0, seconds))

        assert await delete(stranger, 10) is UnknownMessage
        assert await delete(newcomer, 10) is UnknownMessage
        assert await delete(left, 10) is NotYours
        assert await delete(left, 11) is Unreachable
        assert await delete(member, 11) is NotYours
        # However old it is, for an administrator.
        assert isinstance(await delete(admin, 10, seconds=1), StoredMessage)
        assert isinstance(await delete(owner, 11, seconds=1), StoredMessage)
    facts = [entry for entry in heard if isinstance(entry, Fact)]
    assert [(fact.actor_id, fact.audience) for fact in facts] == [
        (admin, Members(GROUP)),
        (owner, Members(GROUP)),
    ]
