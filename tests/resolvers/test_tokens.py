"""Tokens: ours, the older server's, and everything that only looks like one."""

import base64
import time
from typing import Any

import jwt
import pytest

from resolvers.guards import tokens as tokens_module
from resolvers.guards.tokens import InvalidToken, Tokens
from resolvers.guards.viewer import Viewer

SECRET = "a secret of the tests, long enough to sign with"


def _signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """Sign a token whose times are given in seconds from now."""
    claims = dict(claims)
    for name in {"iat", "nbf", "exp"} & claims.keys():
        if isinstance(claims[name], int):
            claims[name] += int(time.time())
    return jwt.encode(claims, secret, algorithm=algorithm)


def _forged(header: str, signature: str = "c2lnbmF0dXJl") -> str:
    parts = (header, '{"sub":"5"}')
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, signature])


@pytest.fixture
def tokens() -> Tokens:
    """Tokens of an hour."""
    return Tokens(SECRET, lifetime_seconds=3600)


def test_a_token_is_its_users_until_it_ends(tokens: Tokens) -> None:
    issued = tokens.issue(7, 2**62)
    said = tokens.check(issued.token)
    assert (said.user_id, said.session_id) == (7, 2**62)
    assert said.expires_at == issued.expires_at.timestamp()
    assert tokens.check(tokens.issue(7).token).session_id is None
    claims = jwt.decode(issued.token, SECRET, algorithms=["HS256"])
    assert claims["sub"] == "7"
    assert claims["exp"] - claims["iat"] == 3600
    assert issued.expires_at.timestamp() == claims["exp"]


@pytest.mark.parametrize(
    ("claims", "user_id"),
    [
        ({"sub": 5, "iat": 0, "exp": 60}, 5),
        ({"sub": "5"}, 5),
        ({"id": 5, "email": "a@example.com", "iat": 0}, 5),
        ({"userId": 5}, 5),
        ({"id": "5"}, 5),
        ({"sub": 2**63 - 1}, 2**63 - 1),
        # Clocks differ a little.
        ({"sub": 5, "iat": 5}, 5),
        ({"sub": 5, "exp": -5}, 5),
    ],
)
def test_tokens_of_the_older_server_are_good(
    tokens: Tokens, claims: dict[str, Any], user_id: int
) -> None:
    assert tokens.check(_signed(claims)).user_id == user_id


NOW = time.time()
NOTHING_SAID: tuple[Any, ...] = (
    *(NOW + 48 * 3600.0, 10**18, 10**400, "9" * 400, float("inf"), float("nan"), "nan"),
    *(None, True, "", "today", "2024-01-01T00:00:00Z", [1], {}),
)


@pytest.mark.parametrize(
    ("iat", "issued_at"),
    [
        (int(NOW), int(NOW)),
        (NOW, NOW),
        (int(NOW * 1000), NOW),
        (NOW * 1000, NOW),
        (f"{int(NOW)}", int(NOW)),
        (f"{int(NOW * 1000)}", NOW),
        (NOW + 60.0, NOW + 60),
        (NOW + 12 * 3600.0, NOW + 12 * 3600),
        # These say nothing of when, and spoil nothing.
        *((iat, None) for iat in NOTHING_SAID),
    ],
    ids=lambda _: "iat",  # the same in each process of the tests
)
def test_when_a_token_was_issued_never_decides_whether_it_is_good(
    tokens: Tokens, iat: Any, issued_at: float | None
) -> None:
    token = jwt.encode({"id": 5, "iat": iat}, SECRET, algorithm="HS256")
    said = tokens.check(token).issued_at
    assert said == (None if issued_at is None else pytest.approx(issued_at, abs=0.01))


def test_what_nodes_jsonwebtoken_signs_is_read(tokens: Tokens) -> None:
    assert tokens.check(_signed({"id": 5, "jti": 12})).user_id == 5


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": None, "id": 5},
        {"sub": 0},
        {"sub": -5},
        {"sub": True},
        {"sub": 5.0},
        {"sub": [5]},
        {"sub": ""},
        {"sub": "five"},
        {"sub": "-5"},
        {"sub": "٥"},
        {"sub": "5" * 30},
        {"sub": 2**63},
        {"sub": 5, "exp": -60},
        {"sub": 5, "exp": "soon"},
        {"sub": 5, "nbf": 600},
        {"sub": 5, "nbf": "soon"},
        {"sub": 5, "iat": 0, "exp": -60},
        {"sub": 5, "aud": "another service"},
        {"sub": "5", "sid": None},
        {"sub": "5", "sid": ""},
        {"sub": "5", "sid": True},
        {"sub": "5", "sid": "0"},
        {"sub": "5", "sid": "7'; --"},
        {"sub": "5", "sid": 2**63},
        {"sub": "5", "exp": float("nan")},
    ],
    ids=str,
)
def test_a_signed_token_must_be_of_somebody_and_of_now(
    tokens: Tokens, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        tokens.check(_signed(claims))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800",
        "\0",
        "a" * 100_000,
        _forged("[" * 50_000),
        _forged('{"x":' + "9" * 5000 + "}"),
        _forged("null"),
        _forged('{"alg":"none"}'),
        _forged('{"alg":"none"}', ""),
        _forged('{"alg":"NONE"}', ""),
        _forged('{"alg":["HS256"]}'),
        _forged('{"alg":"HS256"}', ""),
        _forged('{"alg":"HS256","crit":["x"]}'),
        _signed({"sub": "5"}, "another secret, as long as the first one is"),
        _signed({"sub": "5"}, SECRET * 2, "HS512"),
        _signed({"sub": "5"})[:-2],
        _signed({"sub": "5"}).rpartition(".")[0] + "." + _signed({"sub": "6"}).rpartition(".")[2],
    ],
    ids=lambda token: ascii(token)[:40],
)
def test_what_was_not_signed_with_our_secret_is_nobodys(tokens: Tokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.check(token)


def test_a_token_is_recalled_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Tokens("a secret of 32 bytes, or somewhat more", lifetime_seconds=60)
    known.remember("token", Viewer(7, None, None, 0.0))
    assert known.recall("token") == Viewer(7, None, None, 0.0)
    assert known.recall("another") is None
    monkeypatch.setattr(tokens_module, "RECENT_SECONDS", -1.0)
    known.remember("token", Viewer(7, None, None, 0.0))
    assert known.recall("token") is None


def test_recalled_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_RECENT", 3)
    known = Tokens("a secret of 32 bytes, or somewhat more", lifetime_seconds=60)
    for number in range(10):
        known.remember(str(number), Viewer(number, None, None, 0.0))
    assert sum(known.recall(str(number)) is not None for number in range(10)) <= 3


def test_what_is_recalled_is_forgotten_with_its_user() -> None:
    known = Tokens("a secret of 32 bytes, or somewhat more", lifetime_seconds=60)
    for number in (7, 8):
        known.remember(f"{number}", Viewer(number, number, None, 0.0))
    known.forget(7)
    assert (known.recall("7"), known.recall("8")) == (None, Viewer(8, 8, None, 0.0))
    assert known.pop_used_sessions() == {7, 8}
    assert known.pop_used_sessions() == set()
