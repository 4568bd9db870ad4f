"""Groups through GraphQL: begin one, write in it, change it; and what the older wires see of it."""

from typing import Any

import httpx
import pytest

from tests.schema.client import Message, Socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

MISSING = str(2**40)
FIELDS = """ { id kind title showsEarlier role unreadCount peer { id } avatar { id url }
  lastMessage { content receiverId conversationId } members { nodes { role joinedAt user { id } } }
  } """
CREATE = f"""mutation($title: String!, $ids: [ID!]!, $earlier: Boolean, $avatar: ID) {{
  createGroup(title: $title, memberIds: $ids, showsEarlier: $earlier, avatarId: $avatar)
  {FIELDS} }}"""
ONE = f"query($id: ID) {{ conversation(id: $id) {FIELDS} }}"
SEND = """mutation($id: ID, $content: String, $attachment: ID, $key: String) { sendMessage(
  conversationId: $id, content: $content, attachmentId: $attachment, clientMessageId: $key) {
  id receiverId conversationId conversation { kind } attachment { id url } } }"""
CHANGES = {
    "update": """mutation($id: ID!, $title: String, $avatar: ID, $earlier: Boolean, $none: Boolean)
      { updateGroup(conversationId: $id, title: $title, avatarId: $avatar, showsEarlier: $earlier,
      removeAvatar: $none)"""
    + FIELDS
    + "}",
    "add": "mutation($id: ID!, $users: [ID!]!) { addMembers(conversationId: $id, userIds: $users)"
    + FIELDS
    + "}",
    "remove": "mutation($id: ID!, $user: ID!) { removeMember(conversationId: $id, userId: $user)"
    + FIELDS
    + "}",
    "leave": "mutation($id: ID!) { leaveGroup(conversationId: $id)" + FIELDS + "}",
    "role": "mutation($id: ID!, $user: ID!, $role: MemberRole!) { setRole(conversationId: $id,"
    " userId: $user, role: $role)" + FIELDS + "}",
}
LIVE = "subscription { messageAdded { content conversationId receiverId } }"
# A picture of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cf"
    "c0000003010100c9fe92ef0000000049454e44ae426082"
)


async def _do(socket: Socket, query: str, **variables: Any) -> Any:
    result = await socket.execute(query, variables)
    assert "errors" not in result, result
    [value] = result["data"].values()
    return value


async def _error(socket: Socket, query: str, **variables: Any) -> tuple[str, str]:
    [error] = (await socket.execute(query, variables))["errors"]
    return error["extensions"]["code"], error["message"]


def _bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"}


