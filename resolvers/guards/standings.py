"""What tokens are worth now: asked of the database together where many come together."""

import asyncio

from db.engines.database import Database, DatabaseUnavailable
from db.sessions import MAX_STANDINGS, Standing, find_standings
from resolvers.errors import Unavailable


class Standings:
    """While one question is being answered the next gathers: a thousand clients that reconnect at
    once are asked about in a few dozen questions, and one alone is asked about at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[tuple[int, int | None], asyncio.Future[Standing | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def find(self, user_id: int, session_id: int | None) -> Standing | None:
        """Return the user's, with that of their session; None for one who may not come in.

        It is so after this was called. Raises Unavailable.
        """
        answer: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((user_id, session_id), answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="standings")
        try:
            return await answer
        except DatabaseUnavailable as error:
            raise Unavailable from error

    async def _ask(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting[:MAX_STANDINGS]
                del self._waiting[:MAX_STANDINGS]
                try:
                    await self._answer(asked)
                finally:
                    for _, answer in asked:
                        answer.cancel()  # those that have none: the server is stopping
        finally:
            self._asking = None

    async def _answer(
        self, asked: list[tuple[tuple[int, int | None], asyncio.Future[Standing | None]]]
    ) -> None:
        try:
            async with self._database.read() as connection:
                found = await find_standings(connection, [key for key, _ in asked])
        except Exception as error:  # whatever it is, it is the callers' to hear
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), standing in zip(asked, found, strict=True):
            if not answer.done():  # the caller may have gone
                answer.set_result(standing)
