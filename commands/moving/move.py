"""The import: pages of the older server's rows, each judged, and written in one transaction.

The target remembers how far it has come in the same transaction. So the process may be killed at
any point: the next one goes on behind the last page that was committed.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from commands.moving.names import TableUnusable
from commands.moving.progress import Progress
from commands.moving.report import NOUNS, Report, Tell
from commands.moving.rows import Judge
from commands.moving.source import Source, SourceTable, told
from commands.moving.target import Target
from db.engines.database import Database, DatabaseUnsuitable, retrying_deadlocks

logger = logging.getLogger("parley.import")


class Options(NamedTuple):
    """How to read the older server's rows."""

    zone: tzinfo
    rows: int  # of one transaction
    max_bytes: int  # of a message's text


class Done(NamedTuple):
    """What came of an import. `conversations` is None for a dry run."""

    report: Report
    conversations: int | None
    was_done_before: bool = False


async def find_tables(source: Source) -> Sequence[SourceTable]:
    """Return the older server's two tables. Raises DatabaseUnsuitable."""
    try:
        return await source.find_tables()
    except TableUnusable as error:
        raise DatabaseUnsuitable(f"--from: {error}") from error


async def move(
    source: Source,
    tables: Sequence[SourceTable],
    database: Database | None,
    options: Options,
    *,
    tell: Tell | None = None,
) -> Done:
    """Move everything from the source into the database; without one, only look.

    `tell` is called with a line for each row that is changed or left out. Raises
    DatabaseUnsuitable, DatabaseUnavailable.
    """
    report = Report(tell=tell)
    target = None if database is None else Target(database)
    upto: Mapping[str, int | None] = {"users": None, "messages": None}
    if target is not None:
        progress = await target.begin(told(source.url), report.stored())
        upto = progress.upto
        if progress.report is not None:
            report = Report(progress.report, tell=tell)
        if progress.finished_at is not None:
            return Done(report, None, was_done_before=True)
    judge = Judge(report, zone=options.zone, now=datetime.now(UTC), max_bytes=options.max_bytes)
    if target is not None and upto["users"] is not None:
        emails, last_time = await target.known()
        judge.go_on(emails, last_time)
        logger.info("Going on from where an earlier import was ended")
    moving = _Moving(source, target, options, judge, report, tables)
    for table in tables:
        await moving.move_table(table, upto[table.role])
    if target is None:
        return Done(report, None)
    return Done(report, await target.finish(report.stored(), marks=moving.marks))


class _Moving:
    def __init__(
        self,
        source: Source,
        target: Target | None,
        options: Options,
        judge: Judge,
        report: Report,
        tables: Sequence[SourceTable],
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._judge = judge
        self._report = report
        columns = next(table.columns for table in tables if table.role == "messages")
        # Who has read a message has been sent it: then the one column tells of both.
        self.marks = ("read" in columns, "delivered" in columns)

    async def move_table(self, table: SourceTable, upto: int | None) -> None:
        """Judge and write the rows with ids past `upto`."""
        async with self._source.connect() as connection:
            total, odd = await self._source.count(connection, table)
            self._report.leave_out_unseen(table.role, odd, "an id that is no whole number")
            progress = Progress(
                f"{NOUNS[table.role]}s", total, done=self._report.seen_of(table.role)
            )
            async for rows in self._pages(connection, table, upto):
                await self._write(table, rows)
                progress.add(len(rows))
            progress.end()

    async def _pages(
        self, connection: AsyncConnection, table: SourceTable, upto: int | None
    ) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        while rows := await self._source.page(connection, table, upto, self._options.rows):
            yield rows
            upto = rows[-1]["id"]

    async def _write(self, table: SourceTable, rows: Sequence[Mapping[str, Any]]) -> None:
        upto = rows[-1]["id"]
        target, report = self._target, self._report
        if table.role == "users":
            accounts = [found for row in rows if (found := self._judge.account(row)) is not None]
            report.count("users", len(accounts))
            if target is not None:
                await retrying_deadlocks(
                    lambda: target.write_accounts(accounts, upto, report.stored())
                )
            return
        judged = [self._judge.message(row) for row in rows]
        messages = [message for message in judged if message is not None]
        report.count("messages", len(messages))
        if target is not None:
            await retrying_deadlocks(
                lambda: target.write_messages(messages, upto, report.stored(), marks=self.marks)
            )


@asynccontextmanager
async def opened(url: URL) -> AsyncIterator[Source]:
    """Open the source while the block lasts."""
    source = Source(url)
    try:
        yield source
    finally:
        await source.close()
