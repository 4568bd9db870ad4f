"""Conversations through GraphQL: an app's first screen, one conversation, one's own settings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.schema.client import Message, Socket, open_socket
from tests.schema.test_subscriptions import send_many
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer
from tests.support.statements import statements_sent

FIELDS = """
  id globalId kind title unreadCount readUpTo deliveredUpTo mutedUntil archived pinned createdAt
  peer { id displayName } lastMessage { id content conversationId sender { displayName } }
  members { nodes { role user { id } } } marks { user { id } readUpTo deliveredUpTo }
  messages(last: 3) { nodes { id } pageInfo { hasPreviousPage } }
"""
LIST = f"""query($first: Int, $after: String, $archived: Boolean) {{
  page: conversations(first: $first, after: $after, archived: $archived) {{
    cursor edges {{ cursor node {{ id }} }} nodes {{ {FIELDS} }}
    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }} }}"""
ONE = f"query($id: ID, $with: ID) {{ conversation(id: $id, with: $with) {{ {FIELDS} }} }}"
UPDATE = """mutation($id: ID, $with: ID, $until: DateTime, $archived: Boolean, $pinned: Boolean) {
  updateConversation(conversationId: $id, with: $with, mutedUntil: $until, archived: $archived,
    pinned: $pinned) { id mutedUntil archived pinned } }"""
READ = """mutation($id: ID, $with: ID, $upTo: ID!) {
  markRead(conversationId: $id, with: $with, upTo: $upTo) { id readUpTo unreadCount } }"""
DELIVERED = "mutation($upTo: ID!) { markDelivered(upTo: $upTo) }"
RECEIPTS = "mutation($on: Boolean) { updateSettings(readReceipts: $on) { readReceipts } }"
EVENTS = """subscription($after: String) { events(after: $after) { __typename cursor conversationId
  ... on MarksMoved { userId readUpTo deliveredUpTo } } }"""
AROUND = """query($conversation: ID, $with: ID, $around: ID, $first: Int, $last: Int) {
  messages(conversation: $conversation, with: $with, around: $around, first: $first, last: $last) {
    nodes { id } pageInfo { hasPreviousPage hasNextPage } } }"""


async def page_of(socket: Socket, **asked: Any) -> Message:
    """Return a page of the viewer's conversations."""
    result = await socket.execute(LIST, asked)
    assert "errors" not in result, result
    page: Message = result["data"]["page"]
    ids = [node["id"] for node in page["nodes"]]
    assert [edge["node"]["id"] for edge in page["edges"]] == ids
    cursors = [edge["cursor"] for edge in page["edges"]] or [None]
    info = page["pageInfo"]
    assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
    return page


async def conversation_with(socket: Socket, other: Account) -> Message:
    """Return the viewer's conversation with somebody."""
    found = (await socket.execute(ONE, {"with": str(other.id)}))["data"]["conversation"]
    conversation: Message = found
    return conversation


async def code_of(socket: Socket, query: str, variables: Message) -> str:
    """Return the code of a refusal."""
    result = await socket.execute(query, variables)
    [error] = result["errors"]
    return str(error["extensions"]["code"])


