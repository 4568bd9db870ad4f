"""Where the feed puts the messages of one Socket.IO connection."""

from typing import Protocol

from db.models import StoredMessage


class Pushing(Protocol):
    """Writes to connections, each by its name."""

    def push_message(self, sid: str, message: StoredMessage) -> None:
        """Queue a `message:new` for one connection."""

    def drop(self, sid: str) -> None:
        """End one connection; its client connects again by itself."""


class MessageSink:
    """Pushes each message to one connection; encoded once for all that get it."""

    __slots__ = ("_events", "_sid")

    def __init__(self, events: Pushing, sid: str) -> None:
        self._events = events
        self._sid = sid

    def deliver(self, item: StoredMessage, size: int) -> None:
        """Queue a `message:new`; the connection's own bounded queue ends it when it is full."""
        self._events.push_message(self._sid, item)

    def interrupt(self) -> None:
        """End the connection so that its client comes back and resumes."""
        self._events.drop(self._sid)
