"""When the tokens of open connections end: their users are warned first, then put out.

One sweep looks after all connections: an idle one costs no timer and no task.
"""

import heapq
import time

from events.connection import Connection

# Connections that are gone stay in the heap until they outnumber the open ones by so many.
MAX_IDLE_ENTRIES = 1000

EXPIRED = "Token expired"


class Expiries:
    """The connections whose tokens end, in the order in which `sweep` looks at them.

    The time of day may jump, so that each sweep compares the ends with it anew.
    """

    def __init__(self, *, warning_seconds: float) -> None:
        self._warning_seconds = warning_seconds
        self._heap: list[Connection] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, connection: Connection) -> None:
        """Have the sweep look at the connection in time; it may have been added before."""
        if connection.expires_at is None:
            return
        connection.warned = False
        if connection.due == 0.0:
            self._push(connection)
        elif connection.expires_at < connection.due:
            self._heap.remove(connection)  # its key must not change within the heap
            heapq.heapify(self._heap)
            self._push(connection)
        # Else the sweep finds it too early, and puts it back at its new place.

    def sweep(self) -> None:
        """Warn the users whose tokens end soon, and put out those whose tokens have ended."""
        now = time.time()
        while self._heap and self._heap[0].due <= now:
            connection = heapq.heappop(self._heap)
            connection.due = 0.0
            if connection.user_id is None or connection.expires_at is None:
                continue
            if connection.expires_at <= now:
                connection.end(EXPIRED)
                continue
            if not connection.warned and connection.expires_at - self._warning_seconds <= now:
                connection.warn()
            if connection.due == 0.0:  # else it was renewed by the warning
                self._push(connection)

    def trim(self, connections: int) -> None:
        """Drop connections that are gone, once they are many compared with the open ones."""
        if len(self._heap) > 2 * connections + MAX_IDLE_ENTRIES:
            for connection in self._heap:
                if connection.user_id is None:
                    connection.due = 0.0
            self._heap = [kept for kept in self._heap if kept.user_id is not None]
            heapq.heapify(self._heap)

    def _push(self, connection: Connection) -> None:
        if connection.expires_at is not None:
            early = 0.0 if connection.warned else self._warning_seconds
            connection.due = connection.expires_at - early
            heapq.heappush(self._heap, connection)
