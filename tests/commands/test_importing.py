"""`main.py import`: what is moved, how, and that a server goes on with it."""

from typing import Any

import httpx
import pytest

from db import migrate
from db.engines.database import DatabaseUnsuitable
from settings import Settings
from tests.commands.conftest import Import
from tests.commands.older import HASH, MOMENT, Older, chat, person
from tests.db.rows import open_database
from tests.support.faces import PASSWORD
from tests.support.server import RunningServer, running_server


async def graphql(server: RunningServer, token: str, query: str) -> Any:
    """Return the data of a query."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = (await http.post("/graphql", json={"query": query}, headers=headers)).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def log_in(server: RunningServer, email: str) -> str:
    """Log in over GraphQL; return the token."""
    query = f'mutation {{ login(email: "{email}", password: "{PASSWORD}") {{ token }} }}'
    return str((await graphql(server, "", query))["login"]["token"])


async def rows_of(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Return rows of the target."""
    database = open_database(settings.database)
    try:
        async with database.read() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(statement)]
    finally:
        await database.close()


async def test_a_server_goes_on_with_what_was_moved(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.make()
    older.insert("users", person(7, "Ann@Example.com", name="Ann"), person(9, name="Ünal 🎈"))
    older.insert(
        "messages",
        (3, 7, 9, "good morning", MOMENT),
        (5, 9, 7, "how was the lighthouse 🎈", MOMENT),
        (8, 7, None, "to everybody", MOMENT),
    )
    printed = await moved()
    assert "2 accounts and 3 messages moved." in printed
    assert "Left out" not in printed

    url = settings.database_url
    assert url is not None
    with running_server(
        settings.data_dir, database_url=url.get_secret_value(), search="on"
    ) as server:
        token = await log_in(server, "ann@example.com")
        found = await graphql(
            server,
            token,
            """{ me { id displayName createdAt }
                 messages(with: 9) { nodes { id content createdAt kind sender { displayName } } }
                 conversations { cursor nodes {
                   kind unreadCount readUpTo deliveredUpTo lastMessage { id } peer { id } } } }""",
        )
        assert found["me"] == {
            "id": "7",
            "displayName": "Ann",
            "createdAt": "2020-02-03T04:05:06.000000Z",
        }
        assert [node["id"] for node in found["messages"]["nodes"]] == ["3", "5"]
        assert found["messages"]["nodes"][1]["sender"] == {"displayName": "Ünal 🎈"}
        assert found["messages"]["nodes"][0]["createdAt"] == "2020-02-03T04:05:06.000000Z"
        listed = found["conversations"]["nodes"]
        assert [(c["kind"], c["unreadCount"], c["lastMessage"]["id"]) for c in listed] == [
            ("EVERYBODY", 0, "8"),
            ("DIRECT", 0, "5"),
        ]
        assert found["conversations"]["cursor"].endswith("-8")

        async with httpx.AsyncClient(base_url=server.url) as http:
            login = {"email": "user9@example.com", "password": PASSWORD}
            answer = (await http.post("/api/auth/login", json=login)).json()
            http.headers["Authorization"] = f"Bearer {answer['token']}"
            history = (await http.get("/api/messages")).json()
            assert [message["id"] for message in history] == [8, 5, 3]
            sent = await http.post(
                "/api/messages/send", json={"content": "and a new one", "toUserId": 7}
            )
            assert sent.json()["id"] == 9  # the next position

        after = found["conversations"]["cursor"]
        sent_after = f'events(after: "{after}") {{ ... on MessageSent {{ message {{ id }} }} }}'
        query = f"subscription {{ {sent_after} }}"
        assert await first_event(server, token, query) == {"message": {"id": "9"}}
        hits = await found_by_search(server, token, "lighthouse")
        assert hits == ["5"]


async def first_event(server: RunningServer, token: str, query: str) -> Any:
    """Return the first event of a subscription over server-sent events."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(base_url=server.url) as http,
        http.stream("POST", "/graphql", json={"query": query}, headers=headers) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data: {"):
                return httpx.Response(200, content=line[6:]).json()["data"]["events"]
    raise AssertionError("the stream ended")


async def found_by_search(server: RunningServer, token: str, words: str) -> list[str]:
    """Return the ids that a search finds, once the index has got so far."""
    query = f'{{ searchMessages(query: "{words}") {{ nodes {{ id }} }} }}'
    for _ in range(200):
        nodes = (await graphql(server, token, query))["searchMessages"]["nodes"]
        if nodes:
            return [node["id"] for node in nodes]
    return []


async def test_marks_are_as_the_columns_say(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.run(
        "CREATE TABLE Users (userId INTEGER PRIMARY KEY, mail TEXT, passwordHash TEXT,"
        " username TEXT, createdAt BIGINT, isActive INTEGER)",
        "CREATE TABLE Messages (id INTEGER PRIMARY KEY, fromId INTEGER, toId INTEGER,"
        " body TEXT, sentAt BIGINT, isRead INTEGER, delivered INTEGER, fileUrl TEXT)",
    )
    seconds, milliseconds = 1_580_702_706, 1_580_702_706_123
    older.insert(
        "Users",
        (1, "a@example.com", HASH, "Ann", seconds, 1),
        (2, "b@example.com", HASH, "Ben", milliseconds, 1),
        (3, "c@example.com", HASH, "Cat", milliseconds, 0),
    )
    older.insert(
        "Messages",
        (1, 1, 2, "read", milliseconds, 1, 1, None),
        (2, 1, 2, "sent", seconds, 0, 1, None),
        (3, 1, 2, "", milliseconds, 0, 0, "https://old.example.com/up/cat.jpg"),
        (4, 2, 1, "look", milliseconds, 1, 1, "https://old.example.com/up/dog.jpg"),
        (5, 2, 2, "a note", milliseconds, 1, 1, None),
    )
    printed = await moved()
    assert "3 accounts and 5 messages moved." in printed
    assert "1 account: was kept out there: disabled (ids 3)" in printed
    assert await rows_of(settings, "SELECT id, content FROM messages ORDER BY id") == [
        (1, "read"),
        (2, "sent"),
        (3, "https://old.example.com/up/cat.jpg"),
        (4, "look\nhttps://old.example.com/up/dog.jpg"),
        (5, "a note"),
    ]
    marks = (
        "SELECT c.lower_user_id, c.higher_user_id, k.user_id, k.read_position, k.activity"
        " FROM members k JOIN conversations c ON c.id = k.conversation_id WHERE c.id > 1"
        " ORDER BY c.id, k.user_id"
    )
    assert await rows_of(settings, marks) == [(1, 2, 1, 4, 4), (1, 2, 2, 1, 4), (2, 2, 2, 5, 5)]
    delivered = "SELECT id, delivered_position, disabled_at IS NULL FROM users ORDER BY id"
    assert await rows_of(settings, delivered) == [(1, 4, 1), (2, 5, 1), (3, 0, 0)]
    times = await rows_of(settings, "SELECT created_at FROM messages WHERE id = 3")
    assert str(times[0][0]) == "2020-02-03 04:05:06.123000"


async def test_the_report_says_what_was_left_out_and_why(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.make(text="TEXT" if older.is_sqlite else "BLOB")
    older.insert(
        "users",
        person(0),
        person(1, "ann@example.com"),
        person(2, "ANN@example.com"),
        person(3, "no address"),
        person(4, hashed="hunter2"),
        person(5, hashed=HASH.replace("$04$", "$31$")),
        person(6, name="x" * 150),
    )
    older.insert(
        "messages",
        (1, 1, 2, "kept: both accounts are there", MOMENT),
        (2, 99, 1, "no sender", MOMENT),
        (3, 1, 99, "no receiver", MOMENT),
        (4, 1, 0, "to 0", MOMENT),
        (5, 1, 2, " ", MOMENT),
        (6, 1, 2, "x" * 20_000, MOMENT),
        (7, 1, 2, b"\xff\xfe no UTF-8", MOMENT),
        (8, 1, 2, "kept", "0000-00-00 00:00:00" if older.is_sqlite else None),
        (9, None, 2, "nobody's", MOMENT),
    )
    dry = await moved("--dry-run")
    assert dry.startswith("A dry run: nothing was written.")
    printed = await moved("--list", str(settings.data_dir.parent / "listed"))
    assert printed.splitlines()[:-2] == [
        "6 accounts and 2 messages moved.",
        "Moved, but changed:",
        "  1 message: no time: has that of the one before (ids 8)",
        "  1 account: a bcrypt hash of a cost out of bounds: cannot log in (ids 5)",
        "  1 account: a name that is too long or cannot be shown: changed (ids 6)",
        "  1 account: an e-mail that an earlier account has, but for capitals: cannot log in"
        " (ids 2)",
        "  1 account: an e-mail that is none: cannot log in (ids 3)",
        "  1 account: no bcrypt hash: cannot log in (ids 4)",
        "Left out:",
        "  1 message: a text that is not UTF-8 (ids 7)",
        "  1 message: has no text (ids 5)",
        "  1 message: is longer than MAX_MESSAGE_BYTES (16384) (ids 6)",
        "  2 messages: its receiver is no account (ids 3, 4)",
        "  2 messages: its sender is no account (ids 2, 9)",
        "  1 account: an id of 0 or less (ids 0)",
    ]
    assert dry.splitlines()[1:] == printed.splitlines()[:-2]
    listed = settings.data_dir.parent / "listed"
    assert "messages 7: a text that is not UTF-8\n" in listed.read_text()
    assert listed.stat().st_mode & 0o777 == 0o600
    assert len(listed.read_text().splitlines()) == 14


async def test_a_second_run_does_nothing(older: Older, moved: Import, settings: Settings) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 4)))
    older.insert("messages", *chat(3, 30))
    first = await moved("--rows", "7")
    again = await moved()
    assert again.splitlines()[0].startswith("This import has come to its end before.")
    assert again.splitlines()[1] == first.splitlines()[0]
    assert await rows_of(settings, "SELECT COUNT(*) FROM messages") == [(30,)]
    database = open_database(settings.database)
    await migrate.check(database)  # the import's own table is in nobody's way
    await database.close()


async def test_a_target_that_is_in_use_is_refused(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.make()
    older.insert("users", person(1))
    url = settings.database_url
    assert url is not None
    with running_server(settings.data_dir, database_url=url.get_secret_value()) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            body = {"email": "x@example.com", "password": PASSWORD, "displayName": "X"}
            await http.post("/api/auth/register", json=body)
    with pytest.raises(DatabaseUnsuitable, match="has accounts already"):
        await moved()


async def test_what_an_unused_server_noted_makes_room(
    older: Older, moved: Import, settings: Settings
) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 4)))
    older.insert("messages", *chat(3, 5))
    url = settings.database_url
    assert url is not None
    options = {"database_url": url.get_secret_value(), "broadcast": "admins"}
    with running_server(settings.data_dir, **options):
        pass  # it notes BROADCAST as the log's first fact
    assert await rows_of(settings, "SELECT position FROM log") == [(1,)]
    await moved()
    with running_server(settings.data_dir, **options) as server:
        token = await log_in(server, "user1@example.com")
        found = await graphql(server, token, "{ serverInfo { broadcasters cursor } }")
        assert found["serverInfo"]["broadcasters"] == "ADMINS"
        assert found["serverInfo"]["cursor"] == "6"
