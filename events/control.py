"""Hands each fact to this process's listeners, in the log's order.

The feed hands over facts as it reaches them. The log's writer may be ahead of the feed. It hands
over the control facts before its batch early, so that it admits nobody by an older state.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from events.facts import B, Fact

logger = logging.getLogger("parley.control")


class Follower(Protocol):
    """Follows the log."""

    @property
    def position(self) -> int:
        """Up to here every fact was handed over."""


class Control:
    """Hands facts to those who listen to their kind. Listeners must not block."""

    def __init__(self) -> None:
        self._follower: Follower | None = None
        self._ahead = 0  # control facts up to here were handed over early
        self._listeners: defaultdict[type, list[Callable[[Fact, Any], None]]] = defaultdict(list)
        self._in_order: defaultdict[type, list[Callable[[Fact, Any], None]]] = defaultdict(list)
        self._losses: list[Callable[[], None]] = []
        # Which log this is (resolvers/upkeep/log_state.py sets it).
        self.epoch = ""

    @property
    def position(self) -> int:
        """Up to here every control fact was handed over."""
        followed = 0 if self._follower is None else self._follower.position
        return max(followed, self._ahead)

    def follow(self, follower: Follower) -> None:
        """Set the follower, which hands over every fact in the end."""
        self._follower = follower

    def listen(self, kind: type[B], listener: Callable[[Fact, B], None]) -> None:
        """Call the listener with each fact that has a body of this kind, and with the body."""
        self._listeners[kind].append(listener)

    def listen_in_order(self, kind: type[B], listener: Callable[[Fact, B], None]) -> None:
        """Call the listener when the follower reaches such a fact, and never before.

        Every earlier entry of the log has been handed out to connections then, and no later one.
        """
        self._in_order[kind].append(listener)

    def on_loss(self, listener: Callable[[], None]) -> None:
        """Call the listener when the log has lost facts that were handed over."""
        self._losses.append(listener)

    def hand_over(self, fact: Fact) -> None:
        """Take the next fact from the follower."""
        # What was handed over early comes again: an older fact of the same thing, of another
        # process, may have come since, and the later one must be the last that is heard.
        if not (fact.is_control and fact.id <= self._ahead):
            self._tell(fact, self._listeners)
        self._tell(fact, self._in_order)

    def hand_over_early(self, facts: Sequence[Fact], upto: int) -> None:
        """Take the control facts past `position`, in order: all there are up to `upto`.

        Other facts, which this process has just stored, may be among them: their callers must find
        them applied. The follower hands these over once more, in their turn.
        """
        for fact in facts:
            if fact.id > self.position:
                self._tell(fact, self._listeners)
        self._ahead = max(self._ahead, upto)

    def go_back(self, position: int) -> None:
        """Forget what came after this position: the log has lost it."""
        self._ahead = min(self._ahead, position)
        for listener in self._losses:
            listener()

    def _tell(
        self, fact: Fact, listeners: Mapping[type, Sequence[Callable[[Fact, Any], None]]]
    ) -> None:
        for listener in listeners.get(type(fact.body), ()):
            try:
                listener(fact, fact.body)
            except Exception:
                logger.exception("A listener failed on the fact at %d", fact.id)
