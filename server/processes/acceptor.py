"""Takes new connections, many in one turn of the loop.

libuv takes one in each turn. When the loop is busy, a turn lasts tens of milliseconds. Then a crowd
that reconnects would wait in the backlog until it overflows and the system resets connections.
"""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Sequence

from server.logs import RareWarning
from server.processes.listeners import UNIX_PEER, listen

logger = logging.getLogger("parley.server")

# How many are taken in one turn: other work must get its turn.
AT_ONCE = 12
# How long to wait when the system has no descriptor left.
PAUSE_SECONDS = 0.1
# The peer had gone before its connection was accepted (accept(2)): go on with the next one.
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR})


class Acceptor:
    """Calls `serve` with each new connection of the listening sockets, and its address."""

    def __init__(
        self, listeners: Sequence[socket.socket], serve: Callable[[socket.socket, str], object]
    ) -> None:
        self._listeners = [*listeners]
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._trouble = RareWarning("Could not accept a connection: %s")
        # Up to this descriptor, half of those that there are, a crowd may come in at once.
        self._roomy = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def start(self) -> None:
        """Begin to take connections."""
        listen(self._listeners)
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Take no more connections."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            self._loop.remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _GONE:
                    self._trouble.log(error)
                    self._loop.remove_reader(listener)
                    self._loop.call_later(PAUSE_SECONDS, self._resume, listener)
                    return
                continue
            descriptor = connection.fileno()
            connection.setblocking(False)
            if connection.family == socket.AF_UNIX:
                address = (UNIX_PEER, 0)
            else:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(connection, str(address[0]))
            if descriptor > self._roomy:
                return  # it may have to be refused, which frees its descriptor for the next one

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)
