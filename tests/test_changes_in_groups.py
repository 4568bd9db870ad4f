"""Edits, deletions, replies and reactions in a group: for its members alone, on no older face."""

from typing import Any

from tests.schema.client import Socket, open_socket
from tests.schema.test_edits import call, code
from tests.support.faces import RestFace, new_account
from tests.support.server import RunningServer
from tests.test_edited_faces import Older

FIELDS = "id content editedAt deletedAt replyTo { id } reactions { emoji count mine }"
CREATE = 'mutation($ids: [ID!]!) { createGroup(title: "G", memberIds: $ids) { id } }'
SEND = (
    "mutation($group: ID, $reply: ID) { sendMessage(conversationId: $group, replyToId: $reply,"
    f' content: "x") {{ {FIELDS} }} }}'
)
EDIT = f'mutation($id: ID!) {{ editMessage(id: $id, content: "y") {{ {FIELDS} }} }}'
DELETE = f"mutation($id: ID!) {{ deleteMessage(id: $id) {{ {FIELDS} }} }}"
REACT = f'mutation($id: ID!) {{ addReaction(messageId: $id, emoji: "👍") {{ {FIELDS} }} }}'
REMOVE = (
    "mutation($group: ID!, $id: ID!) { removeMember(conversationId: $group, userId: $id) { id } }"
)
SHOWN = f"query($id: ID!) {{ message(id: $id) {{ {FIELDS} }} }}"
EVENTS = (
    "subscription { events { __typename ... on MessageEdited { message { id content } }"
    " ... on MessageDeleted { message { id deletedAt } } ... on ReactionChanged { emoji } } }"
)


async def heard(socket: Socket) -> Any:
    """Return the next event."""
    return (await socket.expect(id="s", type="next"))["payload"]["data"]["events"]


async def test_members_change_messages_of_their_group(chat: RunningServer) -> None:
    owner, member, stranger = [await new_account(chat) for _ in range(3)]
    async with (
        open_socket(chat, owner) as one,
        open_socket(chat, member) as two,
        open_socket(chat, stranger) as three,
        Older.open(chat, member) as older,
        RestFace.open(chat, member) as rest,
    ):
        group = (await call(one, CREATE, ids=[str(member.id)]))["id"]
        first = await call(one, SEND, group=group)
        await two.subscribe("s", EVENTS)
        await two.settle()
        answer = await call(two, SEND, group=group, reply=first["id"])
        assert answer["replyTo"] == {"id": first["id"]}
        assert (await heard(two))["__typename"] == "MessageSent"
        broadcast = await call(one, SEND)
        assert await code(two, SEND, group=group, reply=broadcast["id"]) == "NOT_FOUND"
        assert await code(two, SEND, reply=first["id"]) == "NOT_FOUND"
        await heard(two)
        edited = await call(one, EDIT, id=first["id"])
        assert await heard(two) == {
            "__typename": "MessageEdited",
            "message": {"id": first["id"], "content": "y"},
        }
        reacted = await call(two, REACT, id=first["id"])
        assert reacted["reactions"] == [{"emoji": "👍", "count": 1, "mine": True}]
        assert (await heard(two))["__typename"] == "ReactionChanged"
        assert (await call(one, SHOWN, id=first["id"]))["content"] == edited["content"]
        # The owner deletes another's; a member only what is theirs.
        assert await code(two, DELETE, id=first["id"]) == "FORBIDDEN"
        assert (await call(one, DELETE, id=answer["id"]))["content"] == ""
        assert (await heard(two))["__typename"] == "MessageDeleted"
        for query in (EDIT, DELETE, REACT):
            assert await code(three, query, id=first["id"]) == "NOT_FOUND"
        # Who was removed changes nothing any more.
        late = await call(two, SEND, group=group)
        await call(one, REMOVE, group=group, id=str(member.id))
        for query in (EDIT, DELETE, REACT):
            assert await code(two, query, id=late["id"]) == "NOT_FOUND"
        assert await code(two, SEND, group=group, reply=first["id"]) == "NOT_FOUND"
        # The older faces know nothing of it.
        end = 'mutation($to: ID) { sendMessage(receiverId: $to, content: "the end") { id } }'
        await call(two, end, to=member.id)
        shown = [(event, str(shape["id"])) for event, shape in await older.until("the end")]
        assert shown == [("message:new", broadcast["id"])]
        ids = {str(row["id"]) for row in (await rest._http.get("/api/messages")).json()}
        assert not {first["id"], answer["id"], late["id"]} & ids
