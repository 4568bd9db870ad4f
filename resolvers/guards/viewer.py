"""The user who is calling."""

from dataclasses import dataclass, field
from time import monotonic

from events.connection import Connection


@dataclass(frozen=True, slots=True)
class Viewer:
    """The user who is calling, whose token was checked."""

    id: int
    # The token's session; None for a token of the older server.
    session_id: int | None = field(default=None, compare=False)
    # When the session ends, or the older token: seconds since 1970; None for never.
    expires_at: float | None = field(default=None, compare=False)
    # Before the token was looked up: a session that has ended since then is no longer good.
    checked_at: float = field(default_factory=monotonic, compare=False)
    # When an older token says that it was issued: seconds since 1970.
    issued_at: float | None = field(default=None, compare=False)
    # Broadcasts up to this position of the log are older than the account: hidden from the user.
    broadcasts_after: int = field(default=0, compare=False)
    # The open socket of the call, if it came over one.
    connection: Connection | None = field(default=None, compare=False)

    @property
    def session(self) -> int | None:
        """The session of the call now: the connection of an older token may gain one."""
        return self.session_id if self.connection is None else self.connection.session_id
