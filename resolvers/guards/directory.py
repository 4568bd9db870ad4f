"""DIRECTORY: the one place that decides whom each user finds and sees online."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from db.contacts import contact_ids
from db.models import StoredMessage

# How many contacts of one user are read, each way; later contacts are added to them.
MOST_CONTACTS = 10_000
# Users without a connection whose contacts stay in memory: those who asked last.
MOST_IDLE = 10_000

# Called with two people who have become each other's contacts.
Listener = Callable[[int, int], None]
# Lends a connection that sees every message that this process has announced.
Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Directory:
    """Under DIRECTORY=contacts it keeps, in memory, the contacts of users who ask in this process.

    A user's contacts are read once, and kept current by `hear`, which is called with every message.
    Under the other settings nothing is kept.
    """

    def __init__(self, shows: Literal["everyone", "contacts", "off"]) -> None:
        self.shows = shows
        self._known: dict[int, set[int]] = {}
        self._idle: dict[int, None] = {}  # known users without a connection, the latest last
        self._holds: dict[int, int] = {}  # connections by user
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._heard: dict[int, set[int]] = {}  # new contacts of users that are being read
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
        """Call the listener whenever two people, one of whom is known here, become contacts."""
        self._listeners.append(listener)

    def hear(self, message: StoredMessage) -> None:
        """Note that the message's two people are contacts."""
        one, other = message.sender_id, message.receiver_id
        if other is None or one == other:
            return
        new = False
        for user_id, contact in ((one, other), (other, one)):
            if (known := self._known.get(user_id)) is not None:
                new = new or contact not in known
                known.add(contact)
            elif (heard := self._heard.get(user_id)) is not None:
                heard.add(contact)
        for listener in self._listeners if new else ():
            listener(one, other)

    async def _load(self, viewer_id: int, reading: Reading) -> None:
        # A message that is committed after the read is heard, and is not lost.
        heard = self._heard[viewer_id] = set()
        try:
            async with reading() as connection:
                found = await contact_ids(connection, viewer_id, limit=MOST_CONTACTS)
            self._known[viewer_id] = found | heard
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
