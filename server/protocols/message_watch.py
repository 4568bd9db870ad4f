"""How long a WebSocket's message may take that comes in pieces, as the body of a request may."""

import asyncio
from collections import deque
from typing import Protocol

from server.protocols.patience import BODY_GRACE_SECONDS

# How often in the time that a message may stand still we look whether it goes on.
MESSAGE_LOOKS = 4


class Slow(Protocol):
    """The connection that the message comes by."""

    loop: asyncio.AbstractEventLoop
    read_paused: bool
    message_seconds: float
    least_message_rate: float
    whole_message_seconds: float

    def give_up(self) -> None:
        """End it."""


class MessageWatch:
    """Bounds the time of a message that comes in pieces, as the body of a request is bounded."""

    __slots__ = ("_looks", "_seen", "_socket", "_timer", "_waited", "size")

    def __init__(self, socket: Slow) -> None:
        self.size = 0
        self._socket = socket
        self._seen = 0
        self._waited = 0.0
        self._looks: deque[int] = deque(maxlen=MESSAGE_LOOKS)
        self._timer = self._look_later()

    def cancel(self) -> None:
        """The message is whole, or its connection gone."""
        self._timer.cancel()

    def _look_later(self) -> asyncio.TimerHandle:
        pause = self._socket.message_seconds / MESSAGE_LOOKS
        return self._socket.loop.call_later(pause, self._look)

    def _look(self) -> None:
        socket = self._socket
        if socket.read_paused:  # it is us who keep it waiting
            self._looks.clear()
        else:
            self._looks.append(self.size - self._seen)
            self._waited += socket.message_seconds / MESSAGE_LOOKS
        self._seen = self.size
        least = 1.0
        if self._waited > BODY_GRACE_SECONDS:
            least = max(least, socket.least_message_rate * socket.message_seconds)
        if self._waited > socket.whole_message_seconds or (
            len(self._looks) == MESSAGE_LOOKS and sum(self._looks) < least
        ):
            socket.give_up()
        else:
            self._timer = self._look_later()