async def test_the_first_screen_lists_the_latest_first(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat, n) for n in ("Alice", "Bob", "Carol")]
    async with (
        open_socket(chat, alice) as a,
        open_socket(chat, bob) as b,
        open_socket(chat, carol) as c,
    ):
        first = await send_many(b, ["one", "two"], alice.id)
        second = await send_many(c, ["three"], alice.id)
        [own] = await send_many(a, ["four"], bob.id)
        page = await page_of(a)
        with_bob, with_carol = page["nodes"]
        assert [node["peer"]["displayName"] for node in page["nodes"]] == ["Bob", "Carol"]
        assert with_bob["kind"] == "DIRECT"
        assert with_bob["title"] is None
        last = with_bob["lastMessage"]
        assert (last["id"], last["content"]) == (own, "four")
        assert last["conversationId"] == with_bob["id"]
        assert last["sender"]["displayName"] == "Alice"
        assert (with_bob["unreadCount"], with_carol["unreadCount"]) == (2, 1)
        assert (with_bob["readUpTo"], with_bob["mutedUntil"]) == (None, None)
        assert (with_bob["archived"], with_bob["pinned"]) == (False, False)
        assert {m["user"]["id"] for m in with_bob["members"]["nodes"]} == {
            str(alice.id),
            str(bob.id),
        }
        assert [m["user"]["id"] for m in with_bob["marks"]] == [str(bob.id)]
        assert [m["id"] for m in with_bob["messages"]["nodes"]] == [*first, own]
        assert [m["id"] for m in with_carol["messages"]["nodes"]] == second
        assert page["pageInfo"]["hasNextPage"] is False
        # The same thing by every door.
        assert await conversation_with(a, bob) == with_bob
        by_id = await a.execute(ONE, {"id": with_bob["id"]})
        assert by_id["data"]["conversation"] == with_bob
        node = "query($id: ID!) { node(id: $id) { ... on Conversation { id unreadCount } } }"
        found = (await a.execute(node, {"id": with_bob["globalId"]}))["data"]["node"]
        assert found == {"id": with_bob["id"], "unreadCount": 2}
        of = "query($id: ID!) { message(id: $id) { conversation { id peer { id } } } }"
        found = (await a.execute(of, {"id": own}))["data"]["message"]["conversation"]
        assert found == {"id": with_bob["id"], "peer": {"id": str(bob.id)}}


