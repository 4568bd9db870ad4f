"""Reactions in GraphQL: counts, people, and one's own."""

import pytest

from tests.schema.client import open_socket
from tests.schema.test_edits import call, code
from tests.support.faces import new_account
from tests.support.server import RunningServer
from tests.support.statements import statements_sent

REACTIONS = "reactions { emoji count mine users(first: 3) { id } }"
SEND = f'mutation($to: ID) {{ sendMessage(receiverId: $to, content: "x") {{ id {REACTIONS} }} }}'
ADD = (
    "mutation($id: ID!, $emoji: String!) { addReaction(messageId: $id, emoji: $emoji)"
    f" {{ id {REACTIONS} }} }}"
)
REMOVE = ADD.replace("addReaction", "removeReaction")
PAGE = f"{{ messages(last: 50) {{ nodes {{ id {REACTIONS} }} }} }}"


async def test_reactions_are_shown_to_each_with_their_own(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as one, open_socket(chat, bob) as other:
        sent = await call(one, SEND, to=bob.id)
        assert sent["reactions"] == []
        await call(one, ADD, id=sent["id"], emoji="👍")
        await call(other, ADD, id=sent["id"], emoji="❤")
        answer = await call(other, ADD, id=sent["id"], emoji="👍")
        people = [{"id": str(alice.id)}, {"id": str(bob.id)}]
        assert answer["reactions"] == [
            {"emoji": "👍", "count": 2, "mine": True, "users": people},
            {"emoji": "❤️", "count": 1, "mine": True, "users": people[1:]},
        ]
        mine = (await call(one, PAGE))["nodes"][-1]["reactions"]
        assert [(each["emoji"], each["mine"]) for each in mine] == [("👍", True), ("❤️", False)]
        answer = await call(other, REMOVE, id=sent["id"], emoji="👍")
        assert answer["reactions"][0] == {
            "emoji": "👍", "count": 1, "mine": False, "users": people[:1],
        }  # fmt: skip
        # A replay shows them too.
        query = f"subscription($after: ID) {{ messageAdded(after: $after) {{ id {REACTIONS} }} }}"
        await one.subscribe("s", query, {"after": str(int(sent["id"]) - 1)})
        event = await one.expect(id="s", type="next")
        shown = event["payload"]["data"]["messageAdded"]["reactions"]
        assert [(each["emoji"], each["mine"]) for each in shown] == [("👍", True), ("❤️", False)]


async def test_refusals_have_their_codes(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as one, open_socket(chat, bob) as other:
        sent = (await call(one, SEND, to=alice.id))["id"]
        for query in (ADD, REMOVE):
            assert await code(other, query, id=sent, emoji="👍") == "NOT_FOUND"
            assert await code(one, query, id=str(2**40), emoji="👍") == "NOT_FOUND"
            assert await code(one, query, id="x", emoji="👍") == "NOT_FOUND"
            assert await code(one, query, id=sent, emoji="no") == "BAD_USER_INPUT"
    async with open_socket(chat, None) as stranger:
        assert await code(stranger, ADD, id="x", emoji="") == "UNAUTHENTICATED"


async def test_a_page_costs_a_constant_number_of_statements(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as one, open_socket(chat, bob) as other:
        sent = [(await call(one, SEND, to=bob.id))["id"] for _ in range(6)]
        with statements_sent() as ran:
            await call(one, PAGE)
        assert len(ran) == 1  # nobody has reacted: nobody looks
        for id_ in sent:
            for emoji in ("👍", "🎉", "❤️"):
                await call(one, ADD, id=id_, emoji=emoji)
                await call(other, ADD, id=id_, emoji=emoji)
        with statements_sent() as ran:
            nodes = (await call(one, PAGE))["nodes"]
        assert [len(node["reactions"]) for node in nodes] == [3] * 6
        assert len(ran) == 3  # the page, its reactions, and their users


async def test_whether_one_reacted_is_known_where_many_did(chat: RunningServer) -> None:
    people = [await new_account(chat) for _ in range(23)]
    sent = None
    for person in people:
        async with open_socket(chat, person) as socket:
            sent = sent or (await call(socket, SEND))["id"]
            if person is not people[1]:
                answer = await call(socket, ADD, id=sent, emoji="👍")
                assert answer["reactions"][0]["mine"]
    assert sent is not None
    for person, mine in ((people[1], False), (people[0], True), (people[-1], True)):
        async with open_socket(chat, person) as socket:
            query = f"{{ message(id: {sent}) {{ {REACTIONS} }} }}"
            [reaction] = (await call(socket, query))["reactions"]
            assert (reaction["count"], reaction["mine"]) == (22, mine)
            assert reaction["users"] == [{"id": str(people[n].id)} for n in (0, 2, 3)]


async def test_a_block_hides_people_beside_a_broadcasts_reactions(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with (
        open_socket(chat, alice) as one,
        open_socket(chat, bob) as other,
        open_socket(chat, carol) as reader,
    ):
        sent = (await call(one, SEND))["id"]
        for socket in (one, other):
            await call(socket, ADD, id=sent, emoji="👍")
        await call(reader, "mutation($id: ID!) { blockUser(id: $id) { id } }", id=bob.id)
        [reaction] = (await call(reader, PAGE))["nodes"][-1]["reactions"]
        assert reaction["count"] == 2
        assert reaction["users"] == [{"id": str(alice.id)}]


@pytest.mark.parametrize(("last", "refused"), [(200, False), (140, False), (141, True)])
async def test_a_page_of_reactions_has_its_cost(
    chat: RunningServer, last: int, refused: bool
) -> None:
    alice = await new_account(chat)
    people = "" if last == 200 else "users { id displayName }"
    query = (
        f"{{ messages(last: {last}) {{ nodes {{ reactions {{ emoji count mine {people} }} }} }} }}"
    )
    async with open_socket(chat, alice) as socket:
        await socket.subscribe("s", query)
        # Five reactions a message, five people each: 1 + 5 * (3 + 1 + 5 * 2).
        assert (await socket.expect(id="s"))["type"] == ("error" if refused else "next")
