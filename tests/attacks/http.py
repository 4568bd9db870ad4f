"""HTTP requests, framed well so that an answer is due, or broken down to the bytes of the head."""

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from tests.attacks import hostile
from tests.attacks.wires import Answer, Ended, Wire, http_request

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW")
# After bytes of which nobody can say whether more must follow, the server may wait for more.
QUIET_SECONDS = 0.25
SENTINEL = b"\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEADERS = (
    "Content-Type: application/json\r\n",
    "Content-Type: \xff\r\n",
    "Content-Type: application/json; charset=\r\n",
    "Content-Type: ;;;\r\n",
    "Content-Type: multipart/form-data\r\n",
    "Content-Type: multipart/form-data; boundary=\r\n",
    "Content-Type: text/plain\r\n",
    "Content-Encoding: gzip\r\n",
    "Accept: */*;q=nan\r\n",
    "Accept: ;q=\r\n",
    "Accept: text/html\r\n",
    "Accept: application/json;q=0\r\n",
    "Accept: application/graphql-response+json\r\n",
    "Accept: " + "a/b," * 500 + "\r\n",
    "Authorization: Bearer\r\n",
    "Authorization: Bearer \xe9.\xfc.x\r\n",
    "Authorization: Basic Og==\r\n",
    "Authorization: \r\n",
    "Cookie: a=b; token=c\r\n",
    "Origin: null\r\n",
    "Origin: http://evil.example\r\n",
    "Range: bytes=5-1,2-\r\n",
    "Range: bytes=-99999999999999999999\r\n",
    "If-None-Match: W/\r\n",
    "Idempotency-Key: \xe9\r\n",
    "Idempotency-Key:   \r\n",
    "Idempotency-Key: " + "k" * 200 + "\r\n",
    "X-Forwarded-For: 1.2.3.4, \xff, ::1\r\n",
    "Forwarded: for=;proto=;\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\n",
    "X-Long: " + "x" * 9000 + "\r\n",
    "GraphQL-Preflight: 1\r\n",
    "Access-Control-Request-Method: POST\r\n",
)

Plan = Callable[[Random], tuple[bytes, str]]


class Requester:
    """Sends what a plan makes: a request and its method."""

    def __init__(self, port: int, plan: Plan, *, broken: float = 0.1) -> None:
        self.said: list[object] = []
        self._port = port
        self._plan = plan
        self._broken = broken
        self._wire: Wire | None = None

    async def attack(self, rng: Random) -> None:
        """Send one request; some are broken in their framing."""
        request, method = self._plan(rng)
        if rng.random() < self._broken:
            await self._send_broken(hostile.mutated(rng, request))
            return
        self.said.append(request)
        answer = await self._ask(request, method)
        check(answer)

    async def close(self) -> None:
        """End."""
        if self._wire is not None:
            self._wire.abort()

    async def _ask(self, request: bytes, method: str) -> Answer:
        fresh = self._wire is None
        wire = self._wire = self._wire or await Wire.open(self._port)
        try:
            await wire.send(request)
            answer = await wire.answer(method)
        except Ended:
            wire.abort()
            self._wire = None
            if fresh:
                raise
            return await self._ask(request, method)  # a kept-alive one may just have ended
        if answer.status == 100:
            answer = await wire.answer(method)
        if answer.headers.get("connection", "").lower() == "close":
            wire.abort()
            self._wire = None
        return answer

    async def _send_broken(self, data: bytes) -> None:
        self.said.append(data)
        wire = await Wire.open(self._port)
        try:
            await wire.send(data + SENTINEL)
            got = b""
            while True:
                async with asyncio.timeout(QUIET_SECONDS):
                    part = await wire.reader.read(65536)
                if not part:
                    break
                got += part
        except (TimeoutError, Ended, ConnectionError):
            pass
        finally:
            wire.abort()
        for line in got.split(b"\r\n"):
            if line.startswith(b"HTTP/1.1 5"):
                assert line.startswith(b"HTTP/1.1 503"), got


def check(answer: Answer) -> None:
    """Fail for what is our own fault."""
    assert answer.status < 500 or answer.status == 503, answer
    assert b"Traceback" not in answer.body, answer
    if answer.status != 503 and b'"INTERNAL"' in answer.body:
        said = msgspec.json.decode(answer.body)
        codes = [error.get("extensions", {}).get("code") for error in said.get("errors", [])]
        assert "INTERNAL" not in codes, answer


def hostile_headers(rng: Random) -> str:
    """Return a few headers that are seldom sent."""
    chosen = rng.choices(HEADERS, k=rng.choice((0, 0, 0, 1, 2)))
    if rng.random() < 0.03:
        chosen.append("".join(f"X-{i}: y\r\n" for i in range(90)))
    # Latin-1, as it goes over the wire; http_request encodes in UTF-8, which is no better.
    return "".join(chosen)


def framed(method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[bytes, str]:
    """Return a request with its method."""
    return http_request(method, path, headers, body), method


def chunked(rng: Random, method: str, path: str, headers: str, body: bytes) -> tuple[bytes, str]:
    """Return a request whose body comes in chunks of any sizes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
    data = head.encode("utf-8", "surrogatepass")
    while body:
        size = rng.randrange(1, len(body) + 1)
        data += f"{size:x}\r\n".encode() + body[:size] + b"\r\n"
        body = body[size:]
    return data + b"0\r\n\r\n", method


def multipart(rng: Random, fields: list[tuple[str, str | None, bytes]]) -> tuple[str, bytes]:
    """Return the Content-Type line and the body of a form; a field with a name has a file."""
    boundary = rng.choice(("x", "----WebKitFormBoundary7", "b" * 70))
    body = b""
    for name, filename, content in fields:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n"
        body += head.encode("utf-8", "surrogatepass") + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    if rng.random() < 0.25:
        body = hostile.mutated(rng, body)
    return f"Content-Type: multipart/form-data; boundary={boundary}\r\n", body
