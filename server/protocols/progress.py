"""How long a body, or a WebSocket's message that comes in pieces, may take."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

# How often the progress is looked at within the time for which it may stand still.
LOOKS = 4
# A transfer may be slow at first: uploads over a bad line pause. Later it has a least rate.
GRACE_SECONDS = 30.0


class TransferLimits(NamedTuple):
    """What a peer that sends has to keep to."""

    idle_seconds: float = 20.0  # without any progress
    least_rate: float = 256.0  # bytes a second, once the grace is over
    whole_seconds: float = 3600.0  # from the beginning to the end


class Progress(NamedTuple):
    """How far a transfer has come."""

    size: int  # bytes so far
    paused: bool  # this server keeps the peer waiting: the time does not count


class ProgressWatch:
    """Calls `give_up` once a transfer breaks its limits; until then looks again and again."""

    __slots__ = ("_give_up", "_limits", "_looks", "_measure", "_seen", "_timer", "_waited")

    def __init__(
        self,
        limits: TransferLimits,
        measure: Callable[[], Progress],
        give_up: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._measure = measure
        self._give_up = give_up
        self._seen = measure().size
        self._waited = 0.0
        self._looks: deque[int] = deque(maxlen=LOOKS)  # the new bytes that each look found
        self._timer = self._look_later()

    def cancel(self) -> None:
        """Look no more: the transfer is complete, or its connection gone."""
        self._timer.cancel()

    def _look_later(self) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(self._limits.idle_seconds / LOOKS, self._look)

    def _look(self) -> None:
        limits, (size, paused) = self._limits, self._measure()
        if paused:
            self._looks.clear()
        else:
            self._looks.append(size - self._seen)
            self._waited += limits.idle_seconds / LOOKS
        self._seen = size
        least = 1.0
        if self._waited > GRACE_SECONDS:
            least = max(least, limits.least_rate * limits.idle_seconds)
        is_slow = len(self._looks) == LOOKS and sum(self._looks) < least
        if is_slow or self._waited > limits.whole_seconds:
            self._give_up()
        else:
            self._timer = self._look_later()
