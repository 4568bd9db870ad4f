"""Reading back through GraphQL: pages, searches, doors, and what a page costs the database."""

import itertools
from base64 import urlsafe_b64encode
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from schema.pagination import cursor_of
from tests.schema.client import Message, Socket, open_socket
from tests.schema.test_subscriptions import send_many
from tests.support.faces import PASSWORD, Account, new_account
from tests.support.server import RunningServer, running_server
from tests.support.statements import statements_sent

PAGE = """{
  edges { cursor node { id } } nodes { id }
  pageInfo { hasPreviousPage hasNextPage startCursor endCursor }
}"""
MESSAGES = f"""
query($with: ID, $first: Int, $after: String, $last: Int, $before: String) {{
  page: messages(with: $with, first: $first, after: $after, last: $last, before: $before) {PAGE}
}}"""
USERS = f"""
query($search: String, $first: Int, $after: String) {{
  page: users(search: $search, first: $first, after: $after) {PAGE}
}}"""
LOGIN = """
mutation($e: String!, $p: String!) { login(email: $e, password: $p) { user { id email } } }"""
ADDRESSES = """
query($id: ID!) {
  me { email } user(id: $id) { email } onlineUsers { id email }
  messages(with: $id) { nodes { sender { email } receiver { email } } }
}"""


async def read_page(
    socket: Socket, query: str, variables: Message
) -> tuple[list[str], tuple[bool, bool]]:
    """Return the ids of a page, and whether there is more before and after it."""
    page = (await socket.execute(query, variables))["data"]["page"]
    ids = [node["id"] for node in page["nodes"]]
    assert [edge["node"]["id"] for edge in page["edges"]] == ids
    cursors = [edge["cursor"] for edge in page["edges"]] or [None]
    info = page["pageInfo"]
    assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
    return ids, (info["hasPreviousPage"], info["hasNextPage"])


async def refusal_code(socket: Socket, query: str, variables: Message) -> str:
    result = await socket.execute(query, variables)
    assert result["data"] is None
    [error] = result["errors"]
    assert error["path"] == ["page"]
    code: str = error["extensions"]["code"]
    return code


async def test_a_page_of_messages_asks_for_all_of_its_users_at_once(chat: RunningServer) -> None:
    alice, *others = [await new_account(chat) for _ in range(6)]
    for other in others:
        async with open_socket(chat, other) as sender:
            await send_many(sender, ["one", "two"], alice.id)
    fields = "nodes { sender { displayName } receiver { displayName } }"
    async with open_socket(chat, alice) as socket:
        with statements_sent() as sent:
            result = await socket.execute(f"{{ messages(last: 10) {{ {fields} }} }}")
        assert len(result["data"]["messages"]["nodes"]) == 10
        assert ["users" if "users" in sql else "messages" for sql, _ in sent] == [
            "messages",
            "users",
        ]
        ids = [other.id for other in others]
        aliases = " ".join(f"u{id_}: user(id: {id_}) {{ displayName }}" for id_ in ids)
        with statements_sent() as sent:
            assert len((await socket.execute(f"{{ {aliases} }}"))["data"]) == len(ids)
        assert len(sent) == 1


# The arguments, by places in a history of seven; what comes; more before it? more after it?
PAGES: list[tuple[dict[str, int], range, bool, bool]] = [
    ({}, range(7), False, False),
    ({"first": 3}, range(3), False, True),
    ({"first": 7}, range(7), False, False),
    ({"first": 8}, range(7), False, False),
    ({"first": 0}, range(0), False, True),
    ({"first": 3, "after": 2}, range(3, 6), True, True),
    ({"first": 3, "after": 3}, range(4, 7), True, False),
    ({"first": 3, "after": 6}, range(0), True, False),
    ({"last": 3}, range(4, 7), True, False),
    ({"last": 7}, range(7), False, False),
    ({"last": 0}, range(0), True, False),
    ({"last": 3, "before": 4}, range(1, 4), True, True),
    ({"last": 3, "before": 3}, range(3), False, True),
    ({"last": 3, "before": 0}, range(0), False, True),
    ({"before": 3}, range(3), False, True),
    ({"first": 2, "after": 1, "before": 5}, range(2, 4), True, True),
    ({"last": 2, "after": 1, "before": 5}, range(3, 5), True, True),
]
# Those that reach the cursor at their far side: what it is the cursor of lies past it.
FAR_PAGES: list[tuple[dict[str, int], range, bool, bool]] = [
    ({"first": 3, "after": 1, "before": 5}, range(2, 5), True, True),
    ({"last": 3, "after": 1, "before": 5}, range(2, 5), True, True),
    ({"first": 5, "before": 3}, range(3), False, True),
    ({"last": 5, "after": 4}, range(5, 7), True, False),
    ({"after": 3, "before": 4}, range(0), True, True),
    ({"after": 3}, range(4, 7), True, False),
]


