"""What every operation is handed first: the parts of the running server, and who is calling."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database, DatabaseUnavailable
from db.files import FileStore
from db.log.log import MessageLog
from db.models import StoredMessage
from events.connection import Connection
from events.control import Control
from events.feed import Feed
from events.hub import Hub
from events.presence import Presence
from events.roster import Roster
from media.inspector import Inspector
from resolvers.errors import Unauthenticated, Unavailable
from resolvers.guards.addresses import Caller, Told
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.guards.connection_slots import ConnectionSlots
from resolvers.guards.directory import Directory
from resolvers.guards.fields import printable
from resolvers.guards.file_urls import FileUrls
from resolvers.guards.limits import Limits
from resolvers.guards.passwords import Passwords
from resolvers.guards.standings import Standings
from resolvers.guards.tokens import Tokens
from resolvers.guards.upload_slots import UploadSlots
from settings import Settings

MAX_ADDRESS = 64  # as the columns have room for


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is calling: a user whose token was checked."""

    id: int
    # Of the token; None for one of the older server.
    session_id: int | None = field(default=None, compare=False)
    # When the session ends, or the older token: seconds since 1970; None for never.
    expires_at: float | None = field(default=None, compare=False)
    # Before the token was looked up: what ended since then ended it too.
    checked_at: float = field(default_factory=monotonic, compare=False)
    # When an older token says that it was issued: seconds since 1970.
    issued_at: float | None = field(default=None, compare=False)
    # Broadcasts up to this position of the log are of before they registered: hidden from them.
    broadcasts_after: int = field(default=0, compare=False)
    # The open socket that they are calling on, if it is one.
    connection: Connection | None = field(default=None, compare=False)

    @property
    def session(self) -> int | None:
        """The session that they are calling in now: an older token's connection may gain one."""
        return self.session_id if self.connection is None else self.connection.session_id


class Context(msgspec.Struct, frozen=True, eq=False):
    """Built once at the start; each request or connection derives its own with `as_viewer`.

    A msgspec.Struct, since every request does: a dataclass takes twenty times as long to copy.
    """

    settings: Settings
    db: Database
    log: MessageLog
    hub: Hub
    feed: Feed[StoredMessage]
    roster: Roster
    presence: Presence
    blocks: BlockedPairs
    directory: Directory
    control: Control
    passwords: Passwords
    tokens: Tokens
    standings: Standings
    files: FileStore
    file_urls: FileUrls
    inspector: Inspector
    upload_slots: UploadSlots
    limits: Limits
    connection_slots: ConnectionSlots
    viewer: Viewer | None = None
    # Why there is no viewer, in the words of the older server.
    refusal: str = "No token provided"
    caller: Caller | None = None

    @property
    def user(self) -> Viewer:
        """The viewer. Raises Unauthenticated when there is none."""
        if self.viewer is None:
            raise Unauthenticated(self.refusal)
        return self.viewer

    @property
    def address(self) -> str:
        """The address by which the caller is counted; empty when it is not known."""
        return "" if self.caller is None else self.caller.address

    @property
    def counted_address(self) -> str:
        """The same as a column keeps it."""
        return printable(self.address)[:MAX_ADDRESS]

    def familiar_since(self) -> datetime:
        """Since when an address from which somebody came in is familiar to their account."""
        return datetime.now(UTC) - timedelta(seconds=self.settings.familiar_address_seconds)

    @property
    def agent(self) -> str:
        """What the caller's program calls itself; empty when it is not known."""
        return "" if self.caller is None else self.caller.agent

    def thinking(self) -> AbstractContextManager[None]:
        """Take what the block holds the loop for from the caller's time. Raises RateLimited."""
        viewer = self.viewer
        return self.limits.thinking(None if viewer is None else viewer.id, self.address)

    def called_from(self, told: Told) -> "Context":
        """The same server, called by whoever this tells of."""
        return replace(self, caller=Caller(told, self.limits.proxies))

    def as_viewer(self, viewer: Viewer) -> "Context":
        """The same server, called by this viewer."""
        return replace(self, viewer=viewer)

    def as_nobody(self, refusal: str) -> "Context":
        """The same server, called by somebody whose token was refused."""
        return replace(self, viewer=None, refusal=refusal)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for reading. Raises Unavailable."""
        try:
            async with self.db.read() as connection:
                yield connection
        except DatabaseUnavailable as error:
            raise Unavailable from error

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in the operation's one transaction. Raises Unavailable."""
        try:
            async with self.db.write() as connection:
                yield connection
        except DatabaseUnavailable as error:
            raise Unavailable from error
