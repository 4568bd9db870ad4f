"""The log: group commit of changes, one order, each message once.

A writer gathers the changes that wait in its process and stores them in one transaction:

    advance log_head by the batch's size  -- its row lock makes commit order the order of positions
    insert the batch as one statement
    commit; begin with the next batch; announce this one, acknowledge each change

That is how a batch of messages is stored. It fails where a fact that decides who may send was
stored and this process does not know it yet. Such a batch, and one that holds other changes too,
locks the head first, then reads and applies the facts before it (db/log/batches.py).

A lone change is written at once, and while it is being written the next batch gathers; only where
other processes append too does a busy writer wait a moment for more. A rollback gives the
positions back, so they stay dense.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from db.engines.database import (
    Database,
    DatabaseUnavailable,
    TooLargeForDatabase,
    retrying_deadlocks,
)
from db.log.admission import Admission
from db.log.batches import Authority, NewConversation, Stored, write_messages, write_mixture
from db.log.changes.change import Change
from db.log.conversations import Conversations
from db.log.drafts import (
    Draft,
    LogFull,
    UnknownReceiver,
    Waiting,
    answer_by,
    answer_repeat,
    refuse,
    split_repeats,
)
from db.log.inserts import Bounds, Overtaken, append_in_one_trip
from db.messages import find_by_keys
from db.models import StoredMessage
from events.facts import Fact

logger = logging.getLogger("parley.log")

# One transaction's bounds: beyond these the gain is small and the statement nears
# MySQL's max_allowed_packet (16 MiB on MariaDB).
MAX_BATCH_MESSAGES = 256
MAX_BATCH_BYTES = 2 * 1024 * 1024
# What the text of a batch's statements takes at most, beside what people wrote: as a whole, for
# each message, and for each other change.
STATEMENT_BYTES = 1024
ROW_BYTES = 160
CHANGE_BYTES = 4096
# MySQL's driver writes a backslash before each of these.
ESCAPED = "\0\n\r\x1a\"'\\"
# How a database and its driver (a ValueError: text that is no Unicode) refuse one row of a batch.
REFUSALS = (DBAPIError, ValueError, TooLargeForDatabase)
# A batch of this size is never divided, however little was stored before.
MIN_BATCH_MESSAGES = 16
# Where other processes append too, a busy writer waits so long for its batch to grow. Together they
# have no more messages than one process would have, and each transaction costs and locks the same.
GATHER_SECONDS = 0.005
BUSY_MESSAGES = 4
# How long after another process's position more of its positions are expected.
OTHERS_SECONDS = 0.5
# A database that hangs must not keep the server from ending.
CLOSE_SECONDS = 1


class MessageLog:
    """Appends changes.

    `committed` is called with each batch, in order, soon after its commit. `uncertain` is called
    when an entry may be stored of which `committed` does not hear. `others` is called, perhaps
    again and again, with the first and the last position that another process has taken.
    `admission` judges drafts; `authority` knows up to which fact that judgement is right.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_pending: int,
        committed: Callable[[Sequence[StoredMessage | Fact]], None],
        uncertain: Callable[[], None],
        admission: Admission,
        authority: Authority,
        others: Callable[[int, int], None] = lambda first, last: None,
    ) -> None:
        self._database = database
        self._max_pending = max_pending
        self._committed = committed
        self._uncertain = uncertain
        self._others = others
        self._admission = admission
        self._authority = authority
        self._conversations = Conversations(admission.groups)
        self._pending: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._last_position: int | None = None
        self._last_size = 0  # of the last batch
        self._others_at = -OTHERS_SECONDS  # when a position before ours was another process's
        self._untold: list[Stored] = []

    @property
    def waiting(self) -> int:
        """How many changes wait to be written."""
        return len(self._pending)

    def append(
        self, change: Change, first: Callable[[Any], None] | None = None
    ) -> asyncio.Future[Any]:
        """Queue a change; the future gives its fact, None where it was so already.

        The fact of a draft is the stored message, the first one's for a repeated key. What opens a
        session gives the session's id. Changes take positions in the order of these calls. `first`
        is called with what the future gives once it is stored, before anybody hears of it. Raises
        LogFull, and DatabaseUnavailable once the log is closed; the future raises the change's
        Refused, UnknownReceiver, UnknownConversation, SenderDisabled, BroadcastRefused,
        UnknownAttachment, OtherKind, KeyReused or DatabaseUnavailable.
        """
        if self._closing:
            raise DatabaseUnavailable("the server is stopping")
        if len(self._pending) >= self._max_pending:
            raise LogFull
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append(Waiting(change, outcome, first))
        self._wake.set()
        return outcome

    def receiver_in(self, conversation_id: int, sender_id: int) -> int | None:
        """Return to whom the sender writes in a direct conversation, where that is known.

        A draft that names the conversation alone is stored too, in a costlier transaction.
        """
        return self._conversations.receiver_in(conversation_id, sender_id)

    @property
    def broadcasters(self) -> str:
        """Who may write to everybody: `everyone`, `admins` or `off`."""
        return self._admission.broadcasters

    @broadcasters.setter
    def broadcasters(self, allowed: str) -> None:
        self._admission.broadcasters = allowed

    def forget(self) -> None:
        """Know nothing any more of what is stored: the database has lost a part of it."""
        self._conversations.forget()

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
        refuse(self._pending, DatabaseUnavailable("the server is stopping"))

    async def _write_batches(self) -> None:
        while self._pending or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                if self._is_shared_and_busy():
                    await asyncio.sleep(GATHER_SECONDS)
                batch = self._next_batch()
                try:
                    await self._settle(batch)
                except Exception as error:  # of any kind: the senders must hear of it
                    refuse(batch, error)
                    self._last_position = None  # the positions found next may be of this batch
                    self._uncertain()
                except asyncio.CancelledError:
                    refuse(batch, DatabaseUnavailable("the server is stopping"))
                    raise

    def _is_shared_and_busy(self) -> bool:
        now = asyncio.get_running_loop().time()
        shared = now - self._others_at < OTHERS_SECONDS
        return shared and self._last_size >= BUSY_MESSAGES and not self._closing

    def _next_batch(self) -> list[Waiting]:
        # A batch takes half of what waits and what was just stored. If it took all, every sender
        # would wait for the same batch: the database would be idle, and then the process.
        half = (len(self._pending) + self._last_size + 1) // 2
        most = min(max(half, MIN_BATCH_MESSAGES), MAX_BATCH_MESSAGES)
        room = self._room()
        batch: list[Waiting] = []
        size = 0
        decided = False
        while self._pending and len(batch) < most:
            change = self._pending[0].change
            if type(change) is not Draft:
                size += 4 * len(change.text) + CHANGE_BYTES
                decided = decided or change.decides
            elif decided:
                break  # the decision must be known before another draft is admitted
            else:
                # At most 4 bytes a character: one that is escaped has one byte, and gets another.
                size += 4 * (len(change.content) + len(change.client_message_id or "")) + ROW_BYTES
                if change.metadata is not None:
                    size += 4 * len(change.metadata)
            if size > room and batch:
                break
            waiting = self._pending.popleft()
            if size > room and not self._fits_alone(change, room):
                refuse([waiting], TooLargeForDatabase())
                size = 0
            else:
                batch.append(waiting)
        return batch

    def _room(self) -> int:
        packet = self._database.packet_bytes
        if packet is None:
            return MAX_BATCH_BYTES
        return min(MAX_BATCH_BYTES, packet - STATEMENT_BYTES)

    def _fits_alone(self, change: Change, room: int) -> bool:
        """Whether the database takes what people wrote by itself; where not, the log says so."""
        texts = [change.text]
        if isinstance(change, Draft):
            texts = [change.content, change.client_message_id or "", change.metadata or ""]
        if self._database.packet_bytes is None or not texts[0]:
            return True
        size = ROW_BYTES if isinstance(change, Draft) else CHANGE_BYTES
        for written in texts:
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
            rest = await self._answer_known_keys(firsts)
            self._admission.known_users.clear()
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
                answer_repeat(waiting, first)
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
                if not await self._answer_known_keys([waiting]):
                    return
            except REFUSALS as error:
                refuse([waiting], error)
        gone = UnknownReceiver() if type(waiting.change) is Draft else DatabaseUnavailable()
        refuse([waiting], gone)

    async def _store(self, batch: Iterable[Waiting]) -> None:
        # The batch shares locks on its users' rows, which others change: deadlocks can happen.
        await retrying_deadlocks(lambda: self._insert(batch))

    async def _insert(self, batch: Iterable[Waiting]) -> None:
        # The message of a caller that went away is stored all the same. Its client may come back,
        # repeat the message and send others: the repeated message would come after them.
        batch = [w for w in batch if not w.outcome.done() or w.outcome.cancelled()]
        if not batch:
            return
        now = datetime.now(UTC)
        only_drafts = {type(waiting.change) for waiting in batch} == {Draft}
        try:
            stored = await (self._store_drafts if only_drafts else self._store_mixture)(batch, now)
        except (Overtaken, NewConversation):
            batch = [w for w in batch if not w.outcome.done() or w.outcome.cancelled()]
            stored = await self._store_mixture(batch, now)
        if not stored.batch:
            return
        if stored.entries:
            first, last = stored.entries[0].id, stored.entries[-1].id
            self._conversations.moved(stored.moved, last)
            if self._last_position is not None and first > self._last_position + 1:
                self._others_at = asyncio.get_running_loop().time()
                self._others(self._last_position + 1, first - 1)
            self._last_position, self._last_size = last, len(stored.entries)
        if not self._untold:
            # Later: first the database gets the next batch, which it stores meanwhile.
            asyncio.get_running_loop().call_soon(self._tell)
        self._untold.append(stored)

    async def _store_drafts(self, batch: list[Waiting], now: datetime) -> Stored:
        drafts = [waiting.draft for waiting in batch]
        applied = self._authority.position
        # What draws on other rows is looked at first.
        plain = not self._database.is_sqlite and not any(
            draft.attachment_id or draft.reply_to_id for draft in drafts
        )
        ids = self._conversations.of(drafts)
        if plain and ids is not None and self._admission.is_sure(drafts):
            # Where other processes append too, the position is somewhat further on.
            last = self._last_position or 0
            active, upto = self._conversations.falling_behind(ids, last + len(drafts))
            async with self._database.write_whole() as connection:
                messages = await append_in_one_trip(
                    connection, drafts, ids, active, now, Bounds(applied, last, upto)
                )
            return Stored(batch, messages, messages, moved=active)
        async with self._database.write() as connection:
            return await write_messages(
                connection, batch, self._admission, self._conversations, now, applied
            )

    async def _store_mixture(self, batch: list[Waiting], now: datetime) -> Stored:
        async with self._database.write() as connection:
            stored = await write_mixture(
                connection, batch, self._admission, self._conversations, self._authority, now
            )
        for waiting, refusal in stored.refused:
            refuse([waiting], refusal)
        for waiting, answer in zip(stored.batch, stored.answers, strict=True):
            if waiting.first is not None:
                try:
                    waiting.first(answer)
                except Exception:
                    logger.exception("A caller failed on what it had stored")
        # At once: the next batch is admitted by these facts.
        facts = [entry for entry in stored.entries if isinstance(entry, Fact)]
        if facts:
            self._authority.hand_over_early(facts, stored.entries[-1].id)
        return stored

    def _tell(self) -> None:
        """Announce what was stored, in order, and answer its senders."""
        untold, self._untold = self._untold, []
        for batch, answers, entries, *_ in untold:
            try:
                if entries:
                    self._committed(entries)
            except Exception:
                # The senders must hear that their messages are stored, whatever a listener does.
                logger.exception("A listener failed on the positions from %d", entries[0].id)
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.outcome.done():  # the caller may have gone
                    waiting.outcome.set_result(answer)

    async def _answer_known_keys(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer the drafts whose keys are stored already; return the others."""
        keys = [w.draft.key for w in batch if type(w.change) is Draft and w.draft.client_message_id]
        if not keys:
            return batch
        async with self._database.read() as connection:
            originals = await find_by_keys(connection, keys)
        if originals:
            # A commit may have taken effect after it seemed to fail: nobody heard of its messages.
            self._uncertain()
        rest = []
        for waiting in batch:
            original = originals.get(waiting.draft.key) if type(waiting.change) is Draft else None
            if original is None:
                rest.append(waiting)
            else:
                answer_by(waiting, original)
        return rest
