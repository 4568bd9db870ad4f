"""What needs no task on a socket: sends, and subscriptions that have caught up."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.models import StoredMessage
from resolvers.context import Context
from resolvers.messages import send_message
from schema.transports.protocol import CloseCode
from tests.resolvers.conftest import running_context
from tests.resolvers.people import Person
from tests.schema.line import Line, open_line, until

SEND = "mutation($c: String, $to: ID) { sendMessage(content: $c, receiverId: $to) { content } }"
ME = "{ me { __typename } }"
LISTEN = "subscription($after: ID) { messageAdded(after: $after) { content } }"
SENDERS = "subscription { messageAdded { content sender { displayName } } }"
ENOUGH = 150  # more than may be in flight


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    """A server; a queue holds five."""
    async with running_context(tmp_path, max_queued_messages=5) as ctx:
        yield ctx


@pytest.fixture
async def person(ctx: Context) -> Person:
    """Somebody who has just registered."""
    return await Person.register(ctx)


@asynccontextmanager
async def known(ctx: Context, person: Person) -> AsyncIterator[Line]:
    """A line of this person's, on which the queries of these tests are known."""
    async with open_line(ctx, person.joined.issued.token) as line:
        line.subscribe("known", SEND, c="known")
        line.subscribe("also known", ME)
        await line.expect("known", 2)
        await line.expect("also known", 2)
        yield line


@asynccontextmanager
async def nothing_is_stored(ctx: Context) -> AsyncIterator[None]:
    """Keep the log from storing anything while the block lasts."""
    async with ctx.db.write() as connection:
        await connection.execute(text("UPDATE users SET id = id WHERE id = 0"))
        yield


def result(answer: dict[str, Any]) -> Any:
    assert answer["type"] == "next", answer
    [value] = answer["payload"]["data"].values()
    return value["content"]


def contents(answers: list[dict[str, Any]]) -> Iterator[str]:
    return (result(answer) for answer in answers if answer["type"] == "next")


async def say(ctx: Context, person: Person, *said: str) -> list[StoredMessage]:
    """Have this person send, by another way."""
    me = await person.enter(person.joined.issued.token)
    sending = [send_message(me, receiver_id=person.id, content=content) for content in said]
    return await asyncio.gather(*sending)


