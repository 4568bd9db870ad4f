"""Whom each user finds and sees online: DIRECTORY. The one place that decides."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from db.contacts import contact_ids
from db.models import StoredMessage

# Contacts that are read of one user, each way; those who come later are added to them.
MOST_CONTACTS = 10_000
# Users without a connection here whose contacts stay in memory: the latest who asked.
MOST_IDLE = 10_000

# Called with two people who have become each other's contacts.
Listener = Callable[[int, int], None]
# Lends a connection that sees every message that this process has announced.
Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Directory:
    """Under DIRECTORY=contacts it keeps, in memory, the contacts of whoever asks in this process.

    They are read once, and kept current by `hear`, which is called with every message. Under the
    other settings there is nothing to keep.
    """

    def __init__(self, shows: Literal["everyone", "contacts", "off"]) -> None:
        self.shows = shows
        self._known: dict[int, set[int]] = {}
        self._idle: dict[int, None] = {}  # those of them that nothing holds, the latest last
        self._holds: dict[int, int] = {}
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._heard: dict[int, set[int]] = {}  # of whom is being read, meanwhile
        self._listeners: list[Listener] = []

    def circle(self, viewer_id: int) -> Collection[int] | None:
        """Return whom the viewer may find and see online beside themselves; None for everybody.

        Nobody, for one whom `ready` was not awaited for.
        """
        if self.shows == "everyone":
            return None
        return self._known.get(viewer_id, ())

    def includes(self, viewer_id: int, user_id: int) -> bool:
        """Whether the viewer may find this user."""
        circle = self.circle(viewer_id)
        return circle is None or user_id == viewer_id or user_id in circle

    async def ready(self, viewer_id: int, reading: Reading) -> None:
        """Know the viewer's contacts from now on, if they matter. Raises what `reading` does."""
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

    @contextmanager
    def hold(self, viewer_id: int) -> Iterator[None]:
        """Keep the viewer's contacts for as long as the block lasts: they have a connection."""
        self._holds[viewer_id] = self._holds.get(viewer_id, 0) + 1
        self._idle.pop(viewer_id, None)
        try:
            yield
        finally:
            self._holds[viewer_id] -= 1
            if not self._holds[viewer_id]:
                del self._holds[viewer_id]
                if viewer_id in self._known:
                    self._rest(viewer_id)

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever two people, one of whom is known here, become contacts."""
        self._listeners.append(listener)

    def hear(self, message: StoredMessage) -> None:
        """Take over that the message's two people are contacts."""
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
        # What is committed after the read is heard of after it, and not lost.
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
        """Keep the viewer's contacts until as many others have asked as there is room for."""
        self._idle.pop(viewer_id, None)
        self._idle[viewer_id] = None
        while len(self._idle) > MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._known[oldest]