async def _upload(chat: RunningServer, account: Account, name: str, data: bytes) -> str:
    async with httpx.AsyncClient(base_url=chat.url, headers=_bearer(account)) as http:
        answer = await http.post("/api/uploads", files={"f": (name, data)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def _roles(group: Message) -> dict[str, str]:
    return {node["user"]["id"]: node["role"] for node in group["members"]["nodes"]}


async def test_a_group_is_a_conversation_of_its_members(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat, n) for n in ("Alice", "Bob", "Carol")]
    ids = [str(person.id) for person in (alice, bob, carol)]
    picture = await _upload(chat, alice, "a.png", PNG)
    async with (
        open_socket(chat, alice) as a,
        open_socket(chat, bob) as b,
        open_socket(chat, carol) as c,
    ):
        for socket in (b, c):
            await socket.subscribe("live", LIVE)
        group = await _do(a, CREATE, title=" Us  all ", ids=[ids[1]], avatar=picture)
        assert (group["kind"], group["title"], group["peer"]) == ("GROUP", "Us all", None)
        assert (group["role"], group["showsEarlier"]) == ("OWNER", False)
        assert _roles(group) == {ids[0]: "OWNER", ids[1]: "MEMBER"}
        assert group["members"]["nodes"][0]["joinedAt"].endswith("Z")
        assert group["avatar"]["id"] == picture
        id_ = group["id"]

        sent = await _do(a, SEND, id=id_, content="one", key="k")
        assert (sent["receiverId"], sent["conversationId"]) == (None, id_)
        assert sent["conversation"]["kind"] == "GROUP"
        assert (await _do(a, SEND, id=id_, content="one", key="k"))["id"] == sent["id"]
        heard = (await b.expect(id="live"))["payload"]["data"]["messageAdded"]
        assert heard == {"content": "one", "conversationId": id_, "receiverId": None}

        seen = await _do(b, ONE, id=id_)
        assert (seen["role"], seen["unreadCount"], seen["lastMessage"]["content"]) == (
            *("MEMBER", 1, "one"),
        )
        listed = await b.execute("{ conversations { nodes { id kind unreadCount } } }", {})
        assert listed["data"]["conversations"]["nodes"][0] == {
            "id": id_, "kind": "GROUP", "unreadCount": 1,
        }  # fmt: skip
        assert await _do(c, ONE, id=id_) is None

        group = await _do(a, CHANGES["add"], id=id_, users=[ids[2]])
        await _do(a, SEND, id=id_, content="two")
        heard = (await c.expect(id="live"))["payload"]["data"]["messageAdded"]
        assert heard["content"] == "two"
        group = await _do(a, CHANGES["role"], id=id_, user=ids[2], role="ADMIN")
        assert _roles(group) == {ids[0]: "OWNER", ids[1]: "MEMBER", ids[2]: "ADMIN"}
        group = await _do(c, CHANGES["update"], id=id_, title="Ours", earlier=True, none=True)
        assert (group["title"], group["showsEarlier"], group["avatar"]) == ("Ours", True, None)
        group = await _do(c, CHANGES["remove"], id=id_, user=ids[1])
        assert _roles(group) == {ids[0]: "OWNER", ids[2]: "ADMIN"}
        group = await _do(a, CHANGES["leave"], id=id_)
        assert (group["role"], group["members"]["nodes"]) == (None, [])
        assert _roles(await _do(c, ONE, id=id_)) == {ids[2]: "OWNER"}


async def test_another_group_answers_like_one_that_is_not_there(chat: RunningServer) -> None:
    alice, mallory = await new_account(chat, "Alice"), await new_account(chat, "Mallory")
    mine, hers = await _upload(chat, mallory, "a.png", PNG), await _upload(chat, alice, "a", b"x")
    async with open_socket(chat, alice) as a, open_socket(chat, mallory) as m:
        id_ = (await _do(a, CREATE, title="Us", ids=[]))["id"]
        user = str(mallory.id)
        asked: list[tuple[str, Message]] = [
            (SEND, {"content": "x"}),
            (CHANGES["update"], {"title": "x", "avatar": mine}),
            (CHANGES["add"], {"users": [user]}),
            (CHANGES["remove"], {"user": str(alice.id)}),
            (CHANGES["leave"], {}),
            (CHANGES["role"], {"user": user, "role": "OWNER"}),
        ]
        for query, variables in asked:
            hidden = await _error(m, query, id=id_, **variables)
            assert hidden == await _error(m, query, id=MISSING, **variables), query
            assert hidden == ("NOT_FOUND", "Conversation not found")
        for avatar in (mine, MISSING):
            refused = await _error(a, CHANGES["update"], id=id_, avatar=avatar)
            assert refused == ("NOT_FOUND", "Attachment not found")
        refused = await _error(a, CHANGES["update"], id=id_, avatar=hers)
        assert refused == ("BAD_USER_INPUT", "The picture of a group must be an image")
        for people in (MISSING, "x", "-1", ""):
            assert await _error(a, CHANGES["add"], id=id_, users=[people]) == (
                *("NOT_FOUND", "User not found"),
            )
            assert (await _error(a, CHANGES["remove"], id=id_, user=people))[0] == "NOT_FOUND"
        many = [str(number) for number in range(10, 1900)]
        assert (await _error(a, CREATE, title="x", ids=many))[0] == "BAD_USER_INPUT"


async def test_the_older_wires_know_no_group(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    attachment = await _upload(chat, alice, "a.txt", b"secret")
    async with (
        open_socket(chat, alice) as a,
        open_socket(chat, bob) as b,
        httpx.AsyncClient(base_url=chat.url, headers=_bearer(bob)) as http,
    ):
        id_ = (await _do(a, CREATE, title="Us", ids=[str(bob.id)]))["id"]
        sent = await _do(a, SEND, id=id_, attachment=attachment)
        query = "query($id: ID!) { message(id: $id) { attachment { url } } }"
        url = (await _do(b, query, id=sent["id"]))["attachment"]["url"]
        assert (await http.get(url)).content == b"secret"
        query = "query($id: ID!) { attachment(id: $id) { filename } }"
        assert (await _do(b, query, id=attachment))["filename"] == "a.txt"
        assert (await http.get(f"/files/{attachment}")).status_code == 404
        for path in ("/api/messages", "/api/message/all-message"):
            for more in ("", "?after=0&limit=50", "?limit=50"):
                rows = (await http.get(path + more)).json()
                assert sent["id"] not in {str(row["id"]) for row in rows}
        # Who was removed cannot open what comes after.
        await _do(a, CHANGES["remove"], id=id_, user=str(bob.id))
        later = await _upload(chat, alice, "b.txt", b"later")
        await _do(a, SEND, id=id_, attachment=later)
        assert await _do(b, query, id=attachment)
        assert (await _do(b, query, id=later)) is None


@pytest.mark.parametrize("title", ["", " ", "x" * 101, "a\x00b", "\u200b"])
async def test_a_title_must_be_one(chat: RunningServer, title: str) -> None:
    alice = await new_account(chat, "Alice")
    async with open_socket(chat, alice) as a:
        assert (await _error(a, CREATE, title=title, ids=[]))[0] == "BAD_USER_INPUT"
