"""Searching for another's messages, by every argument of a search."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.doors import ask, client
from tests.attacks.target import attacked
from tests.attacks.test_others_things import MISSING

pytestmark = pytest.mark.timeout(SECONDS)

SEARCH = """
query($conversation: ID, $with: ID, $from: ID, $after: String, $order: SearchOrder! = NEWEST) {
  searchMessages(query: "secret", conversation: $conversation, with: $with, from: $from,
                 after: $after, order: $order) { nodes { id } edges { cursor } }
}"""


async def test_a_search_finds_nothing_of_anothers(tmp_path: Path) -> None:
    """Whoever is named; and another's conversation is hidden as if it were missing."""
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path, quiet) as target:
        body = {"toUserId": target.bob.id, "content": "a secret between two"}
        async with client(target, target.alice.token) as http:
            message = {"id": str((await http.post("/api/messages/send", json=body)).json()["id"])}
        async with asyncio.timeout(SECONDS / 2):
            while True:
                answer = await ask(target, target.alice.token, SEARCH, {})
                hers: dict[str, Any] = answer["data"]["searchMessages"]
                if message in hers["nodes"]:
                    break
                await asyncio.sleep(0.05)
        others = (str(target.alice.id), str(target.bob.id))
        for variables in (
            {},
            {"order": "RELEVANCE"},
            *({name: id_} for name in ("with", "from") for id_ in others),
            {"after": hers["edges"][0]["cursor"]},
            {"after": message["id"]},
        ):
            answer = await ask(target, target.mallory.token, SEARCH, variables)
            assert (
                answer["data"] is None or message not in answer["data"]["searchMessages"]["nodes"]
            )
        missing = await ask(target, target.mallory.token, SEARCH, {"conversation": MISSING})
        found = 0
        for id_ in range(2, 50):  # 1 is everybody's
            variables = {"conversation": str(id_)}
            answer = await ask(target, target.alice.token, SEARCH, variables)
            if answer["data"] and message in answer["data"]["searchMessages"]["nodes"]:
                found += 1
                assert await ask(target, target.mallory.token, SEARCH, variables) == missing
        assert found == 1
