"""Whether tokens are still good: asked of the database together where many come together."""

import asyncio

from db.engines.database import Database
from db.people.sessions import MAX_TOKEN_STATES, TokenState, find_token_states
from resolvers.errors import as_unavailable

# A user, and a session of theirs or None.
Key = tuple[int, int | None]


class TokenStates:
    """Looks up users and their sessions in batches: while one is read the next gathers.

    A thousand clients that reconnect at once are looked up in a few dozen queries, and a single
    client at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Key, asyncio.Future[TokenState | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def find(self, user_id: int, session_id: int | None) -> TokenState | None:
        """Return the state of the user and the session; None for a user who may not come in.

        It is read after this was called. Raises Unavailable.
        """
        answer: asyncio.Future[TokenState | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((user_id, session_id), answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="token-states")
        with as_unavailable():
            return await answer

    async def _read(self) -> None:
        batch: list[tuple[Key, asyncio.Future[TokenState | None]]] = []
        try:
            while self._waiting:
                batch = self._waiting[:MAX_TOKEN_STATES]
                del self._waiting[:MAX_TOKEN_STATES]
                await self._answer(batch)
        finally:
            for _, answer in batch:
                answer.cancel()  # those that have none: the server is stopping
            self._reading = None

    async def _answer(self, batch: list[tuple[Key, asyncio.Future[TokenState | None]]]) -> None:
        try:
            async with self._database.read() as connection:
                found = await find_token_states(connection, [key for key, _ in batch])
        except Exception as error:  # whatever it is, the callers are to hear of it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), state in zip(batch, found, strict=True):
            if not answer.done():  # the caller may have gone
                answer.set_result(state)
