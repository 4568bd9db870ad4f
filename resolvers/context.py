"""What every operation is given first: the parts of the running server, and the caller."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database
from db.files import FileStore
from db.log.log import MessageLog
from db.models import StoredMessage
from db.replicas import Replicas
from db.search.search import MessageSearch
from events.control import Control
from events.feed import Feed
from events.hub import Hub
from events.presence import Presence
from events.roster import Roster
from events.typing import Typing
from media.inspector import Inspector
from resolvers.errors import Unauthenticated, as_unavailable
from resolvers.guards.addresses import Caller, ClientInfo, Proxies
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.guards.directory import Directory
from resolvers.guards.file_urls import FileUrls
from resolvers.guards.invisible import Invisible
from resolvers.guards.kept_set import KeptSet
from resolvers.guards.limits.connection_slots import ConnectionSlots
from resolvers.guards.limits.rates import RateLimits
from resolvers.guards.limits.upload_slots import UploadSlots
from resolvers.guards.memberships import Memberships
from resolvers.guards.passwords import Passwords
from resolvers.guards.token_states import TokenStates
from resolvers.guards.tokens import Tokens
from resolvers.guards.validation import printable
from resolvers.guards.viewer import Viewer
from settings import Settings

MAX_ADDRESS = 64  # as the columns have room for


class Context(msgspec.Struct, frozen=True, eq=False):
    """Built once at the start; each request or connection derives its own with `as_viewer`.

    A msgspec.Struct, since each request makes a copy: a dataclass takes twenty times as long.
    """

    settings: Settings
    db: Database
    replicas: Replicas
    log: MessageLog
    hub: Hub
    feed: Feed[StoredMessage]
    roster: Roster
    presence: Presence
    typing: Typing
    blocks: BlockedPairs
    directory: Directory
    memberships: Memberships
    invisible: Invisible
    hiding: KeptSet[int]  # those who show no read marks, and see none
    control: Control
    passwords: Passwords
    tokens: Tokens
    token_states: TokenStates
    files: FileStore
    file_urls: FileUrls
    inspector: Inspector
    upload_slots: UploadSlots
    limits: RateLimits
    proxies: Proxies
    connection_slots: ConnectionSlots
    search: MessageSearch | None = None  # None: SEARCH=off
    viewer: Viewer | None = None
    # Why there is no viewer, in the words of the older server.
    refusal: str = "No token provided"
    caller: Caller | None = None
    # Whether the caller's wire shows groups: the older ones do not know them.
    shows_groups: bool = False

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
        """The caller's address as a column keeps it."""
        return printable(self.address)[:MAX_ADDRESS]

    def familiar_since(self) -> datetime:
        """Return since when an address that was used to log in is familiar to the account."""
        return datetime.now(UTC) - timedelta(seconds=self.settings.familiar_address_seconds)

    @property
    def agent(self) -> str:
        """What the caller's program calls itself; empty when it is not known."""
        return "" if self.caller is None else self.caller.agent

    def charging_time(self) -> AbstractContextManager[None]:
        """Charge the caller for the time that the block holds the loop. Raises RateLimited."""
        viewer = self.viewer
        return self.limits.charging_time(None if viewer is None else viewer.id, self.address)

    def called_from(self, client: ClientInfo) -> "Context":
        """Return the context of a call by this client."""
        return replace(self, caller=Caller(client, self.proxies))

    def as_viewer(self, viewer: Viewer) -> "Context":
        """Return the context of a call by this viewer."""
        return replace(self, viewer=viewer)

    def as_nobody(self, refusal: str) -> "Context":
        """Return the context of a call by somebody whose token was refused."""
        return replace(self, viewer=None, refusal=refusal)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for reading. Raises Unavailable."""
        with as_unavailable():
            async with self.db.read() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in the operation's one transaction. Raises Unavailable."""
        with as_unavailable():
            async with self.db.write() as connection:
                yield connection
