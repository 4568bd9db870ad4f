"""Events of every kind: as graphql-core would show them, each encoded once for all who get it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.models import EVERYBODY_ID, StoredMessage
from events import facts
from events.facts import (
    BlockChanged,
    ConversationChanged,
    MarksMoved,
    Members,
    MembersChanged,
    MessageDeleted,
    MessageEdited,
    OwnSettingsChanged,
    People,
    ReactionChanged,
    ReceiptsChanged,
    UserChanged,
)
from resolvers.context import Context
from resolvers.events import cursor_at
from resolvers.messages import send_message
from schema.execution.documents import Operation
from schema.execution.operations import Operations
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from tests.resolvers.conftest import join, running_context
from tests.resolvers.facts import say
from tests.resolvers.people import Person
from tests.schema.line import Line, open_line, until
from tests.schema.writer import write_document

GENERATED = 150
KINDS = (
    *("MessageSent", "MessageEdited", "MessageDeleted", "ReactionChanged", "MarksMoved"),
    *("ConversationChanged", "MembersChanged", "UserChanged", "SettingsChanged"),
    *("ReceiptsChanged", "BlockChanged"),
)
ALL = """subscription($after: String) { events(after: $after) { __typename cursor at
  ... on MessageSent { message { id content sender { id } } }
  ... on MessageEdited { message { id content } }
  ... on MessageDeleted { messageId conversationId message { id } }
  ... on ReactionChanged { messageId conversationId userId user { id } emoji added }
  ... on MarksMoved { userId user { id } conversationId readUpTo deliveredUpTo }
  ... on ConversationChanged { conversationId }
  ... on MembersChanged { conversationId joinedIds leftIds changedIds joined { id } left { id } }
  ... on UserChanged { userId user { id displayName } }
  ... on ReceiptsChanged { conversationId userId user { id } shown }
  ... on BlockChanged { userId user { id } blocked }
  ... on SettingsChanged { conversationId } } }"""
# What a plain message needs no function for, and a change of a user does.
PLAIN_MESSAGES = """subscription { events { __typename cursor
  ... on MessageSent { message { content } } ... on UserChanged { user { id } } } }"""


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    wide = {"max_query_fields": 10_000, "max_query_aliases": 10_000, "max_query_cost": 10**7}
    async with running_context(tmp_path, max_query_tokens=4000, **wide) as ctx:
        yield ctx


@pytest.fixture
async def person(ctx: Context) -> Person:
    return await Person.register(ctx)


async def change_all(me: Context) -> StoredMessage:
    """Store a fact of each kind that the viewer is shown; return the message they are about."""
    user_id = me.user.id
    mine = People((user_id,))
    sent = await send_message(me, receiver_id=user_id, content='"ü"')
    about = (sent.id, user_id, sent.conversation_id)
    where = sent.conversation_id
    bodies: list[Any] = [
        MessageEdited(*about),
        ReactionChanged(*about, "👍", added=True),
        MarksMoved(where, read_position=sent.id),
        MarksMoved(delivered_position=sent.id),
        ConversationChanged(where),
        MembersChanged(where, joined=(user_id,), left=(user_id,), changed=(user_id,)),
        OwnSettingsChanged(),
        OwnSettingsChanged(where),
        BlockChanged(user_id, True),
        MessageDeleted(*about),
    ]
    for body in bodies:
        await say(me, body, mine)
    await say(await join(me), ReceiptsChanged(False), mine)
    await say(me, UserChanged(), Members(EVERYBODY_ID))
    return sent


CHANGES = 13


class Both:
    """Shows events by the plan, and as graphql-core does without one."""

    def __init__(self, me: Context, after: str) -> None:
        self._me = me
        self._after = after
        self._operations = Operations(schema, me)

    def prepare(self, query: str) -> Operation:
        return self._operations.prepare(self._me, GraphQLRequest(query=query))

    async def events(self, query: str) -> list[list[bytes]]:
        operation = self.prepare(query)
        assert operation.plan is not None, query
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._operations, "_show_event", None)  # the plan shows them by itself
            planned = await self._events(operation)
        return [planned, await self._events(replace(operation, plan=None))]

    async def _events(self, operation: Operation) -> list[bytes]:
        found: list[bytes] = []
        stream = self._operations.subscribe(self._me, operation, {"after": self._after})
        async with aclosing(stream), asyncio.timeout(20):
            async for results in stream:
                found += [bytes(result) for result in results]
                if len(found) == CHANGES:
                    return found
        raise AssertionError


async def test_a_plan_shows_each_kind_as_graphql_core_does(ctx: Context, person: Person) -> None:
    me = await person.enter(person.joined.issued.token)
    after = cursor_at(me, me.feed.position)
    await change_all(me)
    both = Both(me, after)
    planned, walked = await both.events(ALL)
    assert planned == walked
    for kind in KINDS:
        assert any(f'"__typename":"{kind}"'.encode() in event for event in planned), kind
    head = "subscription($after: String) { events(after: $after) %s }"
    for seed in range(GENERATED):
        query = write_document(schema._schema, seed, head, "Event", functions=True)
        planned, walked = await both.events(query)
        assert planned == walked, query


def test_every_shown_fact_is_a_type_of_event() -> None:
    possible = schema._schema.get_possible_types(schema._schema.type_map["Event"])  # type: ignore[arg-type]  # it is an interface
    assert {type_.name for type_ in possible} == {*KINDS}
    assert len(facts.SHOWN) == len(KINDS) - 1


@pytest.fixture
async def line(ctx: Context, person: Person) -> AsyncIterator[Line]:
    async with open_line(ctx, person.joined.issued.token) as line:
        yield line


def _events(line: Line, id_: str) -> list[dict[str, Any]]:
    return [answer["payload"]["data"]["events"] for answer in line.of(id_)]


async def test_a_message_needs_no_task_where_other_kinds_do(
    ctx: Context, person: Person, line: Line
) -> None:
    me = await person.enter(person.joined.issued.token)
    for id_ in ("1", "2"):
        line.subscribe(id_, PLAIN_MESSAGES)
    await line.settle()
    streams = line.socket._streams()
    await until(lambda: all(stream.is_parked for stream in streams))
    written: list[str] = []
    for number in range(3):
        sent = await send_message(me, receiver_id=person.id, content=f"{number}")
        assert all(stream.is_parked for stream in streams)
        written += [sent.content]
        assert [event["message"]["content"] for event in _events(line, "1")] == written
    # One of another kind wakes a reader; what comes behind it keeps its place.
    changing = asyncio.create_task(say(me, UserChanged(), Members(EVERYBODY_ID)))
    await asyncio.sleep(0)
    sent = await send_message(me, receiver_id=person.id, content="behind")
    change = await changing
    await line.expect("2", 5)
    await line.expect("1", 5)
    for id_ in ("1", "2"):
        assert [event["cursor"] for event in _events(line, id_)][3:] == [
            cursor_at(ctx, change.id),
            cursor_at(ctx, sent.id),
        ]
    await until(lambda: all(stream.is_parked for stream in streams))


async def test_each_event_is_encoded_once_for_all(
    ctx: Context, person: Person, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = await person.enter(person.joined.issued.token)
    for number in range(8):
        line.subscribe(str(number), ALL)
    await line.settle()
    made: list[object] = []
    plan = line.socket._streams()[0].operation.plan
    assert plan is not None
    complete = plan._complete_calling

    async def count(event: Any, info: Any) -> Any:
        made.append(event)
        return await complete(event, info)

    monkeypatch.setattr(plan, "_complete_calling", count)
    await change_all(me)
    for number in range(8):
        await line.expect(str(number), CHANGES)
    assert [type(event).__name__ for event in made] == ["MessageSent", *_called(made)]


def _called(made: list[object]) -> list[str]:
    """Which kinds have a field with a function in ALL."""
    calling = {"ReactionChanged", "MarksMoved", "MembersChanged", "UserChanged"}
    calling |= {"ReceiptsChanged", "BlockChanged"}
    return [type(event).__name__ for event in made[1:] if type(event).__name__ in calling]


@pytest.mark.parametrize("after", ["", "x", "-1", "0" * 70, "9" * 19])
async def test_a_wrong_cursor_is_bad_input(line: Line, after: str) -> None:
    line.subscribe("1", ALL, after=after)
    [answer] = await line.expect("1")
    assert answer["type"] == "error"
    assert answer["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_cursor_of_another_log_has_expired(ctx: Context, line: Line) -> None:
    for id_, after in (("1", f"{'0' * 12}-1"), ("2", cursor_at(ctx, 2**40)), ("3", f"{2**61}")):
        line.subscribe(id_, ALL, after=after)
        [answer] = await line.expect(id_)
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "CURSOR_EXPIRED"
        assert "query anew" in answer["payload"][0]["message"]


async def test_server_infos_cursor_leads_to_all_that_follows(
    ctx: Context, person: Person, line: Line
) -> None:
    me = await person.enter(person.joined.issued.token)
    line.subscribe("info", "{ serverInfo { cursor } }")
    [answer, _] = await line.expect("info", 2)
    await send_message(me, receiver_id=person.id, content="since")
    line.subscribe("1", ALL, after=answer["payload"]["data"]["serverInfo"]["cursor"])
    await line.expect("1")
    [event] = _events(line, "1")
    assert event["message"]["content"] == "since"
