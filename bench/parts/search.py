"""What a search costs, once the index has all messages."""

import time
from collections.abc import Iterator
from itertools import cycle

import httpx

from bench.clients.requests import measure_requests, post
from bench.sampling import Sample
from bench.servers.served import Served, sign_token

PAGE = 20
CONNECTIONS = 8
INDEX_SECONDS = 900.0
# Words that each message has, in many ways: the worst case, since every message is a hit.
QUERIES = (
    "station",
    "half past",
    '"station at half past seven"',
    "seve sta",
    "see you at the station at half past seven",
)
SEARCH = (
    f"query($q: String!) {{ searchMessages(query: $q, first: {PAGE})"
    " { edges { node { id senderId receiverId content createdAt } snippet { text hit } } } }"
)


def wait_for_index(served: Served) -> float:
    """Return after how many seconds the index has all messages."""
    begun = time.monotonic()
    url = f"http://{served.host}:{served.port}/graphql"
    headers = {"Authorization": f"Bearer {sign_token(1)}"}
    body = {"query": '{ searchMessages(query: "station") { complete } }'}
    while time.monotonic() - begun < INDEX_SECONDS:
        answer = httpx.post(url, json=body, headers=headers, timeout=30).json()
        if answer["data"]["searchMessages"]["complete"]:
            return time.monotonic() - begun
        time.sleep(0.2)
    raise TimeoutError("the index is not complete")


async def measure_search(served: Served, *, warm_up: float, seconds: float) -> Sample:
    """What the newest page of each of the queries costs."""
    return await measure_requests(
        served, _searches, _check, warm_up=warm_up, seconds=seconds, connections=CONNECTIONS
    )


def _searches(served: Served, user_id: int) -> Iterator[bytes]:
    requests = [
        post(served, "/graphql", user_id, {"query": SEARCH, "variables": {"q": query}})
        for query in QUERIES
    ]
    return cycle(requests)


def _check(status: int, body: bytes) -> None:
    if status != 200 or body.count(b'"createdAt":') != PAGE or b'"hit":true' not in body:
        raise ValueError(f"{status}: {body[:300]!r}")
