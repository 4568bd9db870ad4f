"""Replicas of the database, from which histories are read where they have got far enough.

A replica gets each commit a little later than it was answered. It lends a connection only while
it has everything up to the position that the caller asks for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

from sqlalchemy.ext.asyncio import AsyncConnection

from db import facts
from db.engines.database import Database, DatabaseUnavailable
from db.messages import head_position

logger = logging.getLogger("parley.db")

# How long a reader waits for a replica that answers: a healthy one does within milliseconds.
CHECK_SECONDS = 1.0
# How long a reader waits for a replica that is behind. Replication takes a few milliseconds.
BEHIND_SECONDS = 0.05
LOOK_SECONDS = 0.005
# How long a replica is left alone that did not answer, or was behind. Then one reader tries it.
AWAY_SECONDS = 5.0
LAGS_SECONDS = 1.0
# A replica that was behind so often, one time after the other, is told of: others are behind in
# turns, and the log would have a line each second.
BEHIND_TOLD = 3


class Replicas:
    """`reading` lends a connection of one of them; `close` ends all."""

    def __init__(self, urls: Sequence[str], database: Database, *, pool_size: int) -> None:
        self._replicas = [_Replica(url, pool_size=pool_size) for url in urls]
        self._next = 0
        self._head = _SharedRead(lambda: _read_head(database))

    def __bool__(self) -> bool:
        return bool(self._replicas)

    async def head(self) -> int | None:
        """Return the log's last position as of now; None while the database is away."""
        return await self._head.from_now_on()

    @asynccontextmanager
    async def reading(self, epoch: str, position: int) -> AsyncIterator[AsyncConnection | None]:
        """Lend a connection that sees the log of this epoch up to the position, or None.

        Raises DatabaseUnavailable where the replica goes away while it is used.
        """
        async with AsyncExitStack() as stack:
            yield await self._borrow(stack, epoch, position)

    async def _borrow(
        self, stack: AsyncExitStack, epoch: str, position: int
    ) -> AsyncConnection | None:
        self._next += 1
        for number in range(len(self._replicas)):
            replica = self._replicas[(self._next + number) % len(self._replicas)]
            connection = await replica.borrow(stack, epoch, position)
            if connection is not None:
                return connection
        return None

    async def close(self) -> None:
        """Close every connection."""
        for replica in self._replicas:
            await replica.close()


class _Replica:
    """One of them, and how it was lately."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._database = Database(url, pool_size=pool_size, says=False)
        self._name = f"{self._database.url.host}:{self._database.url.port or 3306}"
        self._left_alone_until = 0.0
        self._trouble = ""  # what was said of it last
        self._times_behind = 0

    async def borrow(
        self, stack: AsyncExitStack, epoch: str, position: int
    ) -> AsyncConnection | None:
        """Return a connection while the stack lasts; None unless it sees the position."""
        if _now() < self._left_alone_until:
            return None
        if self._trouble or self._times_behind:
            # One reader tries; the others leave it alone meanwhile.
            self._leave_alone(CHECK_SECONDS)
        try:
            async with AsyncExitStack() as trying:
                trying.push(self._note)
                async with asyncio.timeout(CHECK_SECONDS):
                    connection = await trying.enter_async_context(self._database.read())
                    trouble = await _reach(connection, epoch, position)
                if trouble is None:
                    self._is_well()
                    stack.push_async_exit(trying.pop_all())
                    return connection
        except (DatabaseUnavailable, TimeoutError) as error:
            self._note(type(error), error, None)
            return None
        self._times_behind += 1
        if self._times_behind >= BEHIND_TOLD:
            self._say(trouble)
        self._leave_alone(LAGS_SECONDS)
        return None

    async def close(self) -> None:
        """Close its connections."""
        await self._database.close()

    def _note(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, DatabaseUnavailable | TimeoutError):
            self._say(f"does not answer ({str(error) or 'no answer in time'})")
            self._leave_alone(AWAY_SECONDS)
        return False

    def _leave_alone(self, seconds: float) -> None:
        self._left_alone_until = max(self._left_alone_until, _now() + seconds)

    def _say(self, trouble: str) -> None:
        # A new kind of trouble at once; the same one goes on in silence.
        if trouble.split(" (")[0] != self._trouble.split(" (")[0]:
            logger.warning("The replica %s %s; the database is read instead", self._name, trouble)
        self._trouble = trouble

    def _is_well(self) -> None:
        self._left_alone_until, self._times_behind = 0.0, 0
        if self._trouble:
            logger.info("The replica %s is read again", self._name)
            self._trouble = ""


async def _reach(connection: AsyncConnection, epoch: str, position: int) -> str | None:
    """Wait a little until the replica has the position; return what is wrong, where it has not."""
    deadline = _now() + BEHIND_SECONDS
    while True:
        found, head = await facts.read_cursor(connection)
        if found != epoch:
            return "follows another database, or has not got far enough"
        if head >= position:
            return None
        if _now() >= deadline:
            return f"is behind (by {position - head} positions)"
        await asyncio.sleep(LOOK_SECONDS)


class _SharedRead:
    """Reads a number as of now; those who ask while it is being read share the next reading."""

    def __init__(self, read: Callable[[], Awaitable[int | None]]) -> None:
        self._read = read
        self._reading = asyncio.Lock()
        self._begun = self._ended = 0  # the number of the reading
        self._found: int | None = None

    async def from_now_on(self) -> int | None:
        """Return what a reading gave that began after this call."""
        last = self._begun
        async with self._reading:
            if self._ended <= last:
                self._begun += 1
                self._found = await self._read()
                self._ended = self._begun
            return self._found


async def _read_head(database: Database) -> int | None:
    try:
        # Not `read(seconds=…)`: where the database is busy, its connections are good all the same.
        async with asyncio.timeout(CHECK_SECONDS), database.read() as connection:
            return await head_position(connection)
    except (DatabaseUnavailable, TimeoutError):
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
