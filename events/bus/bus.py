"""How processes tell each other things at once: a hint, never the truth, which is in the log.

A publication may be lost, late or doubled. Whoever listens must be right without it, later.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

logger = logging.getLogger("parley.bus")

Handler = Callable[[bytes], None]


class Topic(StrEnum):
    """What is spoken of on the bus: the closed list."""

    LOG = "log"
    ROSTER = "roster"
    COUNTS = "counts"
    FACTS = "facts"
    TYPING = "typing"


class Bus(Protocol):
    """Carries bytes between the processes of one server; never back to the one that published."""

    @property
    def is_lone(self) -> bool:
        """Whether this process is the only one, so that nothing need be made for the others."""

    @property
    def connected(self) -> bool:
        """Whether publications are likely to arrive, both ways."""

    @property
    def waiting(self) -> int:
        """How many publications wait to be sent."""

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Call the handler, on the loop, with each publication of the other processes."""

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send to the other processes soon; dropped when they cannot be reached."""

    async def start(self) -> None:
        """Begin."""

    async def close(self) -> None:
        """End, after a last try to send what waits."""


class LoneBus:
    """The bus of a server that is one process: there is nobody to tell."""

    connected = is_lone = True
    waiting = 0

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Nobody will call."""

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Nobody listens."""

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class Subscribers:
    """The handlers of one process, by topic."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)

    def add(self, topic: Topic, handler: Handler) -> None:
        """Add a handler."""
        self._handlers[topic].append(handler)

    def call(self, topic: str, payload: bytes) -> None:
        """Call the topic's handlers; one that fails is logged, and nobody else's trouble."""
        for handler in self._handlers[topic]:
            try:
                handler(payload)
            except Exception:
                logger.exception("A publication on %s could not be handled", topic)
