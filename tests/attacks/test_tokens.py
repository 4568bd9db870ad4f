"""Tokens that are forged, out of time, or of nobody: refused alike, on every face and route."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.doors import all_open, all_shut, client, opens_file
from tests.attacks.target import Target, attacked

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


def numbers(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims as they are written in a token."""
    dates = {name: it for name, it in claims.items() if isinstance(it, datetime)}
    return {**claims, **{name: int(it.timestamp()) for name, it in dates.items()}}


def session_of(token: str) -> str:
    """Return the session that a token of the server's names."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return str(claims["sid"])


def with_session(user_id: int, session: Any) -> str:
    """Return a well-signed token of the user that names this session."""
    claims = {"sub": str(user_id), "exp": datetime.now(UTC) + HOUR, "sid": session}
    return by_hand({"alg": "HS256"}, numbers(claims), SECRET.encode())


def of_other_sessions(target: Target, session: str) -> dict[str, str]:
    """Return well-signed tokens of Alice's whose session is not one of hers."""
    others = {
        "another's": session_of(target.bob.token),
        "nobody's": str(2**40),
        "the largest": 2**63 - 1,
        "spaced": f" {session}",
        "a fraction": float(session) + 0.5,
        "in a list": [session],
        "in an object": {"id": session},
    }
    absurd = {f"sid {it!r}"[:40]: it for it in SUBJECTS if it not in ([1], {"id": 1})}
    return {name: with_session(target.alice.id, sid) for name, sid in {**others, **absurd}.items()}


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path_factory.mktemp("tokens"), quiet) as target:
        yield target


async def test_each_is_refused_everywhere(target: Target) -> None:
    async with client(target, target.alice.token) as http:
        uploaded = (await http.post("/api/uploads", files={"f": b"secret"})).json()
    file = f"/files/{uploaded['id']}"
    assert await opens_file(target, target.alice.token, file)
    await all_open(target, target.alice.token, to=target.bob.id)
    session = session_of(target.alice.token)
    tokens = forged(target.alice.id) | of_other_sessions(target, session)
    for name, token in tokens.items():
        try:
            await all_shut(target, token, to=target.bob.id, few=True)
        except AssertionError as error:
            raise AssertionError(name) from error
        assert not await opens_file(target, token, file), name
    await all_open(target, target.alice.token, to=target.bob.id)


async def test_a_token_that_names_its_session_by_a_number_is_good(target: Target) -> None:
    """So that the refusals above are refusals of the session, not of how it is signed."""
    session = int(session_of(target.alice.token))
    await all_open(target, with_session(target.alice.id, session), to=target.bob.id)
    await all_open(target, with_session(target.alice.id, str(session)), to=target.bob.id)


async def test_tokens_without_a_session_can_be_switched_off(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report, legacy_tokens="false") as strict:
        older = {"sub": strict.alice.id, "exp": datetime.now(UTC) + HOUR}
        for claims in (older, {"id": strict.alice.id}, {"userId": strict.alice.id}):
            await all_shut(
                strict, by_hand({"alg": "HS256"}, numbers(claims), SECRET.encode()), to=1
            )
        await all_open(strict, strict.alice.token, to=strict.bob.id)


async def test_tokens_without_a_session_are_good_unless_switched_off(target: Target) -> None:
    older = {"id": target.alice.id, "exp": datetime.now(UTC) + HOUR}
    token = by_hand({"alg": "HS256"}, numbers(older), SECRET.encode())
    await all_open(target, token, to=target.bob.id)
