"""Sending, reading back and watching: every message once, in order, only to whom it is for."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from db.models import MessageKind, StoredMessage
from events.hub import EVERYBODY
from events.subscription import SubscriberTooSlow
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, NotFound, RateLimited, Unauthenticated
from tests.resolvers.conftest import join

Watch = AsyncGenerator[StoredMessage, None]


async def _take(watch: Watch, number: int) -> list[StoredMessage]:
    async with asyncio.timeout(20):
        return [await anext(watch) for _ in range(number)]


def _with(ctx: Context, **overrides: object) -> Context:
    return replace(ctx, settings=ctx.settings.model_copy(update=overrides))


async def _send(ctx: Context, number: int, to: Context | None = None) -> list[StoredMessage]:
    receiver_id = None if to is None else to.user.id
    return await asyncio.gather(
        *(
            messages.send_message(ctx, receiver_id=receiver_id, content=f"{part}")
            for part in range(number)
        )
    )


async def test_a_strangers_call_is_refused_before_anything_else(ctx: Context) -> None:
    calls: list[Callable[[], object]] = [
        lambda: messages.send_message(ctx, receiver_id=None, content=""),
        lambda: messages.get_message(ctx, 1),
        lambda: messages.list_messages(ctx, limit=-1),
        lambda: anext(messages.stream_messages(ctx)),
        lambda: anext(messages.watch_messages(ctx)),
        lambda: anext(messages.watch_messages(ctx, after=10**9)),
    ]
    for call in calls:
        with pytest.raises(Unauthenticated):
            await call()  # type: ignore[misc]  # each is awaitable, of its own kind


async def test_hidden_and_missing_messages_get_the_same_answer(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    [sent] = await _send(alice, 1, bob)
    assert await messages.get_message(alice, sent.id) == sent
    assert await messages.get_message(bob, sent.id) == sent
    answers = []
    for id_ in (sent.id, sent.id + 1000):
        with pytest.raises(NotFound) as refused:
            await messages.get_message(stranger, id_)
        answers.append(refused.value.message)
    assert len(set(answers)) == 1


async def test_each_refusal_of_the_log_has_its_error(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)

    async def send(content: str, to: int, key: str | None = None) -> StoredMessage:
        return await messages.send_message(
            alice, receiver_id=to, content=content, client_message_id=key
        )

    first = await send("x", bob.user.id, "key")
    assert await send("x", bob.user.id, "key") == first
    with pytest.raises(Conflict):
        await send("y", bob.user.id, "key")
    with pytest.raises(Conflict):
        await send("x", alice.user.id, "key")
    with pytest.raises(NotFound):
        await send("x", 2**40)
    ctx.log._max_pending = 1
    outcomes = await asyncio.gather(
        *(send("x", bob.user.id) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoredMessage, RateLimited, RateLimited]


async def test_pages_say_whether_there_is_more_at_either_end(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    sent = await _send(alice, 10, bob)
    await _send(stranger, 3)

    async def page(**range_: int | bool) -> tuple[list[int], bool, bool]:
        found = await messages.list_messages(bob, with_id=alice.user.id, **range_)  # type: ignore[arg-type]  # of the right type each
        return [sent.index(message) for message in found.messages], *found[1:]

    assert await page(limit=3) == ([7, 8, 9], True, False)
    assert await page(limit=10) == ([*range(10)], False, False)
    assert await page(limit=3, before=sent[7].id) == ([4, 5, 6], True, True)
    assert await page(limit=3, before=sent[2].id) == ([0, 1], False, True)
    assert await page(limit=3, newest=False) == ([0, 1, 2], False, True)
    assert await page(limit=3, newest=False, after=sent[6].id) == ([7, 8, 9], True, False)
    assert await page(limit=0) == ([], True, False)
    assert len((await messages.list_messages(bob, limit=200)).messages) == 13
    for limit in (-1, ctx.settings.max_page_size + 1):
        with pytest.raises(BadInput):
            await page(limit=limit)
    with pytest.raises(NotFound):
        await messages.list_messages(bob, with_id=2**40, limit=3)
    assert (await messages.list_messages(bob, with_id=stranger.user.id, limit=3)).messages == []


async def test_a_stream_gives_all_of_it_newest_first(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PAGE", 4)
    alice, bob = await join(ctx), await join(ctx)
    sent = await _send(alice, 10, bob) + await _send(bob, 2)

    async def stream(**bounds: int) -> list[StoredMessage]:
        pages = [page async for page in messages.stream_messages(bob, **bounds)]
        assert all(0 < len(page) <= 4 for page in pages)
        return [message for page in pages for message in page]

    assert await stream() == sent[::-1]
    assert await stream(limit=5) == sent[:-6:-1]
    assert await stream(limit=0) == []
    assert await stream(before=sent[3].id) == sent[2::-1]
    assert await stream(with_id=alice.user.id) == sent[9::-1]


async def test_a_watch_gives_what_comes_and_only_to_whom_it_is_for(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    async with (
        aclosing(messages.watch_messages(alice, after=0)) as to_alice,
        aclosing(messages.watch_messages(bob, after=0)) as to_bob,
        aclosing(messages.watch_messages(stranger, after=0)) as to_stranger,
    ):
        watching = [asyncio.create_task(_take(watch, 4)) for watch in (to_alice, to_bob)]
        other = asyncio.create_task(_take(to_stranger, 1))
        direct = await _send(alice, 3, bob)
        broadcast = await _send(bob, 1)
        assert await asyncio.gather(*watching) == [direct + broadcast] * 2
        assert await other == broadcast


async def test_a_watch_replays_and_goes_live_without_gap_or_repeat_under_load(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PAGE", 7)
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    await _send(alice, 60, bob)

    async def talk(speaker: Context, to: Context | None) -> None:
        for _ in range(15):
            await _send(speaker, 4, to)

    async def watch_from(after: int, pauses: int) -> list[int]:
        seen: list[int] = []
        while True:
            async with aclosing(messages.watch_messages(bob, after=after)) as watch:
                # Leaves every so often and resumes, as a client on a train does.
                for _ in range(23):
                    message = await anext(watch)
                    after = message.id
                    seen.append(after)
                    if message.content == "the end":
                        return seen
                    for _ in range(pauses):
                        await asyncio.sleep(0)

    async with asyncio.timeout(40):
        watching = [asyncio.create_task(watch_from(0, pauses)) for pauses in (0, 1, 5, 20)]
        await asyncio.gather(talk(alice, bob), talk(bob, alice), talk(stranger, None))
        await talk(alice, stranger)
        await messages.send_message(alice, receiver_id=bob.user.id, content="the end")
        seen = await asyncio.gather(*watching)
    visible = [page async for page in messages.stream_messages(bob)]
    wanted = [message.id for page in visible[::-1] for message in page[::-1]]
    assert len(wanted) == 60 + 3 * 60 + 1
    assert seen == [wanted] * 4
    assert not ctx.hub.sinks_at(EVERYBODY)


async def test_what_overflows_during_a_replay_is_replayed_too(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PAGE", 5)
    alice, bob = await join(ctx), await join(ctx)
    narrow = _with(bob, max_queued_messages=3)
    sent = await _send(alice, 10, bob)
    async with aclosing(messages.watch_messages(narrow, after=0)) as watch:
        seen = await _take(watch, 2)
        # More than the queue holds, while the reader is still in the past; twice.
        sent += await _send(alice, 20, bob)
        seen += await _take(watch, 15)
        sent += await _send(alice, 20, bob)
        seen += await _take(watch, 33)
        assert seen == sent
        live = asyncio.create_task(_take(watch, 1))
        assert await _send(alice, 1, bob) == await live
    assert not ctx.hub.sinks_at(EVERYBODY)


async def test_a_reader_too_slow_for_what_is_live_is_told_and_can_resume(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    narrow = _with(bob, max_queued_messages=3)
    [first] = await _send(alice, 1, bob)
    async with aclosing(messages.watch_messages(narrow, after=0)) as watch:
        assert await _take(watch, 1) == [first]
        going_live = asyncio.create_task(_take(watch, 1))
        [second] = await _send(alice, 1, bob)
        assert await going_live == [second]
        missed = await _send(alice, 4, bob)
        with pytest.raises(SubscriberTooSlow):
            await _take(watch, 4)
    assert not ctx.hub.sinks_at(EVERYBODY)
    async with aclosing(messages.watch_messages(narrow, after=second.id)) as watch:
        assert await _take(watch, 4) == missed


@pytest.mark.parametrize("end", ["close", "error", "cancel live", "cancel replay"])
async def test_a_watch_leaves_nothing_behind_however_it_ends(ctx: Context, end: str) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await _send(alice, 3, bob)
    watch = messages.watch_messages(bob, after=0)
    await _take(watch, 1)
    assert ctx.hub.sinks_at(EVERYBODY)
    if end == "close":
        await watch.aclose()
    elif end == "error":
        with pytest.raises(ZeroDivisionError):
            await watch.athrow(ZeroDivisionError())
    else:
        reader = asyncio.create_task(_take(watch, 9))
        for _ in range(0 if end == "cancel replay" else 50):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await watch.aclose()
    assert not ctx.hub.sinks_at(EVERYBODY)


async def test_a_place_ahead_of_the_log_is_refused(ctx: Context) -> None:
    alice = await join(ctx)
    [last] = await _send(alice, 1)
    with pytest.raises(BadInput, match="ahead of the log"):
        await anext(messages.watch_messages(alice, after=last.id + 1))
    watch = messages.watch_messages(alice, after=last.id)
    waiting = asyncio.create_task(_take(watch, 1))
    assert await _send(alice, 1) == await waiting
    await watch.aclose()


async def test_more_watchers_than_connections_all_hear(ctx: Context) -> None:
    alice = await join(ctx)
    watches = [messages.watch_messages(alice, after=0) for _ in range(60)]
    waiting = [asyncio.create_task(_take(watch, 1)) for watch in watches]
    sent = await messages.send_message(
        alice, receiver_id=None, content="🎉", kind=MessageKind.EMOJI
    )
    assert await asyncio.gather(*waiting) == [[sent]] * 60
    for watch in watches:
        await watch.aclose()
    assert not ctx.hub.sinks_at(EVERYBODY)
