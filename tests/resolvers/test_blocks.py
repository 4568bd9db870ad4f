"""Blocks: who is kept apart, from what, at once and both ways; and all is as before afterwards."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import text

from db.models import StoredMessage, StoredUser
from events.facts import PresenceChanged
from resolvers import messages
from resolvers.attachments.files import get_attachment
from resolvers.context import Context
from resolvers.errors import BadInput, Forbidden, NotFound, ParleyError, Unauthenticated
from resolvers.people import blocks, users
from resolvers.people.presence import is_seen_online, last_seen_at, watch_presence
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_attachments import upload
from tests.support.presence import connected
from tests.support.statements import WATCHED, statements_sent

NOBODY = 2**40


async def _refusal(call: Awaitable[object]) -> tuple[type[ParleyError], str]:
    with pytest.raises(ParleyError) as refused:
        await call
    return type(refused.value), refused.value.message


async def _send(
    ctx: Context, to: int | None, content: str = "hello", key: str | None = None
) -> StoredMessage:
    return await messages.send_message(ctx, receiver_id=to, content=content, client_message_id=key)


async def _ids(ctx: Context) -> list[int]:
    return [message.id for message in (await messages.list_messages(ctx, limit=200)).messages]


async def test_a_strangers_call_is_refused_before_anything_else(ctx: Context) -> None:
    for call in (blocks.block_user, blocks.unblock_user):
        with pytest.raises(Unauthenticated):
            await call(ctx, NOBODY)
    with pytest.raises(Unauthenticated):
        await blocks.list_blocked_users(ctx)


async def test_whom_one_has_blocked_is_listed_the_latest_first_and_to_nobody_else(
    ctx: Context,
) -> None:
    alice, bob, carol = await join(ctx, "A"), await join(ctx, "B"), await join(ctx, "C")
    assert (await blocks.block_user(alice, bob.user.id)).id == bob.user.id
    assert (await blocks.block_user(alice, carol.user.id)).id == carol.user.id
    assert (await blocks.block_user(alice, bob.user.id)).id == bob.user.id  # again
    listed = [user.id for user in await blocks.list_blocked_users(alice)]
    assert listed == [carol.user.id, bob.user.id]
    assert [*await blocks.list_blocked_users(bob)] == []
    assert (await blocks.unblock_user(alice, bob.user.id)).id == bob.user.id
    assert (await blocks.unblock_user(alice, bob.user.id)).id == bob.user.id
    assert [user.id for user in await blocks.list_blocked_users(alice)] == [carol.user.id]


async def test_what_cannot_be_blocked_is_refused(tmp_path: Path) -> None:
    async with running_context(tmp_path, max_blocked_users=2) as ctx:
        alice = await join(ctx)
        others = [await join(ctx) for _ in range(3)]
        with pytest.raises(BadInput):
            await blocks.block_user(alice, alice.user.id)
        for operation in (blocks.block_user, blocks.unblock_user):
            assert await _refusal(operation(alice, NOBODY)) == (NotFound, "User not found")
        for other in others[:2]:
            await blocks.block_user(alice, other.user.id)
        with pytest.raises(Forbidden, match="2 users"):
            await blocks.block_user(alice, others[2].user.id)
        await blocks.block_user(alice, others[1].user.id)  # known already
        await blocks.unblock_user(alice, others[0].user.id)
        await blocks.block_user(alice, others[2].user.id)


async def test_neither_of_the_two_can_write_to_the_other_until_the_block_ends(
    ctx: Context,
) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    before = await _send(bob, alice.user.id, "before")
    await blocks.block_user(alice, bob.user.id)
    unknown = await _refusal(_send(bob, NOBODY))
    assert unknown == (NotFound, "Receiver not found")
    assert await _refusal(_send(bob, alice.user.id)) == unknown
    assert await _refusal(_send(alice, bob.user.id)) == unknown
    assert (await _send(bob, carol.user.id)).receiver_id == carol.user.id
    for someone in (alice, bob):
        assert before.id in await _ids(someone)
    await blocks.unblock_user(alice, bob.user.id)
    assert (await _send(bob, alice.user.id)).receiver_id == alice.user.id
    assert (await _send(alice, bob.user.id)).receiver_id == bob.user.id


async def test_two_who_block_each_other_are_apart_until_both_have_ended_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await asyncio.gather(
        blocks.block_user(alice, bob.user.id), blocks.block_user(bob, alice.user.id)
    )
    await blocks.unblock_user(alice, bob.user.id)
    with pytest.raises(NotFound):
        await _send(alice, bob.user.id)
    await blocks.unblock_user(bob, alice.user.id)
    await _send(alice, bob.user.id)


async def test_a_retry_of_what_was_stored_before_the_block_answers_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    first = await _send(bob, alice.user.id, "x", "key")
    await blocks.block_user(alice, bob.user.id)
    assert await _send(bob, alice.user.id, "x", "key") == first
    unknown = await _refusal(_send(bob, NOBODY, "x", "key"))
    # Another message under it does not tell, by a CONFLICT, that the receiver exists.
    assert await _refusal(_send(bob, alice.user.id, "y", "key")) == unknown


async def test_the_same_statements_refuse_somebody_apart_and_nobody(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await _send(bob, alice.user.id)  # the log knows both
    await blocks.block_user(alice, bob.user.id)
    for key in (None, "key"):
        heard = []
        for receiver in (alice.user.id, NOBODY):
            with statements_sent(here=True) as sent, pytest.raises(NotFound):
                await _send(bob, receiver, "x", key)
            # Without ids, and what a process looks at now and then.
            heard.append(
                [
                    re.sub(r"\b\d+\b", "N", statement)
                    for statement, _ in sent
                    if not any(part in statement for part in WATCHED)
                ]
            )
        assert heard[0] == heard[1]
        assert len(heard[0]) == (1 if key is None else 2)


async def test_nothing_is_stored_after_a_block_is_acknowledged(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    outcomes: list[asyncio.Task[StoredMessage]] = []

    async def flood() -> None:
        while True:
            outcomes.extend(asyncio.create_task(_send(bob, alice.user.id)) for _ in range(20))
            await asyncio.sleep(0)
            await asyncio.wait(outcomes[-20:], return_when=asyncio.FIRST_COMPLETED)

    for _ in range(5):
        flooding = asyncio.create_task(flood())
        await until(lambda: bool(ctx.feed.position) and any(o.done() for o in outcomes), 10)
        await blocks.block_user(alice, bob.user.id)
        head = ctx.feed.position
        await asyncio.sleep(0.05)
        flooding.cancel()
        done, _ = await asyncio.wait(outcomes)
        ends = [task.exception() for task in done]
        assert any(isinstance(end, NotFound) for end in ends)
        assert all(end is None or isinstance(end, NotFound) for end in ends)
        assert ctx.feed.position == head
        outcomes.clear()
        await blocks.unblock_user(alice, bob.user.id)


Watch = AsyncGenerator[StoredMessage, None]


async def _until(watch: Watch, last: int) -> list[int]:
    seen = []
    async with asyncio.timeout(20):
        async for message in watch:
            seen.append(message.id)
            if message.id == last:
                return seen
    raise AssertionError(seen)


async def test_neither_sees_what_the_other_writes_to_everybody(ctx: Context) -> None:
    alice, bob, carol = await join(ctx, "A"), await join(ctx, "B"), await join(ctx, "C")
    start = ctx.feed.position
    of = {ctx_.user.id: [await _send(ctx_, None)] for ctx_ in (alice, bob, carol)}
    async with (
        aclosing(messages.watch_messages(alice, after=start)) as live_alice,
        aclosing(messages.watch_messages(bob, after=start)) as live_bob,
        aclosing(messages.watch_messages(carol, after=start)) as live_carol,
    ):
        lives = {
            alice.user.id: live_alice,
            bob.user.id: live_bob,
            carol.user.id: live_carol,
        }
        for live in lives.values():
            assert len(await _until(live, of[carol.user.id][0].id)) == 3
        await blocks.block_user(alice, bob.user.id)
        for ctx_ in (alice, bob, carol):
            of[ctx_.user.id].append(await _send(ctx_, None))
        last = await _send(carol, None)
        sent = {id_: [message.id for message in sent] for id_, sent in of.items()}
        for viewer, other in ((alice, bob), (bob, alice), (carol, None)):
            hidden = [] if other is None else sent[other.user.id]
            visible = sorted({id_ for ids in sent.values() for id_ in ids} - {*hidden})
            # Live, only what came after the block is hidden; in history, all of it.
            assert await _until(lives[viewer.user.id], last.id) == [
                *(id_ for id_ in visible if id_ > sent[carol.user.id][0]),
                last.id,
            ]
            assert [id_ for id_ in await _ids(viewer) if id_ > start] == [*visible, last.id]
            async with aclosing(messages.watch_messages(viewer, after=start)) as replay:
                assert await _until(replay, last.id) == [*visible, last.id]
            streamed = [m.id async for page in messages.stream_messages(viewer) for m in page]
            assert [id_ for id_ in streamed[::-1] if id_ > start] == [*visible, last.id]
            for id_ in hidden:
                missing = await _refusal(messages.get_message(viewer, NOBODY))
                assert await _refusal(messages.get_message(viewer, id_)) == missing
            for id_ in visible:
                assert (await messages.get_message(viewer, id_)).id == id_
        await blocks.unblock_user(alice, bob.user.id)
        everything = sorted(id_ for ids in sent.values() for id_ in ids)
        assert [id_ for id_ in await _ids(alice) if id_ > start] == [*everything, last.id]


async def test_a_page_is_full_whatever_is_hidden(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    wanted = []
    for number in range(30):
        wanted.append((await _send(carol, None, f"{number}")).id)
        for _ in range(3):
            await _send(bob, None)
    await blocks.block_user(bob, alice.user.id)  # whoever it was that blocked
    page = await messages.list_messages(alice, limit=10)
    assert [message.id for message in page.messages] == wanted[-10:]
    assert page.has_older
    page = await messages.list_messages(alice, before=wanted[10], limit=10)
    assert [message.id for message in page.messages] == wanted[:10]


async def test_a_file_of_a_hidden_broadcast_is_hidden_and_not_to_be_sent_on(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    hidden, shared = await upload(bob, b"hidden"), await upload(bob, b"shared")
    for kept in (hidden, shared):
        await messages.send_message(
            bob, receiver_id=None, content="", kind=None, attachment_id=kept.id
        )
    await messages.send_message(
        bob, receiver_id=alice.user.id, content="", kind=None, attachment_id=shared.id
    )

    async def send_on(sender: Context, attachment_id: int) -> StoredMessage:
        return await messages.send_message(
            sender, receiver_id=carol.user.id, content="", kind=None, attachment_id=attachment_id
        )

    await get_attachment(alice, hidden.id)
    await blocks.block_user(alice, bob.user.id)
    for call in (get_attachment, send_on):
        missing = await _refusal(call(alice, NOBODY))
        assert await _refusal(call(alice, hidden.id)) == missing
        await call(carol, hidden.id)
        # It came to her directly too, and what was written before stays.
        await call(alice, shared.id)
    await blocks.unblock_user(alice, bob.user.id)
    await send_on(alice, hidden.id)


Changes = AsyncGenerator[Sequence[PresenceChanged], None]


async def _next(watch: Changes) -> list[tuple[int, bool]]:
    async with asyncio.timeout(10):
        changes = await anext(watch)
    assert all(change.last_seen_at is None for change in changes if change.online)
    return [(change.user_id, change.online) for change in changes]


async def test_each_looks_offline_to_the_other(tmp_path: Path) -> None:
    async with running_context(tmp_path, presence_grace_seconds=0.02) as ctx:
        alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
        a, b, c = alice.user.id, bob.user.id, carol.user.id
        with connected(ctx.presence, b):
            pass
        await until(lambda: not ctx.presence.online_ids, 5)
        assert last_seen_at(alice, await _record(alice, b)) is not None
        async with (
            aclosing(watch_presence(alice)) as of_alice,
            aclosing(watch_presence(bob)) as of_bob,
            aclosing(watch_presence(carol)) as of_carol,
        ):
            watches = (of_alice, of_bob, of_carol)
            for watch in watches:
                assert await _next(watch) == []
            with connected(ctx.presence, a), connected(ctx.presence, b):
                for watch in watches:
                    assert await _next(watch) == [(a, True), (b, True)]
                await blocks.block_user(alice, b)
                assert await _next(of_alice) == [(b, False)]
                assert await _next(of_bob) == [(a, False)]
                for viewer, other in ((alice, bob), (bob, alice)):
                    assert not is_seen_online(viewer, other.user.id)
                    assert last_seen_at(viewer, await _record(viewer, other.user.id)) is None
                    listed = [user.id for user in await users.list_online_users(viewer)]
                    assert listed == [viewer.user.id]
                    async with aclosing(watch_presence(viewer)) as watch:
                        assert await _next(watch) == [(viewer.user.id, True)]
                assert [is_seen_online(carol, user_id) for user_id in (a, b)] == [True, True]
            # They leave: to the other they have left already.
            assert await _next(of_alice) == [(a, False)]
            assert await _next(of_bob) == [(b, False)]
            assert sorted(await _next(of_carol)) == sorted([(a, False), (b, False)])
            assert last_seen_at(alice, await _record(alice, b)) is None
            assert last_seen_at(carol, await _record(carol, b)) is not None
            with connected(ctx.presence, b), connected(ctx.presence, c):
                assert await _next(of_alice) == [(c, True)]
                assert await _next(of_bob) == [(b, True), (c, True)]
                await blocks.unblock_user(alice, b)
                assert await _next(of_alice) == [(b, True)]
                await blocks.unblock_user(alice, b)
                await blocks.block_user(bob, a)
                assert await _next(of_alice) == [(b, False)]
            assert sorted(await _next(of_alice)) == [(c, False)]
        assert last_seen_at(alice, await _record(alice, b)) is None


async def _record(ctx: Context, user_id: int) -> StoredUser:
    return (await users.get_users(ctx, [user_id]))[user_id]


async def test_blocks_outlive_the_server(tmp_path: Path) -> None:
    async with running_context(tmp_path) as ctx:
        alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
        await blocks.block_user(alice, bob.user.id)
        await blocks.block_user(carol, bob.user.id)
    async with running_context(tmp_path) as ctx:
        again = [ctx.as_viewer(someone.user) for someone in (alice, bob, carol)]
        with pytest.raises(NotFound):
            await _send(again[1], alice.user.id)
        with pytest.raises(NotFound):
            await _send(again[2], bob.user.id)
        await _send(again[0], carol.user.id)


async def test_changes_at_once_end_as_they_are_stored(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    operations: list[Callable[[Context, int], Awaitable[object]]] = [
        blocks.block_user,
        blocks.unblock_user,
    ]
    for round_ in range(4):
        await asyncio.gather(*(operations[(n + round_) % 2](alice, bob.user.id) for n in range(10)))
        stored = bool(await blocks.list_blocked_users(alice))
        assert ctx.blocks.are_apart(alice.user.id, bob.user.id) is stored
        assert ctx.blocks.has_blocked(alice.user.id, bob.user.id) is stored
    await blocks.unblock_user(alice, bob.user.id)
    assert not ctx.blocks.apart


async def test_a_block_whose_caller_has_gone_holds(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    for wait in range(0, 30, 3):
        call = asyncio.create_task(blocks.block_user(alice, bob.user.id))
        await asyncio.sleep(wait / 10_000)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        pair = alice.user.id, bob.user.id
        async with asyncio.timeout(10):  # the block may be stored after the first look
            while ctx.blocks.are_apart(*pair) is not bool(await blocks.list_blocked_users(alice)):  # noqa: ASYNC110  # no event says so
                await asyncio.sleep(0)
        await blocks.unblock_user(alice, bob.user.id)


async def test_who_may_write_to_everybody_is_a_setting(tmp_path: Path) -> None:
    key = {"content": "to all", "key": "key"}
    async with running_context(tmp_path) as ctx:
        alice, bob = await join(ctx), await join(ctx)
        first = await _send(alice, None, **key)
        async with ctx.write() as connection:
            await connection.execute(
                text("UPDATE users SET is_admin = :yes WHERE id = :id"),
                {"yes": True, "id": bob.user.id},
            )
    for setting, allowed in (("admins", True), ("off", False)):
        async with running_context(tmp_path, broadcast=setting) as ctx:
            alice, bob = ctx.as_viewer(alice.user), ctx.as_viewer(bob.user)
            kind, message = await _refusal(_send(alice, None))
            assert kind is Forbidden
            assert "everybody" in message
            # What was stored when it was allowed is answered.
            assert await _send(alice, None, **key) == first
            await _send(alice, bob.user.id)
            if allowed:
                assert (await _send(bob, None)).receiver_id is None
            else:
                assert (await _refusal(_send(bob, None)))[0] is Forbidden
