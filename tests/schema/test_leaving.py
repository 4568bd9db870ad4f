"""Who has left a group sees it as it was then: in every way of reading, live or again."""

from typing import Any

from tests.schema.client import Message, Socket, open_socket
from tests.schema.test_groups import CHANGES, CREATE, PNG, _do, _upload
from tests.support.faces import new_account
from tests.support.server import RunningServer

SHOWN = """ { id kind content editedAt deletedAt metadata edits { content }
  reactions { emoji count mine users { id } } } """
GROUP = "{ id title showsEarlier role unreadCount avatar { id } members { nodes { role } }"
GROUP += f" marks {{ readUpTo }} lastMessage {SHOWN} }}"
SEND = f"""mutation($group: ID, $content: String, $reply: ID, $metadata: JSON, $key: String) {{
  sendMessage(conversationId: $group, content: $content, replyToId: $reply, metadata: $metadata,
    clientMessageId: $key) {SHOWN} }}"""
EDIT = """mutation($id: ID!, $content: String!, $metadata: JSON) {
  editMessage(id: $id, content: $content, metadata: $metadata) { id } }"""
DELETE = "mutation($id: ID!) { deleteMessage(id: $id) { id } }"
REACT = f"""mutation($id: ID!, $emoji: String!) {{
  addReaction(messageId: $id, emoji: $emoji) {SHOWN} }}"""
TAKE_BACK = """mutation($id: ID!, $emoji: String!) {
  removeReaction(messageId: $id, emoji: $emoji) { id } }"""
EVENTS = f"""subscription($after: String) {{ events(after: $after) {{ __typename
  ... on MessageSent {{ message {SHOWN} }} ... on MessageEdited {{ message {SHOWN} }}
  ... on MessageDeleted {{ message {SHOWN} }} ... on ReactionChanged {{ message {SHOWN} }}
  ... on MembersChanged {{ conversation {{ title }} }}
  ... on ConversationChanged {{ conversation {{ title }} }} }} }}"""
ADDED = f"subscription($after: ID) {{ messageAdded(after: $after) {SHOWN} }}"
QUOTED = f"subscription($after: ID) {{ messageAdded(after: $after) {{ id replyTo {SHOWN} }} }}"


def _nodes(connection: Message) -> list[Message]:
    return list(connection["nodes"])


async def _ways(socket: Socket, group: str, first: str, reply: str) -> dict[str, Any]:
    """Return the messages of a group by each way to read them: those, or one of them."""
    one = {"group": group, "id": first, "reply": reply}
    found: dict[str, Any] = {}
    for name, query in {
        "messages": f"{{ messages(last: 20) {{ nodes {SHOWN} }} }}",
        "of one": "query($group: ID) { messages(conversation: $group, last: 20)"
        f" {{ nodes {SHOWN} }} }}",
        "around": f"query($id: ID) {{ messages(around: $id, last: 20) {{ nodes {SHOWN} }} }}",
    }.items():
        found[name] = _nodes(await _do(socket, query, **one))
    of_group = f"{{ conversation(id: $group) {{ messages(last: 20) {{ nodes {SHOWN} }} }} }}"
    found["conversation"] = _nodes(
        (await _do(socket, f"query($group: ID) {of_group}", **one))["messages"]
    )
    listed = (
        f"{{ conversations(first: 3) {{ nodes {{ messages(last: 20) {{ nodes {SHOWN} }} }} }} }}"
    )
    [only] = _nodes(await _do(socket, listed))
    found["conversations"] = _nodes(only["messages"])
    message = f"query($id: ID!) {{ message(id: $id) {SHOWN[:-2]} globalId }} }}"
    alone = await _do(socket, message, **one)
    node = f"query($id: ID!) {{ node(id: $id) {{ ... on Message {SHOWN} }} }}"
    found["node"] = [await _do(socket, node, id=alone.pop("globalId"))]
    found["message"] = [alone]
    quoting = f"query($reply: ID!) {{ message(id: $reply) {{ replyTo {SHOWN} }} }}"
    found["quoted"] = [(await _do(socket, quoting, **one))["replyTo"]]
    return found


