"""Custom data of messages: bounded JSON that comes back wherever the message is shown."""

from sys import float_info
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from events.facts import Fact, MessageDeleted, MessageEdited
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, ParleyError, PayloadTooLarge
from resolvers.guards.metadata import MAX_DEPTH, clean_metadata
from resolvers.of_messages import edits
from tests.resolvers.conftest import join
from tests.resolvers.test_events import END, _all_ways, _send
from tests.resolvers.test_state_and_facts import Refused, asking

PLACE = {"type": "place", "lat": 52.5, "tags": ["a", None, True], "ü": {"n": -(2**63)}}


def nested(depth: int) -> dict[str, Any]:
    """Return an object of so many lists and objects within each other."""
    value: Any = [] if depth > 1 else {}
    for _ in range(depth - 2):
        value = [value]
    return {"a": value} if depth > 1 else {}


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([], BadInput),
        ("text", BadInput),
        (0, BadInput),
        (True, BadInput),
        ({"a": float("nan")}, BadInput),
        ({"a": float("inf")}, BadInput),
        ({"a": float_info.max}, BadInput),  # what a greater number was read as
        ({"a": 2**63}, BadInput),
        ({"a": 10**5000}, BadInput),
        ({"a": object()}, BadInput),
        ({"a": "\ud800"}, BadInput),
        ({"\udfff": 1}, BadInput),
        (nested(MAX_DEPTH + 1), BadInput),
        (nested(5000), BadInput),
        ({"a": "x" * 60}, PayloadTooLarge),
        ({"a": "\u0000" * 12}, PayloadTooLarge),  # 6 bytes each, as JSON
        ({"a": [0] * 100_000}, PayloadTooLarge),
        ({str(number): 0 for number in range(100_000)}, PayloadTooLarge),
        ({"ü" * 40: 0}, PayloadTooLarge),
    ],
    ids=range(19),
)
def test_what_is_no_small_object_is_refused(value: object, error: type[ParleyError]) -> None:
    with pytest.raises(error):
        clean_metadata(value, max_bytes=64)


@pytest.mark.parametrize(
    "literal",
    ["[1]", '"x"', "{a: " + "9" * 5000 + "}", "{a: 1e999}", "{a: " * 11 + "1" + "}" * 11, "E"],
)
async def test_what_is_written_in_the_document_is_held_to_the_same(
    ctx: Context, literal: str
) -> None:
    alice = await join(ctx)
    with pytest.raises((Refused, ParleyError)) as refused:
        await asking(alice)(
            f'mutation {{ sendMessage(content: "x", metadata: {literal}) {{ id }} }}'
        )
    assert "INTERNAL" not in str(refused.value)
    assert (await messages.list_messages(alice, limit=1)).messages == []


def test_an_object_is_one_text_however_its_keys_come() -> None:
    assert clean_metadata(None, max_bytes=2) is None
    assert clean_metadata({}, max_bytes=2) == "{}"
    assert clean_metadata({"b": 1, "a": 2}, max_bytes=13) == '{"a":2,"b":1}'
    with pytest.raises(PayloadTooLarge):
        clean_metadata({"b": 1, "a": 2}, max_bytes=12)
    deepest = nested(MAX_DEPTH)
    assert msgspec.json.decode(clean_metadata(deepest, max_bytes=100) or "") == deepest


async def test_it_comes_back_in_queries_events_and_live(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = ctx.feed.position
    send = """mutation($to: ID, $m: JSON) {
      sendMessage(receiverId: $to, content: "here", metadata: $m) { id metadata } }"""
    sent = (await asking(alice)(send, to=str(bob.user.id), m=PLACE))["sendMessage"]
    assert sent["metadata"] == PLACE
    plain = await _send(alice, bob)
    query = "query($id: ID!) { message(id: $id) { metadata } }"
    for viewer in (alice, bob):
        assert (await asking(viewer)(query, id=sent["id"]))["message"]["metadata"] == PLACE
        found = (await asking(viewer)(query, id=str(plain.id)))["message"]
        assert found["metadata"] is None
    written = 'mutation { sendMessage(content: "all", metadata: {a: [1, {b: "c"}]}) { metadata } }'
    assert (await asking(alice)(written))["sendMessage"]["metadata"] == {"a": [1, {"b": "c"}]}
    await _send(alice, None, END)
    told: list[Any] = await _all_ways(bob, start)
    decoded = [m.metadata_json and msgspec.json.decode(m.metadata_json) for m in told]
    assert decoded == [PLACE, None, {"a": [1, {"b": "c"}]}]


async def test_an_edit_replaces_it_and_a_deletion_removes_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    message = await messages.send_message(
        alice, receiver_id=bob.user.id, content="a", metadata=PLACE, client_message_id="k"
    )
    start = ctx.feed.position

    async def edit(content: str, **given: Any) -> str | None:
        edited = await edits.edit_message(alice, message_id=message.id, content=content, **given)
        return edited.metadata_json

    assert await edit("b") == message.metadata_json
    assert await edit("b", metadata={"n": 1}) == '{"n":1}'
    assert await edit("b", metadata={"n": 1}) == '{"n":1}'  # which is so already
    assert await edit("c", metadata=None) is None
    assert await edit("c", metadata={"n": 2}) == '{"n":2}'
    # Texts are kept, custom data is not.
    key = (alice.user.id, message.id)
    assert [was for was, _ in (await edits.get_edits(alice, [key]))[key]] == ["a", "b"]
    # A retry is of what was sent, whatever it says now.
    retry: dict[str, Any] = {"receiver_id": bob.user.id, "content": "a", "client_message_id": "k"}
    again = await messages.send_message(alice, **retry, metadata=PLACE)
    assert (again.id, again.metadata_json) == (message.id, '{"n":2}')
    for other in (None, {"n": 2}):
        with pytest.raises(Conflict):
            await messages.send_message(alice, **retry, metadata=other)
    await edits.delete_message(alice, message_id=message.id)
    await _send(alice, None, END)
    told = [event for event in await _all_ways(bob, start) if isinstance(event, Fact)]
    assert [type(fact.body) for fact in told] == [MessageEdited] * 4 + [MessageDeleted]
    async with ctx.read() as connection:
        row = await connection.execute(
            text("SELECT metadata_json FROM messages WHERE id = :id"), {"id": message.id}
        )
    assert row.scalar_one() is None
    assert (await messages.send_message(alice, **retry, metadata=PLACE)).id == message.id


async def test_a_batch_stores_messages_with_and_without(ctx: Context) -> None:
    alice = await join(ctx)
    first = await _send(alice, None)
    pending = [
        messages.send_message(
            alice,
            receiver_id=None,
            content=str(number),
            reply_to_id=first.id if number % 3 == 0 else None,
            metadata={"n": number} if number % 2 else None,
        )
        for number in range(12)
    ]
    sent = [await each for each in pending]
    page = await messages.list_messages(alice, limit=12)
    assert [*page.messages] == sent
    shown = [(m.metadata_json, m.reply_to_id) for m in sent]
    assert shown == [
        (f'{{"n":{n}}}' if n % 2 else None, first.id if n % 3 == 0 else None) for n in range(12)
    ]
