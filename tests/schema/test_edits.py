"""Edits and deletions in GraphQL: the mutations, and what a message shows of them."""

from typing import Any

import pytest

from tests.schema.client import Socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer
from tests.support.statements import statements_sent

FIELDS = "id kind content editedAt deletedAt edits { content editedAt } attachment { id }"
SEND = (
    "mutation($to: ID, $content: String!) { sendMessage(receiverId: $to, content: $content)"
    f" {{ {FIELDS} }} }}"
)
EDIT = (
    "mutation($id: ID!, $content: String!) { editMessage(id: $id, content: $content)"
    f" {{ {FIELDS} }} }}"
)
DELETE = f"mutation($id: ID!) {{ deleteMessage(id: $id) {{ {FIELDS} }} }}"
PAGE = f"{{ messages(last: 50) {{ nodes {{ {FIELDS} }} }} }}"


async def call(socket: Socket, query: str, **variables: Any) -> Any:
    """Return the one field of an operation's answer."""
    result = await socket.execute(query, variables)
    assert "errors" not in result, result
    [value] = result["data"].values()
    return value


async def code(socket: Socket, query: str, **variables: Any) -> str:
    """Return the code with which an operation is refused."""
    result = await socket.execute(query, variables)
    assert result["data"] is None
    return str(result["errors"][0]["extensions"]["code"])


async def two(chat: RunningServer) -> tuple[Account, Account]:
    """Return two accounts."""
    return await new_account(chat), await new_account(chat)


async def test_an_edited_message_shows_its_sender_what_it_said(chat: RunningServer) -> None:
    alice, bob = await two(chat)
    async with open_socket(chat, alice) as sender, open_socket(chat, bob) as reader:
        sent = await call(sender, SEND, to=bob.id, content="first")
        assert (sent["editedAt"], sent["deletedAt"], sent["edits"]) == (None, None, [])
        edited = await call(sender, EDIT, id=sent["id"], content="second")
        assert edited["content"] == "second"
        assert edited["edits"] == [{"content": "first", "editedAt": edited["editedAt"]}]
        assert (await call(sender, PAGE))["nodes"][-1] == edited
        assert (await call(reader, PAGE))["nodes"][-1] == {**edited, "edits": None}
        deleted = await call(sender, DELETE, id=sent["id"])
        assert deleted == {
            **edited, "content": "", "edits": [], "deletedAt": deleted["deletedAt"],
        }  # fmt: skip
        assert deleted["deletedAt"] > edited["editedAt"] > ""
        assert (await call(reader, PAGE))["nodes"][-1] == {**deleted, "edits": None}


async def test_refusals_have_their_codes(chat: RunningServer) -> None:
    alice, bob = await two(chat)
    async with open_socket(chat, alice) as sender, open_socket(chat, bob) as reader:
        sent = (await call(sender, SEND, to=bob.id, content="first"))["id"]
        for id_ in ("0", "-1", "x", "", "9" * 30, str(2**40)):
            assert await code(sender, EDIT, id=id_, content="x") == "NOT_FOUND"
            assert await code(sender, DELETE, id=id_) == "NOT_FOUND"
        assert await code(reader, EDIT, id=sent, content="x") == "FORBIDDEN"
        assert await code(reader, DELETE, id=sent) == "FORBIDDEN"
        assert await code(sender, EDIT, id=sent, content=" ") == "BAD_USER_INPUT"
        assert await code(sender, EDIT, id=sent, content="x" * 20_000) == "PAYLOAD_TOO_LARGE"
        await call(sender, DELETE, id=sent)
        assert await code(sender, EDIT, id=sent, content="x") == "CONFLICT"
    async with open_socket(chat, None) as stranger:
        assert await code(stranger, EDIT, id="x", content="") == "UNAUTHENTICATED"
        assert await code(stranger, DELETE, id=sent) == "UNAUTHENTICATED"


async def test_a_page_asks_for_all_earlier_texts_at_once(chat: RunningServer) -> None:
    alice, bob = await two(chat)
    async with open_socket(chat, alice) as sender:
        for number in range(6):
            sent = await call(sender, SEND, to=bob.id, content=f"a{number}")
            await call(sender, EDIT, id=sent["id"], content=f"b{number}")
        with statements_sent() as ran:
            page = await call(sender, PAGE)
        assert [node["edits"][0]["content"] for node in page["nodes"]] == [
            f"a{number}" for number in range(6)
        ]
        assert len(ran) == 2
        # Where nothing was edited, nothing is asked.
        await call(sender, SEND, to=bob.id, content="plain")
        with statements_sent() as ran:
            await call(sender, f"{{ messages(last: 1) {{ nodes {{ {FIELDS} }} }} }}")
        assert len(ran) == 1


async def test_a_resumed_subscription_shows_messages_as_they_are_now(chat: RunningServer) -> None:
    alice, bob = await two(chat)
    async with open_socket(chat, alice) as sender, open_socket(chat, bob) as reader:
        sent = [await call(sender, SEND, to=bob.id, content=text) for text in ("a", "b", "c")]
        await call(sender, EDIT, id=sent[0]["id"], content="new")
        await call(sender, DELETE, id=sent[1]["id"])
        query = f"subscription($after: ID) {{ messageAdded(after: $after) {{ {FIELDS} }} }}"
        for socket, edits in ((sender, ["a"]), (reader, None)):
            after = str(int(sent[0]["id"]) - 1)
            await socket.subscribe("s", query, {"after": after})
            events = [await socket.expect(id="s", type="next") for _ in range(3)]
            heard = [event["payload"]["data"]["messageAdded"] for event in events]
            assert [message["content"] for message in heard] == ["new", "", "c"]
            assert [bool(message["deletedAt"]) for message in heard] == [False, True, False]
            shown = heard[0]["edits"]
            assert (shown and [edit["content"] for edit in shown]) == edits


@pytest.mark.parametrize("last", [41, 42])
async def test_earlier_texts_count_in_the_cost_of_a_page(chat: RunningServer, last: int) -> None:
    alice = await new_account(chat)
    fields = "edits { content editedAt again: content }"
    query = f"{{ messages(last: {last}) {{ nodes {{ {fields} }} }} }}"
    async with open_socket(chat, alice) as socket:
        await socket.subscribe("s", query)
        # 241 fields a message, whatever was edited: 10,000 are allowed.
        await socket.expect(id="s", type="next" if last == 41 else "error")
