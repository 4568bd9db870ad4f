"""The database that is moved into: what is written in each transaction, and what is left to do."""

import json
import secrets
from collections import ChainMap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from commands.moving.rows import MovedAccount, MovedMessage
from db.conversations.listing import find_direct
from db.engines.database import Database, DatabaseUnsuitable
from db.engines.older import IMPORTS
from db.engines.statements import insert_many
from db.models import (
    EVERYBODY_ID,
    TABLE_OPTIONS,
    BigId,
    Conversation,
    LogHead,
    LogPerson,
    LogRow,
    Message,
    User,
    UTCDateTime,
)

# It stays after the import: who runs the command again is told that all is done.
IMPORTS_TABLE = Table(
    IMPORTS,
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("source", String(500), nullable=False),
    # The last row that was judged of each table, and the last member that was finished.
    Column("users_upto", BigId, nullable=True),
    Column("messages_upto", BigId, nullable=True),
    Column("report", Text, nullable=False),
    Column("finished_at", UTCDateTime(), nullable=True),
    **TABLE_OPTIONS,
)
ACCOUNT_COLUMNS = MovedAccount._fields
MESSAGE_COLUMNS = (
    "id",
    "sender_id",
    "receiver_id",
    "kind",
    "content",
    "created_at",
    "conversation_id",
)
MEMBER_COLUMNS = (
    "conversation_id",
    "user_id",
    "role",
    "joined_position",
    "activity",
    "read_position",
    "archived",
    "pinned",
)
# So many pairs are known without asking.
KNOWN_PAIRS = 200_000
# Rows of one statement that finishes conversations or users.
STEP = 2_000
Pair = tuple[int, int]


class Progress(NamedTuple):
    """How far an import has come."""

    source: str
    upto: Mapping[str, int | None]  # by table: the last id that was judged
    report: dict[str, Any] | None
    finished_at: datetime | None


class Target:
    """Writes accounts and messages, each page in one transaction with the progress."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pairs: dict[Pair, int] = {}

    async def begin(self, source: str, report: Mapping[str, Any]) -> Progress:
        """Return how far an earlier import has come; begin a new one where there was none.

        Raises DatabaseUnsuitable for a database with accounts that are not of this import.
        """
        async with self._database.write() as connection:
            await connection.run_sync(IMPORTS_TABLE.create, checkfirst=True)
        async with self._database.write() as connection:
            found = (await connection.execute(select(IMPORTS_TABLE))).first()
            if found is None:
                await self._begin(connection, source, report)
                return Progress(source, {"users": None, "messages": None}, None, None)
        if found.source != source:
            raise DatabaseUnsuitable(
                f"An import from {found.source} was begun here, and this is another: {source}."
                " Go on with that one, or move into an empty database"
            )
        upto = {"users": found.users_upto, "messages": found.messages_upto}
        return Progress(source, upto, json.loads(found.report), found.finished_at)

    async def _begin(
        self, connection: AsyncConnection, source: str, report: Mapping[str, Any]
    ) -> None:
        for model, noun in ((User, "accounts"), (Message, "messages")):
            if (await connection.execute(select(1).select_from(model).limit(1))).first():
                raise DatabaseUnsuitable(
                    f"It has {noun} already. Move into an empty database, since ids are"
                    " kept: name another in DB_NAME or DATABASE_URL, and the import makes it"
                )
        # Without an account nobody has a cursor: what a server has noted of itself may go, since
        # messages take its positions. Under another epoch the search begins anew too.
        await connection.execute(delete(LogPerson))
        await connection.execute(delete(LogRow))
        await connection.execute(
            update(LogHead).values(
                position=0,
                control_position=0,
                pruned_position=0,
                broadcast=None,
                epoch=secrets.token_hex(16),
            )
        )
        row = {"id": 1, "source": source, "report": json.dumps(report)}
        await connection.execute(IMPORTS_TABLE.insert().values(row))

    async def known(self) -> tuple[dict[int, str], datetime | None]:
        """Return the e-mail of each account that was moved, and the last message's time."""
        async with self._database.read(seconds=600) as connection:
            rows = await connection.execute(select(col(User.id), col(User.email)))
            emails = {row.id: row.email for row in rows}
            last = await connection.execute(
                select(col(Message.created_at)).order_by(col(Message.id).desc()).limit(1)
            )
            return emails, last.scalar()

    async def write_accounts(
        self, accounts: Sequence[MovedAccount], upto: int, report: Mapping[str, Any]
    ) -> None:
        """Store accounts, and that their table was judged up to an id."""
        async with self._database.write() as connection:
            if accounts:
                await insert_many(connection, "users", ACCOUNT_COLUMNS, accounts)
                rows = [_member(EVERYBODY_ID, account.id) for account in accounts]
                await insert_many(connection, "members", MEMBER_COLUMNS, rows)
            await _save(connection, report, users_upto=upto)

    async def write_messages(
        self,
        messages: Sequence[MovedMessage],
        upto: int,
        report: Mapping[str, Any],
        *,
        marks: tuple[bool, bool],
    ) -> None:
        """Store messages, and that their table was judged up to an id.

        `marks` says whether the table tells what was read, and what was delivered.
        """
        async with self._database.write() as connection:
            if messages:
                found = await self._conversations(connection, messages)
                rows = [
                    (*message[:6], EVERYBODY_ID if message.pair is None else found[message.pair])
                    for message in messages
                ]
                await insert_many(connection, "messages", MESSAGE_COLUMNS, rows)
                if marks[0]:
                    await _mark_read(connection, messages, found)
                if marks[1]:
                    await _mark_delivered(connection, messages)
            await _save(connection, report, messages_upto=upto)
        if messages:  # they are committed
            self._pairs = {} if len(self._pairs) > KNOWN_PAIRS else self._pairs
            self._pairs |= found.maps[0]

    async def _conversations(
        self, connection: AsyncConnection, messages: Sequence[MovedMessage]
    ) -> ChainMap[Pair, int]:
        """Return the conversation of each pair; the first map has those that were not known."""
        first: dict[Pair, datetime] = {}
        for message in messages:
            if message.pair is not None and message.pair not in self._pairs:
                first.setdefault(message.pair, message.created_at)
        if not first:
            return ChainMap({}, self._pairs)
        there: dict[Pair, int] = await find_direct(connection, [*first])
        new = [pair for pair in first if pair not in there]
        if new:
            names = ("kind", "lower_user_id", "higher_user_id", "shows_earlier", "created_at")
            begun = [("DIRECT", *pair, 1, first[pair]) for pair in new]
            await insert_many(connection, "conversations", names, begun)
            made = await find_direct(connection, new)
            members = [_member(made[pair], user_id) for pair in new for user_id in {*pair}]
            await insert_many(connection, "members", MEMBER_COLUMNS, members)
            there |= made
        return ChainMap(there, self._pairs)

    async def finish(self, report: Mapping[str, Any], *, marks: tuple[bool, bool]) -> int:
        """Write the marks and the places that follow from all messages, and then the log's head.

        Return how many conversations there are. Each step may be done again.
        """
        async with self._database.read() as connection:
            head = await _largest(connection, Message)
            conversations = await _largest(connection, Conversation)
            users = await _largest(connection, User)
        read = "" if marks[0] else f", read_position = {head:d}"
        async for after, upto in _ranges(self._database, Conversation, conversations):
            await self._execute(
                "UPDATE members SET activity = COALESCE((SELECT MAX(m.id) FROM messages m"  # noqa: S608  # nosec B608  # ids
                f" WHERE m.conversation_id = members.conversation_id), 0){read}"
                f" WHERE conversation_id > {max(after, EVERYBODY_ID):d}"
                f" AND conversation_id <= {upto:d}"
            )
        async for after, upto in _ranges(self._database, User, users):
            between = f"> {after:d} AND {{}} <= {upto:d}"
            await self._execute(
                f"UPDATE members SET read_position = {head:d}"  # noqa: S608  # nosec B608  # ids
                f" WHERE conversation_id = {EVERYBODY_ID:d} AND user_id {between.format('user_id')}"
            )
            if not marks[1]:
                await self._execute(
                    f"UPDATE users SET delivered_position = {head:d}"  # noqa: S608  # nosec B608  # ids
                    f" WHERE id {between.format('id')}"
                )
        async with self._database.write() as connection:
            await connection.execute(update(LogHead).values(position=head))
            await _save(connection, report, finished_at=datetime.now(UTC))
            counted = select(func.count()).where(col(Conversation.id) != EVERYBODY_ID)
            return int((await connection.execute(counted)).scalar_one())

    async def _execute(self, statement: str) -> None:
        async with self._database.write(seconds=600) as connection:
            await connection.exec_driver_sql(statement)


