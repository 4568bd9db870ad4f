"""Edits and deletions: who may, what is left, and that a retry is still the same message."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select, update
from sqlmodel import col

from db import facts
from db.log.changes.accounts import SetDisabled
from db.log.changes.blocks import ChangeBlock
from db.log.changes.broadcast import SetBroadcasters
from db.models import Message, MessageEdit, MessageKind, StoredMessage
from db.of_messages.edits import EDITS_KEPT
from events.facts import Fact, Members, MessageDeleted, MessageEdited, People
from resolvers import messages
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    ParleyError,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
)
from resolvers.of_messages.edits import delete_message, edit_message, get_edits
from resolvers.people import blocks
from tests.resolvers.conftest import join, running_context


async def send(
    ctx: Context, to: Context | None, content: str = "first", **more: Any
) -> StoredMessage:
    """Send a message."""
    receiver_id = None if to is None else to.user.id
    return await messages.send_message(ctx, receiver_id=receiver_id, content=content, **more)


async def facts_of(ctx: Context) -> list[Fact]:
    """Return the log's facts about messages, in order."""
    async with ctx.read() as connection:
        entries = await facts.read_log(connection, 0, 2**40, 10_000)
    kinds = (MessageEdited, MessageDeleted)
    return [e for e in entries if isinstance(e, Fact) and isinstance(e.body, kinds)]


async def texts(ctx: Context, message: StoredMessage) -> list[str]:
    """Return what the message said before, as the viewer sees it."""
    pair = (ctx.user.id, message.id)
    return [edit.content for edit in (await get_edits(ctx, [pair])).get(pair, ())]


async def refusal(call: Any) -> ParleyError:
    """Return what an operation refuses with."""
    with pytest.raises(ParleyError) as refused:
        await call()
    return refused.value


def with_settings(ctx: Context, **overrides: Any) -> Context:
    """Return the context of a call on a server with other settings."""
    return replace(ctx, settings=ctx.settings.model_copy(update=overrides))