async def test_a_send_needs_no_task(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line, nothing_is_stored(ctx):
        before = len(asyncio.all_tasks())
        for number in range(20):
            line.subscribe(str(number), SEND, c=str(number))
        assert len(asyncio.all_tasks()) == before
        line.subscribe("me", ME)  # what reads may have to wait: a task of its own
        assert len(asyncio.all_tasks()) == before + 1


async def test_a_send_that_is_wrong_is_answered_as_it_comes(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line:
        line.subscribe("1", SEND, c=" ")
        answer, complete = line.of("1")
        assert answer["payload"]["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert complete == {"type": "complete", "id": "1"}
        line.subscribe("1", SEND, c="the id is free")
        assert [*contents((await line.expect("1", 4))[2:])] == ["the id is free"]


async def test_many_sends_keep_their_order_and_none_is_lost(ctx: Context, person: Person) -> None:
    said = [str(number) for number in range(ENOUGH)]
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        async with nothing_is_stored(ctx):
            for content in said:
                line.subscribe(content, SEND, c=content)
        for content in said:
            assert [*contents(await line.expect(content, 2))] == [content]
        assert [*contents(await line.expect("listen", ENOUGH))] == said


async def test_a_completed_send_has_no_answer_and_is_stored(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        async with nothing_is_stored(ctx):
            line.subscribe("1", SEND, c="first")
            line.say(type="complete", id="1")
            line.subscribe("1", SEND, c="second")
            await line.settle()
        assert [*contents(await line.expect("1", 2))] == ["second"]
        assert [*contents(await line.expect("listen", 2))] == ["first", "second"]
        assert len(line.of("1")) == 2


async def test_a_send_completed_as_it_is_stored_leaves_its_id_to_the_next(
    ctx: Context, person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    async with known(ctx, person) as line:
        for receiver in (person.id, 10**9):  # stored, and refused
            line.subscribe("1", SEND, c="done", to=str(receiver))
            outcome = line.socket._by_id["1"]
            assert isinstance(outcome, asyncio.Future)
            # Its own callback comes first, unless the client's message is handled before.
            callbacks = list(outcome._callbacks or ())
            for callback, _ in callbacks:
                outcome.remove_done_callback(callback)
            await until(outcome.done)
            line.say(type="complete", id="1")
            await line.settle()
            line.subscribe("1", ME)
            for callback, _ in callbacks:
                callback(outcome)
            await line.expect("1", 2)
            assert [message["type"] for message in line.of("1")] == ["next", "complete"]
            assert line.of("1")[0]["payload"]["data"] == {"me": {"__typename": "User"}}
            line.heard.clear()
        await until(lambda: line.socket._in_flight == 0)  # a turn of the loop after the answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_answers_wait_for_a_peer_that_does_not_read(ctx: Context, person: Person) -> None:
    said = [str(number) for number in range(ENOUGH)]
    async with known(ctx, person) as line:
        line.stop_reading()
        for content in said:
            line.subscribe(content, SEND, c=content)
        await until(lambda: line.waited == 100)
        assert line.socket._in_flight == 100  # the rest is not begun
        line.read_on()
        for content in said:
            assert [*contents(await line.expect(content, 2))] == [content]
        await line.settle()
        assert line.socket._in_flight == 0
        assert set(line.socket._by_id) == set()


@pytest.mark.parametrize("end", ["hang up", "session"])
async def test_an_end_keeps_what_was_sent_and_leaves_nothing(
    ctx: Context, person: Person, end: str
) -> None:
    other = await Person.register(ctx)
    async with open_line(ctx, other.joined.issued.token) as watcher:
        watcher.subscribe("listen", LISTEN)
        await watcher.settle()
        async with known(ctx, person) as line:
            line.subscribe("listen", LISTEN)
            await line.settle()
            async with nothing_is_stored(ctx):
                line.subscribe("1", SEND, c="in flight")
                if end == "session":
                    line.socket.session_ended("Session ended")
                    await until(lambda: line.socket._writer.closed)
                    assert line.heard[-1]["close"] == CloseCode.UNAUTHORIZED
        assert not ctx.hub.sinks_at(person.id)
        assert [*contents(await watcher.expect("listen", 2))] == ["known", "in flight"]
        assert len(line.of("listen")) == 0


async def test_a_session_that_ends_answers_what_is_stored_in_time(
    ctx: Context, person: Person
) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        line.subscribe("1", SEND, c="in flight")
        line.socket.session_ended("Session ended")
        await until(lambda: "close" in line.heard[-1])
        assert [*contents(line.of("1"))] == ["in flight"]
        assert line.of("listen") == []  # no events any more


async def test_a_drain_answers_what_is_in_flight(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        async with nothing_is_stored(ctx):
            line.subscribe("1", SEND, c="in flight")
            draining = asyncio.create_task(line.socket.drain())
            await asyncio.sleep(0.05)
            assert not draining.done()
        await asyncio.wait_for(draining, 5)
        assert [*contents(line.of("1"))] == ["in flight"]
        assert line.heard[-1]["close"] == CloseCode.SERVICE_RESTART


async def test_a_drain_answers_what_is_stored_in_that_moment(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line:
        line.subscribe("1", SEND, c="just stored")
        outcome = line.socket._by_id["1"]
        assert isinstance(outcome, asyncio.Future)
        answering = [callback for callback, _ in outcome._callbacks or ()]
        for callback in answering:
            outcome.remove_done_callback(callback)
        await until(outcome.done)
        for callback in answering:
            outcome.add_done_callback(callback)  # to be called in the next turn of the loop
        await line.socket.drain()
        assert [*contents(line.of("1"))] == ["just stored"]
        assert line.heard[-1]["close"] == CloseCode.SERVICE_RESTART


@pytest.mark.parametrize("after", [None, "0"])
async def test_a_subscription_that_has_caught_up_needs_no_task(
    ctx: Context, person: Person, after: str | None
) -> None:
    async with known(ctx, person) as line:
        before = len(asyncio.all_tasks())
        line.subscribe("listen", LISTEN, after=after)
        replayed = ["known"] if after else []
        await line.expect("listen", len(replayed))
        await until(lambda: len(asyncio.all_tasks()) == before)
        await say(ctx, person, "one", "two")
        assert len(asyncio.all_tasks()) == before
        assert [*contents(await line.expect("listen", len(replayed) + 2))] == [
            *replayed,
            "one",
            "two",
        ]
        line.say(type="complete", id="listen")
        await line.settle()
        assert not ctx.hub.sinks_at(person.id)
        await say(ctx, person, "unheard")
        line.subscribe("listen", LISTEN)  # its id is free
        await line.settle()
        await say(ctx, person, "three")
        await line.expect("listen", len(replayed) + 3)
        assert [*contents(line.of("listen"))][-1] == "three"


async def test_events_wait_in_order_for_a_peer_that_does_not_read(
    ctx: Context, person: Person
) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        before = len(asyncio.all_tasks())
        said = []
        for turn in range(3):
            live, waiting = f"{turn} live", [f"{turn} waits {n}" for n in range(4)]
            await say(ctx, person, live)
            line.stop_reading()
            await say(ctx, person, *waiting)
            await until(lambda: bool(line.waited))
            line.read_on()
            await say(ctx, person, f"{turn} behind them")
            said += [live, *waiting, f"{turn} behind them"]
            await line.expect("listen", len(said))
            await until(lambda: len(asyncio.all_tasks()) == before)
        assert [*contents(line.of("listen"))] == said


async def test_who_reads_too_late_is_sent_away_and_has_missed_nothing_before(
    ctx: Context, person: Person
) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        await say(ctx, person, "live")
        line.stop_reading()
        said = [str(number) for number in range(7)]  # one with the task, five in the queue
        await say(ctx, person, *said[:1])
        await until(lambda: line.waited == 1)
        await say(ctx, person, *said[1:])
        line.read_on()
        await until(lambda: "close" in line.heard[-1])
        assert line.heard[-1]["close"] == CloseCode.TRY_AGAIN_LATER
        assert [*contents(line.of("listen"))] == ["live", "0"]
    assert not ctx.hub.sinks_at(person.id)


@pytest.mark.parametrize("how", ["complete", "hang up", "session"])
async def test_leaving_while_events_wait_leaves_nothing(
    ctx: Context, person: Person, how: str
) -> None:
    async with known(ctx, person) as line:
        line.subscribe("listen", LISTEN)
        await line.settle()
        line.stop_reading()
        await say(ctx, person, "waits")
        await until(lambda: line.waited == 1)
        if how == "complete":
            line.say(type="complete", id="listen")
            await until(lambda: not ctx.hub.sinks_at(person.id))
        elif how == "session":
            line.socket.session_ended("Session ended")
            await until(lambda: not ctx.hub.sinks_at(person.id))
        assert "listen" in line.socket._by_id or how == "complete"
    assert not ctx.hub.sinks_at(person.id)
    assert how == "hang up" or line.of("listen") == []


async def test_an_event_that_takes_a_query_keeps_its_task(ctx: Context, person: Person) -> None:
    async with known(ctx, person) as line:
        before = len(asyncio.all_tasks())
        line.subscribe("listen", SENDERS)
        await line.settle()
        await say(ctx, person, "one")
        assert [*contents(await line.expect("listen", 1))] == ["one"]
        assert len(asyncio.all_tasks()) == before + 1