def _member(conversation_id: int, user_id: int) -> tuple[int | str, ...]:
    return conversation_id, user_id, "MEMBER", 0, 0, 0, 0, 0


async def _save(connection: AsyncConnection, report: Mapping[str, Any], **values: Any) -> None:
    saved = {"report": json.dumps(report), **values}
    await connection.execute(update(IMPORTS_TABLE).values(saved))


async def _largest(connection: AsyncConnection, model: Any) -> int:
    return (await connection.execute(select(func.max(col(model.id))))).scalar() or 0


async def _ranges(database: Database, model: Any, last: int) -> Any:
    """Yield ranges of ids, after and up to, with about STEP rows in each: ids may have gaps."""
    after = 0
    while after < last:
        async with database.read() as connection:
            found = await connection.execute(
                select(col(model.id))
                .where(col(model.id) > after)
                .order_by(col(model.id))
                .offset(STEP - 1)
                .limit(1)
            )
            upto = found.scalar() or last
        yield after, upto
        after = upto


async def _mark_read(
    connection: AsyncConnection, messages: Sequence[MovedMessage], found: Mapping[Pair, int]
) -> None:
    """Move each receiver's mark to the last message that they have read."""
    marks = {
        (found[message.pair], message.receiver_id or 0): message.id
        for message in messages
        if message.is_read and message.pair is not None
    }
    if not marks:
        return
    rows = ",".join(
        f"({id_:d},{user_id:d},'MEMBER',0,0,{mark:d},0,0)" for (id_, user_id), mark in marks.items()
    )
    known = (
        "ON CONFLICT DO UPDATE SET read_position = excluded.read_position"
        if connection.dialect.name == "sqlite"
        else "ON DUPLICATE KEY UPDATE read_position = VALUES(read_position)"
    )
    names = ", ".join(MEMBER_COLUMNS)
    await connection.exec_driver_sql(f"INSERT INTO members ({names}) VALUES {rows} {known}")  # noqa: S608  # nosec B608  # ids


async def _mark_delivered(connection: AsyncConnection, messages: Sequence[MovedMessage]) -> None:
    """Move each receiver's mark to the last message that they were sent."""
    marks = {m.receiver_id: m.id for m in messages if m.is_delivered and m.receiver_id is not None}
    if not marks:
        return
    cases = " ".join(f"WHEN {user_id:d} THEN {mark:d}" for user_id, mark in marks.items())
    ids = ",".join(map(str, marks))
    await connection.exec_driver_sql(
        f"UPDATE users SET delivered_position = CASE id {cases} END WHERE id IN ({ids})"  # noqa: S608  # nosec B608  # ids
    )