def arguments(case: dict[str, int], ids: list[str]) -> Message:
    return {
        name: cursor_of(int(ids[value])) if name in {"after", "before"} else value
        for name, value in case.items()
    }


@pytest.fixture
async def history(chat: RunningServer) -> tuple[Account, Account, list[str]]:
    """Two people and what they said, with other talk between."""
    return await make_history(chat, broadcasts=True)


async def make_history(
    server: RunningServer, *, broadcasts: bool
) -> tuple[Account, Account, list[str]]:
    alice, bob, carol = [await new_account(server) for _ in range(3)]
    ids: list[str] = []
    async with (
        open_socket(server, alice) as one,
        open_socket(server, bob) as two,
        open_socket(server, carol) as other,
    ):
        for number in range(7):
            sender, to = (one, bob) if number % 2 else (two, alice)
            ids += await send_many(sender, [f"said {number}"], to.id)
            await send_many(other, [f"between {number}"], None if broadcasts else carol.id)
    return alice, bob, ids


async def test_every_page_of_a_conversation_knows_where_it_lies(
    history: tuple[Account, Account, list[str]], chat: RunningServer
) -> None:
    alice, bob, ids = history
    async with open_socket(chat, alice) as one, open_socket(chat, bob) as two:
        for case, places, before, after in PAGES:
            expected = [ids[place] for place in places], (before, after)
            for socket, peer in ((one, bob), (two, alice)):
                variables = {"with": peer.id, **arguments(case, ids)}
                assert await read_page(socket, MESSAGES, variables) == expected, case


