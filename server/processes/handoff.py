"""Gives each new connection to one of several workers, the one that a Socket.IO client knows.

Long-polling needs all requests of one client to reach the process that holds its session. The
front accepts every connection, looks at the first request's line without taking it from the
socket, and hands the socket itself to a worker: the one whose name begins the session's id, else
the next in turn. From then on the front is not in the way.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence

from server.processes.descriptors import Descriptors

logger = logging.getLogger("parley.front")

# The session's id begins with its worker's name and a dot (compat/socketio/engine.py).
_SESSION = re.compile(rb"^[A-Z]+ [^ ]*[?&]sid=([A-Za-z0-9_-]+)\.")
PEEKED_BYTES = 4096
# A connection that has not sent a line by then goes to the next worker, whose time limits apply.
PATIENCE_SECONDS = 5.0
# A worker that is busy, or has just died, is given the connection again so soon.
HAND_AGAIN_SECONDS = 0.02
MAX_UNDECIDED = 5000
# So many of one address are looked at; the rest go to the workers, whose limits apply, at once.
MAX_UNDECIDED_OF_ADDRESS = 1000


class Front:
    """Accepts on the listening sockets; `choose(name)` gives the worker's channel, or None."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        choose: Callable[[str | None], socket.socket | None],
        *,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._listeners = listeners
        self._choose = choose
        # Each with the end of its patience.
        self._undecided: dict[socket.socket, asyncio.TimerHandle] = {}
        self._from: dict[socket.socket, str] = {}
        self._addresses: Counter[str] = Counter()  # of the undecided
        self._descriptors = descriptors or Descriptors()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Accept no more; hand on what is undecided."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for connection in [*self._undecided]:
            self._decide(connection, None)
        for connection in [*self._undecided]:  # no worker took it
            self._forget(connection)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(100):  # others must get a turn
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # Out of files, most likely: leave it in the backlog for a moment.
                logger.warning("Could not accept a connection: %s", error)
                self._loop.remove_reader(listener)
                self._loop.call_later(0.5, self._loop.add_reader, listener, self._accept, listener)
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            deadline = self._loop.time() + PATIENCE_SECONDS
            timer = self._loop.call_at(deadline, self._decide, connection, None)
            self._undecided[connection] = timer
            self._from[connection] = str(address[0])
            self._addresses[self._from[connection]] += 1
            of_address = self._addresses[self._from[connection]]
            if of_address > MAX_UNDECIDED_OF_ADDRESS or self._is_crowded(connection):
                self._decide(connection, None)
            else:
                self._loop.add_reader(connection, self._look, connection, 0)

    def _is_crowded(self, connection: socket.socket) -> bool:
        short = self._descriptors.is_short(connection.fileno())
        return short or len(self._undecided) > MAX_UNDECIDED

    def _look(self, connection: socket.socket, seen: int) -> None:
        self._loop.remove_reader(connection)
        try:
            start = connection.recv(PEEKED_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._loop.add_reader(connection, self._look, connection, seen)
            return
        except OSError:
            self._forget(connection)
            return
        if b"\r\n" not in start and seen < len(start) < PEEKED_BYTES:
            # Half a line stays readable, a reader would spin: wake at one byte more, or the end.
            _wake_at(connection, len(start) + 1)
            self._loop.add_reader(connection, self._look, connection, len(start))
            return
        session = _SESSION.match(start)
        self._decide(connection, session[1].decode() if session else None)

    def _decide(self, connection: socket.socket, name: str | None) -> None:
        if connection not in self._undecided:
            return
        self._loop.remove_reader(connection)
        channel = self._choose(name)
        if channel is not None:
            _wake_at(connection, 1)
            try:
                socket.send_fds(channel, [b"c"], [connection.fileno()])
            except OSError as error:
                in_time = self._loop.time() < self._undecided[connection].when()
                if in_time and not self._is_crowded(connection):
                    self._loop.call_later(HAND_AGAIN_SECONDS, self._decide, connection, name)
                    return
                # The client sees a cut and tries again.
                logger.warning("Could not hand a connection on: %s", error)
        self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        self._undecided.pop(connection).cancel()
        address = self._from.pop(connection)
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        self._loop.remove_reader(connection)
        connection.close()


def _wake_at(connection: socket.socket, size: int) -> None:
    """Count the connection as readable once it holds so many bytes, or has ended."""
    with contextlib.suppress(OSError):  # it is gone; reading it will say so
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
