"""DIRECTORY: the one place that decides whom each user finds and sees online."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from db.models import StoredMessage
from db.people.contacts import contact_ids, group_mates

# How many contacts of one user are read, each way; later contacts are added to them.
MOST_CONTACTS = 10_000
# Users without a connection whose contacts stay in memory: those who asked last.
MOST_IDLE = 10_000

# So many pairs of new members of a group are told at once that they see each other; of more, each
# hears with the next change of the other.
MOST_TOLD = 10_000

# Called with a viewer known here, a user, and whether the viewer may find the user from now on.
Listener = Callable[[int, int, bool], None]
# Lends a connection that sees every message that this process has announced.
Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Directory:
    """Under DIRECTORY=contacts it keeps, in memory, the contacts of users who ask in this process.

    A user's contacts are those with whom they have exchanged a direct message, or are in a group.
    They are read once, and kept current by `hear`, which is called with every message, and by
    `join` and `leave_group`. Under the other settings nothing is kept.
    """

    def __init__(self, shows: Literal["everyone", "contacts", "off"]) -> None:
        self.shows = shows
        self._known: dict[int, set[int]] = {}
        self._idle: dict[int, None] = {}  # known users without a connection, the latest last
        self._holds: dict[int, int] = {}  # connections by user
        self._loading: dict[int, asyncio.Task[None]] = {}
        # New contacts of users that are being read, and former ones: False.
        self._heard: dict[int, dict[int, bool]] = {}
        self._listeners: list[Listener] = []

    def circle(self, viewer_id: int) -> Collection[int] | None:
        """Return whom the viewer may find and see online beside themselves; None for everybody.

        Await `ready` first: without it this is nobody.
        """
        if self.shows == "everyone":
            return None
        return self._known.get(viewer_id, ())

    def includes(self, viewer_id: int, user_id: int) -> bool:
        """Whether the viewer may find this user."""
        circle = self.circle(viewer_id)
        return circle is None or user_id == viewer_id or user_id in circle

    async def ready(self, viewer_id: int, reading: Reading) -> None:
        """Load the viewer's contacts, if they matter and are not there. Raises as `reading`."""
        if self.shows != "contacts":
            return
        if viewer_id in self._known:
            if viewer_id in self._idle:
                self._rest(viewer_id)
            return
        loading = self._loading.get(viewer_id)
        if loading is None:
            loading = asyncio.create_task(self._load(viewer_id, reading), name="contacts")
            loading.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._loading[viewer_id] = loading
        await asyncio.shield(loading)  # others wait for it too

    def enter(self, viewer_id: int) -> None:
        """Keep the viewer's contacts until `leave`: they have a connection (events/hub.py)."""
        if self.shows != "contacts":
            return
        self._holds[viewer_id] = self._holds.get(viewer_id, 0) + 1
        self._idle.pop(viewer_id, None)

    def leave(self, viewer_id: int) -> None:
        """Count off a connection of `enter`; after the last one the contacts may be dropped."""
        if self.shows != "contacts":
            return
        self._holds[viewer_id] -= 1
        if not self._holds[viewer_id]:
            del self._holds[viewer_id]
            if viewer_id in self._known:
                self._rest(viewer_id)

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever a viewer known here gains a contact, or loses one."""
        self._listeners.append(listener)

    def hear(self, message: StoredMessage) -> None:
        """Note that the message's two people are contacts."""
        one, other = message.sender_id, message.receiver_id
        if other is not None and one != other:
            self._put(one, other, True)
            self._put(other, one, True)

    async def join(self, members: Collection[int], joined: Collection[int]) -> None:
        """Note that some of a group's members have joined it: all of them are contacts now."""
        known = [id_ for id_ in members if id_ in self._known or id_ in self._heard]
        tells = len(known) * len(joined) <= MOST_TOLD
        for viewer_id in known:
            for user_id in members if viewer_id in joined else joined:
                if user_id != viewer_id:
                    self._put(viewer_id, user_id, True, tells=tells)
            await asyncio.sleep(0)  # a group may have a thousand members

    def leave_group(self, user_id: int, contacts: Collection[int]) -> None:
        """Note that a user has left a group, and who are the user's contacts now."""
        for viewer_id in [*self._known, *self._heard]:
            if viewer_id != user_id:
                self._put(viewer_id, user_id, viewer_id in contacts)
        for former in [id_ for id_ in self._known.get(user_id, ()) if id_ not in contacts]:
            self._put(user_id, former, False)

    def _put(self, viewer_id: int, user_id: int, met: bool, *, tells: bool = True) -> None:
        if (known := self._known.get(viewer_id)) is None:
            if (heard := self._heard.get(viewer_id)) is not None:
                heard[user_id] = met
        elif (user_id in known) is not met:
            (known.add if met else known.discard)(user_id)
            for listener in self._listeners if tells else ():
                listener(viewer_id, user_id, met)

    async def _load(self, viewer_id: int, reading: Reading) -> None:
        # What is committed after the read is heard, and is not lost.
        heard = self._heard[viewer_id] = {}
        try:
            async with reading() as connection:
                found = await contact_ids(connection, viewer_id, limit=MOST_CONTACTS)
                found |= await group_mates(connection, viewer_id, limit=MOST_CONTACTS)
            for user_id, met in heard.items():
                (found.add if met else found.discard)(user_id)
            self._known[viewer_id] = found
            if viewer_id not in self._holds:
                self._rest(viewer_id)
        finally:
            del self._heard[viewer_id], self._loading[viewer_id]

    def _rest(self, viewer_id: int) -> None:
        """Keep the viewer's contacts until MOST_IDLE others have asked."""
        self._idle.pop(viewer_id, None)
        self._idle[viewer_id] = None
        while len(self._idle) > MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._known[oldest]
