"""In production the schema is shown to nobody, by no door, unless that is switched on."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from settings import Settings
from tests.schema.client import open_socket
from tests.schema.test_costs import INTROSPECTION, ask
from tests.support.faces import new_account
from tests.support.server import RunningServer, running_server

SECRET = {"env": "production", "jwt_secret": "nQ7v-Zk2Lr9wXbT4mYc8HsJd5GfPa3Ue"}
BROWSER = {"Accept": "text/html"}
ASKING = (
    INTROSPECTION,
    "{ __schema { queryType { name } } }",
    '{ __type(name: "User") { name } }',
    "{ ...f } fragment f on Query { __schema { types { name } } }",
    "{ ... on Query { x: __schema { types { name } } } }",
)
# Each names something that is nearly right; the last ones in what is only found at execution.
GUESSES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("{ mee { id } }", {}),
    ("{ me { emial } }", {}),
    ("{ me }", {}),
    ("{ messages(frist: 1) { nodes { id } } }", {}),
    ("{ ... on Usr { id } }", {}),
    ("{ me { id @skp(if: true) } }", {}),
    ("query($k: MessageKnd) { me { id } }", {}),
    ("mutation { sendMessage(kind: TXT) { id } }", {}),
    ("mutation($k: MessageKind) { sendMessage(kind: $k) { id } }", {"k": "TXT"}),
    ('mutation { sendMessage(kind: "TEXT") { id } }', {}),
)


async def suggestions(http: httpx.AsyncClient) -> list[str]:
    said = []
    for query, variables in GUESSES:
        errors = (await ask(http, query, **variables))["errors"]
        assert all(error["message"] for error in errors)
        said += [query for error in errors if "Did you mean" in error["message"]]
    return said


async def shown(server: RunningServer) -> list[bool]:
    """Whether each door shows the schema; it is told alike to strangers and to users."""
    found = []
    alice = await new_account(server)
    bearer = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        for query in ASKING:
            answer = await http.post("/graphql", json={"query": query}, headers=bearer)
            found.append("introspection has been disabled" not in answer.text)
            found.append("data" in answer.json())
        answer = await http.get("/graphql", params={"query": ASKING[1]})
        found.append("data" in answer.json())
        async with open_socket(server, alice) as socket:
            await socket.subscribe("i", ASKING[1])
            found.append((await socket.expect(id="i"))["type"] == "next")
        found.append(bool(await suggestions(http)))
    return found


async def test_production_shows_no_schema_and_suggests_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path, **SECRET) as server:
        assert not any(await shown(server))
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.get("/graphql", headers=BROWSER)).status_code == 404
            # What clients need of it stays.
            assert (await ask(http, "{ __typename }"))["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("settings", [{}, {**SECRET, "introspection": True, "playground": True}])
async def test_elsewhere_or_switched_on_it_is_shown(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with running_server(tmp_path, **settings) as server:
        assert all(await shown(server))
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert len(await suggestions(http)) >= 7
            assert (await http.get("/graphql", headers=BROWSER)).status_code == 200


async def test_each_is_switched_off_by_itself(tmp_path: Path) -> None:
    with running_server(tmp_path, introspection=False) as server:
        assert not any(await shown(server))
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.get("/graphql", headers=BROWSER)).status_code == 200


def test_an_empty_setting_leaves_it_to_the_place() -> None:
    for env, expected in (("production", False), ("development", True), ("test", True)):
        settings = Settings(_env_file=None, env=env, introspection=None, playground=None)
        assert (settings.shows_introspection, settings.shows_playground) == (expected, expected)
