"""Tokens that are forged, out of time, or of nobody: refused alike, on every face and route."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.target import Target, attacked
from tests.attacks.wires import CLOSE, GRAPHQL_WS, SOCKETIO_WS, Ended, client_frame, websocket

pytestmark = pytest.mark.timeout(SECONDS)

SECRET = "a secret of the tests, long enough to sign with"
HOUR = timedelta(hours=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
SUBJECTS: tuple[Any, ...] = (
    *(0, -1, 1e30, 1.5, True, False, None, [], [1], {}, {"id": 1}, 2**63, 10**30, ""),
    *(" 1", "1 ", "+1", "-1", "0", "1.0", "1e0", "0x1", "١", "１", "1\0", "1\n", "9" * 30, "admin"),
)


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_hand(header: dict[str, Any], claims: object, key: bytes = b"") -> str:
    """Sign with HMAC-SHA256 whatever the header says; without a key leave it unsigned."""
    signed = f"{segment(json.dumps(header).encode())}.{segment(json.dumps(claims).encode())}"
    mac = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key else b""
    return f"{signed}.{segment(mac)}"


def forged(user_id: int) -> dict[str, str]:
    """Return tokens that would be the user's if any of their tricks worked."""
    now = datetime.now(UTC)
    good = {"sub": str(user_id), "iat": now, "exp": now + HOUR}
    plain = {"sub": str(user_id), "exp": int((now + HOUR).timestamp())}
    real = SECRET.encode()
    jwk = {"kty": "oct", "k": segment(b"k" * 40)}
    tokens = {
        **{f"alg {alg!r}": by_hand({"alg": alg}, plain) for alg in ("none", "None", "nOnE", "")},
        "alg none, signed": by_hand({"alg": "none"}, plain, real),
        "no alg": by_hand({"typ": "JWT"}, plain, real),
        "alg a list": by_hand({"alg": ["HS256"]}, plain, real),
        "alg null": by_hand({"alg": None}, plain, real),
        "no signature": by_hand({"alg": "HS256"}, plain),
        "another key": jwt.encode(good, "k" * 40, algorithm="HS256"),
        "the sample key": jwt.encode(good, "your_jwt_secret".ljust(32, "x"), algorithm="HS256"),
        "HS512": jwt.encode(good, SECRET * 2, algorithm="HS512"),
        "HS384 in name": by_hand({"alg": "HS384"}, plain, real),
        "RS256": jwt.encode(good, RSA, algorithm="RS256"),
        "the public key as HMAC": by_hand({"alg": "HS256"}, plain, PUBLIC_PEM),
        "kid a path": by_hand({"alg": "HS256", "kid": "../../dev/null"}, plain, b"\0"),
        "kid SQL": by_hand({"alg": "HS256", "kid": "' UNION SELECT 'k' --"}, plain, b"k"),
        "jwk inside": by_hand({"alg": "HS256", "jwk": jwk}, plain, b"k" * 40),
        "jku": by_hand({"alg": "HS256", "jku": "http://127.0.0.1:9/keys"}, plain, b"k" * 40),
        "b64 false": by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, plain, real),
        "expired": jwt.encode({**good, "exp": now - HOUR}, SECRET),
        "not yet": jwt.encode({**good, "nbf": now + HOUR}, SECRET),
        "of the future": jwt.encode({**good, "iat": now + HOUR}, SECRET),
        "for another audience": jwt.encode({**good, "aud": "another"}, SECRET),
        "of nobody": jwt.encode({**good, "sub": str(2**40)}, SECRET),
        "claims a list": by_hand({"alg": "HS256"}, [plain], real),
        "exp text": by_hand({"alg": "HS256"}, {**plain, "exp": "never"}, real),
        "exp huge": by_hand({"alg": "HS256"}, {"sub": "x", "exp": 10**400}, real),
        "nested": by_hand({"alg": "HS256"}, [[[]]] * 3, real),
        "no subject": jwt.encode({"exp": now + HOUR}, SECRET),
    }
    for subject in SUBJECTS:
        claims = {"sub": subject, "exp": plain["exp"]}
        tokens[f"sub {subject!r}"[:40]] = by_hand({"alg": "HS256"}, claims, real)
    return tokens


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path_factory.mktemp("tokens"), quiet) as target:
        yield target


async def test_http_refuses_each(target: Target) -> None:
    url = f"http://127.0.0.1:{target.port}"
    me = {"query": "{ me { id } }"}
    form = {"operations": json.dumps(me), "map": "{}"}
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:

        async def statuses(token: str) -> dict[str, int]:
            bearer = {"Authorization": f"Bearer {token}"}
            pre = {**bearer, "GraphQL-Preflight": "1"}
            body = {"content": "Hello", "toUserId": target.bob.id}
            answers = {
                "messages": await http.get("/api/messages?limit=1", headers=bearer),
                "all-message": await http.get("/api/message/all-message?limit=1", headers=bearer),
                "send": await http.post("/api/messages/send", json=body, headers=bearer),
                "older send": await http.post("/api/message/send", json=body, headers=bearer),
                "upload": await http.post("/api/uploads", files={"f": b"x"}, headers=bearer),
                "multipart": await http.post("/graphql", data=form, files={"f": b"x"}, headers=pre),
            }
            asked = await http.post("/graphql", json=me, headers=bearer)
            refused = asked.json().get("errors", [{}])[0].get("extensions", {}).get("code")
            answers_ = {name: answer.status_code for name, answer in answers.items()}
            return {**answers_, "graphql": 401 if refused == "UNAUTHENTICATED" else 200}

        sound = await statuses(target.alice.token)
        assert 401 not in sound.values(), sound
        file = await http.get("/files/1", headers={"Authorization": f"Bearer {target.alice.token}"})
        assert file.status_code == 200
        for name, token in forged(target.alice.id).items():
            told = await statuses(token)
            assert set(told.values()) == {401}, (name, told)
            answer = await http.get("/files/1", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in {401, 404}, (name, answer)


async def test_websockets_refuse_each(target: Target) -> None:
    tokens = forged(target.alice.id)
    assert await graphql_answer(target, target.alice.token) == "connection_ack"
    assert await socketio_answer(target, target.alice.token) == ["auth:ok"]
    for name, token in tokens.items():
        assert await graphql_answer(target, token) == 4403, name
        assert await socketio_answer(target, token) == ["auth:error", "Invalid token"], name


async def graphql_answer(target: Target, token: str) -> object:
    """Return the message that answers the token, or the close code."""
    wire = await websocket(target.port, GRAPHQL_WS)
    try:
        init = {"type": "connection_init", "payload": {"token": token}}
        await wire.send(client_frame(json.dumps(init).encode()))
        frame = await wire.frame()
        return frame.code if frame.opcode == CLOSE else json.loads(frame.payload)["type"]
    finally:
        wire.abort()


async def socketio_answer(target: Target, token: str) -> object:
    """Return the event that answers the login; a refused connection is closed after it."""
    wire = await websocket(target.port, SOCKETIO_WS)
    try:
        login = json.dumps(["auth:login", {"token": token}])
        await wire.send(client_frame(b"40") + client_frame(f"42{login}".encode()))
        while not (frame := await wire.frame()).payload.startswith(b"42"):
            pass
        event = json.loads(frame.payload[2:])
        if event[0] == "auth:error":
            try:
                while (await wire.frame()).opcode != CLOSE:
                    pass
            except Ended:
                pass
        return event
    finally:
        wire.abort()