async def test_the_cursor_of_the_list_gives_what_comes_after_it(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as a, open_socket(chat, bob) as b:
        await send_many(b, ["before"], alice.id)
        page = await page_of(a)
        info = (await a.execute("{ serverInfo { cursor epoch } }"))["data"]["serverInfo"]
        assert page["cursor"] == f"{info['epoch'][:12]}-{info['cursor']}"
        assert page["cursor"].endswith(f"-{page['nodes'][0]['lastMessage']['id']}")


async def test_pages_go_on_from_their_cursors_and_pinned_ones_come_first(
    chat: RunningServer,
) -> None:
    alice, *others = [await new_account(chat) for _ in range(6)]
    async with open_socket(chat, alice) as a:
        for other in others:
            await send_many(a, ["hello"], other.id)
        everything = [node["id"] for node in (await page_of(a))["nodes"]]
        assert len(everything) == 5
        for pinned in (everything[3], everything[4]):
            await a.execute(UPDATE, {"id": pinned, "pinned": True})
        wanted = [everything[3], everything[4], *everything[:3]]
        for size in (1, 2, 3, 5):
            listed: list[str] = []
            after, more = None, True
            while more:
                page = await page_of(a, first=size, after=after)
                listed += [node["id"] for node in page["nodes"]]
                after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
                assert page["pageInfo"]["hasPreviousPage"] == (len(listed) > size)
            assert listed == wanted
        assert (await page_of(a, first=0))["nodes"] == []
        for asked in (
            {"first": -1},
            {"first": 201},
            {"after": "x"},
            {"after": "5"},
            {"after": "cGxhY2U6MTow" * 9},
        ):
            lean = LIST.replace(FIELDS, "id")
            assert await code_of(a, lean, asked) == "BAD_USER_INPUT"


async def test_what_is_archived_is_listed_apart(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with open_socket(chat, alice) as a, open_socket(chat, bob) as b:
        for other in (bob, carol):
            await send_many(a, ["hello"], other.id)
        answer = await a.execute(UPDATE, {"with": str(bob.id), "archived": True})
        changed = answer["data"]["updateConversation"]
        assert changed["archived"] is True
        assert [node["peer"]["id"] for node in (await page_of(a))["nodes"]] == [str(carol.id)]
        archived = (await page_of(a, archived=True))["nodes"]
        assert [node["id"] for node in archived] == [changed["id"]]
        # It stays there when something comes, and the other person sees nothing of it.
        await send_many(b, ["news"], alice.id)
        assert [n["unreadCount"] for n in (await page_of(a, archived=True))["nodes"]] == [1]
        assert (await conversation_with(b, alice))["archived"] is False


async def test_a_mute_ends_by_itself_or_by_null(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    async with open_socket(chat, alice) as a:
        await send_many(a, ["hello"], bob.id)
        asked: Message = {"with": str(bob.id)}

        async def mute(**more: Any) -> Any:
            result = await a.execute(UPDATE, asked | more)
            return result["data"]["updateConversation"]["mutedUntil"]

        shown = later.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        assert await mute(until=later.isoformat()) == shown
        assert await mute(until=later.astimezone().isoformat()) == shown
        assert await mute(pinned=True) == shown  # left out: it stays
        assert await mute(until="2020-01-01T00:00:00Z") is None
        assert await mute(until="9999-12-31T23:59:59Z") == "9999-12-31T23:59:59.000000Z"
        assert await mute(until=None) is None
        bad: tuple[Any, ...] = (
            "",
            "tomorrow",
            5,
            True,
            [],
            "2026-01-01",
            "9999-12-31T23:59:59-23:00",
        )
        for until in bad:
            await a.subscribe("bad", UPDATE, asked | {"until": until})
            refused = await a.expect(id="bad")
            assert refused["type"] == "error", until
            assert refused["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_messages_around_one_of_them(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with open_socket(chat, alice) as a, open_socket(chat, carol) as c:
        ids = await send_many(a, [f"m{n}" for n in range(9)], bob.id)
        [other] = await send_many(a, ["other"], carol.id)
        conversation = (await conversation_with(a, bob))["id"]

        async def around(id_: str, **asked: Any) -> tuple[list[str], bool, bool]:
            result = await a.execute(AROUND, {"around": id_, **asked})
            page = result["data"]["messages"]
            info = page["pageInfo"]
            nodes = [node["id"] for node in page["nodes"]]
            return nodes, info["hasPreviousPage"], info["hasNextPage"]

        for asked in ({"conversation": conversation}, {"with": str(bob.id)}):
            assert await around(ids[4], first=5, **asked) == (ids[2:7], True, True)
            assert await around(ids[4], last=4, **asked) == (ids[2:6], True, True)
            assert await around(ids[4], first=1, **asked) == ([ids[4]], True, True)
            assert await around(ids[0], first=5, **asked) == (ids[0:3], False, True)
            assert await around(ids[8], first=5, **asked) == (ids[6:9], True, False)
            assert await around(ids[4], **asked) == (ids, False, False)
        assert (await around(other, first=3))[0] == [ids[8], other]
        page = await a.execute(AROUND, {"conversation": conversation, "last": 2})
        assert [n["id"] for n in page["data"]["messages"]["nodes"]] == ids[-2:]
        for asked in (
            {"around": other, "conversation": conversation},
            {"around": "99999999"},
            {"around": "x"},
            {"conversation": "99999999"},
            {"conversation": "x"},
        ):
            assert await code_of(a, AROUND, asked) == "NOT_FOUND"
        both = {"conversation": conversation, "with": str(bob.id)}
        assert await code_of(a, AROUND, both) == "BAD_USER_INPUT"
        # Somebody else's is as missing.
        assert await code_of(c, AROUND, {"conversation": conversation}) == "NOT_FOUND"
        assert await code_of(c, AROUND, {"around": ids[4]}) == "NOT_FOUND"


async def test_a_conversation_of_others_is_as_missing(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with open_socket(chat, alice) as a, open_socket(chat, carol) as c:
        await send_many(a, ["secret"], bob.id)
        theirs = await conversation_with(a, bob)
        for id_ in (theirs["id"], "99999999", "0", "x", "-1", "9" * 40):
            assert (await c.execute(ONE, {"id": id_}))["data"]["conversation"] is None
            assert await code_of(c, UPDATE, {"id": id_, "pinned": True}) == "NOT_FOUND"
        assert (await c.execute(ONE, {"with": str(alice.id)}))["data"]["conversation"] is None
        assert await code_of(c, UPDATE, {"with": str(alice.id), "pinned": True}) == "NOT_FOUND"
        node = "query($id: ID!) { node(id: $id) { id } }"
        assert (await c.execute(node, {"id": theirs["globalId"]}))["data"]["node"] is None
        for query in (ONE, UPDATE):
            assert await code_of(a, query, {}) == "BAD_USER_INPUT"
            both = {"id": theirs["id"], "with": str(bob.id)}
            assert await code_of(a, query, both) == "BAD_USER_INPUT"


async def test_the_conversation_of_everybody_is_everybodys(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as a, open_socket(chat, bob) as b:
        assert (await page_of(a))["nodes"] == []  # nothing was sent since they came
        [sent] = await send_many(b, ["to all"])
        [node] = (await page_of(a))["nodes"]
        assert (node["id"], node["kind"], node["peer"]) == ("1", "EVERYBODY", None)
        assert (node["lastMessage"]["id"], node["unreadCount"]) == (sent, 1)
        assert (node["members"]["nodes"], node["marks"]) == ([], [])
        assert [m["id"] for m in node["messages"]["nodes"]] == [sent]
        page = await a.execute(AROUND, {"conversation": "1"})
        assert [n["id"] for n in page["data"]["messages"]["nodes"]] == [sent]
        await a.execute(UPDATE, {"id": "1", "archived": True, "pinned": True})
        assert (await page_of(a))["nodes"] == []
        assert [n["id"] for n in (await page_of(a, archived=True))["nodes"]] == ["1"]
        assert [n["id"] for n in (await page_of(b))["nodes"]] == ["1"]
        # A broadcast of somebody apart is not there.
        block = f"mutation {{ blockUser(id: {bob.id}) {{ id }} }}"
        await a.execute(block)
        assert (await page_of(a, archived=True))["nodes"] == []
        [own] = await send_many(a, ["mine"])
        [node] = (await page_of(a, archived=True))["nodes"]
        assert (node["lastMessage"]["id"], node["unreadCount"]) == (own, 0)
        assert [m["id"] for m in node["messages"]["nodes"]] == [own]


async def test_a_blocked_peer_stays_listed(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat, "Bob")
    async with open_socket(chat, alice) as a:
        await send_many(a, ["hello"], bob.id)
        await a.execute(f"mutation {{ blockUser(id: {bob.id}) {{ id }} }}")
        [node] = (await page_of(a))["nodes"]
        assert node["peer"]["displayName"] == "Bob"
        assert node["lastMessage"]["content"] == "hello"


async def test_notes_to_oneself_are_a_conversation_without_unread(chat: RunningServer) -> None:
    alice = await new_account(chat)
    async with open_socket(chat, alice) as a:
        await send_many(a, ["remember"], alice.id)
        [node] = (await page_of(a))["nodes"]
        assert node["peer"]["id"] == str(alice.id)
        assert (node["unreadCount"], node["marks"]) == (0, [])
        assert len(node["members"]["nodes"]) == 1


@pytest.mark.parametrize("number", [2, 9])
async def test_a_page_costs_as_many_statements_whatever_its_size(
    chat: RunningServer, number: int
) -> None:
    alice, *others = [await new_account(chat) for _ in range(1 + number)]
    async with open_socket(chat, alice) as a:
        for other in others:
            async with open_socket(chat, other) as b:
                await send_many(b, ["one", "two"], alice.id)
        with statements_sent() as sent:
            assert len((await page_of(a))["nodes"]) == number
    assert len(sent) <= 12, [sql for sql, _ in sent]


async def test_strangers_are_told_to_log_in(chat: RunningServer) -> None:
    async with open_socket(chat, None) as socket:
        for query in (LIST, ONE, UPDATE, AROUND):
            assert await code_of(socket, query, {}) == "UNAUTHENTICATED"


async def test_marks_are_seen_live_and_in_queries(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as a, open_socket(chat, bob) as b:
        ids = await send_many(a, ["one", "two", "three"], bob.id)
        page = await page_of(a)
        await a.subscribe("events", EVENTS, {"after": page["cursor"]})
        [listed] = page["nodes"]
        assert listed["marks"] == [
            {"user": {"id": str(bob.id)}, "readUpTo": None, "deliveredUpTo": None}
        ]
        assert (await b.execute(DELIVERED, {"upTo": ids[2]}))["data"]["markDelivered"] is True
        assert (await b.execute(DELIVERED, {"upTo": ids[1]}))["data"]["markDelivered"] is False
        read = (await b.execute(READ, {"with": str(alice.id), "upTo": ids[1]}))["data"]["markRead"]
        assert read == {"id": listed["id"], "readUpTo": ids[1], "unreadCount": 1}

        async def next_event() -> Message:
            answer = await a.expect(id="events", type="next")
            event: Message = answer["payload"]["data"]["events"]
            del event["cursor"]
            return event

        moved = {"__typename": "MarksMoved", "userId": str(bob.id)}
        assert await next_event() == moved | {
            "conversationId": None,
            "readUpTo": None,
            "deliveredUpTo": ids[2],
        }
        assert await next_event() == moved | {
            "conversationId": listed["id"],
            "readUpTo": ids[1],
            "deliveredUpTo": None,
        }
        [listed] = (await page_of(a))["nodes"]
        assert listed["marks"] == [
            {"user": {"id": str(bob.id)}, "readUpTo": ids[1], "deliveredUpTo": ids[2]}
        ]
        mine = await conversation_with(b, alice)
        assert (mine["readUpTo"], mine["deliveredUpTo"]) == (ids[1], ids[2])
        assert (await a.execute("{ settings { readReceipts } }"))["data"]["settings"] == {
            "readReceipts": True
        }
        off = (await a.execute(RECEIPTS, {"on": False}))["data"]["updateSettings"]
        assert off == {"readReceipts": False}
        assert (await next_event())["__typename"] == "SettingsChanged"
        await b.execute(READ, {"with": str(alice.id), "upTo": ids[2]})
        await a.execute(UPDATE, {"with": str(bob.id), "pinned": True})
        # Nothing of the mark in between.
        assert await next_event() == {
            "__typename": "SettingsChanged",
            "conversationId": listed["id"],
        }
        [mark] = (await conversation_with(a, bob))["marks"]
        assert (mark["readUpTo"], mark["deliveredUpTo"]) == (None, ids[2])


async def test_marks_of_nothing_are_refused(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with open_socket(chat, alice) as a, open_socket(chat, carol) as c:
        [sent] = await send_many(a, ["secret"], bob.id)
        theirs = (await conversation_with(a, bob))["id"]
        for id_ in (theirs, "99999999", "x"):
            assert await code_of(c, READ, {"id": id_, "upTo": sent}) == "NOT_FOUND"
        assert await code_of(c, READ, {"with": str(alice.id), "upTo": sent}) == "NOT_FOUND"
        assert await code_of(a, READ, {"upTo": sent}) == "BAD_USER_INPUT"
        for upto in ("", "x", "-1", "0", "9" * 30):
            assert await code_of(a, READ, {"id": theirs, "upTo": upto}) == "BAD_USER_INPUT"
            assert await code_of(a, DELIVERED, {"upTo": upto}) == "BAD_USER_INPUT"
    async with open_socket(chat, None) as socket:
        assert await code_of(socket, READ, {"id": theirs, "upTo": sent}) == "UNAUTHENTICATED"
        assert await code_of(socket, DELIVERED, {"upTo": sent}) == "UNAUTHENTICATED"
        assert await code_of(socket, RECEIPTS, {"on": False}) == "UNAUTHENTICATED"
        assert await code_of(socket, "{ settings { readReceipts } }", {}) == "UNAUTHENTICATED"
