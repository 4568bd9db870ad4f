"""What each kind of change costs the log, beside a plain message: batches of it, on each engine.

The log runs in this process, without clients: what is measured is what storing a change takes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import SecretStr
from sqlalchemy import insert

from bench.sampling import SECOND_US, Sample, no_collections
from bench.servers import processes
from db import migrate
from db.engines.database import Database
from db.log.admission import Admission
from db.log.changes.change import Change
from db.log.changes.marks import MarkRead
from db.log.changes.messages import DeleteMessage, EditMessage
from db.log.changes.reactions import ChangeReaction
from db.log.drafts import Draft
from db.log.log import MAX_BATCH_MESSAGES, MessageLog
from db.models import MessageKind, StoredMessage, User
from events.control import Control
from settings import Settings

PAIRS = 20
# So many changes of a kind: batches are full, since twice as many as one takes wait.
BATCHES = 40
WAITING = 2 * MAX_BATCH_MESSAGES
TEXT = "See you at the station at half past seven"
THUMB = "👍"


class Kind(NamedTuple):
    """A kind of change: its key, its title, and the change that comes of a message."""

    key: str
    title: str
    change: Callable[[StoredMessage], Change]


def _message(message: StoredMessage, reply_to_id: int | None = None) -> Change:
    people = message.sender_id, message.receiver_id
    return Draft(*people, MessageKind.TEXT, TEXT, reply_to_id=reply_to_id)


def _reaction(message: StoredMessage, *, added: bool) -> Change:
    return ChangeReaction(message.receiver_id or 0, message.id, 0, THUMB, added, 20)


def _edit(message: StoredMessage) -> Change:
    return EditMessage(message.sender_id, message.id, 0, f"{TEXT}!", MessageKind.TEXT, 0)


# In this order: a message is replied to, reacted to, edited, and then deleted.
KINDS = (
    Kind("message", "a message", _message),
    Kind("reply", "a reply", lambda message: _message(message, message.id)),
    Kind("reaction", "a reaction", lambda message: _reaction(message, added=True)),
    Kind("removal", "a reaction's removal", lambda message: _reaction(message, added=False)),
    Kind("edit", "an edit", _edit),
    Kind("deletion", "a deletion", lambda m: DeleteMessage(m.sender_id, m.id, 0, 0)),
    Kind("mark", "a read mark", lambda m: MarkRead(m.receiver_id or 0, m.conversation_id, m.id)),
)


async def measure_facts(url: str, database_pid: int | None = None) -> Sample:
    """The CPU time of each kind of change, at a database that this makes the tables of.

    `database_pid` is the database's process; None where it is in this one.
    """
    sample: Sample = {}
    async with _log(url) as log:
        # Twice: the first changes of a kind also pay for what is compiled and learned once.
        for _ in range(2):
            sent = await _changes(log, [_first(number) for number in range(_count())])
            for kind in KINDS:
                changes = [kind.change(message) for message in sent]
                with no_collections():
                    before, database_before = time.process_time(), _seconds(database_pid)
                    begun = time.monotonic()
                    await _changes(log, changes)
                    elapsed = time.monotonic() - begun
                    own = time.process_time() - before
                    database = _seconds(database_pid) - database_before
                sample[f"{kind.key}_us"] = (own + database) / len(changes) * SECOND_US
                sample[f"{kind.key}_rate"] = len(changes) / elapsed
                if database_pid is not None:
                    sample[f"{kind.key}_database_us"] = database / len(changes) * SECOND_US
                sample[f"{kind.key}_times"] = sample[f"{kind.key}_us"] / sample["message_us"]
    return sample


def _count() -> int:
    return BATCHES * MAX_BATCH_MESSAGES


def _first(number: int) -> Draft:
    sender, receiver = 2 * (number % PAIRS) + 1, 2 * (number % PAIRS) + 2
    if number // PAIRS % 2:
        sender, receiver = receiver, sender
    return Draft(sender, receiver, MessageKind.TEXT, TEXT)


def _seconds(pid: int | None) -> float:
    return 0.0 if pid is None else processes.cpu_seconds([pid])


async def _changes(log: MessageLog, changes: Sequence[Change]) -> list[Any]:
    """Append the changes, with WAITING of them in flight; return what came of each."""
    found: list[Any] = []
    for start in range(0, len(changes), WAITING):
        some = [log.append(change) for change in changes[start : start + WAITING]]
        found += await asyncio.gather(*some)
    return found


@asynccontextmanager
async def _log(url: str) -> AsyncIterator[MessageLog]:
    settings = Settings(_env_file=None, database_url=SecretStr(url))
    database = Database(settings.database)
    await migrate.upgrade(database)
    now = datetime.now(UTC)
    users = [
        {"email": f"user{number}@example.com", "display_name": f"User {number}"}
        | {"search_name": f"user {number}", "password_hash": "", "created_at": now}
        for number in range(2 * PAIRS)
    ]
    async with database.write() as connection:
        await connection.execute(insert(User), users)
    log = MessageLog(
        database,
        max_pending=WAITING,
        committed=lambda batch: None,
        uncertain=lambda: None,
        admission=Admission(),
        authority=Control(),
    )
    log.start()
    try:
        yield log
    finally:
        await log.close()
        await database.close()
