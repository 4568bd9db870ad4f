"""Gives each new connection to one of several workers, the one that a Socket.IO client knows.

Long-polling needs all requests of one client to reach the process that holds its session. The
dispatcher accepts every connection, looks at the first request's line without taking it from the
socket, and hands the socket itself to a worker: the one whose name begins the session's id, else
the next in turn. From then on the dispatcher is not in the way.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.processes.acceptor import Acceptor
from server.processes.descriptors import Descriptors

logger = logging.getLogger("parley.dispatcher")

# The session's id begins with its worker's name and a dot (compat/socketio/engine.py).
_SESSION = re.compile(rb"^[A-Z]+ [^ ]*[?&]sid=([A-Za-z0-9_-]+)\.")
PEEKED_BYTES = 4096
# A connection that has not sent a line by then goes to the next worker, whose time limits apply.
PATIENCE_SECONDS = 5.0
# A worker that is busy, or has just died, is given the connection again so soon.
HAND_AGAIN_SECONDS = 0.02
# How soon a connection of a Unix socket that has sent half a line is looked at again.
LOOK_AGAIN_SECONDS = 0.05
MAX_UNDECIDED = 5000
# Of one address. Further connections go to the workers at once, whose limits apply.
MAX_UNDECIDED_OF_ADDRESS = 1000


@dataclass(slots=True)
class Undecided:
    """A connection whose first line has not come yet."""

    address: str
    patience: asyncio.TimerHandle


class Dispatcher:
    """Accepts on the listening sockets; `choose(name)` gives the worker's channel, or None."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        choose: Callable[[str | None], socket.socket | None],
    ) -> None:
        self._acceptor = Acceptor(listeners, self._receive)
        self._choose = choose
        self._undecided: dict[socket.socket, Undecided] = {}
        self._addresses: Counter[str] = Counter()  # of the undecided
        self._descriptors = Descriptors()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def close(self) -> None:
        """Accept no more; hand on what is undecided."""
        self._acceptor.close()
        for connection in [*self._undecided]:
            self._decide(connection, None)
        for connection in [*self._undecided]:  # no worker took it
            self._forget(connection)

    def _receive(self, connection: socket.socket, address: str) -> None:
        patience = self._loop.call_later(PATIENCE_SECONDS, self._decide, connection, None)
        self._undecided[connection] = Undecided(address, patience)
        self._addresses[address] += 1
        if self._addresses[address] > MAX_UNDECIDED_OF_ADDRESS or self._is_crowded(connection):
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
            if connection.family == socket.AF_UNIX:  # which Linux cannot
                self._loop.call_later(LOOK_AGAIN_SECONDS, self._look_again, connection)
                return
            _wake_at(connection, len(start) + 1)
            self._loop.add_reader(connection, self._look, connection, len(start))
            return
        session = _SESSION.match(start)
        self._decide(connection, session[1].decode() if session else None)

    def _look_again(self, connection: socket.socket) -> None:
        if connection in self._undecided:
            self._look(connection, 0)

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
                in_time = self._loop.time() < self._undecided[connection].patience.when()
                if in_time and not self._is_crowded(connection):
                    self._loop.call_later(HAND_AGAIN_SECONDS, self._decide, connection, name)
                    return
                # The client sees a cut and tries again.
                logger.warning("Could not hand a connection on: %s", error)
        self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        undecided = self._undecided.pop(connection)
        undecided.patience.cancel()
        self._addresses[undecided.address] -= 1
        if not self._addresses[undecided.address]:
            del self._addresses[undecided.address]
        self._loop.remove_reader(connection)
        connection.close()


def _wake_at(connection: socket.socket, size: int) -> None:
    """Count the connection as readable once it holds so many bytes, or has ended."""
    with contextlib.suppress(OSError):  # it is gone; reading it will say so
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
