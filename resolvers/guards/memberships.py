"""In which groups users are: kept in memory, in the log's order, for those who asked last."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from db.engines.database import Database
from db.groups.pages import find_stays
from db.visibility import Stay
from events.facts import Fact, MembersChanged
from resolvers.errors import as_unavailable

# So many users are kept, and so many of their stays together: those of users who asked last, and
# of all who have a connection.
MOST_USERS = 20_000
MOST_STAYS = 1_000_000
# Users of one look-up.
AT_ONCE = 200


class _Known:
    """A user's stays, as of a position of the log."""

    __slots__ = ("position", "stays")

    def __init__(self, position: int, stays: dict[int, Stay]) -> None:
        self.position = position
        self.stays = stays


class Memberships:
    """The groups in which users are, or were, as of the last fact that the feed handed out.

    A user's groups are read when they first matter, in batches, and follow the facts after that.
    They may be read as of a later position than the feed's. That shows in the positions of the
    stays; the facts up to there change nothing more.
    """

    def __init__(self, database: Database, is_here: Callable[[int], bool]) -> None:
        self._database = database
        self._is_here = is_here  # whether a user has a connection
        self._known: dict[int, _Known] = {}  # the one who asked last at the end
        self._stays = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._reading: dict[int, list[tuple[Fact, MembersChanged]]] = {}  # what came meanwhile
        self._task: asyncio.Task[None] | None = None
        self._loss = 0

    async def ready(self, user_id: int) -> None:
        """Read the user's groups, unless they are known. Raises Unavailable."""
        known = self._known.pop(user_id, None)
        if known is not None:
            self._known[user_id] = known
            return
        answer = self._waiting.get(user_id)
        if answer is None:
            answer = self._waiting[user_id] = asyncio.get_running_loop().create_future()
            # From now on: whatever the read does not see yet comes as a fact.
            self._reading[user_id] = []
            if self._task is None:
                self._task = asyncio.create_task(self._read(), name="memberships")
        with as_unavailable():
            await asyncio.shield(answer)

    def stays_of(self, user_id: int) -> Mapping[int, Stay] | None:
        """Return the user's stays, by the groups; None where they are not known."""
        known = self._known.get(user_id)
        return None if known is None else known.stays

    def groups_of(self, user_id: int, position: int) -> Collection[int]:
        """Return the groups whose messages past this position, the feed's, the user may hear.

        One that the user joins or leaves later is handed over by that fact. Await `ready` before.
        """
        return [
            id_
            for id_, stay in (self.stays_of(user_id) or {}).items()
            if stay.sees_after <= position
            and (stay.left_position is None or stay.left_position > position)
        ]

    def apply(self, fact: Fact, changed: MembersChanged) -> None:
        """Take the next fact from the feed."""
        for user_id in (*changed.joined, *changed.left):
            if (meanwhile := self._reading.get(user_id)) is not None:
                meanwhile.append((fact, changed))
            elif (known := self._known.get(user_id)) is not None:
                self._stays -= len(known.stays)
                _apply(known, user_id, fact, changed)
                self._stays += len(known.stays)

    def clear(self) -> None:
        """Know nobody any more: the log has lost facts."""
        self._known.clear()
        self._stays = 0
        self._loss += 1
        for meanwhile in self._reading.values():
            meanwhile.clear()

    async def _read(self) -> None:
        batch: list[int] = []
        try:
            while self._waiting:
                batch = [*self._waiting][:AT_ONCE]
                loss = self._loss
                try:
                    # Where it is written: a replica could lack what the feed has handed out.
                    async with self._database.read_written() as connection:
                        head, found = await find_stays(connection, batch)
                except Exception as error:  # whatever it is, the callers are to hear of it
                    for user_id in batch:
                        self._answer(user_id, error)
                    continue
                if loss != self._loss:
                    continue  # what was read may be of the lost part: read it again
                for user_id in batch:
                    known = _Known(head, found[user_id])
                    for fact, changed in self._reading[user_id]:
                        _apply(known, user_id, fact, changed)
                    self._known[user_id] = known
                    self._stays += len(known.stays)
                    self._answer(user_id, None)
                self._make_room(len(batch))
        finally:
            for user_id in [*self._waiting]:  # the server is stopping
                self._reading.pop(user_id, None)
                self._waiting.pop(user_id).cancel()
            self._task = None

    def _answer(self, user_id: int, error: Exception | None) -> None:
        del self._reading[user_id]
        answer = self._waiting.pop(user_id)
        if answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
            answer.exception()  # whoever waited may have gone: no complaint about it then

    def _make_room(self, kept: int) -> None:
        """Forget those who asked first, except who was just read, or has a connection."""
        for user_id in [*self._known][: max(len(self._known) - kept, 0)]:
            if len(self._known) <= MOST_USERS and self._stays <= MOST_STAYS:
                return
            known = self._known.pop(user_id)
            if self._is_here(user_id):
                self._known[user_id] = known  # the last one again
            else:
                self._stays -= len(known.stays)


def _apply(known: _Known, user_id: int, fact: Fact, changed: MembersChanged) -> None:
    if fact.id <= known.position:
        return
    id_ = changed.conversation_id
    if user_id in changed.joined:
        known.stays[id_] = Stay(0 if changed.shows_earlier else fact.id, None)
    elif (stay := known.stays.get(id_)) is not None:
        known.stays[id_] = stay._replace(left_position=fact.id)
