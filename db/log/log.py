"""The log: group commit of changes, one order, each message once.

A writer gathers the changes that wait in its process and stores them in one transaction:

    advance log_head by the batch's size  -- its row lock makes commit order the order of positions
    insert the batch as one statement
    commit; begin with the next batch; announce this one, acknowledge each change

That is how a batch of messages is stored. It fails where a fact that decides who may send has been
stored and is not known here; then, as for a batch that holds other changes too, the head is locked
first, and the facts before the batch are read and applied (db/batches.py).

A lone change is written at once, and while it is being written the next batch gathers; only where
other processes append too does a busy writer wait a moment for more. A rollback gives the
positions back, so they stay dense.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, overload

from sqlalchemy import select, tuple_
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col

from db.engines.database import (
    Database,
    DatabaseUnavailable,
    TooLargeForDatabase,
    retrying_deadlocks,
)
from db.log.batches import Authority, Stored, Unchecked, write_messages, write_mixture
from db.log.changes.change import Change, Refused
from db.log.changes.sessions import OpensSession
from db.log.drafts import (
    Draft,
    LogFull,
    UnknownReceiver,
    Waiting,
    answer,
    fail,
    settle_repeat,
    split_repeats,
)
from db.log.entries import Overtaken, append_whole
from db.log.permits import Permits
from db.messages import COLUMNS, read_messages
from db.models import Message, StoredMessage
from events.facts import Fact

logger = logging.getLogger("parley.log")

# One transaction's bounds: beyond these the gain is small and the statement nears
# MySQL's max_allowed_packet (16 MiB on MariaDB).
MAX_BATCH_MESSAGES = 256
MAX_BATCH_BYTES = 2 * 1024 * 1024
# What a batch's statements have beside what people wrote: at most so much, and so much a row.
STATEMENT_BYTES = 1024
ROW_BYTES = 160
# What a change that is no message may take.
CHANGE_BYTES = 4096
ESCAPED = "\0\n\r\x1a\"'\\"
# How a database and its driver (a ValueError: text that is no Unicode) refuse one row of a batch.
REFUSALS = (DBAPIError, ValueError, TooLargeForDatabase)
# So many go together whatever else is going on.
MIN_BATCH_MESSAGES = 16
# Where other processes append too, a busy writer lets its batches grow for so long: between them
# they have no more messages than one would, and each transaction costs, and locks, the same.
GATHER_SECONDS = 0.005
BUSY_MESSAGES = 4
# How long after a position that was not ours we expect more of them.
OTHERS_SECONDS = 0.5
# A database that hangs must not keep the server from ending.
CLOSE_SECONDS = 1


class MessageLog:
    """Appends changes. `committed` is called with each batch, in order, soon after its commit.

    `uncertain` is called when an entry may be stored that `committed` was not told of; `others`,
    perhaps again and again, with the first and the last position that another process has taken.
    `authority` knows what facts say of who may send; without one that is not looked at.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_pending: int,
        committed: Callable[[Sequence[StoredMessage | Fact]], None],
        uncertain: Callable[[], None],
        others: Callable[[int, int], None] = lambda first, last: None,
        permits: Permits | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._database = database
        self._max_pending = max_pending
        self._committed = committed
        self._uncertain = uncertain
        self._others = others
        self._permits = permits or Permits()
        self._authority = authority or Unchecked()
        self._pending: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._last_position: int | None = None
        self._last_size = 0  # of the last batch
        self._others_at = -OTHERS_SECONDS  # when a position before ours was another process's
        self._untold: list[Stored] = []

    @overload
    def append(  # type: ignore[overload-overlap]  # a draft's fact is its message
        self, change: Draft
    ) -> asyncio.Future[StoredMessage]: ...

    @overload
    def append(  # type: ignore[overload-overlap]  # an id is given in the fact's place
        self, change: OpensSession, first: Callable[[int], None] | None = None
    ) -> asyncio.Future[int]: ...

    @overload
    def append(
        self, change: Change, first: Callable[[Fact | None], None] | None = None
    ) -> asyncio.Future[Fact | None]: ...

    def append(
        self, change: Change, first: Callable[[Any], None] | None = None
    ) -> asyncio.Future[Any]:
        """Queue a change; the future gives its fact, None where it was so already.

        The fact of a draft is the stored message, the first one's for a repeated key. What opens a
        session gives the session's id. Changes take positions in the order of these calls. `first`
        is called with what the future gives once it is stored, before anybody hears of it. Raises
        LogFull, and DatabaseUnavailable once the log is closed; the future raises the change's
        Refused, UnknownReceiver, SenderDisabled, BroadcastRefused, UnknownAttachment, OtherKind,
        KeyReused or DatabaseUnavailable.
        """
        if self._closing:
            raise DatabaseUnavailable("the server is stopping")
        if len(self._pending) >= self._max_pending:
            raise LogFull
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append(Waiting(change, outcome, first))
        self._wake.set()
        return outcome

    @property
    def broadcasters(self) -> str:
        """Who may write to everybody: `everyone`, `admins` or `off`."""
        return self._permits.broadcasters

    @broadcasters.setter
    def broadcasters(self, allowed: str) -> None:
        self._permits.broadcasters = allowed

    def start(self) -> None:
        """Start the writer, once, on the running loop."""
        self._writer = asyncio.create_task(self._write_batches(), name="message-log")

    async def close(self) -> None:
        """Refuse new drafts, store what waits and what is being written, then end the writer."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=CLOSE_SECONDS)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
        self._tell()
        fail(self._pending, DatabaseUnavailable("the server is stopping"))

    async def _write_batches(self) -> None:
        while self._pending or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                if self._is_shared_and_busy():
                    await asyncio.sleep(GATHER_SECONDS)
                batch = self._take_batch()
                try:
                    await self._settle(batch)
                except Exception as error:  # whatever it is, it is the senders' to hear
                    fail(batch, error)
                    self._last_position = None  # what is found there next may be ours
                    self._uncertain()
                except asyncio.CancelledError:
                    fail(batch, DatabaseUnavailable("the server is stopping"))
                    raise

    def _is_shared_and_busy(self) -> bool:
        now = asyncio.get_running_loop().time()
        shared = now - self._others_at < OTHERS_SECONDS
        return shared and self._last_size >= BUSY_MESSAGES and not self._closing

    def _take_batch(self) -> list[Waiting]:
        # A batch takes half of what waits and what was just stored. If it took all, every sender
        # would wait for the same batch: the database would be idle, and then the process.
        half = (len(self._pending) + self._last_size + 1) // 2
        most = min(max(half, MIN_BATCH_MESSAGES), MAX_BATCH_MESSAGES)
        room = self._room()
        batch: list[Waiting] = []
        size = 0
        decided = False
        while self._pending and len(batch) < most:
            draft = self._pending[0].change
            if type(draft) is not Draft:
                size += CHANGE_BYTES
                if batch and size > room:
                    break
                decided = decided or draft.decides
                batch.append(self._pending.popleft())
                continue
            if decided:
                break  # what was decided is to be known before anybody is admitted
            # At most 4 bytes a character, also of those that the statement escapes by another.
            size += 4 * (len(draft.content) + len(draft.client_message_id or "")) + ROW_BYTES
            if size > room:
                if batch:
                    break
                if not self._fits_alone(draft, room):
                    refused = self._pending.popleft()
                    size = 0
                    if not refused.outcome.done():
                        refused.outcome.set_exception(TooLargeForDatabase())
                    continue
            batch.append(self._pending.popleft())
        return batch

    def _room(self) -> int:
        packet = self._database.packet_bytes
        if packet is None:
            return MAX_BATCH_BYTES
        return min(MAX_BATCH_BYTES, packet - STATEMENT_BYTES)

    def _fits_alone(self, draft: Draft, room: int) -> bool:
        """Whether the database takes this draft by itself; where not, the log says so."""
        if self._database.packet_bytes is None:
            return True
        size = ROW_BYTES
        for written in (draft.content, draft.client_message_id or ""):
            size += len(written.encode("utf-8", "surrogatepass"))
            size += sum(written.count(character) for character in ESCAPED)
        if size <= room:
            return True
        self._database.say_too_large(size + STATEMENT_BYTES)
        return False

    async def _settle(self, batch: list[Waiting]) -> None:
        """Store the batch, leaving out, with its reason, each draft that cannot be stored."""
        firsts, repeats = split_repeats(batch)
        try:
            await self._store(firsts)
        except REFUSALS:
            # Rare: a key that was used before, or a user that is gone. Find which, store the rest.
            rest = await self._settle_known_keys(firsts)
            self._permits.known_users.clear()
            try:
                await self._store(rest)
            except REFUSALS:
                for waiting in rest:
                    await self._store_alone(waiting)
        abandoned = []
        if repeats:
            self._tell()
        for waiting, first in repeats:
            if first.outcome.cancelled():
                abandoned.append(waiting)
            else:
                settle_repeat(waiting, first)
        if abandoned:
            # The first caller went away, often to come back as this one: ask what became of it.
            await self._settle(abandoned)

    async def _store_alone(self, waiting: Waiting) -> None:
        # Another process may use the same key between the look-up and the insert, hence twice.
        for _ in range(2):
            try:
                await self._store([waiting])
                return
            except IntegrityError:
                if not await self._settle_known_keys([waiting]):
                    return
            except REFUSALS as error:
                fail([waiting], error)
        gone = UnknownReceiver() if type(waiting.change) is Draft else DatabaseUnavailable()
        fail([waiting], gone)

    async def _store(self, batch: Iterable[Waiting]) -> None:
        # The batch shares locks on its users' rows, which others change: deadlocks can happen.
        await retrying_deadlocks(lambda: self._insert(batch))

    async def _insert(self, batch: Iterable[Waiting]) -> None:
        # A caller that went away is stored for all that: left out, its message would come after
        # those that the same client, back again, sends after repeating it.
        batch = [w for w in batch if not w.outcome.done() or w.outcome.cancelled()]
        if not batch:
            return
        now = datetime.now(UTC)
        if all(type(waiting.change) is Draft for waiting in batch):
            try:
                stored = await self._store_messages(batch, now)
            except Overtaken:
                stored = await self._store_mixture(batch, now)
        else:
            stored = await self._store_mixture(batch, now)
        if not stored.batch:
            return
        if stored.entries:
            first, last = stored.entries[0].id, stored.entries[-1].id
            if self._last_position is not None and first > self._last_position + 1:
                self._others_at = asyncio.get_running_loop().time()
                self._others(self._last_position + 1, first - 1)
            self._last_position, self._last_size = last, len(stored.entries)
        if not self._untold:
            # Not yet: the database is to have the next batch first, and work while they hear.
            asyncio.get_running_loop().call_soon(self._tell)
        self._untold.append(stored)

    async def _store_messages(self, batch: list[Waiting], now: datetime) -> Stored:
        drafts = [waiting.draft for waiting in batch]
        applied = self._authority.position
        whole = not self._database.is_sqlite and not any(draft.attachment_id for draft in drafts)
        if whole and self._permits.allow(drafts):
            async with self._database.write_whole() as connection:
                messages = await append_whole(connection, drafts, now, applied)
            return Stored(batch, messages, messages)
        async with self._database.write() as connection:
            return await write_messages(connection, batch, self._permits, now, applied)

    async def _store_mixture(self, batch: list[Waiting], now: datetime) -> Stored:
        async with self._database.write() as connection:
            stored = await write_mixture(connection, batch, self._permits, self._authority, now)
        for waiting, fact in zip(stored.batch, stored.answers, strict=True):
            if waiting.first is not None and not isinstance(fact, Refused):
                try:
                    waiting.first(fact)
                except Exception:
                    logger.exception("A caller failed on what it had stored")
        # At once: the next batch is admitted by it.
        facts = [entry for entry in stored.entries if isinstance(entry, Fact)]
        if facts:
            self._authority.hand_over_early(facts, stored.entries[-1].id)
        return stored

    def _tell(self) -> None:
        """Announce what was stored, in order, and answer its senders."""
        untold, self._untold = self._untold, []
        for batch, answers, entries in untold:
            try:
                if entries:
                    self._committed(entries)
            except Exception:
                # They are stored: their senders must hear so, whatever a listener does.
                logger.exception("A listener failed on the positions from %d", entries[0].id)
            for waiting, answer_ in zip(batch, answers, strict=True):
                if waiting.outcome.done():  # the caller may have gone
                    continue
                if isinstance(answer_, Refused):
                    waiting.outcome.set_exception(answer_)
                else:
                    waiting.outcome.set_result(answer_)

    async def _settle_known_keys(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer the drafts whose keys are stored already; return the others."""
        drafts = [w for w in batch if type(w.change) is Draft and w.draft.client_message_id]
        keys = [(w.draft.sender_id, w.draft.client_message_id) for w in drafts]
        if not keys:
            return batch
        key = tuple_(col(Message.sender_id), col(Message.client_message_id))
        async with self._database.read() as connection:
            found = await read_messages(connection, select(*COLUMNS).where(key.in_(keys)))
        originals = {(message.sender_id, message.client_message_id): message for message in found}
        if originals:
            # Perhaps of a commit that took effect after its failure was looked into.
            self._uncertain()
        rest = []
        for waiting in batch:
            original = None
            if type(waiting.change) is Draft:
                key_of = (waiting.change.sender_id, waiting.change.client_message_id)
                original = originals.get(key_of)
            if original is None:
                rest.append(waiting)
            else:
                answer(waiting, original)
        return rest
