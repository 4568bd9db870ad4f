"""Tokens: HS256 JSON Web Tokens (RFC 7519): `sub` is a user's id, `sid` that of a session."""

import base64
import math
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import Any, NamedTuple

import jwt
from jwt.algorithms import HMACAlgorithm
from jwt.types import Options

from resolvers.guards.viewer import Viewer

ALGORITHM = "HS256"
# Two machines' clocks differ; a token from the other one is not from the future.
LEEWAY_SECONDS = 10
# A client's requests come close together: without this each would check the signature and ask the
# database. For so long a token can be used that has expired, or whose account is gone.
RECENT_SECONDS = 1.0
MAX_RECENT = 10_000
# Sessions noted as used, until that is stored: after a minute at most.
MAX_USED = 100_000
LARGEST_ID = 2**63 - 1
# The most common servers take no longer headers, so that no token that works is longer.
MAX_TOKEN = 8 * 1024
# PyJWT refuses numbers in `sub` and `jti` (RFC 7519 §4.1.2, §4.1.7) and an `iat` that lies ahead or
# is no number. Node's jsonwebtoken, which signed the older server's tokens, takes all of these.
OPTIONS: Options = {"verify_sub": False, "verify_jti": False, "verify_iat": False}
# The last moment that a datetime can be (RFC 3339 has years of four digits).
LATEST = 253402300799.0
# A number of seconds beyond this is one of milliseconds (`Date.now()`): it would be the year 5138.
MILLISECONDS_FROM = 100_000_000_000.0
# An `iat` further ahead says nothing: no clock is so wrong.
MOST_AHEAD_SECONDS = 24 * 3600.0


class InvalidToken(Exception):
    """Forged, malformed, expired, or of nobody."""


class Claims(NamedTuple):
    """What a token says. Times are seconds since 1970."""

    user_id: int
    session_id: int | None = None  # the older server's tokens name none
    issued_at: float | None = None  # None: the token does not say, or says what cannot be true
    expires_at: float | None = None


class IssuedToken(NamedTuple):
    """A token and when it ends."""

    token: str
    expires_at: datetime
    session_id: int | None = None


class _Prepared(HMACAlgorithm):
    def prepare_key(self, key: str | bytes) -> bytes:
        """Return the key, which PyJWK has prepared: to prepare it takes as long as to sign."""
        assert isinstance(key, bytes)  # noqa: S101  # PyJWK's is
        return key


class Tokens:
    """Signs and checks tokens with one secret."""

    def __init__(self, secret: str, *, lifetime_seconds: int) -> None:
        self._secret = secret
        # Given the text, PyJWT looks each time whether it is some other kind of key.
        encoded = base64.urlsafe_b64encode(secret.encode()).decode()
        self._key = jwt.PyJWK({"kty": "oct", "k": encoded, "alg": ALGORITHM})
        self._key.Algorithm = _Prepared(HMACAlgorithm.SHA256)
        self._lifetime = timedelta(seconds=lifetime_seconds)
        self._recent: dict[str, tuple[Viewer, float]] = {}
        self._used: set[int] = set()

    def recall(self, token: str) -> Viewer | None:
        """Return the viewer of the token, if it was remembered a moment ago."""
        if len(token) > MAX_TOKEN:
            return None
        known = self._recent.get(token)
        return known[0] if known is not None and monotonic() < known[1] else None

    def remember(self, token: str, viewer: Viewer) -> None:
        """Remember the viewer of a good token, and note that the session is in use."""
        if len(self._recent) >= MAX_RECENT:
            self._recent.clear()
        self._recent[token] = (viewer, monotonic() + RECENT_SECONDS)
        if viewer.session_id is not None and len(self._used) < MAX_USED:
            self._used.add(viewer.session_id)

    def pop_used_sessions(self) -> set[int]:
        """Return the sessions whose tokens were used since the last call."""
        used, self._used = self._used, set()
        return used

    def forget(self, user_id: int) -> None:
        """Forget the user's tokens, since a session of theirs has changed."""
        theirs = [t for t, (viewer, _) in self._recent.items() if viewer.id == user_id]
        for token in theirs:
            del self._recent[token]

    def forget_all(self) -> None:
        """Forget all tokens, since the log has lost facts about sessions."""
        self._recent.clear()

    def next_end(self) -> datetime:
        """Return when a token that is issued now ends."""
        return datetime.now(UTC).replace(microsecond=0) + self._lifetime

    def issue(
        self, user_id: int, session_id: int | None = None, *, expires_at: datetime | None = None
    ) -> IssuedToken:
        """Sign a token for the user, of their session."""
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = expires_at or now + self._lifetime
        claims: dict[str, Any] = {"sub": str(user_id), "iat": now, "exp": expires_at}
        if session_id is not None:
            claims["sid"] = str(session_id)
        token = jwt.encode(claims, self._secret, algorithm=ALGORITHM)
        return IssuedToken(token, expires_at, session_id)

    def check(self, token: str) -> Claims:
        """Return what the token says. Raises InvalidToken.

        `exp` and `nbf` decide when it is good. The older server's tokens name the user in `sub`,
        `id` or `userId`, perhaps as a number, and may have no `exp`.
        """
        if len(token) > MAX_TOKEN:
            raise InvalidToken
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                leeway=LEEWAY_SECONDS,
                options=OPTIONS,
            )
            subject = next((claims[n] for n in ("sub", "id", "userId") if n in claims), None)
            return Claims(
                user_id=_id(subject),
                session_id=_id(claims["sid"]) if "sid" in claims else None,
                issued_at=_issued_at(claims.get("iat")),
                expires_at=_seconds(claims.get("exp")),
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise InvalidToken from error


def _id(claim: Any) -> int:
    if isinstance(claim, str) and claim.isascii() and claim.isdigit() and len(claim) < 20:
        claim = int(claim)
    # bool is an int to Python.
    if type(claim) is int and 0 < claim <= LARGEST_ID:
        return claim
    raise InvalidToken


def _seconds(claim: Any) -> float | None:
    return None if claim is None else min(float(claim), LATEST)


def _issued_at(claim: Any) -> float | None:
    """Return when a token says that it was issued, in seconds or milliseconds, perhaps as text."""
    if isinstance(claim, bool) or not isinstance(claim, int | float | str):
        return None
    try:
        moment = float(claim)
    except (ValueError, OverflowError):
        return None
    if moment > MILLISECONDS_FROM:
        moment /= 1000
    return moment if math.isfinite(moment) and moment <= time() + MOST_AHEAD_SECONDS else None