async def _replayed(socket: Socket, query: str, after: str, last: str) -> list[Any]:
    """Return what a subscription replays, up to a message's content; nothing may come after."""
    await socket.subscribe("replay", query, {"after": after})
    found = []
    while True:
        answer = await socket.expect(id="replay")
        assert answer["type"] == "next", answer
        assert "errors" not in answer["payload"], answer
        [value] = answer["payload"]["data"].values()
        found.append(value)
        message = value.get("message", value)
        if isinstance(message, dict) and message.get("content") == last:
            await socket.send({"type": "complete", "id": "replay"})
            return found


async def test_who_has_left_sees_the_group_as_it_was_then(chat: RunningServer) -> None:
    owner, leaver, other = [await new_account(chat) for _ in range(3)]
    pictures = [await _upload(chat, owner, name, PNG) for name in ("a.png", "b.png")]
    async with (
        open_socket(chat, owner) as a,
        open_socket(chat, leaver) as b,
        open_socket(chat, other) as c,
    ):
        cursor = (await _do(b, "{ conversations { cursor } }"))["cursor"]
        start = cursor.rpartition("-")[2]
        ids = [str(leaver.id), str(other.id)]
        group = (await _do(a, CREATE, title="Then", ids=ids, avatar=pictures[0]))["id"]
        place = {"at": "then"}
        said = [
            (await _do(a, SEND, group=group, content=content, metadata=place))["id"]
            for content in ("zebra then", "edited before", "to delete")
        ]
        own = (await _do(b, SEND, group=group, content="own", key="k"))["id"]
        reply = (await _do(c, SEND, group=group, content="reply", reply=said[0]))["id"]
        await _do(a, EDIT, id=said[1], content="edited then")
        for socket, id_, emoji in ((b, said[0], "👍"), (c, said[0], "🎉"), (c, own, "🎉")):
            await _do(socket, REACT, id=id_, emoji=emoji)
        await _do(b, REACT, id=said[2], emoji="👍")
        await _do(b, CHANGES["leave"], id=group)
        then = await _ways(b, group, said[0], reply)
        shown = await _do(b, f"query($id: ID) {{ conversation(id: $id) {GROUP} }}", id=group)
        assert (shown["title"], shown["avatar"], shown["role"]) == (
            "Then",
            {"id": pictures[0]},
            None,
        )
        assert shown["members"]["nodes"] == shown["marks"] == []

        # What comes later, of each kind; some of it twice.
        await _do(a, EDIT, id=said[0], content="giraffe now", metadata={"at": "now"})
        await _do(a, EDIT, id=said[0], content="giraffe later")
        await _do(a, EDIT, id=said[1], content="edited now", metadata=None)
        await _do(a, REACT, id=said[0], emoji="❤️")
        await _do(c, TAKE_BACK, id=said[0], emoji="🎉")
        await _do(c, TAKE_BACK, id=own, emoji="🎉")
        await _do(a, REACT, id=own, emoji="❤️")
        await _do(a, REACT, id=reply, emoji="❤️")
        await _do(a, CHANGES["update"], id=group, title="Now", avatar=pictures[1], earlier=True)
        await _do(a, SEND, group=group, content="unheard")

        assert await _ways(b, group, said[0], reply) == then
        assert (
            await _do(b, f"query($id: ID) {{ conversation(id: $id) {GROUP} }}", id=group) == shown
        )
        listed = _nodes(await _do(b, f"{{ conversations(first: 3) {{ nodes {GROUP} }} }}"))
        assert listed == [shown]
        # A retry, and a reaction that is there already, show nothing newer.
        retried = await _do(b, SEND, group=group, content="own", key="k")
        assert [retried] == [m for m in then["messages"] if m["id"] == own]
        refused = await b.execute(REACT, {"id": said[0], "emoji": "👍"})
        assert refused["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        # Those who are in see what is now.
        now = await _ways(c, group, said[0], reply)
        assert [m["content"] for m in now["of one"]][:2] == ["giraffe later", "edited now"]
        assert [r["emoji"] for r in now["message"][0]["reactions"]] == ["👍", "❤️"]

        # Live and again: from memory.
        await _do(a, "mutation($to: ID!) { sendMessage(receiverId: $to, content: \"end\") { id } }",
                  to=str(leaver.id))  # fmt: skip
        by_id = {m["id"]: m for m in then["messages"]}
        heard = await _replayed(b, EVENTS, cursor, "end")
        told = [e["message"] for e in heard if "message" in e][:-1]
        assert told == [by_id[m["id"]] for m in told]
        assert len(told) == 5 + 1 + 4
        titles = [e["conversation"]["title"] for e in heard if "conversation" in e]
        assert titles == ["Then", "Then"]
        added = (await _replayed(b, ADDED, start, "end"))[:-1]
        assert added == then["of one"]
        await b.subscribe("quoted", QUOTED, {"after": said[-1]})
        quoted = [
            (await b.expect(id="quoted"))["payload"]["data"]["messageAdded"] for _ in range(3)
        ]
        assert [m["replyTo"] for m in quoted if m["replyTo"]] == then["message"]


async def test_a_deletion_takes_the_content_from_those_too_who_have_left(
    chat: RunningServer,
) -> None:
    owner, leaver = [await new_account(chat) for _ in range(2)]
    async with open_socket(chat, owner) as a, open_socket(chat, leaver) as b:
        group = (await _do(a, CREATE, title="T", ids=[str(leaver.id)]))["id"]
        said = [
            (await _do(a, SEND, group=group, content=content, metadata={"at": 1}))["id"]
            for content in ("changed first", "untouched")
        ]
        reply = (await _do(a, SEND, group=group, content="reply", reply=said[0]))["id"]
        await _do(b, REACT, id=said[0], emoji="👍")
        await _do(a, CHANGES["remove"], id=group, user=str(leaver.id))
        await _do(a, EDIT, id=said[0], content="changed")
        await _do(a, REACT, id=said[0], emoji="❤️")
        before = await _ways(b, group, said[0], reply)
        assert before["message"][0]["content"] == "changed first"
        for id_ in said:
            await _do(a, DELETE, id=id_)
        after = await _ways(b, group, said[0], reply)
        for way, found in after.items():
            gone = [m for m in found if m["id"] in said]
            for m in gone:
                assert m["deletedAt"], way
                assert (m["content"], m["metadata"], m["reactions"], m["edits"]) == (
                    "",
                    None,
                    [],
                    None,
                )
                assert m["editedAt"] is None, way
        hit = await _do(b, '{ searchMessages(query: "changed") { edges { node { id } } } }')
        assert hit["edges"] == []
        unread = await _do(b, "query($id: ID) { conversation(id: $id) { unreadCount } }", id=group)
        assert unread["unreadCount"] == 1


async def test_who_comes_back_sees_what_is_now(chat: RunningServer) -> None:
    owner, leaver, second = [await new_account(chat) for _ in range(3)]
    async with (
        open_socket(chat, owner) as a,
        open_socket(chat, leaver) as b,
        open_socket(chat, second) as c,
    ):
        ids = [str(leaver.id), str(second.id)]
        group = (await _do(a, CREATE, title="1", ids=ids, earlier=True))["id"]
        id_ = (await _do(a, SEND, group=group, content="1"))["id"]
        one = "query($id: ID!) { message(id: $id) { content conversation { title } } }"

        async def seen(socket: Socket) -> tuple[str, str]:
            found = await _do(socket, one, id=id_)
            return found["content"], found["conversation"]["title"]

        for number, gone, socket in (("2", leaver, b), ("3", second, c)):
            await _do(a, CHANGES["remove"], id=group, user=str(gone.id))
            await _do(a, EDIT, id=id_, content=number)
            await _do(a, CHANGES["update"], id=group, title=number)
            assert await seen(socket) == (str(int(number) - 1),) * 2
        # Each of those who have left has what was theirs.
        assert [await seen(socket) for socket in (a, b, c)] == [("3", "3"), ("1", "1"), ("2", "2")]
        await _do(a, CHANGES["add"], id=group, users=ids[:1])
        assert [await seen(socket) for socket in (a, b, c)] == [("3", "3"), ("3", "3"), ("2", "2")]
        await _do(b, CHANGES["leave"], id=group)
        await _do(a, EDIT, id=id_, content="4")
        assert [await seen(socket) for socket in (a, b, c)] == [("4", "3"), ("3", "3"), ("2", "2")]
