"""Tokens: HS256 JSON Web Tokens (RFC 7519) whose `sub` is a user's id."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import jwt

ALGORITHM = "HS256"
# Two machines' clocks differ; a token from the other one is not from the future.
LEEWAY_SECONDS = 10
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