async def test_an_edit_is_what_everybody_reads_and_its_sender_sees_what_was_before(
    ctx: Context,
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    first = await edit_message(alice, message_id=sent.id, content="second")
    edited = await edit_message(alice, message_id=sent.id, content="third 🎉")
    assert sent.created_at < first.edited_at < edited.edited_at  # type: ignore[operator]  # both are set
    assert edited == replace(sent, content="third 🎉", edited_at=edited.edited_at)
    for reader in (alice, bob):
        assert await messages.get_message(reader, sent.id) == edited
        assert (await messages.list_messages(reader, limit=9)).messages == [edited]
    assert await texts(alice, sent) == ["first", "second"]
    assert await texts(bob, sent) == []
    found = await facts_of(ctx)
    assert [fact.body for fact in found] == [
        MessageEdited(sent.id, alice.user.id, sent.conversation_id)
    ] * 2
    assert {fact.audience for fact in found} == {People((alice.user.id, bob.user.id))}
    assert [fact.created_at for fact in found] == [first.edited_at, edited.edited_at]


async def test_facts_of_a_broadcast_and_of_ones_own_notes_name_their_audience(
    ctx: Context,
) -> None:
    alice = await join(ctx)
    everybodys, own = await send(alice, None), await send(alice, alice)
    for message in (everybodys, own):
        await edit_message(alice, message_id=message.id, content="x")
        await delete_message(alice, message_id=message.id)
    found = [fact.audience for fact in await facts_of(ctx)]
    assert found == [Members(1)] * 2 + [People((alice.user.id,))] * 2


async def test_the_same_text_makes_no_fact(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    assert await edit_message(alice, message_id=sent.id, content="first") == sent
    edited = await edit_message(alice, message_id=sent.id, content="second")
    assert await edit_message(alice, message_id=sent.id, content="second") == edited
    assert len(await facts_of(ctx)) == 1
    assert await texts(alice, sent) == ["first"]


async def test_the_kind_of_a_text_is_what_it_is_now(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob, "👍")
    for content, kind in (("👍 fine", MessageKind.TEXT), ("🎉", MessageKind.EMOJI)):
        edited = await edit_message(alice, message_id=sent.id, content=content)
        assert (edited.kind, edited.content) == (kind, content)


async def test_an_edit_is_held_to_the_rules_of_a_send(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    for content, error in (
        ("", BadInput),
        (" \n", BadInput),
        ("a\0b", BadInput),
        ("\ud800", BadInput),
        ("é" * 10_000, PayloadTooLarge),
    ):
        refused = await refusal(lambda: edit_message(alice, message_id=sent.id, content=content))  # noqa: B023  # called at once
        assert type(refused) is error
    assert await messages.get_message(bob, sent.id) == sent
    assert (await edit_message(alice, message_id=sent.id, content="ok")).content == "ok"


async def test_others_and_strangers_are_refused(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    sent, broadcast = await send(alice, bob), await send(alice, None)
    newcomer = await join(ctx)

    async def outcome(caller: Context, id_: int) -> set[tuple[str, str]]:
        refused = [
            await refusal(lambda: edit_message(caller, message_id=id_, content="x")),
            await refusal(lambda: delete_message(caller, message_id=id_)),
        ]
        return {(error.code, error.message) for error in refused}

    missing = {("NOT_FOUND", "Message not found")}
    assert await outcome(alice, 2**40) == missing
    for id_ in (2**63 - 1, sent.id):
        assert await outcome(stranger, id_) == missing
    for caller, id_ in ((bob, sent.id), (bob, broadcast.id), (stranger, broadcast.id)):
        assert await outcome(caller, id_) == {("FORBIDDEN", "The message is another user's")}
    # Hidden, since it is older than the account.
    assert await outcome(newcomer, broadcast.id) == missing
    for call in (
        lambda: edit_message(ctx, message_id=sent.id, content=""),
        lambda: delete_message(ctx, message_id=sent.id),
    ):
        assert type(await refusal(call)) is Unauthenticated
    assert await messages.get_message(bob, sent.id) == sent
    assert await facts_of(ctx) == []


async def test_a_sender_whose_account_is_disabled_changes_nothing(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    # In one batch: the account is disabled first.
    outcomes = await asyncio.gather(
        ctx.log.append(SetDisabled(alice.user.id, True)),
        edit_message(alice, message_id=sent.id, content="x"),
        delete_message(alice, message_id=sent.id),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Fact, Unauthenticated, Unauthenticated]


async def test_what_is_too_old_stays(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    async with ctx.write() as connection:
        await connection.execute(
            update(Message).values(created_at=datetime.now(UTC) - timedelta(seconds=60))
        )
    late, early = (
        with_settings(alice, edit_seconds=seconds, delete_seconds=seconds) for seconds in (50, 70)
    )
    for call in (
        lambda: edit_message(late, message_id=sent.id, content="x"),
        lambda: delete_message(late, message_id=sent.id),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.message) == (
            "FORBIDDEN",
            "The message is older than 50 seconds",
        )
    await edit_message(early, message_id=sent.id, content="x")
    deleted = await delete_message(early, message_id=sent.id)
    # Again: it is so already, however late.
    assert await delete_message(late, message_id=sent.id) == deleted


async def test_a_deletion_leaves_a_tombstone(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob, "👍")
    edited = await edit_message(alice, message_id=sent.id, content="🎉")
    deleted = await delete_message(alice, message_id=sent.id)
    assert deleted == replace(edited, content="", deleted_at=deleted.deleted_at)
    assert deleted.kind is MessageKind.EMOJI
    for reader in (alice, bob):
        assert await messages.get_message(reader, sent.id) == deleted
        assert (await messages.list_messages(reader, limit=9)).messages == [deleted]
    assert await texts(alice, sent) == []
    async with ctx.read() as connection:
        kept = await connection.execute(select(func.count()).select_from(MessageEdit))
        assert kept.scalar_one() == 0
        content = await connection.execute(select(col(Message.content)))
        assert content.scalar_one() == ""
    assert await delete_message(alice, message_id=sent.id) == deleted
    assert len(await facts_of(ctx)) == 2
    refused = await refusal(lambda: edit_message(alice, message_id=sent.id, content="x"))
    assert (type(refused), refused.message) == (Conflict, "The message is deleted")


async def test_a_retry_answers_the_message_as_it_is_now(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)

    async def retry(content: str = "first", **more: Any) -> StoredMessage:
        return await send(alice, bob, content, **{"client_message_id": "key", **more})

    sent = await retry()
    edited = await edit_message(alice, message_id=sent.id, content="👍")
    for kind in (None, MessageKind.TEXT):
        assert await retry(kind=kind) == edited
    # Retries of one batch, too.
    assert await asyncio.gather(*(retry() for _ in range(5))) == [edited] * 5
    for other in ({"content": "👍"}, {"content": "second"}):
        assert type(await refusal(lambda: retry(**other))) is Conflict  # noqa: B023  # at once
    await edit_message(alice, message_id=sent.id, content="second")
    deleted = await delete_message(alice, message_id=sent.id)
    assert await retry() == deleted
    outcomes = await asyncio.gather(retry(), retry("second"), retry(), return_exceptions=True)
    assert [outcomes[0], type(outcomes[1]), outcomes[2]] == [deleted, Conflict, deleted]
    for content in ("👍", "second", ""):
        with pytest.raises((Conflict, BadInput)):
            await retry(content)
    # Where the sender may not send any more, what was stored is answered all the same.
    await blocks.block_user(bob, alice.user.id)
    assert await retry() == deleted
    assert len(await facts_of(ctx)) == 3


async def test_a_message_that_says_again_what_was_sent_is_retried_as_before(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob, client_message_id="key")
    await edit_message(alice, message_id=sent.id, content="other")
    back = await edit_message(alice, message_id=sent.id, content="first")
    assert await send(alice, bob, client_message_id="key") == back
    call = lambda: send(alice, bob, "other", client_message_id="key")  # noqa: E731
    assert type(await refusal(call)) is Conflict


async def test_a_blocked_sender_may_delete_but_not_edit(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    await blocks.block_user(bob, alice.user.id)
    refused = await refusal(lambda: edit_message(alice, message_id=sent.id, content="abuse"))
    as_sent = await refusal(lambda: send(alice, bob))
    assert (refused.code, refused.message) == (as_sent.code, as_sent.message)
    assert await messages.get_message(bob, sent.id) == sent
    # In one batch with the block, too.
    await blocks.unblock_user(bob, alice.user.id)
    outcomes = await asyncio.gather(
        edit_message(alice, message_id=sent.id, content="before"),
        ctx.log.append(ChangeBlock(bob.user.id, alice.user.id, True, 9)),
        edit_message(alice, message_id=sent.id, content="after"),
        return_exceptions=True,
    )
    assert type(outcomes[2]) is NotFound
    deleted = await delete_message(alice, message_id=sent.id)
    assert await messages.get_message(bob, sent.id) == deleted


async def test_who_may_not_write_to_everybody_edits_no_broadcast(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    direct, broadcast = await send(alice, bob), await send(alice, None)
    for allowed in ("admins", "off"):
        await commit(ctx, SetBroadcasters(allowed))
        refused = await refusal(lambda: edit_message(alice, message_id=broadcast.id, content="x"))
        assert type(refused) is Forbidden
    await edit_message(alice, message_id=direct.id, content="x")
    assert (await delete_message(alice, message_id=broadcast.id)).content == ""


async def test_edits_of_a_batch_are_as_if_each_came_alone(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = [await send(alice, bob, str(number)) for number in range(8)]
    calls = [
        edit_message(alice, message_id=m.id, content=f"{m.content}{turn}")
        for turn in "ab"
        for m in sent
    ]
    calls += [delete_message(alice, message_id=m.id) for m in sent[:4]]
    calls += [edit_message(alice, message_id=m.id, content="late") for m in sent[3:5]]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(o) for o in outcomes] == [StoredMessage] * 20 + [Conflict, StoredMessage]
    assert [o.content for o in outcomes[:16]] == [f"{m}{t}" for t in "ab" for m in range(8)]  # type: ignore[union-attr]  # messages
    now = (await messages.list_messages(bob, limit=9)).messages
    assert [m.content for m in now] == ["", "", "", "", "late", "5b", "6b", "7b"]
    assert await texts(alice, sent[4]) == ["4", "4a", "4b"]
    assert await texts(alice, sent[5]) == ["5", "5a"]
    assert await texts(alice, sent[0]) == []
    assert len(await facts_of(ctx)) == 21


async def test_large_edits_of_a_batch_fit_into_the_databases_packets(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    ids = [(await send(alice, bob, str(number))).id for number in range(40)]
    content = "'" * 16_000
    edited = await asyncio.gather(
        *(edit_message(alice, message_id=id_, content=f"{id_}{content}") for id_ in ids * 2)
    )
    assert {m.content for m in edited} == {f"{id_}{content}" for id_ in ids}


async def test_what_was_sent_and_the_latest_texts_are_kept(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob, "0")
    last = EDITS_KEPT + 5
    for number in range(1, last + 1):
        await edit_message(alice, message_id=sent.id, content=str(number))
    kept = await texts(alice, sent)
    assert kept == ["0", *map(str, range(last - EDITS_KEPT + 1, last))]
    assert len(kept) == EDITS_KEPT


async def test_a_replay_from_memory_shows_messages_as_they_are_now(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    kept, edited, deleted = [await send(alice, bob, text) for text in ("kept", "old", "secret")]
    before = ctx.feed.recent(bob.user.id, kept.id - 1, deleted.id)
    assert before == [kept, edited, deleted]
    edited = await edit_message(alice, message_id=edited.id, content="new")
    deleted = await delete_message(alice, message_id=deleted.id)
    watch = messages.watch_messages(bob, after=kept.id - 1)
    assert [await anext(watch) for _ in range(3)] == [kept, edited, deleted]
    await watch.aclose()


async def test_edits_and_deletions_count_as_sends(database_url: str, tmp_path: Any) -> None:
    async with running_context(
        tmp_path, database_url=database_url, limits=True, sends_per_user="4/100seconds"
    ) as ctx:
        alice = await join(ctx)
        sent = await send(alice, alice)
        for turn in range(2):
            await edit_message(alice, message_id=sent.id, content=f"{turn}")
        await delete_message(alice, message_id=sent.id)
        for call in (
            lambda: edit_message(alice, message_id=sent.id, content="x"),
            lambda: delete_message(alice, message_id=sent.id),
        ):
            refused = await refusal(call)
            assert type(refused) is RateLimited
            assert refused.retry_after_ms
