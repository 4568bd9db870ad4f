"""Every face writes a whole second with six digits, as it writes every other moment."""

from pathlib import Path

import httpx

from tests.compat.test_rest import bearer
from tests.schema.client import open_socket
from tests.support.faces import new_account
from tests.support.server import running_server
from tests.support.sqlite import outsider

WHOLE = "2026-11-22T09:30:00.000000Z"
# The first is answered by a plan, the second by graphql-core: a directive is beyond plans.
QUERIES = (
    "{ messages { nodes { createdAt } } }",
    "{ messages @include(if: true) { nodes { createdAt } } }",
)


async def test_a_whole_second_has_six_digits(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            body = {"content": "x", "toUserId": alice.id}
            sent = (await http.post("/api/messages/send", json=body)).json()["id"]
    # While it is stopped: a running one takes another history for one that was lost.
    with outsider(tmp_path / "parley.db") as database:
        database.execute("UPDATE messages SET created_at = '2026-11-22 09:30:00.000000'")
    with running_server(tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            rest = (await http.get("/api/messages")).json()
            row = (await http.get("/api/message/all-message")).json()
            assert [rest[0]["createdAt"], row[0]["created_at"]] == [WHOLE, WHOLE]
            for query in QUERIES:
                answer = (await http.post("/graphql", json={"query": query})).json()
                assert answer["data"]["messages"]["nodes"][0]["createdAt"] == WHOLE
        async with open_socket(server, alice) as socket:
            query = f"subscription {{ messageAdded(after: {sent - 1}) {{ createdAt }} }}"
            await socket.subscribe("1", query)
            event = await socket.expect(id="1")
            assert event["payload"]["data"]["messageAdded"]["createdAt"] == WHOLE
