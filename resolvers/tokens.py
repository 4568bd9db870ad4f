"""Tokens: HS256 JSON Web Tokens (RFC 7519) whose `sub` is a user's id."""

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

import jwt

ALGORITHM = "HS256"
# Two machines' clocks differ; a token from the other one is not from the future.
LEEWAY_SECONDS = 10
# A client's requests come close together: each would check the signature and ask the database
# anew. For so long an account that is gone, or a token that ends, can still be used.
RECENT_SECONDS = 1.0
MAX_RECENT = 10_000
LARGEST_ID = 2**63 - 1


class InvalidToken(Exception):
    """Forged, malformed, expired, or of nobody."""


class IssuedToken(NamedTuple):
    """A token and when it ends."""

    token: str
    expires_at: datetime


class Tokens:
    """Signs and checks tokens with one secret."""

    def __init__(self, secret: str, *, lifetime_seconds: int) -> None:
        self._secret = secret
        self._lifetime = timedelta(seconds=lifetime_seconds)
        self._recent: dict[str, tuple[int, float]] = {}

    def recall(self, token: str) -> int | None:
        """Return whose token this is, when it was found sound and of somebody a moment ago."""
        known = self._recent.get(token)
        return known[0] if known is not None and monotonic() < known[1] else None

    def remember(self, token: str, user_id: int) -> None:
        """Note that the token is sound and of an existing user."""
        if len(self._recent) >= MAX_RECENT:
            self._recent.clear()
        self._recent[token] = (user_id, monotonic() + RECENT_SECONDS)

    def issue(self, user_id: int) -> IssuedToken:
        """Sign a token for the user."""
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = now + self._lifetime
        claims = {"sub": str(user_id), "iat": now, "exp": expires_at}
        return IssuedToken(jwt.encode(claims, self._secret, algorithm=ALGORITHM), expires_at)

    def check(self, token: str) -> int:
        """Return the user's id. Raises InvalidToken.

        The older server's tokens carry it as a number in `sub`, `id` or `userId`, and may have
        no `exp`.
        """
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                leeway=LEEWAY_SECONDS,
                # PyJWT refuses the older server's numeric `sub` (RFC 7519 §4.1.2).
                options={"verify_sub": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidToken from error
        return _user_id(claims)


def _user_id(claims: dict[str, Any]) -> int:
    subject = next((claims[name] for name in ("sub", "id", "userId") if name in claims), None)
    if isinstance(subject, str) and subject.isascii() and subject.isdigit() and len(subject) < 20:
        subject = int(subject)
    # bool is an int to Python.
    if type(subject) is int and 0 < subject <= LARGEST_ID:
        return subject
    raise InvalidToken
