"""Malformed requests to every route beside GraphQL: paths, queries, JSON, forms, uploads."""

from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import pytest

from tests.attacks import hostile
from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.http import METHODS, Requester, chunked, framed, hostile_headers, multipart
from tests.attacks.storm import storm
from tests.attacks.target import attacked

pytestmark = pytest.mark.timeout(SECONDS)

FIELDS = {
    "/api/auth/register": ("email", "password", "displayName"),
    "/api/auth/login": ("email", "password"),
    "/api/messages/send": (
        *("content", "toUserId", "receiverId", "to_user_id", "kind", "attachmentId"),
        "clientMessageId",
    ),
    "/api/message/send": ("content", "receiver_id", "kind"),
    # Not to log out: the attacker would be nobody.
    "/api/auth/change-password": ("currentPassword", "newPassword"),
    "/api/auth/renew": ("token",),
    "/api/users/block": ("userId",),
    "/api/users/unblock": ("userId",),
}
READS = {
    "/api/messages": ("limit", "before", "with"),
    "/api/message/all-message": ("limit", "before", "with"),
    "/files/1": ("expires", "signature"),
    "/files/1/thumbnail": ("expires", "signature"),
    "/api/users/blocked": ("x",),
    "/api/limits": ("x",),
    "/health": ("x",),
    "/ready": ("x",),
    "/": ("x",),
}
ODD_PATHS = (
    "//",
    "/api",
    "/api/",
    "/api/messages/",
    "/api/messages//send",
    "/api/../api/messages",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/api/messages%00",
    "/api/%ff%fe",
    "/files/",
    "/files/0",
    "/files/-1",
    "/files/1e3",
    "/files/%31",
    "/files/%D9%A1",
    "/files/99999999999999999999999",
    "/files/1/thumbnail/",
    "/files/1/../2",
    "/files/..%2f..%2fparley.db",
    "/files/1;a=b",
    "/graphql/assets/../../main.py",
    "/graphql/..%2f..%2fsettings.py",
    "/playground/../.env",
    "/.env",
    "/.git/config",
    "/" + "a/" * 2000,
    "/" + "a" * 8000,
    "*",
    "http://other.example/api/messages",
    "/socket.io",
    "/socket.io/../api/messages",
    "/?" + "&" * 3000,
    "/api/messages?" + "limit=1&" * 500,
)


class Planner:
    """Makes requests for the older routes."""

    def __init__(self, token: str) -> None:
        self._bearer = f"Authorization: Bearer {token}\r\n"

    def plan(self, rng: Random) -> tuple[bytes, str]:
        """Return a request and its method."""
        headers = hostile_headers(rng)
        if rng.random() < 0.85:
            headers += self._bearer
        way = rng.random()
        if way < 0.1:
            method = rng.choice(METHODS)
            path = rng.choice((*ODD_PATHS, *FIELDS, *READS, "/api/uploads"))
            body = rng.randbytes(rng.randrange(30)) if rng.random() < 0.5 else b""
            return framed(method, path, headers, body)
        if way < 0.3:
            return self._read(rng, headers)
        if way < 0.4:
            return self._upload(rng, headers)
        return self._write(rng, headers)

    def _read(self, rng: Random, headers: str) -> tuple[bytes, str]:
        path = rng.choice([*READS])
        pairs = [
            (name, rng.choice((hostile.text(rng), str(hostile.number(rng)), "1", "5")))
            for name in READS[path]
            if rng.random() < 0.5
        ]
        if "limit" in READS[path] and "limit" not in dict(pairs) and rng.random() < 0.95:
            pairs.append(("limit", "3"))  # all of it is long before the end
        query = urlencode([(n, v.encode("utf-8", "replace")[:3000]) for n, v in pairs])
        if rng.random() < 0.1:
            query += rng.choice(("&", "&limit=2&limit=3", "&%ff", "&=", "&before", ";", "#x"))
        if rng.random() < 0.1:
            path = f"/files/{quote(hostile.text(rng).encode('utf-8', 'replace')[:3000], safe='')}"
        return framed(rng.choice(("GET", "GET", "GET", "HEAD")), f"{path}?{query}", headers)

    def _write(self, rng: Random, headers: str) -> tuple[bytes, str]:
        path = rng.choice([*FIELDS])
        said = {
            name: hostile.value(rng) if rng.random() < 0.6 else rng.choice(("1", "2", "Hello"))
            for name in FIELDS[path]
            if rng.random() < 0.7
        }
        form = rng.random()
        if form < 0.2:
            headers += "Content-Type: application/x-www-form-urlencoded\r\n"
            pairs = [(name, str(value).encode("utf-8", "replace")) for name, value in said.items()]
            body = urlencode(pairs).encode() if rng.random() < 0.8 else rng.randbytes(40)
            if rng.random() < 0.1:
                body += b"&a=b" * rng.choice((1, 99, 200))
        elif form < 0.35:
            fields: list[tuple[str, str | None, bytes]] = [
                (name, None, str(value).encode("utf-8", "replace")) for name, value in said.items()
            ]
            if rng.random() < 0.2:
                fields.append(("content", "a.txt", b"a file"))
            line, body = multipart(rng, fields)
            headers += line
        else:
            if rng.random() < 0.7:
                headers += "Content-Type: application/json\r\n"
            body = hostile.encoded(rng, said if rng.random() < 0.95 else hostile.value(rng))
        if rng.random() < 0.05:
            return chunked(rng, "POST", path, headers, body)
        return framed("POST", path, headers, body)

    def _upload(self, rng: Random, headers: str) -> tuple[bytes, str]:
        name = hostile.text(rng).replace("\r\n", "") if rng.random() < 0.5 else "a.bin"
        kind = rng.choice((b"FILE", b"FILE", b"FILE", b"file", b"TEXT", b"\xff", b"x" * 5000))
        content = rng.randbytes(rng.randrange(50))
        if rng.random() < 0.05:
            magic = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"OggS", b"GIF89a", b"RIFF....WEBP")
            content, kind = rng.choice(magic) + content, b""
        fields: list[tuple[str, str | None, bytes]] = [
            ("kind", None, kind),
            ("file", name, content),
        ]
        if rng.random() < 0.2:
            fields += rng.choices(fields, k=rng.choice((1, 2, 30)))
        rng.shuffle(fields)
        line, body = multipart(rng, fields)
        return framed("POST", "/api/uploads", headers + line, body)


async def test_malformed_rest_is_refused(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, max_unsent_uploads=1000) as target:

        async def make() -> Requester:
            return Requester(target.port, Planner(target.mallory.token).plan)

        await storm(target, times(5_000, 100_000), make, report)
