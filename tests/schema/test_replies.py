"""Replies in GraphQL: the quoted message beside the answer, as its reader may see it."""

from typing import Any

from tests.schema.client import Socket, open_socket
from tests.schema.test_edits import call, code
from tests.support.faces import new_account
from tests.support.server import RunningServer
from tests.support.statements import statements_sent

FIELDS = "id content replyToId replyTo { id content deletedAt replyTo { id } }"
SEND = (
    "mutation($to: ID, $reply: ID) { sendMessage(receiverId: $to, replyToId: $reply,"
    f' content: "x") {{ {FIELDS} }} }}'
)
PAGE = f"{{ messages(last: 50) {{ nodes {{ {FIELDS} }} }} }}"
WATCH = f"subscription($after: ID) {{ messageAdded(after: $after) {{ {FIELDS} }} }}"


async def last(socket: Socket) -> Any:
    """Return the last message of the viewer's page."""
    return (await call(socket, PAGE))["nodes"][-1]


async def test_an_answer_shows_what_it_replies_to(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as sender, open_socket(chat, bob) as reader:
        await reader.subscribe("s", WATCH)
        await reader.settle()
        first = await call(sender, SEND, to=bob.id)
        assert (first["replyToId"], first["replyTo"]) == (None, None)
        answer = await call(sender, SEND, to=bob.id, reply=first["id"])
        quoted = {"id": first["id"], "content": "x", "deletedAt": None, "replyTo": None}
        assert (answer["replyToId"], answer["replyTo"]) == (first["id"], quoted)
        for _ in range(2):
            event = await reader.expect(id="s", type="next")
        assert event["payload"]["data"]["messageAdded"] == answer
        assert await last(reader) == answer
        edit = 'mutation($id: ID!) { editMessage(id: $id, content: "y") { id } }'
        await call(sender, edit, id=first["id"])
        assert (await last(reader))["replyTo"]["content"] == "y"
        await call(sender, "mutation($id: ID!) { deleteMessage(id: $id) { id } }", id=first["id"])
        tombstone = (await last(reader))["replyTo"]
        assert (tombstone["id"], tombstone["content"]) == (first["id"], "")
        assert tombstone["deletedAt"]
        third = await call(sender, SEND, to=bob.id, reply=answer["id"])
        assert third["replyTo"]["replyTo"] == {"id": first["id"]}
        for id_ in ("0", "x", str(2**40)):
            assert await code(sender, SEND, to=bob.id, reply=id_) == "NOT_FOUND"


async def test_a_page_asks_for_all_quoted_messages_at_once(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as sender:
        for _ in range(4):
            first = await call(sender, SEND, to=bob.id)
            await call(sender, SEND, to=bob.id, reply=first["id"])
        with statements_sent() as ran:
            nodes = (await call(sender, PAGE))["nodes"]
        assert len([node for node in nodes if node["replyTo"]]) == 4
        assert len(ran) == 2


async def test_a_quoted_broadcast_is_hidden_where_a_block_hides_it(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with (
        open_socket(chat, alice) as one,
        open_socket(chat, bob) as other,
        open_socket(chat, carol) as reader,
    ):
        block = "mutation($id: ID!) { blockUser(id: $id) { id } }"
        first = await call(one, SEND)
        await call(reader, block, id=alice.id)
        await reader.subscribe("s", WATCH)
        await reader.settle()
        answer = await call(other, SEND, reply=first["id"])
        assert answer["replyTo"]["id"] == first["id"]
        hidden = {**answer, "replyTo": None}
        event = await reader.expect(id="s", type="next")
        assert event["payload"]["data"]["messageAdded"] == hidden
        assert await last(reader) == hidden
        # A newcomer sees the answer, which came later, and not what it replies to.
        newcomer = await new_account(chat)
        await call(other, SEND, reply=first["id"])
    async with open_socket(chat, newcomer) as socket:
        assert (await last(socket))["replyTo"] is None
        await socket.subscribe("s", WATCH, {"after": "0"})
        event = await socket.expect(id="s", type="next")
        assert event["payload"]["data"]["messageAdded"]["replyTo"] is None
