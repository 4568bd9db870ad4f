"""A batch's transaction: what is checked, in which order it is written, and what comes of it."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, facts
from db.log.changes.change import Made, Outcome
from db.log.drafts import Draft, OtherKind, UnknownAttachment, Waiting
from db.log.entries import EVERYTHING, append_entries, insert_at
from db.log.permits import Permits
from db.models import StoredAttachment, StoredMessage
from events.facts import Fact


class Authority(Protocol):
    """What this process knows by control facts: who is blocked, disabled, allowed to broadcast."""

    @property
    def position(self) -> int:
        """Every control fact up to here is known."""

    def hand_over_early(self, facts: Sequence[Fact], upto: int) -> None:
        """Take the control facts past `position`, in order: all there are up to `upto`."""


class Unchecked:
    """The authority of a log that is written without any."""

    position = EVERYTHING

    def hand_over_early(self, facts: Sequence[Fact], upto: int) -> None:
        """Take nothing."""


class Stored(NamedTuple):
    """What a batch came to, once it is committed."""

    batch: Sequence[Waiting]  # those that have an answer now
    answers: Sequence[Any]  # for each: its message or fact, None, or the reason of its refusal
    entries: Sequence[StoredMessage | Fact]  # what was stored, at dense positions


async def write_messages(
    connection: AsyncConnection,
    batch: list[Waiting],
    permits: Permits,
    now: datetime,
    applied: int,
) -> Stored:
    """Store drafts, those that may be stored; the others are answered here.

    Raises Overtaken when control facts past `applied` have been stored.
    """
    batch = await permits.admit(connection, batch)
    batch, attached = await _attach(connection, batch, now)
    if not batch:
        return Stored((), (), ())
    drafts = [waiting.draft for waiting in batch]
    messages = await connection.run_sync(append_entries, drafts, attached, now, applied)
    await _link(connection, messages)
    return Stored(batch, messages, messages)


async def write_mixture(
    connection: AsyncConnection,
    batch: list[Waiting],
    permits: Permits,
    authority: Authority,
    now: datetime,
) -> Stored:
    """Store changes of any kinds, in order, with the log's head locked from the beginning on.

    The control facts that stand before the batch are applied before anybody is admitted.
    """
    head, control = await facts.lock_head(connection)
    if control > authority.position:
        known = authority.position
        authority.hand_over_early(await facts.read_controls(connection, known, head), head)
    drafts = [waiting for waiting in batch if type(waiting.change) is Draft]
    if drafts:
        drafts, attached = await _attach(connection, await permits.admit(connection, drafts), now)
    admitted = {id(waiting) for waiting in drafts}
    outcomes: dict[int, Outcome] = {}
    others = [waiting for waiting in batch if type(waiting.change) is not Draft]
    for kind, group in groupby(others, key=lambda waiting: type(waiting.change)):
        run = [*group]
        written = await kind.write(connection, [waiting.change for waiting in run], now)
        outcomes |= {id(w): outcome for w, outcome in zip(run, written, strict=True)}
    position = head
    placed: dict[int, int] = {}
    made: dict[int, Fact] = {}
    answers: dict[int, Any] = {**outcomes}
    for waiting in batch:
        key = id(waiting)
        outcome = outcomes.get(key)
        if key in admitted:
            position = placed[key] = position + 1
        elif isinstance(outcome, Made):
            if outcome.body is not None:
                position += 1
                made[key] = Fact(position, now, outcome.actor_id, outcome.audience, outcome.body)
            answers[key] = made.get(key) if outcome.answer is None else outcome.answer
    if drafts:
        positions = [placed[id(waiting)] for waiting in drafts]
        messages = await connection.run_sync(
            insert_at, [waiting.draft for waiting in drafts], positions, attached, now
        )
        await _link(connection, messages)
        answers |= {id(w): message for w, message in zip(drafts, messages, strict=True)}
    if made:
        await facts.insert_facts(connection, [*made.values()])
    if position > head:
        last = max((fact.id for fact in made.values() if fact.is_control), default=control)
        await facts.move_head(connection, position, last)
    answered = [waiting for waiting in batch if id(waiting) in answers]
    gained = [answers[id(waiting)] for waiting in answered]
    entries = [
        made.get(id(waiting), answers[id(waiting)])
        for waiting in answered
        if id(waiting) in made or id(waiting) in admitted
    ]
    return Stored(answered, gained, entries)


async def _link(connection: AsyncConnection, messages: Sequence[StoredMessage]) -> None:
    if links := [(m.id, m.attachment.id) for m in messages if m.attachment is not None]:
        await attachments.link(connection, links)


async def _attach(
    connection: AsyncConnection, batch: list[Waiting], now: datetime
) -> tuple[list[Waiting], dict[int, StoredAttachment]]:
    """Keep what the drafts attach from the sweep; refuse those that may not attach it."""
    named = {w.draft.attachment_id for w in batch if w.draft.attachment_id is not None}
    if not named:
        return batch, {}
    found = await attachments.find_attachments(connection, named)
    kept = []
    shared: dict[tuple[int, int], bool] = {}
    for waiting in batch:
        refusal = await _refusal_to_attach(connection, waiting.draft, found, shared)
        if refusal is None:
            kept.append(waiting)
        elif not waiting.outcome.done():
            waiting.outcome.set_exception(refusal)
    sent = {w.draft.attachment_id for w in kept if w.draft.attachment_id is not None}
    if sent:
        await attachments.mark_sent(connection, sent, now)
    return kept, found


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
        # What was sent to somebody is theirs to send on.
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