async def test_every_page_of_everything_knows_where_it_lies(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice, _, ids = await make_history(server, broadcasts=False)
        async with open_socket(server, alice) as socket:
            for case, places, before, after in PAGES:
                expected = [ids[place] for place in places], (before, after)
                assert await read_page(socket, MESSAGES, arguments(case, ids)) == expected, case


async def test_a_page_that_reaches_its_far_cursor_knows_what_lies_past_it(
    history: tuple[Account, Account, list[str]], chat: RunningServer
) -> None:
    alice, bob, ids = history
    async with open_socket(chat, alice) as socket:
        for case, places, before, after in FAR_PAGES:
            variables = {"with": bob.id, **arguments(case, ids)}
            expected = [ids[place] for place in places], (before, after)
            assert await read_page(socket, MESSAGES, variables) == expected, case


async def test_a_conversation_that_has_not_begun_is_an_empty_page(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    nothing: tuple[list[str], tuple[bool, bool]] = [], (False, False)
    async with open_socket(chat, alice) as socket:
        for peer in (bob, alice):
            assert await read_page(socket, MESSAGES, {"with": peer.id}) == nothing
            assert await read_page(socket, MESSAGES, {"with": peer.id, "first": 5}) == nothing
        for missing in (2**40, "x", 0, ""):
            assert await refusal_code(socket, MESSAGES, {"with": missing}) == "NOT_FOUND"
        note = await send_many(socket, ["note to oneself"], alice.id)
        assert await read_page(socket, MESSAGES, {"with": alice.id}) == (note, (False, False))
        assert await read_page(socket, MESSAGES, {"with": bob.id}) == nothing


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


BAD_IDS = ["", "id:", "id:0", "id:-1", "id:x", "id:1.5", "user:5", "id:" + "9" * 30, "id:٣"]
BAD_CURSORS = ["", "abc", "é", "====", "\0", "x" * 10_000, *map(encoded, BAD_IDS)]


async def test_bad_pages_are_refused(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        cursor = cursor_of(5)
        sizes, sides = (-1, 201, 2**31 - 1, -(2**31)), ("after", "before")
        bad: list[Message] = [
            {"first": 1, "last": 1},
            {"first": 1, "last": 1, "before": cursor},
            *({end: size} for end in ("first", "last") for size in sizes),
            *({side: bad_cursor} for side in sides for bad_cursor in BAD_CURSORS),
        ]
        for variables in bad:
            assert await refusal_code(socket, MESSAGES, variables) == "BAD_USER_INPUT", variables
            if not {"last", "before"} & variables.keys():
                assert await refusal_code(socket, USERS, variables) == "BAD_USER_INPUT", variables
        assert await refusal_code(socket, USERS, {"search": "a\0b"}) == "BAD_USER_INPUT"
        for size in (0, 200):
            await read_page(socket, MESSAGES, {"first": size, "last": None})
            await read_page(socket, MESSAGES, {"last": size})
            await read_page(socket, USERS, {"first": size})


async def test_users_are_paged_in_the_order_of_registration(chat: RunningServer) -> None:
    tag = uuid4().hex
    ids = [str((await new_account(chat, f"{number} {tag}")).id) for number in range(5)]
    async with open_socket(chat, await new_account(chat)) as socket:
        for size in (1, 2, 4, 5, 6):
            seen: list[str] = []
            for turn in itertools.count():
                after = cursor_of(int(seen[-1])) if seen else None
                variables = {"search": tag, "first": size, "after": after}
                page, (before, more) = await read_page(socket, USERS, variables)
                seen += page
                assert before is (turn > 0)
                assert more is (len(seen) < len(ids))
                if not more:
                    break
            assert seen == ids
        last = {"search": tag, "after": cursor_of(int(ids[-1]))}
        assert await read_page(socket, USERS, last) == ([], (True, False))
        everyone = await read_page(socket, USERS, {"after": cursor_of(int(ids[0])), "first": None})
        assert everyone[0][:4] == ids[1:]


@pytest.mark.parametrize(
    ("name", "search", "found"),
    [
        ("Åsa Öberg", "åSA ö", True),
        ("ИВАН", "иван", True),
        ("Straße", "STRASSE", True),
        ("ÀÉÎ", "àéî", True),
        ("àéî", "aei", False),
        ("Ἀθῆναι", "ἀΘῆΝΑΙ", True),
        ("Zoë 🎉", "🎉", True),
        ("Zoë 🎉", "🎊", False),
        ("100%", "100%", True),
        ("1000", "100%", False),
        ("100", "%", False),
        ("a_b", "a_b", True),
        ("axb", "a_b", False),
        ("a\\b", "a\\b", True),
        ("a\\b", "A\\", True),
        ("a/b", "a/b", True),
        ("a/%b", "/%", True),
        ("a'b\"", "'b\"", True),
        ("a*b", "a*b", True),
        ("axb", "a*b", False),
        ("ab", "a" * 100, False),
        ("Zoë", "Zoe\u0308", True),  # decomposed, as some keyboards type it
    ],
)
async def test_a_search_is_of_the_text_as_people_read_it(
    chat: RunningServer, name: str, search: str, found: bool
) -> None:
    viewer, account = await new_account(chat), await new_account(chat, name)
    async with open_socket(chat, viewer) as socket:
        # The page begins behind whoever came before: no cursor is of the first account's own id.
        variables = {"search": search, "first": 200, "after": cursor_of(account.id - 1)}
        page, _ = await read_page(socket, USERS, variables)
        assert (str(account.id) in page) is found


async def test_hidden_and_missing_messages_give_the_same_answer(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    query = "query($id: ID!) { message(id: $id) { id content } }"
    async with open_socket(chat, alice) as one, open_socket(chat, carol) as stranger:
        [direct] = await send_many(one, ["direct"], bob.id)
        [broadcast] = await send_many(one, ["broadcast"])
        seen = await one.execute(query, {"id": direct})
        assert seen == {"data": {"message": {"id": direct, "content": "direct"}}}
        hidden = await stranger.execute(query, {"id": direct})
        missing = await stranger.execute(query, {"id": "999999999"})
        assert hidden == missing == {"data": {"message": None}}
        heard = await stranger.execute(query, {"id": broadcast})
        assert heard["data"]["message"]["content"] == "broadcast"
        page, _ = await read_page(stranger, MESSAGES, {"with": alice.id})
        assert page == []


async def test_an_address_is_shown_to_its_owner_only(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as one, open_socket(chat, bob):
        await send_many(one, ["hello"], bob.id)
        data = (await one.execute(ADDRESSES, {"id": bob.id}))["data"]
        assert (data["me"], data["user"]) == ({"email": alice.email}, {"email": None})
        shown = {user["id"]: user["email"] for user in data["onlineUsers"]}
        assert (shown[str(alice.id)], shown[str(bob.id)]) == (alice.email, None)
        [message] = data["messages"]["nodes"]
        assert message == {"sender": {"email": alice.email}, "receiver": {"email": None}}
        for email in (bob.email, bob.email.upper()):  # whoever knows the password is its owner
            answer = await one.execute(LOGIN, {"e": email, "p": PASSWORD})
            assert answer["data"]["login"]["user"] == {"id": str(bob.id), "email": bob.email}


async def test_an_event_for_many_subscribers_asks_for_its_users_once(chat: RunningServer) -> None:
    sender, *others = [await new_account(chat) for _ in range(12)]
    query = "subscription { messageAdded { content sender { displayName } } }"
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(chat, other)) for other in others]
        for socket in sockets:
            await socket.subscribe("s", query)
            await socket.settle()
        own = await stack.enter_async_context(open_socket(chat, sender))
        content = uuid4().hex
        with statements_sent() as sent:
            await own.execute(
                "mutation($c: String) { sendMessage(content: $c) { id } }", {"c": content}
            )
            for socket in sockets:
                heard = await socket.expect(type="next", id="s")
                assert heard["payload"]["data"]["messageAdded"]["content"] == content
        assert len([text for text, _ in sent if "FROM users" in text]) <= 2
