"""Every face writes a whole second with six digits, as it writes every other moment."""

import sqlite3

import httpx

from tests.schema.client import open_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer

WHOLE = "2026-11-22T09:30:00.000000Z"
# The first is answered by a plan, the second by graphql-core: a directive is beyond plans.
QUERIES = (
    "{ messages { nodes { createdAt } } }",
    "{ messages @include(if: true) { nodes { createdAt } } }",
)


async def test_a_whole_second_has_six_digits(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as http:
        body = {"content": "x", "toUserId": alice.id}
        sent = (await http.post("/api/messages/send", json=body)).json()["id"]
        with sqlite3.connect(sqlite_chat.settings.data_dir / "parley.db") as database:
            change = "UPDATE messages SET created_at = '2026-11-22 09:30:00.000000' WHERE id = ?"
            database.execute(change, [sent])
        database.close()
        rest = (await http.get("/api/messages")).json()
        row = (await http.get("/api/message/all-message")).json()
        assert [rest[0]["createdAt"], row[0]["created_at"]] == [WHOLE, WHOLE]
        for query in QUERIES:
            answer = (await http.post("/graphql", json={"query": query})).json()
            assert answer["data"]["messages"]["nodes"][0]["createdAt"] == WHOLE
    async with open_socket(sqlite_chat, alice) as socket:
        query = f"subscription {{ messageAdded(after: {sent - 1}) {{ createdAt }} }}"
        await socket.subscribe("1", query)
        event = await socket.expect(id="1")
        assert event["payload"]["data"]["messageAdded"]["createdAt"] == WHOLE
