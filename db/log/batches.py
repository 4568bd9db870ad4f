"""A batch's transaction: what is checked, in which order it is written, and what comes of it."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, facts
from db.log.admission import Admission, refuse_new
from db.log.changes.account_change import AccountChange
from db.log.changes.change import AccountEnded, Change, Made, Outcome, Refused
from db.log.conversations import Conversations, set_activity
from db.log.drafts import Draft, OtherKind, UnknownAttachment, Waiting
from db.log.inserts import append_messages, insert_messages
from db.log.replies import refuse_replies
from db.models import StoredAttachment, StoredMessage
from events.facts import Fact


class Authority(Protocol):
    """What this process knows by control facts: who is blocked, disabled, allowed to broadcast."""

    @property
    def position(self) -> int:
        """Every control fact up to here is known."""

    def hand_over_early(self, facts: Sequence[Fact], upto: int) -> None:
        """Take the control facts past `position`, in order: all there are up to `upto`."""


class NewConversation(Exception):
    """A draft may begin a conversation, or names one that is not known: the head comes first."""


class Stored(NamedTuple):
    """What a batch came to, once it is committed."""

    batch: Sequence[Waiting]  # those that have an answer now
    answers: Sequence[Any]  # for each: its message, its fact, or another answer
    entries: Sequence[StoredMessage | Fact]  # what was stored, at dense positions
    refused: Sequence[tuple[Waiting, Refused]] = ()
    moved: Sequence[int] = ()  # the conversations whose `activity` is the last position now


async def write_messages(
    connection: AsyncConnection,
    batch: list[Waiting],
    admission: Admission,
    conversations: Conversations,
    now: datetime,
    applied: int,
) -> Stored:
    """Store drafts, those that may be stored; the others are answered here.

    Raises Overtaken when control facts past `applied` have been stored, and NewConversation.
    """
    if conversations.has_unknown_names([waiting.draft for waiting in batch]):
        raise NewConversation
    batch, attached = await _admit(connection, batch, admission, now)
    if not batch:
        return Stored((), (), ())
    drafts = [waiting.draft for waiting in batch]
    ids = conversations.of(drafts)
    if ids is None:
        raise NewConversation
    messages = await connection.run_sync(append_messages, drafts, ids, attached, now, applied)
    await _link(connection, messages)
    behind, _ = conversations.falling_behind(ids, messages[-1].id)
    await set_activity(connection, behind, messages[-1].id)
    return Stored(batch, messages, messages, moved=behind)


async def write_mixture(
    connection: AsyncConnection,
    batch: list[Waiting],
    admission: Admission,
    conversations: Conversations,
    authority: Authority,
    now: datetime,
) -> Stored:
    """Store changes of any kinds, in order, with the log's head locked from the beginning on.

    The control facts that stand before the batch are applied before anybody is admitted.
    """
    head, control = await facts.lock_head(connection)
    conversations.check_head(head)
    if control > authority.position:
        known = authority.position
        authority.hand_over_early(await facts.read_controls(connection, known, head), head)
    batch = await conversations.name_receivers(connection, batch)
    drafts, attached = await _admit(
        connection, [w for w in batch if type(w.change) is Draft], admission, now
    )
    admitted = {id(waiting) for waiting in drafts}
    outcomes = await _write_changes(connection, batch, now, head + len(drafts), admission)
    position = head
    positions: list[int] = []  # of the drafts
    made: dict[int, list[Fact]] = {}
    for waiting in batch:
        outcome = outcomes.get(id(waiting))
        if id(waiting) in admitted:
            position += 1
            positions.append(position)
        elif isinstance(outcome, Made) and outcome.facts:
            made[id(waiting)] = [
                Fact(position + number, now, fact.actor_id, fact.audience, fact.body, fact.record)
                for number, fact in enumerate(outcome.facts, 1)
                if fact.body is not None
            ]
            position += len(made[id(waiting)])
    messages: list[StoredMessage] = []
    behind: list[int] = []
    if drafts:
        sent = [waiting.draft for waiting in drafts]
        ids = await conversations.find(connection, sent, now)
        messages = await connection.run_sync(insert_messages, sent, ids, positions, attached, now)
        await _link(connection, messages)
        behind, _ = conversations.falling_behind(ids, position)
        await set_activity(connection, behind, position)
    new = [fact for facts_of_one in made.values() for fact in facts_of_one]
    if new:
        await facts.insert_facts(connection, new)
        whole = {fact.id: fact for fact in await facts.with_records(connection, new)}
        made = {id_: [whole[fact.id] for fact in some] for id_, some in made.items()}
        new = [*whole.values()]
    if position > head:
        last = max((fact.id for fact in new if fact.is_control), default=control)
        await facts.move_head(connection, position, last)
    stored = iter(messages)
    answered: list[tuple[Waiting, Any]] = []
    refused: list[tuple[Waiting, Refused]] = []
    for waiting in batch:
        outcome = outcomes.get(id(waiting))
        if id(waiting) in admitted:
            answered.append((waiting, next(stored)))
        elif isinstance(outcome, Refused):
            refused.append((waiting, outcome))
        elif id(waiting) in outcomes:
            answer = outcome.answer if outcome is not None else None
            answered.append((waiting, answer or next(iter(made.get(id(waiting), ())), None)))
    entries: list[StoredMessage | Fact] = [*messages, *new]
    entries.sort(key=attrgetter("id"))
    return Stored(
        [w for w, _ in answered], [answer for _, answer in answered], entries, refused, behind
    )


async def _write_changes(
    connection: AsyncConnection,
    batch: Sequence[Waiting],
    now: datetime,
    position: int,
    admission: Admission,
) -> dict[int, Outcome]:
    """Write the changes that are no drafts, those of a kind together; return what came of each.

    A change whose author's account has ended is refused with AccountEnded.

    The first fact that they make stands past `position`, where no draft comes after it.
    """
    outcomes: dict[int, Outcome] = {}
    changes = [waiting for waiting in batch if type(waiting.change) is not Draft]
    knows = True
    for kind, group in groupby(changes, key=lambda waiting: type(waiting.change)):
        run = [*group]
        if kind.author:
            ended = await admission.ended(connection, {_author(w.change) for w in run}, knows=knows)
            outcomes |= {id(w): AccountEnded() for w in run if _author(w.change) in ended}
            run = [waiting for waiting in run if _author(waiting.change) not in ended]
            if not run:
                continue
        # What the process knows of accounts is from before the batch.
        knows = knows and not issubclass(kind, AccountChange)
        written = await kind.write_at(
            connection, [waiting.change for waiting in run], now, position
        )
        outcomes |= {id(w): outcome for w, outcome in zip(run, written, strict=True)}
        position += sum(len(outcome.facts) for outcome in written if isinstance(outcome, Made))
    return outcomes


def _author(change: Change) -> int:
    return int(getattr(change, change.author))


async def _link(connection: AsyncConnection, messages: Sequence[StoredMessage]) -> None:
    if links := [(m.id, m.attachment.id) for m in messages if m.attachment is not None]:
        await attachments.link(connection, links)


async def _admit(
    connection: AsyncConnection, batch: list[Waiting], admission: Admission, now: datetime
) -> tuple[list[Waiting], dict[int, StoredAttachment]]:
    """Return the drafts that may be stored, and what they attach, which is kept from the sweep."""
    batch = await admission.admit(connection, batch) if batch else batch
    if refused_replies := await refuse_replies(connection, batch):
        await refuse_new(connection, refused_replies)
        gone = {id(waiting) for waiting, _ in refused_replies}
        batch = [waiting for waiting in batch if id(waiting) not in gone]
    named = {w.draft.attachment_id for w in batch if w.draft.attachment_id is not None}
    if not named:
        return batch, {}
    found = await attachments.find_attachments(connection, named)
    admitted = []
    refused: list[tuple[Waiting, Exception]] = []
    shared: dict[tuple[int, int], bool] = {}
    for waiting in batch:
        refusal = await _refusal_to_attach(connection, waiting.draft, found, shared)
        if refusal is None:
            admitted.append(waiting)
        else:
            refused.append((waiting, refusal))
    if refused:
        await refuse_new(connection, refused)
    sent = {w.draft.attachment_id for w in admitted if w.draft.attachment_id is not None}
    if sent:
        await attachments.mark_sent(connection, sent, now)
    return admitted, found


async def _refusal_to_attach(
    connection: AsyncConnection,
    draft: Draft,
    found: dict[int, StoredAttachment],
    shared: dict[tuple[int, int], bool],
) -> Exception | None:
    if draft.attachment_id is None:
        return None
    attachment = found.get(draft.attachment_id)
    if attachment is None:
        return UnknownAttachment()
    if attachment.owner_id != draft.sender_id:
        # A user may send on what was sent to them.
        key = (attachment.id, draft.sender_id)
        if key not in shared:
            shared[key] = await attachments.is_shared_with(
                connection, *key, broadcasts_after=draft.broadcasts_after
            )
        if not shared[key]:
            return UnknownAttachment()
    if draft.kind not in {None, attachment.kind}:
        return OtherKind(attachment.kind.value)
    return None
