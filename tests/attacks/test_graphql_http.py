"""Malformed GraphQL over HTTP: bodies, headers, methods, multipart, documents."""

import json
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from tests.attacks import documents, hostile
from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.http import METHODS, Requester, chunked, framed, hostile_headers, multipart
from tests.attacks.storm import storm
from tests.attacks.target import attacked

pytestmark = pytest.mark.timeout(SECONDS)

MAPS: tuple[object, ...] = (
    {"0": ["variables.file"]},
    {"0": ["variables.file", "variables.file"]},
    {"0": ["variables"]},
    {"0": ["variables.files.0"]},
    {"0": ["variables.files.-1"]},
    {"0": ["query"]},
    {"0": [""]},
    {"0": []},
    {"0": ["variables.__class__"]},
    {"1": ["variables.file"]},
    {},
    [],
    {"0": "variables.file"},
)
UPLOAD = "mutation($file: Upload!) { uploadAttachment(file: $file, kind: FILE) { id } }"


class Planner:
    """Makes requests for /graphql."""

    def __init__(self, token: str) -> None:
        self._bearer = f"Authorization: Bearer {token}\r\n"

    def plan(self, rng: Random) -> tuple[bytes, str]:
        """Return a request and its method."""
        headers = hostile_headers(rng)
        if rng.random() < 0.85:
            headers += self._bearer
        way = rng.random()
        if way < 0.12:
            return self._get(rng, headers)
        if way < 0.2:
            return self._multipart(rng, headers)
        if way < 0.25:
            method = rng.choice(METHODS)
            return framed(method, "/graphql", headers, hostile.encoded(rng, hostile.value(rng)))
        headers += "Content-Type: application/json\r\n"
        said = documents.request(rng) if rng.random() < 0.95 else hostile.value(rng)
        if rng.random() < 0.02:
            said = [said, said]
        body = hostile.encoded(rng, said)
        if rng.random() < 0.05:
            return chunked(rng, "POST", "/graphql", headers, body)
        return framed("POST", "/graphql", headers, body)

    def _get(self, rng: Random, headers: str) -> tuple[bytes, str]:
        said = documents.request(rng)
        pairs = []
        for name, value in said.items():
            text = value if isinstance(value, str) else json.dumps(value)
            pairs.append(f"{name}={quote(text.encode('utf-8', 'replace')[:4000])}")
        if rng.random() < 0.2:
            pairs += rng.choices(
                ("query", "query=", "%ff=%fe", "variables=%7b", "a=%zz", "&&", "=;")
            )
        return framed(rng.choice(("GET", "GET", "HEAD")), f"/graphql?{'&'.join(pairs)}", headers)

    def _multipart(self, rng: Random, headers: str) -> tuple[bytes, str]:
        operations = {"query": UPLOAD, "variables": {"file": None, "files": [None]}}
        said = operations if rng.random() < 0.7 else documents.request(rng)
        fields: list[tuple[str, str | None, bytes]] = [
            ("operations", None, hostile.encoded(rng, said)),
            ("map", None, hostile.encoded(rng, rng.choice(MAPS))),
        ]
        for number in range(rng.choice((0, 1, 1, 1, 2, 6))):
            name = rng.choice((hostile.text(rng), "a.txt", "../x", 'a"b')).replace("\r\n", "")
            fields.append((str(number), name, rng.randbytes(rng.randrange(60))))
        if rng.random() < 0.2:
            rng.shuffle(fields)
        content_type, body = multipart(rng, fields)
        if rng.random() < 0.95:
            headers += "GraphQL-Preflight: 1\r\n"
        return framed("POST", "/graphql", headers + content_type, body)


async def test_malformed_graphql_over_http_is_refused(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, max_unsent_uploads=1000) as target:

        async def make() -> Requester:
            return Requester(target.port, Planner(target.mallory.token).plan)

        await storm(target, times(5_000, 100_000), make, report)
