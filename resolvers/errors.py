"""What an operation refuses with. Each transport has one table from `code` to its own form.

ParleyError
├── Unauthenticated   UNAUTHENTICATED
├── Forbidden         FORBIDDEN
├── NotFound          NOT_FOUND          also for what exists but is hidden
├── BadInput          BAD_USER_INPUT
├── Conflict          CONFLICT
├── CursorExpired     CURSOR_EXPIRED     what came after the cursor cannot all be told
├── RateLimited       RATE_LIMITED
│   └── TooManyConnections             of one user: a socket is closed for it
├── PayloadTooLarge   PAYLOAD_TOO_LARGE
└── Unavailable       INTERNAL           the database is away: nothing was done, try again
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar

from db.engines.database import DatabaseUnavailable
from db.files import StoreUnavailable


class Code(StrEnum):
    """The closed list of codes that clients see."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    CONFLICT = "CONFLICT"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    RATE_LIMITED = "RATE_LIMITED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    INTERNAL = "INTERNAL"


class ParleyError(Exception):
    """A refusal: a stable code, and a message meant for the caller's eyes.

    `setting` is the name of the limit that refused: the message includes it where `names_settings`
    is switched on, as it is on a development server.
    """

    names_settings: ClassVar[bool] = False
    # How many there were in this process, by code and by what refused, for the operator's figures.
    raised: ClassVar[Counter[tuple[str, str]]] = Counter()

    code = Code.INTERNAL
    # When the same call may go through; None where time changes nothing.
    retry_after_ms: int | None = None

    def __init__(
        self, message: str, *, retry_after_ms: int | None = None, setting: str = ""
    ) -> None:
        if setting and ParleyError.names_settings:
            message = f"{message} ({setting})"
        super().__init__(message)
        ParleyError.raised[self.code.value, setting or type(self).__name__] += 1
        self.message = message
        if retry_after_ms is not None:
            self.retry_after_ms = retry_after_ms


class Unauthenticated(ParleyError):
    """The caller is nobody we know."""

    code = Code.UNAUTHENTICATED


class Forbidden(ParleyError):
    """The caller is known, and may not."""

    code = Code.FORBIDDEN


class NotFound(ParleyError):
    """There is no such thing, or the caller may not know of it."""

    code = Code.NOT_FOUND


class BadInput(ParleyError):
    """The arguments cannot be right, whoever calls."""

    code = Code.BAD_USER_INPUT


class Conflict(ParleyError):
    """It contradicts what is stored already."""

    code = Code.CONFLICT


class CursorExpired(ParleyError):
    """What came after the cursor cannot all be told: query anew, and go on from there."""

    code = Code.CURSOR_EXPIRED


class RateLimited(ParleyError):
    """Too much at once; the same call may go through later, as soon as `retry_after_ms` says."""

    code = Code.RATE_LIMITED
    retry_after_ms: int

    def __init__(self, message: str, *, retry_after_ms: int, setting: str = "") -> None:
        super().__init__(message, retry_after_ms=retry_after_ms, setting=setting)


class TooManyConnections(RateLimited):
    """The user has as many connections as one may; one of them has to end first."""


class PayloadTooLarge(ParleyError):
    """Beyond a stated size."""

    code = Code.PAYLOAD_TOO_LARGE


class Unavailable(ParleyError):
    """Nothing is wrong with the call; the database, or the store of files, does not answer."""

    code = Code.INTERNAL
    retry_after_ms = 1000  # a restart takes seconds, and trying costs little

    def __init__(self) -> None:
        super().__init__("The service is unavailable for the moment; try again")


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Raise Unavailable where the database or the store does not answer within the block."""
    try:
        yield
    except (DatabaseUnavailable, StoreUnavailable) as error:
        raise Unavailable from error
